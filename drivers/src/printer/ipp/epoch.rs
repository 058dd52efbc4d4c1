//! Since when a printer is up: a job id means something only until it restarts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What a printer's clock may be off within one print.
const SLACK: Duration = Duration::from_secs(2);

/// What the gateway's own clock may be off between a call and the restart after it.
const KEPT_SLACK: Duration = Duration::from_secs(5);

/// One part in so many is what clocks drift at most, and what network time takes back.
const DRIFT: u32 = 1_000;

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

    /// Whether the printer certainly restarted between `earlier` and this. Counters stand still,
    /// and run slowly: that proves nothing.
    pub(super) fn is_another_than(self, earlier: Self) -> bool {
        let (was, is) = (seconds(earlier.up), seconds(self.up));
        if self.up == earlier.up {
            return false;
        }
        // Truncation loses up to a second.
        let latest = is + Duration::from_secs(1) + SLACK;
        if latest < was {
            return true;
        }
        // It was up `earlier.up` at the latest when that was answered. A counter that is behind
        // by now was set back only if all that it shows can have been counted since.
        let passed = self.asked.saturating_duration_since(earlier.answered);
        let at_most = self.answered.saturating_duration_since(earlier.asked) + SLACK;
        latest < was + passed && is <= at_most
    }

    /// Whether the printer certainly did not restart between `earlier` and this: its counter shows
    /// more than can have been counted since.
    pub(super) fn is_certainly_the_same_as(self, earlier: Self) -> bool {
        let at_most = self.answered.saturating_duration_since(earlier.asked) + SLACK;
        seconds(self.up) > at_most
    }

    /// Whether the printer is up since what a record of this age kept. A clock of the gateway's
    /// that was set meanwhile makes it another time: then nothing is known of the printer.
    pub(super) fn is_as_kept(self, unix_seconds: i64, age: Duration) -> bool {
        let slack = KEPT_SLACK + age / DRIFT;
        self.unix_seconds().abs_diff(unix_seconds) <= slack.as_secs()
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

fn seconds(up: u32) -> Duration {
    Duration::from_secs(up.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_stands_still_or_runs_slowly_is_no_restart() {
        let start = Instant::now();
        let at = |seconds, up| {
            let asked = start + Duration::from_secs(seconds);
            Boot::new(up, asked, asked + Duration::from_millis(300))
        };
        for (was, seconds, is) in [
            (4711, 600, 4711),
            (1, 600, 1),
            (0, 600, 0),
            (5000, 900, 5450),
            (5000, 12, 5006),
        ] {
            assert!(!at(seconds, is).is_another_than(at(0, was)), "{was} {is}");
        }
    }

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

    #[test]
    fn a_printer_is_the_same_only_where_its_counter_says_so() {
        let start = Instant::now();
        let at = |seconds, up| {
            let asked = start + Duration::from_secs(seconds);
            Boot::new(up, asked, asked + Duration::from_millis(300))
        };
        for (was, seconds, is, same) in [
            (1000, 10, 1010, true),
            (4711, 60, 4711, true),
            // Young, and perhaps started again.
            (1, 3, 1, false),
            (0, 2, 0, false),
            (1, 3, 4, false),
        ] {
            let now = at(seconds, is);
            assert_eq!(now.is_certainly_the_same_as(at(0, was)), same, "{was} {is}");
        }
    }

    #[test]
    fn a_printer_is_up_since_what_was_kept_or_its_jobs_are_others() {
        let now = Boot::new(600, Instant::now(), Instant::now());
        let kept = now.unix_seconds();
        let (minute, day) = (Duration::from_mins(1), Duration::from_hours(24));
        for (off, age, same) in [
            (0, minute, true),
            (-4, minute, true),
            (4, minute, true),
            // It restarted a minute ago, or the clock was set.
            (-60, minute, false),
            (60, minute, false),
            (60, day, true),
            (-100, day, false),
        ] {
            assert_eq!(now.is_as_kept(kept + off, age), same, "{off} {age:?}");
        }
    }
}
