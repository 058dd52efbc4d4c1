//! Devices that only tell: a battery, a receiver of positions. They are read now and then, what
//! changes is reported, and every call reads them anew.

use std::time::Duration;

use async_trait::async_trait;
use koffer_proto::{
    EventKind, Failure, Identity, Lang, Reason, Request, Response, Status, Text,
    class::any_device::{self, Identified, ResetDone, SelfTestLevel, StepOutcome},
};
use tokio::time::{sleep, timeout};

use crate::{
    Call, Driver, Fault, Finished, Opened, Report, Reports, Stop,
    ending::{Halt, caused, pick},
    self_test::SelfTest,
};

/// The longest that one reading may take.
const READING: Duration = Duration::from_secs(5);

/// What a device of one class tells, and what that means.
pub trait Reading: Send + Sync {
    /// What needs attention.
    fn reasons(&self) -> Vec<Reason>;

    /// What has happened since, if this reading is followed by `now`.
    fn event(&self, now: &Self) -> Option<EventKind>;

    /// The answer to an operation of its class; `None` where the driver has it not.
    fn answer(&self, request: &Request) -> Option<Response>;

    /// What lies behind the device: its battery, its satellites. Keyword, outcome, sentence.
    fn external(&self) -> (&'static str, StepOutcome, Text);
}

/// How one kind of such devices is read.
#[async_trait]
pub trait Sensor: Send {
    /// What it tells.
    type Reading: Reading;

    /// Between two readings.
    const PERIOD: Duration;

    /// Reads it, over a new connection where there is none. Cancel-safe: an exchange that
    /// was begun is forgotten together with its connection.
    async fn read(&mut self) -> Result<(Identity, Self::Reading), Fault>;

    /// Ends the connection, where there is one.
    fn disconnect(&mut self) {}

    /// It does not answer in time.
    fn silent(&self) -> Fault;
}

/// The driver of such a device.
pub struct SensorDriver<S: Sensor> {
    sensor: S,
    identity: Identity,
    /// As last reported.
    seen: Option<S::Reading>,
    reported: Vec<Reason>,
}

impl<S: Sensor> SensorDriver<S> {
    /// A driver that has not read yet.
    pub fn new(sensor: S) -> Self {
        Self {
            sensor,
            identity: Identity::default(),
            seen: None,
            reported: Vec::new(),
        }
    }

    async fn read(&mut self) -> Result<S::Reading, Fault> {
        match timeout(READING, self.sensor.read()).await {
            Ok(Ok((identity, reading))) => {
                self.identity = identity;
                Ok(reading)
            }
            Ok(Err(fault)) => {
                self.sensor.disconnect();
                Err(fault)
            }
            Err(_) => {
                self.sensor.disconnect();
                Err(self.sensor.silent())
            }
        }
    }

    /// Reads it for a call, unless that is stopped first.
    async fn read_for(&mut self, call: &Call) -> Result<S::Reading, Halt> {
        tokio::select! {
            biased;
            stop = call.stopped() => Err(stopped(stop, call.lang).into()),
            read = self.read() => read.map_err(|fault| {
                let message = fault.reason.text.get(call.lang);
                let failure = Failure::without_effect(Status::DeviceFault, message)
                    .with(caused(&fault.reason.keyword));
                Halt { failure, fault: Some(fault) }
            }),
        }
    }

    async fn answer(&mut self, request: Request, call: &Call) -> Result<Response, Halt> {
        use any_device::{Request as Any, Response as Done};
        let reading = self.read_for(call).await?;
        Ok(match &request {
            Request::AnyDevice(Any::SelfTest(params)) => {
                let mut steps = SelfTest::new(params.level, call);
                let answers = pick(call.lang, "Das Gerät antwortet.", "The device answers.");
                steps.add("read", StepOutcome::Passed, answers).await;
                if params.level != SelfTestLevel::Internal {
                    steps.at(params.level);
                    let (name, outcome, text) = reading.external();
                    let message = text.get(call.lang).to_owned();
                    steps.add(name, outcome, message).await;
                }
                Done::SelfTest(steps.report(self.identity.clone())).into()
            }
            Request::AnyDevice(Any::Identify(_)) => Done::Identify(Identified {
                identity: self.identity.clone(),
                signalled: false,
            })
            .into(),
            Request::AnyDevice(Any::Reset(_)) => {
                self.sensor.disconnect();
                Done::Reset(ResetDone {}).into()
            }
            other => reading
                .answer(other)
                .ok_or_else(|| unsupported(call.lang))?,
        })
    }

    /// Tells what changed, one report at a time: what is not told when this is dropped is told
    /// next time.
    async fn report(&mut self, now: S::Reading, reports: &Reports) {
        let event = self.seen.as_ref().and_then(|seen| seen.event(&now));
        if let Some(event) = event
            && reports.send(Report::Event(event)).await.is_err()
        {
            return;
        }
        let reasons = now.reasons();
        self.seen = Some(now);
        if reasons != self.reported && reports.send(Report::Reasons(reasons.clone())).await.is_ok()
        {
            self.reported = reasons;
        }
    }
}

#[async_trait]
impl<S: Sensor> Driver for SensorDriver<S> {
    async fn open(&mut self) -> Result<Opened, Fault> {
        let reading = self.read().await?;
        self.reported = reading.reasons();
        self.seen = Some(reading);
        Ok(Opened {
            identity: self.identity.clone(),
            capabilities: None,
            reasons: self.reported.clone(),
        })
    }

    async fn run(&mut self, request: Request, call: &mut Call) -> Finished {
        self.answer(request, call).await.into()
    }

    async fn watch(&mut self, reports: &Reports) -> Fault {
        loop {
            sleep(S::PERIOD).await;
            match self.read().await {
                Ok(reading) => self.report(reading, reports).await,
                Err(fault) => return fault,
            }
        }
    }

    async fn close(&mut self) {
        self.sensor.disconnect();
    }
}

fn stopped(stop: Stop, lang: Lang) -> Failure {
    let (status, cause, de, en) = match stop {
        Stop::Deadline => (
            Status::TimedOut,
            "deadline",
            "Die Zeit ist abgelaufen.",
            "Out of time.",
        ),
        Stop::Cancelled => (
            Status::Cancelled,
            "cancelled-by-caller",
            "Abgebrochen.",
            "Cancelled.",
        ),
        Stop::Shutdown => (Status::Cancelled, "shutdown", "Abgebrochen.", "Cancelled."),
    };
    Failure::without_effect(status, pick(lang, de, en)).with(caused(cause))
}

fn unsupported(lang: Lang) -> Failure {
    let message = pick(
        lang,
        "Dieses Gerät kann das nicht.",
        "This device has no such operation.",
    );
    Failure::without_effect(Status::Unsupported, message).with(caused("operation"))
}
