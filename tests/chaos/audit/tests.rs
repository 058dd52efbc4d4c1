//! Each kind of finding, planted.

use koffer_fixtures::zvt::Entry;
use serde_json::json;

use super::*;

/// One payment over 101 cents and one print, both as they should be.
struct Planted {
    calls: BTreeMap<String, Call>,
    answers: BTreeMap<String, Vec<Value>>,
    given_up: Vec<String>,
    books: Books,
    journal: BTreeMap<String, Recorded>,
    incidents: Vec<Incident>,
}

const PAYMENT: &str = "pay-00000-1";
const PRINT: &str = "print-00000-1";

fn booked(seq: u32, cents: i64) -> Entry {
    serde_json::from_value(json!({
        "seq": seq, "at": "2026-03-02T08:00:00Z", "event": "booked", "cents": cents,
        "receipt": seq, "trace": seq,
    }))
    .unwrap()
}

fn recorded(call: &str, effect: &str) -> Recorded {
    serde_json::from_value(json!({
        "call": call, "accepted_at": "2026-03-02T07:59:59Z", "ended_at": "2026-03-02T08:00:00Z", "effect": effect, "resolved_at": null,
    }))
    .unwrap()
}

fn done() -> Value {
    json!({"status": "ok", "device": "x", "result": {}})
}

fn not_done() -> Value {
    json!({"status": "device-fault", "effect": "none", "device": "x"})
}

impl Planted {
    fn new() -> Self {
        let (payment, print) = (Call::planted(Work::Payment), Call::planted(Work::Print));
        let mut books = Books::default();
        let ledger = Ledger::from_entries(vec![booked(1, payment.cents)]);
        books.terminal(&payment.device, ledger);
        books.printer(&print.device, vec![print.document.clone()]);
        let each = [PAYMENT, PRINT];
        Self {
            calls: [payment, print].map(|call| (call.id.clone(), call)).into(),
            answers: each.map(|id| (id.to_owned(), vec![done()])).into(),
            given_up: Vec::new(),
            books,
            journal: each.map(|id| (id.to_owned(), recorded(id, "done"))).into(),
            incidents: Vec::new(),
        }
    }

    fn answer(&mut self, id: &str, completions: &[Value]) {
        self.answers.insert(id.to_owned(), completions.to_vec());
    }

    fn ledger(&mut self, entries: Vec<Entry>) {
        let device = self.calls[PAYMENT].device.clone();
        self.books.terminal(&device, Ledger::from_entries(entries));
    }

    /// Doubles, forgotten, knowable, untrue.
    fn found(&self) -> [usize; 4] {
        let report = audit(&Findings {
            calls: &self.calls,
            answers: &self.answers,
            given_up: &self.given_up,
            books: &self.books,
            journal: &self.journal,
            incidents: &self.incidents,
        });
        let found = [
            report.doubles,
            report.forgotten,
            report.unknown_but_knowable,
            report.untrue,
        ];
        assert_eq!(report.is_clean(), found == [0; 4]);
        assert_eq!(report.story.len(), found.iter().sum::<usize>());
        found
    }
}

#[test]
fn what_agrees_is_clean_also_after_refusals_doubts_and_replays() {
    let mut planted = Planted::new();
    assert_eq!(planted.found(), [0; 4]);
    let refused = json!({"status": "unavailable", "effect": "none"});
    let unknown = json!({"status": "outcome-unknown", "effect": "unknown", "device": "x"});
    planted.answer(PAYMENT, &[refused, unknown, done(), done()]);
    assert_eq!(planted.found(), [0; 4]);
}

#[test]
fn a_second_booking_and_a_second_sheet_are_doubles() {
    let mut planted = Planted::new();
    let cents = planted.calls[PAYMENT].cents;
    planted.ledger(vec![booked(1, cents), booked(2, cents)]);
    // The sum differs from what journal and clients say, too.
    assert_eq!(planted.found(), [1, 0, 0, 1]);

    let mut planted = Planted::new();
    let print = planted.calls[PRINT].clone();
    planted.books.printer(&print.device, vec![print.document]);
    assert_eq!(planted.found(), [1, 0, 0, 1]);
}

#[test]
fn an_order_that_two_calls_did_is_a_double() {
    let mut planted = Planted::new();
    let mut second = planted.calls[PAYMENT].clone();
    second.id = "pay-00000-2".to_owned();
    second.cents += 1;
    planted.ledger(vec![booked(1, second.cents - 1), booked(2, second.cents)]);
    planted.answer("pay-00000-2", &[done()]);
    let on_record = recorded(&second.id, "done");
    planted.journal.insert(second.id.clone(), on_record);
    planted.calls.insert(second.id.clone(), second);
    assert_eq!(planted.found(), [1, 0, 0, 0]);
}

#[test]
fn what_a_client_is_told_falsely_is_found_either_way() {
    let mut planted = Planted::new();
    planted.answer(PAYMENT, &[not_done()]);
    assert_eq!(planted.found(), [1, 0, 0, 1]);

    let mut planted = Planted::new();
    planted.ledger(Vec::new());
    // Told, on record, and the sums.
    assert_eq!(planted.found(), [0, 0, 0, 3]);

    let mut planted = Planted::new();
    planted.answer(PAYMENT, &[done(), not_done()]);
    assert_eq!(planted.found(), [0, 0, 0, 1]);
}

#[test]
fn what_nobody_knows_of_is_forgotten() {
    let mut planted = Planted::new();
    planted.answer(PRINT, &[]);
    assert_eq!(planted.found(), [0, 1, 0, 1]);

    let mut planted = Planted::new();
    planted.journal.remove(PRINT);
    assert_eq!(planted.found(), [0, 1, 0, 1]);

    let mut planted = Planted::new();
    if let Some(open) = planted.journal.get_mut(PAYMENT) {
        open.ended_at = None;
    }
    assert_eq!(planted.found(), [0, 1, 0, 0]);

    let mut planted = Planted::new();
    let cents = planted.calls[PAYMENT].cents;
    planted.ledger(vec![booked(1, cents), booked(2, 5)]);
    assert_eq!(planted.found(), [0, 1, 0, 1]);

    let mut planted = Planted::new();
    planted.given_up.push("pay-00001".to_owned());
    assert_eq!(planted.found(), [0, 1, 0, 0]);
}

#[test]
fn a_call_that_a_person_looked_after_without_need_is_found() {
    let mut planted = Planted::new();
    if let Some(resolved) = planted.journal.get_mut(PAYMENT) {
        resolved.resolved_at = resolved.ended_at;
    }
    assert_eq!(planted.found(), [0, 0, 1, 0]);
}

#[test]
fn other_words_for_the_same_are_forgiven_only_where_the_disk_was_full() {
    let no_room =
        json!({"status": "device-fault", "effect": "none", "device": "x", "message": "full"});
    let taken_back =
        json!({"status": "device-fault", "effect": "none", "device": "x", "message": "taken back"});
    let mut planted = Planted::new();
    planted.ledger(Vec::new());
    planted
        .journal
        .insert(PAYMENT.to_owned(), recorded(PAYMENT, "none"));
    planted.answer(PAYMENT, &[no_room, taken_back]);
    assert_eq!(planted.found(), [0, 0, 0, 1]);

    planted.incidents.push(Incident {
        from: "2026-03-02T07:59:58Z".parse().unwrap(),
        until: "2026-03-02T08:00:00Z".parse().unwrap(),
        mishap: Mishap::FullDisk {
            but_kib: 0,
            for_ms: 1_000,
            and_kill: true,
        },
    });
    assert_eq!(planted.found(), [0; 4]);
    planted.answer(PAYMENT, &[not_done(), done()]);
    assert_eq!(planted.found(), [0, 0, 0, 1], "never another effect");
}
