//! One interrupted call, and whether what was found out is true.

use std::{path::Path, time::Duration};

use koffer_drivers::{
    Call, CallControl, Driver, Finished, Reconciled, call,
    payment::zvt::{Profile as Model, ReceiptsTo, ZvtConfig, driver},
};
use koffer_fixtures::zvt::{
    Address, ByHand, Cardholder, Entry, Event, Ledger, Phase, Profile, Terminal, TerminalConfig,
    Until,
};
use koffer_proto::{
    Amount, Effect, Lang, Operation as _, OperationSpec, Outcome, Request, Response,
    class::payment::{
        EndOfDayParams, PayParams, RefundParams, Response as Paid, ReverseParams, Transaction,
    },
};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    line::{End, Line, Toward},
    record::{Dies, Record},
};

pub(crate) const CENTS: u64 = 3780;
/// What the terminal booked before, and what is reversed.
const EARLIER: u64 = 1010;
/// Safely less than what the driver takes for the least that a payment by hand needs.
const SOON: Duration = Duration::from_secs(8);
/// Tries to find out: a terminal in the middle of something takes a few, and more on a busy machine,
/// where hundreds of them share two processors.
const TRIES: u32 = 150;

/// What is asked of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Pay,
    Reverse,
    Refund,
    EndOfDay,
}

pub(crate) const OPERATIONS: [Operation; 4] = [
    Operation::Pay,
    Operation::Reverse,
    Operation::Refund,
    Operation::EndOfDay,
];

/// How the call is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The line ends; the gateway lives.
    Cut(End),
    /// The process dies when so many bytes passed.
    Killed(End),
    /// The process dies at its journal.
    KilledAt(Dies),
    /// The journal cannot store any more once the effect may have begun.
    DiskFull,
    /// Not at all.
    None,
}

/// What happens before somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    Nothing,
    /// The terminal loses power.
    PowerCycle,
    /// Somebody uses the terminal.
    Hands(&'static [ByHand]),
    /// Another terminal is put in its place.
    Exchanged,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) operation: Operation,
    pub(crate) profile: Profile,
    pub(crate) receipts: ReceiptsTo,
    pub(crate) trouble: Trouble,
    pub(crate) meanwhile: Meanwhile,
    /// On a serial line, which nothing cuts here.
    pub(crate) serial: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// The call ended by itself and told the truth, or had not begun.
    NotInterrupted,
    Done,
    NotDone,
    /// With this keyword.
    Undecided(String),
    /// Rightly left open, because this machine took longer to ask than a payment by hand takes.
    TooSlow,
}

/// A terminal that does not dawdle.
pub(crate) fn brisk() -> Profile {
    Profile {
        first_receipt: 230,
        first_trace: 1076,
        cardholder: Cardholder {
            inserts_after_ms: 0,
            pin_after_ms: 0,
            host_after_ms: 0,
            removes_after_ms: 0,
            ..Cardholder::default()
        },
        ..Profile::default()
    }
}

impl Operation {
    pub(crate) fn spec(self) -> &'static OperationSpec {
        match self {
            Self::Pay => PayParams::SPEC,
            Self::Reverse => ReverseParams::SPEC,
            Self::Refund => RefundParams::SPEC,
            Self::EndOfDay => EndOfDayParams::SPEC,
        }
    }

    fn request(self, earlier: u16) -> Request {
        let amount = Amount::euro_cents(CENTS).unwrap();
        let reference = None;
        match self {
            Self::Pay => PayParams { amount, reference }.into(),
            Self::Refund => RefundParams { amount, reference }.into(),
            Self::Reverse => {
                let receipt = u64::from(earlier).try_into().unwrap();
                let amount = Some(Amount::euro_cents(EARLIER).unwrap());
                ReverseParams { receipt, amount }.into()
            }
            Self::EndOfDay => EndOfDayParams {}.into(),
        }
    }

    /// Whether what was asked stands in the ledger: ours, or for what cannot happen twice anyone's.
    fn stands(self, before: &Ledger, after: &Ledger) -> bool {
        let new = &after.entries()[before.entries().len()..];
        let ours = |event| {
            let of_kind = move |entry: &&Entry| entry.event == event && !entry.by_hand;
            let standing = |entry: &Entry| after.standing(entry.trace) != Some(0);
            new.iter().filter(of_kind).any(standing)
        };
        match self {
            Self::Pay => ours(Event::Booked),
            Self::Refund => ours(Event::Refunded),
            Self::Reverse => after.sum_of_first() == 0,
            Self::EndOfDay => new.iter().any(|entry| entry.event == Event::Closed),
        }
    }
}

trait FirstBooking {
    /// What is left of the terminal's first booking, its reversals taken back included.
    fn sum_of_first(&self) -> i64;
}

impl FirstBooking for Ledger {
    fn sum_of_first(&self) -> i64 {
        let first = self.list(Event::Booked)[0];
        let all = self.entries().iter();
        let reversals = all.filter(|entry| {
            entry.event == Event::Reversed && entry.original_trace == Some(first.trace)
        });
        let taken_back = |reversal: &&Entry| {
            let back = self.list(Event::AutoReversed);
            back.iter()
                .any(|entry| entry.original_trace == Some(reversal.trace))
        };
        let standing = reversals.filter(|reversal| !taken_back(reversal));
        first.cents - standing.map(|entry| entry.cents).sum::<i64>()
    }
}

fn endpoint(terminal: &Terminal) -> String {
    match &terminal.address {
        Address::Tcp(address) => format!("tcp://{address}"),
        Address::Serial(path) => format!("serial://{}?baud=115200", path.display()),
    }
}

fn a_driver(endpoint: &str, receipts: ReceiptsTo) -> Box<dyn Driver> {
    driver(ZvtConfig {
        endpoint: endpoint.parse().unwrap(),
        password: "000000".parse().unwrap(),
        currency: koffer_proto::Currency::EUR,
        receipts,
        profile: Model {
            tells_busy: true,
            ..Model::default()
        },
    })
}

fn a_call(record: &Record) -> (Call, CallControl) {
    call(
        "7d1f0c7e".parse().unwrap(),
        "ws-1".parse().unwrap(),
        Lang::De,
        Instant::now() + Duration::from_mins(1),
        Box::new(record.clone()),
    )
}

async fn run(driver: &mut dyn Driver, request: Request, record: &Record) -> Finished {
    let (mut call, mut control) = a_call(record);
    let told = async { while control.told.recv().await.is_some() {} };
    tokio::select! {
        biased;
        finished = driver.run(request, &mut call) => finished,
        () = told => unreachable!("the call outlives its driver"),
    }
}

impl Case {
    async fn start(&self, dir: &Path) -> Terminal {
        let ledger = dir.join("ledger.jsonl");
        let config = if self.serial {
            TerminalConfig::serial(ledger)
        } else {
            TerminalConfig::tcp(ledger)
        };
        let profile = self.profile.clone();
        let config = TerminalConfig { profile, ..config };
        let terminal = Terminal::start(config).await.unwrap();
        // What was before: one payment of the day.
        let pay = ByHand::Pay {
            cents: EARLIER.try_into().unwrap(),
        };
        terminal.control.by_hand(pay).await.unwrap();
        terminal
    }

    /// Plays it, and fails where the ledger says otherwise. Few hold a `turn` at once, so that
    /// on a busy machine the question follows the interruption soon.
    pub(crate) async fn play(&self, turn: &Semaphore) -> Found {
        let turn = turn.acquire().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let terminal = self.start(dir.path()).await;
        let before = terminal.control.ledger().await.unwrap();
        let (record, finished) = self.interrupt(&terminal).await;
        let interrupted_at = Instant::now();
        let begun = record.started();
        let (known, claimed) = match finished.map(|finished| finished.outcome) {
            Some(Outcome::Ok(_)) => (true, true),
            Some(Outcome::Failed(failure)) => (failure.effect() != Effect::Unknown, false),
            None => (!begun, false),
        };
        if known {
            let after = at_rest(&terminal).await;
            assert_eq!(self.operation.stands(&before, &after), claimed, "{self:?}");
            return Found::NotInterrupted;
        }
        self.pass_time(&terminal).await;
        let restarted = matches!(self.trouble, Trouble::Killed(_) | Trouble::KilledAt(_))
            || matches!(self.meanwhile, Meanwhile::Hands(_));
        let interrupted = record.interrupted(self.operation.spec(), restarted);
        let mut driver = a_driver(&endpoint(&terminal), self.receipts);
        let opened = driver.open().await;
        drop(turn);
        let late = interrupted_at.elapsed() > SOON;
        let first = match opened {
            Ok(_) => driver.reconcile(&interrupted).await,
            Err(fault) => Reconciled::Lost(fault),
        };
        drop(driver);
        let (found, late) = match first {
            Reconciled::Lost(_) => {
                let found = self.ask(&terminal, &interrupted).await;
                (found, interrupted_at.elapsed() > SOON)
            }
            found => (found, late),
        };
        let after = at_rest(&terminal).await;
        match self.judge(found, &before, &after) {
            Found::Undecided(why) if why == "one-like-it" && late && !restarted => Found::TooSlow,
            found => found,
        }
    }

    /// The call, until it ends or its process dies.
    async fn interrupt(&self, terminal: &Terminal) -> (Record, Option<Finished>) {
        let (end, hangs_up) = match self.trouble {
            Trouble::Cut(end) => (Some(end), true),
            Trouble::Killed(end) => (Some(end), false),
            _ => (None, false),
        };
        let record = match self.trouble {
            Trouble::KilledAt(dies) => Record::dying(dies),
            Trouble::DiskFull => Record::full(),
            _ => Record::default(),
        };
        let line = Self::line(terminal, end, hangs_up).await;
        let through = line
            .as_ref()
            .map_or_else(|| endpoint(terminal), Line::endpoint);
        let mut driver = a_driver(&through, self.receipts);
        let dies = async {
            match &line {
                Some(line) if !hangs_up => line.reached.notified().await,
                _ => std::future::pending().await,
            }
        };
        let request = self.operation.request(self.profile.first_receipt);
        let finished = tokio::select! {
            biased;
            () = dies => None,
            () = record.death.notified() => None,
            finished = run(&mut *driver, request, &record) => Some(finished),
        };
        drop(driver);
        if let Some(line) = line {
            line.cut().await;
        }
        (record, finished)
    }

    async fn line(terminal: &Terminal, end: Option<End>, hangs_up: bool) -> Option<Line> {
        match &terminal.address {
            Address::Tcp(address) => Some(Line::to(*address, end, hangs_up).await),
            Address::Serial(_) => None,
        }
    }

    async fn pass_time(&self, terminal: &Terminal) {
        match self.meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::PowerCycle => {
                let down = Duration::from_millis(20);
                terminal.control.restart(down).await.unwrap();
            }
            Meanwhile::Hands(deeds) => {
                for deed in deeds {
                    // What the terminal refuses (a receipt already reversed) is not done.
                    let _ = terminal.control.by_hand(*deed).await;
                }
            }
            Meanwhile::Exchanged => {
                let other = serde_json::json!({"terminal_id": 68_000_999});
                terminal.control.set(other).await.unwrap();
            }
        }
    }

    /// A new driver value, as often as the supervisor would make one.
    async fn ask(
        &self,
        terminal: &Terminal,
        interrupted: &koffer_drivers::Interrupted,
    ) -> Reconciled {
        let mut lost = None;
        for _ in 0..TRIES {
            let mut driver = a_driver(&endpoint(terminal), self.receipts);
            let found = match driver.open().await {
                Ok(_) => driver.reconcile(interrupted).await,
                Err(fault) => Reconciled::Lost(fault),
            };
            match found {
                Reconciled::Lost(fault) => lost = Some(fault),
                found => return found,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("no answer, {lost:?}: {self:?}");
    }

    fn judge(&self, found: Reconciled, before: &Ledger, after: &Ledger) -> Found {
        let stands = self.operation.stands(before, after);
        match found {
            Reconciled::Settled(Outcome::Ok(response)) => {
                assert!(stands, "not booked: {self:?} {:#?}", after.entries());
                self.check(&response, after);
                Found::Done
            }
            Reconciled::Settled(Outcome::Failed(failure)) => {
                assert_eq!(failure.effect(), Effect::None, "{self:?}");
                assert!(!stands, "it is booked: {self:?} {:#?}", after.entries());
                Found::NotDone
            }
            Reconciled::Undecided(reason) => {
                for text in [&reason.text.de, &reason.text.en] {
                    assert!(!text.is_empty(), "{self:?}");
                }
                Found::Undecided(reason.keyword)
            }
            Reconciled::Lost(fault) => panic!("{fault}"),
            Reconciled::NotYet(not_yet) => panic!("it tells that it is busy: {not_yet:?}"),
        }
    }

    /// The answer is the terminal's own entry.
    fn check(&self, response: &Response, after: &Ledger) {
        let transaction: &Transaction = match response {
            Response::Payment(Paid::Pay(it) | Paid::Refund(it) | Paid::Reverse(it)) => it,
            Response::Payment(Paid::EndOfDay(closing)) => {
                assert_eq!(closing.terminal, "68000123");
                assert_eq!(closing.by_card.len(), 1, "{self:?} {closing:?}");
                return;
            }
            other => panic!("{other:?}"),
        };
        assert!(transaction.recovered, "{self:?}");
        let mut entries = after.entries().iter();
        let entry = entries.find(|entry| Some(entry.trace) == transaction.trace);
        let entry = entry.unwrap_or_else(|| panic!("{self:?} {transaction:?}"));
        assert_eq!(Some(entry.receipt), transaction.receipt);
        let cents = transaction.amount.unwrap().cents.get();
        assert_eq!(u64::try_from(entry.cents).ok(), Some(cents));
        let lines = self.receipts == ReceiptsTo::ToApp;
        assert_eq!(!transaction.receipts.is_empty(), lines, "{self:?}");
    }

    /// What an undisturbed call takes: bytes toward the terminal and the driver, journal writes.
    pub(crate) async fn measure(&self) -> ([u64; 2], usize) {
        let dir = tempfile::tempdir().unwrap();
        let terminal = self.start(dir.path()).await;
        let record = Record::default();
        let line = Self::line(&terminal, None, false).await;
        let through = line
            .as_ref()
            .map_or_else(|| endpoint(&terminal), Line::endpoint);
        let mut driver = a_driver(&through, self.receipts);
        let request = self.operation.request(self.profile.first_receipt);
        let finished = run(&mut *driver, request, &record).await;
        assert!(
            self.profile.cardholder.host_result != 0 || matches!(finished.outcome, Outcome::Ok(_)),
            "{finished:?}"
        );
        let passed = |toward| line.as_ref().map_or(0, |line| line.passed(toward));
        let bytes = [passed(Toward::Terminal), passed(Toward::Driver)];
        (bytes, record.writes())
    }
}

/// The ledger of a terminal that does nothing any more.
async fn at_rest(terminal: &Terminal) -> Ledger {
    let idle = Until {
        phase: Some(Phase::Idle),
        ..Until::default()
    };
    terminal.control.wait(idle).await.unwrap();
    terminal.control.ledger().await.unwrap()
}
