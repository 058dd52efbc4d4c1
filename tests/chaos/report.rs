//! What a run found, for people and as its last line.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// What is compared, per device: cents of a terminal, sheets of a printer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// By its own books.
    pub(crate) device: i64,
    pub(crate) journal: i64,
    /// As clients were told.
    pub(crate) clients: i64,
}

/// The findings, and the figures.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Effects that happened more than once, and those that a client was told did not happen.
    pub(crate) doubles: usize,
    /// Effects, calls and orders that somebody does not know of any more.
    pub(crate) forgotten: usize,
    /// Calls that a person had to look after though the books could have told.
    pub(crate) unknown_but_knowable: usize,
    /// Orders that are done.
    pub(crate) payments: usize,
    pub(crate) prints: usize,
    /// Processes that were killed.
    pub(crate) kills: u32,
    /// Effects that a client or the journal says happened and that did not, sums that differ, and
    /// completions of one call that do.
    pub(crate) untrue: usize,
    /// Calls that a person looked after.
    pub(crate) unknown: usize,
    /// Answers that were given again in other words: the disk had no room for the first.
    pub(crate) reworded: usize,
    /// Call ids.
    pub(crate) calls: usize,
    pub(crate) delivered_late: u32,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    /// Each finding in words.
    #[serde(skip)]
    pub(crate) story: Vec<String>,
    #[serde(skip)]
    pub(crate) sums: BTreeMap<String, Sums>,
}

impl Sums {
    pub(crate) fn agree(self) -> bool {
        self.device == self.journal && self.device == self.clients
    }
}

impl Report {
    /// Whether all is as it has to be.
    pub(crate) fn is_clean(&self) -> bool {
        self.doubles + self.forgotten + self.unknown_but_knowable + self.untrue == 0
    }

    pub(crate) fn double(&mut self, what: &str) {
        self.doubles += 1;
        self.story.push(format!("double: {what}"));
    }

    pub(crate) fn forget(&mut self, what: &str) {
        self.forgotten += 1;
        self.story.push(format!("forgotten: {what}"));
    }

    pub(crate) fn know(&mut self, what: &str) {
        self.unknown_but_knowable += 1;
        self.story.push(format!("knowable: {what}"));
    }

    pub(crate) fn lie(&mut self, what: &str) {
        self.untrue += 1;
        self.story.push(format!("untrue: {what}"));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        let [device, journal, clients] = ["device", "journal", "clients"];
        writeln!(f, "{:<12}{device:>14}{journal:>14}{clients:>14}", "")?;
        for (name, sums) in &self.sums {
            let Sums {
                device,
                journal,
                clients,
            } = sums;
            writeln!(f, "{name:<12}{device:>14}{journal:>14}{clients:>14}")?;
        }
        Ok(())
    }
}
