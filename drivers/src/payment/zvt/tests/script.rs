//! A terminal that says its lines, and what surrounds a call.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use koffer_proto::{
    Effect, Failure, Lang, Outcome, ProgressEvent, Request, Response, Status,
    class::payment::{PayParams, Response as Paid, Transaction},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::Instant,
};

use super::super::{
    Address, ConnectionUse, Profile, ReceiptsTo, ZvtConfig,
    driver::Zvt,
    link::{Broken, Dial, Link},
};
use crate::{
    Call, CallControl, CallUpdate, Driver, Effects, Evidence, Finished, NotStored, Steering, call,
};

/// Hexadecimal digits, spaces ignored.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// 06 00 of [`config`], and what the terminal 68000123 says to it.
pub(super) const REGISTER: &[Step] = &[
    Hear("0600 0E 123456 9E 0978 06 06 26 04 0A 02 06D3"),
    Say("8000 00"),
    Say("060F 0A 19 00 29 68000123 49 0978"),
    Hear("8000 00"),
];
/// 05 01, answered "ready".
pub(super) const READY: &[Step] = &[
    Hear("0501 00"),
    Say("8000 00"),
    Say("060F 0B F0F0F7 322E31342E3135 00"),
    Hear("8000 00"),
];
/// 06 01 over 37.80 EUR.
pub(super) const PAY: Step = Hear("0601 0C 04 000000003780 49 0978 19 40");
/// The 04 0F that books it.
pub(super) const BOOKED: &str =
    "040F 21 27 00 04 000000003780 49 0978 0B 001077 0C 154501 0D 1122 29 68000123 87 0231 8A 05";
/// The ECR's acknowledgement.
pub(super) const ACK: Step = Hear("8000 00");
/// The terminal's.
pub(super) const TAKEN: Step = Say("8000 00");
/// Done.
pub(super) const DONE: Step = Say("060F 00");

pub(super) use Step::{Hear, Say, Silent};

/// One line of a script, APDUs in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The ECR must send exactly this.
    Hear(&'static str),
    /// The terminal sends this.
    Say(&'static str),
    /// The terminal says nothing for so many seconds.
    Silent(u64),
}

/// A script of several parts.
pub(super) fn script(parts: &[&[Step]]) -> Vec<Step> {
    parts.concat()
}

/// A payment from the acknowledged command to its end.
pub(super) const PAYMENT: &[Step] = &[
    PAY,
    TAKEN,
    Say("04FF 02 0A 03"),
    ACK,
    Say("04FF 01 04"),
    ACK,
    Say(BOOKED),
    ACK,
    Say("06D1 0C 00 4B756E64656E62656C6567"),
    ACK,
    Say("06D1 06 00 53756D6D65"),
    ACK,
    Say("06D1 01 81"),
    ACK,
    DONE,
    ACK,
];

/// Says its lines, hears that nothing else comes, and hangs up when the ECR does.
pub(super) async fn perform(mut line: impl AsyncRead + AsyncWrite + Unpin, steps: Vec<Step>) {
    perform_and_leave(&mut line, steps).await;
    // Nothing may be sent without being asked for.
    let mut rest = Vec::new();
    line.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "after the script: {rest:02X?}");
}

/// Says its lines; panics where the ECR says something else.
pub(super) async fn perform_and_leave(
    line: &mut (impl AsyncRead + AsyncWrite + Unpin),
    steps: Vec<Step>,
) {
    for (at, step) in steps.iter().enumerate() {
        match step {
            Hear(expected) => {
                let expected = hex(expected);
                let mut heard = vec![0; expected.len()];
                line.read_exact(&mut heard).await.unwrap_or_else(|error| {
                    panic!("step {at}: {error} in place of {expected:02X?}")
                });
                assert_eq!(
                    heard, expected,
                    "step {at}: {heard:02X?}, not {expected:02X?}"
                );
            }
            Say(said) => line.write_all(&hex(said)).await.unwrap(),
            Silent(seconds) => tokio::time::sleep(Duration::from_secs(*seconds)).await,
        }
    }
}

/// Hands out prepared lines; refuses when there are none left.
#[derive(Debug, Default)]
pub(super) struct Lines {
    next: Mutex<VecDeque<Link>>,
}

impl Lines {
    /// The line that is handed out next.
    pub(super) fn push_front(&self, link: Link) {
        self.next.lock().unwrap().push_front(link);
    }
}

#[async_trait]
impl Dial for Lines {
    async fn dial(&self) -> Result<Link, Broken> {
        let next = self.next.lock().unwrap().pop_front();
        next.ok_or_else(|| Broken::Io("connection refused".to_owned()))
    }
}

/// A driver and the terminals that wait for it.
pub(super) struct Stage {
    pub(super) driver: Zvt,
    pub(super) lines: Arc<Lines>,
    terminals: Vec<JoinHandle<()>>,
}

/// A terminal that is not asked for its books: that has tests of its own (`books.rs`).
pub(super) fn config() -> ZvtConfig {
    ZvtConfig {
        endpoint: Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 20_007,
        },
        password: "123456".parse().unwrap(),
        currency: koffer_proto::Currency::EUR,
        receipts: ReceiptsTo::ToApp,
        profile: Profile {
            shows_books: false,
            tells_busy: true,
            ..Profile::default()
        },
    }
}

pub(super) fn kept() -> ZvtConfig {
    let mut config = config();
    config.profile.connection = ConnectionUse::Kept;
    config
}

impl Stage {
    pub(super) fn new(config: ZvtConfig) -> Self {
        let lines = Arc::new(Lines::default());
        Self {
            driver: Zvt::new(config, lines.clone()),
            lines,
            terminals: Vec::new(),
        }
    }

    /// The next connection, to a terminal with this script.
    pub(super) fn terminal(&mut self, steps: Vec<Step>) {
        let far = self.line();
        self.terminals.push(tokio::spawn(perform(far, steps)));
    }

    /// The next connection, with its far end in hand.
    pub(super) fn line(&mut self) -> DuplexStream {
        let (near, far) = duplex(64 * 1024);
        self.lines.next.lock().unwrap().push_back(Link::bare(near));
        far
    }

    /// One call to its end.
    pub(super) async fn run(&mut self, request: impl Into<Request>) -> Played {
        self.run_with(request, Recorder::default(), |_| {}).await
    }

    /// One call, with a journal of its own and someone who may steer it from the beginning.
    pub(super) async fn run_with(
        &mut self,
        request: impl Into<Request>,
        journal: Recorder,
        steer: impl FnOnce(Steering),
    ) -> Played {
        let (mut call, control) = a_call(journal.clone());
        steer(control.steering());
        let begun = Instant::now();
        let told = tokio::spawn(listen(control));
        let finished = self.driver.run(request.into(), &mut call).await;
        drop(call);
        Played {
            finished,
            told: told.await.unwrap(),
            journal,
            took: begun.elapsed(),
        }
    }

    /// Every terminal said all its lines and heard what it expected.
    pub(super) async fn all_said(mut self) {
        self.driver.close().await;
        drop(self.driver);
        for terminal in self.terminals {
            terminal.await.unwrap();
        }
    }
}

/// A call that may take 10 minutes.
pub(super) fn a_call(journal: Recorder) -> (Call, CallControl) {
    call(
        "7d1f0c7e".parse().unwrap(),
        "ws-1".parse().unwrap(),
        Lang::De,
        Instant::now() + Duration::from_mins(10),
        Box::new(journal),
    )
}

async fn listen(mut control: CallControl) -> Vec<CallUpdate> {
    let mut told = Vec::new();
    while let Some(one) = control.told.recv().await {
        told.push(one);
    }
    told
}

/// 37.80 EUR.
pub(super) fn pay() -> Request {
    Request::from(PayParams {
        amount: koffer_proto::Amount::euro_cents(3780).unwrap(),
        reference: None,
    })
}

/// How a call went.
pub(super) struct Played {
    pub(super) finished: Finished,
    pub(super) told: Vec<CallUpdate>,
    pub(super) journal: Recorder,
    pub(super) took: Duration,
}

impl Played {
    pub(super) fn paid(&self) -> &Transaction {
        match &self.finished.outcome {
            Outcome::Ok(Response::Payment(
                Paid::Pay(it) | Paid::Refund(it) | Paid::Reverse(it),
            )) => it,
            other => panic!("not booked: {other:?}"),
        }
    }

    pub(super) fn failure(&self) -> &Failure {
        match &self.finished.outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Ok(response) => panic!("not failed: {response:?}"),
        }
    }

    /// Status and effect.
    pub(super) fn ended(&self) -> (Status, Effect) {
        match &self.finished.outcome {
            Outcome::Ok(_) => (Status::Ok, Effect::Done),
            Outcome::Failed(failure) => (failure.status(), failure.effect()),
        }
    }

    pub(super) fn cause(&self) -> &str {
        self.failure().detail.cause.as_deref().unwrap_or_default()
    }

    /// The keywords of what the terminal showed.
    pub(super) fn shown(&self) -> Vec<&str> {
        self.told
            .iter()
            .filter_map(|told| match told {
                CallUpdate::Progress(ProgressEvent::TerminalText { code, .. }) => {
                    Some(code.as_str())
                }
                _ => None,
            })
            .collect()
    }
}

/// A journal that remembers, and refuses where it is told to.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder {
    pub(super) refuses: Option<&'static str>,
    pub(super) steps: Arc<Mutex<Vec<Evidence>>>,
}

impl Recorder {
    pub(super) fn refusing(step: &'static str) -> Self {
        Self {
            refuses: Some(step),
            ..Self::default()
        }
    }

    pub(super) fn steps(&self) -> Vec<String> {
        let steps = self.steps.lock().unwrap();
        steps.iter().map(|e| e.step.to_string()).collect()
    }

    pub(super) fn fact(&self, step: &str, fact: &str) -> Option<String> {
        let steps = self.steps.lock().unwrap();
        let evidence = steps.iter().find(|evidence| evidence.step == step)?;
        evidence.facts.get(fact).cloned()
    }

    fn note(&self, evidence: Evidence) -> Result<(), NotStored> {
        if self.refuses == Some(&*evidence.step) {
            return Err(NotStored::new("voll", "disk full"));
        }
        self.steps.lock().unwrap().push(evidence);
        Ok(())
    }
}

#[async_trait]
impl Effects for Recorder {
    async fn armed(&self, baseline: Evidence) -> Result<(), NotStored> {
        self.note(baseline)
    }

    async fn started(&self) -> Result<(), NotStored> {
        self.note(Evidence::new("started", []))
    }

    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        self.note(evidence)
    }
}
