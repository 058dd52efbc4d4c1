//! Reading a part of a selected transparent file in pieces.

use super::{Reach, Refusal};
use crate::card::iso7816::{Command, Length, MAX_SHORT, Response, StatusWord};

/// One past the last position that READ BINARY reaches with its 15-bit offset.
const OFFSETS: u32 = 0x8000;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Span {
    /// From here.
    pub(in super::super) offset: u16,
    /// So many bytes; to the end where it is not said.
    pub(in super::super) length: Option<u32>,
}

impl Span {
    /// The same, to the end of a file of this size where no length was given.
    pub(super) fn within(self, size: Option<u32>) -> Self {
        let rest = size.map(|size| size.saturating_sub(self.offset.into()));
        Self {
            length: self.length.or(rest.filter(|rest| *rest > 0)),
            ..self
        }
    }
}

/// Reading under way.
#[derive(Debug)]
pub(super) struct Range {
    span: Span,
    chunk: u32,
    content: Vec<u8>,
    ended: bool,
}

impl Range {
    pub(super) fn new(span: Span, reach: Reach) -> Self {
        Self {
            span,
            chunk: reach.read_chunk(),
            content: Vec::new(),
            ended: span.length == Some(0),
        }
    }

    fn position(&self) -> u32 {
        let read = u32::try_from(self.content.len()).unwrap_or(OFFSETS);
        u32::from(self.span.offset).saturating_add(read)
    }

    fn wanted(&self) -> u32 {
        let read = u32::try_from(self.content.len()).unwrap_or(u32::MAX);
        self.span
            .length
            .map_or(self.chunk, |length| length.saturating_sub(read))
            .min(self.chunk)
    }

    /// The next READ BINARY.
    pub(super) fn next(&self) -> Option<Command> {
        let (position, wanted) = (self.position(), self.wanted());
        if self.ended || wanted == 0 || position >= OFFSETS {
            return None;
        }
        let [_, _, high, low] = position.to_be_bytes();
        Some(Command::new(0, 0xB0, high, low).expecting(wanted))
    }

    pub(super) fn received(&mut self, response: &Response) -> Result<(), Refusal> {
        let (word, wanted) = (response.status_word, self.wanted() as usize);
        match word {
            StatusWord::SUCCESS | StatusWord::END_OF_FILE => {
                let data = &response.data[..response.data.len().min(wanted)];
                self.content.extend_from_slice(data);
                self.ended = data.is_empty() || word == StatusWord::END_OF_FILE;
                Ok(())
            }
            // The last piece ended exactly at the end of the file.
            StatusWord::OUTSIDE_FILE if !self.content.is_empty() => {
                self.ended = true;
                Ok(())
            }
            // The card or its reader takes no extended lengths after all.
            StatusWord::WRONG_LENGTH if self.chunk > MAX_SHORT => {
                self.chunk = MAX_SHORT;
                Ok(())
            }
            status_word => Err(Refusal {
                step: "read",
                status_word,
            }),
        }
    }

    /// Whether extended lengths were given up on.
    pub(super) fn length(&self) -> Length {
        if self.chunk > MAX_SHORT {
            Length::Extended
        } else {
            Length::Short
        }
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(super) fn into_content(self) -> Vec<u8> {
        self.content
    }
}
