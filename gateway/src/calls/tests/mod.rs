//! The desk's promises, each tried without a clock, a channel or a task.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::Timestamp;
use koffer_drivers::{NotStored, Report, Stop, Told};
use koffer_proto::{
    Class, Completion, ContentType, DeviceId, DeviceState, Effect, Failure, Outcome, ProgressEvent,
    Response, Root, Status,
    class::{
        any_device::ClaimParams,
        gateway::{CancelParams, CancelVerdict},
        payment,
    },
};
use serde_json::{Value, json};

use super::*;
use crate::{
    bus::{Message, Properties},
    journal::{Journal, Memory, Volatile},
};

mod brief;
mod doubts;
mod races;
mod roles;

/// A desk, a clock, and everything it did.
struct Office {
    desk: Desk,
    now: Moment,
    tickets: u64,
    published: Vec<Message>,
    acknowledged: Vec<Ticket>,
    starts: Vec<Start>,
    asked: Vec<(DeviceId, CallNo)>,
    reads: Vec<Asked>,
    resolved: Vec<Resolved>,
    kept: BTreeMap<CallNo, Arc<Completion<Response>>>,
    states: Vec<(DeviceId, DeviceState)>,
    to_store: Vec<(CallNo, StoredStep)>,
    journal_works: bool,
    journal_answers: bool,
}

impl Office {
    fn new() -> Self {
        let class = |name: &str| (name.parse().unwrap(), Class::Payment);
        let rights = |role, classes: &[Class]| Rights {
            role,
            classes: classes.iter().copied().collect(),
            resolves: false,
        };
        let clients = ["ws-1", "ws-2"].map(|name| {
            (
                name.parse().unwrap(),
                rights(ClientRole::Workstation, &[Class::Payment]),
            )
        });
        let technician = ("tech".parse().unwrap(), rights(ClientRole::Technician, &[]));
        let now = Moment {
            instant: Instant::now(),
            wall: Timestamp::UNIX_EPOCH,
        };
        let setup = Setup {
            root: Root::new("case-7".parse().unwrap()),
            policy: Policy::new(clients.into_iter().chain([technician])),
            limits: Limits {
                max_payload: 10_000,
                queue_per_device: 2,
                open_calls: 100,
                kept_calls: 100,
                confidential_kept: Duration::from_mins(2),
            },
            devices: vec![class("till-1"), class("till-2")],
            roles: BTreeMap::from([(
                "any-till".parse().unwrap(),
                vec!["till-1".parse().unwrap(), "till-2".parse().unwrap()],
            )]),
            last_no: CallNo(0),
            effects: Arc::new(|no, device| Volatile.effects(no, device)),
            vitals: Box::new(|| Vitals {
                uptime: Duration::ZERO,
                rss_bytes: 0,
                outbox: 0,
                broker_reconnects: 0,
                broker: "embedded",
                journal_bytes: None,
                journal_reason: None,
                tasks: 1,
                uplink: None,
            }),
            attached: Box::new(Vec::new),
        };
        let mut office = Self {
            desk: Desk::new(setup, now),
            now,
            tickets: 0,
            published: Vec::new(),
            acknowledged: Vec::new(),
            starts: Vec::new(),
            asked: Vec::new(),
            reads: Vec::new(),
            resolved: Vec::new(),
            kept: BTreeMap::new(),
            states: Vec::new(),
            to_store: Vec::new(),
            journal_works: true,
            journal_answers: true,
        };
        office.handle(Input::Remembered(Memory::default()));
        for device in ["till-1", "till-2"] {
            office.condition(device, Condition::Usable(Vec::new()));
        }
        office
    }

    fn handle(&mut self, input: Input) {
        for action in self.desk.handle(self.now, input) {
            match action {
                Action::Publish(message) => self.published.push(message),
                Action::Answer(letter) => self.published.extend(letter.seal()),
                Action::Acknowledge(ticket) => self.acknowledged.push(ticket),
                Action::Start(start) => self.starts.push(start),
                Action::State(device, document) => self.states.push((device, document.state)),
                Action::StoreAccepted(call) => {
                    self.to_store.push((call.no, StoredStep::Accepted));
                }
                Action::StoreFinished(no, completion) => {
                    self.kept.insert(no, completion);
                    self.to_store.push((no, StoredStep::Finished));
                }
                Action::StoreResolved(resolved) => {
                    self.kept
                        .insert(resolved.target, resolved.completion.clone());
                    self.to_store.push((resolved.no, StoredStep::Resolved));
                    self.resolved.push(resolved);
                }
                Action::Read(asked) => self.reads.push(asked),
                Action::Settle(device, no) => self.asked.push((device, no)),
                Action::Describe(..) | Action::Event(..) => {}
            }
        }
        if self.journal_answers {
            self.journal_answer();
        }
    }

    fn journal_answer(&mut self) {
        for (no, step) in std::mem::take(&mut self.to_store) {
            let result = if self.journal_works {
                Ok(())
            } else {
                Err(NotStored::new("voll", "disk full"))
            };
            self.handle(Input::Stored { no, step, result });
        }
    }

    fn condition(&mut self, device: &str, condition: Condition) {
        self.handle(Input::Device(
            device.parse().unwrap(),
            News::Condition(condition),
        ));
    }

    fn message(client: &str, id: &str, path: &str, payload: &Value) -> Message {
        let mut message = Message::new(
            format!("koffer/1/case-7/call/{client}/{path}"),
            Bytes::from(ContentType::Json.encode(payload).unwrap()),
        );
        message.properties = Properties {
            response_topic: Some(format!("koffer/1/case-7/reply/{client}/a")),
            correlation_data: Some(Bytes::from(id.to_owned())),
            message_expiry: Some(60),
            content_type: Some("application/json".to_owned()),
            user: vec![("lang".to_owned(), "en".to_owned())],
            ..Properties::default()
        };
        message
    }

    fn send(&mut self, message: Message, redelivered: bool) {
        self.tickets += 1;
        self.handle(Input::Call {
            message,
            redelivered,
            ticket: Ticket(self.tickets),
        });
    }

    fn call(&mut self, client: &str, id: &str, path: &str, payload: &Value) {
        self.send(Self::message(client, id, path, payload), false);
    }

    fn pay(&mut self, client: &str, id: &str, device: &str, cents: u64) {
        self.call(client, id, &format!("{device}/pay"), &payment_of(cents));
    }

    fn finish(&mut self, start: usize, outcome: Outcome<Response>) {
        let (device, no) = (self.starts[start].device.clone(), self.starts[start].no);
        self.handle(Input::Device(device, News::Finished(no, outcome)));
    }

    fn later(&mut self, after: Duration) {
        self.now.instant += after;
        self.now.wall += after;
        self.handle(Input::Tick);
    }

    /// The progress sent since the last look, as "call id, event, number".
    fn progress(&mut self) -> Vec<String> {
        let sent = std::mem::take(&mut self.published);
        let progress = sent
            .iter()
            .filter(|message| message.topic.ends_with("/progress"));
        progress
            .map(|message| {
                let told: Value = ContentType::Json.decode(&message.payload).unwrap();
                let id = message.properties.correlation_data.as_deref().unwrap();
                let id = String::from_utf8_lossy(id);
                format!("{id} {} {}", told["event"].as_str().unwrap(), told["seq"])
            })
            .collect()
    }

    /// The completions sent since the last look, as (topic's client, call id, status, effect).
    fn completions(&mut self) -> Vec<(String, String, String, String)> {
        let sent = std::mem::take(&mut self.published);
        let completions = sent
            .iter()
            .filter(|message| !message.topic.ends_with("/progress"));
        completions
            .map(|message| {
                let value: Value = serde_json::from_slice(&message.payload).unwrap();
                let id = message
                    .properties
                    .correlation_data
                    .clone()
                    .unwrap_or_default();
                let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
                let client = message.topic.split('/').nth(4).unwrap().to_owned();
                (
                    client,
                    String::from_utf8(id.to_vec()).unwrap(),
                    text("status"),
                    text("effect"),
                )
            })
            .collect()
    }

    fn statuses(&mut self) -> Vec<(String, String)> {
        self.completions()
            .into_iter()
            .map(|(_, id, status, _)| (id, status))
            .collect()
    }

    fn last_result(&self) -> Value {
        let message = self
            .published
            .iter()
            .rfind(|m| !m.topic.ends_with("/progress"))
            .unwrap();
        serde_json::from_slice::<Value>(&message.payload).unwrap()["result"].clone()
    }
}

fn payment_of(cents: u64) -> Value {
    json!({"amount": {"cents": cents, "currency": "EUR"}})
}

fn paid() -> Outcome<Response> {
    Outcome::Ok(
        payment::Response::Pay(payment::Transaction {
            receipt: 231,
            trace: 1077,
            terminal: "68000123".to_owned(),
            amount: None,
            card: None,
            pan: None,
            authorisation: None,
            merchant: None,
            terminal_time: None,
            recovered: false,
            receipts: Vec::new(),
        })
        .into(),
    )
}

fn jammed() -> Outcome<Response> {
    Outcome::Failed(Failure::without_effect(Status::DeviceFault, "jammed"))
}

fn pair(id: &str, status: &str) -> (String, String) {
    (id.to_owned(), status.to_owned())
}

#[test]
fn a_call_runs_once_and_is_answered_once() {
    let mut office = Office::new();
    office.pay("ws-1", "a", "till-1", 3780);
    assert_eq!(office.starts.len(), 1);
    assert_eq!(office.acknowledged, [Ticket(1)]);
    assert!(office.completions().is_empty());
    office.finish(0, paid());
    assert_eq!(office.statuses(), [pair("a", "ok")]);
    assert!(office.desk.is_idle());
}

#[test]
fn a_call_is_acknowledged_only_when_the_journal_has_it_and_answered_when_it_has_the_end() {
    let mut office = Office::new();
    office.journal_answers = false;
    office.pay("ws-1", "a", "till-1", 3780);
    assert_eq!((office.starts.len(), office.acknowledged.len()), (1, 0));
    office.journal_answer();
    assert_eq!((office.starts.len(), office.acknowledged.len()), (1, 1));
    office.finish(0, paid());
    assert!(office.completions().is_empty(), "told before it was stored");
    office.journal_answer();
    assert_eq!(office.statuses(), [pair("a", "ok")]);
}

#[test]
fn how_a_call_ended_is_told_after_it_is_on_record_that_it_was_accepted() {
    let mut office = Office::new();
    office.journal_answers = false;
    office.pay("ws-1", "a", "till-1", 3780);
    office.finish(0, jammed());
    assert!(office.kept.is_empty() && office.completions().is_empty());
    office.journal_answer();
    assert_eq!(office.kept.len(), 1, "its end comes second");
    office.journal_answer();
    assert_eq!(office.statuses(), [pair("a", "device-fault")]);
}

#[tokio::test]
async fn without_a_journal_a_call_that_matters_is_stopped_and_was_never_taken() {
    for ended_first in [true, false] {
        let mut office = Office::new();
        office.journal_works = false;
        office.journal_answers = false;
        office.pay("ws-1", "a", "till-1", 3780);
        if ended_first {
            office.finish(0, jammed());
            office.journal_answer();
        } else {
            office.pay("ws-1", "behind", "till-1", 3780);
            office.journal_answer();
            assert_eq!(office.starts[0].call.stopped().await, Stop::Cancelled);
            assert_eq!(office.statuses(), [pair("behind", "unavailable")]);
            office.finish(0, jammed());
        }
        let mut told = office.statuses();
        told.retain(|(id, _)| id == "a");
        assert_eq!(told, [pair("a", "unavailable")]);
        assert!(office.kept.is_empty(), "what was not taken has no end");
        assert!(office.desk.is_idle());
        assert_eq!(office.starts.len(), 1);
        office.call("ws-1", "b", "till-1/status", &json!({}));
        assert_eq!(office.starts.len(), 2);
    }
}

#[test]
fn a_call_that_could_not_be_put_on_record_names_no_device_and_may_be_made_again() {
    let mut office = Office::new();
    office.journal_works = false;
    office.pay("ws-1", "a", "till-1", 3780);
    office.finish(0, jammed());
    let refused: Value = serde_json::from_slice(&office.published[0].payload).unwrap();
    assert_eq!(refused["status"], "unavailable");
    assert_eq!(refused.get("device"), None);
    office.journal_works = true;
    office.pay("ws-1", "a", "till-1", 3780);
    assert_eq!(office.starts.len(), 2);
}

#[test]
fn the_same_call_id_joins_replays_or_conflicts_and_never_runs_again() {
    let mut office = Office::new();
    office.pay("ws-1", "a", "till-1", 3780);
    office.pay("ws-1", "a", "till-1", 3780);
    let mut elsewhere = Office::message("ws-1", "a", "till-1/pay", &payment_of(3780));
    elsewhere.properties.response_topic = Some("koffer/1/case-7/reply/ws-1/b".to_owned());
    office.send(elsewhere, true);
    office.pay("ws-1", "a", "till-1", 1);
    assert_eq!(office.statuses(), [pair("a", "conflict")]);
    office.finish(0, paid());
    assert_eq!(
        office.statuses(),
        [pair("a", "ok"), pair("a", "ok")],
        "one per place"
    );
    office.later(Duration::from_hours(23));
    office.pay("ws-1", "a", "till-1", 3780);
    assert_eq!(office.statuses(), [pair("a", "ok")]);
    assert_eq!(office.starts.len(), 1);
    assert_eq!(office.acknowledged.len(), 5);
    office.pay("ws-2", "a", "till-1", 3780);
    assert_eq!(office.starts.len(), 2, "another client's id is another id");
}

#[test]
fn a_redelivered_call_that_is_not_known_never_runs() {
    let mut office = Office::new();
    office.send(
        Office::message("ws-1", "a", "till-1/pay", &payment_of(5)),
        true,
    );
    assert_eq!(office.statuses(), [pair("a", "expired")]);
    let mut forgetful = Office::new();
    forgetful.desk = Office::new().desk;
    forgetful.desk.remembers_everything = false;
    forgetful.condition("till-1", Condition::Usable(Vec::new()));
    forgetful.send(
        Office::message("ws-1", "a", "till-1/pay", &payment_of(5)),
        true,
    );
    forgetful.send(
        Office::message("ws-1", "b", "till-1/status", &json!({})),
        true,
    );
    assert_eq!(
        forgetful.statuses(),
        [pair("a", "outcome-unknown"), pair("b", "expired")],
        "only what might have had an effect is unknown"
    );
    assert!(forgetful.starts.is_empty());
}

#[test]
fn a_full_queue_answers_busy_at_once_and_the_id_can_be_used_again() {
    let mut office = Office::new();
    for id in ["a", "b", "c", "d"] {
        office.pay("ws-1", id, "till-1", 5);
    }
    assert_eq!(office.statuses(), [pair("d", "busy")]);
    for start in 0..3 {
        office.finish(start, paid());
    }
    office.pay("ws-1", "d", "till-1", 5);
    assert_eq!(office.starts.len(), 4);
}

#[test]
fn a_waiting_call_expires_and_a_running_one_is_left_to_its_driver() {
    let mut office = Office::new();
    office.pay("ws-1", "a", "till-1", 5);
    office.pay("ws-1", "b", "till-1", 5);
    let expires = office.now.instant + Duration::from_mins(1);
    office.later(desk::BRIEF);
    assert_eq!(office.desk.next_tick(), Some(expires));
    office.later(Duration::from_mins(1));
    assert_eq!(office.statuses(), [pair("b", "expired")]);
    office.finish(0, paid());
    assert_eq!(office.statuses(), [pair("a", "ok")]);
    assert_eq!(office.starts.len(), 1);
}

#[test]
fn cancelling_answers_cancelled_too_late_or_unknown() {
    let cancel = |call: &str| {
        json!(CancelParams {
            call: call.parse().unwrap(),
            client: None
        })
    };
    let verdict = |office: &Office| {
        serde_json::from_value::<CancelVerdict>(office.last_result()["verdict"].clone()).unwrap()
    };
    let mut office = Office::new();
    office.pay("ws-1", "running", "till-1", 5);
    office.pay("ws-1", "waiting", "till-1", 5);
    office.call("ws-1", "c1", "gateway/cancel", &cancel("waiting"));
    assert_eq!(verdict(&office), CancelVerdict::Cancelled);
    assert_eq!(
        office.statuses(),
        [pair("waiting", "cancelled"), pair("c1", "ok")]
    );

    office.call("ws-1", "c2", "gateway/cancel", &cancel("running"));
    assert!(office.completions().is_empty(), "only the driver can tell");
    let stopped = Outcome::Failed(Failure::unfinished(Status::Cancelled, Effect::None, ""));
    office.finish(0, stopped);
    assert_eq!(verdict(&office), CancelVerdict::Cancelled);
    assert_eq!(
        office.statuses(),
        [pair("running", "cancelled"), pair("c2", "ok")]
    );

    office.pay("ws-1", "late", "till-1", 5);
    office.call("ws-1", "c3", "gateway/cancel", &cancel("late"));
    let (device, no) = (office.starts[1].device.clone(), office.starts[1].no);
    office.handle(Input::Device(device, News::Told(no, Told::PastCancelling)));
    assert_eq!(verdict(&office), CancelVerdict::TooLate);
    office.finish(1, paid());
    office.call("ws-1", "c4", "gateway/cancel", &cancel("late"));
    assert_eq!(verdict(&office), CancelVerdict::TooLate);
    office.call("ws-2", "c5", "gateway/cancel", &cancel("late"));
    assert_eq!(
        verdict(&office),
        CancelVerdict::Unknown,
        "another's call is not seen"
    );
}

#[tokio::test]
async fn a_cancelled_driver_is_asked_to_stop() {
    let mut office = Office::new();
    office.pay("ws-1", "a", "till-1", 5);
    office.call("ws-1", "c", "gateway/cancel", &json!({"call": "a"}));
    assert_eq!(office.starts[0].call.stopped().await, Stop::Cancelled);
}

#[test]
fn a_claim_keeps_others_out_until_its_lease_runs_out() {
    let mut office = Office::new();
    let claim = json!({"lease_ms": 10_000});
    office.call("ws-1", "c", "till-1/claim", &claim);
    let token = office.last_result()["token"].as_str().unwrap().to_owned();
    assert_eq!(office.states.last().unwrap().1, DeviceState::Claimed);
    office.statuses();

    office.pay("ws-2", "a", "till-1", 5);
    office.pay("ws-1", "b", "till-1", 5);
    office.call("ws-2", "d", "till-1/claim", &claim);
    let expected = ["a", "b", "d"].map(|id| pair(id, "claimed"));
    assert_eq!(office.statuses(), expected);
    let mut with_token = Office::message("ws-1", "e", "till-1/pay", &payment_of(5));
    with_token
        .properties
        .user
        .push(("claim".to_owned(), token.clone()));
    office.send(with_token, false);
    assert_eq!(office.starts.len(), 1);
    office.finish(0, paid());
    office.statuses();

    office.later(Duration::from_secs(10));
    assert_eq!(office.states.last().unwrap().1, DeviceState::Ready);
    office.pay("ws-2", "f", "till-1", 5);
    assert_eq!(office.starts.len(), 2);
}

#[test]
fn only_a_technician_takes_a_claim_over() {
    let mut office = Office::new();
    office.call("ws-1", "a", "till-1/claim", &json!({"lease_ms": 10_000}));
    let over = ClaimParams {
        lease_ms: 10_000.try_into().unwrap(),
        take_over: true,
    };
    office.call("ws-2", "b", "till-1/claim", &json!(over));
    office.call("tech", "c", "till-1/claim", &json!(over));
    let expected = [pair("a", "ok"), pair("b", "denied"), pair("c", "ok")];
    assert_eq!(office.statuses(), expected);
}

#[test]
fn a_role_goes_to_the_first_device_that_is_ready() {
    let mut office = Office::new();
    office.condition(
        "till-1",
        Condition::Fault(koffer_proto::Reason::new("no-answer", "", "")),
    );
    office.pay("ws-1", "a", "any-till", 5);
    assert_eq!(office.starts[0].device.as_str(), "till-2");
    office.pay("ws-1", "b", "till-1", 5);
    assert_eq!(office.statuses(), [pair("b", "unavailable")]);
    office.condition("till-1", Condition::Usable(Vec::new()));
    office.pay("ws-1", "c", "any-till", 5);
    assert_eq!(office.starts[1].device.as_str(), "till-1");
    office.pay("ws-1", "d", "any-till", 5);
    assert_eq!(
        office.starts.len(),
        2,
        "both are busy: it waits for the first"
    );
    office.finish(1, paid());
    assert_eq!(office.starts[2].device.as_str(), "till-1");
}

#[test]
fn a_blocked_device_hands_its_roles_effects_to_the_next_and_still_answers_questions() {
    let mut office = Office::new();
    let till = || "till-1".parse::<DeviceId>().unwrap();
    let empty = koffer_proto::Reason::new("media-empty", "", "");
    let blocked = Report::Blocked(vec![empty]);
    office.handle(Input::Device(till(), News::Report(blocked)));
    assert_eq!(office.states.last(), Some(&(till(), DeviceState::Fault)));
    office.pay("ws-1", "a", "any-till", 5);
    assert_eq!(office.starts[0].device.as_str(), "till-2");
    office.pay("ws-1", "b", "till-1", 5);
    assert_eq!(office.statuses(), [pair("b", "unavailable")]);
    office.call("ws-1", "c", "till-1/status", &json!({}));
    assert_eq!(office.starts[1].device.as_str(), "till-1");

    let well = Report::Reasons(Vec::new());
    office.handle(Input::Device(till(), News::Report(well)));
    assert_eq!(office.states.last(), Some(&(till(), DeviceState::Ready)));
    office.finish(0, paid());
    office.pay("ws-1", "d", "till-1", 5);
    assert_eq!(office.starts.len(), 2, "it waits for its turn");
}

#[test]
fn what_is_refused_starts_nothing_and_says_so() {
    let mut office = Office::new();
    office.call("stranger", "a", "till-1/pay", &payment_of(5));
    office.call("ws-1", "b", "no-till/pay", &payment_of(5));
    office.call("ws-1", "c", "till-1/dance", &json!({}));
    office.call("ws-1", "d", "till-1/pay", &payment_of(0));
    office.call(
        "ws-1",
        "e",
        "till-1/self-test",
        &json!({"level": "internal"}),
    );
    let told = office.completions();
    let statuses: Vec<_> = told
        .iter()
        .map(|(_, id, status, _)| format!("{id} {status}"))
        .collect();
    assert_eq!(
        statuses,
        [
            "a denied",
            "b unknown-device",
            "c unsupported",
            "d bad-request",
            "e denied"
        ]
    );
    assert!(told.iter().all(|(.., effect)| effect == "none"));
    assert_eq!(office.acknowledged.len(), 5);
    assert!(office.starts.is_empty());
}

#[test]
fn shutdown_answers_every_accepted_call() {
    let mut office = Office::new();
    office.pay("ws-1", "a", "till-1", 5);
    office.pay("ws-1", "b", "till-1", 5);
    office.handle(Input::Shutdown);
    assert_eq!(office.statuses(), [pair("b", "unavailable")]);
    office.pay("ws-1", "c", "till-2", 5);
    assert_eq!(office.statuses(), [pair("c", "unavailable")]);
    assert!(!office.desk.is_idle());
    office.finish(0, paid());
    assert_eq!(office.statuses(), [pair("a", "ok")]);
    assert!(office.desk.is_idle());
}

#[test]
fn a_reset_reaches_a_device_at_fault() {
    let mut office = Office::new();
    office.condition(
        "till-1",
        Condition::Fault(koffer_proto::Reason::new("driver-hung", "", "")),
    );
    office.call("tech", "a", "till-1/reset", &json!({}));
    assert_eq!(office.starts.len(), 1);
}
