//! How finely a grid of faults is tried through the whole gateway. The drivers' own tests try every
//! byte; through the gateway `make test` tries every 16th and `make test-all` all of them.

use std::env;

/// Tries everything where it is set (`make test-all`).
const FULL: &str = "KOFFER_FULL_GRIDS";

/// Whether every place is tried.
pub fn is_full() -> bool {
    env::var_os(FULL).is_some()
}

/// The distance between two places: this one where all are tried, so many times it otherwise.
pub fn distance(full: usize, sparser: usize) -> usize {
    if is_full() { full } else { full * sparser }
}
