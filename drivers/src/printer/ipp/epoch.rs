//! Since when a printer is up: a job id means something only until it restarts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What a printer's clock may be off within one print.
const SLACK: Duration = Duration::from_secs(2);

/// When a printer's `printer-up-time` was zero, as an interval on our clock: it counts whole
/// seconds and was read some time between question and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boot {
    /// Seconds it was up, and when that was asked and answered.
    up: u32,
    asked: Instant,
    answered: Instant,
}

impl Boot {
    pub(super) fn new(up: u32, asked: Instant, answered: Instant) -> Self {
        Self {
            up,
            asked,
            answered,
        }
    }

    /// Whether the printer restarted between `earlier` and this.
    pub(super) fn is_another_than(self, earlier: Self) -> bool {
        // It was up `earlier.up` at the latest when that was answered; since then at least this
        // much time has passed, and its counter must have advanced by as much.
        let passed = self.asked.saturating_duration_since(earlier.answered);
        let least = Duration::from_secs(earlier.up.into()) + passed;
        // Truncation loses up to a second.
        Duration::from_secs(u64::from(self.up) + 1) + SLACK < least
    }

    /// For the record: seconds since 1970 by the gateway's clock.
    pub(super) fn unix_seconds(self) -> i64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let ago = self.answered.elapsed() + Duration::from_secs(self.up.into());
        let signed = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        signed(now) - signed(ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_falls_behind_the_clock_is_a_restart() {
        let start = Instant::now();
        let at = |seconds, up| {
            let asked = start + Duration::from_secs(seconds);
            Boot::new(up, asked, asked + Duration::from_millis(300))
        };
        let first = at(0, 1000);
        for (seconds, up, restarted) in [
            (0, 1000, false),
            (10, 1010, false),
            // Slow clocks and truncation are none.
            (900, 1897, false),
            (10, 1013, false),
            (10, 3, true),
            (10, 1000, true),
            (2000, 60, true),
            // Up again for longer than before, and yet not long enough.
            (4000, 3900, true),
        ] {
            assert_eq!(
                at(seconds, up).is_another_than(first),
                restarted,
                "{seconds} {up}"
            );
        }
    }
}
