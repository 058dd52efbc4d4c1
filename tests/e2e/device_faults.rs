//! The fault table of printers and card terminals: what fails while they print or write, through
//! the whole gateway. Each call ends in exactly one completion whose effect agrees with what lies in
//! the printer's tray or on the chip, and the device is `ready` again.
//!
//! The tables are written to `target/faults-*.md`; `KOFFER_BLESS=1` writes them to `docs/faults.md`,
//! whose rows the tests compare with what ran.

#![expect(clippy::expect_used, reason = "helpers of a test fail the test")]

mod chip;
mod printing;
