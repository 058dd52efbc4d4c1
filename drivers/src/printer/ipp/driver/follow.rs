//! A job whose document was sent, looked at until it is over.

use std::time::Duration;

use koffer_proto::{ProgressEvent, class::document_printer::Sides};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Desk, Ipp, print::stopping, submit::Ticket};
use crate::{
    Call,
    printer::ipp::{
        epoch::Boot,
        job::{Ending, Follow, Learnt, Step},
        link::Broken,
        reasons,
        snapshot::{self, JobView, Mood},
        timing,
        wire::{Answer, Operation},
    },
};

/// What one look showed.
pub(super) enum Sight {
    Job(JobView),
    Gone,
    Restarted,
}

/// Looks at a job and tells the caller what changed.
pub(super) struct Watcher<'a> {
    desk: &'a Desk,
    ticket: &'a Ticket,
    sides: Sides,
    call: &'a Call,
    reasons: Vec<String>,
    sheets: u32,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(desk: &'a Desk, ticket: &'a Ticket, sides: Sides, call: &'a Call) -> Self {
        Self {
            desk,
            ticket,
            sides,
            call,
            reasons: Vec::new(),
            sheets: 0,
        }
    }

    /// One look: the printer first, because a job means nothing after a restart.
    pub(super) async fn look(&mut self) -> Result<Sight, Broken> {
        let wanted = self.desk.question(Operation::GetPrinterAttributes);
        let asked = Instant::now();
        let answer = self.ask(wanted.wanting(snapshot::MOOD).encode()).await?;
        if let Some(printer) = answer.printer() {
            let mood = Mood::read(printer);
            let boot = mood.up.map(|up| Boot::new(up, asked, Instant::now()));
            if let (Some(then), Some(now)) = (self.ticket.boot, boot)
                && now.is_another_than(then)
            {
                return Ok(Sight::Restarted);
            }
            self.tell_mood(&mood).await;
        }
        let wanted = self
            .desk
            .of_job(Operation::GetJobAttributes, self.ticket.job)
            .wanting(snapshot::JOB);
        let answer = self.ask(wanted.encode()).await?;
        let job = answer.jobs().find_map(JobView::read);
        Ok(match job {
            Some(job) if answer.status.is_success() && self.is_it(&job) => {
                self.tell_sheets(&job).await;
                Sight::Job(job)
            }
            Some(_) => Sight::Gone,
            None if answer.status.is_gone() => Sight::Gone,
            // It does not say now; perhaps it does later.
            None => return Err(Broken::Silent),
        })
    }

    async fn ask(&self, question: bytes::Bytes) -> Result<Answer, Broken> {
        self.desk.link.ask_within(timing::LOOK, question).await
    }

    /// Whether it is this call's job: never the id alone, it starts anew with the printer.
    fn is_it(&self, job: &JobView) -> bool {
        let same = |shown: &Option<String>, expected: &str| {
            shown.as_deref().is_none_or(|shown| shown == expected)
        };
        job.id == self.ticket.job
            && same(&job.name, &self.ticket.name)
            && same(&job.user, &self.desk.config.user)
    }

    async fn tell_mood(&mut self, mood: &Mood) {
        let judged = reasons::judge(mood);
        let keywords = judged.keywords();
        if keywords != self.reasons {
            self.reasons.clone_from(&keywords);
            let event = ProgressEvent::StateReasons {
                reasons: keywords,
                text: judged.text(self.call.lang),
            };
            self.call.progress(event).await;
        }
    }

    async fn tell_sheets(&mut self, job: &JobView) {
        if let Some(sheets) = job.sheets(self.sides).filter(|n| *n > self.sheets) {
            self.sheets = sheets;
            self.call
                .progress(ProgressEvent::SheetsCompleted { sheets })
                .await;
        }
    }
}

/// When a call that is to end must have ended.
#[derive(Clone, Copy)]
struct Bounds {
    /// Whatever the printer does.
    end: Option<Instant>,
    /// Since when it was not reached.
    out: Option<Instant>,
}

impl Bounds {
    fn end_within(&mut self, limit: Duration) {
        let end = Instant::now() + limit;
        self.end = Some(self.end.map_or(end, |known| known.min(end)));
    }

    fn are_out_of_reach(self) -> bool {
        self.out
            .is_some_and(|since| since.elapsed() > timing::OUT_OF_REACH)
    }

    fn are_passed(self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now())
    }
}

impl Ipp {
    /// Follows a job until the printer shows its end, or until nobody can wait any longer: the
    /// call's deadline where the document was accepted, less where it is in doubt.
    pub(super) async fn follow(&self, ticket: &Ticket, follow: &mut Follow, call: &Call) -> Ending {
        let mut watcher = Watcher::new(&self.desk, ticket, follow.sides(), call);
        let mut bounds = Bounds {
            end: None,
            out: None,
        };
        if follow.is_ending() {
            bounds.end_within(timing::OUT_OF_REACH);
        }
        if follow.is_stopped() {
            bounds.end_within(timing::SETTLE);
        }
        let mut pause = Duration::ZERO;
        loop {
            // An interrupted call is asked for again as soon as the printer is back.
            let away = follow.is_interrupted() && bounds.are_out_of_reach();
            if bounds.are_passed() || away {
                return Follow::give_up(bounds.out.is_none());
            }
            let far = Instant::now() + timing::OUT_OF_REACH;
            let looking = async {
                sleep(pause).await;
                watcher.look().await
            };
            let sight = tokio::select! {
                biased;
                stop = call.stopped(), if !follow.is_stopped() => {
                    stopping(follow, stop, call).await;
                    bounds.end_within(timing::SETTLE);
                    pause = Duration::ZERO;
                    continue;
                }
                sight = timeout_at(bounds.end.unwrap_or(far), looking) => {
                    sight.unwrap_or(Err(Broken::Silent))
                }
            };
            pause = (pause * 2).clamp(timing::FIRST_LOOK, timing::LONGEST_LOOK);
            let step = match &sight {
                Ok(sight) => {
                    bounds.out = None;
                    follow.learn(match sight {
                        Sight::Job(job) => Learnt::Job(job),
                        Sight::Gone => Learnt::Gone,
                        Sight::Restarted => Learnt::Restarted,
                    })
                }
                Err(broken) => {
                    tracing::debug!(job = ticket.job, %broken, "a look at a job failed");
                    bounds.out.get_or_insert_with(Instant::now);
                    Step::Wait
                }
            };
            match step {
                Step::Wait => {}
                Step::LookTwice => pause = timing::SECOND_LOOK,
                Step::Cancel => {
                    let _ = self.desk.cancel(ticket.job).await;
                    pause = timing::FIRST_LOOK;
                }
                Step::End(ending) => return ending,
            }
        }
    }
}
