//! Calls that cancel other calls and wait to learn what becomes of them.

use std::collections::BTreeMap;

use crate::journal::CallNo;

/// Cancel calls by the call that each wants to cancel.
#[derive(Debug, Default)]
pub(super) struct Cancellations {
    waiting: BTreeMap<CallNo, Vec<CallNo>>,
}

impl Cancellations {
    /// A cancel call waits for the end of `target`.
    pub(super) fn add(&mut self, target: CallNo, cancel: CallNo) {
        self.waiting.entry(target).or_default().push(cancel);
    }

    /// Whether somebody wishes that a call ends.
    pub(super) fn is_wanted(&self, target: CallNo) -> bool {
        self.waiting.contains_key(&target)
    }

    /// The cancel calls that can be answered: their call has ended, or cannot be cancelled.
    pub(super) fn take(&mut self, target: CallNo) -> Vec<CallNo> {
        self.waiting.remove(&target).unwrap_or_default()
    }
}
