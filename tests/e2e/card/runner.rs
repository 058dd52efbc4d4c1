//! What a supervisor does for a driver, as little as it can be: opens it, gives it calls with a
//! record of their effects, lets it watch, and opens it again.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use koffer_drivers::{
    Call, CallControl, CallUpdate, Contact, Driver, Effects, Evidence, Fault, Interrupted,
    NotStored, Opened, Reconciled, Report, Steering, call,
    card::pcsc::{PcscConfig, driver},
};
use koffer_fixtures::card::pcscd::Pcscd;
use koffer_proto::{
    Blob, CallId, Effect, Failure, Lang, Outcome, Request, Response, Status,
    class::card_terminal::{
        self as card, Command as Apdu, ConnectParams, DisconnectParams, Disposition, FileAddress,
        FileOffset, FilePath, ReadParams, StatusWordPattern, TransmitParams, WriteParams,
    },
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};

/// The application of every test card.
pub(crate) const AID: [u8; 6] = [0xA0, 0, 0, 0, 0x77, 1];
/// More than any step takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A driver under supervision.
pub(crate) struct Bench {
    reader: String,
    driver: Box<dyn Driver>,
    /// When set, the record cannot be stored from this entry on.
    pub(crate) journal_fails_at: Option<usize>,
}

/// When the gateway dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// While it writes this entry of the record.
    Writing(usize),
    /// When it just wrote it.
    Wrote(usize),
}

/// A call that ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcome: Outcome<Response>,
    pub(crate) contact: Contact,
    pub(crate) told: Vec<CallUpdate>,
    /// What was stored, in order: `armed`, `started`, milestones by their facts.
    pub(crate) stored: Vec<String>,
    /// What a driver is asked about it where nobody knows its outcome; `None`: it never began.
    pub(crate) interrupted: Option<Interrupted>,
}

impl Done {
    pub(crate) fn ok(self) -> Response {
        match self.outcome {
            Outcome::Ok(response) => response,
            Outcome::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub(crate) fn failure(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Ok(response) => panic!("{response:?}"),
        }
    }

    /// Status, effect and cause of a failure.
    pub(crate) fn failed(&self) -> (Status, Effect, &str) {
        let failure = self.failure();
        let cause = failure.detail.cause.as_deref().unwrap_or("");
        (failure.status(), failure.effect(), cause)
    }
}

impl Bench {
    /// Opens the reader; waits until it is there.
    pub(crate) async fn open(reader: &str) -> Self {
        let mut bench = Self::closed(reader);
        bench.reopen().await;
        bench
    }

    pub(crate) fn closed(reader: &str) -> Self {
        let config = PcscConfig {
            reader: reader.parse().unwrap(),
        };
        Self {
            reader: reader.to_owned(),
            driver: driver(config),
            journal_fails_at: None,
        }
    }

    pub(crate) async fn try_open(&mut self) -> Result<Opened, Fault> {
        timeout(PATIENCE, self.driver.open()).await.unwrap()
    }

    /// A new life, as often as it takes.
    pub(crate) async fn reopen(&mut self) -> Opened {
        let began = Instant::now();
        loop {
            let journal = self.journal_fails_at;
            *self = Self::closed(&self.reader);
            self.journal_fails_at = journal;
            match self.try_open().await {
                Ok(opened) => return opened,
                Err(fault) if began.elapsed() > PATIENCE => panic!("{fault}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Opens it, and waits until it sees a card.
    pub(crate) async fn open_with_card(reader: &str) -> Self {
        let mut bench = Self::open(reader).await;
        bench.until_connected().await;
        bench.ask(disconnect(Disposition::Reset)).await.ok();
        bench
    }

    /// Connects as soon as there is a card to connect to.
    pub(crate) async fn until_connected(&mut self) {
        let began = Instant::now();
        loop {
            let done = self.ask(connect()).await;
            match &done.outcome {
                Outcome::Ok(_) => return,
                _ if began.elapsed() > PATIENCE => panic!("{done:?}"),
                Outcome::Failed(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            if matches!(done.contact, Contact::Lost(_)) {
                self.reopen().await;
            }
        }
    }

    pub(crate) async fn ask(&mut self, request: impl Into<Request>) -> Done {
        self.ask_within(request, PATIENCE, |_| {}).await
    }

    pub(crate) async fn ask_within(
        &mut self,
        request: impl Into<Request>,
        limit: Duration,
        steer: impl FnOnce(Steering),
    ) -> Done {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let id = CALLS.fetch_add(1, Ordering::Relaxed);
        let record = Record {
            fails_at: self.journal_fails_at,
            ..Record::default()
        };
        let stored = record.stored.clone();
        let id = CallId::new(format!("call-{id}")).unwrap();
        let (mut call, mut control) = called(id, limit, record);
        steer(control.steering());
        let request = request.into();
        let asked = Asked::of(&request, &call);
        let listening = tokio::spawn(async move {
            let mut told = Vec::new();
            while let Some(news) = control.told.recv().await {
                told.push(news);
            }
            told
        });
        let run = self.driver.run(request, &mut call);
        let finished = timeout(limit + PATIENCE, run).await.unwrap();
        drop(call);
        let told = listening.await.unwrap();
        let stored = stored.lock().unwrap();
        Done {
            outcome: finished.outcome,
            contact: finished.contact,
            told,
            interrupted: asked.left(&stored),
            stored: stored.iter().map(Entry::shown).collect(),
        }
    }

    /// Begins a call and dies: at an entry of its record, or when `until` resolves. What a gateway
    /// that starts again knows of it; `None`: its effect never began, and nobody asks.
    pub(crate) async fn die(
        mut self,
        request: impl Into<Request>,
        dies: Option<Death>,
        until: impl Future<Output = ()>,
    ) -> Option<Interrupted> {
        let request = request.into();
        let record = Record {
            dies,
            ..Record::default()
        };
        let (stored, dead) = (record.stored.clone(), record.dead.clone());
        let id = CallId::new("interrupted".to_owned()).unwrap();
        let (mut call, control) = called(id, PATIENCE, record);
        let asked = Asked::of(&request, &call);
        tokio::select! {
            biased;
            () = dead.notified() => {}
            () = until => {}
            ended = self.driver.run(request, &mut call) => panic!("it ended: {ended:?}"),
            () = tokio::time::sleep(PATIENCE) => panic!("it does not get as far as that"),
        }
        // The driver goes with this value; nobody closes it.
        drop((self, call, control));
        let stored = stored.lock().unwrap();
        asked.left(&stored)
    }

    /// Asks what became of an interrupted call, as often as the reader must be opened for it.
    pub(crate) async fn reconcile(&mut self, interrupted: &Interrupted) -> Reconciled {
        let began = Instant::now();
        loop {
            let asked = self.driver.reconcile(interrupted);
            match timeout(PATIENCE, asked).await.unwrap() {
                Reconciled::Lost(fault) if began.elapsed() > PATIENCE => panic!("{fault}"),
                Reconciled::Lost(_) => {
                    self.reopen().await;
                }
                said => return said,
            }
        }
    }

    /// Watches until something is reported, or contact is lost.
    pub(crate) async fn watch(&mut self) -> Result<Report, Fault> {
        let (reports, mut reported) = mpsc::channel(1);
        let watching = async {
            tokio::select! {
                biased;
                Some(report) = reported.recv() => Ok(report),
                fault = self.driver.watch(&reports) => Err(fault),
            }
        };
        timeout(PATIENCE, watching).await.unwrap()
    }

    /// Watches until contact is lost, whatever is reported before.
    pub(crate) async fn lost(&mut self) -> Fault {
        loop {
            if let Err(fault) = self.watch().await {
                return fault;
            }
        }
    }

    pub(crate) async fn close(mut self) {
        self.driver.close().await;
    }
}

/// A call, as a journal has it.
struct Asked(Interrupted);

impl Asked {
    fn of(request: &Request, call: &Call) -> Self {
        Self(Interrupted {
            id: call.id.clone(),
            client: call.client.clone(),
            lang: call.lang,
            operation: request.spec(),
            accepted_at: Timestamp::now(),
            baseline: None,
            milestones: Vec::new(),
            known_for: Duration::ZERO,
        })
    }

    /// With what was stored of it; `None` where its effect never began.
    fn left(self, stored: &[Entry]) -> Option<Interrupted> {
        let mut kept = self.0;
        let mut started = false;
        for entry in stored {
            match entry {
                Entry::Armed(baseline) => kept.baseline = Some(baseline.clone()),
                Entry::Started => started = true,
                Entry::Milestone(evidence) => kept.milestones.push(evidence.clone()),
            }
        }
        started.then_some(kept)
    }
}

fn called(id: CallId, limit: Duration, record: Record) -> (Call, CallControl) {
    let client = "ws-1".parse().unwrap();
    let deadline = Instant::now() + limit;
    call(id, client, Lang::En, deadline, Box::new(record))
}

#[derive(Default)]
struct Record {
    fails_at: Option<usize>,
    dies: Option<Death>,
    dead: Arc<Notify>,
    stored: Arc<Mutex<Vec<Entry>>>,
}

enum Entry {
    Armed(Evidence),
    Started,
    Milestone(Evidence),
}

impl Entry {
    fn shown(&self) -> String {
        match self {
            Self::Armed(_) => "armed".to_owned(),
            Self::Started => "started".to_owned(),
            Self::Milestone(evidence) => {
                let facts = evidence.ids.iter().chain(&evidence.facts);
                let facts: Vec<_> = facts.map(|(k, v)| format!("{k}={v}")).collect();
                facts.join(" ")
            }
        }
    }
}

impl Record {
    async fn store(&self, entry: Entry) -> Result<(), NotStored> {
        let dies = {
            let mut stored = self.stored.lock().unwrap();
            if self.fails_at == Some(stored.len()) {
                return Err(NotStored::new("voll", "disk full"));
            }
            let writing = self.dies == Some(Death::Writing(stored.len()));
            let wrote = self.dies == Some(Death::Wrote(stored.len()));
            if !writing {
                stored.push(entry);
            }
            writing || wrote
        };
        if dies {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Effects for Record {
    async fn armed(&self, baseline: Evidence) -> Result<(), NotStored> {
        self.store(Entry::Armed(baseline)).await
    }

    async fn started(&self) -> Result<(), NotStored> {
        self.store(Entry::Started).await
    }

    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        self.store(Entry::Milestone(evidence)).await
    }
}

pub(crate) fn connect() -> ConnectParams {
    ConnectParams { protocol: None }
}

pub(crate) fn disconnect(disposition: Disposition) -> DisconnectParams {
    DisconnectParams { disposition }
}

pub(crate) fn file(path: &str) -> FileAddress {
    FileAddress {
        application: Some(Blob::from(AID.to_vec())),
        path: FilePath::try_from(path.to_owned()).unwrap(),
    }
}

pub(crate) fn read(path: &str) -> ReadParams {
    ReadParams {
        file: file(path),
        offset: None,
        length: None,
    }
}

pub(crate) fn write(path: &str, offset: u64, content: &[u8]) -> WriteParams {
    WriteParams {
        file: file(path),
        offset: Some(FileOffset::try_from(offset).unwrap()),
        content: content.to_vec().into(),
    }
}

/// A batch; each command with what it accepts beside 9000.
pub(crate) fn batch(commands: &[(&[u8], &[&str])]) -> TransmitParams {
    let pattern = |text: &&str| StatusWordPattern::try_from((*text).to_owned()).unwrap();
    TransmitParams {
        commands: commands
            .iter()
            .map(|(apdu, accept)| Apdu {
                apdu: apdu.to_vec().into(),
                accept: accept.iter().map(pattern).collect(),
            })
            .collect(),
    }
}

/// The bytes of a file that was read.
pub(crate) fn content(response: Response) -> Vec<u8> {
    match response {
        Response::CardTerminal(card::Response::Read(read)) => read.content.into_vec(),
        other => panic!("{other:?}"),
    }
}

/// The same command so many times.
pub(crate) fn repeated(apdu: &[u8], times: usize) -> TransmitParams {
    batch(&vec![(apdu, &[] as &[&str]); times])
}

pub(crate) fn transmitted(response: Response) -> card::Transmitted {
    match response {
        Response::CardTerminal(card::Response::Transmit(transmitted)) => transmitted,
        other => panic!("{other:?}"),
    }
}

/// The folder's socket.
pub(crate) fn socket(home: &Path) -> PathBuf {
    let socket = Pcscd::socket(home);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    socket
}
