//! Chip card terminals.

pub mod iso7816;
pub mod pcsc;
