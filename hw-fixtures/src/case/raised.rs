//! A raised case: what is in it, killing parts of it, tearing it down.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::access::{ClientAccess, password_file};
use super::card_terminal::{CardService, CaseCardTerminal};
use super::file::{CaseFile, KOFFERD};
use super::printer::CasePrinter;
use super::process::{Death, Process};
use super::ready::NotifySocket;
use super::terminal::CaseTerminal;
use crate::card::virtual_card::VirtualCard;
use crate::ports::free_port;

/// A case has a handful of processes, and each dies once.
const DEATHS: usize = 64;

/// How to raise a case.
#[derive(Debug, Clone)]
pub struct CaseOptions {
    /// Where everything is kept, and found again by the next case in the same directory. A new
    /// one that goes with the case if it is left out.
    pub dir: Option<PathBuf>,
    /// The program; next to the running one if it is left out.
    pub kofferd: Option<PathBuf>,
    /// The program; next to the running one if it is left out.
    pub sim_zvt: Option<PathBuf>,
    /// Waits until every device is `ready`, not only until calls are taken.
    pub wait_for_devices: bool,
    /// How long a start may take, each.
    pub start_limit: Duration,
    /// How long a process may take to end before it is killed.
    pub grace: Duration,
}

impl Default for CaseOptions {
    fn default() -> Self {
        Self {
            dir: None,
            kofferd: None,
            sim_zvt: None,
            wait_for_devices: true,
            start_limit: Duration::from_secs(30),
            grace: Duration::from_secs(30),
        }
    }
}

/// Why a case could not be raised, or a part of it not started again.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file or a socket.
    #[error("{0}: {1}")]
    Prepare(String, #[source] io::Error),
    /// A program is not there.
    #[error("{name} is not at {}; build it (cargo build --bin {name}) or give its path", path.display())]
    NoProgram {
        /// Which.
        name: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A process ended while it was awaited.
    #[error("{name} ended while it was starting ({status}); the end of its log:\n{log}")]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A process does not get ready.
    #[error("{name} was not ready within {limit:?}; the end of its log:\n{log}")]
    TooSlow {
        /// Which.
        name: String,
        /// How long was waited.
        limit: Duration,
        /// The end of its log.
        log: String,
    },
    /// There is no such device.
    #[error("the case has no {0} \"{1}\"")]
    NoDevice(&'static str, String),
}

/// A raised case. Dropping it kills its processes; [`Case::stop`] ends them in order.
#[derive(Debug)]
pub struct Case {
    /// What was raised.
    pub file: CaseFile,
    /// The broker.
    pub broker: SocketAddr,
    /// The broker for MQTT over WebSocket, if the case has that.
    pub websocket: Option<SocketAddr>,
    /// How clients connect.
    pub clients: BTreeMap<String, ClientAccess>,
    /// The payment terminals.
    pub terminals: BTreeMap<String, CaseTerminal>,
    /// The document printers.
    pub printers: BTreeMap<String, CasePrinter>,
    /// The card terminals. Before pcscd: who removes a card waits for nobody.
    pub card_terminals: BTreeMap<String, CaseCardTerminal>,
    pub(super) options: CaseOptions,
    pub(super) dir: PathBuf,
    deaths: mpsc::Receiver<Death>,
    pub(super) report: mpsc::Sender<Death>,
    pub(super) notify: NotifySocket,
    pub(super) mosquitto: Option<Process>,
    pub(super) pcscd: Option<CardService>,
    pub(super) kofferd: Option<Process>,
    /// Last, so that it is removed when nobody writes to it any more.
    _temporary: Option<tempfile::TempDir>,
}

/// Says what could not be prepared.
pub(super) fn cannot(what: impl Into<String>) -> impl FnOnce(io::Error) -> CaseError {
    let what = what.into();
    move |error| CaseError::Prepare(what, error)
}

impl Case {
    /// Raises broker, simulators and kofferd, in this order. If one fails, those before it are
    /// ended.
    pub async fn raise(file: &CaseFile, options: CaseOptions) -> Result<Self, CaseError> {
        let mut case = Self::prepare(file, options)?;
        match case.start().await {
            Ok(()) => Ok(case),
            Err(error) => {
                case.stop().await;
                Err(error)
            }
        }
    }

    fn prepare(file: &CaseFile, options: CaseOptions) -> Result<Self, CaseError> {
        let temporary = match &options.dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("koffer-case-")
                    .tempdir()
                    .map_err(cannot("a temporary directory"))?,
            ),
        };
        let dir = match (&options.dir, &temporary) {
            (Some(dir), _) => {
                std::fs::create_dir_all(dir).map_err(cannot(dir.display().to_string()))?;
                dir.canonicalize()
                    .map_err(cannot(dir.display().to_string()))?
            }
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        let secrets = dir.join("secrets");
        std::fs::create_dir_all(&secrets).map_err(cannot(secrets.display().to_string()))?;
        password_file(&secrets, KOFFERD).map_err(cannot("a password"))?;
        let mut clients = BTreeMap::new();
        for (name, entry) in &file.clients {
            let access = ClientAccess {
                role: entry.role,
                password_file: password_file(&secrets, name).map_err(cannot("a password"))?,
            };
            clients.insert(name.clone(), access);
        }
        let port = match file.case.port {
            0 => free_port().map_err(cannot("a free port"))?,
            port => port,
        };
        let websocket = match file.case.websocket {
            Some(0) => Some(free_port().map_err(cannot("a free port"))?),
            other => other,
        };
        let (report, deaths) = mpsc::channel(DEATHS);
        Ok(Self {
            file: file.clone(),
            broker: SocketAddr::from(([127, 0, 0, 1], port)),
            websocket: websocket.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
            clients,
            terminals: BTreeMap::new(),
            printers: BTreeMap::new(),
            card_terminals: BTreeMap::new(),
            notify: NotifySocket::bind(&dir.join("notify.sock")).map_err(cannot("notify.sock"))?,
            options,
            dir,
            deaths,
            report,
            mosquitto: None,
            pcscd: None,
            kofferd: None,
            _temporary: temporary,
        })
    }

    /// The directory with configuration, logs, passwords and ledgers.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// kofferd's log.
    pub fn kofferd_log(&self) -> PathBuf {
        self.dir.join("kofferd.log")
    }

    /// kofferd's process id, while it runs.
    pub fn kofferd_pid(&self) -> Option<i32> {
        self.kofferd.as_ref().map(Process::pid)
    }

    /// mosquitto's process id, if the case has one.
    pub fn mosquitto_pid(&self) -> Option<i32> {
        self.mosquitto.as_ref().map(Process::pid)
    }

    /// Everything a person or a script needs to use the case, without passwords.
    pub fn describe(&self) -> Value {
        let clients = self.clients.iter().map(|(name, access)| {
            let shown = json!({"role": access.role, "password_file": access.password_file});
            (name, shown)
        });
        let terminals = self.terminals.iter();
        let printers = self.printers.iter();
        let readers = self.card_terminals.iter();
        json!({
            "gateway": self.file.case.gateway,
            "broker": self.broker.to_string(),
            "websocket": self.websocket.map(|address| address.to_string()),
            "mosquitto_pid": self.mosquitto_pid(),
            "clients": named(clients),
            "terminals": named(terminals.map(|(name, it)| (name, it.describe()))),
            "printers": named(printers.map(|(name, it)| (name, it.describe()))),
            "card_terminals": named(readers.map(|(name, it)| (name, it.describe()))),
            "pcscd_pid": self.pcscd_pid(),
            "kofferd": {
                "pid": self.kofferd_pid(),
                "config": self.dir.join("kofferd.toml"),
                "log": self.kofferd_log(),
            },
            "dir": self.dir,
        })
    }

    /// Kills kofferd (SIGKILL) and waits until it is gone.
    pub async fn kill_kofferd(&mut self) {
        if let Some(process) = self.kofferd.take() {
            process.kill().await;
        }
    }

    /// Ends kofferd (SIGTERM) and waits; `false` if it had to be killed after the grace.
    pub async fn stop_kofferd(&mut self) -> bool {
        match self.kofferd.take() {
            Some(process) => process.stop(self.options.grace).await,
            None => true,
        }
    }

    /// Kills mosquitto (SIGKILL) and waits until it is gone: sessions and messages are lost.
    pub async fn kill_mosquitto(&mut self) {
        if let Some(process) = self.mosquitto.take() {
            process.kill().await;
        }
    }

    /// Starts mosquitto at its port, after killing the one that runs, and waits until it listens.
    pub async fn restart_mosquitto(&mut self) -> Result<(), CaseError> {
        self.kill_mosquitto().await;
        self.start_mosquitto().await
    }

    /// Starts kofferd, after ending the one that runs, and waits until it is ready.
    pub async fn restart_kofferd(&mut self) -> Result<(), CaseError> {
        self.restart_kofferd_with(&[]).await
    }

    /// [`Case::restart_kofferd`], with these variables in its environment.
    pub async fn restart_kofferd_with(
        &mut self,
        variables: &[(&str, &OsStr)],
    ) -> Result<(), CaseError> {
        self.stop_kofferd().await;
        self.start_kofferd(variables).await
    }

    /// The next process that ends without having been asked to.
    pub async fn death(&mut self) -> Death {
        match self.deaths.recv().await {
            Some(death) => death,
            // The case holds a sender itself.
            None => std::future::pending().await,
        }
    }

    /// Ends everything in reverse order, each by SIGTERM and after the grace by SIGKILL.
    pub async fn stop(mut self) {
        self.stop_kofferd().await;
        for terminal in self.card_terminals.values() {
            terminal.with_card(VirtualCard::remove);
        }
        if let Some(service) = self.pcscd.take() {
            service.process.stop(self.options.grace).await;
        }
        for (_, printer) in std::mem::take(&mut self.printers).into_iter().rev() {
            printer.process.stop(self.options.grace).await;
            printer.bus.stop(self.options.grace).await;
        }
        for (_, terminal) in std::mem::take(&mut self.terminals).into_iter().rev() {
            terminal.process.stop(self.options.grace).await;
        }
        if let Some(process) = self.mosquitto.take() {
            process.stop(self.options.grace).await;
        }
    }
}

fn named<'a>(entries: impl Iterator<Item = (&'a String, Value)>) -> Value {
    entries.map(|(name, value)| (name.clone(), value)).collect()
}
