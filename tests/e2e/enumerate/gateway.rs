//! `kofferd` as a process on the mocked machine.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use koffer_tests::{
    built::program,
    client::Workstation,
    mosquitto::{Mosquitto, User, free_port},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::UnixDatagram,
    process::{Child, Command},
    time::timeout,
};

use super::bed::Bed;

/// For a start, an end, or a call.
const PATIENCE: Duration = Duration::from_mins(2);

const USERS: [(&str, &str); 2] = [("ws-1", "secret-1"), ("kofferd", "secret-k")];

/// A running gateway.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) home: TempDir,
    port: u16,
    mosquitto: Option<Mosquitto>,
    ready: UnixDatagram,
}

impl Gateway {
    /// A gateway on the machine `bed` with these rules, and `more` in its configuration.
    pub(crate) async fn start(bed: &Bed, rules: &str, more: &str) -> Self {
        Self::with(bed, rules, more, None).await
    }

    /// The same on mosquitto, which keeps what is retained.
    pub(crate) async fn on_mosquitto(bed: &Bed, rules: &str) -> Self {
        Self::with(bed, rules, "", Some(Mosquitto::shipped(&USERS))).await
    }

    async fn with(bed: &Bed, rules: &str, more: &str, mosquitto: Option<Mosquitto>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let port = mosquitto.as_ref().map_or_else(free_port, Mosquitto::port);
        let passwords = USERS.map(|(name, password)| {
            let path = home.path().join(format!("{name}.secret"));
            fs::write(&path, password).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
            path
        });
        let [ws_1, kofferd] = passwords.each_ref().map(|path| path.display());
        let broker = if mosquitto.is_some() {
            format!(
                "[mqtt]\nbroker = \"external\"\n[mqtt.external]\naddress = \"127.0.0.1:{port}\"\n\
                 password_file = \"{kofferd}\"\n"
            )
        } else {
            format!("[mqtt.embedded]\nlisten = \"127.0.0.1:{port}\"\n")
        };
        let rules_at = home.path().join("rules.toml").display().to_string();
        let journal = home.path().join("journal");
        fs::create_dir(&journal).expect("a folder");
        let journal = journal.display().to_string();
        let config = format!(
            "[gateway]\nid = \"case-7\"\nshutdown_grace_ms = 2000\nrules = [\"{rules_at}\"]\n[journal]\ndirectory = \"{journal}\"\n{broker}\
             [clients.ws-1]\nrole = \"workstation\"\npassword_file = \"{ws_1}\"\nallow = [\"payment\"]\n{more}"
        );
        fs::write(home.path().join("kofferd.toml"), config).expect("the configuration");
        let ready = UnixDatagram::bind(home.path().join("notify")).expect("a socket");
        let child = Self::launch(bed, home.path(), rules);
        let gateway = Self {
            child,
            home,
            port,
            mosquitto,
            ready,
        };
        gateway.until_ready().await;
        gateway
    }

    fn launch(bed: &Bed, home: &Path, rules: &str) -> Child {
        fs::write(home.join("rules.toml"), rules).expect("the rules");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(home.join("log"))
            .expect("a log");
        Command::new(program("kofferd"))
            .arg("--config")
            .arg(home.join("kofferd.toml"))
            .env_clear()
            .env("LD_PRELOAD", "libumockdev-preload.so.0")
            .env("UMOCKDEV_DIR", &bed.root)
            .env("NOTIFY_SOCKET", home.join("notify"))
            // The machine's own card readers are none of this.
            .env("PCSCLITE_CSOCK_NAME", home.join("pcscd"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("kofferd starts")
    }

    async fn until_ready(&self) {
        let mut state = [0; 256];
        let told = async {
            loop {
                let length = self.ready.recv(&mut state).await.expect("a message");
                if state[..length].starts_with(b"READY=1") {
                    return;
                }
            }
        };
        assert!(
            timeout(PATIENCE, told).await.is_ok(),
            "kofferd is not ready: {}",
            self.log()
        );
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub(crate) async fn workstation(&self) -> Workstation {
        Workstation::connect(self.port, "ws-1", "secret-1").await
    }

    /// A client for mosquitto's tools.
    pub(crate) fn user(&self) -> User {
        User::new(self.port, "ws-1", "secret-1")
    }

    /// What `kofferctl` prints.
    pub(crate) async fn kofferctl(&self, arguments: &[&str]) -> String {
        let output = Command::new(program("kofferctl"))
            .args(["--address", &format!("127.0.0.1:{}", self.port)])
            .args(["--gateway", "case-7", "--user", "ws-1", "--text"])
            .args(["--lang", "en"])
            .arg("--password-file")
            .arg(self.home.path().join("ws-1.secret"))
            .args(arguments)
            .output();
        let output = timeout(PATIENCE, output).await.expect("it ends");
        let output = output.expect("kofferctl runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{errors}");
        said
    }

    /// Ends it as systemd does, and starts it again, with other rules.
    pub(crate) async fn restart(&mut self, bed: &Bed, rules: &str) {
        self.end().await;
        self.child = Self::launch(bed, self.home.path(), rules);
        self.until_ready().await;
    }

    /// Ends it as systemd does.
    pub(crate) async fn stop(mut self) {
        self.end().await;
        drop(self.mosquitto);
    }

    async fn end(&mut self) {
        kill(self.pid(), Signal::SIGTERM).expect("it is still there");
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it ends in time").expect("its status");
        assert!(status.success(), "{status}: {}", self.log());
    }

    fn pid(&self) -> Pid {
        let pid = self.child.id().expect("it runs");
        Pid::from_raw(i32::try_from(pid).expect("a process id"))
    }

    /// What the process holds now.
    pub(crate) async fn holdings(&self, clerk: &Workstation) -> Holdings {
        let diagnosis = clerk.ask("gateway", "diagnose", &json!({}), 10).await;
        let count = |what: &str| {
            let path = format!("/proc/{}/{what}", self.pid());
            fs::read_dir(path).expect("the process").count()
        };
        Holdings {
            threads: count("task"),
            descriptors: count("fd"),
            tasks: diagnosis["result"]["tasks"].as_u64().unwrap_or_default(),
        }
    }

    /// The topics of everything that the broker retains of devices.
    pub(crate) async fn retained(&self) -> Vec<String> {
        let all = "koffer/1/case-7/dev/#";
        let arguments = ["-t", all, "--retained-only", "-W", "3", "-F", "%t"];
        let output = self.user().run("mosquitto_sub", &arguments).await;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut topics: Vec<_> = text.lines().map(str::to_owned).collect();
        topics.sort();
        topics
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
    pub(crate) tasks: u64,
}

impl Holdings {
    /// Whether nothing of it is more than in `other`.
    pub(crate) fn within(self, other: Self) -> bool {
        self.threads <= other.threads
            && self.descriptors <= other.descriptors
            && self.tasks <= other.tasks
    }
}

/// What is attached and no device, by name: the reason's keyword.
pub(crate) async fn unbound(clerk: &Workstation) -> Vec<(String, String)> {
    let answer = clerk
        .ask("gateway", "attached", &json!({"unbound": true}), 10)
        .await;
    let list = answer["result"]["attached"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.expect("a list")
        .iter()
        .map(|thing| (text(&thing["name"]), text(&thing["reason"]["keyword"])))
        .collect()
}
