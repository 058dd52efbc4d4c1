//! A printer that nobody here wrote: `ippeveprinter` of CUPS (Debian `cups-ipp-utils`), as a
//! process that ends with its value.
//!
//! It wants a D-Bus system bus and gets one of its own. What it "prints" is what its print command
//! writes: the command here copies the document into the output folder when its first page
//! comes out, counts pages, and obeys a folder of controls. It takes one job at a time, and its
//! job ids start anew with it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// It listens within that time, unless it never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// The print command. `$0` lies beside the controls.
const COMMAND: &str = r#"#!/bin/sh
# A page at a time; stops when the printer is killed. Controls are files:
#   pages     how many pages every document has (1)
#   hold-N    no more pages after N of them while this exists
#   state     printer-state-reasons to show, and no page while this exists
#   stop      no more pages at all
#   fail      the engine fails after the pages
#   uncounted pages are not counted
cd "$(dirname "$0")/controls" || exit 1
wait_for() {
    while [ -e "$1" ] && kill -0 $PPID 2>/dev/null; do sleep 0.02; done
}
if [ -e state ]; then
    reasons=$(cat state)
    echo "STATE: +$reasons" >&2
    wait_for state
    echo "STATE: -$reasons" >&2
fi
pages=1
[ -e pages ] && pages=$(cat pages)
done=0
while [ "$done" -lt "$pages" ]; do
    wait_for "hold-$done"
    [ -e stop ] && break
    kill -0 $PPID 2>/dev/null || exit 1
    [ "$done" = 0 ] && cat "$1"
    done=$((done + 1))
    [ -e uncounted ] || echo "ATTR: job-impressions-completed=$done" >&2
done
[ -e fail ] && exit 1
exit 0
"#;

/// A running printer.
#[derive(Debug)]
pub struct IppEvePrinter {
    name: String,
    port: u16,
    dir: PathBuf,
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
        let dir = dir.canonicalize()?;
        for folder in ["spool", "out", "keys", "controls"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        let command = dir.join("print.sh");
        fs::write(&command, COMMAND)?;
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755))?;
        let bus = Command::new(program("dbus-daemon", "dbus-daemon")?)
            .args(["--session", "--nofork", "--nopidfile"])
            .arg(joined("--address=unix:path=", &dir.join("bus.sock")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut printer = Self {
            name: name.to_owned(),
            port,
            dir,
            bus,
            printer: None,
        };
        printer.restart().await?;
        Ok(printer)
    }

    /// Where it is.
    pub fn uri(&self) -> String {
        format!("ipp://localhost:{}/ipp/print", self.port)
    }

    /// Its port on the loopback interface, for IPP, IPPS and its web page.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that stands for the output tray.
    pub fn output(&self) -> PathBuf {
        self.dir.join("out")
    }

    /// What lies in the tray: file name (`<job id>-<job name>.prn`) and content. A file without
    /// content is a job that no page came out of.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn printed(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.output())? {
            let entry = entry?;
            let content = fs::read(entry.path())?;
            if !content.is_empty() {
                files.push((entry.file_name().to_string_lossy().into_owned(), content));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Sets a control of the print command.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn set(&self, control: &str, value: &str) -> io::Result<()> {
        fs::write(self.dir.join("controls").join(control), value)
    }

    /// Takes a control away.
    ///
    /// # Errors
    /// When its file cannot be removed, other than because there is none.
    pub fn clear(&self, control: &str) -> io::Result<()> {
        match fs::remove_file(self.dir.join("controls").join(control)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Fills its trays with A4 and envelopes, or empties them (0 sheets: `media-empty`), as its
    /// web page does.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn load_paper(&self, sheets: u8) -> io::Result<()> {
        let path = format!(
            "/media?size1=iso_a4_210x297mm&type1=stationery&level1={sheets}\
             &size3=iso_dl_110x220mm&type3=envelope&level3={sheets}"
        );
        let question =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(("localhost", self.port)).await?;
        stream.write_all(question.as_bytes()).await?;
        // It keeps the connection open whatever it is told: the first line says enough.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        if answer == *b"HTTP/1.1 200" {
            Ok(())
        } else {
            Err(io::Error::other("ippeveprinter did not take the paper"))
        }
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
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let mut command = Command::new(program("ippeveprinter", "cups-ipp-utils")?);
        command
            .env(
                "DBUS_SYSTEM_BUS_ADDRESS",
                joined("unix:path=", &self.dir.join("bus.sock")),
            )
            .args(["-v", "-k", "-2", "-r", "off", "-n", "localhost"])
            .arg("-d")
            .arg(self.dir.join("spool"))
            .arg("-D")
            .arg(joined("file://", &self.output()))
            .arg("-K")
            .arg(self.dir.join("keys"))
            .arg("-c")
            .arg(self.dir.join("print.sh"))
            .args(["-F", "application/pdf"])
            .args(["-f", "application/pdf,image/jpeg,image/pwg-raster"])
            .args(["-p", &self.port.to_string(), &self.name])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.wait_for_bus().await?;
        let printer = self.printer.insert(command.spawn()?);
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("localhost", self.port)).is_err() {
            let ended = printer.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                let why = format!("ippeveprinter does not listen ({ended:?}): {log}");
                return Err(io::Error::other(why));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn wait_for_bus(&mut self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        // The socket is there before anybody listens on it.
        while UnixStream::connect(self.dir.join("bus.sock")).is_err() {
            if self.bus.try_wait()?.is_some() || Instant::now() > until {
                return Err(io::Error::other("dbus-daemon does not come up"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
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

fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

/// Finds a program; `/usr/sbin` is not in every user's path.
fn program(name: &str, package: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            let why =
                format!("{name} is missing: apt-get install --no-install-recommends {package}");
            io::Error::new(io::ErrorKind::NotFound, why)
        })
}
