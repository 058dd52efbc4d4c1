//! The dispatcher as its tests see it: the clock is theirs, and what it does is kept for them.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use bytes::Bytes;
use jiff::Timestamp;
use koffer_drivers::NotStored;
use koffer_proto::{Class, Completion, ContentType, Response, Root, class::payment};

use super::{super::decoding::Decoded, *};
use crate::{
    bus::{Message, Properties},
    journal::{Journal as _, Snapshot, Volatile},
};

/// A dispatcher, a clock, and everything it did.
pub(super) struct Fixture {
    pub(super) dispatcher: Dispatcher,
    pub(super) now: Moment,
    pub(super) acks: u64,
    pub(super) published: Vec<Message>,
    pub(super) acknowledged: Vec<AckToken>,
    pub(super) starts: Vec<Start>,
    pub(super) asked: Vec<(DeviceId, CallNo)>,
    pub(super) asked_after: Vec<Duration>,
    pub(super) reads: Vec<Replay>,
    pub(super) resolved: Vec<Resolved>,
    pub(super) kept: BTreeMap<CallNo, Arc<Completion<Response>>>,
    pub(super) roles: BTreeMap<koffer_proto::Segment, koffer_proto::RoleDescription>,
    pub(super) states: Vec<(DeviceId, DeviceState)>,
    /// What is retained of each device's state.
    pub(super) retained: BTreeMap<DeviceId, String>,
    pub(super) to_store: Vec<(CallNo, StoredStep)>,
    /// Calls whose end has to be put on record.
    pub(super) unrecorded: Vec<CallNo>,
    pub(super) to_decode: Vec<(Box<Undecoded>, Decoded)>,
    pub(super) journal_works: bool,
    pub(super) journal_answers: bool,
}

impl Fixture {
    pub(super) fn new() -> Self {
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
                max_payload: 210_000,
                queue_per_device: 2,
                open_calls: 100,
                memory: 2_800_000,
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
                clock_reason: None,
                tasks: 1,
                uplink: None,
            }),
            attached: Box::new(Vec::new),
        };
        let mut fixture = Self {
            dispatcher: Dispatcher::new(setup, now),
            now,
            acks: 0,
            published: Vec::new(),
            acknowledged: Vec::new(),
            starts: Vec::new(),
            asked: Vec::new(),
            asked_after: Vec::new(),
            reads: Vec::new(),
            resolved: Vec::new(),
            kept: BTreeMap::new(),
            states: Vec::new(),
            roles: BTreeMap::new(),
            retained: BTreeMap::new(),
            to_store: Vec::new(),
            unrecorded: Vec::new(),
            to_decode: Vec::new(),
            journal_works: true,
            journal_answers: true,
        };
        fixture.handle(Input::Snapshot(Snapshot::default()));
        for device in ["till-1", "till-2"] {
            fixture.condition(device, Condition::Usable(Vec::new()));
        }
        fixture
    }

    pub(super) fn handle(&mut self, input: Input) {
        for action in self.dispatcher.handle(self.now, input) {
            match action {
                Action::Publish(message) => self.published.push(message),
                Action::Decode(undecoded, payload) => {
                    let decoded = undecoded.form().decode(&payload);
                    self.to_decode.push((undecoded, decoded));
                }
                Action::Answer(reply) => self.published.extend(reply.encode()),
                Action::Acknowledge(ack) => self.acknowledged.push(ack),
                Action::Start(start) => self.starts.push(start),
                Action::Roles(roles) => self.roles = roles,
                Action::State(device, document) => {
                    let shown = serde_json::to_string(&document).unwrap();
                    self.retained.insert(device.clone(), shown);
                    self.states.push((device, document.state));
                }
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
                Action::AwaitRecord(no) => self.unrecorded.push(no),
                Action::Read(asked) => self.reads.push(asked),
                Action::Reconcile(device, no, known_for) => {
                    self.asked.push((device, no));
                    self.asked_after.push(known_for);
                }
                Action::Describe(..) | Action::Event(..) => {}
            }
        }
        if self.journal_answers {
            self.journal_answer();
        }
    }

    pub(super) fn journal_answer(&mut self) {
        for (no, step) in std::mem::take(&mut self.to_store) {
            let result = if self.journal_works {
                Ok(())
            } else {
                Err(NotStored::new("voll", "disk full"))
            };
            self.handle(Input::Stored { no, step, result });
        }
    }

    pub(super) fn condition(&mut self, device: &str, condition: Condition) {
        self.handle(Input::Device(
            device.parse().unwrap(),
            SupervisorEvent::Condition(condition),
        ));
    }

    pub(super) fn message(client: &str, id: &str, path: &str, payload: &Value) -> Message {
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

    pub(super) fn send(&mut self, message: Message, redelivered: bool) {
        self.acks += 1;
        self.handle(Input::Call {
            message,
            redelivered,
            ack: AckToken(self.acks),
        });
    }

    pub(super) fn call(&mut self, client: &str, id: &str, path: &str, payload: &Value) {
        self.send(Self::message(client, id, path, payload), false);
    }

    pub(super) fn pay(&mut self, client: &str, id: &str, device: &str, cents: u64) {
        self.call(client, id, &format!("{device}/pay"), &payment_of(cents));
    }

    pub(super) fn finish(&mut self, start: usize, outcome: Outcome<Response>) {
        let (device, no) = (self.starts[start].device.clone(), self.starts[start].no);
        self.handle(Input::Device(
            device,
            SupervisorEvent::Finished(no, outcome),
        ));
    }

    pub(super) fn later(&mut self, after: Duration) {
        self.now.instant += after;
        self.now.wall += after;
        self.handle(Input::Tick);
    }

    /// The progress sent since the last look, as "call id, event, number".
    pub(super) fn progress(&mut self) -> Vec<String> {
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
    pub(super) fn completions(&mut self) -> Vec<(String, String, String, String)> {
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

    pub(super) fn statuses(&mut self) -> Vec<(String, String)> {
        self.completions()
            .into_iter()
            .map(|(_, id, status, _)| (id, status))
            .collect()
    }

    pub(super) fn last_result(&self) -> Value {
        let message = self
            .published
            .iter()
            .rfind(|m| !m.topic.ends_with("/progress"))
            .unwrap();
        serde_json::from_slice::<Value>(&message.payload).unwrap()["result"].clone()
    }
}

pub(super) fn payment_of(cents: u64) -> Value {
    json!({"amount": {"cents": cents, "currency": "EUR"}})
}

pub(super) fn paid() -> Outcome<Response> {
    Outcome::Ok(
        payment::Response::Pay(payment::Transaction {
            receipt: Some(231),
            trace: Some(1077),
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

pub(super) fn jammed() -> Outcome<Response> {
    Outcome::Failed(Failure::without_effect(Status::DeviceFault, "jammed"))
}

pub(super) fn pair(id: &str, status: &str) -> (String, String) {
    (id.to_owned(), status.to_owned())
}
