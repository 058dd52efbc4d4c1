//! mosquitto, and a `kofferd` that is a process.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use koffer_gateway::bus::Settings;
use koffer_tests::{brokers::Broker, built::program};
use tempfile::TempDir;

/// The broker, and a folder for the rest.
pub(crate) struct Office {
    broker: Broker,
    folder: TempDir,
}

impl Office {
    pub(crate) fn open() -> Self {
        Self {
            broker: Broker::mosquitto(),
            folder: TempDir::new().unwrap(),
        }
    }

    /// Settings of a client that does as it pleases.
    pub(crate) fn bus(&self, name: &str) -> Settings {
        self.broker.bus(name)
    }

    pub(crate) fn port(&self) -> u16 {
        self.broker.port()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Kofferd {
    child: Child,
    log: std::path::PathBuf,
}

impl Kofferd {
    /// Starts it with `more` in its configuration, at most so many bytes of address space, and with
    /// `change` to its command.
    pub(crate) fn start(
        office: &Office,
        more: &str,
        address_space: Option<u64>,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let folder = office.folder();
        let (path, log) = (folder.join("kofferd.toml"), folder.join("log"));
        let toml = format!(
            "[gateway]\nid = \"case-7\"\n[log]\nfilter = \"warn\"\n\
             [journal]\ndirectory = \"{}\"\n\
             [mqtt]\nbroker = \"external\"\n\
             [mqtt.external]\naddress = \"127.0.0.1:{}\"\nusername = \"kofferd\"\n\
             password = \"gateway-secret\"\n\
             [clients.ws-1]\nrole = \"workstation\"\nallow = [\"*\"]\n\
             [clients.ws-2]\nrole = \"workstation\"\nallow = [\"*\"]\n{more}",
            folder.display(),
            office.port()
        );
        fs::write(&path, toml).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        // The shell sets the limits of what it becomes.
        let mut command = Command::new("/bin/sh");
        let limit =
            address_space.map_or("unlimited".to_owned(), |bytes| (bytes / 1024).to_string());
        command
            .arg("-c")
            .arg(format!("ulimit -v {limit} && exec \"$0\" \"$@\""))
            .arg(program("kofferd"))
            .arg("--config")
            .arg(&path)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        change(&mut command);
        let child = command.spawn().unwrap();
        Self { child, log }
    }

    /// Ends it; it has to be there still.
    pub(crate) fn end(mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "it ended by itself ({ended:?}): {}",
            self.log()
        );
    }

    /// A line of `/proc/<pid>/status` in KiB.
    pub(crate) fn kib(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap();
        line.trim_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Kofferd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
