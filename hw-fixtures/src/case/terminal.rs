//! Payment terminals of a case: `sim-zvt`, each a process.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::access::write_private;
use super::device::{DeviceEntry, Line};
use super::process::{Launch, Process};
use super::raised::{Case, CaseError, cannot};
use super::start::program;
use crate::control::Endpoint;
use crate::ports::free_port;
use crate::zvt::{Ledger, LedgerError, TerminalControl};

/// A payment terminal of a raised case.
#[derive(Debug)]
pub struct CaseTerminal {
    /// Steers it; the address changes when it is started again.
    pub control: TerminalControl,
    /// Its ledger.
    pub ledger: PathBuf,
    /// As in kofferd's configuration.
    pub address: String,
    pub(super) process: Process,
}

impl CaseTerminal {
    /// The ledger as it is on disk, also while the simulator is dead. Blocks.
    pub fn read_ledger(&self) -> Result<Ledger, LedgerError> {
        Ledger::read(&self.ledger)
    }

    /// Its address with what the line needs.
    pub(super) fn configured_address(&self) -> String {
        let serial = self.address.starts_with("serial://");
        let settings = if serial { "?baud=9600" } else { "" };
        format!("{}{settings}", self.address)
    }

    pub(super) fn describe(&self) -> Value {
        json!({
            "address": self.address,
            "control": self.control.client().endpoint().to_string(),
            "ledger": self.ledger,
            "pid": self.process.pid(),
        })
    }
}

impl Case {
    pub(super) async fn start_terminal(&self, name: &str) -> Result<CaseTerminal, CaseError> {
        let Some(DeviceEntry::Zvt(entry)) = self.file.devices.get(name) else {
            return Err(CaseError::NoDevice("payment terminal", name.to_owned()));
        };
        let program = program("sim-zvt", self.options.sim_zvt.as_ref())?;
        let profile_path = self.dir.join(format!("{name}.profile.toml"));
        let profile = toml::to_string(&entry.profile)
            .map_err(|error| cannot(name)(io::Error::other(error)))?;
        write_private(&profile_path, &profile).map_err(cannot(name))?;
        let ledger = self.dir.join(format!("{name}.ledger.jsonl"));
        let mut launch = Launch::new(name, &program, &self.dir)
            .args(["--ledger".as_ref(), ledger.as_os_str()])
            .args(["--profile".as_ref(), profile_path.as_os_str()]);
        launch = match (entry.line, self.terminals.get(name)) {
            (Line::Serial, _) => {
                let link = self.dir.join(format!("{name}.tty"));
                launch.args(["--pty".as_ref(), "--link".as_ref(), link.as_os_str()])
            }
            // Where kofferd looks for it.
            (Line::Tcp, Some(before)) => {
                let address = before.address.strip_prefix("tcp://");
                launch.args(["--tcp", address.unwrap_or(&before.address)])
            }
            (Line::Tcp, None) => {
                let port = match entry.port {
                    0 => free_port().map_err(cannot("a free port"))?,
                    port => port,
                };
                launch.args(["--tcp", &format!("127.0.0.1:{port}")])
            }
        };
        let log = launch.log.clone();
        let (process, stdout) = launch
            .start(self.report.clone(), true)
            .map_err(cannot(name))?;
        let first_line = async {
            let stdout = stdout.ok_or_else(|| io::Error::other("no output"))?;
            let line = BufReader::new(stdout).lines().next_line().await?;
            let line = line.ok_or_else(|| io::Error::other("no first line"))?;
            Ok(serde_json::from_str::<Value>(&line)?)
        };
        let ready = self.await_start(name, &log, &process, first_line).await?;
        let told = |key: &str| {
            let text = ready.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let endpoint: Endpoint = told("control")
            .parse()
            .map_err(|error| cannot(name)(io::Error::other(error)))?;
        Ok(CaseTerminal {
            control: TerminalControl::new(endpoint),
            address: told("address"),
            ledger,
            process,
        })
    }

    /// Kills a payment terminal (SIGKILL) and waits until it is gone. Its ledger stays.
    pub async fn kill_terminal(&mut self, name: &str) -> Result<(), CaseError> {
        let terminal = self.terminals.get(name);
        let missing = || CaseError::NoDevice("payment terminal", name.to_owned());
        terminal.ok_or_else(missing)?.process.kill().await;
        Ok(())
    }

    /// Starts a payment terminal again at its address and with its ledger, after killing the one
    /// that runs.
    pub async fn restart_terminal(&mut self, name: &str) -> Result<(), CaseError> {
        self.kill_terminal(name).await?;
        let again = self.start_terminal(name).await?;
        self.terminals.insert(name.to_owned(), again);
        Ok(())
    }
}
