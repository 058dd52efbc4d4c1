//! Files of a card, without I/O: selecting, reading, and updating with proof.

mod range;
mod select;
mod write;

use crate::card::iso7816::{CardCapabilities, Command, FileId, Response, StatusWord};

use range::Range;
pub(super) use range::{Shortfall, Span};
use select::Select;
pub(super) use write::{Holds, Verdict, Write};

/// Extended commands carry so much: what readers and cards of any age take.
const EXTENDED_CHUNK: usize = 1_024;
/// One short command carries so much.
const SHORT_CHUNK: usize = 255;
/// A command in chained pieces carries so much.
const CHAINED_CHUNK: usize = 4 * SHORT_CHUNK;

/// What a card did not do, with its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The step, a keyword.
    pub(super) step: &'static str,
    /// What the card said.
    pub(super) status_word: StatusWord,
}

/// Why there is no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// The card said no.
    Refused(Refusal),
    /// It is not all there.
    Incomplete(Shortfall),
}

/// Which file, from which application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Selected first.
    pub(super) application: Option<Vec<u8>>,
    /// Selected one after the other.
    pub(super) path: Vec<FileId>,
}

/// What goes to the card next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// The command.
    pub(super) command: Command,
    /// Whether it changes the card.
    pub(super) changes: bool,
}

/// A dialogue with a card about a file.
pub(super) trait Script: Send {
    /// What goes to the card next; `None` at the end.
    fn next(&mut self) -> Option<Outgoing>;
    /// Takes the answer to it.
    fn received(&mut self, response: &Response);
}

/// How long commands may be for this card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// 255 bytes.
    Short,
    /// Longer, in pieces with the chaining bit.
    Chained,
    /// Longer, with extended lengths.
    Extended,
}

impl Reach {
    /// As far as the card says.
    pub(super) fn of(card: CardCapabilities) -> Self {
        if card.extended_length {
            Self::Extended
        } else if card.chaining {
            Self::Chained
        } else {
            Self::Short
        }
    }

    fn write_chunk(self) -> usize {
        match self {
            Self::Short => SHORT_CHUNK,
            Self::Chained => CHAINED_CHUNK,
            Self::Extended => EXTENDED_CHUNK,
        }
    }

    fn read_chunk(self) -> u32 {
        match self {
            Self::Short | Self::Chained => 256,
            Self::Extended => 1_024,
        }
    }
}

/// Reading one file from end to end or a part of it.
#[derive(Debug)]
pub(super) struct Read {
    select: Select,
    range: Option<Range>,
    span: Span,
    reach: Reach,
    refusal: Option<Refusal>,
}

impl Read {
    pub(super) fn new(address: &Address, span: Span, reach: Reach) -> Self {
        Self {
            select: Select::to_read(address),
            range: None,
            span,
            reach,
            refusal: None,
        }
    }

    /// The same for a file that most cards have not: a card that does not find it is not asked in
    /// other words.
    pub(super) fn optional(mut self) -> Self {
        self.select = self.select.optional();
        self
    }

    /// What was read, or why not.
    pub(super) fn into_content(self) -> Result<Vec<u8>, Unread> {
        if let Some(refusal) = self.refusal {
            return Err(Unread::Refused(refusal));
        }
        let Some(range) = self.range else {
            return Ok(Vec::new());
        };
        match range.shortfall() {
            Some(shortfall) => Err(Unread::Incomplete(shortfall)),
            None => Ok(range.into_content()),
        }
    }
}

impl Script for Read {
    fn next(&mut self) -> Option<Outgoing> {
        if self.refusal.is_some() {
            return None;
        }
        let command = self.select.next().or_else(|| {
            let (select, span, reach) = (&self.select, self.span, self.reach);
            self.range
                .get_or_insert_with(|| Range::new(span, select.size(), reach))
                .next()
        })?;
        Some(Outgoing {
            command,
            changes: false,
        })
    }

    fn received(&mut self, response: &Response) {
        let outcome = match &mut self.range {
            None => self.select.received(response),
            Some(range) => range.received(response),
        };
        self.refusal = outcome.err();
    }
}

#[cfg(test)]
mod tests;
