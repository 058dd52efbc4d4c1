//! The end: what the devices did, what the journal says and what the clients were told, compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::PoisonError,
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    Outcome,
    export::Recorded,
    knowable,
    office::{Call, Meaning, Office},
    schedule::Work,
    world::{Incident, Truth},
};

/// What is compared, per device: cents of a terminal, sheets of a printer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    device: i64,
    journal: i64,
    clients: i64,
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
    pub(crate) kills: u32,
    /// Effects that a client or the journal says happened and that did not, sums that differ, and
    /// completions of one call that do.
    pub(crate) untrue: usize,
    /// Calls that a person looked after.
    pub(crate) unknown: usize,
    pub(crate) calls: usize,
    pub(crate) delivered_late: u32,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    #[serde(skip)]
    pub(crate) story: Vec<String>,
    #[serde(skip)]
    sums: BTreeMap<String, Sums>,
}

impl Report {
    /// Whether all is as it has to be.
    pub(crate) fn is_clean(&self) -> bool {
        self.doubles + self.forgotten + self.unknown_but_knowable + self.untrue == 0
    }

    fn double(&mut self, what: String) {
        self.doubles += 1;
        self.story.push(format!("double: {what}"));
    }

    fn forget(&mut self, what: String) {
        self.forgotten += 1;
        self.story.push(format!("forgotten: {what}"));
    }

    fn lie(&mut self, what: String) {
        self.untrue += 1;
        self.story.push(format!("untrue: {what}"));
    }
}

/// What all completions of a call say together; `None` where none settles it.
fn told(report: &mut Report, call: &Call, completions: &[Value]) -> Option<Meaning> {
    let mut settled: Option<&Value> = None;
    for completion in completions {
        match Meaning::of(completion) {
            Meaning::NotTaken | Meaning::Unknown => {}
            Meaning::Nonsense => report.lie(format!("{}: {completion}", call.id)),
            Meaning::Done | Meaning::NotDone => match settled {
                Some(before) if before != completion => report.lie(format!(
                    "{}: the completions differ: {before} and {completion}",
                    call.id
                )),
                _ => settled = Some(completion),
            },
        }
    }
    settled.map(Meaning::of)
}

/// Compares everything.
pub(crate) fn audit(
    office: &Office,
    truth: &Truth,
    journal: &BTreeMap<String, Recorded>,
    incidents: &[Incident],
) -> Outcome<Report> {
    let mut report = Report::default();
    let calls = office.calls.lock().unwrap_or_else(PoisonError::into_inner);
    let answers = office.answers.all();
    let mut done: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    let mut nothing = Vec::new();
    let books = Books::read(truth)?;
    for name in truth.terminals().chain(truth.printers()) {
        let device = books.of(name);
        let sums = Sums {
            device,
            ..Sums::default()
        };
        report.sums.insert(name.clone(), sums);
    }
    for call in calls.values() {
        let times = books.times(call);
        let completions = answers.get(&call.id).unwrap_or(&nothing);
        let meaning = told(&mut report, call, completions);
        let recorded = journal.get(&call.id);
        let weight = match call.work {
            Work::Payment => call.cents,
            Work::Print => 1,
        };
        let sums = report.sums.entry(call.device.clone()).or_default();
        if meaning == Some(Meaning::Done) {
            sums.clients += weight;
        }
        if recorded.is_some_and(Recorded::is_done) {
            sums.journal += weight;
        }
        if times > 0 {
            done.entry(&call.order).or_default().push(call);
        }
        if times > 1 {
            report.double(format!("{} happened {times} times", call.id));
        }
        match (times > 0, meaning) {
            (_, None) => report.forget(format!("{}: no client was told how it ended", call.id)),
            (true, Some(Meaning::NotDone)) => {
                report.double(format!(
                    "{} happened, and a client was told that it did not",
                    call.id
                ));
            }
            (false, Some(Meaning::Done)) => {
                report.lie(format!(
                    "{} did not happen, and a client was told that it did",
                    call.id
                ));
            }
            _ => {}
        }
        match recorded {
            None if times > 0 => {
                report.forget(format!("{} happened, and is not in the journal", call.id))
            }
            Some(recorded) if recorded.ended_at.is_none() => {
                report.forget(format!("{} is still open in the journal", call.id));
            }
            Some(recorded) if recorded.is_done() != (times > 0) => {
                let effect = recorded.effect.as_deref().unwrap_or_default();
                report.lie(format!(
                    "{} happened {times} times; the journal: {effect}",
                    call.id
                ));
            }
            _ => {}
        }
        if let Some(recorded) = recorded.filter(|recorded| recorded.resolved_at.is_some()) {
            report.unknown += 1;
            let knowable = match call.work {
                Work::Payment => {
                    let ledger = truth.ledger(&call.device)?;
                    knowable::payment(recorded, call.cents, &ledger, incidents)
                }
                Work::Print => knowable::print(recorded, &call.device, times > 0, incidents),
            };
            if knowable {
                report.unknown_but_knowable += 1;
                let steps = serde_json::to_string(completions)?;
                report.story.push(format!("knowable: {}: {steps}", call.id));
            }
        }
    }
    nothing.clear();
    for (order, calls) in &done {
        if let [first, _, ..] = calls[..] {
            report.double(format!(
                "{order} ({}) was done by {} calls",
                first.device,
                calls.len()
            ));
        }
    }
    let count = |work| done.values().filter(|calls| calls[0].work == work).count();
    (report.payments, report.prints) = (count(Work::Payment), count(Work::Print));
    report.calls = calls.len();
    strangers(&mut report, &books, calls.values());
    let given_up = office
        .given_up
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for order in given_up.iter() {
        report.forget(format!("{order}: its clerk gave up"));
    }
    for (device, sums) in report.sums.clone() {
        if sums.device != sums.journal || sums.device != sums.clients {
            report.lie(format!("{device}: {sums:?}"));
        }
    }
    Ok(report)
}

/// Bookings and sheets that belong to no call.
fn strangers<'a>(report: &mut Report, books: &Books, calls: impl Iterator<Item = &'a Call>) {
    let mut known = BTreeSet::new();
    for call in calls {
        known.insert((call.device.clone(), Books::mark(call)));
    }
    for (device, marks) in &books.marks {
        for mark in marks.keys() {
            if !known.contains(&(device.clone(), mark.clone())) {
                report.forget(format!("{device}: an effect that nobody asked for"));
            }
        }
    }
}

/// The books of all devices: how often each thing that can be told from the others is there.
struct Books {
    marks: BTreeMap<String, BTreeMap<Vec<u8>, usize>>,
    sums: BTreeMap<String, i64>,
}

impl Books {
    fn read(truth: &Truth) -> Outcome<Self> {
        let (mut marks, mut sums) = (BTreeMap::new(), BTreeMap::new());
        for name in truth.terminals() {
            let ledger = truth.ledger(name)?;
            let standing = ledger.entries().iter().filter(|entry| {
                entry.original_trace.is_none()
                    && ledger.standing(entry.trace).is_some_and(|cents| cents > 0)
            });
            let mut counted = BTreeMap::new();
            for entry in standing.filter(|entry| entry.event == koffer_fixtures::zvt::Event::Booked)
            {
                *counted
                    .entry(entry.cents.to_be_bytes().to_vec())
                    .or_default() += 1;
            }
            marks.insert(name.clone(), counted);
            sums.insert(name.clone(), ledger.sum());
        }
        for name in truth.printers() {
            let mut counted = BTreeMap::new();
            let sheets = truth.sheets(name)?;
            sums.insert(name.clone(), i64::try_from(sheets.len())?);
            for sheet in sheets {
                *counted.entry(sheet).or_default() += 1;
            }
            marks.insert(name.clone(), counted);
        }
        Ok(Self { marks, sums })
    }

    fn of(&self, device: &str) -> i64 {
        self.sums.get(device).copied().unwrap_or_default()
    }

    /// What tells this call's effect from every other.
    fn mark(call: &Call) -> Vec<u8> {
        match call.work {
            Work::Payment => call.cents.to_be_bytes().to_vec(),
            Work::Print => call.document.clone(),
        }
    }

    fn times(&self, call: &Call) -> usize {
        let marks = self.marks.get(&call.device);
        let times = marks.and_then(|marks| marks.get(&Self::mark(call)));
        times.copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        writeln!(
            f,
            "{:<12}{:>14}{:>14}{:>14}",
            "", "device", "journal", "clients"
        )?;
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
