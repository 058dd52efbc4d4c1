//! What must be known after a crash. The interface stands; behind it is memory alone until the
//! durable journal fills it in (docs/known-gaps.md).

use async_trait::async_trait;
use koffer_drivers::{Effects, Evidence, NotStored};
use koffer_proto::{Completion, Response};

use crate::calls::{CallNo, Journalled};

/// Keeps what must not be forgotten. A future that returns `Ok` promises that it is kept.
#[async_trait]
pub trait Journal: Send + Sync {
    /// A call was accepted; asked before its MQTT acknowledgement and before the device.
    async fn accepted(&self, call: &Journalled) -> Result<(), NotStored>;

    /// A call ended; asked before its completion is sent.
    async fn finished(
        &self,
        call: CallNo,
        completion: &Completion<Response>,
    ) -> Result<(), NotStored>;

    /// The record of effects that the call's driver writes.
    fn effects(&self, call: CallNo) -> Box<dyn Effects>;

    /// Its size on disk, where it is on disk.
    fn bytes_on_disk(&self) -> Option<u64>;
}

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

    fn effects(&self, call: CallNo) -> Box<dyn Effects> {
        Box::new(Traced(call))
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
        tracing::debug!(call = self.0.0, step = baseline.step, "armed");
        Ok(())
    }

    async fn started(&self) -> Result<(), NotStored> {
        tracing::debug!(call = self.0.0, "the effect may begin");
        Ok(())
    }

    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        tracing::debug!(call = self.0.0, step = evidence.step, "milestone");
        Ok(())
    }
}
