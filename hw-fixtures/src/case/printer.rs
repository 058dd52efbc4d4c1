//! Document printers of a case: `ippeveprinter` and a D-Bus daemon for it, each a process.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::device::{DeviceEntry, Simulated};
use super::process::{Launch, Process};
use super::raised::{Case, CaseError, cannot};
use super::start::until;
use crate::ippeveprinter::PrinterHome;
use crate::ports::free_port;

/// A document printer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrinterEntry {
    /// Its TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Sheets in each of its trays when it is switched on, 0 for none; what `ippeveprinter` has by
    /// itself if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheets: Option<u8>,
    /// How long each page takes.
    pub page_ms: u32,
    /// Further keys for kofferd's table of this device, taken as they are.
    pub kofferd: toml::Table,
}

impl Simulated for PrinterEntry {
    fn port(&self) -> u16 {
        self.port
    }

    fn configuration(&self, place: &str) -> Vec<(&'static str, toml::Value)> {
        vec![("driver", "ipp".into()), ("address", place.into())]
    }

    fn more(&self) -> &toml::Table {
        &self.kofferd
    }
}

/// A document printer of a raised case.
#[derive(Debug)]
pub struct CasePrinter {
    /// Its tray, its paper and the controls of its print command.
    pub home: PrinterHome,
    pub(super) process: Process,
    pub(super) bus: Process,
}

impl CasePrinter {
    pub(super) fn describe(&self) -> Value {
        json!({
            "address": self.home.uri(),
            "output": self.home.output(),
            "controls": self.home.controls(),
            "no_paper": self.home.paper_url(0),
            "paper": self.home.paper_url(250),
            "pid": self.process.pid(),
            "bus_pid": self.bus.pid(),
        })
    }
}

impl Case {
    pub(super) async fn start_printer(&self, name: &str) -> Result<CasePrinter, CaseError> {
        let Some(DeviceEntry::Ippeveprinter(entry)) = self.file.devices.get(name) else {
            return Err(CaseError::NoDevice("printer", name.to_owned()));
        };
        // Where kofferd looks for it, if it ran before.
        let home = self.printers.get(name).map(|before| before.home.clone());
        let home = home.map_or_else(|| self.printer_home(name, entry), Ok)?;
        if entry.page_ms > 0 {
            let seconds = f64::from(entry.page_ms) / 1000.0;
            let set = home.set("page-time", &seconds.to_string());
            set.map_err(cannot(name))?;
        }
        let bus_name = format!("{name}.dbus");
        let command = home.bus_command().map_err(cannot(&bus_name))?;
        let launch = Launch::of(&bus_name, command, &self.dir);
        let bus = self.up(launch, until(|| home.bus_answers())).await?;
        let command = home.printer_command().map_err(cannot(name))?;
        let launch = Launch::of(name, command, &self.dir);
        let process = self.up(launch, until(|| home.printer_answers())).await?;
        if let Some(sheets) = entry.sheets {
            home.load_paper(sheets).await.map_err(cannot(name))?;
        }
        Ok(CasePrinter { home, process, bus })
    }

    fn printer_home(&self, name: &str, entry: &PrinterEntry) -> Result<PrinterHome, CaseError> {
        let port = match entry.port {
            0 => free_port().map_err(cannot("a free port"))?,
            port => port,
        };
        let dir = self.dir.join(name);
        std::fs::create_dir_all(&dir).map_err(cannot(dir.display().to_string()))?;
        PrinterHome::prepare(name, port, &dir).map_err(cannot(name))
    }

    /// Kills a printer (SIGKILL) and waits until it is gone. What lies in its tray stays; its jobs
    /// are forgotten.
    pub async fn kill_printer(&mut self, name: &str) -> Result<(), CaseError> {
        let printer = self.printers.get(name);
        let missing = || CaseError::NoDevice("printer", name.to_owned());
        let printer = printer.ok_or_else(missing)?;
        printer.process.kill().await;
        printer.bus.kill().await;
        Ok(())
    }

    /// Starts a printer again at its address and with its tray, after killing the one that runs.
    pub async fn restart_printer(&mut self, name: &str) -> Result<(), CaseError> {
        self.kill_printer(name).await?;
        let again = self.start_printer(name).await?;
        self.printers.insert(name.to_owned(), again);
        Ok(())
    }
}
