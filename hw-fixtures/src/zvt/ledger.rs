//! What the terminal did with money, on disk: the truth that tests compare completions with.
//!
//! One JSON object a line, appended and synced before the ECR is told. A last line without its end
//! was being written when the process was killed; nobody was told of it, so it does not count.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The terminal was switched on.
    Started,
    /// Money moved to the authority: a payment, or the booking of a pre-authorisation.
    Booked,
    /// The ECR acknowledged the result of the entry with the same trace.
    Acknowledged,
    /// A booking was taken back by 06 30.
    Reversed,
    /// A booking, refund or reservation was taken back because its result was not acknowledged.
    AutoReversed,
    /// Money moved to the cardholder.
    Refunded,
    /// Card or bank said no.
    Declined,
    /// Cancelled by key, command or time.
    Cancelled,
    /// A pre-authorisation: nothing moved yet.
    Reserved,
    /// All or a part of a pre-authorisation was given free.
    Released,
    /// End of day: the sum of the period.
    Closed,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    /// Minor units; signed only for `closed`.
    pub cents: i64,
    /// Receipt number, 0 if none was given.
    pub receipt: u16,
    /// Trace number, 0 if none was given.
    pub trace: u32,
    /// Of the entry that this one takes back, books or releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_trace: Option<u32>,
    /// BMP 27 of a decline or cancellation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<u8>,
    /// Name of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Number of the card in the ZVT card table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_kind: Option<u8>,
    /// Masked number of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pan: Option<String>,
    /// Done at the terminal's own keys, not by the ECR.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
}

/// Why a ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file.
    #[error("ledger {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A whole line that is no entry.
    #[error("ledger {path}, line {line}: {source}; take another path or remove the file")]
    Line {
        /// Which.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A ledger as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// Reads the file; a missing one is an empty ledger. Blocks.
    pub fn read(path: &Path) -> Result<Self, LedgerError> {
        Self::parse(path).map(|(ledger, _)| ledger)
    }

    /// From the answer to the verb `ledger`.
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// All entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of one kind.
    pub fn list(&self, event: Event) -> Vec<&Entry> {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.event == event).collect()
    }

    /// Minor units that the authority has: booked less reversed and refunded.
    pub fn sum(&self) -> i64 {
        self.entries.iter().map(|entry| self.moved(entry)).sum()
    }

    /// What is left of the booking, refund or reservation with this trace; `None` if there is none.
    pub fn standing(&self, trace: u32) -> Option<i64> {
        let original = self.entries.iter().find(|entry| {
            entry.trace == trace
                && matches!(
                    entry.event,
                    Event::Booked | Event::Refunded | Event::Reserved
                )
        })?;
        let back = self.entries.iter().filter(|entry| {
            entry.original_trace == Some(trace)
                && matches!(
                    entry.event,
                    Event::Reversed | Event::AutoReversed | Event::Released
                )
        });
        Some(original.cents - back.map(|entry| entry.cents).sum::<i64>())
    }

    /// The money that one entry moved.
    fn moved(&self, entry: &Entry) -> i64 {
        match entry.event {
            Event::Booked => entry.cents,
            Event::Refunded | Event::Reversed => -entry.cents,
            Event::AutoReversed => {
                let original = self.entries.iter().find(|other| {
                    Some(other.trace) == entry.original_trace
                        && matches!(
                            other.event,
                            Event::Booked | Event::Refunded | Event::Reversed | Event::Reserved
                        )
                });
                original.map_or(0, |original| -self.moved(original))
            }
            _ => 0,
        }
    }

    /// The whole lines, and how many bytes they take.
    fn parse(path: &Path) -> Result<(Self, u64), LedgerError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(file_error(path, source)),
        };
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let mut entries = Vec::new();
        let lines = bytes.get(..whole).unwrap_or_default();
        for (at, line) in lines.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let entry = serde_json::from_slice(line).map_err(|source| LedgerError::Line {
                path: path.to_owned(),
                line: at + 1,
                source,
            })?;
            entries.push(entry);
        }
        Ok((Self { entries }, u64::try_from(whole).unwrap_or(u64::MAX)))
    }
}

fn file_error(path: &Path, source: io::Error) -> LedgerError {
    LedgerError::File {
        path: path.to_owned(),
        source,
    }
}

/// A ledger that is being written.
#[derive(Debug)]
pub(super) struct OpenLedger {
    path: PathBuf,
    file: File,
    ledger: Ledger,
}

impl OpenLedger {
    /// Opens or creates the file and cuts off an unfinished last line. Blocks.
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        let (ledger, whole) = Ledger::parse(path)?;
        let open = || {
            let mut file = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(path)?;
            file.set_len(whole)?;
            file.seek(SeekFrom::End(0))?;
            // Held to be writable only by one: the second writer would reuse receipt numbers.
            file.try_lock()
                .map_err(|_| io::Error::other("is in use by another simulator"))?;
            Ok(file)
        };
        Ok(Self {
            file: open().map_err(|source| file_error(path, source))?,
            path: path.to_owned(),
            ledger,
        })
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Writes and syncs one entry. Blocks.
    pub(super) fn append(&mut self, mut entry: Entry) -> Result<(), LedgerError> {
        entry.seq = self.ledger.entries.last().map_or(0, |last| last.seq) + 1;
        let write = |file: &mut File| {
            let mut line = serde_json::to_vec(&entry)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(|source| file_error(&self.path, source))?;
        self.ledger.entries.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: Event, cents: i64, trace: u32, original_trace: Option<u32>) -> Entry {
        Entry {
            seq: 0,
            at: Timestamp::UNIX_EPOCH,
            event,
            cents,
            receipt: 7,
            trace,
            original_trace,
            result: None,
            card: None,
            card_kind: None,
            pan: None,
            by_hand: false,
        }
    }

    #[test]
    fn a_line_torn_by_a_kill_does_not_count_and_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let mut open = OpenLedger::open(&path).unwrap();
        open.append(entry(Event::Booked, 100, 1, None)).unwrap();
        drop(open);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"seq\":2,\"at\"")).unwrap();
        assert_eq!(Ledger::read(&path).unwrap().sum(), 100);
        let mut open = OpenLedger::open(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        open.append(entry(Event::Booked, 11, 2, None)).unwrap();
        let ledger = Ledger::read(&path).unwrap();
        assert_eq!((ledger.sum(), ledger.entries()[1].seq), (111, 2));
    }

    #[test]
    fn the_sum_is_what_was_booked_and_not_taken_back() {
        let ledger = Ledger::from_entries(vec![
            entry(Event::Booked, 1000, 1, None),
            entry(Event::Booked, 500, 2, None),
            entry(Event::AutoReversed, 500, 3, Some(2)),
            entry(Event::Reversed, 1000, 4, Some(1)),
            entry(Event::AutoReversed, 1000, 5, Some(4)),
            entry(Event::Refunded, 30, 6, None),
            entry(Event::Reserved, 9000, 7, None),
            entry(Event::Released, 8000, 8, Some(7)),
            entry(Event::Booked, 1000, 8, Some(7)),
            entry(Event::Declined, 77, 9, None),
        ]);
        assert_eq!(ledger.sum(), 1000 - 30 + 1000);
        assert_eq!(ledger.standing(2), Some(0));
        assert_eq!(ledger.standing(9), None);
        assert_eq!(ledger.list(Event::AutoReversed).len(), 2);
    }

    #[test]
    fn two_simulators_do_not_share_a_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let _first = OpenLedger::open(&path).unwrap();
        let error = OpenLedger::open(&path).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
    }
}
