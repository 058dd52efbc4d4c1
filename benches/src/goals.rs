//! What the figures should be.

use serde_json::Value;

/// One figure of the summary and its goal.
pub(crate) struct Goal {
    /// Its key in the summary.
    pub(crate) key: &'static str,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};

/// Every goal, in the order of the summary.
pub(crate) const GOALS: [Goal; 11] = [
    goal("small_call_p50_ratio", AtMost(1.35)),
    goal("small_call_throughput_ratio", AtLeast(0.75)),
    goal("beside_broker_p50_ratio", AtMost(1.0)),
    goal("call_p50_ratio", AtMost(1.3)),
    goal("call_p99_ratio", AtMost(1.5)),
    goal("throughput_ratio", AtLeast(0.8)),
    goal("idle_rss_mib", AtMost(16.0)),
    goal("idle_rss_external_broker_mib", AtMost(12.0)),
    goal("online_ms", AtMost(100.0)),
    goal("small_call_p99_ms_under_bulk", AtMost(20.0)),
    // Alone a call needs three.
    goal("once_commits_per_call_at_32", AtMost(3.0)),
];

const fn goal(key: &'static str, bound: Bound) -> Goal {
    Goal { key, bound }
}

impl Goal {
    /// The figure in a summary.
    pub(crate) fn measured(&self, summary: &Value) -> Option<f64> {
        summary.get(self.key)?.as_f64()
    }

    /// The goal in words.
    pub(crate) fn words(&self) -> String {
        match self.bound {
            AtMost(bound) => format!("at most {bound}"),
            AtLeast(bound) => format!("at least {bound}"),
        }
    }

    pub(crate) fn is_met(&self, measured: f64) -> bool {
        match self.bound {
            AtMost(bound) => measured <= bound,
            AtLeast(bound) => measured >= bound,
        }
    }
}
