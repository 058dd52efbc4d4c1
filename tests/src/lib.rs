//! What the end-to-end tests share: real brokers, their clients, and processes that end with the test.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests call this: a step that fails has to fail the test with its story"
)]

pub mod brokers;
pub mod built;
pub mod client;
pub mod counter;
pub mod fault_table;
pub mod flood;
pub mod grid;
pub mod ipptool;
pub mod mosquitto;
pub mod office;
pub mod pcsc;
pub mod proxy;
pub mod rr;
