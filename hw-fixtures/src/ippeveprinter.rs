//! A printer that nobody here wrote: `ippeveprinter` of CUPS (Debian `cups-ipp-utils`), as a
//! process that ends with its value.
//!
//! It wants a D-Bus system bus and gets one of its own. What it "prints" is what its print command
//! writes: the command here copies the document into the output folder when its first page
//! comes out, counts pages, and obeys a folder of controls. It takes one job at a time, and its
//! job ids start anew with it.

mod home;

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub use home::PrinterHome;

use crate::ports::free_port;

/// It listens within that time, unless it never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running printer, and all that its [`PrinterHome`] can do.
#[derive(Debug)]
pub struct IppEvePrinter {
    home: PrinterHome,
    bus: Child,
    printer: Option<Child>,
}

impl IppEvePrinter {
    /// Starts a printer that keeps its files in `dir`, on a free port of the loopback interface.
    ///
    /// # Errors
    /// When a program is missing (the message names the package) or does not come up.
    pub async fn start(name: &str, dir: &Path) -> io::Result<Self> {
        Self::start_at(name, free_port()?, dir).await
    }

    /// The same on a port of the caller's choice.
    ///
    /// # Errors
    /// As [`IppEvePrinter::start`].
    pub async fn start_at(name: &str, port: u16, dir: &Path) -> io::Result<Self> {
        let home = PrinterHome::prepare(name, port, dir)?;
        let bus = home
            .bus_command()?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut printer = Self {
            home,
            bus,
            printer: None,
        };
        printer.restart().await?;
        Ok(printer)
    }

    /// SIGKILL: all it knew of its jobs is gone.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut printer) = self.printer.take() {
            printer.kill()?;
            printer.wait()?;
        }
        Ok(())
    }

    /// Starts it, again after [`IppEvePrinter::kill`]: same port, same tray.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let path = self.home.file("log");
        let log = File::options().create(true).append(true).open(&path)?;
        let mut command = self.home.printer_command()?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.wait_for_bus().await?;
        let printer = self.printer.insert(command.spawn()?);
        let until = Instant::now() + PATIENCE;
        while !self.home.printer_answers() {
            let ended = printer.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                let log = fs::read_to_string(&path).unwrap_or_default();
                let why = format!("ippeveprinter does not listen ({ended:?}): {log}");
                return Err(io::Error::other(why));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn wait_for_bus(&mut self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.home.bus_answers() {
            if self.bus.try_wait()?.is_some() || Instant::now() > until {
                return Err(io::Error::other("dbus-daemon does not come up"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Deref for IppEvePrinter {
    type Target = PrinterHome;

    fn deref(&self) -> &PrinterHome {
        &self.home
    }
}

impl Drop for IppEvePrinter {
    fn drop(&mut self) {
        // Ended already, or ended now; there is nobody left to tell.
        let _ = self.kill();
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}
