//! The driver: contact, the contract's operations, and a look at the idle terminal.

use std::sync::Arc;

use async_trait::async_trait;
use koffer_proto::{
    Capabilities, Identity, PaymentCapabilities, Reason, Request, Response,
    class::{any_device, payment},
};
use tokio::time::{sleep, timeout};

use super::{
    ReceiptsTo, ZvtConfig,
    codec::{bcd::TerminalId, result::Class},
    exchange::Audience,
    link::{Broken, Dial},
    outcome::{self, Halt},
    session::{Condition, Manners, Session, Trouble},
    timing,
    transaction::Loss,
};
use crate::{
    Call, Driver, Fault, Finished, Interrupted, Opened, Reconciled, Report, Reports, Stop,
};

mod money;
mod readiness;
mod recovery;
mod service;

/// One terminal.
pub(super) struct Zvt {
    config: ZvtConfig,
    dial: Arc<dyn Dial>,
    /// Taken out while it is in use, so that what is dropped in the middle of an exchange takes
    /// its line with it: half an exchange is never left for the next command.
    session: Option<Session>,
    memory: Memory,
}

/// What was seen of the terminal last.
#[derive(Debug, Default)]
struct Memory {
    terminal: Option<TerminalId>,
    software: Option<String>,
    receipt: Option<u16>,
    /// What it turned out to be unable to do.
    manners: Manners,
    /// What needs attention now.
    reasons: Vec<Reason>,
    /// What the supervisor knows of that.
    reported: Vec<Reason>,
}

/// A driver for the terminal of this configuration. It does nothing before it is opened.
pub fn driver(config: ZvtConfig) -> Box<dyn Driver> {
    let dial = Arc::new(config.endpoint.clone());
    Box::new(Zvt::new(config, dial))
}

impl Zvt {
    pub(super) fn new(config: ZvtConfig, dial: Arc<dyn Dial>) -> Self {
        Self {
            config,
            dial,
            session: None,
            memory: Memory::default(),
        }
    }

    /// A session: the one that is open, or a new one. Waits while the terminal is busy, and dials
    /// again where it has not yet let go of the last connection.
    async fn contact(&mut self, audience: Audience<'_>) -> Result<Session, Trouble> {
        if let Some(session) = self.session.take().filter(|session| session.usable) {
            return Ok(session);
        }
        let mut tries = 1;
        loop {
            let pause = match self.open_session(audience).await {
                Ok(session) => {
                    self.memory.terminal = session.terminal.or(self.memory.terminal);
                    return Ok(session);
                }
                Err(Trouble::Busy) if matches!(audience, Audience::Call(_)) => timing::BUSY_PAUSE,
                Err(
                    Trouble::Busy
                    | Trouble::Unreachable(_)
                    | Trouble::Line(Loss::Line(Broken::Closed | Broken::Io(_))),
                ) if tries < timing::CONNECT_TRIES => {
                    tries += 1;
                    timing::CONNECT_PAUSE
                }
                Err(trouble) => return Err(trouble),
            };
            rest(audience, pause).await.map_err(Trouble::Stopped)?;
        }
    }

    async fn open_session(&self, audience: Audience<'_>) -> Result<Session, Trouble> {
        Session::open(
            Arc::clone(&self.dial),
            &self.config,
            self.memory.manners,
            audience,
        )
        .await
    }

    /// Keeps the session for the next command, if its line is clean.
    fn put_back(&mut self, session: Session) {
        if self.memory.manners != session.manners {
            self.memory.manners = session.manners;
            tracing::info!(manners = ?session.manners, "what the terminal cannot do");
        }
        self.session = Some(session).filter(|session| session.usable);
    }

    /// The end of a call or a look: what is not to be kept is closed.
    fn let_go(&mut self) {
        if !self.config.keeps_connection() {
            self.session = None;
        }
    }

    /// Notes what a status enquiry says.
    fn note(&mut self, session: &Session, condition: &Condition) {
        if condition.software.is_some() {
            self.memory.software.clone_from(&condition.software);
        }
        let mut reasons: Vec<_> = outcome::reason(condition.status).into_iter().collect();
        let needs = [
            (session.needs.needs_initialisation(), 0x51),
            (session.needs.needs_diagnosis(), 0xC2),
            (session.needs.needs_opt(), 0xF6),
        ];
        for (_, code) in needs.into_iter().filter(|(needed, _)| *needed) {
            let more = outcome::reason(super::codec::result::TerminalStatus(code));
            reasons.extend(more.filter(|more| reasons.iter().all(|r| r.keyword != more.keyword)));
        }
        // A busy terminal does not say how it is otherwise.
        if condition.status.class() != Class::Busy {
            self.memory.reasons = reasons;
        }
    }

    fn identity(&self) -> Identity {
        Identity {
            serial: self.memory.terminal.map(|id| id.to_string()),
            firmware: self.memory.software.clone(),
            ..Identity::default()
        }
    }

    /// Registers and asks how it is.
    async fn look(&mut self) -> Result<(), Trouble> {
        let mut session = self.contact(Audience::Nobody).await?;
        let condition = session.enquire(&self.config, Audience::Nobody).await?;
        self.note(&session, &condition);
        self.put_back(session);
        self.let_go();
        Ok(())
    }

    /// Waits for the next look; notices at once when a kept connection ends, which is no fault:
    /// terminals close what is idle.
    async fn idle(&mut self) {
        let next = sleep(timing::next_probe());
        tokio::pin!(next);
        loop {
            let Some(session) = &mut self.session else {
                next.await;
                return;
            };
            tokio::select! {
                () = &mut next => return,
                () = session.until_closed() => self.session = None,
            }
        }
    }

    async fn report(&mut self, reports: &Reports) {
        if self.memory.reasons != self.memory.reported {
            let now = self.memory.reasons.clone();
            if reports.send(Report::Reasons(now.clone())).await.is_ok() {
                self.memory.reported = now;
            }
        }
    }

    async fn answer(&mut self, request: Request, call: &Call) -> Result<Response, Halt> {
        use any_device::{Request as Any, Response as AnyResponse};
        use payment::{Request as Pay, Response as Paid};
        Ok(match request {
            Request::Payment(request) => match request {
                Pay::Pay(params) => Paid::Pay(self.pay(&params, call).await?),
                Pay::Reverse(params) => Paid::Reverse(self.reverse(&params, call).await?),
                Pay::Refund(params) => Paid::Refund(self.refund(&params, call).await?),
                Pay::EndOfDay(_) => Paid::EndOfDay(self.end_of_day(call).await?),
                Pay::Receipt(_) => Paid::Receipt(self.receipt(call).await?),
                Pay::Status(_) => Paid::Status(self.status(call).await?),
                Pay::Diagnose(_) => Paid::Diagnose(self.diagnose(call).await?),
            }
            .into(),
            Request::AnyDevice(Any::SelfTest(params)) => {
                AnyResponse::SelfTest(self.self_test(params.level, call).await?).into()
            }
            Request::AnyDevice(Any::Identify(_)) => {
                AnyResponse::Identify(self.identify(call).await?).into()
            }
            Request::AnyDevice(Any::Reset(_)) => AnyResponse::Reset(self.reset(call).await?).into(),
            other => return Err(service::unsupported(&other, call.lang)),
        })
    }
}

/// Waits, unless the call should end.
async fn rest(audience: Audience<'_>, pause: std::time::Duration) -> Result<(), Stop> {
    tokio::select! {
        biased;
        stop = audience.stopped() => Err(stop),
        () = sleep(pause) => Ok(()),
    }
}

#[async_trait]
impl Driver for Zvt {
    async fn open(&mut self) -> Result<Opened, Fault> {
        self.session = None;
        let looked = timeout(timing::OPEN, self.look()).await;
        let silent = || Trouble::Line(Loss::Silence);
        if let Err(trouble) = looked.unwrap_or_else(|_| Err(silent())) {
            let fault = trouble.fault().or_else(|| silent().fault());
            return Err(fault.unwrap_or_else(|| unreachable!("silence is a fault")));
        }
        self.memory.reported.clone_from(&self.memory.reasons);
        Ok(Opened {
            identity: self.identity(),
            capabilities: Some(Capabilities::Payment(PaymentCapabilities {
                currencies: vec![self.config.currency],
                receipts_to_app: self.config.receipts == ReceiptsTo::ToApp,
            })),
            reasons: self.memory.reasons.clone(),
        })
    }

    async fn run(&mut self, request: Request, call: &mut Call) -> Finished {
        let answer = self.answer(request, call).await;
        self.let_go();
        answer.into()
    }

    async fn watch(&mut self, reports: &Reports) -> Fault {
        loop {
            self.report(reports).await;
            self.idle().await;
            // Nothing of a look that a call interrupts is left: its session is dropped with it.
            match self.look().await {
                Ok(()) | Err(Trouble::Busy) => {}
                Err(trouble) => {
                    if let Some(fault) = trouble.fault() {
                        return fault;
                    }
                }
            }
        }
    }

    async fn reconcile(&mut self, interrupted: &Interrupted) -> Reconciled {
        let found = self.find_out(interrupted).await;
        self.let_go();
        found.unwrap_or_else(|trouble| {
            let fault = trouble.fault().or_else(|| Trouble::Busy.fault());
            Reconciled::Lost(fault.unwrap_or_else(|| unreachable!("a busy terminal is a fault")))
        })
    }

    async fn close(&mut self) {
        // The terminal needs no farewell: it is registered anew with every connection.
        self.session = None;
    }
}
