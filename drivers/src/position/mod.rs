//! Position receivers.

pub mod gpsd;
mod reading;
