//! The world that goes wrong: a case with real processes, cables that can be cut, and a disk for
//! the journal that can be full.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use koffer_fixtures::{
    case::{BrokerKind, Case, CaseFile, CaseOptions},
    zvt::Ledger,
};
use koffer_gateway::journal::FILE;
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::{
    Outcome,
    disk::Disk,
    schedule::{CLIENTS, DEVICES, Mishap},
    wire::Wire,
};

/// The journal's disk: some times what a full run leaves there.
const DISK_MIB: u32 = 96;
/// Who looks at devices when nobody else can tell.
pub(crate) const TECHNICIAN: &str = "tech-1";

pub(crate) fn client(n: usize) -> String {
    format!("ws-{}", n + 1)
}

pub(crate) fn till(n: usize) -> String {
    format!("till-{}", n + 1)
}

pub(crate) fn printer(n: usize) -> String {
    format!("printer-{}", n + 1)
}

/// When something went wrong.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Incident {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) mishap: Mishap,
}

impl Incident {
    /// Whether any of it was between these times.
    pub(crate) fn overlaps(&self, from: Timestamp, until: Timestamp) -> bool {
        self.from <= until && self.until >= from
    }
}

/// What is true whatever anybody says: the terminals' ledgers and the printers' trays.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    ledgers: BTreeMap<String, PathBuf>,
    /// The tray, and where its sheets were put when the printer was restarted: job ids begin
    /// anew, and a sheet must not lie on another of the same name.
    trays: BTreeMap<String, [PathBuf; 2]>,
}

/// A raised case, and everything between its parts.
pub(crate) struct World {
    pub(crate) case: Case,
    pub(crate) truth: Truth,
    pub(crate) incidents: Vec<Incident>,
    /// Processes that were killed.
    pub(crate) kills: u32,
    disk: Disk,
    /// Where the clients connect.
    clients: Wire,
    gateway: Wire,
    tills: Vec<Wire>,
    printers: Vec<Wire>,
    folder: PathBuf,
}

impl World {
    /// Raises everything in `folder`.
    pub(crate) async fn raise(folder: &Path) -> Outcome<Self> {
        let folder = folder.canonicalize()?;
        let disk = Disk::mount(&folder.join("state"), DISK_MIB)?;
        let broker = port()?;
        let (gateway, clients) = (Wire::to(broker).await?, Wire::to(broker).await?);
        let (mut tills, mut printers) = (Vec::new(), Vec::new());
        let mut text = format!(
            "[case]\ngateway = \"case-7\"\nbroker = \"mosquitto\"\nport = {broker}\n[clients]\n\
             {TECHNICIAN} = {{ role = \"technician\", allow = [\"*\"] }}\n"
        );
        for n in 0..CLIENTS {
            let rights = r#"role = "workstation", allow = ["payment", "document-printer"]"#;
            writeln!(text, "{} = {{ {rights} }}", client(n))?;
        }
        for n in 0..DEVICES {
            let (name, port) = (till(n), port()?);
            let wire = Wire::to(port).await?;
            // Both chapters of the specification: half of them take back what is not acknowledged.
            let missing_ack = if n % 2 == 0 { "reverses" } else { "keeps" };
            let number = 68_000_123 + n;
            write!(
                text,
                "[devices.{name}]\nsimulator = \"zvt\"\nport = {port}\n\
                 profile = {{ terminal_id = {number}, missing_ack = \"{missing_ack}\" }}\n\
                 kofferd = {{ address = \"tcp://127.0.0.1:{}\" }}\n",
                wire.port
            )?;
            tills.push(wire);
        }
        for n in 0..DEVICES {
            let (name, port) = (printer(n), port()?);
            let wire = Wire::to(port).await?;
            write!(
                text,
                "[devices.{name}]\nsimulator = \"ippeveprinter\"\nport = {port}\n\
                 kofferd = {{ address = \"ipp://127.0.0.1:{}/ipp/print\" }}\n",
                wire.port
            )?;
            printers.push(wire);
        }
        let mut file = CaseFile::parse(&text, Path::new("the case of the chaos run"))?;
        file.kofferd = external(&folder, gateway.port);
        let options = CaseOptions {
            dir: Some(folder.clone()),
            // Whoever asks a device that is not ready asks again.
            wait_for_devices: false,
            ..CaseOptions::default()
        };
        let case = Case::raise(&file, options).await?;
        let mut trays = BTreeMap::new();
        for (name, printer) in &case.printers {
            printer.home.set("pages", "1")?;
            let kept = folder.join(format!("{name}.kept"));
            fs::create_dir_all(&kept)?;
            trays.insert(name.clone(), [printer.home.output(), kept]);
        }
        let ledgers = case.terminals.iter();
        let truth = Truth {
            ledgers: ledgers
                .map(|(name, terminal)| (name.clone(), terminal.ledger.clone()))
                .collect(),
            trays,
        };
        Ok(Self {
            case,
            truth,
            incidents: Vec::new(),
            kills: 0,
            disk,
            clients,
            gateway,
            tills,
            printers,
            folder,
        })
    }

    /// Where clients connect.
    pub(crate) fn port(&self) -> u16 {
        self.clients.port
    }

    /// The journal's file.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join("state").join(FILE)
    }

    /// Lets it happen, and brings back what it took away.
    pub(crate) async fn suffer(&mut self, mishap: Mishap) -> Outcome<()> {
        let from = Timestamp::now();
        match mishap {
            Mishap::KillGateway {
                away_ms,
                starting_ms,
            } => {
                self.kill_gateway().await;
                away(away_ms).await;
                if let Some(ms) = starting_ms {
                    let starting = self.case.restart_kofferd();
                    if let Ok(started) = timeout(Duration::from_millis(ms), starting).await {
                        started?;
                    }
                    self.kill_gateway().await;
                }
                self.case.restart_kofferd().await?;
            }
            Mishap::KillBroker { away_ms } => self.kill_broker(away_ms).await?,
            Mishap::KillGatewayAndBroker => {
                self.kill_gateway().await;
                self.kill_broker(0).await?;
                self.case.restart_kofferd().await?;
            }
            Mishap::KillTerminal { number, away_ms } => {
                self.kills += 1;
                self.case.kill_terminal(&till(number)).await?;
                away(away_ms).await;
                self.case.restart_terminal(&till(number)).await?;
            }
            Mishap::KillPrinter { number, away_ms } => {
                self.kill_printer(&printer(number), away_ms).await?;
            }
            Mishap::CutClients => self.clients.cut(),
            Mishap::CutGateway => self.gateway.cut(),
            Mishap::CutTerminal(n) => self.tills.get(n).into_iter().for_each(Wire::cut),
            Mishap::CutPrinter(n) => self.printers.get(n).into_iter().for_each(Wire::cut),
            Mishap::FullDisk {
                but_kib,
                for_ms,
                and_kill,
            } => {
                self.full_disk(but_kib, Duration::from_millis(for_ms), and_kill)
                    .await?;
            }
            Mishap::ChangeBroker => self.change_broker().await?,
        }
        self.incidents.push(Incident {
            from,
            until: Timestamp::now(),
            mishap,
        });
        Ok(())
    }

    async fn kill_gateway(&mut self) {
        self.kills += 1;
        self.case.kill_kofferd().await;
    }

    /// The embedded broker dies with its gateway only.
    async fn kill_broker(&mut self, away_ms: u64) -> Outcome<()> {
        if self.case.file.case.broker == BrokerKind::Embedded {
            self.kill_gateway().await;
            away(away_ms).await;
            return Ok(self.case.restart_kofferd().await?);
        }
        self.kills += 1;
        self.case.kill_mosquitto().await;
        away(away_ms).await;
        Ok(self.case.restart_mosquitto().await?)
    }

    async fn kill_printer(&mut self, name: &str, away_ms: u64) -> Outcome<()> {
        self.kills += 1;
        self.case.kill_printer(name).await?;
        away(away_ms).await;
        if let Some([tray, kept]) = self.truth.trays.get(name) {
            for sheet in fs::read_dir(tray)? {
                let sheet = sheet?;
                let name = sheet.file_name();
                let name = format!("{}-{}", self.kills, name.to_string_lossy());
                fs::rename(sheet.path(), kept.join(name))?;
            }
        }
        Ok(self.case.restart_printer(name).await?)
    }

    async fn full_disk(&mut self, but_kib: u32, time: Duration, and_kill: bool) -> Outcome<()> {
        self.disk.fill(but_kib)?;
        sleep(time).await;
        if and_kill {
            self.kill_gateway().await;
            self.case.restart_kofferd().await?;
            sleep(time).await;
        }
        self.disk.free()?;
        if and_kill {
            // What docs/journal.md tells a technician: a gateway that could not read its journal
            // at the start is restarted.
            self.case.restart_kofferd().await?;
        }
        Ok(())
    }

    async fn change_broker(&mut self) -> Outcome<()> {
        self.kill_gateway().await;
        match self.case.file.case.broker {
            BrokerKind::Mosquitto => {
                self.kills += 1;
                self.case.kill_mosquitto().await;
                self.case.file.case.broker = BrokerKind::Embedded;
                self.case.file.kofferd = toml::Table::new();
            }
            BrokerKind::Embedded => {
                self.case.file.case.broker = BrokerKind::Mosquitto;
                self.case.file.kofferd = external(&self.folder, self.gateway.port);
                self.case.restart_mosquitto().await?;
            }
        }
        Ok(self.case.restart_kofferd().await?)
    }
}

impl Truth {
    /// The ledger of a terminal as it is on disk.
    pub(crate) fn ledger(&self, terminal: &str) -> Outcome<Ledger> {
        let path = self.ledgers.get(terminal).ok_or("no such terminal")?;
        Ok(Ledger::read(path)?)
    }

    /// Every sheet that came out of a printer.
    pub(crate) fn sheets(&self, printer: &str) -> Outcome<Vec<Vec<u8>>> {
        let folders = self.trays.get(printer).ok_or("no such printer")?;
        let mut sheets = Vec::new();
        for folder in folders {
            for sheet in fs::read_dir(folder)? {
                let content = fs::read(sheet?.path())?;
                // A job that no page came out of leaves an empty file.
                if !content.is_empty() {
                    sheets.push(content);
                }
            }
        }
        Ok(sheets)
    }

    pub(crate) fn terminals(&self) -> impl Iterator<Item = &String> {
        self.ledgers.keys()
    }

    pub(crate) fn printers(&self) -> impl Iterator<Item = &String> {
        self.trays.keys()
    }
}

/// A port that nobody uses now, and that the kernel gives to no connection as its own end
/// (ip_local_port_range begins at 32768): who was killed finds it free when it is started again.
fn port() -> Outcome<u16> {
    (0..1_000)
        .map(|_| fastrand::u16(10_000..32_000))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| "no free port".into())
}

async fn away(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// The gateway reaches an external broker by a cable that can be cut.
fn external(folder: &Path, port: u16) -> toml::Table {
    let text = |text: String| toml::Value::String(text);
    let secret = folder.join("secrets").join("kofferd");
    let external = [
        ("address", text(format!("127.0.0.1:{port}"))),
        ("username", text("kofferd".to_owned())),
        ("password_file", text(secret.display().to_string())),
    ];
    let table = |entries: Vec<(&str, toml::Value)>| {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (key.to_owned(), value));
        toml::Value::Table(entries.collect())
    };
    let mqtt = table(vec![("external", table(external.into()))]);
    toml::Table::from_iter([("mqtt".to_owned(), mqtt)])
}
