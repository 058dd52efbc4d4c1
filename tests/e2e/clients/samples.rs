//! The tutorial `docs/first-payment.md`, as it stands there: its commands are run, and its programs
//! killed and left without an answer while the customer pays.

use std::{fs, process::Stdio};

use koffer_fixtures::{
    case::Case,
    zvt::{Cardholder, Event},
};
use koffer_tests::{
    client::Workstation,
    mosquitto::PATIENCE,
    office::{BROKERS, Broker},
    proxy::{Cut, Plan, Proxy, Way},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{library, raise, root, settings};

/// The reference of the payment in the tutorial's commands.
const REFERENCE: &str = "PA-2026-00417";

/// And its amount.
const CENTS: i64 = 3780;

/// What the terminal shows while nothing is booked yet.
const PROMPT: &str = "Karte einstecken";

/// A language of the tutorial.
#[derive(Debug, Clone)]
pub(crate) struct Language {
    folder: &'static str,
    /// Its commands, from the repository's folder.
    pub(crate) install: String,
    /// From where those have led.
    run: String,
}

/// The languages of the tutorial.
pub(crate) fn languages() -> [Language; 3] {
    let page = fs::read_to_string(root().join("docs/first-payment.md")).expect("the tutorial");
    [("Python", "python"), ("Node", "node"), ("C++", "cpp")].map(|(title, folder)| {
        let (_, part) = page
            .split_once(&format!("\n### {title}\n"))
            .expect("its part");
        let part = part.split("\n### ").next().unwrap_or_default();
        let blocks = part.split("```sh\n").skip(1);
        let blocks: Vec<_> = blocks
            .filter_map(|block| block.split("```").next())
            .collect();
        let [install, run] = blocks[..] else {
            panic!("{title} has other commands than to install and to run: {blocks:?}");
        };
        assert!(run.contains(REFERENCE), "{title}: {run}");
        Language {
            folder,
            install: install.to_owned(),
            run: run.to_owned(),
        }
    })
}

/// A run of a sample; it ends with its value, whatever it has started.
struct Run {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it said so far.
    said: Vec<String>,
}

impl Run {
    fn start(language: &Language, reference: &str, settings: &[(&'static str, String)]) -> Self {
        let commands = language.run.replace(REFERENCE, reference);
        let mut child = Command::new("sh")
            .args(["-ec", &format!("exec 2>&1\n{commands}")])
            .current_dir(library::examples().join(language.folder))
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let output = child.stdout.take().expect("piped");
        Self {
            child,
            lines: BufReader::new(output).lines(),
            said: Vec::new(),
        }
    }

    /// Waits until it has said that.
    async fn until(&mut self, words: &str) {
        let heard = async {
            while let Some(line) = self.lines.next_line().await.expect("its output") {
                self.said.push(line.clone());
                if line.contains(words) {
                    return true;
                }
            }
            false
        };
        let heard = timeout(PATIENCE, heard).await;
        assert!(matches!(heard, Ok(true)), "no {words:?}: {:?}", self.said);
    }

    /// Waits for its end: whether it took the money, by its exit code, and its last line.
    async fn end(mut self) -> (Option<i32>, String) {
        let rest = async {
            while let Some(line) = self.lines.next_line().await.expect("its output") {
                self.said.push(line);
            }
            self.child.wait().await.expect("its end")
        };
        let status = timeout(PATIENCE, rest).await;
        let status = status.unwrap_or_else(|_| panic!("it does not end: {:?}", self.said));
        (status.code(), self.said.last().cloned().unwrap_or_default())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // `None`: it has ended and was waited for.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
        }
    }
}

/// What the terminal has taken, in cents, and its last receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Books {
    sum: i64,
    receipt: u16,
}

async fn books(case: &Case) -> Books {
    let ledger = case.terminals["ec-terminal"].control.ledger().await;
    let ledger = ledger.expect("a ledger");
    let booked = ledger.list(Event::Booked);
    Books {
        sum: ledger.sum(),
        receipt: booked.last().map_or(0, |entry| entry.receipt),
    }
}

/// Runs to the end, and expects that exactly one payment was booked since `before`, and is told.
async fn paid(run: Run, case: &Case, before: Books) -> String {
    let (code, last) = run.end().await;
    let now = books(case).await;
    assert_eq!(now.sum, before.sum + CENTS, "{code:?} {last}");
    let wanted = format!("PAID, receipt {}", now.receipt);
    assert_eq!((code, &*last), (Some(0), &*wanted));
    last
}

/// A case, a way to its broker that can be cut, and a language.
struct Counter {
    case: Case,
    line: Proxy,
    broker: Broker,
}

impl Counter {
    async fn open(broker: Broker, more: &str) -> Self {
        let case = raise("three-terminals", broker, more).await;
        let control = &case.terminals["ec-terminal"].control;
        let unhurried = json!({"cardholder": {"inserts_after_ms": 400}});
        control
            .set(unhurried)
            .await
            .expect("an unhurried cardholder");
        let line = Proxy::to(case.broker.port()).await;
        let counter = Self { case, line, broker };
        counter.terminal_is_ready().await;
        counter
    }

    fn start(&self, language: &Language, reference: &str) -> Run {
        let broker = format!("127.0.0.1:{}", self.line.port());
        Run::start(language, reference, &settings(&self.case, broker, "ws-1"))
    }

    /// As the tutorial says; and once more, which books nothing.
    async fn pays(&self, language: &Language, reference: &str) {
        let before = books(&self.case).await;
        let first = paid(self.start(language, reference), &self.case, before).await;
        let (code, again) = self.start(language, reference).end().await;
        assert_eq!((code, again), (Some(0), first));
        assert_eq!(books(&self.case).await.sum, before.sum + CENTS);
    }

    /// The program dies while the terminal asks for the card.
    async fn program_dies(&self, language: &Language, reference: &str) {
        let before = books(&self.case).await;
        let mut dying = self.start(language, reference);
        dying.until(PROMPT).await;
        drop(dying);
        paid(self.start(language, reference), &self.case, before).await;
    }

    /// The connection breaks while the terminal asks for the card.
    async fn line_breaks(&self, language: &Language, reference: &str) {
        let before = books(&self.case).await;
        let mut waiting = self.start(language, reference);
        waiting.until(PROMPT).await;
        self.line.arm(Some(Plan {
            way: Way::FromPrinter,
            after: 1,
            cut: Cut::Torn,
            held: false,
        }));
        waiting.until("asking again").await;
        paid(waiting, &self.case, before).await;
    }

    /// The gateway is killed and started again; the terminal may not be ready then.
    async fn gateway_restarts(&mut self) {
        self.case.kill_kofferd().await;
        let back = self.case.restart_kofferd().await;
        back.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn technician(&self) -> Workstation {
        let password = self.case.clients["tech-1"].password().expect("a password");
        Workstation::connect(self.case.broker.port(), "tech-1", &password).await
    }

    async fn terminal_is_ready(&self) {
        let technician = self.technician().await;
        technician.until_state("ec-terminal", &["ready"]).await;
    }

    /// The gateway dies while the terminal asks for the card: what is told is what the terminal
    /// has, which may have taken the payment back.
    async fn gateway_dies(&mut self, language: &Language, reference: &str) {
        let before = books(&self.case).await;
        let mut waiting = self.start(language, reference);
        waiting.until(PROMPT).await;
        self.gateway_restarts().await;
        let (code, last) = waiting.end().await;
        let taken = books(&self.case).await.sum - before.sum;
        let agrees = matches!((code, taken), (Some(0), CENTS) | (Some(1), 0));
        assert!(agrees, "{code:?} {taken} {last}");
        self.terminal_is_ready().await;
    }

    /// The broker does not let the program in when it asks again: nothing is known, and nothing lost.
    async fn password_is_wrong(&self, language: &Language, reference: &str) {
        let before = books(&self.case).await;
        let mut dying = self.start(language, reference);
        dying.until(PROMPT).await;
        drop(dying);
        let broker = self.case.broker.to_string();
        let mut wrong = settings(&self.case, broker, "ws-1");
        "tech-1".clone_into(&mut wrong[2].1);
        let (code, _) = Run::start(language, reference, &wrong).end().await;
        assert_eq!(code, Some(2));
        paid(self.start(language, reference), &self.case, before).await;
    }

    /// The card is refused: nothing is booked, and the next try is a payment of its own.
    async fn card_is_refused(&self, language: &Language, reference: &str) {
        let before = books(&self.case).await;
        let refused = Cardholder {
            host_result: 5,
            ..Cardholder::default()
        };
        let control = &self.case.terminals["ec-terminal"].control;
        control.next(&[refused]).await.expect("a cardholder");
        let (code, _) = self.start(language, reference).end().await;
        assert_eq!((code, books(&self.case).await), (Some(1), before));
        paid(self.start(language, reference), &self.case, before).await;
    }

    async fn try_all(&mut self, language: &Language) {
        // The samples keep payments by their reference, also from one test run to the next.
        let run = fastrand::u32(..);
        let (folder, broker) = (language.folder, self.broker);
        let reference = |what: &str| format!("{folder}-{broker:?}-{what}-{run}");
        self.pays(language, &reference("plain")).await;
        self.program_dies(language, &reference("killed")).await;
        self.line_breaks(language, &reference("cut")).await;
        self.password_is_wrong(language, &reference("password"))
            .await;
        self.card_is_refused(language, &reference("refused")).await;
        self.gateway_dies(language, &reference("restarted")).await;
    }
}

/// Each setting that the samples read stands in the tutorial, and is printed by the demo.
fn the_demo_prints_what_the_samples_read(case: &Case) {
    let demo = fs::read_to_string(root().join("scripts/demo")).expect("the demo");
    let page = fs::read_to_string(root().join("docs/first-payment.md")).expect("the tutorial");
    for (name, _) in settings(case, String::new(), "ws-1") {
        for text in [&demo, &page] {
            assert!(text.contains(&format!(" {name}=")), "{name}");
        }
    }
}

async fn take_payments(broker: Broker) {
    let mut counter = Counter::open(broker, "").await;
    the_demo_prints_what_the_samples_read(&counter.case);
    for language in &languages() {
        counter.try_all(language).await;
    }
    counter.case.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorials_programs_take_a_payment_once_whatever_happens_with_either_broker() {
    library::prepare();
    let [one, other] = BROKERS.map(take_payments);
    tokio::join!(one, other);
}

/// What a person finds at the terminal, and the exit code of the program that asks after that.
const FINDINGS: [(&str, i32); 2] = [("done", 0), ("not-done", 1)];

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_nobody_knows_of_is_told_as_that_until_a_person_has_looked() {
    library::prepare();
    // A terminal that does not show its books, and a gateway that dies: it cannot know.
    let bookless = "[devices.ec-terminal.kofferd]\nshows_books = false\n";
    let mut counter = Counter::open(Broker::Embedded, bookless).await;
    for language in &languages() {
        for (finding, code) in FINDINGS {
            let reference = format!("{}-{finding}-{}", language.folder, fastrand::u32(..));
            let mut waiting = counter.start(language, &reference);
            waiting.until(PROMPT).await;
            counter.gateway_restarts().await;
            assert_eq!(waiting.end().await.0, Some(3), "{language:?}");
            assert_eq!(counter.start(language, &reference).end().await.0, Some(3));

            let folder = library::examples().join(language.folder);
            let kept = fs::read(folder.join(format!("payment-{reference}.json")));
            let kept: Value = serde_json::from_slice(&kept.expect("it is kept")).expect("JSON");
            let technician = counter.technician().await;
            let word = json!({
                "client": "ws-1", "call": kept["call"],
                "finding": finding, "observation": "The terminal's journal strip",
            });
            let said = technician.ask("gateway", "resolve", &word, 10).await;
            assert_eq!(said["status"], "ok", "{said}");
            assert_eq!(
                counter.start(language, &reference).end().await.0,
                Some(code)
            );
        }
    }
    counter.case.stop().await;
}
