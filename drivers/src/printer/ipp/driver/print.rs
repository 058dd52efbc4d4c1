//! `print`: checked, submitted, followed to its end.

use koffer_proto::{
    Lang, Status,
    class::document_printer::{Document, PrintParams, PrintProof, Printed},
};
use tokio::{task::spawn_blocking, time::Instant};

use super::{
    Ipp, Trouble,
    submit::{Delivered, Ticket, Wanted},
};
use crate::{
    Call, Stop, fail_point,
    printer::ipp::{
        capabilities,
        epoch::Boot,
        job::{Cause, Delivery, Ending, Follow, Proof},
        link::Broken,
        outcome::{self, Halt},
        record::{self, Intent},
        snapshot::Printer,
        standing, timing,
        wire::StatusCode,
    },
};

/// Whether what happens is written into the call's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// It must not happen twice.
    Once,
    /// A test page may.
    Never,
}

impl Ipp {
    pub(super) async fn print(
        &mut self,
        params: PrintParams,
        call: &Call,
    ) -> Result<Printed, Halt> {
        let lang = call.lang;
        let expected = params.document.sha256;
        let document = params.document;
        // Up to 32 MiB: not on a thread that others wait for.
        let checked = spawn_blocking(move || (document.content.sha256() == expected, document));
        let Ok((true, document)) = checked.await else {
            return Err(outcome::wrong_digest(lang).into());
        };
        let params = PrintParams { document, ..params };
        let printer = self.fresh(call).await?;
        if let Err(refusal) = capabilities::check(&printer, &params) {
            let status = Status::Unsupported;
            return Err(outcome::refused(status, refusal.field, &refusal.text, lang).into());
        }
        if self.memory.judged.blocked {
            return Err(outcome::blocked(&self.memory.judged, lang).into());
        }
        let wanted = Wanted {
            name: self.desk.name(call),
            format: params.document.format,
            copies: capabilities::copies_to_send(&printer, &params),
            sides: params.sides,
            names_sides: capabilities::names_sides(&printer, params.sides),
            media: params.media.as_ref().map(|media| media.as_str().to_owned()),
            colour_mode: capabilities::colour_mode(&printer, &params),
        };
        self.submit(&wanted, &params.document, Record::Once, call)
            .await
    }

    /// What the printer is and can now; ends when the call should. A question that got lost is
    /// asked once more, and a printer that sleeps is waited for: nothing has begun.
    pub(super) async fn fresh(&mut self, call: &Call) -> Result<Printer, Halt> {
        let lang = call.lang;
        let wakes_until = Instant::now() + timing::WAKE;
        let mut lost = false;
        let look = async {
            loop {
                match self.look(timing::ANSWER).await {
                    Err(Trouble::Broken(Broken::Lost(_))) if !lost => lost = true,
                    Err(Trouble::Broken(Broken::Silent)) if Instant::now() < wakes_until => {}
                    looked => break looked.cloned(),
                }
            }
        };
        tokio::select! {
            biased;
            stop = call.stopped() => Err(outcome::stopped(stop, lang).into()),
            looked = look => looked.map_err(|trouble| trouble.halt(lang)),
        }
    }

    /// Prints one document, whatever it takes, and never twice.
    pub(super) async fn submit(
        &mut self,
        wanted: &Wanted,
        document: &Document,
        record: Record,
        call: &Call,
    ) -> Result<Printed, Halt> {
        let lang = call.lang;
        let boot = self.memory.boot;
        if record == Record::Once {
            let armed = call
                .arm(self.intent(wanted, boot, document).baseline())
                .await;
            armed.map_err(|_| outcome::not_stored(lang))?;
            fail_point::reach("ipp.armed");
        }
        let job = self.create(wanted, call).await?;
        let ticket = Ticket {
            job,
            name: wanted.name.clone(),
            boot,
            shown: None,
            is_queue: self.is_queue(),
        };
        fail_point::reach("ipp.created");
        if let Err(halt) = self.record(&ticket, wanted, document, record, call).await {
            // It has no document: what is not cancelled prints nothing either.
            let _ = self.desk.cancel(job).await;
            return Err(halt);
        }
        fail_point::reach("ipp.started");
        let mut delivered = self.deliver(&ticket, wanted, document, call).await;
        let delivery = delivered.delivery;
        fail_point::reach("ipp.answered");
        if let (Record::Once, Some(said)) = (record, record::delivered(delivery)) {
            // Not stored, it is missed only after a crash: the print goes on.
            let _ = call.milestone(said).await;
            fail_point::reach("ipp.delivered");
        }
        let mut follow = Follow::new(delivery, wanted.sides, self.memory.counting);
        if let Some(stop) = delivered.stop {
            stopping(&mut follow, stop, call).await;
        }
        let shown = delivered.job.take().filter(|shown| shown.id == job);
        if let (Delivery::Accepted, Some(shown)) = (delivery, shown) {
            follow.begin_with(shown, Instant::now());
        }
        let ending = self.follow(&ticket, &mut follow, call).await;
        fail_point::reach("ipp.over");
        self.memory.counting = follow.counting();
        tracing::info!(job, ?delivery, ?ending, "a print ended");
        if let Ending::Completed { sheets, proof } = ending {
            return Ok(done(&ticket, sheets, proof));
        }
        Err(told(ending, &follow, &delivered, lang))
    }

    /// Keeps what must be known after a crash, then says that the effect may begin. In this
    /// order, because Create-Job alone prints nothing: until here the call can end with nothing
    /// printed, and only from here on it may not.
    async fn record(
        &self,
        ticket: &Ticket,
        wanted: &Wanted,
        document: &Document,
        record: Record,
        call: &Call,
    ) -> Result<(), Halt> {
        if record == Record::Never {
            return Ok(());
        }
        let created = self
            .intent(wanted, ticket.boot, document)
            .created(ticket.job);
        let stored = async {
            call.milestone(created).await?;
            fail_point::reach("ipp.recorded");
            call.effect_may_begin().await
        };
        stored
            .await
            .map_err(|_| outcome::not_stored(call.lang).into())
    }

    fn intent<'a>(
        &'a self,
        wanted: &'a Wanted,
        boot: Option<Boot>,
        document: &'a Document,
    ) -> Intent<'a> {
        let printer = self.memory.printer.as_ref();
        Intent {
            printer_uuid: printer.and_then(|printer| printer.uuid.as_deref()),
            boot,
            job_name: &wanted.name,
            user: &self.desk.config.user,
            sides: wanted.sides,
            document,
        }
    }
}

/// The call is to end: kept, so that after a crash it is known who wished it.
pub(super) async fn stopping(follow: &mut Follow, stop: Stop, call: &Call) {
    follow.stop(stop);
    let _ = call.milestone(record::stopping(stop)).await;
}

/// What is answered to a print that completed. A queue's word proves no paper.
pub(super) fn done(ticket: &Ticket, sheets: Option<u32>, proof: Proof) -> Printed {
    Printed {
        job: ticket.job,
        sheets,
        proof: match proof {
            Proof::State if !ticket.is_queue => PrintProof::IppCompleted,
            Proof::State | Proof::Taken => PrintProof::BytesSent,
        },
    }
}

/// What is answered to a print that did not, with what the printer said.
fn told(ending: Ending, follow: &Follow, delivered: &Delivered, lang: Lang) -> Halt {
    let ending = match (ending, delivered.status) {
        (
            Ending::Unfinished {
                cause: Cause::Refused,
                printed,
            },
            Some(status),
        ) => Ending::Unfinished {
            cause: refusal(status),
            printed,
        },
        (ending, _) => ending,
    };
    let mut failure =
        outcome::ending(&ending, lang).unwrap_or_else(|| outcome::stopped(Stop::Deadline, lang));
    let mut detail = (*failure.detail).clone();
    detail.device_code = delivered.status.map(|status| format!("{:04x}", status.0));
    detail.reasons = follow.reasons();
    if let Some(broken) = &delivered.broken {
        let reason = outcome::fault(broken).reason;
        failure.message = format!("{} {}", reason.text.get(lang), failure.message);
        detail.cause = Some(reason.keyword);
    }
    Halt {
        failure: failure.with(detail),
        fault: outcome::fault_after(&ending),
    }
}

/// Why a printer refused a document.
fn refusal(status: StatusCode) -> Cause {
    let trouble = status.document_trouble().and_then(standing::trouble_named);
    trouble.map_or(Cause::Refused, Cause::Document)
}

/// What the upload's answer says.
pub(super) fn delivery(status: StatusCode) -> Delivery {
    if status.is_success() {
        Delivery::Accepted
    } else {
        Delivery::Refused
    }
}
