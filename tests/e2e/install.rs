//! `docs/install.md`, as it stands there: what it lists is installed, its configuration is in order,
//! and what was installed takes a payment.
//!
//! Needs the programs beside the tests, which `cargo test --workspace` builds.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use koffer_fixtures::zvt::{Event, Terminal};
use koffer_tests::{
    mosquitto::{PATIENCE, free_port},
    office::quick_tcp,
};
use serde_json::Value;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/install.md")).expect("docs/install.md")
}

/// The one block of the page in this language.
fn block(page: &str, language: &str) -> String {
    let blocks: Vec<_> = page.split(&format!("\n```{language}\n")).skip(1).collect();
    let [block] = blocks[..] else {
        panic!("{} blocks of {language}", blocks.len());
    };
    block.split("```").next().unwrap_or_default().to_owned()
}

/// Installs what was built beside this test below a new folder.
fn install(to: &Path) {
    let test = env::current_exe().expect("a path");
    let built = test.ancestors().nth(2).expect("target/<profile>");
    let outcome = Command::new("make")
        .arg("install")
        .arg(format!("DESTDIR={}", to.display()))
        .arg(format!("BIN={}", built.display()))
        .current_dir(root())
        .output()
        .expect("make");
    assert!(outcome.status.success(), "{outcome:?}");
}

fn files(below: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(below, &path, found);
        } else {
            let path = path.strip_prefix(below).expect("a path below it");
            found.insert(format!("/{}", path.display()));
        }
    }
}

#[test]
fn the_page_lists_what_is_installed_and_a_configuration_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    install(folder.path());
    let mut found = BTreeSet::new();
    files(folder.path(), folder.path(), &mut found);
    let page = page();
    let listed = page.lines().filter_map(|line| {
        let (path, _) = line.strip_prefix("| `/")?.split_once('`')?;
        Some(format!("/{path}"))
    });
    let listed: BTreeSet<_> = listed.filter(|path| !path.starts_with("/var/")).collect();
    assert_eq!(found, listed);

    let configuration = folder.path().join("etc/koffer/kofferd.toml");
    fs::write(&configuration, "# the town's own\n").expect("a change");
    install(folder.path());
    let kept = fs::read_to_string(&configuration).expect("it is there");
    assert_eq!(kept, "# the town's own\n");
}

/// What was installed, configured as the page says.
struct Installed {
    folder: TempDir,
    port: u16,
    terminal: Terminal,
}

impl Installed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        install(folder.path());
        let etc = folder.path().join("etc/koffer");
        let configuration = block(&page(), "toml");
        fs::write(etc.join("kofferd.toml"), configuration).expect("the configuration");
        fs::create_dir(etc.join("secrets")).expect("a folder");
        let password = block(&page(), "sh").replace("/etc/koffer", &etc.display().to_string());
        let made = Command::new("sh").args(["-ec", &password]).status();
        assert!(made.expect("sh").success(), "{password}");
        // As systemd does with LoadCredential=secrets:/etc/koffer/secrets.
        let credentials = folder.path().join("credentials");
        fs::create_dir(&credentials).expect("a folder");
        let copied = fs::copy(etc.join("secrets/ws-1"), credentials.join("secrets_ws-1"));
        copied.expect("a credential");
        let ledger = folder.path().join("ledger");
        let terminal = Terminal::start(quick_tcp("ec-terminal", &ledger)).await;
        Self {
            terminal: terminal.expect("the terminal starts"),
            port: free_port(),
            folder,
        }
    }

    /// A program, with what differs from a machine of its own: folders, ports, addresses.
    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(folder.join("usr/bin").join(program));
        let koffer_fixtures::zvt::Address::Tcp(terminal) = self.terminal.address else {
            panic!("a terminal on TCP");
        };
        command
            .env("CREDENTIALS_DIRECTORY", folder.join("credentials"))
            .env("STATE_DIRECTORY", folder)
            .env(
                "KOFFER__MQTT__EMBEDDED__LISTEN",
                format!("127.0.0.1:{}", self.port),
            )
            .env(
                "KOFFER__DEVICES__EC_TERMINAL__ADDRESS",
                format!("tcp://{terminal}"),
            );
        command
    }

    fn kofferd(&self) -> Command {
        let mut command = self.command("kofferd");
        let configuration = self.folder.path().join("etc/koffer/kofferd.toml");
        command.arg("--config").arg(configuration);
        command
    }

    /// The page's own call of kofferctl, with these words instead of its last one.
    fn kofferctl(&self, words: &[&str]) -> Output {
        let page = page();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("sudo kofferctl "));
        let etc = self.folder.path().join("etc/koffer").display().to_string();
        let line = line.expect("a call").replace("/etc/koffer", &etc);
        let line = line.strip_suffix("devices").expect("it lists the devices");
        self.command("kofferctl")
            .env("KOFFERCTL_ADDRESS", format!("127.0.0.1:{}", self.port))
            .arg("--json")
            .args(line.split_whitespace())
            .args(words)
            .output()
            .expect("kofferctl")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_installs_and_configures_takes_a_payment() {
    let installed = Installed::new().await;
    let checked = installed
        .kofferd()
        .arg("--check")
        .output()
        .expect("kofferd");
    assert!(checked.status.success(), "{checked:?}");
    let mut daemon = tokio::process::Command::from(installed.kofferd());
    let mut daemon = daemon.kill_on_drop(true).spawn().expect("kofferd");
    let ready = || {
        let devices = installed.kofferctl(&["devices"]);
        String::from_utf8_lossy(&devices.stdout).contains("\"ready\"")
    };
    let begin = Instant::now();
    while !ready() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
    let paid = installed.kofferctl(&["pay", "ec-terminal", "37.80"]);
    daemon.kill().await.expect("it runs");
    let told = String::from_utf8_lossy(&paid.stdout);
    let last: Value = told
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("{paid:?}"));
    assert_eq!(last["status"], "ok", "{last}");
    let ledger = installed.terminal.control.ledger().await.expect("a ledger");
    let booked = ledger.list(Event::Booked);
    assert_eq!(
        booked.iter().map(|entry| entry.cents).collect::<Vec<_>>(),
        [3780]
    );
}
