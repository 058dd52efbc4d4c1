//! What every driver is to the gateway.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use koffer_proto::{
    CallId, Capabilities, ClientId, EventKind, Identity, Lang, OperationSpec, Outcome, Reason,
    Request, Response,
};
use tokio::sync::mpsc;

use crate::{Call, Evidence};

/// A device as its actor drives it. One life: opened once, then calls one after the other, with
/// [`Driver::watch`] in between, until contact is lost; a new life is a new value.
#[async_trait]
pub trait Driver: Send {
    /// Makes contact and says what is there.
    async fn open(&mut self) -> Result<Opened, Fault>;

    /// Runs one call to its end. Returns soon after the call's [`Stop`](crate::Stop); never repeats by itself
    /// what must not happen twice.
    async fn run(&mut self, request: Request, call: &mut Call) -> Finished;

    /// Watches the device while no call runs, and returns when contact is lost. Dropped without
    /// notice when a call comes, so it must be cancel-safe.
    async fn watch(&mut self, reports: &Reports) -> Fault;

    /// Finds out from the device's own records what became of a call that was interrupted after
    /// its effect could have begun. Called when freshly opened, before any other call; reads, may
    /// end what was left over, and never begins an effect by itself. A driver that has nothing to ask leaves it to a person.
    async fn reconcile(&mut self, interrupted: &Interrupted) -> Reconciled {
        let _ = interrupted;
        Reconciled::Undecided(Reason::new(
            "no-records",
            "Das Gerät führt keine Aufzeichnung, an der sich der Ausgang ablesen lässt. Nicht wiederholen, am Gerät nachsehen.",
            "The device keeps no record that shows the outcome. Do not repeat it; look at the device.",
        ))
    }

    /// Lets go of the device in an orderly way.
    async fn close(&mut self);
}

/// What the journal kept of a call that was interrupted after its effect could have begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The caller's id.
    pub id: CallId,
    /// Who called.
    pub client: ClientId,
    /// The language of texts in the outcome.
    pub lang: Lang,
    /// What was asked.
    pub operation: &'static OperationSpec,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// What the device showed before it was touched.
    pub baseline: Option<Evidence>,
    /// What was reached, in order.
    pub milestones: Vec<Evidence>,
    /// For how long this process has known that it was interrupted: so long ago it was, or longer.
    pub known_for: Duration,
}

/// What the device's own records say of an interrupted call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reconciled {
    /// It is known: what would have been answered.
    Settled(Outcome<Response>),
    /// The records cannot tell: what a person should look at.
    Undecided(Reason),
    /// The records may still change: the device is asked again, and does nothing else meanwhile.
    NotYet(NotYet),
    /// Contact was lost over the question; it is asked again when the device is back.
    Lost(Fault),
}

/// The device's records do not tell yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYet {
    /// Why, and for how long at most.
    pub reason: Reason,
    /// When the device should be asked again.
    pub again: Duration,
    /// When the records tell at the latest.
    pub within: Duration,
}

/// What a device is, as found when contact was made.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// Vendor, model, serial number, firmware.
    pub identity: Identity,
    /// What its class leaves open.
    pub capabilities: Option<Capabilities>,
    /// What needs attention although it takes calls; empty when all is well.
    pub reasons: Vec<Reason>,
}

/// How a call ended, and whether the device is still there.
#[derive(Debug)]
pub struct Finished {
    /// What came of the call.
    pub outcome: Outcome<Response>,
    /// Whether the device can take the next one as it is.
    pub contact: Contact,
}

/// Whether the device can take the next call as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// It can.
    Kept,
    /// It must be opened anew.
    Lost(Fault),
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .reason.keyword, .reason.text.en)]
pub struct Fault {
    /// What happened, and what a person can do.
    pub reason: Reason,
}

impl Fault {
    /// A fault with its sentences in German and English.
    pub fn new(keyword: &str, de: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            reason: Reason::new(keyword, de, en),
        }
    }
}

/// What a watched device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// What needs attention now, all of it; empty when all is well again.
    Reasons(Vec<Reason>),
    /// It is there and answers, and cannot do its work until somebody mends this: out of paper,
    /// a cover open. It gets no call that must not happen twice, so that a role's goes to the
    /// next device; the others (`status`, `self-test`) it gets. Ends with [`Report::Reasons`].
    Blocked(Vec<Reason>),
    /// Something happened.
    Event(EventKind),
}

/// Where a driver reports what it watches.
pub type Reports = mpsc::Sender<Report>;
