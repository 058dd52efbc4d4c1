//! Starting and stopping a terminal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::books::Books;
use super::conversation::Conversation;
use super::ledger::LedgerError;
use super::machine::Machine;
use super::port::{Address, Plug, Port};
use super::profile::Profile;
use super::remote::{Desk, TerminalControl};
use super::shared::Shared;
use crate::control::{Endpoint, Server, serve};

/// What a terminal needs to start.
#[derive(Debug, Clone)]
pub struct TerminalConfig {
    /// Where the ECR finds it.
    pub plug: Plug,
    /// Its ledger: made if it is missing, continued if it is there.
    pub ledger: PathBuf,
    /// Where its control channel listens.
    pub control: Endpoint,
    /// What kind of terminal it is.
    pub profile: Profile,
    /// Whether the fault `die` ends the process. Never inside a test.
    pub may_exit: bool,
}

impl TerminalConfig {
    /// A usual terminal on a free TCP port.
    pub fn tcp(ledger: impl Into<PathBuf>) -> Self {
        Self {
            plug: Plug::Tcp(([127, 0, 0, 1], 0).into()),
            ledger: ledger.into(),
            control: Endpoint::any(),
            profile: Profile::default(),
            may_exit: false,
        }
    }

    /// A usual terminal on a new pseudo-terminal.
    pub fn serial(ledger: impl Into<PathBuf>) -> Self {
        Self {
            plug: Plug::Pty(None),
            ..Self::tcp(ledger)
        }
    }
}

/// Why a terminal did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// See the sentences.
    #[error("the terminal's profile is wrong: {}", .0.join("; "))]
    Profile(Vec<String>),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The port.
    #[error("the terminal's port cannot be opened: {0}")]
    Port(#[source] io::Error),
    /// The control channel.
    #[error("the control channel {0} cannot be opened: {1}")]
    Control(Endpoint, #[source] io::Error),
}

/// A running terminal. Dropping it is pulling its plug.
#[derive(Debug)]
pub struct Terminal {
    /// Where the ECR finds it. A pseudo-terminal without a link has another name after a hang-up.
    pub address: Address,
    /// Steers it.
    pub control: TerminalControl,
    server: Server,
    task: JoinHandle<io::Error>,
}

impl Terminal {
    /// Opens the ledger, the port and the control channel, and waits for an ECR.
    pub async fn start(config: TerminalConfig) -> Result<Self, StartError> {
        let mistakes = config.profile.mistakes();
        if !mistakes.is_empty() {
            return Err(StartError::Profile(mistakes));
        }
        let shared = Arc::new(Shared::new(config.profile, config.ledger.clone()));
        let books = Books::open(&config.ledger, Arc::clone(&shared))?;
        let port = Port::open(&config.plug).await.map_err(StartError::Port)?;
        let address = port.address();
        // One power button; who presses it twice waits.
        let (press, power) = mpsc::channel(1);
        let desk = Arc::new(Desk::new(Arc::clone(&shared), press));
        let server = serve(&config.control, desk)
            .await
            .map_err(|error| StartError::Control(config.control.clone(), error))?;
        let machine = Machine {
            talk: Conversation::new(port, Arc::clone(&shared), power),
            books,
            shared,
            registered: None,
            may_exit: config.may_exit,
        };
        Ok(Self {
            address,
            control: TerminalControl::new(server.endpoint().clone()),
            server,
            task: tokio::spawn(machine.run()),
        })
    }

    /// Where its control channel listens.
    pub fn control_endpoint(&self) -> &Endpoint {
        self.server.endpoint()
    }

    /// Waits until the terminal fails by itself (its port or its ledger is gone).
    pub async fn failed(&mut self) -> io::Error {
        match (&mut self.task).await {
            Ok(error) => error,
            Err(stopped) => io::Error::other(stopped),
        }
    }

    /// Pulls the plug and waits until ledger and port are free for another start.
    pub async fn stop(mut self) {
        self.task.abort();
        self.failed().await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.task.abort();
    }
}
