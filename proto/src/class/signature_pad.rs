//! Signature pads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Blob, Sha256, bound::bounded_text, operation::operations};

operations! {
    SignaturePad, locked_while_unresolved: false, content: content_bytes;
    /// Shows a prompt and takes a signature.
    Sign(SignParams) -> Signed = "sign", Repeatable, 600 s, confidential;
}

/// The picture of the signature, and how it was written.
fn content_bytes(response: &Response) -> usize {
    match response {
        Response::Sign(signed) => {
            signed.content.len() + signed.dynamics.as_ref().map_or(0, crate::Blob::len)
        }
    }
}

bounded_text! {
    /// What the pad shows.
    Prompt in 1..=200;
}

/// How a signature is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum SignatureFormat {
    /// PNG.
    #[default]
    #[serde(rename = "image/png")]
    Png,
    /// SVG.
    #[serde(rename = "image/svg+xml")]
    Svg,
}

/// Parameters of `sign`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignParams {
    /// What the citizen reads.
    pub prompt: Prompt,
    /// The digest of what is signed; handed back with the signature.
    pub document_sha256: Sha256,
    /// How to draw it.
    #[serde(default)]
    pub format: SignatureFormat,
    /// The caller's public key (X25519, 32 bytes). Only with it the pen's movement is handed out,
    /// and only sealed to it: it is biometric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamics_key: Option<Blob>,
}

/// A point of the pen's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PenPoint {
    /// From the left, in the pad's units.
    pub x: u16,
    /// From the top, in the pad's units.
    pub y: u16,
    /// 0 is off the pad, 65,535 the most.
    pub pressure: u16,
    /// Since the first touch, in milliseconds.
    pub at_ms: u32,
}

/// Result of `sign`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signed {
    /// How it is drawn.
    pub format: SignatureFormat,
    /// The drawing.
    pub content: Blob,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// What was signed, as the caller named it.
    pub document_sha256: Sha256,
    /// How many strokes.
    pub strokes: u32,
    /// From the first touch to the last, in milliseconds.
    pub duration_ms: u32,
    /// The pen's movement, sealed to `dynamics_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamics: Option<Blob>,
}
