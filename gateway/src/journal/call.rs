//! A call as the journal keeps it: names and digests, no content.

use jiff::Timestamp;
use koffer_proto::{CallId, ClientId, ContentType, Lang, OperationSpec, Segment, Sha256};

/// The number of an accepted call. Numbers go on over restarts as far as the journal knows them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallNo(pub u64);

/// A call that was accepted.
#[derive(Debug, Clone)]
pub struct AcceptedCall {
    /// Its number.
    pub no: CallNo,
    /// Who called.
    pub client: ClientId,
    /// The call id.
    pub call: CallId,
    /// The device or role that was called.
    pub target: Segment,
    /// The operation.
    pub operation: &'static OperationSpec,
    /// The digest of the canonical content.
    pub digest: Sha256,
    /// Where its completion goes.
    pub answer_to: AnswerTo,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it should be over.
    pub deadline: Timestamp,
}

/// Where a completion goes, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerTo {
    /// The response topic.
    pub topic: String,
    /// The form.
    pub encoding: ContentType,
    /// The language of its texts.
    pub lang: Lang,
}
