//! Percentiles, medians and how the two sides compare.

use std::time::Duration;

use serde::Serialize;

/// What one side showed in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) calls: usize,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) per_second: f64,
}

/// The medians of a side's rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Side {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) per_second: f64,
}

impl Round {
    /// A round that took `elapsed`; `None` where nothing was measured.
    pub(crate) fn of(mut took: Vec<Duration>, elapsed: Duration) -> Option<Self> {
        took.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "some thousands of calls")]
        let count = took.len() as f64;
        Some(Self {
            calls: took.len(),
            p50_us: percentile(&took, 50)?,
            p99_us: percentile(&took, 99)?,
            per_second: count / elapsed.as_secs_f64(),
        })
    }
}

impl Side {
    pub(crate) fn of(rounds: &[Round]) -> Self {
        Self {
            p50_us: rounded(median(rounds.iter().map(|round| round.p50_us))),
            p99_us: rounded(median(rounds.iter().map(|round| round.p99_us))),
            per_second: rounded(median(rounds.iter().map(|round| round.per_second))),
        }
    }
}

/// The median over the rounds of what was `ours` over what was `theirs`, round by round: what
/// else runs on the machine meets both halves of a round alike.
pub(crate) fn ratio(ours: &[Round], theirs: &[Round], of: fn(&Round) -> f64) -> f64 {
    rounded(median(
        ours.iter()
            .zip(theirs)
            .map(|(ours, theirs)| of(ours) / of(theirs)),
    ))
}

/// The nearest rank, in microseconds.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    let value = sorted.get(rank - 1)?;
    Some(value.as_secs_f64() * 1e6)
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    match (values.get(values.len() / 2), values.len() % 2) {
        (None, _) => f64::NAN,
        (Some(upper), 1) => *upper,
        (Some(upper), _) => f64::midpoint(values[values.len() / 2 - 1], *upper),
    }
}

/// To three places: more would be noise.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_micros).collect()
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred = micros(&(1..=100).collect::<Vec<_>>());
        assert_eq!(percentile(&hundred, 50), Some(50.0));
        assert_eq!(percentile(&hundred, 99), Some(99.0));
        assert_eq!(percentile(&micros(&[7]), 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let round = |p50_us| Round {
            calls: 1,
            p50_us,
            p99_us: 0.0,
            per_second: 0.0,
        };
        // The machine was three times as slow in the second round, for both.
        let (ours, theirs) = (
            [round(12.0), round(36.0), round(12.0)],
            [round(10.0), round(30.0), round(10.0)],
        );
        assert!((ratio(&ours, &theirs, |r| r.p50_us) - 1.2).abs() < 1e-9);
        assert!((median([4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!(median([]).is_nan());
    }
}
