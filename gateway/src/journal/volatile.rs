//! A journal for tests of what stands around it: keeps nothing.

use async_trait::async_trait;
use koffer_drivers::{Effects, Evidence, Interrupted, NotStored};
use koffer_proto::{Completion, DeviceId, Reason, Response};

use super::{Journal, Memory, NotRead, Resolution};
use crate::calls::{CallNo, Journalled};

/// Keeps nothing: what the desk remembers is all there is.
#[derive(Debug, Default)]
pub(crate) struct Volatile;

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

    fn effects(&self, _: CallNo, _: &DeviceId) -> Box<dyn Effects> {
        Box::new(Self)
    }

    async fn interrupted(&self, _: CallNo) -> Result<Option<Interrupted>, NotRead> {
        Ok(None)
    }

    async fn completion(&self, _: CallNo) -> Result<Option<Completion<Response>>, NotRead> {
        Ok(None)
    }

    async fn remembered(&self) -> Result<Memory, NotRead> {
        Ok(Memory::default())
    }

    fn bytes_on_disk(&self) -> Option<u64> {
        None
    }

    fn trouble(&self) -> Option<Reason> {
        None
    }
}

#[async_trait]
impl Effects for Volatile {
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
