//! Brokers: the one inside the gateway, and the topic rules that any broker has to hold.
//!
//! The first of two walls (`docs/contract.md`, roles): the broker makes sure that a client speaks
//! only under its own name and reads only its own replies. What it may ask for is the gateway's
//! policy. [`rules`] is that first wall as a pure function; the embedded broker asks it, and the
//! shipped `mosquitto/acl` says the same in mosquitto's language. One table of attempts is run
//! against both (`tests/e2e/topic_rules.rs`).

#[cfg(feature = "embedded-broker")]
pub mod embedded;
pub mod rules;

use crate::bus::LocalBroker;
use async_trait::async_trait;
use std::net::SocketAddr;
use std::sync::Arc;

/// A broker that runs inside the gateway; behind this trait it can be replaced.
#[async_trait]
pub trait InternalBroker: Send {
    /// Where clients connect by plain MQTT; with the port the system chose, if none was given.
    fn mqtt_address(&self) -> SocketAddr;

    /// Where clients connect by WebSocket, if that was asked for.
    fn websocket_address(&self) -> Option<SocketAddr>;

    /// Where the gateway's own sessions attach, without a connection.
    fn local(&self) -> Arc<dyn LocalBroker>;

    /// Closes every connection and ends, within a few seconds.
    async fn stop(self: Box<Self>);
}
