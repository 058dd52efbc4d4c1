//! Document scanners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Blob, Sha256, bound::bounded_number, operation::operations};

operations! {
    Scanner, locked_while_unresolved: false, content: content_bytes;
    /// Scans; pages come one by one as progress, a PDF/A as the result.
    Scan(ScanParams) -> Scanned = "scan", Repeatable, 900 s, confidential;
}

/// The scanned document.
fn content_bytes(response: &Response) -> usize {
    match response {
        Response::Scan(scanned) => scanned.document.as_ref().map_or(0, crate::Blob::len),
    }
}

/// Where the paper lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// On the glass.
    Flatbed,
    /// In the feeder, one side.
    Feeder,
    /// In the feeder, both sides.
    FeederDuplex,
}

/// How much a pixel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColourMode {
    /// Black or white.
    BlackAndWhite,
    /// Eight-bit grey.
    Grey,
    /// Three times eight bits.
    #[default]
    Colour,
}

bounded_number! {
    /// Resolution.
    Dpi(u16) in 50..=1200;
    /// A length in millimetres.
    Millimetres(u16) in 0..=500;
}

/// A part of the sheet, from its top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Area {
    /// From the left.
    pub left_mm: Millimetres,
    /// From the top.
    pub top_mm: Millimetres,
    /// How wide.
    pub width_mm: Millimetres,
    /// How high.
    pub height_mm: Millimetres,
}

/// How a page is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum PageFormat {
    /// JPEG.
    #[default]
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// PNG.
    #[serde(rename = "image/png")]
    Png,
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Pages, one by one.
    #[default]
    Pages,
    /// One PDF/A-2b with all pages.
    PdfA,
}

/// Parameters of `scan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScanParams {
    /// Where the paper lies.
    pub source: Source,
    /// How much a pixel says.
    #[serde(default)]
    pub colour: ColourMode,
    /// Resolution; 300 unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpi: Option<Dpi>,
    /// A part of the sheet; all of it unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Area>,
    /// How pages are encoded.
    #[serde(default)]
    pub format: PageFormat,
    /// What comes back.
    #[serde(default)]
    pub output: Output,
}

/// Result of `scan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scanned {
    /// How many pages.
    pub pages: u32,
    /// The SHA-256 of each page in its order.
    pub page_sha256: Vec<Sha256>,
    /// The PDF/A, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Blob>,
}
