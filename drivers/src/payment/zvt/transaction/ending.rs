//! How a transaction can end.

use koffer_proto::class::payment::Receipt;

use super::{Cause, verdict::Refusal};
use crate::payment::zvt::{
    codec::{completion::Completion, fields::Fields, result::ResultCode},
    link::Broken,
};

/// How it ended. Only the last two may have had an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Ending {
    /// Stopped before anything was sent.
    Stopped,
    /// The journal did not store that it begins; nothing was sent.
    NotStored,
    /// The line broke before anything was sent or accepted.
    NothingSent(Broken),
    /// The terminal refused the command: 84 xx.
    Nack(u8),
    /// The terminal ended it: 06 1E.
    Aborted(ResultCode),
    /// The terminal's 04 0F said no, and it ended.
    Declined(ResultCode),
    /// Its 04 0F was refused, and it ended it: 06 1E.
    Refused(Refusal),
    /// Done.
    Completed,
    /// It may have happened; for a harmless command just: no answer.
    Unknown(Loss),
}

/// How the outcome got lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Loss {
    /// The line broke.
    Line(Broken),
    /// The terminal went silent, or never came to an end.
    Silence,
    /// It sent something that has no place there.
    Unexpected,
    /// Its messages contradict each other, up to their proper end.
    Contradiction,
    /// It ended it and gave no reason.
    Unexplained,
}

impl Loss {
    /// The operating system reported it: the peer had hung up before.
    pub(in super::super) fn is_io(&self) -> bool {
        matches!(self, Self::Line(Broken::Io(_)))
    }
}

/// All that is known at the end.
#[derive(Debug, Clone)]
pub(in super::super) struct Ended {
    /// How it ended.
    pub(in super::super) ending: Ending,
    /// Why it was to be aborted, if it was.
    pub(in super::super) cause: Option<Cause>,
    /// The 04 0F that was acknowledged, else the last one that came.
    pub(in super::super) information: Option<Fields>,
    /// A booking that was refused, where nothing but its amount was wrong with it, or the journal.
    pub(in super::super) refused: Option<Fields>,
    /// The 06 0F.
    pub(in super::super) completion: Option<Completion>,
    /// The terminal's own words where it said no, masked; empty if it has none.
    pub(in super::super) words: String,
    /// The receipts so far.
    pub(in super::super) receipts: Vec<Receipt>,
}

impl Ended {
    /// There was no line to send it on.
    pub(in super::super) fn nothing_sent(broken: Broken) -> Self {
        Self {
            ending: Ending::NothingSent(broken),
            cause: None,
            information: None,
            refused: None,
            completion: None,
            words: String::new(),
            receipts: Vec::new(),
        }
    }

    /// Whether the line can be used for the next command: the exchange came to its own end.
    pub(in super::super) fn line_is_clean(&self) -> bool {
        !matches!(self.ending, Ending::NothingSent(_) | Ending::Unknown(_))
    }
}
