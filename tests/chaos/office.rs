//! The people: clerks with their orders, what is delivered late, and a technician who looks where
//! nobody else can. They behave as docs/contract.md tells apps to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use koffer_proto::Blob;
use serde_json::{Value, json};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        watch,
    },
    time::{Instant, sleep, timeout},
};

use crate::{
    Outcome,
    audit::Books,
    schedule::{Delivery, Lane, Order, Work},
    station::{Answers, Question, Station},
    world::{Truth, client, printer, till},
};

/// Without an answer for so long, a clerk asks again under the same call id.
const ASK_AGAIN: Duration = Duration::from_secs(4);
/// After "not now" a clerk waits so long; longer each time, up to ten times that.
const NOT_NOW: Duration = Duration::from_millis(150);
/// After "nobody knows" a clerk waits so long before asking what became of it.
const NOBODY_KNOWS: Duration = Duration::from_millis(700);
/// A call that has no answer by then is lost.
const LOST: Duration = Duration::from_mins(4);
/// Call ids that one order may need.
const ATTEMPTS: u32 = 99;
/// Between two rounds of the technician.
const ROUND: Duration = Duration::from_millis(400);
/// The technician's own questions.
const PATIENCE: Duration = Duration::from_secs(5);

/// A call id, and what it stands for.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: String,
    /// The order that it is one attempt of.
    pub(crate) order: String,
    pub(crate) work: Work,
    /// Index of the client.
    pub(crate) client: usize,
    pub(crate) device: String,
    /// The amount of a payment: no other call has it.
    pub(crate) cents: i64,
    /// The document of a print: no other call has it.
    pub(crate) document: Vec<u8>,
    params: Value,
}

/// What an answer makes a clerk do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It happened.
    Done,
    /// It ended and did not happen: another try is another call.
    NotDone,
    /// Nobody took it: the same call may be asked for again.
    NotTaken,
    /// Nobody knows yet.
    Unknown,
    /// No completion of the contract.
    Nonsense,
}

/// What all of them share.
pub(crate) struct Office {
    answers: Arc<Answers>,
    /// Every call that was ever published.
    calls: Mutex<BTreeMap<String, Call>>,
    /// Orders that are done.
    pub(crate) done: watch::Sender<u32>,
    /// Orders whose clerk gave up, and why.
    given_up: Mutex<Vec<String>>,
    truth: Truth,
    /// Two screens of each client.
    screens: Vec<[Station; 2]>,
}

/// A call that is delivered again once so many orders are done.
#[derive(Debug)]
pub(crate) struct Late {
    after: u32,
    call: Call,
}

impl Call {
    fn of(order: &Order, lane: &Lane, attempt: u32) -> Self {
        let Order { work, number, .. } = order;
        let name = format!("{work}-{number:05}");
        let id = format!("{name}-{attempt}");
        let cents = (i64::from(*number) + 1) * 100 + i64::from(attempt);
        let document = document(&id);
        let (device, params) = match work {
            Work::Payment => {
                let amount = json!({"cents": cents, "currency": "EUR"});
                (
                    till(lane.device),
                    json!({"amount": amount, "reference": name}),
                )
            }
            Work::Print => (printer(lane.device), print_params(&id)),
        };
        Self {
            id,
            order: name,
            work: *work,
            client: lane.client,
            device,
            cents,
            document,
            params,
        }
    }

    fn question(&self) -> Question<'_> {
        Question {
            id: &self.id,
            target: &self.device,
            operation: match self.work {
                Work::Payment => "pay",
                Work::Print => "print",
            },
            params: &self.params,
        }
    }

    /// The first attempt at the first order, for tests.
    #[cfg(test)]
    pub(crate) fn planted(work: Work) -> Self {
        let order = Order {
            work,
            number: 0,
            delivery: Delivery::Once,
            late: None,
        };
        let lane = Lane {
            client: 0,
            device: 0,
            orders: Vec::new(),
        };
        Self::of(&order, &lane, 1)
    }
}

/// What is asked of a printer.
pub(crate) fn print_params(id: &str) -> Value {
    let content = Blob::from(document(id));
    json!({"document": {
        "format": "application/pdf", "sha256": content.sha256(), "content": content,
    }})
}

/// One empty page that says whose it is.
fn document(id: &str) -> Vec<u8> {
    format!(
        "%PDF-1.4\n% {id}\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
         3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    )
    .into_bytes()
}

impl Meaning {
    pub(crate) fn of(completion: &Value) -> Self {
        let text = |key: &str| completion.get(key).and_then(Value::as_str);
        let reached = text("device").is_some();
        match (text("status"), text("effect")) {
            (Some("ok"), _) | (Some(_), Some("done" | "partial")) => Self::Done,
            (Some(_), Some("unknown")) => Self::Unknown,
            // Not queued, so not kept either.
            (Some("busy"), Some("none")) => Self::NotTaken,
            // `device` is absent where none was reached (docs/contract.md).
            (Some(_), Some("none")) if reached => Self::NotDone,
            (Some(_), Some("none")) => Self::NotTaken,
            _ => Self::Nonsense,
        }
    }
}

impl Office {
    pub(crate) fn open(
        port: u16,
        passwords: &[String],
        answers: &Arc<Answers>,
        truth: Truth,
    ) -> Self {
        let screens = passwords.iter().enumerate().map(|(n, password)| {
            ["a", "b"].map(|screen| Station::connect(port, &client(n), password, screen, answers))
        });
        Self {
            answers: answers.clone(),
            calls: Mutex::default(),
            done: watch::Sender::new(0),
            given_up: Mutex::default(),
            truth,
            screens: screens.collect(),
        }
    }

    fn screen(&self, client: usize, screen: usize) -> Outcome<&Station> {
        let screens = self.screens.get(client).ok_or("no such client")?;
        Ok(screens.get(screen).ok_or("no such screen")?)
    }

    /// A clerk does all orders of a lane, and leaves in the mailbox what is to come late.
    pub(crate) async fn serve(&self, lane: &Lane, mailbox: UnboundedSender<Late>) -> Outcome<()> {
        for order in &lane.orders {
            match (self.fulfil(lane, order).await?, order.late) {
                (Some(call), Some(more)) => {
                    let after = *self.done.borrow() + more;
                    mailbox.send(Late { after, call })?;
                }
                (Some(_), None) => {}
                (None, _) => self.give_up(format!("{}-{:05}", order.work, order.number)),
            }
            self.done.send_modify(|done| *done += 1);
        }
        Ok(())
    }

    /// Every call that was ever published.
    pub(crate) fn calls(&self) -> MutexGuard<'_, BTreeMap<String, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders whose clerk gave up.
    pub(crate) fn given_up(&self) -> MutexGuard<'_, Vec<String>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, call: &Call) {
        self.calls().insert(call.id.clone(), call.clone());
    }

    fn give_up(&self, what: String) {
        self.given_up().push(what);
    }

    /// Tries until it is done; says by which call.
    async fn fulfil(&self, lane: &Lane, order: &Order) -> Outcome<Option<Call>> {
        for attempt in 1..=ATTEMPTS {
            let call = Call::of(order, lane, attempt);
            self.note(&call);
            match self.settle(&call, order.delivery).await? {
                Some(Meaning::Done) => return Ok(Some(call)),
                Some(_) => sleep(NOT_NOW * attempt.min(10)).await,
                // Whether it happened is not known: no other call may follow.
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Asks under one call id until it is settled; `None` if that never comes.
    async fn settle(&self, call: &Call, delivery: Delivery) -> Outcome<Option<Meaning>> {
        let until = Instant::now() + LOST;
        let mut told = self.answers.of(&call.id);
        let mut heard = told.borrow().len();
        let mut refusals = 0;
        let first = self.screen(call.client, 0)?;
        first.publish(&call.question()).await?;
        match delivery {
            Delivery::Once => {}
            Delivery::Twice => first.publish(&call.question()).await?,
            Delivery::FromElsewhere => {
                let second = self.screen(call.client, 1)?;
                second.publish(&call.question()).await?;
            }
        }
        while Instant::now() < until {
            let next = told.wait_for(|told| told.len() > heard);
            let meaning = match timeout(ASK_AGAIN, next).await {
                Ok(told) => told?.get(heard).map(Meaning::of),
                Err(_) => None,
            };
            heard += usize::from(meaning.is_some());
            match meaning {
                None => {}
                Some(Meaning::NotTaken) => {
                    refusals += 1;
                    sleep(NOT_NOW * refusals.min(10)).await;
                }
                Some(Meaning::Unknown) => sleep(NOBODY_KNOWS).await,
                Some(settled) => return Ok(Some(settled)),
            }
            if told.borrow().len() <= heard {
                first.publish(&call.question()).await?;
            }
        }
        Ok(None)
    }

    /// Delivers what is late when its time comes, and the rest when all clerks have gone; says how
    /// much that was.
    pub(crate) async fn deliver_late(&self, mut mailbox: UnboundedReceiver<Late>) -> Outcome<u32> {
        let mut done = self.done.subscribe();
        let mut bag: Vec<Late> = Vec::new();
        let mut delivered = 0;
        let mut open = true;
        while open || !bag.is_empty() {
            let now = *done.borrow_and_update();
            let due = bag.iter().position(|late| !open || late.after <= now);
            if let Some(late) = due.map(|at| bag.swap_remove(at)) {
                self.deliver_again(&late.call).await?;
                delivered += 1;
                continue;
            }
            tokio::select! {
                late = mailbox.recv() => match late {
                    Some(late) => bag.push(late),
                    None => open = false,
                },
                changed = done.changed() => changed?,
            }
        }
        Ok(delivered)
    }

    /// Once more, from the other screen, until an answer comes there.
    async fn deliver_again(&self, call: &Call) -> Outcome<()> {
        let mut told = self.answers.of(&call.id);
        let before = told.borrow().len();
        let until = Instant::now() + LOST;
        while Instant::now() < until {
            let second = self.screen(call.client, 1)?;
            second.publish(&call.question()).await?;
            let answered = told.wait_for(|told| told.len() > before);
            if timeout(ASK_AGAIN, answered).await.is_ok() {
                return Ok(());
            }
        }
        self.give_up(format!("{}, delivered late", call.id));
        Ok(())
    }

    /// Looks at the device wherever a person must, and says what is there to see; for ever.
    pub(crate) async fn look_after(&self, technician: &Station) -> Outcome<()> {
        let mut number = 0;
        loop {
            sleep(ROUND).await;
            number += 1;
            let nothing = json!({});
            let question = Question {
                id: &format!("look-{number}"),
                target: "gateway",
                operation: "calls",
                params: &nothing,
            };
            let Some(told) = technician.ask(&self.answers, &question, PATIENCE).await else {
                continue;
            };
            let unresolved = told.pointer("/result/unresolved").and_then(Value::as_array);
            for doubt in unresolved.into_iter().flatten() {
                let id = doubt
                    .get("call")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let call = self.calls().get(id).cloned();
                let Some(call) = call else {
                    return Err(
                        format!("the gateway asks for a call that nobody made: {doubt}").into(),
                    );
                };
                number += 1;
                let finding = if Books::read(&self.truth)?.times(&call) == 0 {
                    "not-done"
                } else {
                    "done"
                };
                let word = json!({
                    "client": client(call.client),
                    "call": call.id,
                    "finding": finding,
                    "observation": "looked at the device's own books",
                });
                let question = Question {
                    id: &format!("word-{number}"),
                    target: "gateway",
                    operation: "resolve",
                    params: &word,
                };
                // Refused or lost: the next round asks again.
                technician.ask(&self.answers, &question, PATIENCE).await;
            }
        }
    }
}
