//! What follows from what a printer shows of a job whose document was sent. Pure.
//!
//! A job's state, its reasons and its counts are read as a whole. `completed` is believed where
//! nothing else contradicts it, and "nothing was printed" is said only where it is known: a count
//! may come late, and a cancelled job may still drain (docs/decisions/0020).

use std::time::Duration;

use koffer_proto::class::document_printer::{JobState, Sides};
use tokio::time::Instant;

use super::{
    record::Kept,
    snapshot::JobView,
    standing::{self, Trouble},
    timing,
};
use crate::Stop;

/// What became of Send-Document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The printer said that it has the document.
    Accepted,
    /// It did not say so: it has all of it, a part or nothing. A printer may well print a part
    /// and call it completed (measured with ippeveprinter: 400 of 1125 bytes).
    InDoubt,
    /// It said that it does not want it.
    Refused,
}

/// What was learnt by looking.
#[derive(Debug, Clone, Copy)]
pub(super) enum Learnt<'a> {
    /// The job: its id, name and user are right, and the printer did not restart.
    Job(&'a JobView),
    /// The printer answers and has no such job, or another one under its id.
    Gone(Left),
    /// The printer restarted.
    Restarted,
}

/// What a printer shows that has no such job any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// Whether it lists jobs that are over: then it would list this one too.
    pub(super) remembers: bool,
    /// Whether something keeps it from printing.
    pub(super) blocked: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Look again after a while.
    Wait,
    /// Ask the printer to cancel the job, then look again.
    Cancel,
    /// It is over; what it shows must hold for so long.
    Hold(Duration),
    /// It is over.
    End(Ending),
}

/// How a print ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All of it is printed.
    Completed {
        /// How many sheets, where the printer counts.
        sheets: Option<u32>,
        /// What says so.
        proof: Proof,
    },
    /// It did not finish.
    Unfinished {
        /// Why.
        cause: Cause,
        /// What came out.
        printed: Printed,
    },
    /// Nobody knows.
    Unknown(Doubt),
}

/// What says that a document is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The job is `completed`, and nothing contradicts that.
    State,
    /// The printer took the document and is through with it; of paper it says nothing.
    Taken,
}

/// Why a print did not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It should end.
    Stopped(Stop),
    /// Somebody cancelled it at the printer or with another program.
    CancelledElsewhere,
    /// The printer gave up on it.
    Aborted,
    /// The printer finished with errors.
    WithErrors,
    /// The printer finished and counted fewer sides than the document has.
    TooFew,
    /// The printer cannot print this document.
    Document(Trouble),
    /// The document did not get there.
    NotDelivered,
    /// The gateway was interrupted before it was known to be there.
    Interrupted,
    /// The printer did not take the document.
    Refused,
}

/// What came out of an unfinished print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printed {
    /// Nothing.
    Nothing,
    /// So many sheets.
    Sheets(u32),
    /// All of it, so many sheets.
    All(u32),
    /// The printer began, and what it says does not tell what came out.
    NotCounted,
}

/// Why nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Completed, but perhaps not of the whole document.
    CutDocument,
    /// Completed, and the printer counted no page.
    NothingCounted,
    /// Completed, and the printer says that it stops the job.
    StillStopping,
    /// The printer restarted.
    Restarted,
    /// Another printer answers at the address.
    AnotherPrinter,
    /// The printer has forgotten the job.
    Forgotten,
    /// The printer could not be reached until it was too late.
    OutOfReach,
    /// The printer neither finished nor cancelled in time.
    NotSettled,
}

/// How a printer was seen to count what it prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counting {
    /// It was not: a zero says nothing.
    #[default]
    Unseen,
    /// Of jobs that were completed, so perhaps only then.
    AtEnd,
    /// Of jobs that were not, or not yet: a zero of those is one.
    Live,
}

impl Counting {
    /// What one look at a job adds.
    pub(super) fn learn(&mut self, job: &JobView) {
        if job.shows_a_count() {
            *self = (*self).max(if job.state == JobState::Completed {
                Self::AtEnd
            } else {
                Self::Live
            });
        }
    }
}

/// Follows one job from its document to its end.
#[derive(Debug)]
pub(super) struct Follow {
    delivery: Delivery,
    sides: Sides,
    counting: Counting,
    stop: Option<Stop>,
    /// Whether the call was interrupted, and only its outcome is looked for.
    interrupted: bool,
    /// What the job showed last.
    last: Option<JobView>,
    /// Since when it shows just that.
    since: Instant,
    /// Whether its count went on after it was over.
    counts_on: bool,
    /// What is wrong with the document, and since when a job that is not over says so.
    trouble: Option<(Trouble, Instant)>,
    /// Looks since the printer was asked to cancel; `None`: it was not.
    asked: Option<u32>,
}

/// Looks between two requests to cancel: a page on its way takes a few seconds.
const LOOKS_PER_REQUEST: u32 = 5;

impl Follow {
    pub(super) fn new(delivery: Delivery, sides: Sides, counting: Counting) -> Self {
        Self {
            delivery,
            sides,
            counting,
            stop: None,
            interrupted: false,
            last: None,
            since: Instant::now(),
            counts_on: false,
            trouble: None,
            asked: None,
        }
    }

    /// Follows the job of a call that was interrupted, as its record has it.
    pub(super) fn interrupted(kept: &Kept, counting: Counting) -> Self {
        let now = Instant::now();
        Self {
            interrupted: true,
            stop: kept.stop,
            trouble: kept.trouble.map(|trouble| (trouble, now)),
            // It was asked to cancel, and is asked again where it did not.
            asked: kept.trouble.map(|_| LOOKS_PER_REQUEST - 1),
            ..Self::new(kept.delivery, kept.sides, counting)
        }
    }

    /// Whether the call was interrupted, and only its outcome is looked for.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// The call should end. The first reason stays.
    pub(super) fn stop(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
    }

    /// How this printer was seen to count.
    pub(super) fn counting(&self) -> Counting {
        self.counting
    }

    /// Whether the job is to end rather than to be waited for.
    pub(super) fn is_ending(&self) -> bool {
        self.stop.is_some() || self.asked.is_some() || self.delivery != Delivery::Accepted
    }

    /// Whether the call should end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Whether the printer calls the job completed.
    pub(super) fn is_completed(&self) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|job| job.state == JobState::Completed)
    }

    /// How its sheets are counted.
    pub(super) fn sides(&self) -> Sides {
        self.sides
    }

    /// What is wrong with the document of a job that is asked to cancel for it.
    pub(super) fn hopeless(&self) -> Option<Trouble> {
        let (trouble, _) = self.trouble?;
        (self.asked.is_some() && self.stop.is_none()).then_some(trouble)
    }

    /// `job-state-reasons` as they were seen last.
    pub(super) fn reasons(&self) -> Vec<String> {
        let last = self.last.as_ref();
        last.map(|job| job.reasons.clone()).unwrap_or_default()
    }

    /// What the printer showed of the job when it accepted the document.
    pub(super) fn begin_with(&mut self, job: JobView, at: Instant) {
        self.since = at;
        self.last = Some(job);
    }

    /// Judges one look.
    pub(super) fn learn(&mut self, learnt: Learnt<'_>, at: Instant) -> Step {
        let job = match learnt {
            Learnt::Job(job) => job,
            Learnt::Gone(left) => return Step::End(self.gone(left)),
            Learnt::Restarted => return Step::End(Ending::Unknown(Doubt::Restarted)),
        };
        self.counting.learn(job);
        self.remember(job, at);
        if !job.is_over() {
            return self.open(job, at);
        }
        let shown = at.saturating_duration_since(self.since);
        let needed = self.must_hold(job);
        if shown < needed {
            return Step::Hold(needed.saturating_sub(shown));
        }
        Step::End(self.ending(job))
    }

    /// The printer could not be reached, or did not settle, for as long as can be waited.
    pub(super) fn give_up(&self, reachable: bool) -> Ending {
        match &self.last {
            Some(job) if job.state == JobState::Completed && !job.is_stopping() => self.ending(job),
            _ if reachable => Ending::Unknown(Doubt::NotSettled),
            _ => Ending::Unknown(Doubt::OutOfReach),
        }
    }

    fn remember(&mut self, job: &JobView, at: Instant) {
        let counts = |job: &JobView| (job.impressions, job.sheets);
        let same = |last: &JobView| {
            (last.state, counts(last)) == (job.state, counts(job))
                && last.is_stopping() == job.is_stopping()
        };
        if !self.last.as_ref().is_some_and(same) {
            self.since = at;
        }
        let was_over = |last: &JobView| last.is_over() && counts(last) != counts(job);
        self.counts_on |= job.is_over() && self.last.as_ref().is_some_and(was_over);
        self.last = Some(job.clone());
    }

    /// A job that is not over: waited for, unless it should end or cannot.
    fn open(&mut self, job: &JobView, at: Instant) -> Step {
        match (standing::trouble(job), self.trouble) {
            (Some(trouble), None) => self.trouble = Some((trouble, at)),
            // Asked to cancel, it may say nothing but that any more.
            (None, Some(_)) if self.asked.is_none() => self.trouble = None,
            _ => {}
        }
        let hopeless = self
            .trouble
            .is_some_and(|(_, since)| at.saturating_duration_since(since) >= timing::GRACE);
        if self.is_ending() || hopeless {
            self.cancel()
        } else {
            Step::Wait
        }
    }

    fn cancel(&mut self) -> Step {
        let since = self
            .asked
            .map_or(0, |looks| (looks + 1) % LOOKS_PER_REQUEST);
        self.asked = Some(since);
        if since == 0 { Step::Cancel } else { Step::Wait }
    }

    /// How long what a job shows that is over must hold before it is believed.
    fn must_hold(&self, job: &JobView) -> Duration {
        let counts_nothing = job.sheets(self.sides) == Some(0);
        if job.is_stopping() {
            return timing::STOP_POINT;
        }
        match job.state {
            JobState::Completed if self.delivery != Delivery::Accepted => Duration::ZERO,
            JobState::Completed if counts_nothing || self.counts_on => timing::LATE_COUNT,
            JobState::Completed => Duration::ZERO,
            _ if job.begun != Some(false) || job.shows_a_count() => timing::LATE_COUNT,
            // A printer that had begun to read the document may still begin to print it.
            _ if self.delivery == Delivery::InDoubt => timing::SECOND_LOOK,
            _ => Duration::ZERO,
        }
    }

    fn ending(&self, job: &JobView) -> Ending {
        if job.state == JobState::Completed {
            self.completed(job)
        } else {
            let cause = self.cause(job);
            Ending::Unfinished {
                cause,
                printed: self.printed(job, cause),
            }
        }
    }

    fn completed(&self, job: &JobView) -> Ending {
        if self.delivery != Delivery::Accepted {
            return Ending::Unknown(Doubt::CutDocument);
        }
        if let Some(cause) = contradiction(job) {
            return Ending::Unfinished {
                cause,
                printed: self.printed(job, cause),
            };
        }
        let counted = job.sheets(self.sides);
        match counted {
            Some(0) if job.is_stopping() || self.counting > Counting::Unseen => {
                Ending::Unknown(Doubt::NothingCounted)
            }
            _ if job.is_stopping() => Ending::Unknown(Doubt::StillStopping),
            Some(0) => Ending::Completed {
                sheets: None,
                proof: Proof::Taken,
            },
            Some(sheets) if self.counts_too_few(job) => Ending::Unfinished {
                cause: Cause::TooFew,
                printed: Printed::Sheets(sheets),
            },
            sheets => Ending::Completed {
                sheets,
                proof: if job.is_passed_on() {
                    Proof::Taken
                } else {
                    Proof::State
                },
            },
        }
    }

    /// Whether fewer sides are counted than the document has. Printers differ in what a side of a
    /// two-sided sheet counts.
    fn counts_too_few(&self, job: &JobView) -> bool {
        self.sides == Sides::OneSided
            && matches!((job.impressions, job.impressions_total), (Some(done), Some(total)) if done < total)
    }

    /// The printer does not know the job any more. Where it keeps no history at all, a job that
    /// it took and worked on has left the way that all its jobs do.
    fn gone(&self, left: Left) -> Ending {
        let unknown = Ending::Unknown(Doubt::Forgotten);
        let Some(last) = &self.last else {
            return unknown;
        };
        if last.is_over() && !last.is_stopping() {
            return self.ending(last);
        }
        let wanted = self.delivery == Delivery::Accepted
            && self.stop.is_none()
            && self.asked.is_none()
            && self.trouble.is_none()
            && !last.is_stopping();
        if wanted && !left.remembers && !left.blocked {
            Ending::Completed {
                sheets: None,
                proof: Proof::Taken,
            }
        } else {
            unknown
        }
    }

    fn cause(&self, job: &JobView) -> Cause {
        let trouble = standing::trouble(job).or(self.trouble.map(|(trouble, _)| trouble));
        if let (Delivery::Accepted, None, Some(trouble)) = (self.delivery, self.stop, trouble) {
            return Cause::Document(trouble);
        }
        match (self.delivery, self.stop) {
            (Delivery::Refused, _) => Cause::Refused,
            // An upload that is stopped ends as the printer likes to call it.
            (Delivery::InDoubt, Some(stop)) => Cause::Stopped(stop),
            // So does one that ended with the gateway: nobody sends the rest.
            (Delivery::InDoubt, None) if self.interrupted => Cause::Interrupted,
            (Delivery::InDoubt, None) if self.asked.is_some() => Cause::NotDelivered,
            (_, Some(stop)) if job.state == JobState::Canceled => Cause::Stopped(stop),
            (_, _) if job.state == JobState::Canceled => Cause::CancelledElsewhere,
            (Delivery::InDoubt, None) => Cause::NotDelivered,
            (Delivery::Accepted, _) => Cause::Aborted,
        }
    }

    fn printed(&self, job: &JobView, cause: Cause) -> Printed {
        let sheets = job.sheets(self.sides);
        let unprintable = matches!(cause, Cause::Document(trouble) if trouble.prints_nothing);
        match (sheets, job.impressions, job.impressions_total) {
            (Some(sheets), Some(done), Some(total)) if done >= total && sheets > 0 => {
                // Of a document that may have been cut even "all" is a part.
                if self.delivery == Delivery::Accepted {
                    Printed::All(sheets)
                } else {
                    Printed::Sheets(sheets)
                }
            }
            (Some(sheets), ..) if sheets > 0 => Printed::Sheets(sheets),
            // It may still count.
            _ if job.is_stopping() => Printed::NotCounted,
            _ if job.begun == Some(false) => Printed::Nothing,
            (Some(_), ..) if self.counting == Counting::Live || unprintable => Printed::Nothing,
            _ => Printed::NotCounted,
        }
    }
}

/// What a job that is called completed says against that.
fn contradiction(job: &JobView) -> Option<Cause> {
    let says = |keywords: &[&str]| keywords.iter().any(|keyword| job.has_reason(keyword));
    if let Some(trouble) = standing::trouble(job) {
        Some(Cause::Document(trouble))
    } else if says(&["job-completed-with-errors", "errors-detected"]) {
        Some(Cause::WithErrors)
    } else if says(standing::CANCELLED) {
        Some(Cause::CancelledElsewhere)
    } else if says(standing::GIVEN_UP) {
        Some(Cause::Aborted)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
