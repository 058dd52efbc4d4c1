//! An office with one device, whose gateway can be told where to die.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use koffer_drivers::fail_point::{CRASH_AT, CRASH_TRACE};
use koffer_fixtures::case::{Case, CaseError, CaseFile, CaseOptions};
use koffer_tests::{built::program, client::Workstation, office::Broker};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::step::{Step, steps_in};

/// The one device of an office.
pub(crate) const DEVICE: &str = "device";

/// Who calls.
pub(crate) const CLERK: &str = "ws-1";

/// Who looks where nobody else can.
pub(crate) const TECHNICIAN: &str = "tech-1";

/// Dying at a place that is passed takes a moment; so does a device that settles.
const PATIENCE: Duration = Duration::from_mins(1);

/// Of the gateway's log, with a failure.
const SHOWN_LINES: usize = 40;

/// When a late card comes, in milliseconds.
const LATE: u32 = 3000;

/// Everybody of an office.
const PEOPLE: &str = r#"
    [clients.ws-1]
    role = "workstation"
    allow = ["payment", "document-printer", "card-terminal"]
    [clients.tech-1]
    role = "technician"
    allow = ["*"]
"#;

/// What there is in an office.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Furniture {
    /// A terminal in the network that reverses what is not acknowledged.
    Terminal,
    /// The same on a serial line.
    SerialTerminal,
    /// One that keeps what is not acknowledged.
    KeepingTerminal,
    /// One that keeps it, goes on alone, and says that it is idle meanwhile.
    HidingTerminal,
    /// A printer for forms.
    Printer,
    /// A chip card in a reader.
    Card,
}

/// The gateway, its broker, its device and its callers.
pub(crate) struct Office {
    pub(crate) case: Case,
    furniture: Furniture,
    lives: usize,
    /// When its gateway's life began: a broker apart still shows what an earlier one said.
    begun: Timestamp,
    calls: usize,
    updates: AtomicUsize,
}

impl Furniture {
    fn case(self, broker: Broker) -> CaseFile {
        let device = match self {
            Self::Terminal
            | Self::SerialTerminal
            | Self::KeepingTerminal
            | Self::HidingTerminal => {
                // A serial line does not tell the terminal that the gateway is gone: it waits.
                let (line, waits) = match self {
                    Self::SerialTerminal => ("serial", 2500),
                    _ => ("tcp", 5000),
                };
                let missing_ack = match self {
                    Self::KeepingTerminal | Self::HidingTerminal => "keeps",
                    _ => "reverses",
                };
                let hides = self == Self::HidingTerminal;
                // The first looks of the gateway's next life come before the card.
                let (inserts, kofferd) = if hides {
                    (LATE, "books_within_ms = 6000")
                } else {
                    (0, "")
                };
                format!(
                    r#"
                    simulator = "zvt"
                    line = "{line}"
                    kofferd = {{ {kofferd} }}
                    [devices.device.profile]
                    hides_work = {hides}
                    missing_ack = "{missing_ack}"
                    ack_timeout_ms = {waits}
                    frame_ack_timeout_ms = {waits}
                    [devices.device.profile.cardholder]
                    inserts_after_ms = {inserts}
                    pin_after_ms = 0
                    host_after_ms = 0
                    removes_after_ms = 0
                    "#
                )
            }
            Self::Printer => "simulator = \"ippeveprinter\"".to_owned(),
            // 2F02 is EF.GDO: the card's serial number.
            Self::Card => r#"
                simulator = "card"
                manners = { extended = false, chaining = false }
                [devices.device.files]
                2f02 = { text = "Z\u000812345678" }
                0101 = { bytes = 500, text = "An address." }
                0102 = { bytes = 8, text = "One." }
                0103 = { bytes = 8, text = "Other." }
            "#
            .to_owned(),
        };
        let broker = match broker {
            Broker::Embedded => "embedded",
            Broker::Mosquitto => "mosquitto",
        };
        let text = format!(
            "[case]\ngateway = \"case-7\"\nbroker = \"{broker}\"\n{PEOPLE}\n[devices.{DEVICE}]\n{device}"
        );
        CaseFile::parse(&text, Path::new("crash-matrix.toml"))
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Office {
    pub(crate) async fn open(broker: Broker, furniture: Furniture) -> Self {
        let options = CaseOptions {
            kofferd: Some(program("kofferd")),
            sim_zvt: Some(program("sim-zvt")),
            wait_for_devices: false,
            ..CaseOptions::default()
        };
        let begun = Timestamp::now();
        let case = Case::raise(&furniture.case(broker), options).await;
        Self {
            case: case.unwrap_or_else(|error| panic!("{error}")),
            furniture,
            lives: 0,
            begun,
            calls: 0,
            updates: AtomicUsize::new(0),
        }
    }

    /// A call id that this office has not had.
    pub(crate) fn new_call(&mut self) -> String {
        self.calls += 1;
        format!("call-{}", self.calls)
    }

    /// How many lives its gateway has had: a number for what must not be like anything before.
    pub(crate) fn lives(&self) -> usize {
        self.lives
    }

    /// How many UPDATE BINARY the card has had.
    pub(crate) fn updates(&self) -> usize {
        let log = self.case.card_terminals[DEVICE].with_card(|card| card.take_log());
        let new = log
            .iter()
            .filter(|[_, instruction, ..]| *instruction == 0xD6);
        let new = new.count();
        self.updates.fetch_add(new, Ordering::Relaxed) + new
    }

    /// Ends the gateway's life, and begins one that lasts.
    pub(crate) async fn live(&mut self) {
        self.begin(None)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends the gateway's life, and begins one that will be over at `step`.
    pub(crate) async fn live_until(&mut self, step: Step) {
        let begun = self.begin(Some(step)).await;
        begun.unwrap_or_else(|error| panic!("{step:?}: {error}"));
    }

    /// A life that nobody calls in, and that is over at `step` by itself.
    pub(crate) async fn live_alone_until(&mut self, step: Step) {
        match self.begin(Some(step)).await {
            Ok(()) | Err(CaseError::Ended { .. }) => self.died_at(step).await,
            Err(error) => panic!("{step:?}: {error}"),
        }
    }

    async fn begin(&mut self, death: Option<Step>) -> Result<(), CaseError> {
        self.lives += 1;
        self.begun = Timestamp::now();
        let trace = self.trace();
        let mut variables: Vec<(&str, &OsStr)> = vec![(CRASH_TRACE, trace.as_os_str())];
        let place = death.map(|step| OsString::from(format!("{}:{}", step.name, step.nth)));
        if let Some(place) = &place {
            variables.push((CRASH_AT, place));
        }
        self.case.restart_kofferd_with(&variables).await
    }

    /// Waits for the gateway's death, and sees that it was the one that was ordered.
    pub(crate) async fn died_at(&mut self, step: Step) {
        let Ok(death) = timeout(PATIENCE, self.case.death()).await else {
            panic!("{step:?} is not passed: {:?}", self.passed());
        };
        assert_eq!(death.name, "kofferd", "{step:?}: {death:?}");
        assert!(death.status.contains("signal: 9"), "{step:?}: {death:?}");
        assert_eq!(self.passed().last(), Some(&step), "what it died at");
    }

    /// The steps that this life of the gateway has passed.
    pub(crate) fn passed(&self) -> Vec<Step> {
        steps_in(&fs::read_to_string(self.trace()).unwrap_or_default())
    }

    fn trace(&self) -> PathBuf {
        self.case.dir().join(format!("passed-{}", self.lives))
    }

    /// A new connection of one of its people.
    pub(crate) async fn person(&self, name: &str) -> Workstation {
        let password = self.case.clients[name].password().expect("a password");
        Workstation::connect(self.case.broker.port(), name, &password).await
    }

    /// Waits until the device works, or a person must look at it.
    pub(crate) async fn settled(&self, person: &Workstation) {
        let settled = |state: &Value| self.is_ready(state) || self.is_in_doubt(state);
        person.until(DEVICE, settled).await;
        if self.furniture == Furniture::Card {
            self.card_seen(person).await;
        }
    }

    /// Waits until the device works.
    pub(crate) async fn ready(&self, person: &Workstation) {
        person.until(DEVICE, |state| self.is_ready(state)).await;
    }

    /// Waits until a person must look at the device.
    pub(crate) async fn in_doubt(&self, person: &Workstation) {
        person.until(DEVICE, |state| self.is_in_doubt(state)).await;
    }

    fn is_ready(&self, state: &Value) -> bool {
        self.is_of_this_life(state) && state["state"] == "ready" && !says_unknown(state)
    }

    fn is_in_doubt(&self, state: &Value) -> bool {
        self.is_of_this_life(state) && says_unknown(state)
    }

    fn is_of_this_life(&self, state: &Value) -> bool {
        let since = state["since"].as_str().expect("a time");
        since.parse::<Timestamp>().expect("a time") >= self.begun
    }

    /// The reader is there before its card is seen. To read changes nothing.
    async fn card_seen(&self, clerk: &Workstation) {
        let file = json!({"file": {"path": "3f00/0101"}});
        let in_doubt = || {
            clerk
                .state(DEVICE)
                .is_some_and(|state| self.is_in_doubt(&state))
        };
        let seen = async {
            while clerk.ask(DEVICE, "read", &file, 10).await["status"] != "ok" && !in_doubt() {}
        };
        timeout(PATIENCE, seen).await.expect("the card is seen");
    }

    /// A terminal of the same kind, fresh from its box, in the place of the one that is there.
    pub(crate) async fn new_terminal(&mut self) {
        self.case.stop_kofferd().await;
        let ledger = self.case.terminals[DEVICE].ledger.clone();
        let killed = self.case.kill_terminal(DEVICE).await;
        killed.unwrap_or_else(|error| panic!("{error}"));
        match fs::remove_file(ledger) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
        let started = self.case.restart_terminal(DEVICE).await;
        started.unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Drop for Office {
    /// Shows the gateway's last words with a failure.
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.case.kofferd_log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let last = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("{:?}:\n{}", self.furniture, lines[last..].join("\n"));
        }
    }
}

/// A person must say what became of a call.
fn says_unknown(state: &Value) -> bool {
    let reasons = state["reasons"].as_array();
    reasons.is_some_and(|all| all.iter().any(|one| one["keyword"] == "outcome-unknown"))
}

/// How often each call was answered, by call id.
pub(crate) fn answers(clerk: &Workstation) -> HashMap<String, usize> {
    let completions = clerk.completions().into_iter();
    completions.map(|(id, all)| (id, all.len())).collect()
}
