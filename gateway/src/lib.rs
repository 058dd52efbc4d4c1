//! The gateway between the message bus and the devices: `kofferd` and its rooms.

mod backoff;
pub mod broker;
pub mod bus;
pub mod calls;
mod clock;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod documents;
mod drivers;
pub mod enumerate;
#[cfg(test)]
mod examples;
mod identity;
pub mod journal;
mod left_behind;
pub mod logging;
mod memory;
pub mod registry;
mod room;

pub use koffer_settings::Secret;
