//! Readers of machine readable zones and barcodes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::operations;

operations! {
    Reader, locked_while_unresolved: false, content: |_| 0;
    /// Waits for the next document or code.
    Wait(WaitParams) -> Reading = "wait", Repeatable, 600 s, confidential;
}

/// What a reader can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReadingKind {
    /// A machine readable zone (ICAO 9303).
    Mrz,
    /// A barcode.
    Barcode,
}

/// Parameters of `wait`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitParams {
    /// Only these; whatever comes first unless said otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<ReadingKind>,
}

/// A field of a machine readable zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MrzField {
    /// As it stands there, without filler.
    pub value: String,
    /// Whether its check digit is right; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<bool>,
}

/// Result of `wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reading {
    /// A machine readable zone.
    Mrz {
        /// Two or three lines.
        lines: Vec<String>,
        /// By name, e.g. `document-number`, `date-of-birth`.
        fields: BTreeMap<String, MrzField>,
        /// Whether every check digit, the composite one too, is right.
        valid: bool,
    },
    /// A barcode.
    Barcode {
        /// The symbology, where the reader says it.
        #[serde(skip_serializing_if = "Option::is_none")]
        symbology: Option<String>,
        /// What it says.
        data: String,
    },
}
