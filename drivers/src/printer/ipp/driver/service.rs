//! The operations that print nothing, and the page of a self-test.

use koffer_proto::{
    Blob, Text,
    class::{
        any_device::{
            Identified, ResetDone, SelfTestLevel, SelfTestReport, StepOutcome,
            StepOutcome::{Failed, Passed, Skipped},
        },
        document_printer::{Document, DocumentFormat, Job, Jobs, PrinterStatus, Sides},
    },
};

use super::{HISTORY, Ipp, OPEN_JOBS, Trouble, print::Record, submit::Wanted};
use crate::{
    Call,
    printer::ipp::{
        capabilities,
        outcome::{self, Halt},
        snapshot::{JobView, Printer},
        test_page, timing,
        wire::Operation,
    },
    self_test::SelfTest,
};

impl Ipp {
    pub(super) async fn jobs(&self, call: &Call) -> Result<Jobs, Halt> {
        let both = async {
            let mut jobs = self.desk.jobs("not-completed", false, OPEN_JOBS).await?;
            jobs.extend(self.desk.jobs("completed", false, HISTORY).await?);
            Ok::<_, Trouble>(jobs)
        };
        let jobs = unless_stopped(call, both).await?;
        let jobs = jobs.map_err(|trouble| trouble.halt(call.lang))?;
        Ok(Jobs {
            jobs: jobs.iter().map(shown).collect(),
        })
    }

    pub(super) async fn status(&mut self, call: &Call) -> Result<PrinterStatus, Halt> {
        let printer = self.fresh(call).await?;
        Ok(PrinterStatus {
            state: printer.mood.state,
            accepting: printer.mood.accepting,
            reasons: self.memory.judged.reasons.clone(),
            media_ready: printer.media_ready,
            supplies: printer.supplies,
        })
    }

    pub(super) async fn identify(&mut self, call: &Call) -> Result<Identified, Halt> {
        let printer = self.fresh(call).await?;
        let known = i32::from(Operation::IdentifyPrinter as i16);
        let signalled = if printer.operations.contains(&known) {
            let question = self.desk.question(Operation::IdentifyPrinter).encode();
            let asked = unless_stopped(call, self.desk.link.ask(question)).await?;
            asked.is_ok_and(|answer| answer.status.is_success())
        } else {
            false
        };
        Ok(Identified {
            identity: printer.identity,
            signalled,
        })
    }

    /// The supervisor resets by opening anew; asked all the same, what open does is done.
    pub(super) async fn reset(&mut self, call: &Call) -> Result<ResetDone, Halt> {
        match unless_stopped(call, self.contact()).await? {
            Ok(()) => Ok(ResetDone {}),
            Err(fault) => Err(Halt {
                failure: koffer_proto::Failure::without_effect(
                    koffer_proto::Status::DeviceFault,
                    fault.reason.text.get(call.lang),
                ),
                fault: Some(fault),
            }),
        }
    }

    pub(super) async fn self_test(
        &mut self,
        level: SelfTestLevel,
        call: &Call,
    ) -> Result<SelfTestReport, Halt> {
        let mut steps = SelfTest::new(level, call);
        let lang = call.lang;
        let printer = match unless_stopped(call, self.look(timing::ANSWER)).await? {
            Ok(printer) => printer.clone(),
            Err(trouble) => {
                let text = trouble.fault().reason.text;
                steps.add("connect", Failed, said(&text, call)).await;
                let before = self.memory.printer.as_ref();
                let identity = before.map(|printer| printer.identity.clone());
                return Ok(steps.report(identity.unwrap_or_default()));
            }
        };
        let model = printer.identity.model.clone().unwrap_or_default();
        let text = Text::new(
            format!("Der Drucker antwortet: {model}."),
            format!("The printer answers: {model}."),
        );
        steps.add("connect", Passed, said(&text, call)).await;
        let judged = self.memory.judged.clone();
        let (outcome, message) = if judged.reasons.is_empty() {
            let text = Text::new(
                "Der Drucker meldet keine Störung.",
                "The printer reports no fault.",
            );
            (Passed, said(&text, call))
        } else {
            let outcome = if judged.blocked { Failed } else { Passed };
            (outcome, judged.text(lang))
        };
        steps.add("state", outcome, message).await;
        steps.at(level);
        match level {
            SelfTestLevel::Internal => {}
            SelfTestLevel::External => {
                let text = Text::new(
                    "Für Drucker gibt es keinen externen Test.",
                    "Printers have no external test.",
                );
                steps.add("external", Skipped, said(&text, call)).await;
            }
            SelfTestLevel::Interactive => {
                let pdf = DocumentFormat::Pdf.as_str();
                let prints = printer.formats.iter().any(|format| format == pdf);
                let (outcome, text) = if judged.blocked {
                    let text = Text::new(
                        "Keine Testseite: Der Drucker kann zurzeit nicht drucken.",
                        "No test page: the printer cannot print now.",
                    );
                    (Skipped, text)
                } else if !prints {
                    let text = Text::new(
                        "Keine Testseite: Der Drucker nimmt kein PDF an.",
                        "No test page: the printer takes no PDF.",
                    );
                    (Skipped, text)
                } else {
                    self.test_page(&printer, call).await
                };
                steps.add("test-page", outcome, said(&text, call)).await;
            }
        }
        Ok(SelfTestReport {
            supplies: printer.supplies,
            ..steps.report(printer.identity)
        })
    }

    async fn test_page(&mut self, printer: &Printer, call: &Call) -> (StepOutcome, Text) {
        let lines = [
            "koffer".to_owned(),
            printer.identity.model.clone().unwrap_or_default(),
            format!("{}", call.client),
            format!("{}", call.id),
        ];
        let content = Blob::from(test_page::pdf(&lines));
        let document = Document {
            format: DocumentFormat::Pdf,
            sha256: content.sha256(),
            content,
        };
        let wanted = Wanted {
            name: self.desk.name(call),
            format: document.format,
            copies: None,
            sides: Sides::OneSided,
            names_sides: capabilities::names_sides(printer, Sides::OneSided),
            media: None,
            colour_mode: None,
        };
        match self.submit(&wanted, &document, Record::Never, call).await {
            Ok(_) => (
                Passed,
                Text::new(
                    "Eine Testseite ist gedruckt. Bitte ansehen.",
                    "A test page is printed. Please look at it.",
                ),
            ),
            // Already in the caller's language.
            Err(halt) => (
                Failed,
                Text::new(halt.failure.message.clone(), halt.failure.message),
            ),
        }
    }
}

/// Waits for `work` unless the call should end; nothing that matters is lost then.
async fn unless_stopped<T>(call: &Call, work: impl Future<Output = T>) -> Result<T, Halt> {
    tokio::select! {
        biased;
        stop = call.stopped() => Err(outcome::stopped(stop, call.lang).into()),
        done = work => Ok(done),
    }
}

fn shown(job: &JobView) -> Job {
    Job {
        job: job.id,
        name: job.name.clone().unwrap_or_default(),
        user: job.user.clone().unwrap_or_default(),
        state: job.state,
        // The sides of others' jobs are not known, and sheets are not guessed from them.
        sheets: job.sheets,
    }
}

fn said(text: &Text, call: &Call) -> String {
    text.get(call.lang).to_owned()
}
