//! The gateway's own retained state: whether it can do its work, and why not.

use jiff::Timestamp;
use koffer_proto::{DeviceState, Reason, StateDocument};

/// What was last published of it.
#[derive(Debug, Default)]
pub(crate) struct OwnState {
    shown: Option<StateDocument>,
}

impl OwnState {
    /// The state with these reasons, if it is another one than before.
    pub(crate) fn changed(
        &mut self,
        reasons: Vec<Reason>,
        now: Timestamp,
    ) -> Option<StateDocument> {
        let state = if reasons.is_empty() {
            DeviceState::Ready
        } else {
            DeviceState::Degraded
        };
        let before = self.shown.as_ref();
        if before.is_some_and(|shown| shown.reasons == reasons) {
            return None;
        }
        let since = before.filter(|shown| shown.state == state);
        let document = StateDocument {
            state,
            since: since.map_or(now, |shown| shown.since),
            reasons,
            generation: 1,
        };
        self.shown = Some(document.clone());
        Some(document)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_gateway_is_degraded_as_long_as_there_is_a_reason() {
        let mut own = OwnState::default();
        let at = |second| Timestamp::UNIX_EPOCH + Duration::from_secs(second);
        let reason = |keyword| Reason::new(keyword, "", "");
        let ready = own.changed(Vec::new(), at(1)).unwrap();
        assert_eq!((ready.state, ready.since), (DeviceState::Ready, at(1)));
        assert_eq!(own.changed(Vec::new(), at(2)), None);
        let full = own.changed(vec![reason("journal-full")], at(3)).unwrap();
        assert_eq!((full.state, full.since), (DeviceState::Degraded, at(3)));
        let wrong = vec![reason("journal-full"), reason("clock-wrong")];
        let both = own.changed(wrong.clone(), at(4)).unwrap();
        assert_eq!((both.since, both.reasons), (at(3), wrong));
        let again = own.changed(Vec::new(), at(5)).unwrap();
        assert_eq!((again.state, again.since), (DeviceState::Ready, at(5)));
    }
}
