//! Runs a driver's calls without a gateway, and keeps what it tells.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use koffer_drivers::{
    CallUpdate, Contact, Driver, Effects, Evidence, Fault, Finished, Interrupted, NotStored,
    Opened, Reconciled, Report, Steering, call,
    printer::ipp::{self, IppConfig},
};
use koffer_proto::{
    Blob, Effect, Lang, Outcome, ProgressEvent, Request, Response, Status,
    class::{
        any_device,
        document_printer::{
            self, Document, DocumentFormat, PrintParams, Printed, Sides, StatusParams,
        },
    },
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

/// No single step of a test takes longer, unless it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// What a call wrote into its record, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Armed(Evidence),
    Started,
    Milestone(Evidence),
}

/// A record in memory; can be made to fail from a step on, or to be where the gateway dies.
#[derive(Clone, Default)]
pub(crate) struct Record {
    steps: Arc<Mutex<Vec<Step>>>,
    fails_after: Option<usize>,
    dies: Option<Death>,
    dead: Arc<Notify>,
}

/// When the gateway dies: while it writes this entry, or when it just has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) entry: usize,
    pub(crate) stored: bool,
}

impl Record {
    /// A record that keeps so many steps and no more.
    pub(crate) fn failing_after(kept: usize) -> Self {
        Self {
            fails_after: Some(kept),
            ..Self::default()
        }
    }

    /// A record whose writer dies.
    pub(crate) fn dying(dies: Death) -> Self {
        Self {
            dies: Some(dies),
            ..Self::default()
        }
    }

    async fn write(&self, step: Step) -> Result<(), NotStored> {
        let dies = {
            let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            if self.fails_after.is_some_and(|kept| steps.len() >= kept) {
                return Err(NotStored::new("voll", "disk full"));
            }
            let dies = self.dies.filter(|death| death.entry == steps.len());
            if dies.is_none_or(|death| death.stored) {
                steps.push(step);
            }
            dies.is_some()
        };
        if dies {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// Resolves when the writer is to die.
    pub(crate) async fn death(&self) {
        timeout(PATIENCE, self.dead.notified())
            .await
            .expect("it gets as far as that");
    }

    /// What a gateway that starts again knows of the call; `None`: its effect never began, and
    /// nobody asks.
    pub(crate) fn interrupted(&self, id: &str) -> Option<Interrupted> {
        let steps = self.steps();
        let baseline = steps.iter().find_map(|step| match step {
            Step::Armed(baseline) => Some(baseline.clone()),
            _ => None,
        });
        let milestones = steps.iter().filter_map(|step| match step {
            Step::Milestone(evidence) => Some(evidence.clone()),
            _ => None,
        });
        steps.contains(&Step::Started).then(|| Interrupted {
            id: id.parse().expect("a call id"),
            client: "ws-1".parse().expect("a client"),
            lang: Lang::En,
            operation: print(print_of(b"")).spec(),
            accepted_at: Timestamp::now(),
            baseline,
            milestones: milestones.collect(),
            known_for: Duration::ZERO,
        })
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        self.steps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl Effects for Record {
    async fn armed(&self, baseline: Evidence) -> Result<(), NotStored> {
        self.write(Step::Armed(baseline)).await
    }

    async fn started(&self) -> Result<(), NotStored> {
        self.write(Step::Started).await
    }

    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        self.write(Step::Milestone(evidence)).await
    }
}

/// A driver at work.
pub(crate) struct Device {
    pub(crate) driver: Box<dyn Driver>,
    pub(crate) opened: Opened,
}

impl Device {
    pub(crate) async fn open(config: &IppConfig) -> Result<Self, Fault> {
        let mut driver = ipp::driver(config.clone());
        let opened = timeout(PATIENCE, driver.open()).await.expect("open ends")?;
        Ok(Self { driver, opened })
    }

    /// Opens a device that must be there.
    pub(crate) async fn at(uri: &str) -> Self {
        let config = IppConfig::new(uri.parse().expect("a printer's URI"));
        Self::open(&config).await.expect("a printer that is there")
    }

    /// Begins a call; the device is given back with its end.
    pub(crate) fn begin(self, id: &str, request: impl Into<Request>, limit: Duration) -> Running {
        self.begin_with(id, request, limit, Record::default())
    }

    pub(crate) fn begin_with(
        mut self,
        id: &str,
        request: impl Into<Request>,
        limit: Duration,
        record: Record,
    ) -> Running {
        let id = id.parse().expect("a call id");
        let client = "ws-1".parse().expect("a client");
        let deadline = Instant::now() + limit;
        let (mut call, mut control) =
            call(id, client, Lang::En, deadline, Box::new(record.clone()));
        let steering = control.steering();
        let request = request.into();
        let (progress, told) = watch::channel(Vec::new());
        let reports = Arc::<Mutex<Vec<Report>>>::default();
        let reported = reports.clone();
        tokio::spawn(async move {
            while let Some(told) = control.told.recv().await {
                match told {
                    CallUpdate::Progress(event) => {
                        progress.send_modify(|events| events.push(event));
                    }
                    CallUpdate::Report(report) => reported
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(report),
                    CallUpdate::EffectBegun | CallUpdate::PastCancelling => {}
                }
            }
        });
        let task = tokio::spawn(async move {
            let finished = self.driver.run(request, &mut call).await;
            (self, finished)
        });
        Running {
            steering,
            told,
            reports,
            record,
            task,
        }
    }

    /// Runs a call to its end.
    pub(crate) async fn run(self, id: &str, request: impl Into<Request>) -> (Self, Ended) {
        self.begin(id, request, PATIENCE).end().await
    }

    /// Asks what became of an interrupted call.
    pub(crate) async fn reconcile(&mut self, interrupted: &Interrupted) -> Reconciled {
        let asked = self.driver.reconcile(interrupted);
        timeout(PATIENCE, asked).await.expect("it is answered")
    }

    /// What the driver reports while it rests, until `wanted` is among it.
    pub(crate) async fn watch_until(&mut self, wanted: impl Fn(&Report) -> bool) -> Vec<Report> {
        let (reports, mut reported) = mpsc::channel(16);
        let mut seen = Vec::new();
        let watching = async {
            loop {
                tokio::select! {
                    fault = self.driver.watch(&reports) => panic!("contact is lost: {fault}"),
                    Some(report) = reported.recv() => {
                        let found = wanted(&report);
                        seen.push(report);
                        if found {
                            return;
                        }
                    }
                }
            }
        };
        timeout(PATIENCE, watching).await.expect("it is reported");
        seen
    }
}

/// A call that runs.
pub(crate) struct Running {
    pub(crate) steering: Steering,
    told: watch::Receiver<Vec<ProgressEvent>>,
    reports: Arc<Mutex<Vec<Report>>>,
    record: Record,
    task: JoinHandle<(Device, Finished)>,
}

impl Running {
    /// Waits for progress.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&ProgressEvent) -> bool) {
        let seen = self.told.wait_for(|events| events.iter().any(&wanted));
        let seen = timeout(PATIENCE, seen).await.expect("it is told");
        seen.expect("the call runs");
    }

    /// The gateway dies: whatever the driver was doing, it does nothing more.
    pub(crate) async fn kill(self) -> Record {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err(), "the call ended before it was killed");
        self.record
    }

    /// Resolves when the call ended by itself.
    pub(crate) async fn ended(&mut self) {
        while self.told.changed().await.is_ok() {}
    }

    pub(crate) async fn end(self) -> (Device, Ended) {
        let (device, finished) = timeout(PATIENCE * 2, self.task)
            .await
            .expect("the call ends")
            .expect("the driver does not panic");
        let reports = self.reports.lock();
        let reports = reports.unwrap_or_else(PoisonError::into_inner).clone();
        let ended = Ended {
            finished,
            reports,
            progress: self.told.borrow().clone(),
            record: self.record,
        };
        (device, ended)
    }
}

/// How a call ended.
pub(crate) struct Ended {
    pub(crate) finished: Finished,
    pub(crate) progress: Vec<ProgressEvent>,
    /// What was reported of the device meanwhile.
    pub(crate) reports: Vec<Report>,
    pub(crate) record: Record,
}

impl Ended {
    pub(crate) fn told(&self) -> (Status, Effect) {
        match &self.finished.outcome {
            Outcome::Ok(_) => (Status::Ok, Effect::Done),
            Outcome::Failed(failure) => (failure.status(), failure.effect()),
        }
    }

    pub(crate) fn printed(&self) -> Printed {
        match &self.finished.outcome {
            Outcome::Ok(Response::DocumentPrinter(document_printer::Response::Print(printed))) => {
                printed.clone()
            }
            other => panic!("not printed: {other:?}"),
        }
    }

    pub(crate) fn detail(&self) -> koffer_proto::Detail {
        match &self.finished.outcome {
            Outcome::Failed(failure) => (*failure.detail).clone(),
            Outcome::Ok(response) => panic!("not failed: {response:?}"),
        }
    }

    pub(crate) fn is_in_contact(&self) -> bool {
        self.finished.contact == Contact::Kept
    }
}

/// A call that prints this content.
pub(crate) fn print_of(content: &[u8]) -> PrintParams {
    let content = Blob::from(content.to_vec());
    PrintParams {
        document: Document {
            format: DocumentFormat::Pdf,
            sha256: content.sha256(),
            content,
        },
        copies: None,
        sides: Sides::OneSided,
        media: None,
        colour: None,
    }
}

pub(crate) fn print(params: PrintParams) -> Request {
    Request::DocumentPrinter(document_printer::Request::Print(params))
}

pub(crate) fn status() -> Request {
    Request::DocumentPrinter(document_printer::Request::Status(StatusParams {}))
}

pub(crate) fn any(request: any_device::Request) -> Request {
    Request::AnyDevice(request)
}
