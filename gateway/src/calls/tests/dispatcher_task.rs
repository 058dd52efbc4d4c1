//! The task around the dispatcher: it waits for nobody.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use koffer_drivers::{Effects, Interrupted, NotStored};
use koffer_proto::{Completion, Reason, Response, Root};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    bus::{Address, Bus, Settings},
    documents::Documents,
    journal::{Journal, NotRead, Resolution, Snapshot, Volatile},
};

/// A journal on a disk that does not answer.
struct Stuck(Volatile);

#[async_trait]
impl Journal for Stuck {
    fn accepted(&self, call: &AcceptedCall) -> BoxFuture<'static, Result<(), NotStored>> {
        self.0.accepted(call)
    }

    async fn finished(&self, no: CallNo, end: &Completion<Response>) -> Result<(), NotStored> {
        self.0.finished(no, end).await
    }

    async fn on_record(&self, no: CallNo) {
        self.0.on_record(no).await;
    }

    async fn resolved(
        &self,
        no: CallNo,
        resolution: &Resolution,
        completion: &Completion<Response>,
    ) -> Result<(), NotStored> {
        self.0.resolved(no, resolution, completion).await
    }

    fn effects(&self, no: CallNo, device: &DeviceId) -> Box<dyn Effects> {
        self.0.effects(no, device)
    }

    async fn interrupted(&self, no: CallNo) -> Result<Option<Interrupted>, NotRead> {
        self.0.interrupted(no).await
    }

    async fn completion(&self, no: CallNo) -> Result<Option<Completion<Response>>, NotRead> {
        self.0.completion(no).await
    }

    async fn snapshot(&self) -> Result<Snapshot, NotRead> {
        std::future::pending().await
    }

    fn bytes_on_disk(&self) -> Option<u64> {
        None
    }

    fn trouble(&self) -> Option<Reason> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_holds_up_no_call() {
    let settings = Settings::new(Address::Unix("/nowhere".into()), "kofferd");
    let (_messages, incoming) = mpsc::channel(1);
    let (_sender, events) = mpsc::channel(1);
    let (_found, left_behind) = mpsc::channel(1);
    let (_gone, deleted) = mpsc::channel(1);
    let dispatcher_task = DispatcherTask::new(Startup {
        dispatcher: Fixture::new().dispatcher,
        bulk: BulkSession::of(&settings, &Handle::current()),
        bus: Bus::start(settings).0,
        incoming,
        events,
        left_behind,
        devices: std::collections::BTreeMap::new(),
        memory: None,
        journal: std::sync::Arc::new(Stuck(Volatile)),
        deleted,
        documents: Documents::new(Root::new("case-7".parse().unwrap())),
        health_interval: Duration::from_secs(30),
        finish: Duration::from_secs(1),
        grace: Duration::from_secs(1),
    });
    let stop = CancellationToken::new();
    let stops = stop.clone();
    let later = async {
        // The journal has been asked again by then.
        tokio::time::sleep(Duration::from_secs(25)).await;
        stop.cancel();
    };
    let mut served = Vec::new();
    let serve = dispatcher_task.serve(stops, |milestone| served.push(milestone));
    let both = async { tokio::join!(serve, later) };
    timeout(Duration::from_mins(1), both).await.unwrap();
    assert_eq!(served, [Served::Stopping]);
}
