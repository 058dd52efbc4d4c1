//! ZVT, the protocol between an electronic cash register (ECR) and a German payment terminal (PT).
//!
//! From the wire up: `codec` (pure), `link` (bytes and whole messages), `transaction` (one command,
//! without I/O), `exchange` (a transaction on a line), `session` (a registered terminal),
//! `driver` (the contract's operations). Beside it, for what a crash leaves open: `evidence` (what
//! is kept), `reconcile` (what it means, without I/O).

mod booking;
pub mod codec;
pub mod config;
mod driver;
mod evidence;
mod exchange;
mod factory;
mod link;
mod outcome;
mod receipts;
mod reconcile;
mod session;
mod timing;
mod transaction;

#[cfg(test)]
mod tests;

pub use config::{Address, ConnectionUse, Profile, ReceiptsTo, TerminalPassword, ZvtConfig};
pub use driver::driver;
pub use evidence::{BASELINE, LOST, STATUS_INFORMATION, STEPS};
pub use factory::FACTORY;
