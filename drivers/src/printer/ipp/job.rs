//! What follows from what a printer shows of a job whose document was sent. Pure.

use koffer_proto::class::document_printer::{JobState, Sides};

use super::snapshot::JobView;
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
    Gone,
    /// The printer restarted.
    Restarted,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Look again after a while.
    Wait,
    /// Ask the printer to cancel the job, then look again.
    Cancel,
    /// Look again a little later: what it shows must hold.
    LookTwice,
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
    /// The printer began and does not count.
    NotCounted,
}

/// Why nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Completed, but perhaps not of the whole document.
    CutDocument,
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

/// Follows one job from its document to its end.
#[derive(Debug)]
pub(super) struct Follow {
    delivery: Delivery,
    sides: Sides,
    /// Whether this printer is known to count: a zero of one that never counted says nothing.
    counts: bool,
    stop: Option<Stop>,
    /// Whether the call was interrupted, and only its outcome is looked for.
    interrupted: bool,
    /// Looks in a row that showed a job that is over and never began.
    untouched: u32,
    /// Looks since the printer was asked to cancel; `None`: it was not.
    asked: Option<u32>,
}

/// Looks between two requests to cancel: a page on its way takes a few seconds.
const LOOKS_PER_REQUEST: u32 = 5;

impl Follow {
    pub(super) fn new(delivery: Delivery, sides: Sides, counts: bool) -> Self {
        Self {
            delivery,
            sides,
            counts,
            stop: None,
            interrupted: false,
            untouched: 0,
            asked: None,
        }
    }

    /// Follows the job of a call that was interrupted, as its record has it.
    pub(super) fn interrupted(
        delivery: Delivery,
        sides: Sides,
        counts: bool,
        stop: Option<Stop>,
    ) -> Self {
        Self {
            interrupted: true,
            stop,
            ..Self::new(delivery, sides, counts)
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

    /// Whether this printer was seen to count.
    pub(super) fn counts(&self) -> bool {
        self.counts
    }

    /// Whether the job is to end rather than to be waited for.
    pub(super) fn is_ending(&self) -> bool {
        self.stop.is_some() || self.delivery != Delivery::Accepted
    }

    /// Whether the call should end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// How its sheets are counted.
    pub(super) fn sides(&self) -> Sides {
        self.sides
    }

    /// Judges one look.
    pub(super) fn learn(&mut self, learnt: Learnt<'_>) -> Step {
        let job = match learnt {
            Learnt::Job(job) => job,
            Learnt::Gone => return Step::End(Ending::Unknown(Doubt::Forgotten)),
            Learnt::Restarted => return Step::End(Ending::Unknown(Doubt::Restarted)),
        };
        self.counts |= job.shows_a_count();
        if !job.is_over() {
            self.untouched = 0;
            return if self.is_ending() {
                self.cancel()
            } else {
                Step::Wait
            };
        }
        if job.state == JobState::Completed {
            return Step::End(self.completed(job));
        }
        let printed = self.printed(job);
        // A printer that had begun to read the document may still begin to print it.
        if self.delivery == Delivery::InDoubt && printed == Printed::Nothing && self.untouched == 0
        {
            self.untouched += 1;
            return Step::LookTwice;
        }
        let cause = self.cause(job);
        Step::End(Ending::Unfinished { cause, printed })
    }

    /// The printer could not be reached, or did not settle, for as long as can be waited.
    pub(super) fn give_up(reachable: bool) -> Ending {
        Ending::Unknown(if reachable {
            Doubt::NotSettled
        } else {
            Doubt::OutOfReach
        })
    }

    fn cancel(&mut self) -> Step {
        let since = self
            .asked
            .map_or(0, |looks| (looks + 1) % LOOKS_PER_REQUEST);
        self.asked = Some(since);
        if since == 0 { Step::Cancel } else { Step::Wait }
    }

    fn completed(&self, job: &JobView) -> Ending {
        let sheets = job.sheets(self.sides).filter(|sheets| *sheets > 0);
        if self.delivery != Delivery::Accepted {
            return Ending::Unknown(Doubt::CutDocument);
        }
        if job.has_reason("job-completed-with-errors") {
            return Ending::Unfinished {
                cause: Cause::WithErrors,
                printed: self.printed(job),
            };
        }
        Ending::Completed { sheets }
    }

    fn cause(&self, job: &JobView) -> Cause {
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

    fn printed(&self, job: &JobView) -> Printed {
        let sheets = job.sheets(self.sides);
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
            _ if job.begun == Some(false) => Printed::Nothing,
            (Some(_), ..) if self.counts => Printed::Nothing,
            _ => Printed::NotCounted,
        }
    }
}

#[cfg(test)]
mod tests;
