//! What became of a print that was interrupted: asked of the printer, never printed again.

use std::time::Duration;

use jiff::Timestamp;
use koffer_proto::{Outcome, class::document_printer};
use tokio::time::Instant;

use super::{
    Ipp,
    follow::{Found, Watcher},
    print::done,
    submit::Ticket,
};
use crate::{
    Call, Interrupted, Reconciled,
    printer::ipp::{
        identity::Shown,
        job::{Cause, Doubt, Ending, Follow, Printed},
        link::Broken,
        outcome,
        record::Kept,
        timing,
    },
};

/// What a record and the printer say together before a job is followed.
enum Lead {
    Ticket(Ticket),
    /// No document was ever sent.
    Nothing,
    Unknown(Doubt),
}

impl Ipp {
    /// Finds the job by name, user, id and boot time, ends it where its document is in doubt or
    /// its time is up, and reads its end.
    pub(super) async fn ask_back(&mut self, interrupted: &Interrupted) -> Reconciled {
        let kept = Kept::read(interrupted);
        let ticket = match self.find(&kept, interrupted).await {
            Ok(Lead::Ticket(ticket)) => ticket,
            Ok(Lead::Nothing) => {
                let failure =
                    outcome::unfinished(Cause::Interrupted, Printed::Nothing, interrupted.lang);
                return Reconciled::Settled(Outcome::Failed(failure));
            }
            Ok(Lead::Unknown(doubt)) => return Reconciled::Undecided(outcome::undecided(doubt)),
            Err(broken) => return Reconciled::Lost(outcome::fault(&broken)),
        };
        let call = Call::left_of(interrupted, time_is_up(interrupted));
        let counting = self.memory.counting;
        let mut follow = Follow::interrupted(&kept, counting);
        let ending = self.follow(&ticket, &mut follow, &call).await;
        self.memory.counting = follow.counting();
        tracing::info!(
            job = ticket.job,
            delivery = ?kept.delivery,
            ?ending,
            "an interrupted print was asked for"
        );
        match ending {
            Ending::Completed { sheets, proof } => {
                let printed = document_printer::Response::Print(done(&ticket, sheets, proof));
                Reconciled::Settled(Outcome::Ok(printed.into()))
            }
            Ending::Unknown(Doubt::OutOfReach) => Reconciled::Lost(outcome::fault(&Broken::Silent)),
            Ending::Unknown(doubt) => Reconciled::Undecided(outcome::undecided(doubt)),
            Ending::Unfinished {
                cause,
                printed: Printed::NotCounted,
            } => Reconciled::Undecided(outcome::not_counted(cause)),
            Ending::Unfinished { cause, printed } => {
                let failure = outcome::unfinished(cause, printed, interrupted.lang);
                Reconciled::Settled(Outcome::Failed(failure))
            }
        }
    }

    async fn find(&self, kept: &Kept, interrupted: &Interrupted) -> Result<Lead, Broken> {
        let unknown = |doubt| Ok(Lead::Unknown(doubt));
        let Some(job) = kept.job else {
            // The record is written before the document is sent: none was. A job without one was
            // cancelled when contact was made.
            return Ok(Lead::Nothing);
        };
        let uuid = self.memory.printer.as_ref().and_then(|p| p.uuid.clone());
        if kept.printer_uuid != uuid {
            return unknown(Doubt::AnotherPrinter);
        }
        let (Some(name), Some(user)) = (kept.job_name.clone(), &kept.user) else {
            return unknown(Doubt::Forgotten);
        };
        let age = Timestamp::now().duration_since(interrupted.accepted_at);
        let age = Duration::try_from(age).unwrap_or_default();
        let same_life = match (self.memory.boot, kept.boot) {
            (Some(now), Some(then)) => now.is_as_kept(then, age),
            _ => false,
        };
        // Name and user as they were sent are this call's alone. Any other form, and the id
        // itself, mean something only while the printer is up.
        let is_it = |shown: &Shown| {
            let known = kept.shown.as_ref();
            let as_known = known.is_some_and(|known| known.is_same_as(shown));
            let alike = same_life && (as_known || shown.may_be(&name, user));
            shown.is_verbatim(&name, user) || alike
        };
        let mut ticket = Ticket {
            job,
            name: name.clone(),
            boot: self.memory.boot,
            shown: None,
            is_queue: self.is_queue(),
        };
        let nobody = Call::left_of(interrupted, Instant::now());
        let watcher = Watcher::new(&self.desk, &ticket, kept.sides, &nobody);
        let found = watcher.find().await?;
        if let Found::Job(job) = found
            && is_it(&Shown::of(&job))
        {
            ticket.shown = Some(Shown::of(&job));
            return Ok(Lead::Ticket(ticket));
        }
        unknown(if same_life {
            Doubt::Forgotten
        } else {
            Doubt::Restarted
        })
    }
}

/// A printer without paper may hold a job for hours. What would have ended the call ends it now:
/// the longest time a print may take, counted from when it was accepted. A job whose time was up
/// while the gateway was away still gets a moment, if only because the printer may be at its last
/// page.
fn time_is_up(interrupted: &Interrupted) -> Instant {
    let age = Timestamp::now().duration_since(interrupted.accepted_at);
    let age = Duration::try_from(age).unwrap_or_default();
    let left = interrupted.operation.max_duration.saturating_sub(age);
    Instant::now() + left.max(timing::LAST_PAGE)
}
