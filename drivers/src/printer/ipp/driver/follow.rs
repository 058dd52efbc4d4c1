//! A job whose document was sent, looked at until it is over.

use std::time::Duration;

use koffer_proto::{ProgressEvent, class::document_printer::Sides};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Desk, HISTORY, Ipp, OPEN_JOBS, Trouble, print::stopping, submit::Ticket};
use crate::{
    Call,
    printer::ipp::{
        epoch::Boot,
        identity::Shown,
        job::{Ending, Follow, Learnt, Left, Step},
        link::Broken,
        reasons::{self, Judged},
        record,
        snapshot::{self, JobView, Mood},
        standing, timing,
        wire::{Answer, Operation},
    },
};

/// What one look showed.
pub(super) enum Sight {
    Job(JobView),
    Gone(Left),
    Restarted,
}

/// Where a printer has a job.
pub(super) enum Found {
    Job(JobView),
    /// Nowhere; whether it lists other jobs that are over.
    Nowhere {
        remembers: bool,
    },
}

/// Looks at a job and tells the caller what changed.
pub(super) struct Watcher<'a> {
    desk: &'a Desk,
    ticket: &'a Ticket,
    sides: Sides,
    call: &'a Call,
    /// What the printer showed of the job when it was known to be this one.
    shown: Option<Shown>,
    /// Whether the printer was looked at before.
    looked: bool,
    /// Whether a look failed since the job was seen last.
    missed: bool,
    judged: Judged,
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
            shown: ticket.shown.clone(),
            looked: false,
            missed: false,
            judged: Judged::default(),
            reasons: Vec::new(),
            sheets: 0,
        }
    }

    /// One look: the printer first, because a job means nothing after a restart.
    pub(super) async fn look(&mut self) -> Result<Sight, Broken> {
        let sight = self.try_look().await;
        self.looked = true;
        match &sight {
            Ok(Sight::Job(_)) => self.missed = false,
            Ok(_) => {}
            Err(_) => self.missed = true,
        }
        sight
    }

    async fn try_look(&mut self) -> Result<Sight, Broken> {
        let wanted = self.desk.question(Operation::GetPrinterAttributes);
        let asked = Instant::now();
        let answer = self.ask(wanted.wanting(snapshot::MOOD).encode()).await?;
        let mut same_life = !self.missed;
        if let Some(printer) = answer.printer() {
            let mood = Mood::read(printer);
            let boot = mood.up.map(|up| Boot::new(up, asked, Instant::now()));
            if let (Some(then), Some(now)) = (self.ticket.boot, boot) {
                if now.is_another_than(then) {
                    return Ok(Sight::Restarted);
                }
                same_life = now.is_certainly_the_same_as(then);
            }
            self.judged = reasons::judge_of(&mood, self.ticket.is_queue);
            self.report().await;
        }
        let (job, remembers) = match self.find().await? {
            Found::Job(job) => (self.is_it(&job).await.then_some(job), true),
            Found::Nowhere { remembers } => (None, remembers),
        };
        self.tell(job.as_ref()).await;
        Ok(match job {
            Some(job) => Sight::Job(job),
            None => Sight::Gone(Left {
                remembers: remembers || !same_life,
                blocked: self.judged.blocked,
            }),
        })
    }

    /// The job by its id; in the printer's lists where it does not show single jobs.
    pub(super) async fn find(&self) -> Result<Found, Broken> {
        let wanted = self
            .desk
            .of_job(Operation::GetJobAttributes, self.ticket.job)
            .wanting(snapshot::JOB);
        let gone = match self.ask(wanted.encode()).await {
            Ok(answer) => {
                let job = answer.jobs().find_map(JobView::read);
                if let Some(job) = job.filter(|_| answer.status.is_success()) {
                    return Ok(Found::Job(job));
                }
                answer.status.is_gone()
            }
            Err(Broken::Http { .. } | Broken::Unreadable(_)) => false,
            Err(broken) => return Err(broken),
        };
        // In this order a job that ends meanwhile is not missed.
        let mut listed = Vec::new();
        let mut remembers = false;
        for (which, limit) in [("not-completed", OPEN_JOBS), ("completed", HISTORY)] {
            match self.desk.jobs(which, false, limit).await {
                Ok(jobs) => {
                    remembers = which == "completed" && !jobs.is_empty();
                    listed.extend(jobs);
                }
                Err(Trouble::Broken(broken @ (Broken::Unreachable(_) | Broken::Lost(_)))) => {
                    return Err(broken);
                }
                // It says neither; perhaps it does later.
                Err(_) if !gone => return Err(Broken::Silent),
                Err(_) => {}
            }
        }
        let job = listed.into_iter().find(|job| job.id == self.ticket.job);
        Ok(job.map_or(Found::Nowhere { remembers }, Found::Job))
    }

    async fn ask(&self, question: bytes::Bytes) -> Result<Answer, Broken> {
        self.desk.link.ask_within(timing::LOOK, question).await
    }

    /// Whether it is this call's job: an id starts anew with the printer, so what the printer
    /// showed of the job first must be shown again. Before anything was missed, the id alone tells.
    async fn is_it(&mut self, job: &JobView) -> bool {
        let shown = Shown::of(job);
        let same = match &self.shown {
            Some(known) => known.is_same_as(&shown),
            None => !self.looked || shown.may_be(&self.ticket.name, &self.desk.config.user),
        };
        let same = same && job.id == self.ticket.job;
        if same && self.shown.is_none() {
            if !shown.is_verbatim(&self.ticket.name, &self.desk.config.user) {
                // Not stored, only a person can tell after a crash.
                let is_ours = shown.may_be(&self.ticket.name, &self.desk.config.user);
                let said = record::shown(&shown, is_ours);
                let _ = self.call.milestone(said).await;
            }
            self.shown = Some(shown);
        }
        same
    }

    /// The printer's own state shows what happens while it prints.
    async fn report(&self) {
        for report in self.desk.news(&self.judged) {
            if !self.call.report(report).await {
                return;
            }
        }
        self.desk.has_reported(self.judged.clone());
    }

    /// Why it stands still, if it does, and what came out.
    async fn tell(&mut self, job: Option<&JobView>) {
        let standing = job.map(standing::reasons).unwrap_or_default();
        let reasons: Vec<_> = self.judged.reasons.iter().chain(&standing).collect();
        let keywords: Vec<_> = reasons
            .iter()
            .map(|reason| reason.keyword.clone())
            .collect();
        if keywords != self.reasons {
            let texts: Vec<_> = reasons
                .iter()
                .map(|reason| reason.text.get(self.call.lang))
                .collect();
            let event = ProgressEvent::StateReasons {
                reasons: keywords.clone(),
                text: texts.join(" "),
            };
            self.reasons = keywords;
            self.call.progress(event).await;
        }
        let sheets = job.and_then(|job| job.sheets(self.sides));
        if let Some(sheets) = sheets.filter(|n| *n > self.sheets) {
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
                return follow.give_up(bounds.out.is_none());
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
                    let learnt = match sight {
                        Sight::Job(job) => Learnt::Job(job),
                        Sight::Gone(left) => Learnt::Gone(*left),
                        Sight::Restarted => Learnt::Restarted,
                    };
                    follow.learn(learnt, Instant::now())
                }
                Err(broken) => {
                    tracing::debug!(job = ticket.job, %broken, "a look at a job failed");
                    bounds.out.get_or_insert_with(Instant::now);
                    Step::Wait
                }
            };
            match step {
                Step::Wait => {}
                Step::Hold(left) => {
                    pause = left.min(timing::LONGEST_LOOK);
                    if !follow.is_completed() {
                        bounds.end_within(timing::SETTLE);
                    }
                }
                Step::Cancel => {
                    if let Some(trouble) = follow.hopeless() {
                        // Not stored, another reason is told after a crash.
                        let _ = call.milestone(record::hopeless(trouble)).await;
                    }
                    let _ = self.desk.cancel(ticket.job).await;
                    pause = timing::FIRST_LOOK;
                    bounds.end_within(timing::SETTLE);
                }
                Step::End(ending) => return ending,
            }
        }
    }
}
