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
    Call, Evidence, Stop,
    printer::ipp::{
        capabilities,
        epoch::Boot,
        job::{Delivery, Ending, Follow},
        link::Broken,
        outcome::{self, Halt},
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
            let baseline = self.evidence("baseline", wanted, None, boot, document);
            let armed = call.arm(baseline).await;
            armed.map_err(|_| outcome::not_stored(lang))?;
        }
        let job = self.create(wanted, call).await?;
        let ticket = Ticket {
            job,
            name: wanted.name.clone(),
            boot,
        };
        if let Err(halt) = self.record(&ticket, wanted, document, record, call).await {
            self.withdraw(&ticket.name).await;
            return Err(halt);
        }
        let (delivery, status, stop) = self.deliver(&ticket, wanted, document, call).await;
        let mut follow = Follow::new(delivery, wanted.sides, self.memory.counts);
        if let Some(stop) = stop {
            follow.stop(stop);
        }
        let ending = self.follow(&ticket, &mut follow, call).await;
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
        let created = self.evidence("created", wanted, Some(ticket.job), ticket.boot, document);
        let stored = async {
            call.milestone(created).await?;
            call.effect_may_begin().await
        };
        stored
            .await
            .map_err(|_| outcome::not_stored(call.lang).into())
    }

    fn evidence(
        &self,
        step: &'static str,
        wanted: &Wanted,
        job: Option<i32>,
        boot: Option<Boot>,
        document: &Document,
    ) -> Evidence {
        let printer = self.memory.printer.as_ref();
        let facts = [
            ("printer-uuid", printer.and_then(|p| p.uuid.clone())),
            (
                "printer-boot",
                boot.map(|boot| boot.unix_seconds().to_string()),
            ),
            ("job-name", Some(wanted.name.clone())),
            ("user", Some(self.desk.config.user.clone())),
            ("job-id", job.map(|job| job.to_string())),
            ("sha256", Some(String::from(document.sha256))),
        ];
        let facts = facts.into_iter();
        Evidence::new(step, facts.filter_map(|(key, value)| Some((key, value?))))
    }
}

fn told(
    ending: &Ending,
    job: i32,
    status: Option<StatusCode>,
    lang: Lang,
) -> Result<Printed, Halt> {
    if let Ending::Completed { sheets } = ending {
        return Ok(Printed {
            job,
            sheets: *sheets,
            proof: PrintProof::IppCompleted,
        });
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
