//! What a write or a batch leaves in the call's record, and what a crash leaves of that.
//!
//! Nothing of a file's content: digests, each with the call's own salt before it, so that equal
//! contents do not show as equal and no table made beforehand fits. The salt stands beside them:
//! whoever may read the journal can still try what a short field could have held
//! (docs/known-gaps.md). PINs and what a batch carries are in no record in any form.

use std::fmt::Write as _;

use koffer_proto::Sha256;

use super::file::{Address, Holds, Span, Write};
use crate::{Evidence, Interrupted, NotStored, card::iso7816::file_path};

/// A write: the file was read, and nothing of the content is sent.
const FILE: &str = "file";
/// A write: the next piece is about to be sent.
const UPDATE: &str = "update";
/// A batch: nothing of it is sent.
const BATCH: &str = "batch";
/// A batch: the next command is about to be sent.
const APDU: &str = "apdu";

/// Facts that name something, the digests of content among them.
const IDS: [&str; 8] = [
    "salt",
    "card",
    "application",
    "path",
    "before",
    "after",
    "begins",
    "then",
];

/// What a card shows that no other card shows: its answer to reset with its serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(Vec<u8>);

impl Mark {
    /// From EF.GDO (ISO/IEC 7816-4, 8.2.2.1: the ICC serial number under tag 5A); `None` where
    /// what it holds is no number that a card has for itself.
    pub(super) fn new(atr: &[u8], gdo: &[u8]) -> Option<Self> {
        let (&[0x5A, length], rest) = gdo.split_first_chunk()? else {
            return None;
        };
        let serial = rest.get(..length.into())?;
        let first = serial.first()?;
        let blank = serial.len() < 4 || serial.iter().all(|byte| byte == first);
        (!blank).then(|| Self([atr, serial].concat()))
    }
}

/// What stands before everything that is digested.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Salt(Vec<u8>);

impl Salt {
    fn new() -> Result<Self, NotStored> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| {
            NotStored::new(
                format!("Der Kernel liefert keine Zufallszahlen: {error}"),
                format!("The kernel provides no random numbers: {error}"),
            )
        })?;
        Ok(Self(salt.to_vec()))
    }

    fn digest(&self, content: &[u8]) -> String {
        Sha256::of(&[&self.0, content].concat()).to_string()
    }
}

/// What a write tells its record.
#[derive(Debug)]
pub(super) struct Traces {
    salt: Salt,
    card: Option<String>,
    application: Option<String>,
    path: String,
    offset: u16,
}

impl Traces {
    pub(super) fn new(
        address: &Address,
        offset: u16,
        mark: Option<&Mark>,
    ) -> Result<Self, NotStored> {
        let salt = Salt::new()?;
        let path: Vec<_> = address
            .path
            .iter()
            .map(|id| format!("{:04x}", id.0))
            .collect();
        Ok(Self {
            card: mark.map(|mark| salt.digest(&mark.0)),
            salt,
            application: address.application.as_deref().map(hex),
            path: path.join("/"),
            offset,
        })
    }

    /// Before the first piece is sent.
    pub(super) fn file(&self, write: &Write) -> Evidence {
        let salt = &self.salt;
        let facts = [
            ("salt", Some(hex(&salt.0))),
            ("card", self.card.clone()),
            ("application", self.application.clone()),
            ("path", Some(self.path.clone())),
            ("offset", Some(self.offset.to_string())),
            ("length", Some(write.content().len().to_string())),
            ("before", Some(salt.digest(write.before()))),
            ("after", Some(salt.digest(write.content()))),
        ];
        let facts = facts.into_iter();
        let facts = facts.filter_map(|(name, value)| Some((name, value?)));
        Evidence::new(FILE, facts.chain(self.piece(write))).identified_by(&IDS)
    }

    /// Before any other piece is sent.
    pub(super) fn update(&self, write: &Write) -> Evidence {
        Evidence::new(UPDATE, self.piece(write)).identified_by(&IDS)
    }

    /// How far it is, and what the file will hold when the next piece is written.
    fn piece(&self, write: &Write) -> [(&'static str, String); 4] {
        let confirmed = write.confirmed();
        let next = confirmed + write.chunk().len();
        let mixed = [&write.content()[..next], &write.before()[next..]].concat();
        [
            ("bytes", confirmed.to_string()),
            ("bytes_then", next.to_string()),
            ("begins", self.salt.digest(&write.content()[..confirmed])),
            ("then", self.salt.digest(&mixed)),
        ]
    }
}

/// What a record holds of an interrupted write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptWrite {
    pub(super) address: Address,
    pub(super) span: Span,
    /// As it stands in the call.
    pub(super) path: String,
    salt: Salt,
    card: Option<String>,
    before: String,
    after: String,
    last: Piece,
}

/// The piece that was about to be sent last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    confirmed: usize,
    confirmed_then: usize,
    begins: String,
    then: String,
}

impl KeptWrite {
    /// Reads a record; `None` where it is not one of a write.
    pub(super) fn read(interrupted: &Interrupted) -> Option<Self> {
        let file = interrupted.baseline.as_ref()?;
        let application = match file.fact("application") {
            Some(aid) => Some(bytes(aid)?),
            None => None,
        };
        let path = file.fact("path")?.to_owned();
        let milestones = interrupted.milestones.iter().rev();
        let last = milestones.chain([file]).find_map(|evidence| {
            Some(Piece {
                confirmed: evidence.fact("bytes")?.parse().ok()?,
                confirmed_then: evidence.fact("bytes_then")?.parse().ok()?,
                begins: evidence.fact("begins")?.to_owned(),
                then: evidence.fact("then")?.to_owned(),
            })
        });
        (file.step == FILE).then_some(())?;
        Some(Self {
            address: Address {
                application,
                path: file_path(&path).ok()?,
            },
            span: Span {
                offset: file.fact("offset")?.parse().ok()?,
                length: Some(file.fact("length")?.parse().ok()?),
            },
            path,
            salt: Salt(bytes(file.fact("salt")?)?),
            card: file.fact("card").map(str::to_owned),
            before: file.fact("before")?.to_owned(),
            after: file.fact("after")?.to_owned(),
            last: last?,
        })
    }

    /// Whether the card with this mark is the one that was written; `None`: nobody can tell.
    pub(super) fn is_of(&self, mark: Option<&Mark>) -> Option<bool> {
        let kept = self.card.as_ref()?;
        // A card that shows a serial number shows it always.
        Some(mark.is_some_and(|mark| self.salt.digest(&mark.0) == *kept))
    }

    /// What the region holds now, where that can be proved.
    pub(super) fn holds(&self, region: &[u8]) -> Option<Holds> {
        if Some(region.len()) != self.span.length.and_then(|length| length.try_into().ok()) {
            return None;
        }
        let now = self.salt.digest(region);
        if now == self.after {
            return Some(Holds::New);
        }
        let Piece { confirmed, .. } = self.last;
        let begins = region.get(..confirmed)?;
        if self.salt.digest(begins) != self.last.begins {
            // What the card confirmed is not there: what else there is proves nothing.
            return None;
        }
        if now == self.before {
            Some(Holds::Old)
        } else if now == self.last.then {
            Some(Holds::Some(self.last.confirmed_then))
        } else {
            (confirmed > 0).then_some(Holds::Some(confirmed))
        }
    }
}

/// Before the first command of a batch is sent: how many there are, and what comes first.
pub(super) fn batch(total: usize, next: Option<[u8; 2]>) -> Evidence {
    counted(BATCH, "apdus", total, next)
}

/// Before any other command is sent: how many are through, and what comes next. Its class and
/// instruction, nothing of what it carries.
pub(super) fn apdu(through: usize, next: Option<[u8; 2]>) -> Evidence {
    counted(APDU, "completed", through, next)
}

fn counted(
    step: &'static str,
    fact: &'static str,
    count: usize,
    next: Option<[u8; 2]>,
) -> Evidence {
    let next = next.map(|header| ("next", hex(&header)));
    Evidence::new(step, [(fact, count.to_string())].into_iter().chain(next))
}

/// What a record holds of an interrupted batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptBatch {
    /// How many commands there were.
    pub(super) total: usize,
    /// How many have their answer.
    pub(super) through: usize,
    /// Class and instruction of the one that may have been sent.
    pub(super) next: Option<String>,
}

impl KeptBatch {
    /// Reads a record; `None` where it is not one of a batch.
    pub(super) fn read(interrupted: &Interrupted) -> Option<Self> {
        let batch = interrupted.baseline.as_ref()?;
        let last = interrupted.milestones.last();
        let through = match last {
            Some(apdu) => apdu.fact("completed")?.parse().ok()?,
            None => 0,
        };
        (batch.step == BATCH).then_some(())?;
        Some(Self {
            total: batch.fact("apdus")?.parse().ok()?,
            through,
            next: last.unwrap_or(batch).fact("next").map(str::to_owned),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            u8::try_from(digit(high)? << 4 | digit(low)?).ok()
        }
        _ => None,
    });
    digits.collect()
}

#[cfg(test)]
mod tests;
