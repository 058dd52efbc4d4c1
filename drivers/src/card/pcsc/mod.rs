//! Chip card terminals through PC/SC.
//!
//! `monitor` knows readers and cards for the whole process; each reader has a `worker` thread, so
//! that one that hangs hinders no other. What is said to a card is decided without I/O (`batch`,
//! `file`, `features`, `pin_policy`) and done by `driver`.

mod batch;
mod config;
mod driver;
mod endings;
pub mod features;
mod file;
mod monitor;
mod pin_policy;
mod timing;
mod worker;

pub use config::{PcscConfig, ReaderPattern, ReaderPatternError};
pub use driver::driver;
pub use monitor::{CardPresence, Monitor, Service, Sight};
