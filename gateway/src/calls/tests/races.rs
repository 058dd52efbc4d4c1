//! Cancelling against everything that can happen meanwhile: the card, the booking, a broken line,
//! a deadline, a shutdown. Thousands of schedules, each played from its seed.

use std::{collections::BTreeMap, time::Instant};

use futures_util::FutureExt;
use koffer_drivers::{Fault, Reconciled};
use koffer_proto::Reason;
use koffer_proto::Response;

use super::*;

/// Schedules that are played.
const SEEDS: u64 = 6_000;

struct Dice(fastrand::Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0.usize(..sides)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.roll(n) == 0
    }
}

/// How far the terminal is with the payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The command is not sent.
    Idle,
    /// It waits for a card; an abort is obeyed.
    AwaitsCard,
    /// Card and host: an abort is refused.
    Committed,
    /// Money moved.
    Booked,
    /// It told how it ended, or can no longer.
    Over,
}

/// A terminal with its driver, as seen from the dispatcher, and what really happened in it.
struct Terminal {
    phase: Phase,
    booked: bool,
    connected: bool,
    abort_seen: bool,
}

/// One schedule: an fixture, a terminal, and dice.
struct Race {
    fixture: Fixture,
    terminal: Terminal,
    /// Its records could not be read.
    undecided: bool,
    dice: Dice,
    /// The cancel calls, and when they were made.
    cancels: Vec<(String, Instant)>,
    /// Every completion, and when it was sent, in order.
    answers: Vec<(String, Value, Instant)>,
    trace: Vec<&'static str>,
}

impl Race {
    fn new(seed: u64) -> Self {
        Self {
            fixture: Fixture::new(),
            terminal: Terminal {
                phase: Phase::Idle,
                booked: false,
                connected: true,
                abort_seen: false,
            },
            undecided: false,
            dice: Dice::new(seed),
            cancels: Vec::new(),
            answers: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn payment(&self) -> Option<usize> {
        self.fixture
            .starts
            .iter()
            .position(|start| start.call.id.to_string() == "a")
    }

    fn collect(&mut self) {
        let sent = std::mem::take(&mut self.fixture.published);
        for message in sent {
            if message.topic.ends_with("/progress") {
                continue;
            }
            let id = message.properties.correlation_data.clone().unwrap();
            let id = String::from_utf8(id.to_vec()).unwrap();
            let answer = serde_json::from_slice(&message.payload).unwrap();
            self.answers.push((id, answer, self.fixture.now.instant));
        }
    }

    fn cancel(&mut self) {
        let id = format!("cancel-{}", self.cancels.len());
        let client = ["ws-1", "tech"][self.dice.roll(2)];
        let params = json!({"call": "a", "client": "ws-1"});
        self.fixture.call(client, &id, "gateway/cancel", &params);
        self.cancels.push((id, self.fixture.now.instant));
        self.trace.push("cancel");
    }

    fn finish(&mut self, outcome: Outcome<Response>) {
        if let Some(start) = self.payment() {
            self.terminal.phase = Phase::Over;
            self.fixture.finish(start, outcome);
        }
    }

    /// The driver looks at what it is asked, and at the terminal.
    async fn drive(&mut self) {
        let Some(start) = self.payment() else { return };
        let stopped = self.fixture.starts[start].call.stopped().now_or_never();
        match self.terminal.phase {
            Phase::Idle if stopped.is_some() => {
                self.trace.push("stopped before it began");
                self.finish(failed(Status::Cancelled, Effect::None));
            }
            Phase::Idle => {
                self.trace.push("begins");
                let call = &self.fixture.starts[start].call;
                call.effect_may_begin().await.unwrap();
                self.told(start, CallUpdate::EffectBegun);
                self.terminal.phase = Phase::AwaitsCard;
            }
            Phase::AwaitsCard if stopped.is_some() && !self.terminal.abort_seen => {
                self.trace.push("abort sent");
                self.terminal.abort_seen = true;
            }
            Phase::AwaitsCard if self.terminal.abort_seen => {
                self.trace.push("aborted");
                self.finish(failed(Status::Cancelled, Effect::None));
            }
            Phase::AwaitsCard => {
                self.trace.push("card");
                self.terminal.phase = Phase::Committed;
                if self.dice.one_in(2) {
                    self.told(start, CallUpdate::PastCancelling);
                }
            }
            Phase::Committed if self.dice.one_in(4) => {
                self.trace.push("declined");
                self.finish(failed(Status::Declined, Effect::None));
            }
            Phase::Committed => {
                self.trace.push("booked");
                self.terminal.booked = true;
                self.terminal.phase = Phase::Booked;
                if stopped.is_some() {
                    self.told(start, CallUpdate::PastCancelling);
                }
            }
            Phase::Booked => {
                self.trace.push("told");
                self.finish(paid());
            }
            Phase::Over => {}
        }
    }

    fn told(&mut self, start: usize, told: CallUpdate) {
        let (device, no) = (
            self.fixture.starts[start].device.clone(),
            self.fixture.starts[start].no,
        );
        self.fixture
            .handle(Input::Device(device, SupervisorEvent::CallUpdate(no, told)));
    }

    /// The line breaks. A terminal that has a card goes on by itself, or gives up.
    fn disconnect(&mut self) {
        self.trace.push("disconnected");
        self.terminal.connected = false;
        let fault = Fault::new("connection-lost", "", "").reason;
        self.fixture.condition("till-1", Condition::Fault(fault));
        let Some(start) = self.payment() else { return };
        let begun = self.fixture.starts[start].control.effect_begun();
        if matches!(self.terminal.phase, Phase::AwaitsCard | Phase::Committed) {
            self.terminal.booked = self.dice.one_in(2);
        }
        if self.terminal.phase != Phase::Over {
            self.finish(if begun {
                Outcome::Failed(Failure::outcome_unknown("The line broke."))
            } else {
                failed(Status::DeviceFault, Effect::None)
            });
        }
    }

    fn reconnect(&mut self) {
        self.trace.push("reconnected");
        self.terminal.connected = true;
        self.fixture
            .condition("till-1", Condition::Usable(Vec::new()));
    }

    /// The driver has read the terminal's records.
    fn reconcile(&mut self) {
        let (device, no) = self.fixture.asked.remove(0);
        self.trace.push("records read");
        let reconciled = if self.dice.one_in(5) {
            self.undecided = true;
            Reconciled::Undecided(Reason::new("unclear", "", ""))
        } else if self.terminal.booked {
            Reconciled::Settled(paid())
        } else {
            Reconciled::Settled(failed(Status::DeviceFault, Effect::None))
        };
        self.fixture.handle(Input::Device(
            device,
            SupervisorEvent::Reconciled(no, reconciled),
        ));
    }

    async fn play(&mut self) {
        let waits = self.dice.one_in(3);
        if waits {
            self.fixture.pay("ws-2", "before", "till-1", 100);
        }
        self.fixture.pay("ws-1", "a", "till-1", 500);
        let mut before = waits;
        for _ in 0..40 {
            match self.dice.roll(14) {
                0 | 1 if self.cancels.len() < 3 => self.cancel(),
                2 if self.terminal.connected && self.dice.one_in(3) => self.disconnect(),
                3 | 4 if !self.terminal.connected => self.reconnect(),
                5 | 6 if !self.fixture.asked.is_empty() => self.reconcile(),
                7 if before => {
                    before = false;
                    self.fixture.finish(0, paid());
                }
                8 if self.dice.one_in(4) => self.fixture.later(Duration::from_secs(20)),
                9 if self.dice.one_in(20) => self.fixture.handle(Input::Shutdown),
                _ if self.terminal.connected => self.drive().await,
                _ => {}
            }
            self.collect();
        }
        // Whatever is left comes to its end.
        if before {
            self.fixture.finish(0, paid());
        }
        for _ in 0..12 {
            if !self.terminal.connected {
                self.reconnect();
            }
            while !self.fixture.asked.is_empty() {
                self.reconcile();
            }
            self.drive().await;
        }
        self.fixture.later(Duration::from_mins(5));
        self.collect();
    }

    fn answers_of(&self, id: &str) -> Vec<&Value> {
        let of = self.answers.iter().filter(|(answered, ..)| answered == id);
        of.map(|(_, answer, _)| answer).collect()
    }

    /// Whether a cancel call was answered before the payment, and not because it ran out of time.
    fn decided_early(&self, id: &str, made: Instant) -> bool {
        let at = |id: &str| {
            self.answers
                .iter()
                .position(|(answered, ..)| answered == id)
        };
        let answered = at(id).unwrap();
        let in_time = self.answers[answered].2 < made + Duration::from_mins(1);
        answered < at("a").unwrap() && in_time
    }

    fn judge(&self, seen: &mut BTreeMap<String, u32>) {
        let [payment] = self.answers_of("a")[..] else {
            panic!("completions of the payment: {:?}", self.answers_of("a"));
        };
        let status = payment["status"].as_str().unwrap();
        let effect = payment["effect"].as_str().unwrap_or("done");
        let runs = self
            .fixture
            .starts
            .iter()
            .filter(|s| s.call.id.to_string() == "a");
        assert!(runs.count() <= 1, "ran twice");
        match effect {
            "none" => assert!(!self.terminal.booked, "none, and money moved"),
            "done" => assert!(self.terminal.booked, "done, and no money moved"),
            "unknown" => assert!(
                self.undecided || self.trace.contains(&"disconnected"),
                "unknown, and it could be known"
            ),
            other => panic!("{other}"),
        }
        for (id, made) in &self.cancels {
            let [answer] = self.answers_of(id)[..] else {
                panic!("answers to {id}: {:?}", self.answers_of(id));
            };
            assert_eq!(answer["status"], "ok", "{answer}");
            let verdict = answer["result"]["verdict"].as_str().unwrap();
            match verdict {
                "cancelled" => {
                    assert_eq!((status, effect), ("cancelled", "none"), "told cancelled");
                    assert!(!self.terminal.booked);
                }
                "too-late" => assert!(
                    status != "cancelled" || !self.decided_early(id, *made),
                    "told too late, and then it was cancelled"
                ),
                other => panic!("the call is known: {other}"),
            }
            *seen.entry(format!("{verdict} {status}")).or_default() += 1;
        }
    }
}

fn failed(status: Status, effect: Effect) -> Outcome<Response> {
    Outcome::Failed(match effect {
        Effect::None if status == Status::Declined => Failure::without_effect(status, ""),
        effect => Failure::unfinished(status, effect, ""),
    })
}

#[tokio::test(start_paused = true)]
async fn cancelling_is_answered_with_the_truth_at_every_interleaving() {
    let mut seen = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut race = Race::new(seed);
        race.play().await;
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            race.judge(&mut seen);
        }));
        assert!(judged.is_ok(), "seed {seed}: {:?}", race.trace);
    }
    // The schedules reach what they are for.
    for met in [
        "cancelled cancelled",
        "too-late ok",
        "too-late declined",
        "too-late device-fault",
        "too-late outcome-unknown",
    ] {
        assert!(seen.get(met).is_some_and(|n| *n > 50), "{met}: {seen:?}");
    }
}

#[test]
fn a_call_that_nobody_made_is_unknown() {
    let mut fixture = Fixture::new();
    fixture.call("ws-1", "c", "gateway/cancel", &json!({"call": "never"}));
    assert_eq!(fixture.last_result()["verdict"], "unknown");
    fixture.pay("ws-2", "theirs", "till-1", 100);
    fixture.call("ws-1", "d", "gateway/cancel", &json!({"call": "theirs"}));
    assert_eq!(
        fixture.last_result()["verdict"],
        "unknown",
        "another's call is none of mine"
    );
}
