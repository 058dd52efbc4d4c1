//! Interim messages of a running call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Blob,
    class::{
        any_device::SelfTestStep,
        fingerprint::{Finger, Guidance, Quality},
        payment::Receipt,
        scanner::PageFormat,
        signature_pad::PenPoint,
    },
};

/// One interim message on `<response topic>/progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Counts from 1 within the call.
    pub seq: u32,
    /// What happened.
    #[serde(flatten)]
    pub event: ProgressEvent,
}

/// What happened in a running call. Readers pass over events they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProgressEvent {
    /// The call waits for its turn.
    Queued {
        /// How many calls stand before it.
        ahead: u32,
    },
    /// The device begins with it.
    Started,
    /// What a payment terminal shows.
    TerminalText {
        /// A keyword, e.g. `insert-card`, `enter-pin`.
        code: String,
        /// The text in the caller's language, as a clerk may read it out.
        text: String,
    },
    /// A receipt, as soon as it is whole.
    Receipt {
        /// The receipt.
        receipt: Receipt,
    },
    /// Sheets that lie in the tray.
    SheetsCompleted {
        /// How many so far.
        sheets: u32,
    },
    /// What the device says of itself meanwhile, e.g. `media-empty`; empty when all is well.
    StateReasons {
        /// IPP `printer-state-reasons` keywords where they fit.
        reasons: Vec<String>,
        /// What a person can do, in the caller's language.
        text: String,
    },
    /// APDUs or bytes that are through.
    Advanced {
        /// How many so far.
        completed: u64,
        /// Of how many.
        total: u64,
    },
    /// The fingerprint sensor looks for a finger.
    Searching {
        /// Which one.
        finger: Finger,
    },
    /// A finger lies on the sensor.
    FingerPlaced,
    /// The finger was taken away.
    FingerRemoved,
    /// What the citizen should do.
    FingerGuidance {
        /// A keyword.
        guidance: Guidance,
        /// The sentence in the caller's language.
        text: String,
    },
    /// A small picture while the capture runs. Confidential.
    Preview {
        /// PNG.
        image: Blob,
    },
    /// How good a capture is.
    QualityAssessed {
        /// The score.
        quality: Quality,
    },
    /// An attempt begins.
    Attempt {
        /// Counts from 1.
        number: u8,
        /// At most that many.
        of: u8,
    },
    /// The pen touched the pad.
    PenDown,
    /// A piece of the line. Confidential.
    Strokes {
        /// Points since the last such event.
        points: Vec<PenPoint>,
    },
    /// A scanned page, as soon as it is there. Confidential.
    Page {
        /// Counts from 1.
        number: u32,
        /// How it is encoded.
        format: PageFormat,
        /// The page.
        content: Blob,
    },
    /// The feeder has no more sheets.
    FeederEmpty,
    /// A step of a self-test.
    SelfTest {
        /// The step.
        step: SelfTestStep,
    },
}

impl ProgressEvent {
    /// Bytes of pictures and pages in it.
    pub fn content_bytes(&self) -> usize {
        match self {
            Self::Preview { image: content } | Self::Page { content, .. } => content.len(),
            _ => 0,
        }
    }

    /// Whether the event carries biometric or document content: sent with QoS 0 and never kept.
    pub fn is_confidential(&self) -> bool {
        matches!(
            self,
            Self::Preview { .. } | Self::Strokes { .. } | Self::Page { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ContentType;

    #[test]
    fn progress_is_one_flat_object() {
        let progress = Progress {
            seq: 3,
            event: ProgressEvent::TerminalText {
                code: "insert-card".into(),
                text: "Karte einstecken".into(),
            },
        };
        assert_eq!(
            serde_json::to_value(&progress).unwrap(),
            json!({
                "seq": 3, "event": "terminal-text", "code": "insert-card",
                "text": "Karte einstecken"
            })
        );
    }

    #[test]
    fn bytes_survive_behind_the_tag() {
        let progress = Progress {
            seq: 1,
            event: ProgressEvent::Page {
                number: 1,
                format: PageFormat::Jpeg,
                content: vec![0xff, 0xd8, 0x00].into(),
            },
        };
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&progress).unwrap();
            assert_eq!(
                encoding.decode::<Progress>(&payload).unwrap(),
                progress,
                "{encoding}"
            );
        }
    }
}
