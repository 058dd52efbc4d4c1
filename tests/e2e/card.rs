//! Cards through the driver: against the real pcscd with a virtual card, and against a fake pcscd
//! where readers come and go, have a pad, and fail.
//!
//! libpcsclite reads its socket's name once per process, so every test runs in a process of its
//! own, with its own pcscd, socket and ports: any number of them at a time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test fail the test, and pass on what it prints"
)]

mod fake;
mod real;
mod reconcile;
mod runner;
