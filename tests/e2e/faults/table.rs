//! The rows of the table, and the judgement of one call.

use koffer_fixtures::zvt::{Direction, How, Wrong};
use koffer_tests::fault_table::{Ending, Part, Row, Table};

use super::case::{Case, Observed, Operation, Transport};

/// The part of the page.
pub(crate) const PART: Part = Part {
    name: "payment",
    title: "Payment terminals",
    about: "By `--test e2e faults`, against a simulated terminal; each effect was compared with the \
            terminal's own ledger. What the terminal's own records could not tell was \
            `outcome-unknown` until a technician had looked at it (`gateway/resolve`).",
    operations: &[
        Operation::Pay.name(),
        Operation::Reverse.name(),
        Operation::EndOfDay.name(),
    ],
    test: "e2e faults",
};

/// The row of cuts.
pub(crate) fn cut(direction: Direction, how: How) -> &'static str {
    match (direction, how) {
        (Direction::Sent, How::Reset) => "reset, every 16th byte from the terminal",
        (Direction::Received, How::Reset) => "reset, every 16th byte to the terminal",
        (Direction::Sent, _) => "cut at every byte from the terminal",
        (Direction::Received, _) => "cut at every byte to the terminal",
    }
}

/// The row of a wrong answer.
pub(crate) fn wrong(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Amount => "result with another amount",
        Wrong::TerminalId => "result of another terminal",
        Wrong::NoResult => "result without a result code",
        Wrong::UnknownField => "result with an unknown field",
        _ => "another message",
    }
}

/// Notes a call with what its effect is in the ledger.
pub(crate) fn note(table: &mut Table, case: &Case, observed: &Observed) {
    let row = Row {
        operation: case.operation.name(),
        line: match case.transport {
            Transport::Tcp => "TCP",
            Transport::Serial => "serial",
        },
        fault: case.what,
    };
    let Ending { status, effect } = &observed.ending;
    let agrees = match effect.as_str() {
        "none" => observed.stands == 0,
        "done" => observed.stands == 1,
        "unknown" => observed.stands <= 1 && status == "outcome-unknown",
        _ => false,
    };
    let verdict = if agrees && observed.happened {
        Ok(())
    } else {
        Err(format!("{case:?}: {observed:?}"))
    };
    table.note(row, observed.ending.clone(), verdict);
}
