//! The real pcscd with vpcd's two slots, apart from the machine's own: in a mount namespace where
//! its run directory is a folder of the test, and with TCP ports of its own. So several can run
//! at a time. Clients find it through `PCSCLITE_CSOCK_NAME`, which libpcsclite reads once: it must
//! be in a process's environment before its first PC/SC call.
//!
//! Debian packages: pcscd, vsmartcard-vpcd. Needs root, or a kernel that lets users have
//! namespaces.

mod home;

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

pub use home::PcscdHome;

const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A pcscd; ends with its value.
#[derive(Debug)]
pub struct Pcscd {
    home: PcscdHome,
    child: Option<Child>,
}

impl Pcscd {
    /// The socket that a pcscd in `folder` listens on.
    pub fn socket(folder: &Path) -> PathBuf {
        PcscdHome::socket_in(folder)
    }

    /// Starts one that lives in `folder`.
    pub fn start(folder: &Path) -> io::Result<Self> {
        let home = PcscdHome::apart(folder)?;
        let mut pcscd = Self { home, child: None };
        pcscd.restart()?;
        Ok(pcscd)
    }

    /// The TCP ports of its two slots.
    pub fn ports(&self) -> [u16; 2] {
        self.home.ports()
    }

    /// Starts it again where it was killed; the slots keep their ports.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let mut command = self.home.command()?;
        let log = fs::File::create(self.home.log())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let child = self.child.insert(child);
        let began = Instant::now();
        loop {
            if self.home.answers() {
                return Ok(());
            }
            if began.elapsed() > STARTS_WITHIN || child.try_wait()?.is_some() {
                let log = fs::read_to_string(self.home.log()).unwrap_or_default();
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

/// The search path, and where Debian keeps its daemons.
fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    env::join_paths(dirs).unwrap_or(path)
}
