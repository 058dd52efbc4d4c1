//! Position receivers.

pub mod gpsd;
