//! A journal for tests of what stands around it: keeps nothing.

use async_trait::async_trait;
use futures_util::{
    FutureExt,
    future::{self, BoxFuture},
};
use koffer_drivers::{Effects, Interrupted, NotStored, Unrecorded};
use koffer_proto::{Completion, DeviceId, Reason, Response};

use super::{AcceptedCall, CallNo};
use super::{Journal, NotRead, Resolution, Snapshot};

/// Keeps nothing: what the dispatcher remembers is all there is.
#[derive(Debug, Default)]
pub(crate) struct Volatile;

#[async_trait]
impl Journal for Volatile {
    fn accepted(&self, _: &AcceptedCall) -> BoxFuture<'static, Result<(), NotStored>> {
        future::ready(Ok(())).boxed()
    }

    async fn finished(&self, _: CallNo, _: &Completion<Response>) -> Result<(), NotStored> {
        Ok(())
    }

    async fn on_record(&self, _: CallNo) {}

    async fn resolved(
        &self,
        _: CallNo,
        _: &Resolution,
        _: &Completion<Response>,
    ) -> Result<(), NotStored> {
        Ok(())
    }

    fn effects(&self, _: CallNo, _: &DeviceId) -> Box<dyn Effects> {
        Box::new(Unrecorded)
    }

    async fn interrupted(&self, _: CallNo) -> Result<Option<Interrupted>, NotRead> {
        Ok(None)
    }

    async fn completion(&self, _: CallNo) -> Result<Option<Completion<Response>>, NotRead> {
        Ok(None)
    }

    async fn snapshot(&self) -> Result<Snapshot, NotRead> {
        Ok(Snapshot::default())
    }

    fn bytes_on_disk(&self) -> Option<u64> {
        None
    }

    fn trouble(&self) -> Option<Reason> {
        None
    }
}
