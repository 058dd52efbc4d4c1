//! What became of an interrupted command, decided from what was kept of it and from what the
//! terminal shows. Without I/O and without a clock: every case can be played through in a test.
//!
//! The rules (the acknowledgement of a 04 0F that was stored may or may not have arrived, and a
//! terminal may or may not reverse without it, so neither is ever concluded from the record alone):
//!
//! 1. Another terminal id than before: a person decides.
//! 2. The last entry is the one that was stored: booked. It takes that one back: not booked.
//! 3. The last entry is the one from before: not booked. The caller looks twice, at an idle terminal,
//!    and waits until it can book no more (docs/decisions/0014).
//!    A booking that was refused (another amount than asked) is told as what it is, where it stands.
//! 4. Nothing was stored. All that came since is one entry and its reversal, or a decline: not booked.
//! 5. Nothing was stored, and one fitting entry came: booked, if nobody else can have made it. A
//!    payment of the same amount, typed in at the terminal meanwhile, looks the same.
//! 6. Everything else: a person decides.
//!
//! Why so: docs/decisions/0009-what-became-of-a-payment.md.
//!
//! Source: PA00P015 chapters 2.2.8 and 4 (missing acknowledgement), 2.8 (06 20).

use super::evidence::Shown;

pub(super) mod closing;
pub(super) mod wording;

/// Receipt numbers begin anew after this one.
const LAST_RECEIPT: u16 = 9_999;
/// So do trace numbers of six digits.
const LAST_TRACE: u32 = 999_999;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// 06 01 or 06 31, over so much.
    Booking {
        /// Minor units.
        cents: Option<u64>,
    },
    /// 06 30 of this receipt.
    Reversal {
        /// Its number.
        receipt: Option<u16>,
        /// Its amount, where the caller said so.
        cents: Option<u64>,
    },
}

/// What was kept of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// What was asked.
    pub(super) asked: Asked,
    /// Of which terminal.
    pub(super) terminal: Option<String>,
    /// Its last entry before that, where it told.
    pub(super) before: Option<Shown>,
    /// The 04 0F that was stored; acknowledged or not.
    pub(super) told: Option<Shown>,
    /// The booking that was refused; the terminal may have kept it all the same.
    pub(super) refused: Option<Shown>,
}

/// What the terminal shows now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its identifier.
    pub(super) terminal: Option<String>,
    /// Its last entry, where it tells.
    pub(super) last: Option<Shown>,
    /// Nobody can have booked anything else since the command was sent.
    pub(super) alone: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is booked, and stands.
    Done,
    /// It is not, or no longer.
    NotDone(Proof),
    /// A person must look.
    Undecided(Doubt),
}

/// Why nothing is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The terminal is as it was before.
    Unchanged,
    /// It was booked and taken back.
    TakenBack,
    /// Card or bank said no, with this code.
    Declined(u8),
    /// The number that it would have taken belongs to something else.
    Overtaken,
}

/// Why it cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Another terminal stands there now.
    OtherTerminal,
    /// It does not tell of its last entry.
    NoRecord,
    /// It told before, and has nothing to tell any more: closed or initialised meanwhile.
    RecordsGone,
    /// It did not tell before, so that nothing can be compared.
    NoBaseline,
    /// There is an entry like it, which somebody else can have made.
    OneLikeIt,
    /// There are others, or one that does not fit.
    Others,
    /// The day had no turnover, so that an empty one says nothing.
    EmptyDay,
}

/// What became of a payment, a refund or a reversal.
pub(super) fn decide(record: &Record, seen: &Seen) -> Verdict {
    if is_another_terminal(record, seen) {
        return Verdict::Undecided(Doubt::OtherTerminal);
    }
    let Some(last) = &seen.last else {
        return Verdict::Undecided(match record.before {
            Some(_) => Doubt::RecordsGone,
            None => Doubt::NoRecord,
        });
    };
    let told = record.told.as_ref().filter(|told| told.is_positive());
    if let Some(told) = told {
        if told.is_same_entry(last) {
            return if last.is_positive() {
                Verdict::Done
            } else {
                Verdict::Undecided(Doubt::Others)
            };
        }
        if last.is_positive() && told.trace.is_some() && last.original_trace == told.trace {
            return Verdict::NotDone(Proof::TakenBack);
        }
    }
    let refused = record.refused.as_ref().filter(|entry| entry.is_positive());
    if let Some(refused) = refused.filter(|_| told.is_none() && last.is_positive()) {
        if refused.is_same_entry(last) {
            return Verdict::Done;
        }
        if refused.trace.is_some() && last.original_trace == refused.trace {
            return Verdict::NotDone(Proof::TakenBack);
        }
    }
    let Some(before) = &record.before else {
        return Verdict::Undecided(Doubt::NoBaseline);
    };
    if before.is_same_entry(last) {
        return Verdict::NotDone(Proof::Unchanged);
    }
    if told.is_some() {
        return Verdict::Undecided(Doubt::Others);
    }
    by_order(record.asked, before, last, seen.alone)
}

/// What the one last entry says of those since `before`, where no 04 0F was stored.
fn by_order(asked: Asked, before: &Shown, last: &Shown, alone: bool) -> Verdict {
    let traces = steps(before.trace, last.trace, LAST_TRACE);
    let receipts = steps(
        before.receipt.map(u32::from),
        last.receipt.map(u32::from),
        LAST_RECEIPT.into(),
    );
    // Every entry takes a trace number, every one that stands a receipt number.
    let is_next = traces == Some(1);
    let is_only_receipt = receipts == Some(1);
    if !last.is_positive() {
        return match last.result {
            Some(code) if is_next || is_only_receipt => Verdict::NotDone(Proof::Declined(code)),
            _ => Verdict::Undecided(Doubt::Others),
        };
    }
    if let (Some(_), Some(all)) = (last.original_trace, traces) {
        let original = steps(before.trace, last.original_trace, LAST_TRACE);
        let takes_back_a_new_one = original.is_some_and(|at| (1..all).contains(&at));
        if takes_back_a_new_one {
            // The two share a receipt number, or are all that happened.
            return if is_only_receipt || all == 2 || alone {
                Verdict::NotDone(Proof::TakenBack)
            } else {
                Verdict::Undecided(Doubt::Others)
            };
        }
        if matches!(asked, Asked::Booking { .. }) {
            return if is_next {
                Verdict::NotDone(Proof::Overtaken)
            } else {
                Verdict::Undecided(Doubt::Others)
            };
        }
    }
    fitting(asked, before, last, is_only_receipt, alone)
}

/// Whether the last entry is the one that was asked for.
fn fitting(
    asked: Asked,
    before: &Shown,
    last: &Shown,
    is_only_receipt: bool,
    alone: bool,
) -> Verdict {
    let cents = match asked {
        Asked::Booking { cents } | Asked::Reversal { cents, .. } => cents,
    };
    if cents.is_some() && last.cents != cents {
        return Verdict::Undecided(Doubt::Others);
    }
    if let Asked::Reversal {
        receipt: Some(asked),
        ..
    } = asked
        && let (Some(of_last), Some(trace)) = (before.receipt, before.trace)
        && let Some(original) = last.original_trace
    {
        match (asked == of_last, original == trace) {
            // What is reversed is reversed, whoever did it: it cannot happen twice.
            (true, true) => return Verdict::Done,
            // Another booking was taken back than the one that was asked for.
            (true, false) | (false, true) => return Verdict::Undecided(Doubt::Others),
            // Of two earlier ones the books show neither.
            (false, false) => {}
        }
    }
    if !is_only_receipt {
        return Verdict::Undecided(Doubt::Others);
    }
    if alone {
        Verdict::Done
    } else {
        Verdict::Undecided(Doubt::OneLikeIt)
    }
}

fn is_another_terminal(record: &Record, seen: &Seen) -> bool {
    let shown = [&record.before, &record.told, &seen.last];
    let shown = shown.into_iter().flatten().map(|shown| &shown.terminal);
    differ([&record.terminal, &seen.terminal].into_iter().chain(shown))
}

/// Whether two of the known ones are not the same.
fn differ<'a>(names: impl Iterator<Item = &'a Option<String>>) -> bool {
    let mut known = names.flatten();
    known
        .next()
        .is_some_and(|first| known.any(|other| other != first))
}

/// The receipt number after this one.
fn following(receipt: u16) -> u16 {
    receipt % LAST_RECEIPT + 1
}

/// From one number to a later one, on a circle of `1..=last`; 0 is the same number. Longer numbers
/// than the circle has are on none.
fn steps(from: Option<u32>, to: Option<u32>, last: u32) -> Option<u32> {
    let (from, to) = (from?, to?);
    Some(match to.checked_sub(from) {
        Some(ahead) => ahead,
        None if from <= last => last - from + to,
        None => return None,
    })
}

impl Shown {
    /// Money moved.
    pub(super) fn is_positive(&self) -> bool {
        self.result == Some(0)
    }

    /// Whether both are the same entry: the same trace number or, without one, the same receipt
    /// number at the same time; and nothing that both tell differs.
    pub(super) fn is_same_entry(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            one.zip(other).is_none_or(|(one, other)| one == other)
        }
        let both = |known: fn(&Self) -> bool| known(self) && known(other);
        let identified = both(|it| it.trace.is_some())
            || both(|it| it.receipt.is_some() && it.time.is_some() && it.date.is_some());
        identified
            && agree(self.trace.as_ref(), other.trace.as_ref())
            && agree(self.receipt.as_ref(), other.receipt.as_ref())
            && agree(self.time.as_ref(), other.time.as_ref())
            && agree(self.date.as_ref(), other.date.as_ref())
            && agree(self.cents.as_ref(), other.cents.as_ref())
            && agree(self.terminal.as_ref(), other.terminal.as_ref())
            && agree(self.result.as_ref(), other.result.as_ref())
            && self.original_trace == other.original_trace
    }
}

#[cfg(test)]
mod tests;
