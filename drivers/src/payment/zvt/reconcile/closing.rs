//! What became of a closing of the business day.
//!
//! A closing is no entry that 06 20 repeats. What shows it is the lock that only a closing opens,
//! and the turnover since the last one (06 10).

use super::{Doubt, Proof, Verdict, differ};
use crate::payment::zvt::{codec::totals::Totals, evidence::Day};

/// What became of it, from the day before it was sent and the day now.
pub(in super::super) fn decide(before: &Day, now: &Day) -> Verdict {
    if differ([&before.terminal, &now.terminal].into_iter()) {
        return Verdict::Undecided(Doubt::OtherTerminal);
    }
    match (before.locked, now.locked) {
        (true, false) => return Verdict::Done,
        // It locks itself again after a while; that is not the same lock if something was booked.
        (true, true) if untouched(before, now) => {
            return Verdict::NotDone(Proof::Unchanged);
        }
        _ => {}
    }
    let (Some(had), Some(has)) = (before.turnover, now.turnover) else {
        return Verdict::Undecided(Doubt::NoRecord);
    };
    if is_empty(&had) {
        return Verdict::Undecided(Doubt::EmptyDay);
    }
    if had == has {
        return Verdict::NotDone(Proof::Unchanged);
    }
    // The same first receipt: the day goes on. After a closing some terminals count from 1 again.
    if had.first == has.first && had.first.value() > Some(1) {
        return Verdict::NotDone(Proof::Unchanged);
    }
    // A turnover also becomes empty by reversals; those are entries.
    let records_gone = before.last.is_some() && now.last.is_none();
    if is_empty(&has) && (records_gone || untouched(before, now)) {
        return Verdict::Done;
    }
    Verdict::Undecided(Doubt::Others)
}

/// No entry came since.
fn untouched(before: &Day, now: &Day) -> bool {
    match (&before.last, &now.last) {
        (Some(before), Some(now)) => before.is_same_entry(now),
        _ => false,
    }
}

fn is_empty(totals: &Totals) -> bool {
    totals.groups.iter().all(|(count, _)| *count == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::zvt::{
        codec::{amount::Amount, bcd::Bcd},
        evidence::Shown,
    };

    fn totals(count: u8) -> Option<Totals> {
        let mut groups = [(0, Amount::from_minor(0)?); 7];
        groups[0] = (count, Amount::from_minor(u64::from(count) * 1000)?);
        let number = |number| Bcd::from_value(number);
        Some(Totals {
            first: number(u64::from(count.min(1)))?,
            last: number(count.into())?,
            groups,
        })
    }

    fn from(first: u64, count: u8) -> Option<Totals> {
        Some(Totals {
            first: Bcd::from_value(first)?,
            ..totals(count)?
        })
    }

    fn entry(trace: u32) -> Shown {
        Shown {
            result: Some(0),
            trace: Some(trace),
            ..Shown::default()
        }
    }

    fn day(locked: bool, turnover: Option<Totals>, last: Option<Shown>) -> Day {
        Day {
            terminal: Some("68000123".to_owned()),
            locked,
            turnover,
            last,
        }
    }

    #[test]
    fn a_closing_shows_in_the_lock_and_in_the_turnover() {
        use Verdict::{Done, NotDone, Undecided};
        let unchanged = NotDone(Proof::Unchanged);
        let sold = || day(false, totals(2), Some(entry(7)));
        let cases = [
            (
                day(true, None, Some(entry(7))),
                day(false, None, Some(entry(7))),
                Done,
                "unlocked",
            ),
            (
                day(true, None, Some(entry(7))),
                day(true, None, Some(entry(7))),
                unchanged,
                "locked",
            ),
            (
                day(true, None, None),
                day(true, None, None),
                Undecided(Doubt::NoRecord),
                "mute",
            ),
            (
                sold(),
                day(false, totals(0), Some(entry(7))),
                Done,
                "emptied",
            ),
            (
                sold(),
                day(false, totals(0), None),
                Done,
                "emptied, with its records",
            ),
            (
                sold(),
                day(false, totals(0), Some(entry(8))),
                Undecided(Doubt::Others),
                "reversed?",
            ),
            (
                day(false, totals(2), None),
                day(false, totals(0), None),
                Undecided(Doubt::Others),
                "emptied by what nobody can see",
            ),
            (sold(), sold(), unchanged, "the same turnover"),
            (
                sold(),
                day(false, totals(3), Some(entry(8))),
                Undecided(Doubt::Others),
                "more, from receipt 1",
            ),
            (
                day(false, from(230, 1), Some(entry(7))),
                day(false, from(230, 2), Some(entry(8))),
                unchanged,
                "the same day goes on",
            ),
            (
                sold(),
                day(false, None, Some(entry(7))),
                Undecided(Doubt::NoRecord),
                "06 10 not known",
            ),
            (
                day(false, totals(0), Some(entry(7))),
                day(false, totals(0), Some(entry(7))),
                Undecided(Doubt::EmptyDay),
                "nothing to close",
            ),
            (
                sold(),
                Day {
                    terminal: Some("68000999".to_owned()),
                    ..sold()
                },
                Undecided(Doubt::OtherTerminal),
                "exchanged",
            ),
        ];
        for (before, now, verdict, case) in cases {
            assert_eq!(decide(&before, &now), verdict, "{case}");
        }
    }
}
