//! The end: what the devices did, what the journal says and what the clients were told, compared.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use koffer_fixtures::zvt::{Event, Ledger};
use serde_json::Value;

use crate::{
    Outcome,
    export::Recorded,
    knowable,
    office::{Call, Meaning},
    report::{Report, Sums},
    schedule::{Mishap, Work},
    world::{Incident, Truth},
};

/// The books of all devices: what happened and stands.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Of the terminals.
    ledgers: BTreeMap<String, Ledger>,
    /// The amounts in them that stand, and how often.
    booked: BTreeMap<String, BTreeMap<i64, usize>>,
    /// What came out of the printers, and how often.
    sheets: BTreeMap<String, BTreeMap<Vec<u8>, usize>>,
}

/// Everything that is compared.
pub(crate) struct Findings<'a> {
    pub(crate) calls: &'a BTreeMap<String, Call>,
    /// Every completion that a client received.
    pub(crate) answers: &'a BTreeMap<String, Vec<Value>>,
    /// Orders whose clerks gave up.
    pub(crate) given_up: &'a [String],
    pub(crate) books: &'a Books,
    pub(crate) journal: &'a BTreeMap<String, Recorded>,
    pub(crate) incidents: &'a [Incident],
}

/// Compares everything.
pub(crate) fn audit(findings: &Findings<'_>) -> Report {
    let mut report = Report::default();
    for (device, sum) in findings.books.sums() {
        report.sums.entry(device).or_default().device = sum;
    }
    let mut done: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in findings.calls.values() {
        if findings.books.times(call) > 0 {
            done.entry(&call.order).or_default().push(call);
        }
        one_call(&mut report, findings, call);
    }
    for (order, calls) in &done {
        if calls.len() > 1 {
            report.double(&format!("{order} was done by {} calls", calls.len()));
        }
    }
    let count = |work| {
        let of_it = |calls: &&Vec<&Call>| calls.iter().any(|call| call.work == work);
        done.values().filter(of_it).count()
    };
    (report.payments, report.prints) = (count(Work::Payment), count(Work::Print));
    report.calls = findings.calls.len();
    for device in findings.books.strangers(findings.calls.values()) {
        report.forget(&format!("{device}: an effect that nobody asked for"));
    }
    for order in findings.given_up {
        report.forget(&format!("{order}: its clerk gave up"));
    }
    for (device, sums) in report.sums.clone() {
        if !sums.agree() {
            report.lie(&format!("{device}: {sums:?}"));
        }
    }
    report
}

fn one_call(report: &mut Report, findings: &Findings<'_>, call: &Call) {
    let times = findings.books.times(call);
    let happened = times > 0;
    let id = &call.id;
    let recorded = findings.journal.get(id);
    let meaning = told(report, findings, call);
    let sums = report.sums.entry(call.device.clone()).or_default();
    sums.add(call, meaning, recorded);
    if times > 1 {
        report.double(&format!("{id} happened {times} times"));
    }
    match meaning {
        None => report.forget(&format!("{id}: no client was told how it ended")),
        // Who is told that it did not happen does it again.
        Some(Meaning::NotDone) if happened => {
            report.double(&format!(
                "{id} happened, and a client was told that it did not"
            ));
        }
        Some(Meaning::Done) if !happened => {
            report.lie(&format!(
                "{id} did not happen, and a client was told that it did"
            ));
        }
        Some(_) => {}
    }
    match recorded {
        None if happened => report.forget(&format!("{id} happened, and is not in the journal")),
        Some(recorded) if recorded.ended_at.is_none() => {
            report.forget(&format!("{id} is still open in the journal"));
        }
        Some(recorded) if recorded.is_done() != happened => {
            let effect = recorded.effect.as_deref().unwrap_or_default();
            report.lie(&format!(
                "{id} happened {times} times; the journal: {effect}"
            ));
        }
        None | Some(_) => {}
    }
    let Some(recorded) = recorded.filter(|recorded| recorded.resolved_at.is_some()) else {
        return;
    };
    report.unknown += 1;
    let knowable = match (call.work, findings.books.ledgers.get(&call.device)) {
        (Work::Payment, Some(ledger)) => {
            knowable::payment(recorded, call.cents, ledger, findings.incidents)
        }
        (Work::Payment, None) => true,
        (Work::Print, _) => knowable::print(recorded, &call.device, happened, findings.incidents),
    };
    if knowable {
        report.know(&format!("{id} was left to a person"));
    }
}

/// What all completions of a call say together; `None` where none settles it.
fn told(report: &mut Report, findings: &Findings<'_>, call: &Call) -> Option<Meaning> {
    let mut settled: Option<&Value> = None;
    for completion in findings.answers.get(&call.id).into_iter().flatten() {
        match (Meaning::of(completion), settled) {
            (Meaning::NotTaken | Meaning::Unknown, _) => {}
            (Meaning::Nonsense, _) => report.lie(&format!("{}: {completion}", call.id)),
            (_, None) => settled = Some(completion),
            (_, Some(before)) if before == completion => {}
            (_, Some(before))
                if findings.found_no_room(call) && same_effect(before, completion) =>
            {
                report.reworded += 1;
            }
            (_, Some(before)) => report.lie(&format!(
                "{}: the completions differ: {before} and {completion}",
                call.id
            )),
        }
    }
    settled.map(Meaning::of)
}

/// Whether two completions say the same of what happened, perhaps in other words.
fn same_effect(one: &Value, other: &Value) -> bool {
    let of = |completion: &Value| {
        let facts = [
            "/device",
            "/effect",
            "/result/amount",
            "/result/receipt",
            "/result/trace",
            "/result/job",
        ];
        facts.map(|fact| completion.pointer(fact).cloned())
    };
    of(one) == of(other)
}

impl Findings<'_> {
    /// Whether the disk was full when the call ended, so that its end may have been told without
    /// being on record, and was read from the device again after a kill (docs/journal.md).
    fn found_no_room(&self, call: &Call) -> bool {
        let Some(recorded) = self.journal.get(&call.id) else {
            return false;
        };
        let (from, until) = (
            recorded.accepted_at,
            recorded.ended_at.unwrap_or(Timestamp::MAX),
        );
        self.incidents.iter().any(|incident| {
            let full = matches!(incident.mishap, Mishap::FullDisk { .. });
            full && incident.overlaps(from, until)
        })
    }
}

impl Sums {
    fn add(&mut self, call: &Call, meaning: Option<Meaning>, recorded: Option<&Recorded>) {
        let weight = match call.work {
            Work::Payment => call.cents,
            Work::Print => 1,
        };
        if meaning == Some(Meaning::Done) {
            self.clients += weight;
        }
        if recorded.is_some_and(Recorded::is_done) {
            self.journal += weight;
        }
    }
}

impl Books {
    /// Reads them from the devices' own files.
    pub(crate) fn read(truth: &Truth) -> Outcome<Self> {
        let mut books = Self::default();
        for name in truth.terminals() {
            books.terminal(name, truth.ledger(name)?);
        }
        for name in truth.printers() {
            books.printer(name, truth.sheets(name)?);
        }
        Ok(books)
    }

    fn terminal(&mut self, name: &str, ledger: Ledger) {
        let booked = self.booked.entry(name.to_owned()).or_default();
        booked.clear();
        for cents in standing(&ledger) {
            *booked.entry(cents).or_default() += 1;
        }
        self.ledgers.insert(name.to_owned(), ledger);
    }

    fn printer(&mut self, name: &str, sheets: Vec<Vec<u8>>) {
        let counted = self.sheets.entry(name.to_owned()).or_default();
        for sheet in sheets {
            *counted.entry(sheet).or_default() += 1;
        }
    }

    /// How often a call happened and stands.
    pub(crate) fn times(&self, call: &Call) -> usize {
        match call.work {
            Work::Payment => {
                let booked = self.booked.get(&call.device);
                let times = booked.and_then(|booked| booked.get(&call.cents));
                times.copied().unwrap_or_default()
            }
            Work::Print => {
                let sheets = self.sheets.get(&call.device);
                let times = sheets.and_then(|sheets| sheets.get(&call.document));
                times.copied().unwrap_or_default()
            }
        }
    }

    /// Cents of a terminal, sheets of a printer.
    fn sums(&self) -> BTreeMap<String, i64> {
        let ledgers = self.ledgers.iter();
        let cents = ledgers.map(|(name, ledger)| (name.clone(), ledger.sum()));
        let sheets = self.sheets.iter().map(|(name, sheets)| {
            let count: usize = sheets.values().sum();
            (name.clone(), i64::try_from(count).unwrap_or(i64::MAX))
        });
        cents.chain(sheets).collect()
    }

    /// The devices of bookings and sheets that belong to no call, one for each.
    fn strangers<'a>(&self, calls: impl Iterator<Item = &'a Call>) -> Vec<String> {
        let mut amounts = BTreeSet::new();
        let mut documents = BTreeSet::new();
        for call in calls {
            match call.work {
                Work::Payment => amounts.insert((call.device.as_str(), call.cents)),
                Work::Print => documents.insert((call.device.as_str(), call.document.as_slice())),
            };
        }
        let mut strangers = Vec::new();
        for (name, booked) in &self.booked {
            let unknown = |cents: &&i64| !amounts.contains(&(name.as_str(), **cents));
            strangers.extend(booked.keys().filter(unknown).map(|_| name.clone()));
        }
        for (name, sheets) in &self.sheets {
            let unknown =
                |sheet: &&Vec<u8>| !documents.contains(&(name.as_str(), sheet.as_slice()));
            strangers.extend(sheets.keys().filter(unknown).map(|_| name.clone()));
        }
        strangers
    }
}

/// The amounts that were booked and not taken back.
fn standing(ledger: &Ledger) -> impl Iterator<Item = i64> {
    let entries = ledger.list(Event::Booked).into_iter();
    entries
        .map(|entry| ledger.standing(entry.trace).unwrap_or_default())
        .filter(|cents| *cents != 0)
}

#[cfg(test)]
mod tests;
