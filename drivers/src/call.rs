//! One call as a driver sees it: what surrounds the request, and what it may tell meanwhile.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use koffer_proto::{CallId, ClientId, Lang, ProgressEvent, Text, class::gateway::SignalCommand};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{Interrupted, Report};

/// Signals that wait for a driver to take them; an operator gives one at a time.
const SIGNALS: usize = 4;

/// What waits to be passed on; a driver that is faster than the broker waits here.
const TOLD: usize = 32;

/// Why a call should end now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The caller wishes it.
    Cancelled,
    /// Its deadline passed.
    Deadline,
    /// The gateway goes down.
    Shutdown,
}

/// The call's record that outlives a crash. What is told here is stored when the future returns.
#[async_trait]
pub trait Effects: Send + Sync {
    /// What the device showed before it was touched, for comparison after a crash. Stored at the
    /// latest with what is told next: nothing is compared as long as no effect can have begun.
    async fn armed(&self, baseline: Evidence) -> Result<(), NotStored>;

    /// From here on the effect may have begun.
    async fn started(&self) -> Result<(), NotStored>;

    /// Something that must be known after a crash: a terminal's status information, a job id.
    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored>;
}

/// Facts worth keeping: ids, digests, amounts, counts. Never payloads, never a full card number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was reached, a keyword of the driver's.
    pub step: Cow<'static, str>,
    /// What is known then. A card number in it is masked in the journal.
    pub facts: BTreeMap<Cow<'static, str>, String>,
    /// What names something: jobs, printers, salts. Kept as it is, whatever its digits look like;
    /// a fact once it was read from the journal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<Cow<'static, str>, String>,
}

impl Evidence {
    /// What was reached, with what is known then.
    pub fn new<F>(step: &'static str, facts: F) -> Self
    where
        F: IntoIterator<Item = (&'static str, String)>,
    {
        let facts = facts.into_iter();
        Self {
            step: step.into(),
            facts: facts.map(|(name, value)| (name.into(), value)).collect(),
            ids: BTreeMap::new(),
        }
    }

    /// The same, with these of its facts as names. No text that a device wrote is one.
    #[must_use]
    pub fn identified_by(mut self, names: &[&'static str]) -> Self {
        for name in names {
            let moved = self.facts.remove_entry(*name);
            self.ids.extend(moved);
        }
        self
    }

    /// One of the facts, or of what names something.
    pub fn fact(&self, name: &str) -> Option<&str> {
        let known = self.ids.get(name).or_else(|| self.facts.get(name));
        known.map(String::as_str)
    }
}

/// The record could not be stored: the effect must not begin, or not be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal could not be written: {}", .0.en)]
pub struct NotStored(pub Text);

impl NotStored {
    /// Why, and what a person can do, in German and English.
    pub fn new(de: impl Into<String>, en: impl Into<String>) -> Self {
        Self(Text::new(de, en))
    }
}

/// What surrounds one request while its driver runs it.
pub struct Call {
    /// The caller's id, also the name under which devices that keep jobs get them.
    pub id: CallId,
    /// Who calls.
    pub client: ClientId,
    /// The language of texts in progress and failures.
    pub lang: Lang,
    /// When it should be over.
    pub deadline: Instant,
    told: mpsc::Sender<CallUpdate>,
    stop: watch::Receiver<Option<Stop>>,
    signals: mpsc::Receiver<SignalCommand>,
    effect_begun: Arc<AtomicBool>,
    effects: Box<dyn Effects>,
}

/// What a driver tells of a running call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallUpdate {
    /// For the caller.
    Progress(ProgressEvent),
    /// From here on the effect may have begun.
    EffectBegun,
    /// It can no longer be cancelled.
    PastCancelling,
    /// What the device says of itself meanwhile: nobody watches it while a call runs.
    Report(Report),
}

/// The other end of a [`Call`]: held by whoever supervises the driver.
pub struct CallControl {
    /// What the driver tells, in order.
    pub told: mpsc::Receiver<CallUpdate>,
    steering: Steering,
}

/// Steers a running call; cheap to clone.
#[derive(Clone)]
pub struct Steering {
    stop: watch::Sender<Option<Stop>>,
    signals: mpsc::Sender<SignalCommand>,
    effect_begun: Arc<AtomicBool>,
}

/// The record of a call that may happen twice: keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unrecorded;

#[async_trait]
impl Effects for Unrecorded {
    async fn armed(&self, _: Evidence) -> Result<(), NotStored> {
        Ok(())
    }

    async fn started(&self) -> Result<(), NotStored> {
        Ok(())
    }

    async fn milestone(&self, _: Evidence) -> Result<(), NotStored> {
        Ok(())
    }
}

/// The record of a call that is over.
struct Closed;

#[async_trait]
impl Effects for Closed {
    async fn armed(&self, _: Evidence) -> Result<(), NotStored> {
        Err(NotStored::new("der Aufruf ist beendet", "the call is over"))
    }

    async fn started(&self) -> Result<(), NotStored> {
        Err(NotStored::new("der Aufruf ist beendet", "the call is over"))
    }

    async fn milestone(&self, _: Evidence) -> Result<(), NotStored> {
        Err(NotStored::new("der Aufruf ist beendet", "the call is over"))
    }
}

/// A call and its control.
pub fn call(
    id: CallId,
    client: ClientId,
    lang: Lang,
    deadline: Instant,
    effects: Box<dyn Effects>,
) -> (Call, CallControl) {
    let (tell, told) = mpsc::channel(TOLD);
    let (stop, stopped) = watch::channel(None);
    let (signals, signalled) = mpsc::channel(SIGNALS);
    let effect_begun = Arc::<AtomicBool>::default();
    let call = Call {
        id,
        client,
        lang,
        deadline,
        told: tell,
        stop: stopped,
        signals: signalled,
        effect_begun: effect_begun.clone(),
        effects,
    };
    (
        call,
        CallControl {
            told,
            steering: Steering {
                stop,
                signals,
                effect_begun,
            },
        },
    )
}

impl Call {
    /// What is left of an interrupted call while its driver asks what became of it, until
    /// `deadline`. Nobody listens, and no effect begins through it: its record takes nothing.
    pub(crate) fn left_of(interrupted: &Interrupted, deadline: Instant) -> Self {
        let (id, client) = (interrupted.id.clone(), interrupted.client.clone());
        let (call, _) = call(id, client, interrupted.lang, deadline, Box::new(Closed));
        call
    }

    /// Tells the caller what happens. Waits where progress comes faster than it can be sent.
    pub async fn progress(&self, event: ProgressEvent) {
        self.tell(CallUpdate::Progress(event)).await;
    }

    /// Tells what the device says of itself, for its state; `false` where nobody listens.
    pub async fn report(&self, report: Report) -> bool {
        self.told.send(CallUpdate::Report(report)).await.is_ok()
    }

    async fn tell(&self, told: CallUpdate) {
        // Nobody listens any more only when the call was given up on; it ends soon.
        let _ = self.told.send(told).await;
    }

    /// Resolves when the call should end: cancelled, past its deadline, or at shutdown. Resolves
    /// again, at once, each time it is awaited after that.
    pub async fn stopped(&self) -> Stop {
        let mut stop = self.stop.clone();
        let asked = async {
            match stop.wait_for(Option::is_some).await.map(|stop| *stop) {
                Ok(Some(stop)) => stop,
                Ok(None) | Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            stop = asked => stop,
            () = tokio::time::sleep_until(self.deadline) => Stop::Deadline,
        }
    }

    /// The next signal of the operator.
    pub async fn signal(&mut self) -> SignalCommand {
        match self.signals.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// Says that the call can no longer be cancelled, so that whoever asks knows at once.
    pub async fn past_cancelling(&self) {
        self.tell(CallUpdate::PastCancelling).await;
    }

    /// Keeps what the device showed before it was touched, at the latest with what is told next.
    pub async fn arm(&self, baseline: Evidence) -> Result<(), NotStored> {
        self.effects.armed(baseline).await
    }

    /// Must return before the first byte is sent that could begin the effect.
    pub async fn effect_may_begin(&self) -> Result<(), NotStored> {
        self.effects.started().await?;
        self.effect_begun.store(true, Ordering::Release);
        self.tell(CallUpdate::EffectBegun).await;
        Ok(())
    }

    /// Must return before a message is acknowledged to the device that commits the effect.
    pub async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        self.effects.milestone(evidence).await
    }
}

impl CallControl {
    /// A handle that steers the call.
    pub fn steering(&self) -> Steering {
        self.steering.clone()
    }

    /// Whether the effect may have begun.
    pub fn effect_begun(&self) -> bool {
        self.steering.effect_begun()
    }
}

impl Steering {
    /// Asks the call to end. The first reason stays.
    pub fn stop(&self, reason: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(reason);
            first
        });
    }

    /// Hands a signal on; `false` where the driver does not take it.
    pub fn signal(&self, command: SignalCommand) -> bool {
        self.signals.try_send(command).is_ok()
    }

    /// Whether the effect may have begun.
    pub fn effect_begun(&self) -> bool {
        self.effect_begun.load(Ordering::Acquire)
    }
}

impl fmt::Debug for CallControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallControl")
            .field("effect_begun", &self.effect_begun())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
