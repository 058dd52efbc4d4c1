//! What the ZVT driver finds out after a crash or a cut, against the ledger of a simulated
//! terminal: in every case a new driver value gets only what was promised to be stored.
//!
//! `cargo test -p koffer-fixtures --test reconcile -- --nocapture` prints what could not be known,
//! and how often.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a step that fails has to fail the test with its story"
)]

mod case;
mod hands;
mod line;
mod matrix;
mod record;
