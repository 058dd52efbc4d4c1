//! What the printer does with a request, and the engine that prints.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::time::sleep;

use super::{
    manners::{Counts, End, Manners, Names, Uptime},
    wire::{Attribute, Operation, Request, Value},
};

const ABORTED: i32 = 8;
const CANCELED: i32 = 7;
const COMPLETED: i32 = 9;
const HELD: i32 = 4;
const PENDING: i32 = 3;
const PROCESSING: i32 = 5;
/// How long a well-behaved printer says it was up when it is started.
const UP: i32 = 5000;

const JOB: u8 = 0x02;
const PRINTER: u8 = 0x04;
const UNSUPPORTED: u8 = 0x05;

/// A job in the printer.
#[derive(Debug, Clone)]
struct Job {
    id: i32,
    name: String,
    user: String,
    state: i32,
    reasons: Vec<&'static str>,
    pages: u32,
    begun: bool,
    documents: i32,
    /// Pages that still come out although it was cancelled.
    draining: u32,
}

/// A printer's memory.
#[derive(Debug)]
pub(super) struct Memory {
    manners: Manners,
    started: Instant,
    set_back: Option<Instant>,
    jobs: Vec<Job>,
    next: i32,
    /// What was asked, in order.
    pub(super) asked: Vec<Request>,
    /// Documents that it took.
    pub(super) documents: Vec<Vec<u8>>,
    /// Sheets that came out.
    pub(super) sheets: u32,
    awake: bool,
}

/// A printer that several connections share.
#[derive(Debug, Clone)]
pub(super) struct Engine(Arc<Mutex<Memory>>);

impl Engine {
    pub(super) fn new(manners: Manners) -> Self {
        Self(Arc::new(Mutex::new(Memory {
            manners,
            started: Instant::now(),
            set_back: None,
            jobs: Vec::new(),
            next: 1,
            asked: Vec::new(),
            documents: Vec::new(),
            sheets: 0,
            awake: false,
        })))
    }

    /// Looks at or changes the printer.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn manners(&self) -> Manners {
        self.with(|memory| memory.manners.clone())
    }

    pub(super) async fn answer(&self, request: &Request) -> Vec<u8> {
        let manners = self.manners();
        self.with(|memory| memory.asked.push(request.clone()));
        if request.version > manners.newest_version {
            return request.answer(manners.newest_version, 0x0503, &[]);
        }
        let scripted = manners.status.iter().find(|(o, _)| *o == request.operation);
        if let Some((_, status)) = scripted {
            return request.answer(request.version, *status, &[]);
        }
        let (status, groups) = match request.operation {
            Operation::GetPrinterAttributes => {
                if !self.with(|memory| std::mem::replace(&mut memory.awake, true)) {
                    sleep(manners.wakes_in).await;
                }
                let shown = self.with(|memory| memory.printer());
                (0, vec![(PRINTER, shown)])
            }
            Operation::GetJobs => (0, self.with(|memory| memory.listed(request))),
            Operation::CreateJob => self.with(|memory| memory.create(request)),
            Operation::SendDocument => self.take(request, &manners).await,
            Operation::GetJobAttributes => self.with(|memory| memory.job(request)),
            Operation::CancelJob => self.with(|memory| memory.cancel(request)),
        };
        request.answer(request.version, status, &groups)
    }

    async fn take(&self, request: &Request, manners: &Manners) -> (u16, Vec<(u8, Vec<Attribute>)>) {
        let known = self.with(|memory| {
            memory.documents.push(request.document.clone());
            let job = memory.find(request)?;
            job.documents = 1;
            job.reasons.clear();
            Some(job.id)
        });
        let Some(id) = known else {
            return (0x0406, Vec::new());
        };
        let answer = self.with(|memory| memory.job(request));
        tokio::spawn(self.clone().print(id));
        sleep(manners.late_answer).await;
        answer
    }

    /// Prints a job as its manners are.
    async fn print(self, id: i32) {
        let manners = self.manners();
        if !manners.held.is_empty() {
            self.change(id, |job| {
                (job.state, job.reasons) = (HELD, manners.held.clone());
            });
            return;
        }
        sleep(manners.page).await;
        let first = if manners.completed_first {
            (COMPLETED, manners.end.1.to_vec())
        } else {
            (PROCESSING, vec!["job-printing"])
        };
        self.change(id, |job| {
            if job.state < CANCELED {
                (job.state, job.reasons) = first;
                job.begun = true;
            }
        });
        let pages = manners.gives_up_after.unwrap_or(manners.pages);
        for _ in 0..pages.min(manners.pages) {
            sleep(manners.page).await;
            if !self.with(|memory| memory.page(id)) {
                break;
            }
        }
        let End(state, reasons) = manners.end;
        self.change(id, |job| {
            if job.state < CANCELED {
                (job.state, job.reasons) = (state, reasons.to_vec());
            }
        });
        if manners.forgets {
            self.with(|memory| memory.jobs.retain(|job| job.id != id));
        }
    }

    fn change(&self, id: i32, change: impl FnOnce(&mut Job)) {
        self.with(|memory| memory.jobs.iter_mut().find(|job| job.id == id).map(change));
    }
}

impl Memory {
    /// One page; `false` where none comes out any more.
    fn page(&mut self, id: i32) -> bool {
        let paper = self.manners.paper;
        if self.manners.uptime == Uptime::SetBack {
            self.set_back.get_or_insert_with(Instant::now);
        }
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else {
            return false;
        };
        if matches!(job.state, CANCELED | ABORTED) {
            if job.draining == 0 {
                return false;
            }
            job.draining -= 1;
        }
        job.pages += 1;
        self.sheets += u32::from(paper);
        true
    }

    fn find(&mut self, request: &Request) -> Option<&mut Job> {
        let id = request.integer("job-id")?;
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    fn up(&self) -> i32 {
        let seconds = |since: Instant| i32::try_from(since.elapsed().as_secs()).unwrap_or(i32::MAX);
        match (self.manners.uptime, self.set_back) {
            (Uptime::Stands(up), _) => i32::try_from(up).unwrap_or(i32::MAX),
            (_, Some(set_back)) => seconds(set_back),
            _ => UP + seconds(self.started),
        }
    }

    fn printer(&self) -> Vec<Attribute> {
        let busy = self.jobs.iter().any(|job| job.state == PROCESSING);
        let printing = busy
            && self
                .jobs
                .iter()
                .any(|job| job.state == PROCESSING && job.pages > 0);
        let reasons = if printing && !self.manners.while_printing.is_empty() {
            self.manners.while_printing.as_slice()
        } else {
            &["none"]
        };
        let operations = Operation::ALL.map(|(_, code)| Value::Enum(code.into()));
        let mime = |format: &str| Value::Mime(format.to_owned());
        let sides = ["one-sided", "two-sided-long-edge"];
        let mut shown = vec![
            Attribute::new(
                "printer-make-and-model",
                [Value::Text("Scripted".to_owned())],
            ),
            Attribute::new("printer-uuid", [Value::Uri(format!("urn:uuid:{self:p}"))]),
            Attribute::new("printer-state", [Value::Enum(if busy { 4 } else { 3 })]),
            Attribute::keywords("printer-state-reasons", reasons),
            Attribute::new("printer-is-accepting-jobs", [Value::Boolean(true)]),
            Attribute::new("printer-up-time", [Value::Integer(self.up())]),
            Attribute::new("document-format-supported", [mime("application/pdf")]),
            Attribute::keywords("media-supported", &["iso_a4_210x297mm"]),
            Attribute::keywords("sides-supported", &sides),
            Attribute::new("copies-supported", [Value::Range(1, 99)]),
            Attribute::new("operations-supported", operations),
        ];
        for attribute in &self.manners.shows {
            shown.retain(|own| own.name != attribute.name);
            shown.push(attribute.clone());
        }
        self.without(shown)
    }

    fn without(&self, mut shown: Vec<Attribute>) -> Vec<Attribute> {
        shown.retain(|own| !self.manners.without.contains(&own.name.as_str()));
        shown
    }

    fn shown(&self, job: &Job) -> Vec<Attribute> {
        let manners = &self.manners;
        let name = match manners.names {
            Names::AsAsked => job.name.clone(),
            Names::Cut(length) => job.name.chars().take(length).collect(),
            Names::Instead(name) => name.to_owned(),
        };
        let counted = match manners.counts {
            Counts::Live => Some(job.pages),
            Counts::FirstJobOnly if job.id == 1 => Some(job.pages),
            Counts::AtEnd if job.state == COMPLETED => Some(job.pages),
            Counts::AtEnd | Counts::Zero | Counts::FirstJobOnly => Some(0),
            Counts::Never => None,
        };
        let reasons = if job.reasons.is_empty() {
            &["none"]
        } else {
            job.reasons.as_slice()
        };
        let user = manners.user.unwrap_or(&job.user).to_owned();
        let processing = if job.begun {
            Value::Integer(self.up())
        } else {
            Value::NoValue
        };
        let mut shown = vec![
            Attribute::new("job-id", [Value::Integer(job.id)]),
            Attribute::new("job-name", [Value::Name(name)]),
            Attribute::new("job-originating-user-name", [Value::Name(user)]),
            Attribute::new("job-state", [Value::Enum(job.state)]),
            Attribute::keywords("job-state-reasons", reasons),
            Attribute::new("time-at-processing", [processing]),
            Attribute::new("number-of-documents", [Value::Integer(job.documents)]),
        ];
        if let Some(counted) = counted {
            let counted = Value::Integer(i32::try_from(counted).unwrap_or(i32::MAX));
            for name in ["job-impressions-completed", "job-media-sheets-completed"] {
                shown.push(Attribute::new(name, [counted.clone()]));
            }
        }
        self.without(shown)
    }

    fn listed(&self, request: &Request) -> Vec<(u8, Vec<Attribute>)> {
        let completed = request.text("which-jobs") == Some("completed");
        let listed = self
            .jobs
            .iter()
            .filter(|job| (job.state >= CANCELED) == completed);
        listed.map(|job| (JOB, self.shown(job))).collect()
    }

    fn create(&mut self, request: &Request) -> (u16, Vec<(u8, Vec<Attribute>)>) {
        let sent = |names: &[&'static str]| {
            let names = names.iter().filter(|name| request.value(name).is_some());
            names
                .map(|name| Attribute::new(name, [Value::Other(0x10, Vec::new())]))
                .collect()
        };
        let refused: Vec<_> = sent(&self.manners.unknown);
        if !refused.is_empty() {
            return (0x040B, vec![(UNSUPPORTED, refused)]);
        }
        let ignored: Vec<_> = sent(&self.manners.ignores);
        let text = |name| request.text(name).unwrap_or_default().to_owned();
        let job = Job {
            id: self.next,
            name: text("job-name"),
            user: text("requesting-user-name"),
            state: PENDING,
            reasons: vec!["job-incoming", "job-data-insufficient"],
            pages: 0,
            begun: false,
            documents: 0,
            draining: 0,
        };
        self.next += 1;
        // What RFC 8011, 4.2.4.2, asks for, and no more: name and user show only later.
        let basic = ["job-id", "job-state", "job-state-reasons"];
        let mut shown = self.shown(&job);
        shown.retain(|attribute| basic.contains(&attribute.name.as_str()));
        self.jobs.push(job);
        if ignored.is_empty() {
            (0, vec![(JOB, shown)])
        } else {
            (1, vec![(UNSUPPORTED, ignored), (JOB, shown)])
        }
    }

    fn job(&mut self, request: &Request) -> (u16, Vec<(u8, Vec<Attribute>)>) {
        match self.find(request).cloned() {
            Some(job) => (0, vec![(JOB, self.shown(&job))]),
            None => (0x0406, Vec::new()),
        }
    }

    fn cancel(&mut self, request: &Request) -> (u16, Vec<(u8, Vec<Attribute>)>) {
        let drains = self.manners.drains;
        let Some(job) = self.find(request) else {
            return (0x0406, Vec::new());
        };
        if job.state >= CANCELED {
            return (0x0404, Vec::new());
        }
        job.state = CANCELED;
        job.reasons = vec!["job-canceled-by-user"];
        if job.begun && drains > 0 {
            job.draining = drains;
            job.reasons.push("processing-to-stop-point");
        }
        (0, Vec::new())
    }
}
