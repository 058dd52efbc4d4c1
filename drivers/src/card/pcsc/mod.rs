//! Chip card terminals through PC/SC.
//!
//! `monitor` knows readers and cards for the whole process; each reader has a `worker` thread, so
//! that one that hangs hinders no other. What is said to a card is decided without I/O (`batch`,
//! `file`, `features`, `pin_policy`) and done by `driver`.
//!
//! After a crash a write is read again and compared with digests (`record`,
//! `driver/reconcile`), on the card that is known by its serial number and on no other. A batch
//! is never resumed: whether its next command was executed no card tells.

mod batch;
mod config;
mod driver;
mod endings;
mod factory;
pub mod features;
mod file;
mod monitor;
pub mod pin_policy;
mod record;
mod timing;
mod worker;

pub use config::PcscConfig;
pub use driver::driver;
pub use factory::FACTORY;
pub use monitor::{CardPresence, Monitor, Service, Sight};
