//! What cannot be known after a crash, and why. Everything else must be told.

use super::{operation::Operation, step::Step};

/// What a person must look at.
pub(crate) struct Unknowable {
    pub(crate) operations: &'static [Operation],
    /// Fail points, each time; with ` #2` the second time alone.
    pub(crate) steps: &'static [&'static str],
    /// Why nobody else can tell.
    pub(crate) why: &'static str,
}

/// All of it.
pub(crate) const UNKNOWABLE: &[Unknowable] = &[
    Unknowable {
        operations: &[Operation::PayFirst],
        steps: &[
            // In one commit with the start.
            "journal.armed-committed",
            "journal.started-committed",
            "zvt.started",
            "zvt.sent",
            "zvt.acked",
            "zvt.card",
            "zvt.host",
            "zvt.result-received",
            "journal.milestone-uncommitted",
        ],
        why: "ZVT has no word for \"no entry yet\": a new terminal refuses to tell of its last entry, so nothing from \
              before can be compared, and a refusal afterwards is no proof either (decision 0009)",
    },
    Unknowable {
        operations: &[Operation::PayKept, Operation::PayAlone],
        steps: &[
            "zvt.sent",
            "zvt.acked",
            "zvt.card",
            "zvt.host",
            "zvt.result-received",
            "journal.milestone-uncommitted",
        ],
        why: "the terminal shows one payment more, of this amount, and kofferd had not stored its 04 0F: the clerk can have \
              typed the same payment in at the terminal while the gateway was away (decision 0009)",
    },
    Unknowable {
        operations: &[Operation::Print],
        steps: &["ipp.answered", "journal.milestone-uncommitted #2"],
        why: "the printer calls the job completed, and calls jobs completed of which it got only a part; that it \
              confirmed the whole document was not stored",
    },
    Unknowable {
        operations: &[Operation::Transmit],
        steps: &[
            // In one commit with the start.
            "journal.armed-committed",
            "journal.started-committed",
            "pcsc.batch-started",
            "pcsc.apdu-answered",
            "journal.milestone-uncommitted",
            "journal.milestone-committed",
            "pcsc.apdu-recorded",
            "journal.finished-uncommitted",
        ],
        why: "the commands are between the caller and the card, mostly encrypted: the gateway cannot ask the card what \
              they did, and says how many are through for certain",
    },
];

/// Why the outcome cannot be known after a crash at this step.
pub(crate) fn why(operation: Operation, step: Step) -> Option<&'static str> {
    let mut all = UNKNOWABLE.iter();
    let found = all.find(|one| {
        one.operations.contains(&operation) && one.steps.iter().any(|listed| step.is(listed))
    });
    found.map(|one| one.why)
}
