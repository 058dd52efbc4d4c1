//! Waiting until kofferd takes calls and its devices are ready.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::Command;

use super::access::write_private;

/// The socket for `Type=notify`.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
}

impl NotifySocket {
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(path).map_err(|error| {
            let shown = path.display();
            io::Error::new(
                error.kind(),
                format!("{shown}: {error}; take a shorter --dir"),
            )
        })?;
        Ok(Self { socket })
    }

    /// Resolves at the next `READY=1`.
    pub(super) async fn ready(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).await?;
            let message = buffer.get(..length).unwrap_or_default();
            if message
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"READY=1")
            {
                return Ok(());
            }
        }
    }
}

/// Who watches the retained states.
pub(super) struct Watcher<'a> {
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) gateway: &'a str,
    /// For the options file, which keeps the password off the command line.
    pub(super) dir: &'a Path,
}

/// Resolves when all devices have been `ready`, as `mosquitto_sub` sees it: a client none of whose
/// code is ours.
pub(super) async fn devices_ready(watcher: Watcher<'_>, devices: &[&str]) -> io::Result<()> {
    let options = watcher.dir.join("mosquitto_sub");
    let topic = format!("koffer/1/{}/dev/+/state", watcher.gateway);
    write_private(
        &options,
        &format!(
            "-h 127.0.0.1\n-p {}\n-V 5\n-u {}\n-P {}\n-t {topic}\n-q 1\n-F %t %p\n",
            watcher.port, watcher.user, watcher.password
        ),
    )?;
    let mut missing: BTreeSet<&str> = devices.iter().copied().collect();
    let mut child = Command::new("mosquitto_sub")
        .env("XDG_CONFIG_HOME", watcher.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            let remedy = "apt-get install mosquitto-clients";
            io::Error::new(error.kind(), format!("mosquitto_sub: {error}; {remedy}"))
        })?;
    let Some(stdout) = child.stdout.take() else {
        return Err(io::Error::other("mosquitto_sub has no output"));
    };
    let mut lines = BufReader::new(stdout).lines();
    while !missing.is_empty() {
        let Some(line) = lines.next_line().await? else {
            return Err(io::Error::other(
                "mosquitto_sub ended; is the broker there?",
            ));
        };
        let Some((topic, payload)) = line.split_once(' ') else {
            continue;
        };
        let state: Value = serde_json::from_str(payload).unwrap_or_default();
        if state.get("state").and_then(Value::as_str) == Some("ready")
            && let Some(device) = topic.rsplit('/').nth(1)
        {
            missing.remove(device);
        }
    }
    // An own child by its own handle.
    child.kill().await
}
