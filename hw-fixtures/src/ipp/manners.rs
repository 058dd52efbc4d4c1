//! What a scripted printer does otherwise than a well-behaved one.

use std::time::Duration;

use super::wire::{Attribute, Operation};

/// How a printer behaves. The default is well-behaved: two pages, counted while they are printed.
#[derive(Debug, Clone)]
pub struct Manners {
    /// The newest version of IPP it takes; it answers others with
    /// `server-error-version-not-supported`.
    pub newest_version: u16,
    /// What these operations are answered with instead of being done.
    pub status: Vec<(Operation, u16)>,
    /// HTTP statuses that these operations are answered with; with a place to go for redirects.
    pub http: Vec<(Operation, u16)>,
    /// Printer and job attributes that it leaves out.
    pub without: Vec<&'static str>,
    /// Printer attributes that it shows instead of or beside its own.
    pub shows: Vec<Attribute>,
    /// Operation and job template attributes that it does not know: asked for fidelity it refuses,
    /// otherwise it ignores them and says so.
    pub unknown: Vec<&'static str>,
    /// The same, but it makes the job and says what it ignored.
    pub ignores: Vec<&'static str>,
    /// What it makes of `job-name`.
    pub names: Names,
    /// What it shows as `job-originating-user-name`; `None`: who asked.
    pub user: Option<&'static str>,
    /// How its `printer-up-time` runs.
    pub uptime: Uptime,
    /// How it counts what it prints.
    pub counts: Counts,
    /// Pages of a document.
    pub pages: u32,
    /// How long a page takes.
    pub page: Duration,
    /// Whether any paper comes out.
    pub paper: bool,
    /// After how many pages the engine gives up.
    pub gives_up_after: Option<u32>,
    /// The job's state and reasons when the engine is through.
    pub end: End,
    /// Reasons for which a job is held and never printed.
    pub held: Vec<&'static str>,
    /// `job-state` is `completed` before the first page.
    pub completed_first: bool,
    /// Pages that still come out after a cancel, whose job then says `processing-to-stop-point`.
    pub drains: u32,
    /// Jobs are forgotten when they are over.
    pub forgets: bool,
    /// How long after it was done Send-Document is answered.
    pub late_answer: Duration,
    /// How long Get-Printer-Attributes takes to be answered the first time.
    pub wakes_in: Duration,
    /// `printer-state-reasons` from the first page of a job on.
    pub while_printing: Vec<&'static str>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            newest_version: 0x0200,
            status: Vec::new(),
            http: Vec::new(),
            without: Vec::new(),
            shows: Vec::new(),
            unknown: Vec::new(),
            ignores: Vec::new(),
            names: Names::AsAsked,
            user: None,
            uptime: Uptime::Runs,
            counts: Counts::Live,
            pages: 2,
            page: Duration::from_millis(150),
            paper: true,
            gives_up_after: None,
            end: End(9, &["job-completed-successfully"]),
            held: Vec::new(),
            completed_first: false,
            drains: 0,
            forgets: false,
            late_answer: Duration::ZERO,
            wakes_in: Duration::ZERO,
            while_printing: Vec::new(),
        }
    }
}

/// `job-state` and `job-state-reasons`.
#[derive(Debug, Clone, Copy)]
pub struct End(pub i32, pub &'static [&'static str]);

/// What a printer makes of a job's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// It gives it back.
    AsAsked,
    /// Only so many characters of it.
    Cut(usize),
    /// Its own in its place.
    Instead(&'static str),
}

/// How a printer's `printer-up-time` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uptime {
    /// With the clock.
    Runs,
    /// It stands still at this value.
    Stands(u32),
    /// It is set back to zero at the first page, as by a restart that forgets nothing.
    SetBack,
}

/// How a printer counts impressions and sheets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Each page as it comes out.
    Live,
    /// All of them when the job is completed; before, and of other ends, zero.
    AtEnd,
    /// Always zero.
    Zero,
    /// The first job as it comes out, later ones always zero.
    FirstJobOnly,
    /// It shows no count.
    Never,
}
