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
use koffer_drivers::{
    Call, Contact, Driver, Effects, Evidence, Fault, NotStored, Opened, Report, Steering, Told,
    call,
    card::pcsc::{Monitor, PcscConfig, driver},
};
use koffer_fixtures::card::pcscd::Pcscd;
use koffer_proto::{
    Blob, CallId, Effect, Failure, Lang, Outcome, Request, Response, Status,
    class::card_terminal::{
        self as card, Command as Apdu, ConnectParams, DisconnectParams, Disposition, FileAddress,
        FileOffset, FilePath, ReadParams, StatusWordPattern, TransmitParams, WriteParams,
    },
};
use tokio::{sync::mpsc, time::Instant, time::timeout};

/// The application of every test card.
pub(crate) const AID: [u8; 6] = [0xA0, 0, 0, 0, 0x77, 1];
/// More than any step takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A driver under supervision.
pub(crate) struct Bench {
    reader: String,
    driver: Box<dyn Driver>,
    /// When set, the record cannot be stored from this entry on.
    pub(crate) journal_fails_at: Option<usize>,
}

/// A call that ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcome: Outcome<Response>,
    pub(crate) contact: Contact,
    pub(crate) told: Vec<Told>,
    /// What was stored, in order: `armed`, `started`, milestones by their facts.
    pub(crate) stored: Vec<String>,
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
            stored: Arc::default(),
        };
        let stored = record.stored.clone();
        let (mut call, mut control): (Call, _) = call(
            CallId::new(format!("call-{id}")).unwrap(),
            "ws-1".parse().unwrap(),
            Lang::En,
            Instant::now() + limit,
            Box::new(record),
        );
        steer(control.steering());
        let listening = tokio::spawn(async move {
            let mut told = Vec::new();
            while let Some(news) = control.told.recv().await {
                told.push(news);
            }
            told
        });
        let run = self.driver.run(request.into(), &mut call);
        let finished = timeout(limit + PATIENCE, run).await.unwrap();
        drop(call);
        Done {
            outcome: finished.outcome,
            contact: finished.contact,
            told: listening.await.unwrap(),
            stored: stored.lock().unwrap().clone(),
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

struct Record {
    fails_at: Option<usize>,
    stored: Arc<Mutex<Vec<String>>>,
}

impl Record {
    fn store(&self, entry: String) -> Result<(), NotStored> {
        let mut stored = self.stored.lock().unwrap();
        if self.fails_at == Some(stored.len()) {
            return Err(NotStored("disk full".to_owned()));
        }
        stored.push(entry);
        Ok(())
    }
}

#[async_trait]
impl Effects for Record {
    async fn armed(&self, _: Evidence) -> Result<(), NotStored> {
        self.store("armed".to_owned())
    }

    async fn started(&self) -> Result<(), NotStored> {
        self.store("started".to_owned())
    }

    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        let facts: Vec<_> = evidence
            .facts
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        self.store(facts.join(" "))
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

/// Waits until the service sees a card in the reader, or none.
pub(crate) async fn until_present(reader: &str, present: bool) {
    let monitor = Monitor::shared();
    let mut sight = monitor.sight();
    let seen = sight.wait_for(|sight| {
        let card = sight.readers.get(reader);
        card.is_some_and(|card| card.present == present)
    });
    timeout(PATIENCE, seen).await.unwrap().unwrap();
}

/// The folder's socket.
pub(crate) fn socket(home: &Path) -> PathBuf {
    let socket = Pcscd::socket(home);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    socket
}
