//! What every device can do, for a reader: identify, self-test, reset.

use koffer_proto::{
    Failure, Lang, ProgressEvent, Request,
    class::any_device::{Identified, ResetDone, SelfTestLevel, SelfTestReport, StepOutcome},
};
use pcsc::{Disposition, Protocols};

use super::{Halt, Loss, Pcsc, line::stop_now};
use crate::{
    Call,
    card::pcsc::{endings, timing},
    self_test::SelfTest,
};

/// An operation that this driver has not.
pub(super) fn unsupported(request: &Request, lang: Lang) -> Failure {
    let name = match request {
        Request::CardTerminal(request) => request.spec().name,
        _ => "-",
    };
    endings::unsupported(
        lang,
        "operation",
        &format!("Der Treiber pcsc unterstützt {name} nicht."),
        &format!("The driver pcsc does not support {name}."),
    )
}

impl Pcsc {
    /// Asks the reader anew, unless a card is held: that would disturb it.
    pub(super) async fn identify(&mut self) -> Result<Identified, Halt> {
        if self.session().is_none()
            && let Some(reader) = &mut self.reader
            && let Ok(looked) = reader.worker.look(timing::READER_ANSWER).await
        {
            reader.looked = looked;
        }
        Ok(Identified {
            identity: self.identity(),
            signalled: false,
        })
    }

    /// Lets go of the card without power.
    pub(super) async fn reset(&mut self, call: &Call) -> Result<ResetDone, Halt> {
        self.give_card_back(Disposition::UnpowerCard, call).await?;
        Ok(ResetDone {})
    }

    /// The service and the reader; the card where it is asked for, or there and not in use.
    pub(super) async fn self_test(
        &mut self,
        level: SelfTestLevel,
        call: &Call,
    ) -> Result<SelfTestReport, Halt> {
        if let Some(stop) = stop_now(call).await {
            return Err(endings::stopped(stop, call.lang).into());
        }
        let mut steps = SelfTest::new(level, call);
        let mut fault = None;
        let reader = self.test_reader(&mut fault).await;
        note(&mut steps, "reader", reader, call).await;
        steps.at(level);
        if level == SelfTestLevel::External {
            let text = (
                "Für Kartenleser gibt es keinen externen Test.",
                "Card readers have no external test.",
            );
            note(&mut steps, "external", (StepOutcome::Skipped, text), call).await;
        } else if fault.is_none() {
            let card = self.test_card(level, call, &mut fault).await;
            note(&mut steps, "card", card, call).await;
        }
        if let Some(loss) = fault
            && loss.fault().is_some()
        {
            return Err(loss.without_effect(call.lang));
        }
        Ok(steps.report(self.identity()))
    }

    async fn test_reader(&mut self, fault: &mut Option<Loss>) -> Step {
        if self.session().is_some() {
            return (
                StepOutcome::Passed,
                ("Eine Karte ist verbunden.", "A card is connected."),
            );
        }
        let Some(reader) = &self.reader else {
            *fault = Some(Loss::Reader);
            return (StepOutcome::Failed, ("Kein Leser.", "No reader."));
        };
        match reader.worker.look(timing::READER_ANSWER).await {
            Ok(_) => (
                StepOutcome::Passed,
                ("Der Leser antwortet.", "The reader answers."),
            ),
            Err(unanswered) => match self.lost(unanswered) {
                Loss::InUse => (
                    StepOutcome::Skipped,
                    (
                        "Ein anderes Programm benutzt den Leser.",
                        "Another program uses the reader.",
                    ),
                ),
                loss => {
                    *fault = Some(loss);
                    (
                        StepOutcome::Failed,
                        ("Der Leser antwortet nicht.", "The reader does not answer."),
                    )
                }
            },
        }
    }

    async fn test_card(
        &mut self,
        level: SelfTestLevel,
        call: &Call,
        fault: &mut Option<Loss>,
    ) -> Step {
        if self.session().is_some() {
            let text = ("Die Karte ist in Benutzung.", "The card is in use.");
            return (StepOutcome::Skipped, text);
        }
        if level == SelfTestLevel::Interactive {
            self.wait_for_card(call).await;
        }
        match self.take_card(Protocols::ANY, call).await {
            Ok(_) => {
                let _ = self.give_card_back(Disposition::ResetCard, call).await;
                (
                    StepOutcome::Passed,
                    ("Die Karte antwortet.", "The card answers."),
                )
            }
            Err(Loss::Removed) => {
                let outcome = match level {
                    SelfTestLevel::Interactive => StepOutcome::Failed,
                    _ => StepOutcome::Skipped,
                };
                (outcome, ("Es steckt keine Karte.", "There is no card."))
            }
            Err(loss) => {
                *fault = Some(loss);
                let text = ("Die Karte antwortet nicht.", "The card does not answer.");
                (StepOutcome::Failed, text)
            }
        }
    }

    /// Until a card is inserted, or the call should end.
    async fn wait_for_card(&self, call: &Call) {
        let (Some(monitor), Some(reader)) = (&self.monitor, &self.reader) else {
            return;
        };
        let text = endings::pick(
            call.lang,
            "Bitte eine Karte einstecken.",
            "Please insert a card.",
        );
        let code = "insert-card".to_owned();
        call.progress(ProgressEvent::TerminalText { code, text })
            .await;
        let mut sight = monitor.sight();
        let name = &reader.name;
        tokio::select! {
            _ = sight.wait_for(|sight| sight.readers.get(name).is_some_and(|card| card.present)) => {}
            _ = call.stopped() => {}
        }
    }
}

/// How a step ended, in German and English.
type Step = (StepOutcome, (&'static str, &'static str));

async fn note(steps: &mut SelfTest<'_>, name: &str, step: Step, call: &Call) {
    let (outcome, (de, en)) = step;
    steps
        .add(name, outcome, endings::pick(call.lang, de, en))
        .await;
}
