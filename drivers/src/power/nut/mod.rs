//! UPSs behind NUT's `upsd` (RFC 9271): a text protocol over TCP, port 3493. Variables are read
//! without a login; nothing is ever set.

pub mod codec;
mod factory;
mod sensor;

pub use factory::{FACTORY, NutConfig};
