//! Printers for documents (IPP). Keywords are IPP's and PWG's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::empty;
use crate::{
    Blob, Reason, Sha256,
    bound::{bounded_number, bounded_text},
    operation::operations,
};

operations! {
    DocumentPrinter, locked_while_unresolved: false, content: |_| 0;
    /// Prints a document.
    Print(PrintParams) -> Printed = "print", Once, 900 s;
    /// Lists the printer's jobs.
    Jobs(JobsParams) -> Jobs = "jobs", None, 30 s;
    /// Asks the printer how it is.
    Status(StatusParams) -> PrinterStatus = "status", None, 30 s;
}

/// How a document is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DocumentFormat {
    /// PDF.
    #[serde(rename = "application/pdf")]
    Pdf,
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// PWG raster.
    #[serde(rename = "image/pwg-raster")]
    PwgRaster,
}

impl DocumentFormat {
    /// The MIME type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Jpeg => "image/jpeg",
            Self::PwgRaster => "image/pwg-raster",
        }
    }
}

/// A document to print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// How it is encoded.
    pub format: DocumentFormat,
    /// The document.
    pub content: Blob,
    /// Its SHA-256: a document that does not match is not printed.
    pub sha256: Sha256,
}

/// IPP's `sides`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sides {
    /// One side of each sheet.
    #[default]
    OneSided,
    /// Both sides, turned over the long edge.
    TwoSidedLongEdge,
    /// Both sides, turned over the short edge.
    TwoSidedShortEdge,
}

impl Sides {
    /// The IPP keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneSided => "one-sided",
            Self::TwoSidedLongEdge => "two-sided-long-edge",
            Self::TwoSidedShortEdge => "two-sided-short-edge",
        }
    }
}

bounded_number! {
    /// How often.
    Copies(u16) in 1..=999;
}

bounded_text! {
    /// A PWG media name, e.g. `iso_a4_210x297mm`.
    Media in 1..=255;
}

/// Parameters of `print`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrintParams {
    /// What.
    pub document: Document,
    /// How often; once unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<Copies>,
    /// On which sides; one-sided unless said otherwise.
    #[serde(default)]
    pub sides: Sides,
    /// On what; the printer's default unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// In colour or in grey; the printer's default unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<bool>,
}

/// How much a completion proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrintProof {
    /// The printer said that this very job is printed (ESC/POS process id).
    ProcessId,
    /// The printer's job state is `completed`.
    IppCompleted,
    /// The printer took all bytes and says nothing of paper.
    BytesSent,
}

/// Result of `print`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Printed {
    /// The printer's job id.
    pub job: i32,
    /// Sheets that came out, where the printer counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheets: Option<u32>,
    /// How much this proves.
    pub proof: PrintProof,
}

/// IPP's `job-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "RFC 8011, 5.3.7")]
pub enum JobState {
    Pending,
    PendingHeld,
    Processing,
    ProcessingStopped,
    Canceled,
    Aborted,
    Completed,
}

/// One job of a printer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// The printer's job id.
    pub job: i32,
    /// Its name; a job of the gateway's own carries its call id.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Where it stands.
    pub state: JobState,
    /// Sheets so far, where the printer counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheets: Option<u32>,
}

/// Result of `jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jobs {
    /// Open ones first, then what the printer remembers.
    pub jobs: Vec<Job>,
}

/// IPP's `printer-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "RFC 8011, 5.4.11")]
pub enum PrinterState {
    Idle,
    Processing,
    Stopped,
}

/// Toner, ink, paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Supply {
    /// What the printer calls it.
    pub name: String,
    /// How full, in percent; absent where the printer does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrinterStatus {
    /// What it does.
    pub state: PrinterState,
    /// Whether it takes jobs.
    pub accepting: bool,
    /// What needs attention.
    pub reasons: Vec<Reason>,
    /// PWG media names that lie in the trays.
    pub media_ready: Vec<String>,
    /// Toner, ink, paper by tray.
    pub supplies: Vec<Supply>,
}

empty! {
    /// Parameters of `jobs`.
    JobsParams;
    /// Parameters of `status`.
    StatusParams;
}
