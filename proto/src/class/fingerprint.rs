//! Fingerprint sensors. Terms follow BSI TR-03121-2 (HLBS) and NIST SP 500-288 (WS-BD); no
//! conformity with any technical guideline is claimed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Blob, Sha256, bound::bounded_number, operation::operations};

operations! {
    Fingerprint, locked_while_unresolved: false, content: content_bytes;
    /// Captures fingerprints, one finger after the other, the best of the attempts each.
    Capture(CaptureParams) -> Captured = "capture", Repeatable, 600 s, confidential;
}

/// Pictures of fingers.
fn content_bytes(response: &Response) -> usize {
    match response {
        Response::Capture(captured) => {
            let fingers = captured.captures.iter();
            fingers.map(|finger| finger.content.len()).sum()
        }
    }
}

/// A finger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each keyword says it")]
pub enum Finger {
    RightThumb,
    RightIndex,
    RightMiddle,
    RightRing,
    RightLittle,
    LeftThumb,
    LeftIndex,
    LeftMiddle,
    LeftRing,
    LeftLittle,
}

bounded_number! {
    /// How often a finger is tried.
    Attempts(u8) in 1..=3;
    /// How long to wait for a finger, in milliseconds.
    FingerTimeoutMs(u32) in 1_000..=120_000;
    /// A quality score.
    QualityScore(u8) in 0..=100;
}

/// How a capture is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum CaptureFormat {
    /// PNG, eight-bit grey.
    #[default]
    #[serde(rename = "image/png")]
    Png,
    /// Raw eight-bit grey, row by row from the top.
    #[serde(rename = "application/octet-stream")]
    Raw,
}

/// Parameters of `capture`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureParams {
    /// In this order.
    #[schemars(length(min = 1, max = 10))]
    #[serde(deserialize_with = "crate::bound::list::<_, _, 1, 10>")]
    pub fingers: Vec<Finger>,
    /// How often each is tried; three times unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
    /// How long to wait for each finger; 30 s unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<FingerTimeoutMs>,
    /// How to encode it.
    #[serde(default)]
    pub format: CaptureFormat,
    /// Ends the attempts early once reached; by finger unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_threshold: Option<QualityScore>,
    /// Whether the operator decides on each attempt with `gateway/signal`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operator_decides: bool,
    /// Whether previews are sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preview: bool,
}

/// What the citizen should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each keyword says it")]
pub enum Guidance {
    PlaceFinger,
    RemoveFinger,
    PressHarder,
    PressLess,
    MoveUp,
    MoveDown,
    MoveLeft,
    MoveRight,
    HoldStill,
    CleanFinger,
    CleanSensor,
    TryAgain,
}

/// How good a capture is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// 0 is useless, 100 is perfect.
    pub score: QualityScore,
    /// What scored it, e.g. `nfiq2`, or the sensor's own name.
    pub algorithm: String,
}

/// One finger's capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FingerCapture {
    /// Which finger was asked for.
    pub finger: Finger,
    /// How it is encoded.
    pub format: CaptureFormat,
    /// The picture.
    pub content: Blob,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Resolution.
    pub dpi: u16,
    /// How good, where it was scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Which attempt this is, from 1.
    pub attempt: u8,
}

/// Result of `capture`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Captured {
    /// In the order asked for.
    pub captures: Vec<FingerCapture>,
}
