//! The tutorial `docs/first-payment.md`, as it stands there: its commands are run, and its programs
//! killed and left without an answer while the customer pays.

use std::{fs, process::Stdio};

use koffer_fixtures::{
    case::Case,
    zvt::{Cardholder, Event},
};
use koffer_tests::{mosquitto::PATIENCE, office::Broker};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{TRIED_ON, library, raise, root, settings};

/// The reference of the payment in the tutorial's commands.
const REFERENCE: &str = "PA-2026-00417";

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
    fn start(language: &Language, case: &Case, reference: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-ec", &language.run.replace(REFERENCE, reference)])
            .current_dir(library::examples().join(language.folder))
            .envs(settings(case, case.broker.to_string(), "ws-1"))
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

async fn receipts(case: &Case) -> Vec<u16> {
    let ledger = case.terminals["ec-terminal"].control.ledger().await;
    let ledger = ledger.expect("a ledger");
    let booked = ledger.list(Event::Booked);
    booked.iter().map(|entry| entry.receipt).collect()
}

/// Runs to the end, and expects that exactly one payment was booked since `before`, and is told.
async fn paid(run: Run, case: &Case, before: &[u16]) -> String {
    let (code, last) = run.end().await;
    let now = receipts(case).await;
    assert_eq!(now.len(), before.len() + 1, "{last}");
    let receipt = now.last().copied().unwrap_or_default();
    assert_eq!(
        (code, &*last),
        (Some(0), &*format!("PAID, receipt {receipt}"))
    );
    last
}

/// The words that the demo prints name each setting that the samples read.
fn the_demo_prints_what_the_samples_read(case: &Case) {
    let demo = fs::read_to_string(root().join("scripts/demo")).expect("the demo");
    let page = fs::read_to_string(root().join("docs/first-payment.md")).expect("the tutorial");
    for (name, _) in settings(case, String::new(), "ws-1") {
        for text in [&demo, &page] {
            assert!(text.contains(&format!(" {name}=")), "{name}");
        }
    }
}

async fn try_all(language: &Language, broker: Broker, case: &mut Case) {
    // The samples keep payments by their reference, also from one run of the tests to the next.
    let run = fastrand::u32(..);
    let reference = |what: &str| format!("{}-{broker:?}-{what}-{run}", language.folder);

    // As the tutorial says; and once more, which books nothing.
    let before = receipts(case).await;
    let first = paid(
        Run::start(language, case, &reference("plain")),
        case,
        &before,
    )
    .await;
    let (code, again) = Run::start(language, case, &reference("plain")).end().await;
    assert_eq!((code, again), (Some(0), first));
    assert_eq!(receipts(case).await.len(), before.len() + 1);

    // The program dies while the terminal asks for the card.
    let before = receipts(case).await;
    let mut dying = Run::start(language, case, &reference("killed"));
    dying.until(PROMPT).await;
    drop(dying);
    paid(
        Run::start(language, case, &reference("killed")),
        case,
        &before,
    )
    .await;

    // The connection breaks while the terminal asks for the card: the broker dies.
    let before = receipts(case).await;
    let mut waiting = Run::start(language, case, &reference("lost"));
    waiting.until(PROMPT).await;
    match broker {
        Broker::Mosquitto => case.restart_mosquitto().await,
        Broker::Embedded => {
            case.kill_kofferd().await;
            case.restart_kofferd().await
        }
    }
    .unwrap_or_else(|error| panic!("{error}"));
    waiting.until("asking again").await;
    paid(waiting, case, &before).await;

    // The card is refused: nothing was booked, and the next try is a payment of its own.
    let before = receipts(case).await;
    let control = &case.terminals["ec-terminal"].control;
    let refused = Cardholder {
        host_result: 5,
        ..Cardholder::default()
    };
    control.next(&[refused]).await.expect("a cardholder");
    let (code, _) = Run::start(language, case, &reference("refused"))
        .end()
        .await;
    assert_eq!(code, Some(1));
    assert_eq!(receipts(case).await, before);
    paid(
        Run::start(language, case, &reference("refused")),
        case,
        &before,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorials_programs_take_a_payment_once_whatever_happens_with_either_broker() {
    let languages = languages();
    library::prepare();
    for broker in TRIED_ON {
        let mut case = raise("serial", broker).await;
        let control = &case.terminals["ec-terminal"].control;
        let unhurried = json!({"cardholder": {"inserts_after_ms": 400}});
        control
            .set(unhurried)
            .await
            .expect("an unhurried cardholder");
        the_demo_prints_what_the_samples_read(&case);
        for language in &languages {
            try_all(language, broker, &mut case).await;
        }
        case.stop().await;
    }
}
