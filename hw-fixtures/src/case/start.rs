//! Starting the parts of a case, in order.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::access::{read_password, write_private};
use super::file::{BrokerKind, ClientRole, KOFFERD, Line};
use super::process::{Launch, Process, tail};
use super::raised::{Case, CaseError, CaseTerminal, cannot};
use super::ready::{Watcher, devices_ready};
use super::{gateway, mosquitto};
use crate::control::Endpoint;
use crate::zvt::TerminalControl;

/// Between two attempts to reach a broker that is starting.
const RETRY: Duration = Duration::from_millis(20);

/// Between the end of a process's output and its own.
const ENDING: Duration = Duration::from_secs(1);

impl Case {
    pub(super) async fn start(&mut self) -> Result<(), CaseError> {
        if self.file.case.broker == BrokerKind::Mosquitto {
            self.start_mosquitto().await?;
        }
        let names: Vec<String> = self.file.devices.keys().cloned().collect();
        for name in names {
            let terminal = self.start_terminal(&name).await?;
            self.terminals.insert(name, terminal);
        }
        self.start_kofferd().await
    }

    pub(super) async fn start_mosquitto(&mut self) -> Result<(), CaseError> {
        let dir = self.dir.join("mosquitto");
        let mut passwords = Vec::new();
        let secrets = self.dir.join("secrets");
        for user in self.clients.keys().map(String::as_str).chain([KOFFERD]) {
            let password = read_password(&secrets.join(user)).map_err(cannot("a password"))?;
            passwords.push((user.to_owned(), password));
        }
        let clients = self.clients.iter();
        let monitors: Vec<&str> = clients
            .filter(|(_, access)| access.role == ClientRole::Monitor)
            .map(|(name, _)| name.as_str())
            .collect();
        let config = mosquitto::prepare(&dir, self.broker.port(), &passwords, &monitors)
            .await
            .map_err(cannot("mosquitto"))?;
        let launch = Launch::new("mosquitto", &mosquitto::program(), &self.dir)
            .args(["-c".as_ref(), config.as_os_str()]);
        let log = launch.log.clone();
        let (process, _) = launch
            .start(self.report.clone(), false)
            .map_err(|error| cannot("mosquitto")(mosquitto::missing("mosquitto", &error)))?;
        let address = self.broker;
        let listens = async {
            let deadline = Instant::now() + self.options.start_limit;
            while Instant::now() < deadline {
                if TcpStream::connect(address).await.is_ok() {
                    return Ok(());
                }
                sleep(RETRY).await;
            }
            Err(io::Error::other("it does not listen"))
        };
        self.await_start("mosquitto", &log, &process, listens)
            .await?;
        self.mosquitto = Some(process);
        Ok(())
    }

    pub(super) async fn start_terminal(&self, name: &str) -> Result<CaseTerminal, CaseError> {
        let Some(entry) = self.file.devices.get(name) else {
            return Err(CaseError::NoTerminal(name.to_owned()));
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
            (Line::Tcp, None) => launch.args(["--tcp", &format!("127.0.0.1:{}", entry.port)]),
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

    pub(super) async fn start_kofferd(&mut self) -> Result<(), CaseError> {
        let program = program("kofferd", self.options.kofferd.as_ref())?;
        let config = self.dir.join("kofferd.toml");
        let addresses = self
            .terminals
            .iter()
            .map(|(name, terminal)| {
                let serial = terminal.address.starts_with("serial://");
                let settings = if serial { "?baud=9600" } else { "" };
                (name.clone(), format!("{}{settings}", terminal.address))
            })
            .collect();
        let table = gateway::configuration(
            &self.file,
            self.broker.port(),
            &self.dir.join("secrets"),
            &self.clients,
            &addresses,
        );
        write_private(&config, &table.to_string()).map_err(cannot("kofferd.toml"))?;
        let state = self.dir.join("state");
        std::fs::create_dir_all(&state).map_err(cannot("state"))?;
        let launch = Launch::new("kofferd", &program, &self.dir)
            .args(["--config".as_ref(), config.as_os_str()])
            .env("NOTIFY_SOCKET", self.dir.join("notify.sock"))
            .env("STATE_DIRECTORY", &state);
        let log = launch.log.clone();
        let (process, _) = launch
            .start(self.report.clone(), false)
            .map_err(cannot("kofferd"))?;
        let ready = self.notify.ready();
        let mut started = self.await_start("kofferd", &log, &process, ready).await;
        if started.is_ok() && self.options.wait_for_devices {
            let all = self.devices_ready();
            started = self
                .await_start("a device of kofferd", &log, &process, all)
                .await;
        }
        // Kept also if it is not ready: it is ended with the others.
        self.kofferd = Some(process);
        started
    }

    /// Resolves when every device has been `ready`.
    async fn devices_ready(&self) -> io::Result<()> {
        let devices: Vec<&str> = self.file.devices.keys().map(String::as_str).collect();
        let monitor = self
            .clients
            .iter()
            .find(|(_, access)| access.role == ClientRole::Monitor);
        let Some((user, access)) = monitor.or_else(|| self.clients.iter().next()) else {
            return Ok(());
        };
        let watcher = Watcher {
            port: self.broker.port(),
            user,
            password: &access.password()?,
            gateway: &self.file.case.gateway,
            dir: &self.dir,
        };
        devices_ready(watcher, &devices).await
    }

    /// Waits until a process is ready, has ended, or has taken too long.
    async fn await_start<T>(
        &self,
        name: &str,
        log: &Path,
        process: &Process,
        ready: impl Future<Output = io::Result<T>>,
    ) -> Result<T, CaseError> {
        let limit = self.options.start_limit;
        let ended = |status| CaseError::Ended {
            name: name.to_owned(),
            status,
            log: tail(log),
        };
        let told = tokio::select! {
            // A process that is ready and ends at once has ended.
            biased;
            status = process.ended() => return Err(ended(status)),
            told = timeout(limit, ready) => told,
        };
        match told {
            Ok(Ok(value)) => Ok(value),
            // Its output ends a moment before the process does.
            Ok(Err(error)) => match timeout(ENDING, process.ended()).await {
                Ok(status) => Err(ended(status)),
                Err(_) => Err(cannot(name)(error)),
            },
            Err(_) => Err(CaseError::TooSlow {
                name: name.to_owned(),
                limit,
                log: tail(log),
            }),
        }
    }
}

/// A port that nobody uses now.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A program of this workspace: the given one, or next to the running one (tests run in `deps`).
fn program(name: &'static str, given: Option<&PathBuf>) -> Result<PathBuf, CaseError> {
    let own = std::env::current_exe().unwrap_or_default();
    let mut dirs = own.ancestors().skip(1).take(2).map(|dir| dir.join(name));
    let first = own.with_file_name(name);
    let path = match given {
        Some(path) => path.clone(),
        None => dirs.find(|path| path.is_file()).unwrap_or(first),
    };
    if path.is_file() {
        Ok(path)
    } else {
        Err(CaseError::NoProgram { name, path })
    }
}
