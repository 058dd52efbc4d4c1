//! How often the log says that a device cannot be reached.

use std::time::Duration;

use koffer_proto::Reason;
use tokio::time::Instant;

/// The second warning comes after this time, each later one after twice the time before.
const FIRST_PAUSE: Duration = Duration::from_mins(1);

/// A terminal that is switched off overnight is named some ten times, not once every ten seconds.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Which warnings of one device are due: a new reason at once, the same reason at growing distance.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    last: Option<Warned>,
}

#[derive(Debug)]
struct Warned {
    reason: Reason,
    next: Instant,
    pause: Duration,
    repeats: u64,
}

impl Warnings {
    /// `Some`: log this reason now; the number says how often it was left out of the log before.
    pub(super) fn due(&mut self, reason: &Reason, now: Instant) -> Option<u64> {
        match &mut self.last {
            Some(last) if last.reason == *reason => {
                if now < last.next {
                    last.repeats += 1;
                    return None;
                }
                last.pause = (last.pause * 2).min(LONGEST_PAUSE);
                last.next = now + last.pause;
                Some(std::mem::take(&mut last.repeats))
            }
            _ => {
                self.last = Some(Warned {
                    reason: reason.clone(),
                    next: now + FIRST_PAUSE,
                    pause: FIRST_PAUSE,
                    repeats: 0,
                });
                Some(0)
            }
        }
    }

    /// The device could be opened: the next loss is events.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use koffer_drivers::Fault;

    use super::*;

    #[test]
    fn an_absent_device_is_named_once_then_at_growing_distance() {
        let mut warnings = Warnings::default();
        let absent = Fault::new("no-answer", "Keine Antwort.", "No answer.").reason;
        let begin = Instant::now();
        let logged: Vec<_> = (0..24 * 360)
            .map(|tens| begin + Duration::from_secs(10 * tens))
            .filter_map(|now| {
                let repeats = warnings.due(&absent, now)?;
                Some(((now - begin).as_secs() / 60, repeats))
            })
            .take(5)
            .collect();
        assert_eq!(logged, [(0, 0), (1, 5), (3, 11), (7, 23), (15, 47)]);
    }

    #[test]
    fn another_reason_and_a_loss_after_contact_are_named_at_once() {
        let mut warnings = Warnings::default();
        let absent = Fault::new("no-answer", "", "").reason;
        let busy = Fault::new("in-use", "", "").reason;
        let now = Instant::now();
        assert_eq!(warnings.due(&absent, now), Some(0));
        assert_eq!(warnings.due(&busy, now), Some(0));
        assert_eq!(warnings.due(&busy, now), None);
        warnings.reset();
        assert_eq!(warnings.due(&busy, now), Some(0));
    }
}
