//! `print`: checked, submitted, followed to its end.

use koffer_proto::{
    Lang, Status,
    class::document_printer::{Document, PrintParams, PrintProof, Printed},
};
use tokio::task::spawn_blocking;

use super::{
    Ipp, Trouble,
    submit::{Ticket, Wanted},
};
use crate::{
    Call, Stop, fail_point,
    printer::ipp::{
        capabilities,
        epoch::Boot,
        job::{Delivery, Ending, Follow},
        link::Broken,
        outcome::{self, Halt},
        record::{self, Intent},
        snapshot::Printer,
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
            copies: params
                .copies
                .is_some()
                .then(|| capabilities::copies(&params)),
            sides: params.sides,
            media: params.media.as_ref().map(|media| media.as_str().to_owned()),
            colour_mode: capabilities::colour_mode(&printer, &params),
        };
        self.submit(&wanted, &params.document, Record::Once, call)
            .await
    }

    /// What the printer is and can now; ends when the call should. A question that got lost is
    /// asked once more: nothing has begun.
    pub(super) async fn fresh(&mut self, call: &Call) -> Result<Printer, Halt> {
        let lang = call.lang;
        let look = async {
            match self.look().await {
                Err(Trouble::Broken(Broken::Lost(_))) => self.look().await.cloned(),
                looked => looked.cloned(),
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
        };
        fail_point::reach("ipp.created");
        if let Err(halt) = self.record(&ticket, wanted, document, record, call).await {
            self.withdraw(&ticket.name).await;
            return Err(halt);
        }
        fail_point::reach("ipp.started");
        let (delivery, status, stop) = self.deliver(&ticket, wanted, document, call).await;
        fail_point::reach("ipp.answered");
        if let (Record::Once, Some(said)) = (record, record::delivered(delivery)) {
            // Not stored, it is missed only after a crash: the print goes on.
            let _ = call.milestone(said).await;
            fail_point::reach("ipp.delivered");
        }
        let mut follow = Follow::new(delivery, wanted.sides, self.memory.counts);
        if let Some(stop) = stop {
            stopping(&mut follow, stop, call).await;
        }
        let ending = self.follow(&ticket, &mut follow, call).await;
        fail_point::reach("ipp.over");
        self.memory.counts = follow.counts();
        tracing::info!(job, ?delivery, ?ending, "a print ended");
        told(&ending, job, status, lang)
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

/// What is answered to a print that completed.
pub(super) fn done(job: i32, sheets: Option<u32>) -> Printed {
    Printed {
        job,
        sheets,
        proof: PrintProof::IppCompleted,
    }
}

fn told(
    ending: &Ending,
    job: i32,
    status: Option<StatusCode>,
    lang: Lang,
) -> Result<Printed, Halt> {
    if let Ending::Completed { sheets } = ending {
        return Ok(done(job, *sheets));
    }
    let failure =
        outcome::ending(ending, lang).unwrap_or_else(|| outcome::stopped(Stop::Deadline, lang));
    let mut detail = (*failure.detail).clone();
    detail.device_code = status.map(|status| format!("{:04x}", status.0));
    Err(Halt {
        failure: failure.with(detail),
        fault: outcome::fault_after(ending),
    })
}

/// What the upload's answer says.
pub(super) fn delivery(status: StatusCode) -> Delivery {
    if status.is_success() {
        Delivery::Accepted
    } else {
        Delivery::Refused
    }
}
