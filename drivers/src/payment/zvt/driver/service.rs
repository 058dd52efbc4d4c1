//! What asks, tests and shows, and moves no money.

use koffer_proto::{
    Failure, Lang, ProgressEvent, Request, Status,
    class::{
        any_device::{
            self, Identified, ResetDone, SelfTestLevel, SelfTestReport, SelfTestStep, StepOutcome,
        },
        payment::{self, HostDiagnosis, RepeatedReceipt, TerminalStatus},
    },
};

use super::{
    super::{
        booking,
        codec::result::Class,
        exchange::Audience,
        outcome::{self, Halt, pick, worded},
        session::{self, Condition, Trouble},
        transaction::{Ended, Ending, Kind},
    },
    Zvt,
};
use crate::Call;

impl Zvt {
    pub(super) async fn status(&mut self, call: &Call) -> Result<payment::Response, Halt> {
        let condition = self
            .condition(call)
            .await
            .map_err(|trouble| trouble.halt(call.lang))?;
        let class = condition.status.class();
        let (meaning, advice) = (condition.status.meaning(), class.advice());
        let ready = class == Class::Approved;
        let mut message = worded(call.lang, meaning);
        if !ready {
            message = format!("{message}. {}", worded(call.lang, advice));
        }
        Ok(payment::Response::Status(TerminalStatus {
            terminal: self.memory.terminal.map(|id| id.to_string()),
            ready,
            code: format!("{:02x}", condition.status.0),
            message,
        }))
    }

    /// Asks the terminal how it is.
    async fn condition(&mut self, call: &Call) -> Result<Condition, Trouble> {
        let audience = Audience::Call(call);
        let mut session = self.contact(audience).await?;
        let condition = session.enquire(&self.config, audience).await?;
        self.note(&session, &condition);
        self.put_back(session);
        Ok(condition)
    }

    pub(super) async fn receipt(&mut self, call: &Call) -> Result<payment::Response, Halt> {
        let command = session::repeat_receipt(&self.config);
        let ended = self.harmless(&command, call).await?;
        Ok(payment::Response::Receipt(RepeatedReceipt {
            transaction: ended.information.as_ref().map(booking::last_transaction),
            receipts: ended.receipts,
        }))
    }

    pub(super) async fn diagnose(&mut self, call: &Call) -> Result<payment::Response, Halt> {
        let mut session = self
            .contact(Audience::Call(call))
            .await
            .map_err(|trouble| trouble.halt(call.lang))?;
        let plan = session
            .harmless(&session::diagnosis(), &self.config)
            .map_err(|trouble| trouble.halt(call.lang))?;
        let done = session.exchange(plan, Audience::Call(call)).await;
        self.put_back(session);
        let (host_reached, message) = match &done.ended.ending {
            Ending::Completed => (
                true,
                pick(
                    call.lang,
                    "Der Zahlungsdienst wurde erreicht.",
                    "The payment host was reached.",
                ),
            ),
            // The terminal tried and says no: that is the diagnosis.
            Ending::Aborted(code) if code.class() != Class::Cancelled => {
                let text = worded(call.lang, code.meaning());
                (
                    false,
                    format!("{text}. {}", worded(call.lang, code.class().advice())),
                )
            }
            _ => return Err(outcome::halted(&done.ended, false, call.lang, None)),
        };
        let receipts = done.ended.receipts;
        Ok(payment::Response::Diagnose(HostDiagnosis {
            host_reached,
            message,
            receipts,
        }))
    }

    /// Runs a command that changes nothing that must not change twice.
    async fn harmless(
        &mut self,
        command: &super::super::codec::command::Command,
        call: &Call,
    ) -> Result<Ended, Halt> {
        let halt = |trouble: Trouble| trouble.halt(call.lang);
        let audience = Audience::Call(call);
        let mut session = self.contact(audience).await.map_err(halt)?;
        let plan = session.harmless(command, &self.config).map_err(halt)?;
        debug_assert!(matches!(plan.kind, Kind::Harmless { .. }));
        let done = session.exchange(plan, audience).await;
        self.put_back(session);
        match done.ended.ending {
            Ending::Completed => Ok(done.ended),
            _ => Err(outcome::halted(&done.ended, false, call.lang, None)),
        }
    }

    pub(super) async fn identify(&mut self, call: &Call) -> Result<any_device::Response, Halt> {
        self.session = None;
        self.condition(call)
            .await
            .map_err(|trouble| trouble.halt(call.lang))?;
        // ZVT has no command that makes an idle terminal show itself.
        let identity = self.identity();
        Ok(any_device::Response::Identify(Identified {
            identity,
            signalled: false,
        }))
    }

    /// Begins anew with the terminal. Its supervisor does more: a whole new life.
    pub(super) async fn reset(&mut self, call: &Call) -> Result<any_device::Response, Halt> {
        self.session = None;
        self.condition(call)
            .await
            .map_err(|trouble| trouble.halt(call.lang))?;
        Ok(any_device::Response::Reset(ResetDone {}))
    }

    pub(super) async fn self_test(
        &mut self,
        level: SelfTestLevel,
        call: &Call,
    ) -> Result<any_device::Response, Halt> {
        let mut steps = Vec::new();
        self.session = None;
        let reached = match self.condition(call).await {
            Ok(condition) => {
                let message = pick(
                    call.lang,
                    "Verbunden und angemeldet.",
                    "Connected and registered.",
                );
                tell(&mut steps, call, "connect", StepOutcome::Passed, message).await;
                let fine = matches!(condition.status.class(), Class::Approved | Class::Busy);
                let outcome = if fine {
                    StepOutcome::Passed
                } else {
                    StepOutcome::Failed
                };
                let message = worded(call.lang, condition.status.meaning());
                tell(&mut steps, call, "state", outcome, message).await;
                true
            }
            Err(trouble @ Trouble::Stopped(_)) => return Err(trouble.halt(call.lang)),
            Err(trouble) => {
                let message = trouble.halt(call.lang).failure.message;
                tell(&mut steps, call, "connect", StepOutcome::Failed, message).await;
                false
            }
        };
        match level {
            SelfTestLevel::Internal => {}
            SelfTestLevel::External if reached => {
                let payment::Response::Diagnose(diagnosis) = self.diagnose(call).await? else {
                    return Err(outcome_of_nothing(call.lang));
                };
                let outcome = if diagnosis.host_reached {
                    StepOutcome::Passed
                } else {
                    StepOutcome::Failed
                };
                tell(&mut steps, call, "host", outcome, diagnosis.message).await;
            }
            SelfTestLevel::External => {
                let message = pick(
                    call.lang,
                    "Ohne Verbindung zum Terminal nicht möglich.",
                    "Not possible without a connection to the terminal.",
                );
                tell(&mut steps, call, "host", StepOutcome::Skipped, message).await;
            }
            SelfTestLevel::Interactive => {
                let message = pick(
                    call.lang,
                    "Eine Karte wird nur mit einer Zahlung gelesen; hier wird keine gebucht.",
                    "A card is read with a payment only; none is booked here.",
                );
                tell(&mut steps, call, "card", StepOutcome::Skipped, message).await;
            }
        }
        let passed = steps.iter().all(|step| step.outcome != StepOutcome::Failed);
        Ok(any_device::Response::SelfTest(SelfTestReport {
            passed,
            steps,
        }))
    }
}

async fn tell(
    steps: &mut Vec<SelfTestStep>,
    call: &Call,
    name: &str,
    outcome: StepOutcome,
    message: String,
) {
    let step = SelfTestStep {
        name: name.to_owned(),
        outcome,
        message,
    };
    steps.push(step.clone());
    Audience::Call(call)
        .progress(ProgressEvent::SelfTest { step })
        .await;
}

fn outcome_of_nothing(lang: Lang) -> Halt {
    let message = pick(lang, "Keine Diagnose erhalten.", "No diagnosis came.");
    Halt::refused(Failure::without_effect(Status::DeviceFault, message))
}

/// A request that is not a payment terminal's. The gateway does not let it come this far.
pub(super) fn unsupported(request: &Request, lang: Lang) -> Halt {
    let operation = request.spec().name;
    let message = pick(
        lang,
        format!("Ein Zahlungsterminal kann „{operation}“ nicht."),
        format!("A payment terminal has no \"{operation}\"."),
    );
    Halt::refused(Failure::without_effect(Status::Unsupported, message))
}
