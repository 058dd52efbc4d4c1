//! What is called, what it takes, and what its effect is.

use koffer_fixtures::zvt::{Event, Ledger, Phase, Until};
use koffer_proto::Blob;
use koffer_tests::{client::Workstation, office::Broker};
use serde_json::{Value, json};

use super::{
    office::{CLERK, DEVICE, Furniture, Office, TECHNICIAN},
    step::Step,
};

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Pay,
    PayMosquitto,
    PaySerial,
    PayFirst,
    PayKept,
    PayAlone,
    Reverse,
    Refund,
    EndOfDay,
    Print,
    Write,
    Transmit,
    Resolve,
}

/// What there is of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    Nothing,
    Part,
    All,
    Twice,
}

/// A call to be made.
pub(crate) struct Deed {
    pub(crate) caller: &'static str,
    pub(crate) target: &'static str,
    pub(crate) params: Value,
    before: Before,
}

/// What its effect is seen by.
enum Before {
    Ledger(Ledger),
    Document(Blob),
    /// What a file holds and shall hold, and how many updates the card has had.
    File {
        old: Vec<u8>,
        new: Vec<u8>,
        updates: usize,
    },
    /// What two files shall hold, and how many updates the card has had.
    Files([(u16, Vec<u8>); 2], usize),
    Unknown {
        call: String,
        params: Value,
    },
}

const FILE: u16 = 0x0101;

/// What a write and a batch take, each.
const UPDATES: usize = 2;

impl Operation {
    /// In the order of the page.
    pub(crate) const ALL: [Self; 13] = [
        Self::Pay,
        Self::PayMosquitto,
        Self::PaySerial,
        Self::PayFirst,
        Self::PayKept,
        Self::PayAlone,
        Self::Reverse,
        Self::Refund,
        Self::EndOfDay,
        Self::Print,
        Self::Write,
        Self::Transmit,
        Self::Resolve,
    ];

    /// As the contract calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pay
            | Self::PayMosquitto
            | Self::PaySerial
            | Self::PayFirst
            | Self::PayKept
            | Self::PayAlone => "pay",
            Self::Reverse => "reverse",
            Self::Refund => "refund",
            Self::EndOfDay => "end-of-day",
            Self::Print => "print",
            Self::Write => "write",
            Self::Transmit => "transmit",
            Self::Resolve => "resolve",
        }
    }

    /// As the page calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::PayMosquitto => "pay: with mosquitto",
            Self::PaySerial => "pay: a terminal on a serial line",
            Self::PayFirst => "pay: the first payment of a new terminal",
            Self::PayKept => "pay: a terminal that keeps what is not acknowledged",
            Self::PayAlone => "pay: a terminal that books late and does not say that it is busy",
            Self::Resolve => "gateway/resolve",
            _ => self.name(),
        }
    }

    /// Whose steps it passes.
    pub(crate) fn drivers(self) -> &'static [&'static str] {
        match self {
            Self::Pay
            | Self::PayMosquitto
            | Self::PaySerial
            | Self::PayFirst
            | Self::PayKept
            | Self::PayAlone
            | Self::Reverse
            | Self::Refund
            | Self::EndOfDay => &["journal", "zvt"],
            Self::Print => &["journal", "ipp"],
            Self::Write | Self::Transmit => &["journal", "pcsc"],
            Self::Resolve => &["journal"],
        }
    }

    pub(crate) fn furniture(self) -> Furniture {
        match self {
            Self::Print => Furniture::Printer,
            Self::Write | Self::Transmit => Furniture::Card,
            Self::PaySerial => Furniture::SerialTerminal,
            Self::PayKept => Furniture::KeepingTerminal,
            Self::PayAlone => Furniture::HidingTerminal,
            _ => Furniture::Terminal,
        }
    }

    /// The broker; what a crash does to it differs.
    pub(crate) fn broker(self) -> Broker {
        match self {
            Self::PayMosquitto => Broker::Mosquitto,
            _ => Broker::Embedded,
        }
    }

    /// How many offices share its cases.
    pub(crate) fn offices(self) -> usize {
        match self {
            Self::Print | Self::Write | Self::Transmit | Self::Resolve => 1,
            // Where the terminal waits longest.
            Self::PaySerial | Self::PayAlone => 4,
            _ => 2,
        }
    }

    /// Whether finding out is cut as well. How often a terminal is asked that books late depends on
    /// the clock, so its steps are not the same each time.
    pub(crate) fn is_cut_twice(self) -> bool {
        self != Self::PayAlone
    }

    /// Makes what the call needs, while the gateway lives.
    pub(crate) async fn prepare(self, office: &mut Office) -> Deed {
        let amount = json!({"amount": {"cents": 1010, "currency": "EUR"}});
        let params = match self {
            Self::Pay
            | Self::PayMosquitto
            | Self::PaySerial
            | Self::PayKept
            | Self::PayAlone
            | Self::Refund => {
                if ledger(office).await.list(Event::Booked).is_empty() {
                    pays(office).await;
                }
                amount
            }
            Self::PayFirst => {
                office.new_terminal().await;
                amount
            }
            Self::Reverse => json!({"receipt": pays(office).await["result"]["receipt"]}),
            Self::EndOfDay => {
                pays(office).await;
                json!({})
            }
            Self::Print => return print(office),
            Self::Write => return write(office),
            Self::Transmit => return transmit(office),
            Self::Resolve => return in_doubt(office).await,
        };
        Deed::at_the_device(params, Before::Ledger(ledger(office).await))
    }
}

/// A form that was not printed before.
fn print(office: &Office) -> Deed {
    let form = format!("%PDF-1.4\n% form {}\n%%EOF\n", office.lives());
    let form = Blob::from(form.into_bytes());
    let params = json!({"document": {
        "format": "application/pdf", "sha256": form.sha256(), "content": form,
    }});
    Deed::at_the_device(params, Before::Document(form))
}

/// More than goes into one command.
fn write(office: &Office) -> Deed {
    let new = pattern(office, 500);
    let params = json!({"file": {"path": "3f00/0101"}, "content": Blob::from(new.clone())});
    let old = file(office, FILE);
    let updates = office.updates();
    Deed::at_the_device(params, Before::File { old, new, updates })
}

/// A batch that updates two files.
fn transmit(office: &Office) -> Deed {
    let new = pattern(office, 8);
    let select = |id: u8| vec![0x00, 0xA4, 0x02, 0x0C, 0x02, 0x01, id];
    let update = [&[0x00, 0xD6, 0x00, 0x00, 0x08], &new[..]].concat();
    let batch = [select(2), update.clone(), select(3), update];
    let commands = batch.map(|apdu| json!({"apdu": Blob::from(apdu)}));
    let params = json!({"commands": commands});
    let files = [(0x0102, new.clone()), (0x0103, new)];
    Deed::at_the_device(params, Before::Files(files, office.updates()))
}

impl Deed {
    /// A call of the clerk's.
    fn at_the_device(params: Value, before: Before) -> Self {
        Self {
            caller: CLERK,
            target: DEVICE,
            params,
            before,
        }
    }

    /// What there is of its effect, once the device is at rest.
    pub(crate) async fn truth(&self, operation: Operation, office: &Office) -> Truth {
        match &self.before {
            Before::Ledger(before) => {
                let now = ledger(office).await;
                let new = &now.entries()[before.entries().len()..];
                let count = |event| new.iter().filter(|entry| entry.event == event).count();
                let effect = match operation {
                    Operation::Reverse => Event::Reversed,
                    Operation::Refund => Event::Refunded,
                    Operation::EndOfDay => Event::Closed,
                    _ => Event::Booked,
                };
                match count(effect).saturating_sub(count(Event::AutoReversed)) {
                    0 => Truth::Nothing,
                    1 => Truth::All,
                    _ => Truth::Twice,
                }
            }
            Before::Document(form) => {
                let tray = office.case.printers[DEVICE].home.printed();
                let tray = tray.expect("a tray");
                let sheets = tray.iter().filter(|(_, sheet)| sheet == form.as_bytes());
                match sheets.count() {
                    0 => Truth::Nothing,
                    1 => Truth::All,
                    _ => Truth::Twice,
                }
            }
            Before::File { updates, .. } | Before::Files(_, updates)
                if office.updates() > updates + UPDATES =>
            {
                Truth::Twice
            }
            Before::File { old, new, .. } => match file(office, FILE) {
                holds if holds == *old => Truth::Nothing,
                holds if holds == *new => Truth::All,
                _ => Truth::Part,
            },
            Before::Files(files, _) => {
                let written = |(id, new): &&(u16, Vec<u8>)| file(office, *id) == *new;
                match files.iter().filter(written).count() {
                    0 => Truth::Nothing,
                    1 => Truth::Part,
                    _ => Truth::All,
                }
            }
            Before::Unknown { call, params } => {
                let clerk = office.person(CLERK).await;
                let mut pending = clerk.call_as(call, DEVICE, "pay", params, 60).await;
                let told = pending.completion().await;
                match told["effect"].as_str() {
                    Some("unknown") => Truth::Nothing,
                    Some("none" | "done") => Truth::All,
                    _ => panic!("{told}"),
                }
            }
        }
    }
}

/// A payment whose outcome a person must say.
async fn in_doubt(office: &mut Office) -> Deed {
    let paying = Box::pin(Operation::PayFirst.prepare(office)).await;
    let sent = Step {
        name: "zvt.sent",
        nth: 1,
    };
    office.live_until(sent).await;
    let clerk = office.person(CLERK).await;
    office.settled(&clerk).await;
    let call = office.new_call();
    clerk
        .call_as(&call, DEVICE, "pay", &paying.params, 60)
        .await;
    office.died_at(sent).await;
    drop(clerk);
    office.live().await;
    let clerk = office.person(CLERK).await;
    office.in_doubt(&clerk).await;
    let finding = paying.truth(Operation::PayFirst, office).await.finding();
    let word = json!({
        "client": CLERK, "call": call, "finding": finding, "observation": "the terminal's list",
    });
    Deed {
        caller: TECHNICIAN,
        target: "gateway",
        params: word,
        before: Before::Unknown {
            call,
            params: paying.params,
        },
    }
}

impl Truth {
    /// As a technician says it who has looked.
    pub(crate) fn finding(self) -> &'static str {
        match self {
            Self::Nothing => "not-done",
            Self::Part => "partial",
            Self::All | Self::Twice => "done",
        }
    }

    /// As a completion says it.
    pub(crate) fn effect(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Part => "partial",
            Self::All => "done",
            Self::Twice => "twice",
        }
    }

    /// As the page says it.
    pub(crate) fn shown(self, operation: Operation) -> &'static str {
        use Operation::{EndOfDay, Print, Refund, Resolve, Reverse, Transmit, Write};
        match (operation, self) {
            (_, Self::Twice) => "TWICE",
            (Resolve, Self::All) => "stored",
            (Resolve, _) => "not stored",
            (Print, Self::All) => "1 in the tray",
            (Print, _) => "0 in the tray",
            (Write, Self::All) => "the new content",
            (Write, Self::Part) => "a part of it",
            (Write, Self::Nothing) => "the old content",
            (Transmit, Self::All) => "2 of 2 updates",
            (Transmit, Self::Part) => "1 of 2 updates",
            (Transmit, Self::Nothing) => "0 of 2 updates",
            (Reverse, Self::All) => "1 reversal",
            (Refund, Self::All) => "1 refund",
            (EndOfDay, Self::All) => "1 closing",
            (_, Self::All) => "1 payment",
            (Reverse, _) => "0 reversals",
            (Refund, _) => "0 refunds",
            (EndOfDay, _) => "0 closings",
            (_, _) => "0 payments",
        }
    }
}

/// A payment in peace.
pub(crate) async fn pays(office: &Office) -> Value {
    let clerk = office.person(CLERK).await;
    office.settled(&clerk).await;
    let params = json!({"amount": {"cents": 2500, "currency": "EUR"}});
    let paid = clerk.ask(DEVICE, "pay", &params, 60).await;
    assert_eq!(paid["status"], "ok", "{paid}");
    paid
}

/// The terminal's own, once it is at rest: what it does by itself after a lost line is done by then.
async fn ledger(office: &Office) -> Ledger {
    let control = &office.case.terminals[DEVICE].control;
    let idle = Until {
        phase: Some(Phase::Idle),
        ..Until::default()
    };
    control.wait(idle).await.expect("an idle terminal");
    control.ledger().await.expect("a ledger")
}

fn file(office: &Office, id: u16) -> Vec<u8> {
    office.case.card_terminals[DEVICE].with_card(|card| card.file(id))
}

/// Bytes none of which is what the card held there before.
fn pattern(office: &Office, length: usize) -> Vec<u8> {
    let bytes = (0..length).map(|at| (at * 7 + office.lives() * 13) % 251);
    bytes
        .map(|byte| u8::try_from(byte).unwrap_or_default())
        .collect()
}

/// Whether somebody can work at the device again.
pub(crate) async fn works(office: &Office, clerk: &Workstation) {
    office.ready(clerk).await;
    if office.case.terminals.contains_key(DEVICE) {
        pays(office).await;
    }
}
