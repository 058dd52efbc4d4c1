//! The driver: contact, the contract's operations, and a look at the idle printer.

use std::{
    iter,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use koffer_proto::{
    Capabilities, EventKind, Lang, Request, Response,
    class::{any_device, document_printer},
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    capabilities,
    config::IppConfig,
    epoch::Boot,
    identity::Shown,
    job::Counting,
    link::{Broken, Link},
    outcome::{self, Halt},
    reasons::{self, Judged},
    snapshot::{self, JobView, Mood, Printer},
    timing,
    wire::{Answer, Operation, Question, StatusCode},
};
use crate::{Call, Driver, Fault, Finished, Interrupted, Opened, Reconciled, Report, Reports};

mod follow;
mod print;
mod reconcile;
mod service;
mod submit;

/// One printer.
struct Ipp {
    desk: Desk,
    memory: Memory,
}

/// Whom to ask, and as whom.
struct Desk {
    config: IppConfig,
    uri: String,
    link: Link,
    /// What the supervisor knows of the printer's mood.
    reported: Mutex<Judged>,
}

/// What was seen of the printer last.
#[derive(Debug)]
struct Memory {
    printer: Option<Printer>,
    boot: Option<Boot>,
    counting: Counting,
    judged: Judged,
    next_look: Instant,
    missed: u32,
}

/// Why a printer's attributes cannot be had.
#[derive(Debug, Clone)]
enum Trouble {
    Broken(Broken),
    Refused(StatusCode),
}

impl Trouble {
    fn fault(&self) -> Fault {
        match self {
            Self::Broken(broken) => outcome::fault(broken),
            Self::Refused(status) => outcome::fault_of_status(*status),
        }
    }

    /// As the end of a call of which nothing was printed.
    fn halt(&self, lang: Lang) -> Halt {
        match self {
            Self::Broken(broken) => outcome::before_document(broken, lang),
            Self::Refused(status) => Halt {
                failure: outcome::rejected(*status, lang),
                fault: Some(self.fault()),
            },
        }
    }
}

/// A driver for the printer of this configuration. It does nothing before it is opened.
pub fn driver(config: IppConfig) -> Box<dyn Driver> {
    let desk = Desk {
        uri: config.uri.to_string(),
        link: Link::new(&config),
        reported: Mutex::default(),
        config,
    };
    let memory = Memory {
        printer: None,
        boot: None,
        counting: Counting::default(),
        judged: Judged::default(),
        next_look: Instant::now(),
        missed: 0,
    };
    Box::new(Ipp { desk, memory })
}

impl Desk {
    fn question(&self, operation: Operation) -> Question {
        Question::new(operation, &self.uri, &self.config.user)
    }

    fn of_job(&self, operation: Operation, job: i32) -> Question {
        Question::of_job(operation, &self.uri, job, &self.config.user)
    }

    /// Asks the printer for some of its attributes.
    async fn printer(
        &self,
        wanted: &[&str],
        longest: Duration,
    ) -> Result<(Answer, Instant, Instant), Trouble> {
        let question = self
            .question(Operation::GetPrinterAttributes)
            .wanting(wanted);
        let asked = Instant::now();
        let answer = self.link.ask_within(longest, question.encode()).await;
        let answer = answer.map_err(Trouble::Broken)?;
        if !answer.status.is_success() {
            return Err(Trouble::Refused(answer.status));
        }
        Ok((answer, asked, Instant::now()))
    }

    async fn mood(&self) -> Result<(Mood, Option<Boot>), Trouble> {
        let (answer, asked, answered) = self.printer(snapshot::MOOD, timing::ANSWER).await?;
        let printer = answer.printer().ok_or(Trouble::Refused(answer.status))?;
        let mood = Mood::read(printer);
        let boot = mood.up.map(|up| Boot::new(up, asked, answered));
        Ok((mood, boot))
    }

    /// Jobs of the printer, open or over.
    async fn jobs(&self, which: &str, ours: bool, limit: i32) -> Result<Vec<JobView>, Trouble> {
        let question = self
            .question(Operation::GetJobs)
            .number("limit", limit)
            .wanting(snapshot::JOB)
            .keyword("which-jobs", which)
            .flag("my-jobs", ours);
        let answer = self.link.ask_within(timing::LOOK, question.encode()).await;
        let answer = answer.map_err(Trouble::Broken)?;
        if !answer.status.is_success() {
            return Err(Trouble::Refused(answer.status));
        }
        Ok(answer.jobs().filter_map(JobView::read).collect())
    }

    /// Asks for a job to be cancelled; whether it was shows the next look.
    async fn cancel(&self, job: i32) -> Result<(), Broken> {
        let question = self.of_job(Operation::CancelJob, job).encode();
        let answer = self.link.ask_within(timing::LOOK, question).await?;
        tracing::debug!(job, status = answer.status.0, "asked the printer to cancel");
        Ok(())
    }

    /// Whether a job of this name and user is one of this gateway's.
    fn is_ours(&self, job: &JobView) -> bool {
        let prefix = format!("{}/", self.config.namespace);
        Shown::of(job).is_of(&self.config.user)
            && job
                .name
                .as_ref()
                .is_some_and(|name| name.starts_with(&prefix))
    }
}

impl Desk {
    fn reported(&self) -> Judged {
        let reported = self.reported.lock();
        reported.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_reported(&self, judged: Judged) {
        let reported = self.reported.lock();
        *reported.unwrap_or_else(PoisonError::into_inner) = judged;
    }

    /// What the supervisor does not know yet of a mood.
    fn news(&self, now: &Judged) -> Vec<Report> {
        let was = self.reported();
        if *now == was {
            return Vec::new();
        }
        let report = if now.blocked {
            Report::Blocked(now.reasons.clone())
        } else {
            Report::Reasons(now.reasons.clone())
        };
        let events = events(&was, now).into_iter().map(Report::Event);
        iter::once(report).chain(events).collect()
    }
}

/// How many jobs of its history a printer is asked for.
const HISTORY: i32 = 20;
/// How many open jobs a printer is asked for.
const OPEN_JOBS: i32 = 100;

impl Ipp {
    /// Reads everything that is needed of the printer.
    async fn look(&mut self, longest: Duration) -> Result<&Printer, Trouble> {
        let answered = self.desk.printer(snapshot::WHOLE_PRINTER, longest).await?;
        let (answer, asked, answered) = answered;
        let printer = answer
            .printer()
            .map(Printer::read)
            .ok_or(Trouble::Refused(answer.status))?;
        let boot = printer.mood.up.map(|up| Boot::new(up, asked, answered));
        self.memory.boot = boot;
        self.memory.judged = reasons::judge_of(&printer.mood, printer.is_queue);
        Ok(self.memory.printer.insert(printer))
    }

    /// Makes contact: what it is, how it counts, and no job of ours left that has no document. A
    /// printer asleep answers when it has woken up; one that lists no jobs prints all the same.
    async fn contact(&mut self) -> Result<(), Fault> {
        let printer = self.look(timing::OPEN).await;
        let printer = printer.map_err(|trouble| trouble.fault())?;
        let needed = [Operation::CreateJob, Operation::SendDocument];
        let knows =
            |operation: &Operation| printer.operations.contains(&i32::from(*operation as i16));
        if !printer.operations.is_empty() && !needed.iter().all(knows) {
            return Err(outcome::too_simple());
        }
        for job in self.listed("completed", false, HISTORY).await? {
            self.memory.counting.learn(&job);
        }
        for job in self.listed("not-completed", true, OPEN_JOBS).await? {
            if self.desk.is_ours(&job) && job.lacks_its_document() {
                tracing::info!(
                    job = job.id,
                    "cancels a job that was left without its document"
                );
                let cancelled = self.desk.cancel(job.id).await;
                cancelled.map_err(|broken| outcome::fault(&broken))?;
            }
        }
        Ok(())
    }

    /// Jobs of the printer, none where it does not list them.
    async fn listed(&self, which: &str, ours: bool, limit: i32) -> Result<Vec<JobView>, Fault> {
        match self.desk.jobs(which, ours, limit).await {
            Ok(jobs) => Ok(jobs),
            Err(trouble @ Trouble::Broken(Broken::Unreachable(_) | Broken::Lost(_))) => {
                Err(trouble.fault())
            }
            Err(trouble) => {
                tracing::debug!(?trouble, which, "the printer does not list its jobs");
                Ok(Vec::new())
            }
        }
    }

    /// Looks how the idle printer is. `Err`: it must be opened anew.
    async fn check(&mut self) -> Result<(), Fault> {
        match self.desk.mood().await {
            Ok((mood, boot)) => {
                self.memory.missed = 0;
                self.memory.next_look = Instant::now() + timing::next_watch();
                let is_queue = self.is_queue();
                self.memory.judged = reasons::judge_of(&mood, is_queue);
                match (self.memory.boot, boot) {
                    (Some(known), Some(now)) if now.is_another_than(known) => {
                        Err(outcome::restarted())
                    }
                    _ => Ok(()),
                }
            }
            Err(trouble) => {
                self.memory.missed += 1;
                self.memory.next_look = Instant::now() + timing::MISSED_PAUSE;
                if self.memory.missed > timing::MISSED_LOOKS {
                    return Err(trouble.fault());
                }
                Ok(())
            }
        }
    }

    /// Whether a print server answers in the printer's place.
    fn is_queue(&self) -> bool {
        let printer = self.memory.printer.as_ref();
        printer.is_some_and(|printer| printer.is_queue)
    }

    async fn report(&mut self, reports: &Reports) {
        let now = self.memory.judged.clone();
        let news = self.desk.news(&now);
        if news.is_empty() {
            return;
        }
        // Room for all of it first: a call that interrupts here loses nothing.
        if let Ok(permits) = reports.reserve_many(news.len()).await {
            for (permit, report) in permits.zip(news) {
                permit.send(report);
            }
            self.desk.has_reported(now);
        }
    }

    async fn answer(&mut self, request: Request, call: &Call) -> Result<Response, Halt> {
        use any_device::{Request as Any, Response as Did};
        use document_printer::{Request as Print, Response as Done};
        Ok(match request {
            Request::DocumentPrinter(request) => Response::DocumentPrinter(match request {
                Print::Print(params) => Done::Print(self.print(params, call).await?),
                Print::Jobs(_) => Done::Jobs(self.jobs(call).await?),
                Print::Status(_) => Done::Status(self.status(call).await?),
            }),
            Request::AnyDevice(Any::SelfTest(params)) => {
                Did::SelfTest(self.self_test(params.level, call).await?).into()
            }
            Request::AnyDevice(Any::Identify(_)) => {
                Did::Identify(self.identify(call).await?).into()
            }
            Request::AnyDevice(Any::Reset(_)) => Did::Reset(self.reset(call).await?).into(),
            other => return Err(outcome::unsupported(other.spec().name, call.lang).into()),
        })
    }
}

/// What happened between two moods.
fn events(was: &Judged, now: &Judged) -> Vec<EventKind> {
    let (was, now) = (was.keywords(), now.keywords());
    let pairs: [(&str, Option<EventKind>, Option<EventKind>); 4] = [
        (
            "media-empty",
            Some(EventKind::PaperEmpty),
            Some(EventKind::PaperLoaded),
        ),
        ("media-low", Some(EventKind::PaperLow), None),
        ("media-jam", Some(EventKind::PaperJam), None),
        (
            "cover-open",
            Some(EventKind::CoverOpen),
            Some(EventKind::CoverClosed),
        ),
    ];
    let happened = pairs.into_iter().filter_map(|(keyword, begins, ends)| {
        let is = |list: &[String]| list.iter().any(|k| k == keyword);
        match (is(&was), is(&now)) {
            (false, true) => begins,
            (true, false) => ends,
            _ => None,
        }
    });
    happened.collect()
}

#[async_trait]
impl Driver for Ipp {
    async fn open(&mut self) -> Result<Opened, Fault> {
        let made = timeout(timing::OPEN, self.contact()).await;
        made.unwrap_or_else(|_| Err(outcome::fault(&Broken::Silent)))?;
        // Blocked or not is said by the first report: `Opened` knows attention only.
        self.desk.has_reported(Judged {
            blocked: false,
            ..self.memory.judged.clone()
        });
        let printer = self.memory.printer.as_ref();
        Ok(Opened {
            identity: printer.map(|p| p.identity.clone()).unwrap_or_default(),
            capabilities: printer
                .map(|p| Capabilities::DocumentPrinter(capabilities::capabilities(p))),
            reasons: self.memory.judged.reasons.clone(),
        })
    }

    async fn run(&mut self, request: Request, call: &mut Call) -> Finished {
        let answer = self.answer(request, call).await;
        // What a call leaves behind is looked at as soon as it is over.
        self.memory.next_look = Instant::now();
        answer.into()
    }

    async fn watch(&mut self, reports: &Reports) -> Fault {
        loop {
            self.report(reports).await;
            sleep_until(self.memory.next_look).await;
            // A look that a call interrupts has changed nothing.
            if let Err(fault) = self.check().await {
                return fault;
            }
        }
    }

    async fn reconcile(&mut self, interrupted: &Interrupted) -> Reconciled {
        self.ask_back(interrupted).await
    }

    async fn close(&mut self) {
        // A connection lasts no longer than an exchange: there is nothing to let go of.
    }
}

/// Waits, unless the call should end.
async fn rest(call: &Call, pause: std::time::Duration) -> Result<(), crate::Stop> {
    tokio::select! {
        biased;
        stop = call.stopped() => Err(stop),
        () = sleep(pause) => Ok(()),
    }
}
