//! Pauses between attempts to connect.

use std::time::Duration;

/// A broker restarted by its supervisor is back within a second or two.
const FIRST: Duration = Duration::from_millis(100);
/// Nobody wants to wait longer than this for a broker that is back.
const LONGEST: Duration = Duration::from_secs(10);

/// Doubling pauses; the caller waits a random part of each so that clients do not return in step.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(FIRST)
    }

    /// A connection stood: begin anew.
    pub(super) fn reset(&mut self) {
        self.0 = FIRST;
    }

    /// The next pause: between half and the whole of the present step.
    pub(super) fn next(&mut self) -> Duration {
        // Without entropy only the jitter is lost.
        let dice = getrandom::u32().unwrap_or(u32::MAX);
        self.next_with(dice)
    }

    fn next_with(&mut self, dice: u32) -> Duration {
        let step = self.0;
        self.0 = (step * 2).min(LONGEST);
        let half = step / 2;
        half + half.mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_keep_at_least_half() {
        let mut backoff = Backoff::new();
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
