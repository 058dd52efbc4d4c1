//! koffer's device drivers: per protocol a pure codec, an actor that owns the port, and what
//! reconciles a device after a crash.

pub mod payment;
