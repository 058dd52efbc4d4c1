//! The folder of an `ippeveprinter`: its spool, its tray, the controls of its print command, and
//! how its two processes are started. Who starts and ends them is left open.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The print command. `$0` lies beside the controls.
const COMMAND: &str = include_str!("print.sh");

/// What its page says when it has taken other paper.
const TAKEN: &[u8] = b"Media updated.";
/// How long that may take.
const ANSWER: Duration = Duration::from_secs(20);

/// Where a printer lives, whether it runs or not.
#[derive(Debug, Clone)]
pub struct PrinterHome {
    name: String,
    port: u16,
    dir: PathBuf,
}

impl PrinterHome {
    /// Makes the folders that are missing. `port` is its port on the loopback interface.
    ///
    /// # Errors
    /// When a folder or the print command cannot be written.
    pub fn prepare(name: &str, port: u16, dir: &Path) -> io::Result<Self> {
        let dir = dir.canonicalize()?;
        for folder in ["spool", "out", "keys", "controls"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        let command = dir.join("print.sh");
        fs::write(&command, COMMAND)?;
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            name: name.to_owned(),
            port,
            dir,
        })
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

    /// The folder with the controls of the print command, see `print.sh`.
    pub fn controls(&self) -> PathBuf {
        self.dir.join("controls")
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
        fs::write(self.controls().join(control), value)
    }

    /// Takes a control away.
    ///
    /// # Errors
    /// When its file cannot be removed, other than because there is none.
    pub fn clear(&self, control: &str) -> io::Result<()> {
        match fs::remove_file(self.controls().join(control)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// The web address that fills its trays with A4 and envelopes, or empties them (0 sheets:
    /// `media-empty`), as its web page does.
    pub fn paper_url(&self, sheets: u8) -> String {
        format!("http://localhost:{}{}", self.port, paper_path(sheets))
    }

    /// Opens [`PrinterHome::paper_url`].
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn load_paper(&self, sheets: u8) -> io::Result<()> {
        let path = paper_path(sheets);
        let question =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(("localhost", self.port)).await?;
        stream.write_all(question.as_bytes()).await?;
        // The first line comes before the paper is changed, and the connection stays open after it:
        // the page says when it is done.
        let mut page = Vec::new();
        let changed = async {
            while !page.windows(TAKEN.len()).any(|window| window == TAKEN) {
                if stream.read_buf(&mut page).await? == 0 {
                    return Err(io::Error::other("ippeveprinter did not take the paper"));
                }
            }
            Ok(())
        };
        tokio::time::timeout(ANSWER, changed).await?
    }

    /// The D-Bus system bus that it wants, one of its own. Starts first.
    ///
    /// # Errors
    /// When the program is missing; the message names the package.
    pub fn bus_command(&self) -> io::Result<Command> {
        let mut command = Command::new(program("dbus-daemon", "dbus-daemon")?);
        command
            .args(["--session", "--nofork", "--nopidfile"])
            .arg(joined("--address=unix:path=", &self.dir.join("bus.sock")));
        Ok(command)
    }

    /// Whether the bus answers: the socket is there before anybody listens on it.
    pub fn bus_answers(&self) -> bool {
        UnixStream::connect(self.dir.join("bus.sock")).is_ok()
    }

    /// The printer.
    ///
    /// # Errors
    /// When the program is missing; the message names the package.
    pub fn printer_command(&self) -> io::Result<Command> {
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
            .args(["-p", &self.port.to_string(), &self.name]);
        Ok(command)
    }

    /// Whether the printer takes connections.
    pub fn printer_answers(&self) -> bool {
        TcpStream::connect(("localhost", self.port)).is_ok()
    }

    /// A file of its own.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn paper_path(sheets: u8) -> String {
    format!(
        "/media?size1=iso_a4_210x297mm&type1=stationery&level1={sheets}\
         &size3=iso_dl_110x220mm&type3=envelope&level3={sheets}"
    )
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
