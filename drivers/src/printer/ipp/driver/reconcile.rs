//! What became of a print that was interrupted: asked of the printer, never printed again.

use std::time::Duration;

use jiff::Timestamp;
use koffer_proto::{Failure, Outcome, class::document_printer};
use tokio::time::Instant;

use super::{Ipp, OPEN_JOBS, print::done, submit::Ticket};
use crate::{
    Call, Interrupted, Reconciled,
    printer::ipp::{
        job::{Cause, Doubt, Ending, Follow, Printed},
        link::Broken,
        outcome,
        record::Kept,
        snapshot::JobView,
        timing,
    },
};

/// What a record and the printer say together before a job is followed.
enum Found {
    Ticket(Ticket),
    Ends(Ending),
}

impl Ipp {
    /// Finds the job by name, user, id and boot time, ends it where its document is in doubt or
    /// its time is up, and reads its end.
    pub(super) async fn ask_back(&mut self, interrupted: &Interrupted) -> Reconciled {
        let kept = Kept::read(interrupted);
        let ticket = match self.find(&kept, interrupted).await {
            Ok(Found::Ticket(ticket)) => ticket,
            Ok(Found::Ends(ending)) => return reconciled(&ending, 0, interrupted),
            Err(broken) => return Reconciled::Lost(outcome::fault(&broken)),
        };
        let call = Call::left_of(interrupted, time_is_up(interrupted));
        let counts = self.memory.counts;
        let mut follow = Follow::interrupted(kept.delivery, kept.sides, counts, kept.stop);
        let ending = self.follow(&ticket, &mut follow, &call).await;
        self.memory.counts = follow.counts();
        tracing::info!(
            job = ticket.job,
            delivery = ?kept.delivery,
            ?ending,
            "an interrupted print was asked for"
        );
        reconciled(&ending, ticket.job, interrupted)
    }

    async fn find(&self, kept: &Kept, interrupted: &Interrupted) -> Result<Found, Broken> {
        let unknown = |doubt| Ok(Found::Ends(Ending::Unknown(doubt)));
        let Some(job) = kept.job else {
            // The record is written before the document is sent: none was. A job without one was
            // cancelled when contact was made.
            return Ok(Found::Ends(Ending::Unfinished {
                cause: Cause::Interrupted,
                printed: Printed::Nothing,
            }));
        };
        let uuid = self.memory.printer.as_ref().and_then(|p| p.uuid.clone());
        if kept.printer_uuid != uuid {
            return unknown(Doubt::AnotherPrinter);
        }
        let age = Timestamp::now().duration_since(interrupted.accepted_at);
        let age = Duration::try_from(age).unwrap_or_default();
        let same_life = match (self.memory.boot, kept.boot) {
            (Some(now), Some(then)) => now.is_as_kept(then, age),
            // Without a boot time an id means nothing.
            _ => false,
        };
        if !same_life {
            return unknown(Doubt::Restarted);
        }
        let (Some(name), Some(user)) = (&kept.job_name, &kept.user) else {
            return unknown(Doubt::Forgotten);
        };
        let is_it = |shown: &JobView| {
            shown.id == job
                && shown.name.as_ref() == Some(name)
                && shown.user.as_ref() == Some(user)
        };
        // In this order a job that ends meanwhile is not missed.
        for which in ["not-completed", "completed"] {
            let jobs = self.desk.jobs(which, false, OPEN_JOBS).await?;
            if jobs.iter().any(is_it) {
                return Ok(Found::Ticket(Ticket {
                    job,
                    name: name.clone(),
                    boot: self.memory.boot,
                }));
            }
        }
        unknown(Doubt::Forgotten)
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

fn reconciled(ending: &Ending, job: i32, interrupted: &Interrupted) -> Reconciled {
    let failed = |failure: Failure| Reconciled::Settled(Outcome::Failed(failure));
    match ending {
        Ending::Completed { sheets } => {
            let printed = document_printer::Response::Print(done(job, *sheets));
            Reconciled::Settled(Outcome::Ok(printed.into()))
        }
        Ending::Unknown(Doubt::OutOfReach) => Reconciled::Lost(outcome::fault(&Broken::Silent)),
        Ending::Unknown(doubt) => Reconciled::Undecided(outcome::undecided(*doubt)),
        Ending::Unfinished {
            cause,
            printed: Printed::NotCounted,
        } => Reconciled::Undecided(outcome::not_counted(*cause)),
        Ending::Unfinished { cause, printed } => {
            failed(outcome::unfinished(*cause, *printed, interrupted.lang))
        }
    }
}
