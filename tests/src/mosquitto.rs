//! The real mosquitto and its clients, as processes of a test.
//!
//! Everything listens on loopback, on a port of its own, and ends with its value. A missing program
//! fails the test with the package to install.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStdout;

/// No single step of a test takes longer, unless it has failed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A TCP port on loopback that was free a moment ago, and that no connection is given.
///
/// # Panics
/// When the system has none left.
pub fn free_port() -> u16 {
    koffer_fixtures::ports::free_port().expect("a free port")
}

/// A mosquitto broker; killed when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Mosquitto {
    /// Starts a broker with the shipped configuration (`mosquitto/` in the repository), changed in
    /// nothing but port and paths, for users given as (name, password).
    ///
    /// # Panics
    /// When the programs are missing or the broker does not come up.
    pub fn shipped(users: &[(&str, &str)]) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mosquitto");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let acl = directory.path().join("acl");
        std::fs::copy(shipped.join("acl"), &acl).expect("mosquitto/acl");
        let passwords = directory.path().join("passwd");
        std::fs::write(&passwords, "").expect("a password file");
        for (name, password) in users {
            let output = Command::new(program("mosquitto_passwd"))
                .args([
                    OsStr::new("-b"),
                    passwords.as_os_str(),
                    name.as_ref(),
                    password.as_ref(),
                ])
                .output()
                .expect("mosquitto_passwd");
            assert!(output.status.success(), "mosquitto_passwd: {output:?}");
        }
        let port = free_port();
        let mut config =
            std::fs::read_to_string(shipped.join("mosquitto.conf")).expect("mosquitto.conf");
        for (key, value) in [
            ("listener", format!("{port} 127.0.0.1")),
            ("password_file", passwords.display().to_string()),
            ("acl_file", acl.display().to_string()),
        ] {
            config = with_value(&config, key, &value);
        }
        Self::run(&config, port, directory)
    }

    /// Starts a broker with a configuration of the test's own; the listener is added.
    ///
    /// # Panics
    /// When the program is missing or the broker does not come up.
    pub fn with_config(config: &str) -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self::run(
            &format!("listener {port} 127.0.0.1\n{config}"),
            port,
            directory,
        )
    }

    fn run(config: &str, port: u16, directory: tempfile::TempDir) -> Self {
        // As root, mosquitto would become a user who cannot read the test's files.
        let user = if nix::unistd::geteuid().is_root() {
            "\nuser root\n"
        } else {
            "\n"
        };
        std::fs::write(
            directory.path().join("mosquitto.conf"),
            format!("{config}{user}"),
        )
        .expect("a configuration file");
        let child = spawn(directory.path());
        let mut broker = Self {
            child,
            port,
            directory,
        };
        broker.wait_until_up();
        broker
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// SIGSTOP: the kernel still accepts and keeps what clients send, nobody answers.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn stall(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// SIGKILL: everything it held in memory is lost.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("the killed broker");
    }

    /// Starts it again after [`Mosquitto::kill`], same port, same configuration.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.child = spawn(self.directory.path());
        self.wait_until_up();
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("the broker's process");
    }

    fn wait_until_up(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.try_wait().expect("the broker's state");
            assert!(ended.is_none(), "mosquitto ended at once: {}", self.log());
            assert!(
                Instant::now() < deadline,
                "mosquitto does not listen: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(directory: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .expect("a log file");
    Command::new(program("mosquitto"))
        .arg("-c")
        .arg(directory.join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log file"))
        .stderr(log)
        .spawn()
        .expect("mosquitto")
}

/// The configuration with the value of its only `key` line replaced.
fn with_value(config: &str, key: &str, value: &str) -> String {
    let mut replaced = 0;
    let lines: Vec<_> = config
        .lines()
        .map(|line| {
            if line.split_whitespace().next() == Some(key) {
                replaced += 1;
                format!("{key} {value}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    assert_eq!(replaced, 1, "the shipped configuration has one {key}");
    lines.join("\n")
}

/// Finds a program of the mosquitto packages; `/usr/sbin` is not in every user's path.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("{name} is missing: apt-get install --no-install-recommends mosquitto mosquitto-clients")
        })
}

/// A user at a broker, for mosquitto's command line clients, always MQTT 5.
#[derive(Debug, Clone)]
pub struct User {
    port: u16,
    credentials: Option<(String, String)>,
}

impl User {
    /// A named user.
    pub fn new(port: u16, name: &str, password: &str) -> Self {
        Self {
            port,
            credentials: Some((name.to_owned(), password.to_owned())),
        }
    }

    /// Nobody.
    pub fn anonymous(port: u16) -> Self {
        Self {
            port,
            credentials: None,
        }
    }

    /// A client (`mosquitto_pub`, `mosquitto_sub`, `mosquitto_rr`) with connection options and `args`.
    ///
    /// # Panics
    /// When the program is missing.
    pub fn command(&self, client: &str, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program(client));
        command.args(["-V", "5", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some((name, password)) = &self.credentials {
            command.args(["-u", name, "-P", password]);
        }
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// Runs a client to its end.
    ///
    /// # Panics
    /// When it is missing or does not end in time.
    pub async fn run(&self, client: &str, args: &[&str]) -> Output {
        let mut command = self.command(client, args);
        tokio::time::timeout(PATIENCE, command.output())
            .await
            .unwrap_or_else(|_| panic!("{client} {args:?} does not end"))
            .expect("the client's output")
    }

    /// Publishes with QoS 1 and says whether the broker took it; on refusal its words.
    ///
    /// # Panics
    /// When `mosquitto_pub` is missing or does not end in time.
    pub async fn publish(&self, topic: &str, payload: &str, more: &[&str]) -> Result<(), String> {
        let mut args = vec!["-q", "1", "-t", topic, "-m", payload];
        args.extend(more);
        let output = self.run("mosquitto_pub", &args).await;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        // mosquitto_pub 2.0 warns about a refused publish and exits 0.
        if output.status.success() && words.is_empty() {
            Ok(())
        } else {
            Err(words)
        }
    }

    /// Subscribes with QoS 1 and stays.
    ///
    /// # Panics
    /// When `mosquitto_sub` is missing.
    pub fn subscribe(&self, filters: &[&str], more: &[&str]) -> Subscriber {
        let mut args = vec!["-q", "1"];
        for filter in filters {
            args.extend(["-t", filter]);
        }
        args.extend(more);
        let mut child = self
            .command("mosquitto_sub", &args)
            .spawn()
            .expect("mosquitto_sub");
        let output = child.stdout.take().expect("piped");
        Subscriber {
            child,
            lines: BufReader::new(output).lines(),
        }
    }
}

/// A running `mosquitto_sub`; killed when dropped.
#[derive(Debug)]
pub struct Subscriber {
    child: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    /// The next line it prints, `None` once it has ended.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub async fn line(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.lines.next_line())
            .await
            .expect("mosquitto_sub prints nothing")
            .expect("its output")
    }

    /// The lines before the first one that contains `marker`.
    ///
    /// # Panics
    /// When it ends or falls silent before the marker.
    pub async fn until(&mut self, marker: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let line = self
                .line()
                .await
                .unwrap_or_else(|| panic!("ended before {marker:?}"));
            if line.contains(marker) {
                return before;
            }
            before.push(line);
        }
    }

    /// SIGKILL: the broker finds out by itself, and publishes the will.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("SIGKILL");
    }

    /// Waits for its end by itself and returns exit success and what it wrote to stderr.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn end(self) -> io::Result<(bool, String)> {
        drop(self.lines);
        let output = tokio::time::timeout(PATIENCE, self.child.wait_with_output())
            .await
            .expect("mosquitto_sub does not end")?;
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }
}
