//! The folder of a pcscd: its reader configuration, its ports, where its socket is, and how it is
//! started. Who starts and ends it is left open.

use std::{
    fs, io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::unistd::geteuid;

use crate::ports::free_ports;

const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
/// Where a pcscd listens that has the machine to itself.
const MACHINE_SOCKET: &str = "/run/pcscd/pcscd.comm";
/// Puts the folder in the place of the machine's `/run/pcscd`, which need not be there; `/mnt`
/// keeps it while `/run` is hidden.
const APART: &str = "mount --bind \"$0\" /mnt && mount -t tmpfs tmpfs /run && mkdir /run/pcscd \
    && mount --bind /mnt /run/pcscd && exec pcscd --foreground --config /run/pcscd/conf";

/// Where a pcscd lives, whether it runs or not.
#[derive(Debug, Clone)]
pub struct PcscdHome {
    folder: PathBuf,
    /// Two, one behind the other, as vpcd wants them.
    ports: [u16; 2],
    apart: bool,
}

impl PcscdHome {
    /// One apart from the machine's own, in a mount namespace.
    ///
    /// # Errors
    /// When there is no free pair of ports.
    pub fn apart(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            ports: free_ports()?,
            apart: true,
        })
    }

    /// The same, or in the place of the machine's own where the kernel gives no namespaces (most
    /// containers) and nobody is there.
    ///
    /// # Errors
    /// Where it may do neither; the message says what to do.
    pub fn wherever_possible(folder: &Path) -> io::Result<Self> {
        let mut home = Self::apart(folder)?;
        let mut namespace = unshare();
        let namespace = namespace.arg("true").stderr(Stdio::null()).status();
        home.apart = namespace.is_ok_and(|status| status.success());
        let remedy = if home.apart {
            return Ok(home);
        } else if !geteuid().is_root() {
            "this kernel gives users no namespaces: run it as root"
        } else if UnixStream::connect(MACHINE_SOCKET).is_ok() {
            "there are no namespaces here and a pcscd runs already: stop it \
             (systemctl stop pcscd.socket pcscd)"
        } else {
            return Ok(home);
        };
        Err(io::Error::other(format!(
            "no pcscd can be started: {remedy}"
        )))
    }

    /// The socket of a pcscd that lives in `folder`, apart.
    pub fn socket_in(folder: &Path) -> PathBuf {
        folder.join("run/pcscd.comm")
    }

    /// Its socket: what clients have in `PCSCLITE_CSOCK_NAME`.
    pub fn socket(&self) -> PathBuf {
        if self.apart {
            Self::socket_in(&self.folder)
        } else {
            MACHINE_SOCKET.into()
        }
    }

    /// The TCP ports of its two slots.
    pub fn ports(&self) -> [u16; 2] {
        self.ports
    }

    /// What it says of itself goes here.
    pub fn log(&self) -> PathBuf {
        self.folder.join("pcscd.log")
    }

    /// The process to start, with its files written anew.
    ///
    /// # Errors
    /// When they cannot be written, or a package is missing; the message names it.
    pub fn command(&self) -> io::Result<Command> {
        if !Path::new(DRIVER).is_file() {
            let why = format!(
                "{DRIVER} is missing: apt-get install --no-install-recommends vsmartcard-vpcd"
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let run = self.folder.join("run");
        let conf = run.join("conf");
        // What an earlier one left behind.
        let _ = fs::remove_dir_all(&run);
        fs::create_dir_all(&conf)?;
        let port = self.ports[0];
        let reader = format!(
            "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:{port:#06X}\nLIBPATH {DRIVER}\nCHANNELID {port:#06X}\n"
        );
        fs::write(conf.join("vpcd"), reader)?;
        let mut command = if self.apart {
            let mut command = unshare();
            command.args(["sh", "-c", APART]).arg(&run);
            command
        } else {
            let mut command = Command::new("pcscd");
            command.args(["--foreground", "--config"]).arg(&conf);
            command
        };
        // It stands in no user's path.
        command.env("PATH", super::search_path());
        Ok(command)
    }

    /// Whether it takes connections.
    pub fn answers(&self) -> bool {
        UnixStream::connect(self.socket()).is_ok()
    }
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg(if geteuid().is_root() { "-m" } else { "-rm" });
    command
}
