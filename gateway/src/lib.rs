//! The gateway between the message bus and the devices: `kofferd` and its rooms.

pub mod broker;
pub mod bus;
