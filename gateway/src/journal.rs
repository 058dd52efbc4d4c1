//! What must be known after a crash. The interface stands; behind it is memory alone until the
//! durable journal fills it in (docs/known-gaps.md).

use async_trait::async_trait;
use jiff::Timestamp;
use koffer_drivers::{Effects, Evidence, Interrupted, NotStored};
use koffer_proto::{
    CallId, ClientId, Completion, DeviceId, OperationSpec, Response, Segment, Sha256,
    class::gateway::{Finding, Observation},
};

use crate::calls::{AnswerTo, CallNo, Journalled};

/// Keeps what must not be forgotten. A future that returns `Ok` promises that it is kept.
#[async_trait]
pub trait Journal: Send + Sync {
    /// A call was accepted; asked before its MQTT acknowledgement and before the device.
    async fn accepted(&self, call: &Journalled) -> Result<(), NotStored>;

    /// A call ended; asked before its completion is sent. Asked again where what became of a call
    /// that ended with its outcome unknown is known later.
    async fn finished(
        &self,
        call: CallNo,
        completion: &Completion<Response>,
    ) -> Result<(), NotStored>;

    /// A person has said what became of a call whose outcome was unknown, and so it is answered
    /// from now on.
    async fn resolved(
        &self,
        call: CallNo,
        resolution: &Resolution,
        completion: &Completion<Response>,
    ) -> Result<(), NotStored>;

    /// The record of effects that the driver of `device` writes.
    fn effects(&self, call: CallNo, device: &DeviceId) -> Box<dyn Effects>;

    /// What was kept of a call whose effect could have begun; `None` where nothing was.
    async fn interrupted(&self, call: CallNo) -> Result<Option<Interrupted>, NotRead>;

    /// How a call ended; `None` where that is not kept, or it has not.
    async fn completion(&self, call: CallNo) -> Result<Option<Completion<Response>>, NotRead>;

    /// Every call that is kept, the oldest first: asked once, before the first call is taken.
    async fn remembered(&self) -> Result<Vec<Remembered>, NotRead>;

    /// Its size on disk, where it is on disk.
    fn bytes_on_disk(&self) -> Option<u64>;
}

/// A call as it is found after a restart.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// Its number; new calls count on from the last.
    pub no: CallNo,
    /// Who called.
    pub client: ClientId,
    /// The call id.
    pub call: CallId,
    /// The digest of its content.
    pub digest: Sha256,
    /// What is left of it to do; `None`: it ended, and what became of it is known.
    pub left: Option<Box<Left>>,
}

/// A call that has no completion yet, or whose outcome is unknown.
#[derive(Debug, Clone)]
pub struct Left {
    /// What was asked.
    pub operation: &'static OperationSpec,
    /// The device or role that was called.
    pub target: Segment,
    /// Where its effect could have begun; `None`: it could not.
    pub begun_on: Option<DeviceId>,
    /// Whether it has a completion, which says that the outcome is unknown.
    pub answered: bool,
    /// Where its completion goes.
    pub answer_to: AnswerTo,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it should be over.
    pub deadline: Timestamp,
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

/// The journal could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal could not be read: {0}")]
pub struct NotRead(pub String);

/// Keeps nothing beyond the process: what the desk remembers is all there is.
#[derive(Debug, Default)]
pub struct Volatile;

#[async_trait]
impl Journal for Volatile {
    async fn accepted(&self, _: &Journalled) -> Result<(), NotStored> {
        Ok(())
    }

    async fn finished(&self, _: CallNo, _: &Completion<Response>) -> Result<(), NotStored> {
        Ok(())
    }

    async fn resolved(
        &self,
        _: CallNo,
        _: &Resolution,
        _: &Completion<Response>,
    ) -> Result<(), NotStored> {
        Ok(())
    }

    fn effects(&self, call: CallNo, _: &DeviceId) -> Box<dyn Effects> {
        Box::new(Traced(call))
    }

    async fn interrupted(&self, _: CallNo) -> Result<Option<Interrupted>, NotRead> {
        Ok(None)
    }

    async fn completion(&self, _: CallNo) -> Result<Option<Completion<Response>>, NotRead> {
        Ok(None)
    }

    async fn remembered(&self) -> Result<Vec<Remembered>, NotRead> {
        Ok(Vec::new())
    }

    fn bytes_on_disk(&self) -> Option<u64> {
        None
    }
}

/// Leaves a trace of the steps, without the facts.
struct Traced(CallNo);

#[async_trait]
impl Effects for Traced {
    async fn armed(&self, baseline: Evidence) -> Result<(), NotStored> {
        tracing::debug!(call = self.0.0, step = %baseline.step, "armed");
        Ok(())
    }

    async fn started(&self) -> Result<(), NotStored> {
        tracing::debug!(call = self.0.0, "the effect may begin");
        Ok(())
    }

    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        tracing::debug!(call = self.0.0, step = %evidence.step, "milestone");
        Ok(())
    }
}
