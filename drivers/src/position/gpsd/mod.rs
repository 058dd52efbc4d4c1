//! Receivers behind `gpsd`: JSON lines over TCP, port 2947 (gpsd_json(5), protocol 3).
//!
//! The driver asks (`?POLL;`) and is told what gpsd knows; nothing streams, so that an old report
//! is never taken for a new one.

pub mod codec;
mod factory;
mod sensor;

pub use factory::{FACTORY, GpsdConfig};
