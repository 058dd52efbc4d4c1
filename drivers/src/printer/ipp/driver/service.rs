//! The operations that print nothing, and the page of a self-test.

use koffer_proto::{
    Blob, ProgressEvent, Text,
    class::{
        any_device::{
            Identified, ResetDone, SelfTestLevel, SelfTestReport, SelfTestStep, StepOutcome,
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
        let mut steps = Steps {
            call,
            steps: Vec::new(),
        };
        let printer = match unless_stopped(call, self.look(timing::ANSWER)).await? {
            Ok(printer) => printer.clone(),
            Err(trouble) => {
                let text = trouble.fault().reason.text;
                steps.add("connect", StepOutcome::Failed, text).await;
                return Ok(steps.report());
            }
        };
        let model = printer.identity.model.clone().unwrap_or_default();
        let text = Text::new(
            format!("Der Drucker antwortet: {model}."),
            format!("The printer answers: {model}."),
        );
        steps.add("connect", StepOutcome::Passed, text).await;
        let judged = self.memory.judged.clone();
        let (outcome, text) = if judged.reasons.is_empty() {
            let text = Text::new("Der Drucker meldet nichts.", "The printer reports nothing.");
            (StepOutcome::Passed, text)
        } else {
            use koffer_proto::Lang::{De, En};
            let outcome = if judged.blocked {
                StepOutcome::Failed
            } else {
                StepOutcome::Passed
            };
            (outcome, Text::new(judged.text(De), judged.text(En)))
        };
        steps.add("state", outcome, text).await;
        match level {
            SelfTestLevel::Internal => {}
            SelfTestLevel::External => {
                let text = Text::new(
                    "Hinter einem Drucker liegt nichts, was sich prüfen ließe.",
                    "Nothing lies behind a printer that could be tested.",
                );
                steps.add("external", StepOutcome::Skipped, text).await;
            }
            SelfTestLevel::Interactive => {
                let pdf = DocumentFormat::Pdf.as_str();
                let prints = printer.formats.iter().any(|format| format == pdf);
                let (outcome, text) = if judged.blocked || !prints {
                    let text = Text::new(
                        "Keine Testseite: Der Drucker druckt gerade nicht oder kein PDF.",
                        "No test page: the printer does not print now, or no PDF.",
                    );
                    (StepOutcome::Skipped, text)
                } else {
                    self.test_page(&printer, call).await
                };
                steps.add("test-page", outcome, text).await;
            }
        }
        Ok(steps.report())
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
                StepOutcome::Passed,
                Text::new(
                    "Eine Testseite ist gedruckt. Bitte ansehen.",
                    "A test page is printed. Please look at it.",
                ),
            ),
            // Already in the caller's language.
            Err(halt) => (
                StepOutcome::Failed,
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

/// A self-test in the making.
struct Steps<'a> {
    call: &'a Call,
    steps: Vec<SelfTestStep>,
}

impl Steps<'_> {
    async fn add(&mut self, name: &str, outcome: StepOutcome, text: Text) {
        let step = SelfTestStep {
            name: name.to_owned(),
            outcome,
            message: text.get(self.call.lang).to_owned(),
        };
        self.call
            .progress(ProgressEvent::SelfTest { step: step.clone() })
            .await;
        self.steps.push(step);
    }

    fn report(self) -> SelfTestReport {
        SelfTestReport {
            passed: self.steps.iter().all(|s| s.outcome != StepOutcome::Failed),
            steps: self.steps,
        }
    }
}
