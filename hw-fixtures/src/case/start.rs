//! Starting the parts of a case, in order.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::access::{read_password, write_private};
use super::device::DeviceEntry;
use super::file::{BrokerKind, ClientRole, KOFFERD};
use super::process::{Launch, Process, tail};
use super::raised::{Case, CaseError, cannot};
use super::ready::{Watcher, devices_ready};
use super::{gateway, mosquitto};

/// Between two attempts to reach a process that is starting.
const RETRY: Duration = Duration::from_millis(20);

/// Between the end of a process's output and its own.
const ENDING: Duration = Duration::from_secs(1);

impl Case {
    pub(super) async fn start(&mut self) -> Result<(), CaseError> {
        if self.file.case.broker == BrokerKind::Mosquitto {
            self.start_mosquitto().await?;
        }
        let devices: Vec<_> = self.file.devices.clone().into_iter().collect();
        for (name, entry) in devices {
            match entry {
                DeviceEntry::Zvt(_) => {
                    let terminal = self.start_terminal(&name).await?;
                    self.terminals.insert(name, terminal);
                }
                DeviceEntry::Ippeveprinter(_) => {
                    let printer = self.start_printer(&name).await?;
                    self.printers.insert(name, printer);
                }
                // All of them at once.
                DeviceEntry::Card(_) => {}
            }
        }
        self.start_cards().await?;
        self.start_kofferd(&[]).await
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
        let config = mosquitto::prepare(
            &dir,
            self.broker.port(),
            self.websocket.map(|address| address.port()),
            &passwords,
            &monitors,
        )
        .await
        .map_err(cannot("mosquitto"))?;
        let launch = Launch::new("mosquitto", &mosquitto::program(), &self.dir)
            .args(["-c".as_ref(), config.as_os_str()]);
        let addresses: Vec<_> = [self.broker].into_iter().chain(self.websocket).collect();
        let listens = until(move || addresses.iter().all(|it| TcpStream::connect(it).is_ok()));
        self.mosquitto = Some(self.up(launch, listens).await?);
        Ok(())
    }

    pub(super) async fn start_kofferd(
        &mut self,
        variables: &[(&str, &OsStr)],
    ) -> Result<(), CaseError> {
        let program = program("kofferd", self.options.kofferd.as_ref())?;
        let config = self.dir.join("kofferd.toml");
        let table = gateway::configuration(
            &self.file,
            self.broker.port(),
            self.websocket.map(|address| address.port()),
            &self.dir.join("secrets"),
            &self.clients,
            &self.places(),
        );
        write_private(&config, &table.to_string()).map_err(cannot("kofferd.toml"))?;
        let state = self.dir.join("state");
        std::fs::create_dir_all(&state).map_err(cannot("state"))?;
        let mut launch = Launch::new("kofferd", &program, &self.dir)
            .args(["--config".as_ref(), config.as_os_str()])
            .env("NOTIFY_SOCKET", self.dir.join("notify.sock"))
            .env("STATE_DIRECTORY", &state);
        if let Some(service) = &self.pcscd {
            launch = launch.env("PCSCLITE_CSOCK_NAME", service.home.socket());
        }
        for (name, value) in variables {
            launch = launch.env(name, value);
        }
        let log = launch.log.clone();
        let (process, _) = launch
            .start(self.report.clone(), false)
            .map_err(cannot("kofferd"))?;
        // Kept also if it is not ready, or nobody waits for that any more: it is ended with the
        // others.
        self.kofferd = Some(process);
        self.kofferd_ready(&log).await
    }

    async fn kofferd_ready(&self, log: &Path) -> Result<(), CaseError> {
        let Some(process) = &self.kofferd else {
            return Ok(());
        };
        let ready = self.notify.ready();
        self.await_start("kofferd", log, process, ready).await?;
        if self.options.wait_for_devices {
            let all = self.devices_ready();
            self.await_start("a device of kofferd", log, process, all)
                .await?;
        }
        Ok(())
    }

    /// Where kofferd finds each device: its address, or its reader.
    fn places(&self) -> BTreeMap<String, String> {
        let terminals = self.terminals.iter();
        let printers = self.printers.iter();
        let readers = self.card_terminals.iter();
        terminals
            .map(|(name, terminal)| (name.clone(), terminal.configured_address()))
            .chain(printers.map(|(name, printer)| (name.clone(), printer.home.uri())))
            .chain(readers.map(|(name, terminal)| (name.clone(), terminal.reader.to_owned())))
            .collect()
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

    /// Starts a process and waits until it is up.
    pub(super) async fn up(
        &self,
        launch: Launch,
        ready: impl Future<Output = io::Result<()>>,
    ) -> Result<Process, CaseError> {
        let (name, log) = (launch.name.clone(), launch.log.clone());
        let (process, _) = launch
            .start(self.report.clone(), false)
            .map_err(cannot(&name))?;
        self.await_start(&name, &log, &process, ready).await?;
        Ok(process)
    }

    /// Waits until a process is ready, has ended, or has taken too long.
    pub(super) async fn await_start<T>(
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

/// Resolves when it is so; asks again and again, for as long as somebody waits.
pub(super) async fn until(so: impl Fn() -> bool) -> io::Result<()> {
    while !so() {
        sleep(RETRY).await;
    }
    Ok(())
}

/// A program of this workspace: the given one, or next to the running one (tests run in `deps`).
pub(super) fn program(name: &'static str, given: Option<&PathBuf>) -> Result<PathBuf, CaseError> {
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
