//! Child processes: started with a log file, ended by SIGTERM and then SIGKILL, never forgotten.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How much of a log is shown when a process fails.
const SHOWN_LINES: usize = 15;

/// A process that ended without being asked to.
#[derive(Debug, Clone)]
pub struct Death {
    /// Which.
    pub name: String,
    /// How.
    pub status: String,
    /// The end of its log.
    pub log: String,
}

/// A running child.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    asked: Arc<AtomicBool>,
    exit: watch::Receiver<Option<ExitStatus>>,
    /// Owns the child, which is killed when this is aborted.
    keeper: JoinHandle<()>,
}

/// A program and what it is given, with its log.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) name: String,
    pub(super) command: Command,
    pub(super) log: PathBuf,
}

impl Launch {
    pub(super) fn new(name: &str, program: &Path, dir: &Path) -> Self {
        Self::of(name, std::process::Command::new(program), dir)
    }

    /// A command that is put together elsewhere.
    pub(super) fn of(name: &str, command: std::process::Command, dir: &Path) -> Self {
        let mut command = Command::from(command);
        // Overrides meant for the machine's own gateway are not meant for a case.
        for (key, _) in std::env::vars_os() {
            if key.as_encoded_bytes().starts_with(b"KOFFER__") {
                command.env_remove(key);
            }
        }
        for key in [
            "JOURNAL_STREAM",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "NOTIFY_SOCKET",
        ] {
            command.env_remove(key);
        }
        Self {
            name: name.to_owned(),
            command,
            log: dir.join(format!("{name}.log")),
        }
    }

    pub(super) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Starts it. Its stderr is appended to the log; its stdout is given back, or joins the log.
    pub(super) fn start(
        mut self,
        deaths: mpsc::Sender<Death>,
        reads_stdout: bool,
    ) -> io::Result<(Process, Option<ChildStdout>)> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let stdout = if reads_stdout {
            Stdio::piped()
        } else {
            log.try_clone()?.into()
        };
        // A group of its own: Ctrl-C reaches virtual-case alone, which then ends it in order.
        self.command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        let mut child = self.command.spawn().map_err(|error| {
            let program = self.command.as_std().get_program().display();
            io::Error::new(error.kind(), format!("{program}: {error}"))
        })?;
        let stdout = child.stdout.take();
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.ok_or_else(|| io::Error::other("it has no process id"))?;
        let asked = Arc::new(AtomicBool::new(false));
        let (tell, exit) = watch::channel(None);
        let keeper = tokio::spawn(keep(child, self, tell, deaths, Arc::clone(&asked)));
        let process = Process {
            pid: Pid::from_raw(pid),
            asked,
            exit,
            keeper,
        };
        Ok((process, stdout))
    }
}

async fn keep(
    mut child: Child,
    launch: Launch,
    tell: watch::Sender<Option<ExitStatus>>,
    deaths: mpsc::Sender<Death>,
    asked: Arc<AtomicBool>,
) {
    // Waiting for an own child fails only if somebody else reaped it.
    let Ok(status) = child.wait().await else {
        return;
    };
    tell.send_replace(Some(status));
    if !asked.load(Ordering::SeqCst) {
        let death = Death {
            name: launch.name,
            status: status.to_string(),
            log: tail(&launch.log),
        };
        // Nobody listens during teardown.
        let _ = deaths.send(death).await;
    }
}

/// The last lines of a log.
pub(super) fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(SHOWN_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

impl Process {
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Resolves when the process has ended; says how.
    pub(super) async fn ended(&self) -> String {
        let mut exit = self.exit.clone();
        // The keeper is gone only with its child.
        match exit.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(status)) => status.to_string(),
            _ => "no exit status".to_owned(),
        }
    }

    fn signal(&self, signal: Signal) {
        // Reaped processes are not signalled: their id may be somebody else's by now.
        if self.exit.borrow().is_none() {
            let _ = kill(self.pid, signal);
        }
    }

    /// SIGKILL, and waits.
    pub(super) async fn kill(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.signal(Signal::SIGKILL);
        self.ended().await;
    }

    /// SIGTERM, and after the grace SIGKILL. `false` if it had to be killed.
    pub(super) async fn stop(&self, grace: Duration) -> bool {
        self.asked.store(true, Ordering::SeqCst);
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(grace, self.ended()).await.is_ok() {
            return true;
        }
        self.kill().await;
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Without a runtime the keeper no longer runs, and its child would live on.
        self.asked.store(true, Ordering::SeqCst);
        self.signal(Signal::SIGKILL);
        self.keeper.abort();
    }
}
