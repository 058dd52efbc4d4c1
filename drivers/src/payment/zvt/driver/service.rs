//! The operations that move no money.

use koffer_proto::{
    Failure, Request, Status,
    class::{
        any_device::{
            Identified, ResetDone, SelfTestLevel, SelfTestReport,
            StepOutcome::{Failed, Passed, Skipped},
        },
        payment::{HostDiagnosis, RepeatedReceipt, TerminalStatus},
    },
};

use super::Zvt;
use crate::{
    Call,
    payment::zvt::{
        booking,
        codec::{
            command::Command,
            result::{Class, ResultCode},
        },
        exchange::Audience,
        outcome::{self, Halt, pick, worded},
        session::{self, Session},
        transaction::{Cause, Ended, Ending},
    },
    self_test::SelfTest,
};

impl Zvt {
    pub(super) async fn receipt(&mut self, call: &Call) -> Result<RepeatedReceipt, Halt> {
        let command = session::repeat_receipt(&self.config);
        let ended = self.harmless(&command, call).await?;
        completed(&ended, call)?;
        Ok(RepeatedReceipt {
            transaction: ended.information.as_ref().map(booking::last_transaction),
            receipts: ended.receipts,
        })
    }

    pub(super) async fn status(&mut self, call: &Call) -> Result<TerminalStatus, Halt> {
        let (session, condition) = self.contact_and_enquire(call).await?;
        self.put_back(session);
        let status = condition.status;
        let class = status.class();
        Ok(TerminalStatus {
            terminal: self.memory.terminal.map(|id| id.to_string()),
            ready: class == Class::Approved,
            code: format!("{:02x}", status.0),
            message: format!(
                "{}. {}",
                worded(call.lang, status.meaning()),
                worded(call.lang, class.advice())
            ),
        })
    }

    pub(super) async fn diagnose(&mut self, call: &Call) -> Result<HostDiagnosis, Halt> {
        let ended = self.harmless(&session::diagnosis(), call).await?;
        let (host_reached, message) = if let Some(code) = not_reached(&ended) {
            let said = worded(call.lang, code.meaning());
            let advice = worded(call.lang, code.class().advice());
            (false, format!("{said}. {advice}"))
        } else {
            completed(&ended, call)?;
            let ok = "Das Rechenzentrum hat geantwortet.";
            (true, pick(call.lang, ok, "The payment host answered."))
        };
        Ok(HostDiagnosis {
            host_reached,
            message,
            receipts: ended.receipts,
        })
    }

    pub(super) async fn identify(&mut self, call: &Call) -> Result<Identified, Halt> {
        let (session, _) = self.contact_and_enquire(call).await?;
        self.put_back(session);
        Ok(Identified {
            identity: self.identity(),
            // There is no command that makes it show itself and leaves it as it was.
            signalled: false,
        })
    }

    /// The supervisor resets by opening anew; asked all the same, the line is.
    pub(super) async fn reset(&mut self, call: &Call) -> Result<ResetDone, Halt> {
        self.session = None;
        let (session, _) = self.contact_and_enquire(call).await?;
        self.put_back(session);
        Ok(ResetDone {})
    }

    pub(super) async fn self_test(
        &mut self,
        level: SelfTestLevel,
        call: &Call,
    ) -> Result<SelfTestReport, Halt> {
        let mut steps = SelfTest::new(level, call);
        let lang = call.lang;
        self.session = None;
        let (session, condition) = match self.contact_and_enquire(call).await {
            Ok(found) => found,
            Err(halt) if halt.fault.is_none() => return Err(halt),
            Err(halt) => {
                let message = halt.failure.message;
                steps.add("connect", Failed, message).await;
                return Ok(steps.report(self.identity()));
            }
        };
        self.put_back(session);
        let terminal = self
            .memory
            .terminal
            .map_or_else(String::new, |id| id.to_string());
        let connected = pick(lang, "Das Terminal antwortet.", "The terminal answers.");
        steps.add("connect", Passed, connected).await;
        let registered = pick(
            lang,
            format!("Angemeldet, Terminal-ID {terminal}."),
            format!("Registered, terminal id {terminal}."),
        );
        let manners = self.memory.manners.text();
        let registered = format!("{registered}{}", manners.get(lang));
        steps.add("register", Passed, registered).await;
        let class = condition.status.class();
        let outcome = match class {
            Class::Approved => Passed,
            _ => Failed,
        };
        let message = format!(
            "{}. {}",
            worded(lang, condition.status.meaning()),
            worded(lang, class.advice())
        );
        steps.add("status", outcome, message).await;
        if level != SelfTestLevel::Internal {
            steps.at(SelfTestLevel::External);
            let diagnosis = self.diagnose(call).await?;
            let outcome = if diagnosis.host_reached {
                Passed
            } else {
                Failed
            };
            steps.add("host", outcome, diagnosis.message).await;
        }
        if level == SelfTestLevel::Interactive {
            steps.at(SelfTestLevel::Interactive);
            let message = pick(
                lang,
                "Karte und PIN-Pad sind nicht geprüft: Das Terminal liest eine Karte nur für eine Zahlung.",
                "Card and PIN pad are not tested: the terminal reads a card only for a payment.",
            );
            steps.add("card", Skipped, message).await;
        }
        Ok(steps.report(self.identity()))
    }

    /// Contact, and one command that changes nothing that must not change twice.
    async fn harmless(&mut self, command: &Command, call: &Call) -> Result<Ended, Halt> {
        let mut session: Session = self
            .contact(Audience::Call(call))
            .await
            .map_err(|trouble| trouble.halt(call.lang))?;
        let plan = session.harmless(command, &self.config);
        let plan = plan.map_err(|trouble| trouble.halt(call.lang))?;
        let done = session.exchange(plan, Audience::Call(call)).await;
        self.put_back(session);
        Ok(done.ended)
    }
}

/// A call that does not belong to a payment terminal, or never reaches its driver.
pub(super) fn unsupported(request: &Request, lang: koffer_proto::Lang) -> Halt {
    let name = request.spec().name;
    let message = pick(
        lang,
        format!("Ein Zahlungsterminal unterstützt {name} nicht."),
        format!("A payment terminal does not support {name}."),
    );
    Halt::refused(Failure::without_effect(Status::Unsupported, message))
}

/// Why the terminal did not reach its host, if that is what it says.
fn not_reached(ended: &Ended) -> Option<ResultCode> {
    let stopped = matches!(ended.cause, Some(Cause::Stop(_)));
    match ended.ending {
        Ending::Aborted(code) if !stopped => Some(code),
        Ending::Nack(code) => Some(ResultCode(code)),
        _ => None,
    }
}

fn completed(ended: &Ended, call: &Call) -> Result<(), Halt> {
    match outcome::failure(ended, false, call.lang, None) {
        None => Ok(()),
        Some(failure) => Err(Halt {
            failure,
            fault: (!ended.line_is_clean()).then(|| outcome::fault_of(ended)),
        }),
    }
}
