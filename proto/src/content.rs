//! How much content an answer carries beside its words: what decides how it travels.

use crate::{
    ProgressEvent, Response,
    class::{card_terminal, fingerprint, scanner, signature_pad},
};

impl Response {
    /// Bytes of files, pictures and documents in it.
    pub fn content_bytes(&self) -> usize {
        use card_terminal::Response as Card;
        match self {
            Self::CardTerminal(Card::Read(file)) => file.content.len(),
            Self::CardTerminal(Card::ReadDocument(document)) => document
                .groups
                .iter()
                .map(|group| group.content.len())
                .sum(),
            Self::Fingerprint(fingerprint::Response::Capture(done)) => done
                .captures
                .iter()
                .map(|finger| finger.content.len())
                .sum(),
            Self::Scanner(scanner::Response::Scan(scanned)) => {
                scanned.document.as_ref().map_or(0, crate::Blob::len)
            }
            Self::SignaturePad(signature_pad::Response::Sign(signed)) => {
                signed.content.len() + signed.dynamics.as_ref().map_or(0, crate::Blob::len)
            }
            _ => 0,
        }
    }
}

impl ProgressEvent {
    /// Bytes of pictures and pages in it.
    pub fn content_bytes(&self) -> usize {
        match self {
            Self::Preview { image: content } | Self::Page { content, .. } => content.len(),
            _ => 0,
        }
    }
}
