//! Pauses between attempts: to reach the broker, to open a device.

use std::time::Duration;

/// Doubling pauses; the caller waits a random part of each so that clients do not return in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    step: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            step: first,
        }
    }

    /// A connection stood: begin anew.
    pub(crate) fn reset(&mut self) {
        self.step = self.first;
    }

    /// The next pause: between half and the whole of the present step.
    pub(crate) fn next_pause(&mut self) -> Duration {
        // Without entropy only the jitter is lost.
        let dice = getrandom::u32().unwrap_or(u32::MAX);
        self.next_with(dice)
    }

    fn next_with(&mut self, dice: u32) -> Duration {
        let step = self.step;
        self.step = (step * 2).min(self.longest);
        let half = step / 2;
        half + half.mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    #[test]
    fn pauses_double_to_a_limit_and_keep_at_least_half() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let longest: Vec<_> = (0..9)
            .map(|_| backoff.next_with(u32::MAX).as_millis())
            .collect();
        assert_eq!(
            longest,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        assert_eq!(backoff.next_with(0), LONGEST / 2);
        backoff.reset();
        assert_eq!(backoff.next_with(0), FIRST / 2);
    }
}
