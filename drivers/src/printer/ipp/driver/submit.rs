//! Create-Job and Send-Document.

use koffer_proto::{
    ProgressEvent, Status,
    class::document_printer::{Document, DocumentFormat, JobState, Sides},
};
use tokio::time::{Instant, timeout};

use super::{
    Desk, Ipp, Trouble,
    follow::{Sight, Watcher},
    print::delivery,
    rest,
};
use crate::{
    Call, Stop,
    printer::ipp::{
        identity::Shown,
        job::Delivery,
        link::Broken,
        outcome::{self, Halt},
        snapshot::JobView,
        timing,
        wire::{Answer, Operation, StatusCode},
    },
};

/// A job to be made.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Its name, which no other job ever has.
    pub(super) name: String,
    pub(super) format: DocumentFormat,
    pub(super) copies: Option<u16>,
    pub(super) sides: Sides,
    /// Whether the printer names them; otherwise they are not sent.
    pub(super) names_sides: bool,
    pub(super) media: Option<String>,
    pub(super) colour_mode: Option<&'static str>,
}

/// How a job is recognised.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) job: i32,
    pub(super) name: String,
    pub(super) boot: Option<crate::printer::ipp::epoch::Boot>,
    /// What the printer showed of it when it was known to be this one.
    pub(super) shown: Option<Shown>,
    /// Whether a print server answers in the printer's place.
    pub(super) is_queue: bool,
}

/// What became of sending the document.
pub(super) struct Delivered {
    pub(super) delivery: Delivery,
    /// What the printer answered.
    pub(super) status: Option<StatusCode>,
    /// What answered in its place.
    pub(super) broken: Option<Broken>,
    pub(super) stop: Option<Stop>,
    /// The job as the answer shows it.
    pub(super) job: Option<JobView>,
}

impl Delivered {
    fn in_doubt(stop: Option<Stop>) -> Self {
        Self {
            delivery: Delivery::InDoubt,
            status: None,
            broken: None,
            stop,
            job: None,
        }
    }
}

/// The job attributes that are sent: one that is ignored makes another print of it. What else a
/// printer ignores (`job-name`, `ipp-attribute-fidelity` itself) changes no page.
const TEMPLATE: [&str; 4] = ["copies", "sides", "media", "print-color-mode"];

impl Desk {
    /// The job's name for a call: clients choose their call ids freely, so theirs stands in it.
    pub(super) fn name(&self, call: &Call) -> String {
        format!("{}/{}/{}", self.config.namespace, call.client, call.id)
    }

    fn create(&self, wanted: &Wanted) -> bytes::Bytes {
        let mut question = self
            .question(Operation::CreateJob)
            .name("job-name", &wanted.name)
            // Nothing is printed otherwise than asked for.
            .flag("ipp-attribute-fidelity", true);
        if let Some(copies) = wanted.copies {
            question = question.template_number("copies", copies.into());
        }
        if wanted.names_sides {
            question = question.template_keyword("sides", wanted.sides.as_str());
        }
        if let Some(media) = &wanted.media {
            question = question.template_keyword("media", media);
        }
        if let Some(mode) = wanted.colour_mode {
            question = question.template_keyword("print-color-mode", mode);
        }
        question.encode()
    }

    fn document(&self, job: i32, wanted: &Wanted, document: &Document) -> bytes::Bytes {
        self.of_job(Operation::SendDocument, job)
            .name("document-name", &wanted.name)
            .mime("document-format", wanted.format.as_str())
            .flag("last-document", true)
            .encode_with(document.content.as_bytes())
    }
}

/// What a printer made of Create-Job.
enum Created {
    Job(i32),
    Busy,
    No(Halt),
}

impl Ipp {
    /// Makes a job, waiting for a printer that prints something else. Nothing is printed here,
    /// and a job that nobody knows of any more is withdrawn.
    pub(super) async fn create(&mut self, wanted: &Wanted, call: &Call) -> Result<i32, Halt> {
        let question = self.desk.create(wanted);
        let mut told_busy = false;
        loop {
            // Asked first: a call whose time has come creates nothing any more.
            rest(call, std::time::Duration::ZERO)
                .await
                .map_err(|stop| outcome::stopped(stop, call.lang))?;
            match self.ask_for_job(question.clone(), wanted, call).await {
                Created::Job(job) => return Ok(job),
                Created::No(halt) => return Err(halt),
                Created::Busy => {}
            }
            if !told_busy {
                told_busy = true;
                call.progress(busy(call)).await;
            }
            rest(call, timing::BUSY_PAUSE)
                .await
                .map_err(|stop| outcome::stopped(stop, call.lang))?;
        }
    }

    async fn ask_for_job(&self, question: bytes::Bytes, wanted: &Wanted, call: &Call) -> Created {
        let asking = self.desk.link.ask(question);
        tokio::pin!(asking);
        let (answer, stop) = tokio::select! {
            biased;
            answer = &mut asking => (answer, None),
            // What is on its way cannot be called back: wait for its answer a little.
            stop = call.stopped() => {
                let answer = timeout(timing::ORPHAN, asking).await;
                (answer.unwrap_or(Err(Broken::Silent)), Some(stop))
            }
        };
        let created = match answer {
            Ok(answer) => self.judge(&answer, call).await,
            Err(broken) if broken.is_busy() => Created::Busy,
            Err(broken) if broken.did_nothing() => {
                Created::No(outcome::before_document(&broken, call.lang))
            }
            Err(broken) => {
                self.withdraw(&wanted.name).await;
                Created::No(outcome::before_document(&broken, call.lang))
            }
        };
        match (created, stop) {
            (Created::Job(job), Some(stop)) => {
                let cancelled = self.desk.cancel(job).await;
                let mut halt = Halt::from(outcome::stopped(stop, call.lang));
                halt.fault = cancelled.err().map(|broken| outcome::fault(&broken));
                Created::No(halt)
            }
            (Created::No(halt), Some(stop)) => Created::No(Halt {
                failure: outcome::stopped(stop, call.lang),
                fault: halt.fault,
            }),
            (created, _) => created,
        }
    }

    async fn judge(&self, answer: &Answer, call: &Call) -> Created {
        let job = answer.jobs().next().and_then(|job| job.int("job-id"));
        let mut ignored = answer.unsupported();
        ignored.retain(|name| TEMPLATE.contains(&name.as_str()));
        match (answer.status, job) {
            (StatusCode::SUBSTITUTED, Some(job)) if !ignored.is_empty() => {
                // Asked for fidelity and not given it: better nothing than something else.
                let _ = self.desk.cancel(job).await;
                let attributes = ignored.join(", ");
                let why = koffer_proto::Text::new(
                    format!("Der Drucker kann das nicht wie verlangt: {attributes}."),
                    format!("The printer cannot do this as asked: {attributes}."),
                );
                let status = Status::Unsupported;
                Created::No(outcome::refused(status, "", &why, call.lang).into())
            }
            (status, Some(job)) if status.is_success() => Created::Job(job),
            (status, _) if status.is_busy() => Created::Busy,
            (status, _) => Created::No(outcome::rejected(status, call.lang).into()),
        }
    }

    /// Looks for a job that may have been made and cancels it; it has no document. What is not
    /// found now is found at the next contact.
    pub(super) async fn withdraw(&self, name: &str) {
        let search = async {
            loop {
                match self.withdraw_once(name).await {
                    Ok(()) => return,
                    Err(trouble) => {
                        tracing::debug!(?trouble, "looking for a job without document");
                    }
                }
                tokio::time::sleep(timing::FIRST_LOOK).await;
            }
        };
        let _ = timeout(timing::ORPHAN, search).await;
    }

    async fn withdraw_once(&self, name: &str) -> Result<(), Trouble> {
        let open = self
            .desk
            .jobs("not-completed", true, super::OPEN_JOBS)
            .await?;
        let is_it = |job: &&JobView| self.desk.is_ours(job) && job.name.as_deref() == Some(name);
        for job in open.iter().filter(is_it) {
            let cancelled = self.desk.cancel(job.id).await;
            cancelled.map_err(Trouble::Broken)?;
        }
        Ok(())
    }

    /// Sends the document, once, and watches the printer meanwhile: it may print and run out of
    /// paper before it has taken all of it.
    pub(super) async fn deliver(
        &self,
        ticket: &Ticket,
        wanted: &Wanted,
        document: &Document,
        call: &Call,
    ) -> Delivered {
        let question = self.desk.document(ticket.job, wanted, document);
        let upload = self.desk.link.send(question);
        tokio::pin!(upload);
        tokio::select! {
            biased;
            answer = &mut upload => match answer {
                Ok(answer) => Delivered {
                    delivery: delivery(answer.status),
                    status: Some(answer.status),
                    job: answer.jobs().find_map(JobView::read),
                    ..Delivered::in_doubt(None)
                },
                Err(broken) => {
                    tracing::warn!(job = ticket.job, %broken, "the document was not accepted");
                    let refused = matches!(broken, Broken::Http { .. }) && broken.did_nothing();
                    Delivered {
                        delivery: if refused { Delivery::Refused } else { Delivery::InDoubt },
                        broken: refused.then_some(broken),
                        ..Delivered::in_doubt(None)
                    }
                }
            },
            stop = call.stopped() => Delivered::in_doubt(Some(stop)),
            () = self.until_hopeless(ticket, wanted, call) => Delivered::in_doubt(None),
        }
    }

    /// Watches a printer that takes a document; returns when it will never take the rest.
    async fn until_hopeless(&self, ticket: &Ticket, wanted: &Wanted, call: &Call) {
        let mut watcher = Watcher::new(&self.desk, ticket, wanted.sides, call);
        let mut reached = Instant::now();
        let mut over = None;
        loop {
            tokio::time::sleep(timing::LONGEST_LOOK).await;
            match watcher.look().await {
                Ok(Sight::Job(job)) if !job.is_over() => reached = Instant::now(),
                Ok(sight) => {
                    // Its answer may be on the way. A printer that is through with a job may
                    // have forgotten it already.
                    let printed = match &sight {
                        Sight::Job(job) => job.state == JobState::Completed,
                        Sight::Gone(left) => !left.remembers,
                        Sight::Restarted => false,
                    };
                    let late = if printed {
                        timing::LATE_ANSWER
                    } else {
                        timing::LONGEST_LOOK
                    };
                    if over.get_or_insert_with(Instant::now).elapsed() >= late {
                        return;
                    }
                }
                Err(_) if reached.elapsed() > timing::OUT_OF_REACH => return,
                Err(_) => {}
            }
        }
    }
}

fn busy(call: &Call) -> ProgressEvent {
    let text = koffer_proto::Text::new(
        "Der Drucker druckt noch einen anderen Auftrag. Dieser Auftrag wartet.",
        "The printer is printing another job. This job waits.",
    );
    ProgressEvent::StateReasons {
        reasons: vec!["printer-busy".to_owned()],
        text: text.get(call.lang).to_owned(),
    }
}
