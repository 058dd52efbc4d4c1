//! One faulty call, and what came of it.

use std::sync::Arc;

use koffer_drivers::payment::zvt::codec::apdu::Control;
use koffer_fixtures::zvt::{
    Bytes, Cardholder, CommandName, Event, Fault, Kind, Ledger, Phase, Step, TerminalControl, Until,
};
use koffer_tests::{counter::Counter, fault_table::Ending, office::Office};
use serde_json::{Value, json};

/// How the terminal is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Tcp,
    Serial,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Pay,
    Reverse,
    EndOfDay,
}

pub(crate) const OPERATIONS: [Operation; 3] =
    [Operation::Pay, Operation::Reverse, Operation::EndOfDay];

/// One faulty call.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) transport: Transport,
    pub(crate) operation: Operation,
    /// The row of the table.
    pub(crate) what: &'static str,
    pub(crate) fault: Fault,
    /// The call's deadline, in seconds.
    pub(crate) expiry: u32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) ending: Ending,
    /// How often the effect stands in the ledger.
    pub(crate) stands: usize,
    /// Whether the fault happened at all.
    pub(crate) happened: bool,
    pub(crate) completion: Value,
}

impl Operation {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pay => "pay",
            Self::Reverse => "reverse",
            Self::EndOfDay => "end-of-day",
        }
    }

    const fn control(self) -> (u8, u8) {
        match self {
            Self::Pay => (0x06, 0x01),
            Self::Reverse => (0x06, 0x30),
            Self::EndOfDay => (0x06, 0x50),
        }
    }

    /// The fault while this operation's command runs.
    pub(crate) fn fault(self, kind: Kind) -> Fault {
        self.during(Fault::new(kind))
    }

    pub(crate) fn during(self, fault: Fault) -> Fault {
        let (class, instruction) = self.control();
        fault.during(class, instruction)
    }

    /// The messages of the terminal, in their order.
    pub(crate) fn steps(self) -> &'static [Step] {
        match self {
            Self::Pay => &[
                Step::Ack,
                Step::Status,
                Step::Result,
                Step::Receipt,
                Step::Completion,
            ],
            Self::Reverse | Self::EndOfDay => {
                &[Step::Ack, Step::Result, Step::Receipt, Step::Completion]
            }
        }
    }

    /// Whether the effect is one booking.
    pub(crate) fn is_booked_singly(self) -> bool {
        self != Self::EndOfDay
    }

    /// How often its effect stands in what came into the ledger.
    fn stands(self, before: &Ledger, after: &Ledger) -> usize {
        let new = &after.entries()[before.entries().len()..];
        let count = |event| new.iter().filter(|entry| entry.event == event).count();
        match self {
            Self::Pay => count(Event::Booked).saturating_sub(count(Event::AutoReversed)),
            Self::Reverse => count(Event::Reversed).saturating_sub(count(Event::AutoReversed)),
            Self::EndOfDay => count(Event::Closed),
        }
    }
}

/// Healthy payments that a busy machine may spoil in a row.
const TRIES: u32 = 5;

fn payment() -> Value {
    json!({"amount": {"cents": 1010, "currency": "EUR"}})
}

/// One terminal and one workstation that works with nothing else.
pub(crate) struct Bench {
    counter: Arc<Counter>,
    control: TerminalControl,
    device: String,
}

impl Bench {
    pub(crate) async fn new(office: &Office, device: &str, counter: Arc<Counter>) -> Self {
        let control = office.terminal(device).control.clone();
        let hurried = Cardholder {
            inserts_after_ms: 0,
            pin_after_ms: 0,
            host_after_ms: 0,
            removes_after_ms: 0,
            ..Cardholder::default()
        };
        let settings =
            json!({"cardholder": hurried, "ack_timeout_ms": 300, "frame_ack_timeout_ms": 150});
        control.set(settings).await.expect("a hurried cardholder");
        counter.clerk.until_state(device, &["ready"]).await;
        Self {
            counter,
            control,
            device: device.to_owned(),
        }
    }

    /// Makes what the operation needs, and its parameters.
    async fn prepare(&self, operation: Operation) -> Value {
        match operation {
            Operation::Pay => payment(),
            Operation::Reverse => {
                let paid = self.healthy_payment().await;
                json!({"receipt": paid["result"]["receipt"]})
            }
            Operation::EndOfDay => {
                self.healthy_payment().await;
                json!({})
            }
        }
    }

    async fn healthy_payment(&self) -> Value {
        self.undisturbed(Operation::Pay, &payment()).await
    }

    /// An operation that nothing disturbs. On a busy machine the hurried terminal may still take one
    /// back whose acknowledgement came late; that is said truly, and it is made again.
    async fn undisturbed(&self, operation: Operation, params: &Value) -> Value {
        let clerk = &self.counter.clerk;
        let mut tries = 0;
        loop {
            let done = clerk.ask(&self.device, operation.name(), params, 30).await;
            if done["status"] == "ok" {
                return done;
            }
            let taken_back = done["effect"] == "none" && done["detail"]["cause"] == "taken-back";
            tries += 1;
            assert!(taken_back && tries < TRIES, "{}: {done}", self.device);
            clerk
                .until_state(&self.device, &["ready", "degraded"])
                .await;
        }
    }

    /// How many bytes the operation has, undisturbed.
    pub(crate) async fn bytes_of(&self, operation: Operation) -> Bytes {
        let params = self.prepare(operation).await;
        self.undisturbed(operation, &params).await;
        let (class, instruction) = operation.control();
        let command = CommandName(Control(class, instruction)).to_string();
        let counts = self.control.bytes().await.expect("counts");
        counts.by_command[&command]
    }

    /// Runs the case, and waits until the device is ready again. Where the busy machine made the
    /// hurried terminal take the booking back before the fault could happen, once more.
    pub(crate) async fn run(&self, case: &Case) -> Observed {
        for _ in 1..TRIES {
            let observed = self.run_once(case).await;
            let taken_back = observed.completion["detail"]["cause"] == "taken-back";
            if observed.happened || !taken_back || observed.stands > 0 {
                return observed;
            }
        }
        self.run_once(case).await
    }

    async fn run_once(&self, case: &Case) -> Observed {
        let params = self.prepare(case.operation).await;
        let clerk = &self.counter.clerk;
        clerk
            .until_state(&self.device, &["ready", "degraded"])
            .await;
        let before = self.control.ledger().await.expect("a ledger");
        self.control
            .faults(std::slice::from_ref(&case.fault))
            .await
            .expect("a fault");
        let name = case.operation.name();
        let mut call = clerk.call(&self.device, name, &params, case.expiry).await;
        let completion = call.completion().await;
        let report = self.control.happened().await.expect("a report");
        self.control.faults(&[]).await.expect("a healthy terminal");
        let seen = async || {
            let now = self.control.ledger().await.expect("a ledger");
            match case.operation.stands(&before, &now) {
                0 => "not-done",
                _ => "done",
            }
        };
        self.counter.ready_again(&self.device, &call.id, seen).await;
        // What the terminal does by itself after a missing acknowledgement is done by then.
        let idle = Until {
            phase: Some(Phase::Idle),
            ..Until::default()
        };
        self.control.wait(idle).await.expect("an idle terminal");
        let after = self.control.ledger().await.expect("a ledger");
        Observed {
            ending: Ending::of(&completion),
            stands: case.operation.stands(&before, &after),
            happened: !report.consumed.is_empty(),
            completion,
        }
    }
}
