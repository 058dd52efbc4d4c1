//! The transitions of a call in the journal, as places at which a test can have the process die.

use koffer_drivers::fail_point;

/// What an entry says of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// It was accepted.
    Accepted,
    /// Its driver is about to touch the device.
    Armed,
    /// Its effect may begin.
    Started,
    /// Something was reached.
    Milestone,
    /// It ended.
    Finished,
    /// A person said what became of it.
    Resolved,
}

impl Transition {
    /// Every transition, in the order of a call's life.
    pub const ALL: [Self; 6] = [
        Self::Accepted,
        Self::Armed,
        Self::Started,
        Self::Milestone,
        Self::Finished,
        Self::Resolved,
    ];

    /// The transaction with it is written and not committed.
    pub(super) fn uncommitted(self) {
        match self {
            Self::Accepted => fail_point::reach("journal.accepted-uncommitted"),
            Self::Armed => fail_point::reach("journal.armed-uncommitted"),
            Self::Started => fail_point::reach("journal.started-uncommitted"),
            Self::Milestone => fail_point::reach("journal.milestone-uncommitted"),
            Self::Finished => fail_point::reach("journal.finished-uncommitted"),
            Self::Resolved => fail_point::reach("journal.resolved-uncommitted"),
        }
    }

    /// The transaction with it is committed and nobody was told.
    pub(super) fn committed(self) {
        match self {
            Self::Accepted => fail_point::reach("journal.accepted-committed"),
            Self::Armed => fail_point::reach("journal.armed-committed"),
            Self::Started => fail_point::reach("journal.started-committed"),
            Self::Milestone => fail_point::reach("journal.milestone-committed"),
            Self::Finished => fail_point::reach("journal.finished-committed"),
            Self::Resolved => fail_point::reach("journal.resolved-committed"),
        }
    }
}
