//! The control channel of a simulator: one JSON object a line, one answer a line.
//!
//! A request has exactly one key, the verb: `{"status": {}}`. The answer is `{"ok": …}` or
//! `{"error": "…"}`. Any number of requests may follow each other on a connection. Loopback TCP
//! or a Unix socket: who can connect may do anything to the simulator.

mod client;
mod endpoint;
mod server;

pub use client::{ControlClient, ControlError};
pub use endpoint::{Endpoint, EndpointError};
pub use server::{Controlled, Refusal, Server, serve};

/// Longest line either way: a ledger of some ten thousand entries.
const MAX_LINE: u64 = 16 * 1024 * 1024;
