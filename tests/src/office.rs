//! A gateway in this process with simulated devices, on either broker: the daemon as it is, only
//! without a process of its own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use koffer_fixtures::zvt::{Address, Plug, Terminal, TerminalConfig};
use koffer_gateway::{
    config::Config,
    daemon::{self, Milestone},
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Workstation,
    mosquitto::{Mosquitto, User, free_port},
};

/// Which broker the gateway works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// Its own.
    Embedded,
    /// mosquitto with the shipped configuration.
    Mosquitto,
}

/// Both, for tests that hold for either.
pub const BROKERS: [Broker; 2] = [Broker::Embedded, Broker::Mosquitto];

/// Everybody who may connect: name, password, the rest of the entry in the configuration.
const CLIENTS: [(&str, &str, &str); 12] = [
    ("ws-1", "secret-1", WORKSTATION),
    ("ws-2", "secret-2", WORKSTATION),
    ("ws-3", "secret-3", WORKSTATION),
    ("ws-4", "secret-4", WORKSTATION),
    ("ws-5", "secret-5", WORKSTATION),
    ("ws-6", "secret-6", WORKSTATION),
    ("ws-7", "secret-7", WORKSTATION),
    ("ws-8", "secret-8", WORKSTATION),
    (
        "ws-printing",
        "secret-p",
        "role = \"workstation\"\nallow = [\"document-printer\"]",
    ),
    (
        "tech-1",
        "secret-t",
        "role = \"technician\"\nallow = [\"*\"]",
    ),
    // The shipped access list knows one monitor, by this name.
    ("monitor", "secret-m", "role = \"monitor\""),
    ("kofferd", "secret-k", ""),
];
const WORKSTATION: &str =
    "role = \"workstation\"\nallow = [\"payment\", \"document-printer\", \"card-terminal\"]";

/// A device that the test keeps, and the gateway is to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// A document printer.
    Printer {
        /// Its URI, or that of a proxy before it.
        uri: String,
        /// The certificate that it must show.
        certificate: Option<PathBuf>,
    },
    /// A card terminal, by its reader's name.
    CardTerminal(String),
}

impl Device {
    /// A printer without TLS.
    pub fn printer(uri: impl Into<String>) -> Self {
        Self::Printer {
            uri: uri.into(),
            certificate: None,
        }
    }

    /// Its table in the configuration.
    fn table(&self) -> String {
        match self {
            Self::Printer { uri, certificate } => {
                let mut table = format!("driver = \"ipp\"\naddress = \"{uri}\"\n");
                if let Some(path) = certificate {
                    let _ = writeln!(table, "certificate_file = \"{}\"", path.display());
                }
                table
            }
            Self::CardTerminal(reader) => format!("driver = \"pcsc\"\nreader = \"{reader}\"\n"),
        }
    }
}

/// A running gateway and what it works with.
pub struct Office {
    /// The simulated terminals, by device.
    pub terminals: BTreeMap<String, Terminal>,
    port: u16,
    /// Kept: it ends with the office.
    pub mosquitto: Option<Mosquitto>,
    folder: TempDir,
    stop: CancellationToken,
    daemon: JoinHandle<()>,
}

impl Office {
    /// Starts the terminals and a gateway that has them as its devices, and waits until it is
    /// online. `terminal` says what kind each is, given where its ledger lies.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn open(
        broker: Broker,
        devices: &[&str],
        terminal: impl Fn(&str, &Path) -> TerminalConfig,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut terminals = BTreeMap::new();
        for device in devices {
            let ledger = folder.path().join(format!("{device}.ledger"));
            let started = Terminal::start(terminal(device, &ledger)).await;
            terminals.insert((*device).to_owned(), started.expect("the terminal starts"));
        }
        let tables = terminals
            .iter()
            .map(|(device, terminal)| (device.clone(), zvt_table(terminal)))
            .collect();
        let tills: Vec<_> = terminals.keys().collect();
        let roles = format!("any-till = {tills:?}\n");
        Self::with(broker, folder, terminals, tables, &roles).await
    }

    /// Starts a gateway that has these devices, its printers also as `any-printer`, and waits
    /// until it is online.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn around(broker: Broker, devices: &[(&str, Device)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tables = devices
            .iter()
            .map(|(name, device)| ((*name).to_owned(), device.table()))
            .collect();
        let printers: Vec<_> = devices
            .iter()
            .filter(|(_, device)| matches!(device, Device::Printer { .. }))
            .map(|(name, _)| *name)
            .collect();
        let roles = match &printers[..] {
            [] => String::new(),
            printers => format!("any-printer = {printers:?}\n"),
        };
        Self::with(broker, folder, BTreeMap::new(), tables, &roles).await
    }

    async fn with(
        broker: Broker,
        folder: TempDir,
        terminals: BTreeMap<String, Terminal>,
        tables: BTreeMap<String, String>,
        roles: &str,
    ) -> Self {
        let mut toml = "[gateway]\nid = \"case-7\"\nshutdown_grace_ms = 2000\n".to_owned();
        let _ = writeln!(
            toml,
            "[journal]\ndirectory = \"{}\"",
            folder.path().display()
        );
        let (port, mosquitto) = match broker {
            Broker::Embedded => {
                let port = free_port();
                let _ = write!(
                    toml,
                    "[mqtt]\nbroker = \"embedded\"\n[mqtt.embedded]\nlisten = \"127.0.0.1:{port}\"\n"
                );
                (port, None)
            }
            Broker::Mosquitto => {
                let users = CLIENTS.map(|(name, password, _)| (name, password));
                let mosquitto = Mosquitto::shipped(&users);
                let port = mosquitto.port();
                let secret = secret(folder.path(), "kofferd");
                let _ = write!(
                    toml,
                    "[mqtt]\nbroker = \"external\"\n[mqtt.external]\naddress = \"127.0.0.1:{port}\"\n\
                     username = \"kofferd\"\npassword_file = \"{secret}\"\n"
                );
                (port, Some(mosquitto))
            }
        };
        for (name, _, entry) in CLIENTS.iter().filter(|(name, ..)| *name != "kofferd") {
            let secret = secret(folder.path(), name);
            let _ = write!(toml, "[clients.{name}]\n{entry}\n");
            if broker == Broker::Embedded {
                let _ = writeln!(toml, "password_file = \"{secret}\"");
            }
        }
        for (device, table) in &tables {
            let _ = write!(toml, "[devices.{device}]\n{table}");
        }
        let _ = write!(toml, "[roles]\n{roles}");
        let path = folder.path().join("kofferd.toml");
        fs::write(&path, toml).expect("the configuration is written");
        let (daemon, stop) = run(&path).await;
        Self {
            terminals,
            port,
            mosquitto,
            folder,
            stop,
            daemon,
        }
    }

    /// The broker's TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where everything lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client for mosquitto's tools.
    pub fn user(&self, name: &str) -> User {
        User::new(self.port, name, password(name))
    }

    /// A workstation app.
    pub async fn workstation(&self, name: &str) -> Workstation {
        Workstation::connect(self.port, name, password(name)).await
    }

    /// The terminal behind `device`.
    ///
    /// # Panics
    /// When there is none.
    pub fn terminal(&self, device: &str) -> &Terminal {
        self.terminals.get(device).expect("a terminal of that name")
    }

    /// Asks the gateway to end, as SIGTERM does.
    pub fn ask_to_end(&self) {
        self.stop.cancel();
    }

    /// Ends the gateway in an orderly way and starts it again over the same folder.
    ///
    /// # Panics
    /// When it does not end or does not come back.
    pub async fn restart(&mut self) {
        self.stop.cancel();
        (&mut self.daemon).await.expect("the gateway ends well");
        (self.daemon, self.stop) = run(&self.folder.path().join("kofferd.toml")).await;
    }

    /// Ends the gateway and waits until it has.
    ///
    /// # Panics
    /// When it panicked.
    pub async fn close(self) {
        self.stop.cancel();
        self.daemon.await.expect("the gateway ends well");
    }
}

/// Runs a gateway with the configuration at `path`, and waits until it is online.
async fn run(path: &Path) -> (JoinHandle<()>, CancellationToken) {
    let (config, _) = Config::load(path, []).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let stop = CancellationToken::new();
    let (tell, mut told) = watch::channel(false);
    let token = stop.clone();
    let daemon = tokio::spawn(async move {
        let outcome = daemon::run(config, token, move |milestone| {
            if milestone == Milestone::Online {
                let _ = tell.send(true);
            }
        });
        outcome.await.expect("the gateway starts");
    });
    told.wait_for(|online| *online)
        .await
        .expect("the gateway comes online");
    (daemon, stop)
}

/// A terminal's table in the configuration.
fn zvt_table(terminal: &Terminal) -> String {
    let address = match &terminal.address {
        Address::Tcp(address) => format!("tcp://{address}"),
        Address::Serial(path) => format!("serial://{}?baud=115200", path.display()),
    };
    format!("driver = \"zvt\"\naddress = \"{address}\"\ntells_busy = true\n")
}

fn secret(folder: &Path, name: &str) -> String {
    let path = folder.join(format!("{name}.secret"));
    fs::write(&path, password(name)).expect("the secret is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode is set");
    path.display().to_string()
}

fn password(name: &str) -> &'static str {
    let found = CLIENTS.iter().find(|(client, ..)| *client == name);
    found
        .map(|(_, password, _)| *password)
        .expect("a known client")
}

/// A terminal on TCP whose cardholder is quick.
pub fn quick_tcp(_: &str, ledger: &Path) -> TerminalConfig {
    TerminalConfig::tcp(ledger)
}

/// A terminal on a serial line that keeps its name, with a quick cardholder.
pub fn quick_serial(device: &str, ledger: &Path) -> TerminalConfig {
    let link = ledger.with_file_name(format!("{device}.tty"));
    TerminalConfig {
        plug: Plug::Pty(Some(link)),
        ..TerminalConfig::tcp(ledger)
    }
}
