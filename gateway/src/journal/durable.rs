//! The journal on disk: a handle, and the thread behind it.

use std::{
    io, mem,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use async_trait::async_trait;
use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use koffer_drivers::{Effects, Evidence, Interrupted, NotStored};
use koffer_proto::{Completion, DeviceId, Reason, Response};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::{AcceptedCall, CallNo, Deleted};
use super::{
    Journal, NotRead, Place, Resolution, Snapshot,
    entry::{Armed, Entry, Step, What},
    trouble::Trouble,
    writer::{Request, Shown, Writer},
};

/// What waits for the thread. While this is full no call is accepted, and whoever else asks waits
/// before it; with the bound on open calls it never is.
const WAITING: usize = 4096;

/// The journal on disk. Cheap to clone; the last one that is dropped ends the thread.
#[derive(Debug, Clone)]
pub struct Durable {
    requests: mpsc::Sender<Request>,
    shown: Arc<Shown>,
    place: Arc<Place>,
}

impl Durable {
    /// Starts the journal at `place`. It always starts: where the file cannot be opened, whoever
    /// asks is told why, and it is tried again each time.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(place: Place) -> io::Result<Self> {
        let (nobody, _) = mpsc::channel(1);
        Self::start_telling(place, nobody)
    }

    /// As [`Durable::start`], and tells which calls it deletes. Nothing is deleted while that
    /// cannot be told; where nobody listens any more, it need not be.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start_telling(place: Place, deleted: mpsc::Sender<Vec<Deleted>>) -> io::Result<Self> {
        let (requests, received) = mpsc::channel(WAITING);
        let shown = Arc::<Shown>::default();
        let writer = Writer::new(place.clone(), received, shown.clone(), deleted)?;
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.serve())?;
        Ok(Self {
            requests,
            shown,
            place: Arc::new(place),
        })
    }

    /// Transactions committed so far: how well those who write at once share them.
    pub fn commits(&self) -> u64 {
        self.shown.commits()
    }

    /// Ends it: what was asked before is answered, the log is copied into the file, and the file
    /// is closed.
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.requests.send(Request::Close(answer)).await.is_ok() {
            // The thread's end is what is waited for, with or without its answer.
            let _ = closed.await;
        }
    }

    async fn write(&self, entry: Entry) -> Result<(), NotStored> {
        let written = self
            .ask(|answer| Request::Write(Box::new(entry), answer))
            .await;
        written.unwrap_or_else(|trouble| Err(trouble.into()))
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Trouble> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(request(answer)).await;
        sent.map_err(|_| Trouble::Closed)?;
        answered.await.map_err(|_| Trouble::Closed)
    }
}

#[async_trait]
impl Journal for Durable {
    fn accepted(&self, call: &AcceptedCall) -> BoxFuture<'static, Result<(), NotStored>> {
        let (answer, answered) = oneshot::channel();
        let entry = Box::new(Entry::Accepted(call.clone()));
        let asked = self.requests.try_send(Request::Write(entry, answer));
        async move {
            asked.map_err(|refused| match refused {
                TrySendError::Full(_) => Trouble::Behind,
                TrySendError::Closed(_) => Trouble::Closed,
            })?;
            answered.await.map_err(|_| Trouble::Closed)?
        }
        .boxed()
    }

    async fn finished(
        &self,
        call: CallNo,
        completion: &Completion<Response>,
    ) -> Result<(), NotStored> {
        let entry = Entry::Finished {
            call,
            at: Timestamp::now(),
            completion: completion.clone(),
        };
        self.write(entry).await
    }

    async fn on_record(&self, call: CallNo) {
        // A journal that has ended stores nothing any more.
        let _ = self.ask(|answer| Request::OnRecord(call, answer)).await;
    }

    async fn resolved(
        &self,
        call: CallNo,
        resolution: &Resolution,
        completion: &Completion<Response>,
    ) -> Result<(), NotStored> {
        let entry = Entry::Resolved {
            call,
            resolution: resolution.clone(),
            completion: completion.clone(),
        };
        self.write(entry).await
    }

    fn effects(&self, call: CallNo, device: &DeviceId) -> Box<dyn Effects> {
        Box::new(Recorder {
            journal: self.clone(),
            call,
            device: device.clone(),
            armed: Mutex::default(),
        })
    }

    async fn interrupted(&self, call: CallNo) -> Result<Option<Interrupted>, NotRead> {
        let read = self.ask(|answer| Request::Interrupted(call, answer)).await;
        read.unwrap_or_else(|trouble| Err(trouble.into()))
    }

    async fn completion(&self, call: CallNo) -> Result<Option<Completion<Response>>, NotRead> {
        let read = self.ask(|answer| Request::Completion(call, answer)).await;
        read.unwrap_or_else(|trouble| Err(trouble.into()))
    }

    async fn snapshot(&self) -> Result<Snapshot, NotRead> {
        let read = self.ask(Request::Snapshot).await;
        read.unwrap_or_else(|trouble| Err(trouble.into()))
    }

    fn bytes_on_disk(&self) -> Option<u64> {
        self.trouble().is_none().then(|| self.place.bytes())
    }

    fn trouble(&self) -> Option<Reason> {
        self.shown.trouble()
    }
}

/// The record of one call's effects on one device.
struct Recorder {
    journal: Durable,
    call: CallNo,
    device: DeviceId,
    /// Waits for the step that needs it: alone it says no more after a crash than that the call
    /// was accepted, and would cost a commit of its own.
    armed: Mutex<Option<Armed>>,
}

impl Recorder {
    fn hold(&self, armed: Option<Armed>) -> Option<Armed> {
        let mut held = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut held, armed)
    }

    async fn write(&self, what: What) -> Result<(), NotStored> {
        let step = Step {
            call: self.call,
            device: self.device.clone(),
            armed: self.hold(None),
            at: Timestamp::now(),
            what,
        };
        self.journal.write(Entry::Step(step)).await
    }
}

#[async_trait]
impl Effects for Recorder {
    async fn armed(&self, baseline: Evidence) -> Result<(), NotStored> {
        let at = Timestamp::now();
        self.hold(Some(Armed { at, baseline }));
        Ok(())
    }

    async fn started(&self) -> Result<(), NotStored> {
        self.write(What::Started).await
    }

    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        self.write(What::Milestone(evidence)).await
    }
}
