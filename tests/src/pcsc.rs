//! Tests with card readers: in a process of their own, with a pcscd of their own.

use std::{
    env,
    future::Future,
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use koffer_drivers::card::pcsc::{CardPresence, Monitor};
use koffer_fixtures::card::pcscd::Pcscd;
use tokio::time::timeout;

use crate::mosquitto::PATIENCE;

/// Where the process of such a test finds its folder.
const HOME: &str = "KOFFER_CARD_TEST_HOME";

/// Runs the test in a process of its own that finds its pcscd in a folder of its own: libpcsclite
/// reads its socket's name once per process. So any number of them run at a time.
///
/// # Panics
/// When the test fails.
pub fn alone<F: Future<Output = ()>>(body: impl FnOnce(PathBuf) -> F) {
    if let Some(home) = env::var_os(HOME) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(body(home.into()));
        return;
    }
    let test = thread::current();
    let test = test.name().expect("a test's thread has its name");
    let home = tempfile::tempdir().expect("a folder");
    let outcome = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("RUST_BACKTRACE", "0")
        .env(HOME, home.path())
        .env("PCSCLITE_CSOCK_NAME", Pcscd::socket(home.path()))
        .output()
        .expect("the test runs");
    assert!(
        outcome.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&outcome.stdout),
        String::from_utf8_lossy(&outcome.stderr)
    );
    // Figures that the test tells are for whoever reads the run.
    let _ = io::stdout().write_all(&outcome.stdout);
}

/// The output of an independent client of pcscd; `Err` where it failed.
///
/// # Errors
/// What it said when it failed.
///
/// # Panics
/// When it is not installed.
pub fn other_program(program: &str, arguments: &[&str]) -> Result<String, String> {
    let outcome = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let outcome =
        outcome.unwrap_or_else(|error| panic!("{program}: {error}; install opensc and pcsc-tools"));
    let text = [outcome.stdout, outcome.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if outcome.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}

/// Waits until the service sees a card in the reader, or none.
///
/// # Panics
/// When it does not in time.
pub async fn until_present(reader: &str, present: bool) {
    until(reader, |card| card.present == present).await;
}

/// How many cards the service saw come and go in the reader.
pub fn changes(reader: &str) -> u16 {
    let monitor = Monitor::shared();
    let sight = monitor.sight();
    let card = sight.borrow().readers.get(reader).copied();
    card.unwrap_or_default().changes
}

/// Waits until the service has itself seen the card go that was there at so many `changes`.
///
/// pcscd also calls a reader empty whose card does not answer a reset, and then misses another
/// card that comes before it has looked itself (every 400 ms).
///
/// # Panics
/// When it does not in time.
pub async fn until_gone(reader: &str, changes: u16) {
    until(reader, |card| !card.present && card.changes != changes).await;
}

async fn until(reader: &str, wanted: impl Fn(&CardPresence) -> bool) {
    let monitor = Monitor::shared();
    let mut sight = monitor.sight();
    let seen = sight.wait_for(|sight| sight.readers.get(reader).is_some_and(&wanted));
    let seen = timeout(PATIENCE, seen).await;
    let (in_time, now) = (seen.is_ok_and(|seen| seen.is_ok()), monitor.sight());
    assert!(in_time, "{reader}: {:?}", now.borrow());
}
