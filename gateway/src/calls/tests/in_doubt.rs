//! Calls whose outcome is unknown: asked of the device, left to a person, and across restarts.

use jiff::Timestamp;
use koffer_drivers::{Fault, NotYet, Reconciled};
use koffer_proto::{Class, Completion, ContentType, DeviceState, Reason, Response, class::payment};

use super::*;
use crate::bus::Message;
use crate::journal::{NotRead, Pending, RecoveryState, Snapshot, UnsettledCall};

fn unknown() -> Outcome<Response> {
    Outcome::Failed(Failure::outcome_unknown("The line broke."))
}

fn undecided() -> Reconciled {
    Reconciled::Undecided(Reason::new(
        "receipt-unclear",
        "Beleg ansehen.",
        "Look at the receipt.",
    ))
}

/// Of a payment of five euros at till-1.
fn digest() -> koffer_proto::Sha256 {
    let request = koffer_proto::Request::from(payment::PayParams {
        amount: koffer_proto::Amount::euro_cents(500).unwrap(),
        reference: None,
    });
    request.digest(&"till-1".parse().unwrap()).unwrap()
}

fn fault() -> Fault {
    Fault::new("connection-lost", "", "")
}

impl Fixture {
    /// A payment at till-1 that the line broke off.
    fn broken_payment() -> Self {
        let mut fixture = Self::new();
        fixture.pay("ws-1", "a", "till-1", 500);
        fixture.condition("till-1", Condition::Fault(fault().reason));
        fixture.finish(0, unknown());
        fixture
    }

    fn settled(&mut self, ask: usize, reconciled: Reconciled) {
        let (device, no) = self.asked[ask].clone();
        self.handle(Input::Device(
            device,
            SupervisorEvent::Reconciled(no, reconciled),
        ));
    }

    fn has_on_record(&mut self, no: u64, id: &str) {
        let mut ended = JournalIndex::default();
        let name = CallName::of(&"ws-1".parse().unwrap(), &id.parse().unwrap());
        ended.add(name, &digest(), CallNo(no));
        self.handle(Input::Snapshot(Snapshot {
            ended,
            last: CallNo(no),
            ..Snapshot::default()
        }));
    }

    fn remembers(&mut self, no: u64, id: &str, state: RecoveryState) {
        self.remembers_at("till-1", no, id, state);
    }

    fn remembers_at(&mut self, target: &str, no: u64, id: &str, state: RecoveryState) {
        let pending = Pending {
            operation: Class::Payment.operation("pay").unwrap(),
            target: target.parse().unwrap(),
            answer_to: AnswerTo {
                topic: "koffer/1/case-7/reply/ws-1/a".to_owned(),
                encoding: ContentType::Json,
                lang: koffer_proto::Lang::En,
            },
            deadline: Timestamp::UNIX_EPOCH,
        };
        let call = UnsettledCall {
            no: CallNo(no),
            client: "ws-1".parse().unwrap(),
            call: id.parse().unwrap(),
            digest: digest(),
            accepted_at: Timestamp::UNIX_EPOCH,
            pending,
            state,
        };
        self.handle(Input::Snapshot(Snapshot {
            unsettled: vec![call],
            last: CallNo(no),
            ..Snapshot::default()
        }));
    }

    fn resolve(&mut self, client: &str, id: &str, call: &str, finding: &str) {
        let params = json!({
            "client": "ws-1", "call": call, "finding": finding,
            "observation": "The terminal shows receipt 232."
        });
        self.call(client, id, "gateway/resolve", &params);
    }

    fn state(&self, device: &str) -> DeviceState {
        let of = self.states.iter().rfind(|(id, _)| id.as_str() == device);
        of.unwrap().1
    }
}

#[test]
fn the_device_is_asked_before_the_caller_is_told() {
    let mut fixture = Fixture::broken_payment();
    assert_eq!(fixture.statuses(), []);
    assert_eq!(fixture.asked, [], "it is not there");
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    assert_eq!(fixture.asked.len(), 1);
    fixture.pay("ws-2", "next", "till-1", 100);
    assert_eq!(fixture.starts.len(), 1, "first what was before");
    fixture.settled(0, Reconciled::Settled(paid()));
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
    assert_eq!(fixture.starts.len(), 2, "and then the next one");
}

#[test]
fn contact_lost_over_the_question_is_asked_again() {
    let mut fixture = Fixture::broken_payment();
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.condition("till-1", Condition::Fault(fault().reason));
    fixture.settled(0, Reconciled::Lost(fault()));
    assert_eq!(fixture.asked.len(), 1);
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    assert_eq!(fixture.asked.len(), 2);
    fixture.settled(1, Reconciled::Settled(paid()));
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
}

#[test]
fn a_device_that_stays_away_leaves_the_outcome_unknown_and_is_asked_when_it_comes_back() {
    let mut fixture = Fixture::broken_payment();
    fixture.later(Duration::from_mins(10));
    assert_eq!(fixture.statuses(), [pair("a", "outcome-unknown")]);
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.settled(0, Reconciled::Settled(paid()));
    assert_eq!(fixture.statuses(), [], "one call, one completion");
    assert_eq!(
        fixture.kept[&CallNo(1)].effect(),
        Effect::Done,
        "journalled"
    );
    fixture.pay("ws-1", "a", "till-1", 500);
    assert_eq!(
        fixture.statuses(),
        [pair("a", "ok")],
        "and told who asks again"
    );
    assert_eq!(fixture.starts.len(), 1);
}

#[test]
fn what_nobody_knows_locks_the_terminal_until_a_person_says_what_happened() {
    let mut fixture = Fixture::broken_payment();
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.settled(0, undecided());
    assert_eq!(fixture.statuses(), [pair("a", "outcome-unknown")]);
    assert_eq!(fixture.state("till-1"), DeviceState::Fault);

    fixture.pay("ws-2", "b", "till-1", 100);
    assert_eq!(fixture.statuses(), [pair("b", "unavailable")]);
    fixture.call("ws-2", "s", "till-1/status", &json!({}));
    assert_eq!(fixture.starts.len(), 2, "what only asks is answered");
    fixture.finish(1, paid());
    fixture.statuses();
    fixture.pay("ws-2", "c", "any-till", 100);
    assert_eq!(
        fixture.starts[2].device.as_str(),
        "till-2",
        "a role has another"
    );

    fixture.call("tech", "l", "gateway/calls", &json!({}));
    let listed = fixture.last_result()["unresolved"].clone();
    assert_eq!(listed[0]["call"], "a");
    assert_eq!(listed[0]["reason"]["keyword"], "receipt-unclear");
    fixture.statuses();

    fixture.resolve("ws-2", "d", "a", "done");
    assert_eq!(fixture.statuses(), [pair("d", "denied")]);
    fixture.resolve("tech", "e", "other", "done");
    assert_eq!(fixture.statuses(), [pair("e", "bad-request")]);
    fixture.resolve("tech", "f", "a", "done");
    assert_eq!(fixture.statuses(), [pair("f", "ok")]);
    let resolved = &fixture.resolved[0];
    assert_eq!(resolved.resolution.by.as_str(), "tech");
    assert_eq!(resolved.completion.effect(), Effect::Done);
    assert_eq!(fixture.state("till-1"), DeviceState::Ready);
    fixture.pay("ws-1", "g", "till-1", 100);
    assert_eq!(fixture.starts.last().unwrap().call.id.to_string(), "g");
    fixture.published.clear();
    fixture.pay("ws-1", "a", "till-1", 500);
    let (_, _, status, effect) = fixture.completions().remove(0);
    assert_eq!((&*status, &*effect), ("device-fault", "done"));
}

#[test]
fn an_unknown_outcome_has_one_instruction_and_is_nobody_elses_business() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "blue-4711", "till-1", 12_34);
    let what = "The connection broke. Do not repeat it: look at the terminal.";
    fixture.finish(0, Outcome::Failed(Failure::outcome_unknown(what)));
    let de = "Nicht wiederholen: Steht eine Zahlung über 12,34 im Terminal?";
    let en = "Do not repeat it: does the terminal show a payment of 12.34?";
    fixture.settled(0, Reconciled::Undecided(Reason::new("one-like-it", de, en)));
    let told = fixture.published.pop().unwrap();
    let told: Value = serde_json::from_slice(&told.payload).unwrap();
    assert_eq!(told["message"], en);
    assert_eq!(told["detail"]["reasons"], json!(["one-like-it"]));

    fixture.published.clear();
    fixture.pay("ws-2", "c", "till-1", 100);
    let refused = fixture.published.pop().unwrap();
    let refused = String::from_utf8(refused.payload.to_vec()).unwrap();
    let retained = &fixture.retained[&"till-1".parse().unwrap()];
    for shown in [&refused, retained] {
        assert!(shown.contains("kofferctl resolve"), "{shown}");
        for secret in ["blue", "4711", "ws-1", "12.34", "12,34", "1234"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn calls_that_wait_behind_an_unknown_outcome_do_not_run() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 500);
    fixture.pay("ws-2", "waits", "till-1", 100);
    fixture.finish(0, unknown());
    fixture.statuses();
    fixture.settled(0, undecided());
    assert_eq!(
        fixture.statuses(),
        [pair("a", "outcome-unknown"), pair("waits", "unavailable")]
    );
    assert_eq!(fixture.starts.len(), 1);
}

#[test]
fn a_persons_word_that_cannot_be_stored_does_not_unlock() {
    let mut fixture = Fixture::broken_payment();
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.settled(0, undecided());
    fixture.statuses();
    fixture.journal_works = false;
    fixture.resolve("tech", "f", "a", "not-done");
    assert_eq!(fixture.statuses(), [pair("f", "unavailable")]);
    assert_eq!(fixture.state("till-1"), DeviceState::Fault);
    fixture.journal_works = true;
    fixture.resolve("tech", "g", "a", "not-done");
    assert_eq!(fixture.statuses(), [pair("g", "ok")]);
}

#[test]
fn a_device_that_comes_back_while_a_persons_word_is_stored_is_not_asked() {
    let mut fixture = Fixture::broken_payment();
    fixture.later(Duration::from_mins(10));
    fixture.statuses();
    fixture.journal_answers = false;
    fixture.resolve("tech", "f", "a", "done");
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    assert_eq!(fixture.asked, [], "the person's word comes first");
    fixture.journal_answer();
    assert_eq!(fixture.statuses(), [pair("f", "ok")]);
    assert_eq!(fixture.kept[&CallNo(1)].effect(), Effect::Done);
}

#[test]
fn nothing_is_resolved_while_the_device_may_still_tell() {
    let mut fixture = Fixture::broken_payment();
    fixture.resolve("tech", "f", "a", "done");
    assert_eq!(fixture.statuses(), [pair("f", "busy")]);
    fixture.call("ws-1", "c", "gateway/cancel", &json!({"call": "a"}));
    assert_eq!(fixture.last_result()["verdict"], "too-late");
}

#[test]
fn at_shutdown_a_call_that_is_being_settled_is_answered() {
    let mut fixture = Fixture::broken_payment();
    fixture.handle(Input::Shutdown);
    assert!(!fixture.dispatcher.is_idle(), "it may still be settled");
    fixture.handle(Input::StopRunning);
    assert_eq!(fixture.statuses(), [pair("a", "outcome-unknown")]);
    assert!(fixture.dispatcher.is_idle());
}

#[test]
fn a_call_of_before_the_restart_that_never_began_is_answered_and_never_runs() {
    let mut fixture = Fixture::new();
    fixture.remembers(41, "a", RecoveryState::Waiting);
    assert_eq!(fixture.statuses(), [pair("a", "unavailable")]);
    assert_eq!(fixture.kept[&CallNo(41)].effect(), Effect::None);
    fixture.pay("ws-1", "a", "till-1", 500);
    assert_eq!(fixture.statuses(), [pair("a", "unavailable")]);
    assert_eq!(fixture.starts.len(), 0);
    fixture.pay("ws-1", "b", "till-1", 500);
    assert_eq!(fixture.starts[0].no, CallNo(42), "numbers go on");
}

#[test]
fn a_call_that_the_restart_interrupted_is_asked_of_the_device_and_joined() {
    let mut fixture = Fixture::new();
    fixture.remembers(
        41,
        "a",
        RecoveryState::Interrupted("till-1".parse().unwrap()),
    );
    assert_eq!(fixture.statuses(), []);
    fixture.pay("ws-1", "a", "till-1", 500);
    assert_eq!(fixture.starts.len(), 0, "it is joined, not run");
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.settled(0, Reconciled::Settled(paid()));
    assert_eq!(fixture.statuses(), [pair("a", "ok")], "told once, unasked");
}

#[test]
fn what_was_unknown_before_the_restart_locks_after_it() {
    let mut fixture = Fixture::new();
    fixture.remembers(41, "a", RecoveryState::Unknown("till-1".parse().unwrap()));
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    assert_eq!(fixture.asked[0].1, CallNo(41));
    fixture.settled(0, undecided());
    assert_eq!(fixture.statuses(), [], "it was answered before");
    fixture.pay("ws-2", "b", "till-1", 100);
    assert_eq!(fixture.statuses(), [pair("b", "unavailable")]);
    fixture.resolve("tech", "f", "a", "partial");
    assert_eq!(fixture.statuses(), [pair("f", "ok")]);
}

#[test]
fn a_device_that_is_no_longer_configured_leaves_the_call_to_a_person() {
    let mut fixture = Fixture::new();
    fixture.remembers(
        41,
        "a",
        RecoveryState::Interrupted("old-till".parse().unwrap()),
    );
    assert_eq!(fixture.statuses(), [], "it may be plugged in yet");
    fixture.later(Duration::from_mins(1));
    let told = fixture.published.last().unwrap();
    let told: Value = serde_json::from_slice(&told.payload).unwrap();
    assert_eq!(told["detail"]["reasons"], json!(["device-gone"]));
    assert_eq!(fixture.statuses(), [pair("a", "outcome-unknown")]);
    fixture.resolve("tech", "f", "a", "done");
    assert_eq!(fixture.statuses(), [pair("f", "ok")]);
}

#[test]
fn a_device_that_is_plugged_in_within_a_minute_of_the_restart_tells_before_the_caller_is_told() {
    let mut fixture = Fixture::new();
    let till = || "till-1-4".parse::<DeviceId>().unwrap();
    fixture.remembers(41, "a", RecoveryState::Interrupted(till()));
    fixture.later(Duration::from_secs(50));
    let (jobs, _queue) = tokio::sync::mpsc::channel(1);
    fixture.handle(Input::Device(
        till(),
        SupervisorEvent::Appeared(Class::Payment, jobs),
    ));
    fixture.condition("till-1-4", Condition::Usable(Vec::new()));
    fixture.later(Duration::from_secs(5));
    assert_eq!(fixture.statuses(), []);
    fixture.settled(0, Reconciled::Settled(paid()));
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
}

#[test]
fn a_call_of_before_that_never_began_names_the_device_it_was_for_and_no_role() {
    for (target, device) in [("till-1", json!("till-1")), ("any-till", Value::Null)] {
        let mut fixture = Fixture::new();
        fixture.remembers_at(target, 41, "a", RecoveryState::Waiting);
        let told = fixture.published.last().unwrap();
        let told: Value = serde_json::from_slice(&told.payload).unwrap();
        assert_eq!(told["device"], device);
    }
}

#[test]
fn a_device_that_is_plugged_in_after_the_restart_is_asked_before_it_books_again() {
    let mut fixture = Fixture::new();
    fixture.remembers(41, "a", RecoveryState::Unknown("till-1-4".parse().unwrap()));
    let (jobs, _queue) = tokio::sync::mpsc::channel(1);
    let appeared = SupervisorEvent::Appeared(Class::Payment, jobs);
    fixture.handle(Input::Device("till-1-4".parse().unwrap(), appeared));
    fixture.condition("till-1-4", Condition::Usable(Vec::new()));
    assert_eq!(fixture.asked[0].1, CallNo(41));
    fixture.pay("ws-2", "b", "till-1-4", 100);
    assert_eq!(fixture.starts.len(), 0, "first what was before");
    fixture.settled(0, undecided());
    assert_eq!(fixture.statuses(), [pair("b", "unavailable")]);
}

#[test]
fn a_completion_of_before_the_restart_is_read_for_who_asks_again() {
    let mut fixture = Fixture::new();
    fixture.has_on_record(41, "a");
    for (read, status) in [
        (
            Ok(Some(Completion::ok(
                "till-1".parse().unwrap(),
                paid_response(),
            ))),
            "ok",
        ),
        (Ok(None), "outcome-unknown"),
        (
            Err(NotRead(koffer_proto::Text::new("", ""))),
            "outcome-unknown",
        ),
    ] {
        fixture.pay("ws-1", "a", "till-1", 500);
        let acknowledged = fixture.acknowledged.len();
        let asked = fixture.reads.remove(0);
        assert_eq!(asked.no, CallNo(41));
        fixture.handle(Input::Read(asked, read));
        assert_eq!(fixture.statuses(), [pair("a", status)]);
        assert_eq!(fixture.acknowledged.len(), acknowledged + 1);
    }
    fixture.pay("ws-1", "a", "till-1", 501);
    assert_eq!(fixture.statuses(), [pair("a", "conflict")]);
    assert_eq!(fixture.starts.len(), 0);
}

fn paid_response() -> Response {
    match paid() {
        Outcome::Ok(response) => response,
        Outcome::Failed(_) => unreachable!(),
    }
}

#[test]
fn no_number_of_other_clients_calls_makes_a_payment_run_again() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-2", "mine", "till-1", 500);
    fixture.finish(0, paid());
    for n in 1..=2_000 {
        fixture.pay("ws-1", &n.to_string(), "till-1", 500);
        fixture.finish(n, paid());
    }
    fixture.statuses();
    fixture.pay("ws-2", "mine", "till-1", 500);
    fixture.pay("ws-1", "1", "till-1", 500);
    assert_eq!(fixture.starts.len(), 2_001, "each paid once");
    assert_eq!(fixture.statuses(), [pair("mine", "ok")]);
    assert_eq!(fixture.reads.remove(0).no, fixture.starts[1].no);

    // They are forgotten when the journal has deleted them.
    let deleted = |client: &str, id: &str, no| {
        let name = CallName::of(&client.parse().unwrap(), &id.parse().unwrap());
        Deleted { name, no }
    };
    let mine = deleted("ws-2", "mine", fixture.starts[0].no);
    let other = deleted("ws-1", "1", fixture.starts[1].no);
    fixture.handle(Input::Deleted(vec![mine, other]));
    fixture.pay("ws-2", "mine", "till-1", 500);
    fixture.pay("ws-1", "1", "till-2", 500);
    assert_eq!(fixture.starts.len(), 2_003);
}

fn not_yet(again: u64, within: u64) -> Reconciled {
    Reconciled::NotYet(NotYet {
        reason: Reason::new("may-still-store", "Bitte warten.", "Please wait."),
        again: Duration::from_secs(again),
        within: Duration::from_secs(within),
    })
}

#[test]
fn a_call_whose_device_cannot_tell_yet_stays_open_and_its_caller_hears_why() {
    let mut fixture = Fixture::broken_payment();
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.pay("ws-2", "next", "till-1", 100);
    fixture.published.clear();
    fixture.settled(0, not_yet(5, 180));
    let told = |fixture: &Fixture| {
        let text =
            |message: &Message| String::from_utf8_lossy(&message.payload).contains("Please wait.");
        fixture
            .published
            .iter()
            .filter(|message| text(message))
            .count()
    };
    assert_eq!(told(&fixture), 1);
    assert_eq!(fixture.state("till-1"), DeviceState::Busy);
    fixture.later(Duration::from_secs(4));
    assert_eq!(fixture.asked.len(), 1);
    for ask in 1..=30 {
        fixture.later(Duration::from_secs(5));
        assert_eq!(fixture.asked.len(), ask + 1, "asked again");
        fixture.settled(ask, not_yet(5, 180 - 5 * ask as u64));
    }
    assert_eq!(told(&fixture), 1, "the same is said once");
    assert!(fixture.asked_after[30] >= Duration::from_secs(150));
    assert_eq!(
        fixture.statuses(),
        [pair("next", "expired")],
        "not this one"
    );
    assert_eq!(fixture.starts.len(), 1, "nothing else runs meanwhile");
    fixture.later(Duration::from_secs(5));
    fixture.settled(31, Reconciled::Settled(paid()));
    assert_eq!(fixture.statuses()[0], pair("a", "ok"));
}

#[test]
fn a_device_that_goes_away_before_it_can_tell_is_asked_when_it_is_back() {
    let mut fixture = Fixture::broken_payment();
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.settled(0, not_yet(5, 180));
    fixture.condition("till-1", Condition::Fault(fault().reason));
    fixture.later(Duration::from_secs(6));
    assert_eq!(fixture.asked.len(), 1);
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    assert_eq!(fixture.asked.len(), 2);
    fixture.settled(1, Reconciled::Settled(paid()));
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
}

#[test]
fn a_verdict_that_comes_while_the_end_is_being_stored_counts() {
    let mut fixture = Fixture::broken_payment();
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.journal_answers = false;
    fixture.later(Duration::from_mins(10));
    assert_eq!(fixture.statuses(), [], "being stored");
    fixture.settled(0, Reconciled::Settled(paid()));
    fixture.journal_answers = true;
    fixture.journal_answer();
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
    assert_eq!(
        fixture.kept[&CallNo(1)].effect(),
        Effect::Done,
        "journalled"
    );
    fixture.pay("ws-1", "a", "till-1", 500);
    assert_eq!(
        fixture.statuses(),
        [pair("a", "ok")],
        "and told who asks again"
    );
}

#[test]
fn health_counts_what_is_unresolved_and_totals_over_all_devices() {
    let mut fixture = Fixture::broken_payment();
    let totals = |fixture: &Fixture| fixture.dispatcher.health(fixture.now).totals.unwrap();
    assert_eq!(
        totals(&fixture).calls_unresolved,
        0,
        "the caller still waits"
    );
    fixture.later(Duration::from_mins(10));
    let told = totals(&fixture);
    assert_eq!((told.calls_unresolved, told.calls_outcome_unknown), (1, 1));
    assert_eq!((told.devices_ready, told.devices_fault), (1, 1));
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.settled(0, undecided());
    fixture.pay("ws-1", "b", "till-2", 5);
    fixture.finish(1, paid());
    fixture.pay("ws-1", "c", "till-2", 5);
    fixture.pay("ws-1", "d", "till-2", 5);
    let told = totals(&fixture);
    assert_eq!(
        (told.calls_unresolved, told.calls_ok, told.calls_failed),
        (1, 1, 1)
    );
    assert_eq!(
        (told.calls_queued, told.devices_fault),
        (1, 1),
        "till-1 is locked"
    );
    fixture.resolve("tech", "r", "a", "done");
    assert_eq!(totals(&fixture).calls_unresolved, 0);
}
