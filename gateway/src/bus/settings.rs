//! How to reach the broker, and the bounds of the bus.

use super::local::Neighbour;
use super::message::{Message, Qos};
use crate::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// 32 MiB of payload (the contract's limit) and room for topic and properties.
pub const DEFAULT_MAX_PACKET_SIZE: u32 = 32 * 1024 * 1024 + 64 * 1024;

/// Everything [`super::Bus::start`] needs. Fields without an obvious value have a default in
/// [`Settings::new`], each with its reason there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the broker listens.
    pub address: Address,
    /// The broker, where it is in this process: it is not dialled then.
    pub local: Option<Neighbour>,
    /// Fixed: the broker keeps our session, and so unacknowledged calls, under it.
    pub client_id: String,
    /// User name at the broker.
    pub username: String,
    /// Password at the broker.
    pub password: Secret,
    /// Interval of pings on an idle line, at least five seconds. A broker that stays silent for
    /// two of them counts as lost.
    pub keep_alive: Duration,
    /// How long the broker keeps our session (subscriptions, unacknowledged calls) while we are away.
    pub session_expiry: Duration,
    /// Largest packet accepted from and offered to the broker, in bytes.
    pub max_packet_size: u32,
    /// How many QoS 1 messages the broker may send before the first is acknowledged.
    pub receive_maximum: u16,
    /// Bounds of what waits to be sent or acknowledged.
    pub outbox: OutboxBound,
    /// What the kernel may hold of what is sent, in bytes; as it sees fit unless said otherwise.
    /// A broker reads as long as there is something: less at a time lets it look after others.
    pub send_buffer: Option<u32>,
    /// Published by the broker when we vanish.
    pub will: Option<Message>,
    /// Made anew whenever the broker has lost our session.
    pub subscriptions: Vec<Subscription>,
    /// Whether subscribing brings what is retained: a reader of documents wants it, a gateway must
    /// not get retained calls.
    pub wants_retained: bool,
}

impl Settings {
    /// Settings with the defaults for a broker on the same machine.
    pub fn new(address: Address, client_id: impl Into<String>) -> Self {
        let client_id = client_id.into();
        Self {
            address,
            local: None,
            username: client_id.clone(),
            client_id,
            password: Secret::new(""),
            // A dead line is noticed within a minute; at two pings a minute that costs nothing.
            keep_alive: Duration::from_secs(20),
            // Longer than any restart, shorter than any deadline worth keeping a call for.
            session_expiry: Duration::from_mins(10),
            max_packet_size: DEFAULT_MAX_PACKET_SIZE,
            // Calls waiting for the journal. Worst case this many packets of full size in memory.
            receive_maximum: 32,
            // Retained state of some twenty devices, and answers of a few hours without broker.
            outbox: OutboxBound {
                messages: 4096,
                bytes: 128 * 1024 * 1024,
            },
            send_buffer: None,
            will: None,
            subscriptions: Vec::new(),
            wants_retained: false,
        }
    }
}

/// Where the broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP, always with `TCP_NODELAY`: with Nagle's algorithm a QoS 1 round trip takes 44 ms.
    Tcp {
        /// Name or address; IPv6 without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Bounds of the outbox; whichever is reached first answers [`super::Refused::Full`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxBound {
    /// Messages waiting or unacknowledged.
    pub messages: usize,
    /// Their packets together, in bytes.
    pub bytes: usize,
}

/// A topic filter we want messages of.
///
/// Always with Retain As Published, so that a retained call can be seen and refused, and No Local,
/// so that clearing such a call does not come back as a message. Unless
/// [`Settings::wants_retained`] says otherwise with Retain Handling 2 (never), so that a call
/// somebody retained is not delivered on each subscribing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Topic filter.
    pub filter: String,
    /// Upper bound of the delivered quality of service.
    pub qos: Qos,
}

impl Subscription {
    /// A subscription to `filter`.
    pub fn to(filter: impl Into<String>, qos: Qos) -> Self {
        Self {
            filter: filter.into(),
            qos,
        }
    }
}
