//! What everything is measured on: a broker, processes that end with their value, and the
//! configuration of a gateway.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use koffer_tests::mosquitto::{Mosquitto, free_port};
use nix::{
    sys::{
        signal::{Signal, kill},
        statfs::{TMPFS_MAGIC, statfs},
    },
    unistd::Pid,
};

use crate::Outcome;

/// The gateway's name.
pub(crate) const GATEWAY: &str = "case-7";
/// The name under which the bare responder answers.
pub(crate) const BARE: &str = "bare";

/// Everybody who may connect, with his password: the gateway, who measures, and who is in the way.
pub(crate) const CLIENTS: [(&str, &str); 3] = [
    ("kofferd", "secret-k"),
    ("ws-1", "secret-1"),
    ("ws-2", "secret-2"),
];

/// The largest packet, as the gateway has it unless configured otherwise.
pub(crate) const PACKET: u32 = 32 * 1024 * 1024 + 64 * 1024;

/// A gateway that was asked to end has nothing under way here.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Which broker calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// mosquitto with the shipped configuration.
    Mosquitto,
    /// The one inside the gateway.
    Embedded,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Mosquitto, Self::Embedded];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Embedded => "embedded",
        }
    }
}

/// Two folders, and a broker where the gateway brings none.
pub(crate) struct Testbed {
    pub(crate) kind: Kind,
    pub(crate) folder: tempfile::TempDir,
    /// Where the gateway has its journal.
    pub(crate) disk: tempfile::TempDir,
    /// Kept: it ends with the bed.
    _mosquitto: Option<Mosquitto>,
    /// Where the gateway's clients connect.
    pub(crate) port: u16,
}

impl Testbed {
    pub(crate) fn new(kind: Kind) -> Outcome<Self> {
        let mosquitto = (kind == Kind::Mosquitto).then(|| Mosquitto::shipped(&CLIENTS));
        Ok(Self {
            kind,
            folder: tempfile::tempdir()?,
            disk: folder_on_disk()?,
            port: mosquitto.as_ref().map_or_else(free_port, Mosquitto::port),
            _mosquitto: mosquitto,
        })
    }

    /// Writes the gateway's configuration with `devices` in it.
    pub(crate) fn config(&self, devices: &str) -> Outcome<PathBuf> {
        let folder = self.folder.path();
        let port = self.port;
        let journal = self.disk.path().display();
        let mut toml = format!(
            "[gateway]\nid = \"{GATEWAY}\"\n[limits]\nqueue_per_device = 64\n\
             [journal]\ndirectory = \"{journal}\"\n"
        );
        let secret = |name: &str, password: &str| -> Outcome<String> {
            let path = folder.join(format!("{name}.secret"));
            fs::write(&path, password)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(path.display().to_string())
        };
        let (own, own_password) = CLIENTS[0];
        match self.kind {
            Kind::Mosquitto => write!(
                toml,
                "[mqtt]\nbroker = \"external\"\n[mqtt.external]\naddress = \"127.0.0.1:{port}\"\n\
                 username = \"{own}\"\npassword_file = \"{}\"\n",
                secret(own, own_password)?
            )?,
            Kind::Embedded => write!(
                toml,
                "[mqtt]\nbroker = \"embedded\"\n[mqtt.embedded]\nlisten = \"127.0.0.1:{port}\"\n"
            )?,
        }
        for (name, password) in &CLIENTS[1..] {
            write!(
                toml,
                "[clients.{name}]\nrole = \"workstation\"\nallow = [\"*\"]\n"
            )?;
            if self.kind == Kind::Embedded {
                writeln!(toml, "password_file = \"{}\"", secret(name, password)?)?;
            }
        }
        toml.push_str(devices);
        let path = folder.join("kofferd.toml");
        fs::write(&path, toml)?;
        Ok(path)
    }

    /// Starts a process whose log lies in the folder.
    pub(crate) fn start(&self, program: &Path, args: &[&str]) -> Outcome<Process> {
        let mut command = Command::new(program);
        command.args(args);
        Process::start(self.folder.path(), &mut command)
    }
}

/// A folder beside this program: where memory stands for a disk, a commit costs nothing.
fn folder_on_disk() -> Outcome<tempfile::TempDir> {
    let program = this_program()?;
    let beside = program.parent().ok_or("a program without a folder")?;
    if statfs(beside)?.filesystem_type() == TMPFS_MAGIC {
        return Err(format!("{} is no disk: build on one", beside.display()).into());
    }
    Ok(tempfile::Builder::new()
        .prefix("bench-journal-")
        .tempdir_in(beside)?)
}

/// This program.
pub(crate) fn this_program() -> Outcome<PathBuf> {
    Ok(env::current_exe()?)
}

/// The `kofferd` that was built beside this program.
pub(crate) fn kofferd() -> Outcome<PathBuf> {
    let path = this_program()?.with_file_name("kofferd");
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("{} is missing: build it with this program", path.display()).into())
    }
}

/// A child; killed with its value.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// Just before it was started.
    pub(crate) began: Instant,
}

impl Process {
    /// Starts it, its words in a log in `folder`.
    pub(crate) fn start(folder: &Path, command: &mut Command) -> Outcome<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let began = Instant::now();
        let child = command.spawn()?;
        Ok(Self { child, began })
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn end(mut self) -> Outcome<()> {
        let pid = i32::try_from(self.child.id())?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > ENDS_WITHIN {
                return Err("a process does not end".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
