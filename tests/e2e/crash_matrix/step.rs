//! The steps at which the gateway is killed, and which operation passes which.

use std::{collections::BTreeSet, fmt};

use koffer_drivers::fail_point;

use super::operation::Operation;

/// A place that a life of the gateway passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// One of `fail_point::all`.
    pub(crate) name: &'static str,
    /// The how-manieth time in this life.
    pub(crate) nth: usize,
}

/// The steps of a trace, a line each.
pub(crate) fn steps_in(trace: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in trace.lines() {
        let name = fail_point::all().find(|name| *name == line);
        let name = name.unwrap_or_else(|| panic!("{line} is no fail point"));
        let before = steps.iter().filter(|step| step.name == name).count();
        let nth = before + 1;
        steps.push(Step { name, nth });
    }
    steps
}

/// Splits the steps of a call at the first thing that its driver has put on record. What the driver
/// passed before goes behind the call's acceptance: which of both comes first is open.
pub(crate) fn in_order(passed: Vec<Step>) -> (Vec<Step>, Vec<Step>) {
    let armed = passed
        .iter()
        .position(|step| step.name == "journal.armed-uncommitted");
    let of_driver = |step: &&Step| !step.name.starts_with("journal.");
    let early: Vec<_> = passed[..armed.unwrap_or_default()]
        .iter()
        .filter(of_driver)
        .copied()
        .collect();
    let (accepted, rest): (Vec<_>, Vec<_>) = passed
        .into_iter()
        .filter(|step| !early.contains(step))
        .partition(|step| step.name.starts_with("journal.accepted"));
    ([accepted, early.clone(), rest].concat(), early)
}

impl Step {
    /// Whether it is meant by `name`, which is each time, or by `name #2`.
    pub(crate) fn is(self, listed: &str) -> bool {
        match listed.split_once(" #") {
            Some((name, nth)) => name == self.name && nth == self.nth.to_string(),
            None => listed == self.name,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)?;
        if self.nth > 1 {
            write!(f, " #{}", self.nth)?;
        }
        Ok(())
    }
}

/// Steps that operations do not pass, and why. Every other step of their driver and of the journal
/// they do pass, and are killed at.
pub(crate) const NOT_PASSED: &[(&[Operation], &[&str], &str)] = &[
    (
        &[
            Operation::Pay,
            Operation::PayMosquitto,
            Operation::PaySerial,
            Operation::PayFirst,
            Operation::PayKept,
            Operation::PayAlone,
            Operation::Reverse,
            Operation::Refund,
            Operation::EndOfDay,
            Operation::Print,
            Operation::Write,
            Operation::Transmit,
        ],
        &["journal.resolved-uncommitted", "journal.resolved-committed"],
        "what nobody is asked about nobody resolves; see `gateway/resolve`",
    ),
    (
        &[Operation::Resolve],
        &[
            "journal.accepted-uncommitted",
            "journal.accepted-committed",
            "journal.armed-uncommitted",
            "journal.armed-committed",
            "journal.started-uncommitted",
            "journal.started-committed",
            "journal.milestone-uncommitted",
            "journal.milestone-committed",
            "journal.finished-uncommitted",
            "journal.finished-committed",
        ],
        "it touches no device: the journal gets the person's word and nothing else",
    ),
    (
        &[Operation::PayFirst],
        &["zvt.books-read"],
        "a new terminal refuses to show what it does not have",
    ),
    (&[Operation::Reverse], &["zvt.card"], "no card is asked for"),
    (
        &[Operation::EndOfDay],
        &["zvt.host"],
        "the terminal says that it closes, not with whom it talks: the phase is the first of both",
    ),
    (
        &[Operation::Write],
        &[
            "pcsc.batch-armed",
            "pcsc.batch-started",
            "pcsc.apdu-answered",
            "pcsc.apdu-recorded",
        ],
        "it sends no batch of the caller's",
    ),
    (
        &[Operation::Transmit],
        &[
            "pcsc.write-armed",
            "pcsc.write-started",
            "pcsc.update-answered",
            "pcsc.update-recorded",
        ],
        "it writes no file by itself: its commands are the caller's",
    ),
];

/// Why this operation does not pass this step.
fn why_not(operation: Operation, step: &str) -> Option<&'static str> {
    let rules = NOT_PASSED.iter();
    let mut rules = rules
        .filter(|(operations, steps, _)| operations.contains(&operation) && steps.contains(&step));
    rules.next().map(|(_, _, why)| *why)
}

/// Holds what an operation passed against what it is said to pass.
pub(crate) fn agree(operation: Operation, passed: &[Step]) {
    let passed: BTreeSet<_> = passed.iter().map(|step| step.name).collect();
    let drivers = operation.drivers().iter();
    let expected: BTreeSet<_> = drivers
        .flat_map(|driver| fail_point::of(driver))
        .filter(|step| why_not(operation, step).is_none())
        .collect();
    let missing: Vec<_> = expected.difference(&passed).collect();
    let more: Vec<_> = passed.difference(&expected).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "{operation:?} does not pass {missing:?}, and passes {more:?}: see NOT_PASSED"
    );
}
