//! Payment terminals of a case: `sim-zvt`, each a process.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use toml::Value;

use super::access::write_private;
use super::device::{DeviceEntry, Simulated};
use super::process::{Launch, Process};
use super::raised::{Case, CaseError, cannot};
use super::start::program;
use crate::control::Endpoint;
use crate::ports::free_port;
use crate::zvt::{Ledger, LedgerError, Profile, TerminalControl};

/// A payment terminal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TerminalEntry {
    /// How it is connected.
    pub line: Line,
    /// Its TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Who prints the receipts.
    pub receipts: Receipts,
    /// What kind of terminal it is, and its cardholder.
    pub profile: Profile,
    /// Further keys for kofferd's table of this device, taken as they are.
    pub kofferd: toml::Table,
}

/// How a terminal is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// Network.
    #[default]
    Tcp,
    /// A pseudo-terminal.
    Serial,
}

/// Who prints receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Receipts {
    /// The caller gets lines.
    #[default]
    App,
    /// The terminal's own printer.
    Terminal,
}

impl Simulated for TerminalEntry {
    fn port(&self) -> u16 {
        self.port
    }

    fn mistakes(&self) -> Vec<String> {
        let profile = self.profile.mistakes();
        let mut mistakes: Vec<_> = profile
            .into_iter()
            .map(|mistake| format!("profile.{mistake}"))
            .collect();
        if self.line == Line::Serial && self.port != 0 {
            mistakes.push("port means nothing on a serial line: remove it".to_owned());
        }
        mistakes
    }

    fn configuration(&self, place: &str) -> Vec<(&'static str, Value)> {
        let receipts = match self.receipts {
            Receipts::App => "app",
            Receipts::Terminal => "terminal",
        };
        vec![
            ("driver", "zvt".into()),
            ("address", place.into()),
            ("password", self.profile.password.as_str().into()),
            ("currency", "EUR".into()),
            ("receipts", receipts.into()),
            ("tells_busy", (!self.profile.hides_work).into()),
        ]
    }

    fn more(&self) -> &toml::Table {
        &self.kofferd
    }
}

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

    pub(super) fn describe(&self) -> serde_json::Value {
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
            Ok(serde_json::from_str::<serde_json::Value>(&line)?)
        };
        let ready = self.await_start(name, &log, &process, first_line).await?;
        let told = |key: &str| {
            let text = ready.get(key).and_then(serde_json::Value::as_str);
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
