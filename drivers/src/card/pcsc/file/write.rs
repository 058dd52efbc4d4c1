//! Updating a part of a transparent file, with proof: what was there, what is sent, and what is
//! read back. A command that changes the card is given out once; whatever goes wrong after that,
//! the file is read and compared, never written again.

use super::{Address, Outgoing, Range, Reach, Refusal, Script, Select, Shortfall, Span};
use crate::card::iso7816::{Command, Length, MAX_SHORT, Response, StatusWord};

/// A piece of a chained command.
const SEGMENT: usize = 255;

/// An update under way.
#[derive(Debug)]
pub(in super::super) struct Write {
    content: Vec<u8>,
    offset: u16,
    reach: Reach,
    select: Select,
    phase: Phase,
    /// What the file held there before.
    before: Vec<u8>,
    /// How many bytes the card confirmed.
    confirmed: usize,
    /// How many bytes of the running command are with the card.
    chained: usize,
    /// Whether a command that changes the card was ever given out.
    given_out: bool,
    refusal: Option<Refusal>,
    /// What could not be read of what was there before.
    shortfall: Option<Shortfall>,
    now: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Phase {
    Select,
    /// Reading what is there.
    Before(Range),
    Update,
    /// Selecting again, after the card was reset.
    SelectAgain,
    /// Reading back.
    After(Range),
    Ended,
}

/// What became of the update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// The file holds what was sent; the card may have complained nevertheless.
    Written(Option<Refusal>),
    /// The file is as it was.
    Untouched(Refusal),
    /// The part of the file is shorter than the content: so many bytes; nothing was sent.
    TooShort(usize),
    /// What is there could not be read; nothing was sent.
    Unread(Shortfall),
    /// The file holds neither what was there nor what was sent; so many bytes of it, from the
    /// beginning, are new.
    Differs(usize, Option<Refusal>),
    /// The file could not be read afterwards. So many bytes were confirmed.
    Unverified(usize, Option<Refusal>),
}

impl Write {
    pub(in super::super) fn new(
        address: &Address,
        offset: u16,
        content: Vec<u8>,
        reach: Reach,
    ) -> Self {
        Self {
            content,
            offset,
            reach,
            select: Select::to_write(address),
            phase: Phase::Select,
            before: Vec::new(),
            confirmed: 0,
            chained: 0,
            given_out: false,
            refusal: None,
            shortfall: None,
            now: None,
        }
    }

    fn range(&self) -> Range {
        let span = Span {
            offset: self.offset,
            length: Some(u32::try_from(self.content.len()).unwrap_or(u32::MAX)),
        };
        Range::new(span, self.select.size(), self.reach)
    }

    /// What is to be written.
    pub(in super::super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// The part of it that the next command carries, its chained pieces together.
    pub(in super::super) fn chunk(&self) -> &[u8] {
        let rest = &self.content[self.confirmed..];
        &rest[..rest.len().min(self.reach.write_chunk())]
    }

    /// What the file held before; known once the first change is given out.
    pub(in super::super) fn before(&self) -> &[u8] {
        &self.before
    }

    /// How many bytes the card confirmed.
    pub(in super::super) fn confirmed(&self) -> usize {
        self.confirmed
    }

    /// Whether every byte was confirmed.
    pub(in super::super) fn all_confirmed(&self) -> bool {
        self.confirmed == self.content.len()
    }

    /// Goes on with reading and comparing only, after the dialogue broke off.
    pub(in super::super) fn recheck(&mut self) {
        self.select.restart();
        self.phase = Phase::SelectAgain;
    }

    /// Whether the file is being read to compare; nothing changes any more.
    pub(in super::super) fn is_checking(&self) -> bool {
        matches!(
            self.phase,
            Phase::SelectAgain | Phase::After(_) | Phase::Ended
        )
    }

    /// The part of the content that the next command carries, and whether more follow it.
    fn piece(&self) -> (&[u8], bool) {
        let chunk = self.chunk();
        if self.reach != Reach::Chained {
            return (chunk, false);
        }
        let rest = &chunk[self.chained.min(chunk.len())..];
        let piece = &rest[..rest.len().min(SEGMENT)];
        (piece, piece.len() < rest.len())
    }

    fn update(&self) -> Command {
        let (piece, more) = self.piece();
        let position = usize::from(self.offset) + self.confirmed;
        let [high, low] = u16::try_from(position).unwrap_or(0x7FFF).to_be_bytes();
        let cla = if more { 0x10 } else { 0x00 };
        Command::new(cla, 0xD6, high & 0x7F, low).with_data(piece)
    }

    fn updated(&mut self, word: StatusWord) {
        let (piece, more) = self.piece();
        let piece = piece.len();
        if word.is_success() {
            if more {
                self.chained += piece;
                return;
            }
            self.confirmed += self.chained + piece;
            self.chained = 0;
            if !self.all_confirmed() {
                return;
            }
        } else {
            self.refusal = Some(Refusal {
                step: "update",
                status_word: word,
            });
        }
        self.phase = Phase::After(self.range());
    }

    /// What became of it, once the dialogue is over; where it broke off, ask nobody but the card.
    pub(in super::super) fn verdict(&self) -> Verdict {
        match (&self.now, self.refusal) {
            (Some(now), complaint) => {
                let new = now.iter().zip(&self.content).take_while(|(a, b)| a == b);
                let matching = new.count();
                if *now == self.content {
                    Verdict::Written(complaint)
                } else if let (true, Some(refusal)) = (*now == self.before, complaint) {
                    Verdict::Untouched(refusal)
                } else {
                    Verdict::Differs(matching, complaint)
                }
            }
            (None, Some(refusal)) if self.untouched() => Verdict::Untouched(refusal),
            (None, None) if self.untouched() => match self.shortfall {
                Some(shortfall) => Verdict::Unread(shortfall),
                None => Verdict::TooShort(self.before.len()),
            },
            (None, refusal) => Verdict::Unverified(self.confirmed, refusal),
        }
    }

    /// What a comparison after a break says, where nothing but the break is known.
    pub(in super::super) fn holds(&self) -> Option<Holds> {
        let now = self.now.as_ref()?;
        Some(if *now == self.content {
            Holds::New
        } else if *now == self.before {
            Holds::Old
        } else {
            let new = now.iter().zip(&self.content).take_while(|(a, b)| a == b);
            Holds::Some(new.count())
        })
    }

    /// Whether nothing was given out that changes the card.
    pub(in super::super) fn untouched(&self) -> bool {
        !self.given_out
    }
}

/// What a file holds after a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Holds {
    /// What was sent.
    New,
    /// What was there.
    Old,
    /// So many bytes of what was sent, from the beginning.
    Some(usize),
}

impl Script for Write {
    fn next(&mut self) -> Option<Outgoing> {
        let quiet = |command| {
            Some(Outgoing {
                command,
                changes: false,
            })
        };
        loop {
            match &mut self.phase {
                Phase::Select => match self.select.next() {
                    Some(command) => return quiet(command),
                    None => self.phase = Phase::Before(self.range()),
                },
                Phase::Before(range) => {
                    if let Some(command) = range.next() {
                        return quiet(command);
                    }
                    // What was not read in extended form is not written in it. A short command
                    // reads 256 bytes and writes 255.
                    let in_short =
                        range.length() == Length::Short || self.content.len() <= MAX_SHORT as usize;
                    if self.reach == Reach::Extended && in_short {
                        self.reach = Reach::Short;
                    }
                    self.before = range.content().to_vec();
                    self.shortfall = range.shortfall();
                    self.phase = if self.before.len() < self.content.len() {
                        Phase::Ended
                    } else if self.content.is_empty() {
                        self.now = Some(Vec::new());
                        Phase::Ended
                    } else {
                        Phase::Update
                    };
                }
                Phase::Update => {
                    self.given_out = true;
                    return Some(Outgoing {
                        command: self.update(),
                        changes: true,
                    });
                }
                Phase::SelectAgain => match self.select.next() {
                    Some(command) => return quiet(command),
                    None => self.phase = Phase::After(self.range()),
                },
                Phase::After(range) => {
                    if let Some(command) = range.next() {
                        return quiet(command);
                    }
                    let whole = range.shortfall().is_none();
                    self.now = whole.then(|| range.content().to_vec());
                    self.phase = Phase::Ended;
                }
                Phase::Ended => return None,
            }
        }
    }

    fn received(&mut self, response: &Response) {
        let outcome = match &mut self.phase {
            Phase::Select | Phase::SelectAgain => self.select.received(response),
            Phase::Before(range) | Phase::After(range) => range.received(response),
            Phase::Update => {
                self.updated(response.status_word);
                Ok(())
            }
            Phase::Ended => Ok(()),
        };
        if let Err(refusal) = outcome {
            self.refusal.get_or_insert(refusal);
            self.phase = Phase::Ended;
        }
    }
}
