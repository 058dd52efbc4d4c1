//! Reading a part of a selected transparent file in pieces.

use super::{Reach, Refusal};
use crate::card::iso7816::{
    Command, Length, MAX_SHORT, Response, StatusWord,
    tlv::{self, FileSize},
};

/// One past the last position that the 15-bit offset of READ BINARY reaches. From there on the odd
/// instruction takes the offset as an object (ISO/IEC 7816-4, 11.3.3).
const OFFSETS: u32 = 0x8000;
/// No card holds more in one file; one that has no end is left.
const LONGEST: u32 = 1 << 20;
/// Tag and length around what the odd instruction reads.
const OVERHEAD: u32 = 4;
/// Offset.
const OFFSET: u8 = 0x54;
/// Discretionary data: the bytes of the file.
const DATA: u32 = 0x53;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Span {
    /// From here.
    pub(in super::super) offset: u16,
    /// So many bytes; to the end where it is not said.
    pub(in super::super) length: Option<u32>,
}

/// Why what was read is not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shortfall {
    /// The card gave so many of so many bytes.
    Rest {
        /// These came.
        read: u32,
        /// These there are.
        of: u32,
    },
    /// The card gave nothing after so many bytes, and did not say that the file ends there.
    NoEnd(u32),
    /// The card reads no further than its short offsets reach; how long the file is, where it says
    /// so.
    OutOfReach(Option<u32>),
    /// The file is longer than any that is read.
    TooLong,
}

/// Reading under way.
#[derive(Debug)]
pub(super) struct Range {
    span: Span,
    size: Option<FileSize>,
    chunk: u32,
    /// Even the first bytes are read by the odd instruction.
    odd: bool,
    content: Vec<u8>,
    end: Option<End>,
}

/// How reading came to an end before its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The card said that the file ends here.
    Said,
    /// The card gave nothing, and said nothing.
    Silent,
    /// What the card gave is no content.
    Nonsense,
    /// The card does not know the odd instruction.
    OutOfReach,
}

impl Range {
    /// Reads a part of a file whose size the card said, or did not say.
    pub(super) fn new(span: Span, size: Option<FileSize>, reach: Reach) -> Self {
        Self {
            span,
            size,
            chunk: reach.read_chunk(),
            odd: false,
            content: Vec::new(),
            end: None,
        }
    }

    fn read(&self) -> u32 {
        u32::try_from(self.content.len()).unwrap_or(u32::MAX)
    }

    fn position(&self) -> u32 {
        u32::from(self.span.offset).saturating_add(self.read())
    }

    /// How many bytes the card says there are from the offset on; none where it says zero: cards
    /// do of files that have some.
    fn rest(&self) -> Option<u32> {
        let size = self.size?.bytes;
        Some(size.saturating_sub(self.span.offset.into())).filter(|rest| *rest > 0)
    }

    fn is_odd(&self) -> bool {
        self.odd || self.position() >= OFFSETS
    }

    fn wanted(&self) -> u32 {
        let length = self.span.length.or(self.rest());
        let most = self.chunk - if self.is_odd() { OVERHEAD } else { 0 };
        length.map_or(most, |length| length.saturating_sub(self.read()).min(most))
    }

    /// The next READ BINARY.
    pub(super) fn next(&self) -> Option<Command> {
        let (position, wanted) = (self.position(), self.wanted());
        if self.end.is_some() || wanted == 0 || position >= LONGEST {
            return None;
        }
        let [_, highest, high, low] = position.to_be_bytes();
        if !self.is_odd() {
            return Some(Command::new(0, 0xB0, high, low).expecting(wanted));
        }
        let offset = if highest == 0 {
            vec![OFFSET, 2, high, low]
        } else {
            vec![OFFSET, 3, highest, high, low]
        };
        let command = Command::new(0, 0xB1, 0, 0).with_data(offset);
        Some(command.expecting(wanted + OVERHEAD))
    }

    pub(super) fn received(&mut self, response: &Response) -> Result<(), Refusal> {
        let (word, wanted) = (response.status_word, self.wanted() as usize);
        match word {
            StatusWord::SUCCESS | StatusWord::END_OF_FILE => {
                let data = if self.is_odd() {
                    discretionary(&response.data)
                } else {
                    Some(&response.data[..])
                };
                let read = data.map(|data| &data[..data.len().min(wanted)]);
                self.content.extend_from_slice(read.unwrap_or_default());
                self.end = match (word, read) {
                    (StatusWord::END_OF_FILE, _) => Some(End::Said),
                    (_, None) => Some(End::Nonsense),
                    (_, Some([])) => Some(End::Silent),
                    (_, Some(_)) => None,
                };
                Ok(())
            }
            // The last piece ended exactly at the end of the file.
            StatusWord::OUTSIDE_FILE if !self.content.is_empty() || self.is_empty() => {
                self.end = Some(End::Said);
                Ok(())
            }
            // The card or its reader takes no extended lengths after all.
            StatusWord::WRONG_LENGTH if self.chunk > MAX_SHORT => {
                self.chunk = MAX_SHORT;
                Ok(())
            }
            StatusWord::UNKNOWN_INSTRUCTION if !self.is_odd() && self.content.is_empty() => {
                self.odd = true;
                Ok(())
            }
            StatusWord::UNKNOWN_INSTRUCTION if self.position() >= OFFSETS => {
                self.end = Some(End::OutOfReach);
                Ok(())
            }
            status_word => Err(Refusal {
                step: "read",
                status_word,
            }),
        }
    }

    /// Whether the card says that the file has no content.
    fn is_empty(&self) -> bool {
        self.span.offset == 0 && self.size.is_some_and(|size| size.bytes == 0)
    }

    /// What is missing of what was to be read, by what the card says of the file. Only a card that
    /// says nothing of its size may end it with an empty answer.
    pub(super) fn shortfall(&self) -> Option<Shortfall> {
        let read = self.read();
        let asked = self.span.length;
        if asked.is_some_and(|length| read >= length) {
            return None;
        }
        let expected = match (self.rest(), asked) {
            (Some(rest), Some(length)) => Some(rest.min(length)),
            (rest, None) => rest,
            (None, _) => None,
        };
        let exact = self.size.is_some_and(|size| size.exact);
        match (expected, self.end) {
            (Some(of), _) if read >= of => None,
            (_, None) => Some(Shortfall::TooLong),
            (of, Some(End::OutOfReach)) => Some(Shortfall::OutOfReach(of)),
            (Some(of), Some(end)) if exact || end != End::Said => {
                Some(Shortfall::Rest { read, of })
            }
            (_, Some(End::Said)) => None,
            (_, Some(End::Silent)) if self.is_empty() => None,
            (_, Some(End::Silent)) if read > 0 && asked.is_none() => None,
            (_, Some(End::Silent | End::Nonsense)) => Some(Shortfall::NoEnd(read)),
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

/// What the odd instruction brought.
fn discretionary(data: &[u8]) -> Option<&[u8]> {
    let (object, _) = tlv::Object::first(data)?;
    (object.tag == DATA).then_some(object.value)
}
