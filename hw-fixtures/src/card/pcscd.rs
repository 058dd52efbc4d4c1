//! The real pcscd with vpcd's two slots, apart from the machine's own: in a mount namespace where
//! its run directory is a folder of the test, and with TCP ports of its own. So several can run
//! at a time. Clients find it through `PCSCLITE_CSOCK_NAME`, which libpcsclite reads once: it must
//! be in a process's environment before its first PC/SC call.
//!
//! Debian packages: pcscd, vsmartcard-vpcd. Needs root, or a kernel that lets users have
//! namespaces.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A pcscd; ends with its value.
#[derive(Debug)]
pub struct Pcscd {
    folder: PathBuf,
    ports: [u16; 2],
    child: Option<Child>,
}

impl Pcscd {
    /// The socket that a pcscd in `folder` listens on.
    pub fn socket(folder: &Path) -> PathBuf {
        folder.join("run/pcscd.comm")
    }

    /// Starts one that lives in `folder`.
    pub fn start(folder: &Path) -> io::Result<Self> {
        let mut pcscd = Self {
            folder: folder.to_owned(),
            ports: free_ports()?,
            child: None,
        };
        pcscd.restart()?;
        Ok(pcscd)
    }

    /// The TCP ports of its two slots.
    pub fn ports(&self) -> [u16; 2] {
        self.ports
    }

    /// Starts it again where it was killed; the slots keep their ports.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let (run, conf) = (self.folder.join("run"), self.folder.join("conf"));
        let _ = fs::remove_dir_all(&run);
        fs::create_dir_all(&run)?;
        fs::create_dir_all(&conf)?;
        let port = self.ports[0];
        let reader = format!(
            "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:{port:#06X}\nLIBPATH {DRIVER}\nCHANNELID {port:#06X}\n"
        );
        fs::write(conf.join("vpcd"), reader)?;
        let log = fs::File::create(self.folder.join("pcscd.log"))?;
        let mut command = Command::new("unshare");
        command.arg(if geteuid().is_root() { "-m" } else { "-rm" });
        command.args([
            "sh",
            "-c",
            "mkdir -p /run/pcscd && mount --bind \"$0\" /run/pcscd && exec pcscd --foreground --config \"$1\"",
        ]);
        let child = command
            .args([&run, &conf])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let child = self.child.insert(child);
        let (began, socket) = (Instant::now(), Self::socket(&self.folder));
        loop {
            if UnixStream::connect(&socket).is_ok() {
                return Ok(());
            }
            if began.elapsed() > STARTS_WITHIN || child.try_wait()?.is_some() {
                let log = fs::read_to_string(self.folder.join("pcscd.log")).unwrap_or_default();
                let hint = "pcscd does not start; are pcscd and vsmartcard-vpcd installed?";
                return Err(io::Error::other(format!("{hint}\n{log}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it where it is, without a word to anybody; or lets it go on.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        let signal = if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        let child = self.child.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        kill(Pid::from_raw(pid), signal).map_err(Into::into)
    }

    /// Kills it without a chance to say anything; nothing where it does not run.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Two ports, one behind the other, as vpcd wants them. Not from the range that the kernel hands
/// out: a connection that lingers there would be in the way of a restart. Each process begins
/// elsewhere, so that two do not find the same.
fn free_ports() -> io::Result<[u16; 2]> {
    const FIRST: u32 = 21_000;
    const PAIRS: u32 = 5_000;
    (0..PAIRS)
        .filter_map(|turn| {
            let pair = (std::process::id().wrapping_mul(7) + turn) % PAIRS;
            let port = u16::try_from(FIRST + pair * 2).ok()?;
            Some([port, port + 1])
        })
        .find(|ports| {
            let free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
            ports.iter().all(free)
        })
        .ok_or_else(|| io::ErrorKind::AddrInUse.into())
}
