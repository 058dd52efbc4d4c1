//! Payment terminals.

pub mod zvt;
