//! What must be known after a crash: which calls were accepted, how far each came, how it ended.
//!
//! Behind [`Journal`] is [`Durable`], one SQLite file (docs/journal.md): `place` finds and opens
//! it, `schema` says what is in it, `writer` is the one thread that has it, `entry` and `record`
//! write and read it, `content` keeps out what must never be in it, `retention` keeps it small,
//! `trouble` says what is wrong with it, `audit` reads it for `kofferctl`.

pub mod audit;
mod call;
mod content;
mod durable;
mod entry;
mod index;
mod place;
mod record;
mod retention;
mod schema;
#[cfg(test)]
mod tests;
mod texts;
mod transition;
mod trouble;
#[cfg(test)]
mod volatile;
mod writer;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use koffer_drivers::{Effects, Interrupted, NotStored};
use koffer_proto::{
    CallId, ClientId, Completion, DeviceId, OperationSpec, Reason, Response, Segment, Sha256, Text,
    class::gateway::{Finding, Observation},
};

pub use call::{AcceptedCall, AnswerTo, CallNo};
pub use durable::Durable;
pub use index::{CallName, Deleted, JournalIndex};
pub use place::{FILE, Place, SetAside, set_aside};
pub use transition::Transition;
pub use trouble::Trouble;
#[cfg(test)]
pub(crate) use volatile::Volatile;

/// The contract: a call id is known for at least this long.
pub const KEPT_FOR: Duration = Duration::from_hours(24);

/// Keeps what must not be forgotten. A future that returns `Ok` promises that it is kept; one that
/// is dropped may have kept it or not.
#[async_trait]
pub trait Journal: Send + Sync {
    /// A call was accepted; asked before its MQTT acknowledgement. What is asked after this has
    /// returned is written after it, whenever the future is polled: so its driver may be given the
    /// call at once. Refused until [`Journal::snapshot`] has answered once: what was before must
    /// be known first.
    fn accepted(&self, call: &AcceptedCall) -> BoxFuture<'static, Result<(), NotStored>>;

    /// A call ended; asked before its completion is sent. A call that is settled later ends
    /// again; the last end counts.
    async fn finished(
        &self,
        call: CallNo,
        completion: &Completion<Response>,
    ) -> Result<(), NotStored>;

    /// Waits until the end of a call is on record that could not be stored, or until the journal
    /// has given it up.
    async fn on_record(&self, call: CallNo);

    /// A person has said what became of a call whose outcome was unknown, and so it is answered
    /// from now on.
    async fn resolved(
        &self,
        call: CallNo,
        resolution: &Resolution,
        completion: &Completion<Response>,
    ) -> Result<(), NotStored>;

    /// The record of effects that the driver of `device` writes. It keeps nothing of a call that is
    /// not on record, and says so.
    fn effects(&self, call: CallNo, device: &DeviceId) -> Box<dyn Effects>;

    /// What was kept of a call whose effect could have begun; `None` where nothing was.
    async fn interrupted(&self, call: CallNo) -> Result<Option<Interrupted>, NotRead>;

    /// How a call ended; `None` where that is not kept, or it has not.
    async fn completion(&self, call: CallNo) -> Result<Option<Completion<Response>>, NotRead>;

    /// What a dispatcher must know before it takes its first call. Where that could not be read, it is
    /// asked again.
    async fn snapshot(&self) -> Result<Snapshot, NotRead>;

    /// Its size on disk; `None` while it is not usable.
    fn bytes_on_disk(&self) -> Option<u64>;

    /// Why nothing can be kept, as far as is known; `None` while all is well.
    fn trouble(&self) -> Option<Reason>;
}

/// What a dispatcher must know of the time before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls whose end or outcome is not known; the oldest first.
    pub unsettled: Vec<UnsettledCall>,
    /// All other calls that are on record. Not those that ended `busy`: their ids may be used again.
    pub ended: JournalIndex,
    /// The highest number that was ever given; new calls count on from there.
    pub last: CallNo,
}

/// A call that is not settled, as it is found after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledCall {
    /// Its number.
    pub no: CallNo,
    /// Who called.
    pub client: ClientId,
    /// The call id.
    pub call: CallId,
    /// The digest of its content.
    pub digest: Sha256,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// How far it came.
    pub state: RecoveryState,
    /// What it takes to end it.
    pub pending: Pending,
}

/// What it takes to end a call of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// What was asked.
    pub operation: &'static OperationSpec,
    /// The device or role that was called.
    pub target: Segment,
    /// Where its completion goes.
    pub answer_to: AnswerTo,
    /// When it should be over.
    pub deadline: Timestamp,
}

/// How far a call came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryState {
    /// Accepted, and its effect could not have begun.
    Waiting,
    /// Its effect could have begun, on this device; it has no completion.
    Interrupted(DeviceId),
    /// It ended, and what became of it on this device is unknown still.
    Unknown(DeviceId),
}

/// What a person said of a call whose outcome was unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Who.
    pub by: ClientId,
    /// When.
    pub at: Timestamp,
    /// What became of it.
    pub finding: Finding,
    /// How the person knows.
    pub observation: Observation,
}

/// The journal could not be read: why, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal could not be read: {}", .0.en)]
pub struct NotRead(pub Text);
