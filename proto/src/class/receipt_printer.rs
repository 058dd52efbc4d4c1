//! Printers for receipts (ESC/POS), and the cash drawer behind them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{document_printer::PrintProof, empty, payment::Align};
use crate::{
    Blob,
    bound::{bounded_number, bounded_text},
    operation::operations,
};

operations! {
    ReceiptPrinter, locked_while_unresolved: false, content: |_| 0;
    /// Prints a receipt.
    Print(PrintParams) -> Printed = "print", Once, 120 s;
    /// Opens the cash drawer.
    OpenDrawer(OpenDrawerParams) -> DrawerOpened = "open-drawer", Once, 30 s;
    /// Asks the printer how it is.
    Status(StatusParams) -> ReceiptPrinterStatus = "status", None, 30 s;
}

bounded_text! {
    /// One line of text.
    Line in 0..=200;
    /// What a code says.
    CodeData in 1..=1000;
}

bounded_number! {
    /// Lines to feed.
    FeedLines(u8) in 1..=20;
    /// The module size of a QR code, in dots.
    ModuleSize(u8) in 1..=16;
    /// How long the drawer's solenoid is driven, in milliseconds.
    PulseMs(u16) in 50..=500;
}

/// The symbology of a one-dimensional barcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the symbologies' own names")]
pub enum Symbology {
    Code128,
    Code39,
    Ean13,
    Ean8,
    Itf,
    UpcA,
}

/// A piece of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Block {
    /// A line of text.
    Text {
        /// The text.
        text: Line,
        /// Where it stands.
        #[serde(default, skip_serializing_if = "Align::is_left")]
        align: Align,
        /// Bold.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bold: bool,
        /// Underlined.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        underline: bool,
        /// In double width.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        double_width: bool,
        /// In double height.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        double_height: bool,
    },
    /// A QR code.
    Qr {
        /// What it says.
        data: CodeData,
        /// How large; the printer's default unless said otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        module_size: Option<ModuleSize>,
    },
    /// A barcode.
    Barcode {
        /// Of which kind.
        symbology: Symbology,
        /// What it says.
        data: CodeData,
    },
    /// A picture, black and white after dithering, no wider than the paper.
    Image {
        /// PNG.
        content: Blob,
    },
    /// Empty lines.
    Feed {
        /// How many.
        lines: FeedLines,
    },
    /// A cut.
    Cut {
        /// Leaves a bridge of paper.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
}

/// Parameters of `print`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrintParams {
    /// From top to bottom.
    #[schemars(length(min = 1, max = 500))]
    #[serde(deserialize_with = "crate::bound::list::<_, _, 1, 500>")]
    pub blocks: Vec<Block>,
}

/// Result of `print`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Printed {
    /// How much this proves.
    pub proof: PrintProof,
}

/// Which of the two drawer connectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drawer {
    /// Pin 2.
    #[default]
    First,
    /// Pin 5.
    Second,
}

/// Parameters of `open-drawer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenDrawerParams {
    /// Which one.
    #[serde(default)]
    pub drawer: Drawer,
    /// How long the pulse lasts; 100 ms unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulse_ms: Option<PulseMs>,
}

/// Result of `open-drawer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrawerOpened {
    /// Whether the drawer's switch says open; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_open: Option<bool>,
}

/// How much paper there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Paper {
    /// Enough.
    Ok,
    /// Nearly out.
    Low,
    /// Out.
    Empty,
}

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptPrinterStatus {
    /// Whether it takes jobs.
    pub online: bool,
    /// How much paper there is.
    pub paper: Paper,
    /// Whether the cover is open.
    pub cover_open: bool,
    /// Whether the cash drawer is open; absent where the printer does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawer_open: Option<bool>,
}

empty! {
    /// Parameters of `status`.
    StatusParams;
}
