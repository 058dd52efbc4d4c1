//! What of a booking outlives a crash: the steps that are kept, and the names of their facts.
//!
//! Written and read here only, so that what a later version reads is what an earlier one wrote.
//! Numbers, amounts and times; nothing of the card.

use std::{
    borrow::Cow,
    collections::{BTreeMap, hash_map::RandomState},
    hash::{BuildHasher, Hasher},
    sync::LazyLock,
    time::{Duration, Instant},
};

use super::{
    booking,
    codec::{
        amount::Amount,
        apdu::Control,
        bcd::Bcd,
        command::control,
        fields::Fields,
        totals::{CARD_GROUPS, Totals},
    },
};
use crate::Evidence;

/// What the terminal showed before it was touched.
pub const BASELINE: &str = "baseline";
/// A 04 0F, stored before it was acknowledged.
pub const STATUS_INFORMATION: &str = "status-information";
/// Contact was lost, and the outcome with it.
pub const LOST: &str = "lost";

/// Why the outcome was lost: messages that contradict each other, up to their proper end.
pub(super) const CONTRADICTION: &str = "contradiction";
/// The same: an end without a reason.
pub(super) const UNEXPLAINED: &str = "aborted-without-reason";

/// The steps of a call that are kept, in order.
pub const STEPS: [&str; 3] = [BASELINE, STATUS_INFORMATION, LOST];

/// Before the facts of the terminal's last entry in a baseline.
const LAST: &str = "last-";
/// Before the facts of a booking that was refused, and of which the terminal was told so.
const REFUSED: &str = "refused-";
/// Before the facts of the day's turnover in a baseline.
const TURNOVER: &str = "turnover-";
/// When somebody last looked.
const MARK: &str = "mark";

type Facts = BTreeMap<Cow<'static, str>, String>;

/// One entry of the terminal's books, as its 04 0F shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shown {
    /// BMP 27.
    pub(super) result: Option<u8>,
    /// BMP 29.
    pub(super) terminal: Option<String>,
    /// BMP 87.
    pub(super) receipt: Option<u16>,
    /// BMP 0B.
    pub(super) trace: Option<u32>,
    /// BMP 37: the entry that this one takes back.
    pub(super) original_trace: Option<u32>,
    /// BMP 04.
    pub(super) cents: Option<u64>,
    /// BMP 0D, MMDD.
    pub(super) date: Option<String>,
    /// BMP 0C, HHMMSS.
    pub(super) time: Option<String>,
}

/// The terminal and its business day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Day {
    /// Its identifier.
    pub(super) terminal: Option<String>,
    /// Sales are locked until the day is closed.
    pub(super) locked: bool,
    /// What is booked since the last closing, where it tells.
    pub(super) turnover: Option<Totals>,
    /// Its last entry, where it tells.
    pub(super) last: Option<Shown>,
}

impl Shown {
    pub(super) fn of(fields: &Fields) -> Self {
        // A terminal that has no number sends none, or zeros.
        let original = fields.original_trace().and_then(Bcd::value);
        Self {
            result: fields.result(),
            terminal: fields.terminal_id().map(|id| id.to_string()),
            receipt: booking::receipt_number(fields).filter(|number| *number > 0),
            trace: booking::trace(fields).filter(|number| *number > 0),
            original_trace: original
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| *number > 0),
            cents: fields.amount().map(Amount::minor),
            date: fields.date().map(|date| date.to_string()),
            time: fields.time().map(|time| time.to_string()),
        }
    }

    fn write(&self, prefix: &str, facts: &mut Facts) {
        let known = [
            ("result", self.result.map(|code| format!("{code:02x}"))),
            ("terminal", self.terminal.clone()),
            ("receipt", self.receipt.map(|number| number.to_string())),
            ("trace", self.trace.map(|number| number.to_string())),
            (
                "original-trace",
                self.original_trace.map(|number| number.to_string()),
            ),
            ("cents", self.cents.map(|cents| cents.to_string())),
            ("date", self.date.clone()),
            ("time", self.time.clone()),
        ];
        for (name, value) in known {
            facts.extend(value.map(|value| (format!("{prefix}{name}").into(), value)));
        }
    }

    /// `None` where nothing is known of one.
    fn read(evidence: &Evidence, prefix: &str) -> Option<Self> {
        let fact = |name: &str| evidence.fact(&format!("{prefix}{name}"));
        let shown = Self {
            result: fact("result").and_then(|code| u8::from_str_radix(code, 16).ok()),
            terminal: fact("terminal").map(str::to_owned),
            receipt: fact("receipt").and_then(|number| number.parse().ok()),
            trace: fact("trace").and_then(|number| number.parse().ok()),
            original_trace: fact("original-trace").and_then(|number| number.parse().ok()),
            cents: fact("cents").and_then(|cents| cents.parse().ok()),
            date: fact("date").map(str::to_owned),
            time: fact("time").map(str::to_owned),
        };
        (shown != Self::default()).then_some(shown)
    }
}

/// What must not happen twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 06 01.
    Payment,
    /// 06 30.
    Reversal,
    /// 06 31.
    Refund,
    /// 06 50.
    Closing,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Payment, Self::Reversal, Self::Refund, Self::Closing];

    fn control(self) -> Control {
        match self {
            Self::Payment => control::AUTHORISATION,
            Self::Reversal => control::REVERSAL,
            Self::Refund => control::REFUND,
            Self::Closing => control::END_OF_DAY,
        }
    }

    fn named(command: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.control().to_string() == command)
    }
}

/// What was asked of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    /// Which command.
    pub(super) kind: Kind,
    /// The amount, where the caller said so.
    pub(super) cents: Option<u64>,
    /// The receipt that is to be reversed.
    pub(super) reverses: Option<u16>,
}

/// What the terminal showed before it was touched, and what was then asked of it.
pub(super) fn baseline(order: &Order, day: &Day) -> Evidence {
    let mut evidence = Evidence::new(BASELINE, [("command", order.kind.control().to_string())]);
    let facts = &mut evidence.facts;
    let mut note = |name: &'static str, value: Option<String>| {
        facts.extend(value.map(|value| (name.into(), value)));
    };
    note("cents", order.cents.map(|cents| cents.to_string()));
    note(
        "reverses",
        order.reverses.map(|receipt| receipt.to_string()),
    );
    note("terminal", day.terminal.clone());
    note("locked", day.locked.then(|| "yes".to_owned()));
    note(MARK, Some(mark()));
    if let Some(last) = &day.last {
        last.write(LAST, facts);
    }
    if let Some(totals) = &day.turnover {
        write_totals(totals, facts);
    }
    evidence
}

/// Reads a [`baseline`] again; `None` if it is of no command that this driver knows.
pub(super) fn read_baseline(evidence: &Evidence) -> Option<(Order, Day)> {
    let number = |name: &str| evidence.fact(name).and_then(|number| number.parse().ok());
    let order = Order {
        kind: evidence.fact("command").and_then(Kind::named)?,
        cents: number("cents"),
        reverses: number("reverses").and_then(|number| u16::try_from(number).ok()),
    };
    let day = Day {
        terminal: evidence.fact("terminal").map(str::to_owned),
        locked: evidence.fact("locked").is_some(),
        turnover: read_totals(evidence),
        last: Shown::read(evidence, LAST),
    };
    Some((order, day))
}

/// A 04 0F.
pub(super) fn status_information(fields: &Fields) -> Evidence {
    let mut evidence = Evidence::new(STATUS_INFORMATION, []);
    Shown::of(fields).write("", &mut evidence.facts);
    evidence
}

/// The last 04 0F of a call, if one was stored.
pub(super) fn read_status_information(milestones: &[Evidence]) -> Option<Shown> {
    let mut latest = milestones.iter().rev();
    let found = latest.find(|evidence| evidence.step == STATUS_INFORMATION)?;
    Shown::read(found, "")
}

/// Contact was lost; `why` is the keyword of the loss, `refused` a booking that was not acknowledged.
pub(super) fn lost(why: &'static str, refused: Option<&Fields>) -> Evidence {
    let mut evidence = Evidence::new(LOST, [("why", why.to_owned()), (MARK, mark())]);
    if let Some(fields) = refused {
        Shown::of(fields).write(REFUSED, &mut evidence.facts);
    }
    evidence
}

/// The booking that was refused, if one was.
pub(super) fn read_refused(milestones: &[Evidence]) -> Option<Shown> {
    let mut latest = milestones.iter().rev();
    let lost = latest.find(|evidence| evidence.step == LOST)?;
    Shown::read(lost, REFUSED)
}

/// Whether the terminal itself ended the exchange: then nothing is under way any more, whatever
/// became of it.
pub(super) fn ended_by_terminal(milestones: &[Evidence]) -> bool {
    let mut latest = milestones.iter().rev();
    let lost = latest.find(|evidence| evidence.step == LOST);
    lost.and_then(|evidence| evidence.fact("why"))
        .is_some_and(|why| matches!(why, CONTRADICTION | UNEXPLAINED))
}

/// How long ago the call was last known to have the terminal for itself. `None` where that was
/// in another life of the process: its clock may have been set since.
pub(super) fn unattended(baseline: &Evidence, milestones: &[Evidence]) -> Option<Duration> {
    let mut marks = milestones.iter().rev().chain([baseline]);
    let latest = marks.find_map(|evidence| evidence.fact(MARK))?;
    since(latest, Instant::now())
}

/// This life of the process, and when it began to count.
static LIFE: LazyLock<(u64, Instant)> =
    LazyLock::new(|| (RandomState::new().build_hasher().finish(), Instant::now()));

/// Now, readable by this life of the process alone.
fn mark() -> String {
    let (life, began) = *LIFE;
    format!("{}+{}", shown(life), began.elapsed().as_millis())
}

/// A life in text that is never taken for a card number.
fn shown(life: u64) -> String {
    let (high, low) = (life >> 32, life & 0xFFFF_FFFF);
    format!("{high:08x}/{low:08x}")
}

fn since(mark: &str, now: Instant) -> Option<Duration> {
    let (life, began) = *LIFE;
    let (whose, millis) = mark.split_once('+')?;
    let ours = whose == shown(life);
    let then = Duration::from_millis(millis.parse().ok().filter(|_| ours)?);
    now.checked_duration_since(began)?.checked_sub(then)
}

fn write_totals(totals: &Totals, facts: &mut Facts) {
    let mut note =
        |name: &str, value: String| facts.insert(format!("{TURNOVER}{name}").into(), value);
    note("first", totals.first.to_string());
    note("last", totals.last.to_string());
    for (card, (count, cents)) in CARD_GROUPS.iter().zip(totals.groups) {
        note(card, format!("{count} * {}", cents.minor()));
    }
}

fn read_totals(evidence: &Evidence) -> Option<Totals> {
    let fact = |name: &str| evidence.fact(&format!("{TURNOVER}{name}"));
    let number = |name| Bcd::from_value(fact(name)?.parse().ok()?);
    let mut groups = [(0, Amount::from_minor(0)?); 7];
    for (card, group) in CARD_GROUPS.iter().zip(&mut groups) {
        let (count, cents) = fact(card)?.split_once(" * ")?;
        *group = (
            count.parse().ok()?,
            Amount::from_minor(cents.parse().ok()?)?,
        );
    }
    Some(Totals {
        first: number("first")?,
        last: number("last")?,
        groups,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        Shown {
            result: Some(0),
            terminal: Some("68000123".to_owned()),
            receipt: Some(9999),
            trace: Some(1_234_567),
            original_trace: None,
            cents: Some(3780),
            date: Some("1122".to_owned()),
            time: Some("154501".to_owned()),
        }
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        let mut groups = [(0, Amount::from_minor(0).unwrap()); 7];
        groups[3] = (2, Amount::from_minor(7560).unwrap());
        let totals = Totals {
            first: Bcd::from_value(7).unwrap(),
            last: Bcd::from_value(9999).unwrap(),
            groups,
        };
        let order = Order {
            kind: Kind::Reversal,
            cents: Some(3780),
            reverses: Some(231),
        };
        let full = Day {
            terminal: Some("68000123".to_owned()),
            locked: true,
            turnover: Some(totals),
            last: Some(shown()),
        };
        for day in [full, Day::default()] {
            let evidence = baseline(&order, &day);
            assert_eq!(evidence.step, BASELINE);
            assert_eq!(read_baseline(&evidence), Some((order, day)));
        }
        let foreign = Evidence::new(BASELINE, [("command", "06 22".to_owned())]);
        assert_eq!(read_baseline(&foreign), None);
    }

    #[test]
    fn the_last_stored_04_0f_counts() {
        let of = |trace| {
            let mut evidence = Evidence::new(STATUS_INFORMATION, []);
            let told = Shown {
                trace: Some(trace),
                ..shown()
            };
            told.write("", &mut evidence.facts);
            evidence
        };
        let milestones = [of(1), of(2), lost("connection-lost", None)];
        let read = read_status_information(&milestones).unwrap();
        assert_eq!(read.trace, Some(2));
        assert_eq!(read_status_information(&[]), None);
    }

    #[test]
    fn a_mark_of_another_life_says_nothing_of_the_time_since() {
        let order = Order {
            kind: Kind::Payment,
            cents: None,
            reverses: None,
        };
        let before = baseline(&order, &Day::default());
        let later = lost("connection-lost", None);
        assert!(unattended(&before, &[later]).is_some());
        assert!(unattended(&before, &[]).is_some());
        let now = Instant::now() + Duration::from_secs(20);
        assert!(since(&mark(), now).unwrap() >= Duration::from_secs(19));
        let (life, _) = *LIFE;
        assert_eq!(since(&format!("{:016x}+0", life ^ 1), now), None);
        // A mark of the future: not ours to read.
        assert_eq!(since(&format!("{life:016x}+99999999999"), now), None);
        assert_eq!(since("", now), None);
    }
}
