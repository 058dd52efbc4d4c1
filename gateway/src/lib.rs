//! The gateway between the message bus and the devices: `kofferd` and its rooms.

mod backoff;
pub mod broker;
pub mod bus;
pub mod calls;
pub mod ctl;
pub mod documents;
pub mod journal;
pub mod registry;
