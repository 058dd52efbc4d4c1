//! The only code in the gateway that knows MQTT: one session with the broker, kept alive for ever.
//! With a broker in the same process it is a session without a connection (`local`).
//!
//! What it promises:
//! - [`Bus::publish`] never waits. What it takes is answered exactly once through [`Sent`]: sent
//!   means that the broker acknowledged it with success (QoS 0: that it was written to the socket).
//! - QoS 1 messages survive any number of lost connections and leave in order of publishing; QoS 0
//!   messages are handed over once and never replayed.
//! - A received QoS 1 message is acknowledged when its [`Ack`] is sent and not before, in order of
//!   receipt, and never on another connection than the one it came by.
//! - The task that serves the socket waits for nobody: a receiver of [`Incoming`] that falls behind
//!   is shielded by the receive maximum (QoS 1, the broker waits) or loses messages (QoS 0, counted
//!   and logged).
//! - Nothing of a payload is ever logged.
//!
//! No type of the client library (`rumqttc`) appears in a public signature.

mod acks;
mod delivery;
mod group;
mod inbox;
mod link;
mod local;
mod message;
mod outbox;
#[cfg(test)]
mod scripted_broker;
mod session;
mod settings;
mod suspicion;
#[cfg(test)]
mod tests;
mod wire;

pub use acks::Ack;
pub use local::{LocalBroker, LocalSession, Neighbour};
pub use message::{Malformed, Message, Properties, Qos};
pub use outbox::{NotSent, Rejection, Sent};
pub use settings::{Address, DEFAULT_MAX_PACKET_SIZE, OutboxBound, Settings, Subscription};

use crate::room::{Held, Room};
use futures_util::future::{join, join_all};
use group::Member;
use outbox::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// What the broker sends us, and what becomes of the line to it.
#[derive(Debug)]
pub enum Incoming {
    /// The session is up and every subscription is granted.
    Connected {
        /// Whether the broker still had our session.
        session_present: bool,
        /// What the broker announced.
        limits: BrokerLimits,
    },
    /// The line is down; the bus reconnects by itself. Of several changes nobody has read, only
    /// the latest is kept.
    Disconnected {
        /// Why.
        reason: Disconnection,
    },
    /// A message.
    Message(Received),
}

/// A received message and the right to acknowledge it.
#[derive(Debug)]
pub struct Received {
    /// The message as published; `retain` is the publisher's flag.
    pub message: Message,
    /// The broker sent it before: it may have been seen already.
    pub duplicate: bool,
    /// To be sent once the message is safe.
    pub ack: Ack,
}

/// The broker's capabilities (MQTT 5, chapter 3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerLimits {
    /// Largest packet it takes, in bytes; `None` without a limit.
    pub max_packet_size: Option<u32>,
    /// How many unacknowledged QoS 1 messages it takes.
    pub receive_maximum: u16,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
    /// Whether it takes QoS 1.
    pub qos1_available: bool,
}

/// Why the line is down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disconnection {
    /// No connection: not running, wrong address, no permission.
    #[error("cannot reach the broker at {address}: {error}; is it running?")]
    Unreachable {
        /// Where we tried.
        address: Address,
        /// The operating system's words.
        error: String,
    },
    /// The broker refused the CONNECT.
    #[error("the broker at {address} refused user {username}: {reason}")]
    Refused {
        /// Where we tried.
        address: Address,
        /// As whom.
        username: String,
        /// The CONNACK's reason.
        reason: String,
    },
    /// The broker refused a subscription: its topic rules do not fit the configuration.
    #[error("the broker refused the subscription to {filter}: {reason}; check its topic rules")]
    SubscriptionRefused {
        /// Which filter.
        filter: String,
        /// The SUBACK's reason.
        reason: String,
    },
    /// Something is there, and does not speak MQTT with us.
    #[error(
        "{address} did not answer CONNECT as an MQTT broker does: {error}; \
         is it the broker's port for MQTT without TLS?"
    )]
    NotMqtt {
        /// Where we tried.
        address: Address,
        /// What came instead.
        error: String,
    },
    /// The broker said goodbye.
    #[error("the broker at {address} closed the connection: {reason}")]
    ClosedByBroker {
        /// Which broker.
        address: Address,
        /// The DISCONNECT's reason.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection to the broker at {address} broke: {error}")]
    Broken {
        /// Which broker.
        address: Address,
        /// What was wrong.
        error: String,
    },
    /// The broker does not answer any more.
    #[error("the broker at {address} does not answer any more")]
    Silent {
        /// Which broker.
        address: Address,
    },
}

/// Why [`Bus::publish`] did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The outbox is full.
    #[error("too many messages wait for the broker")]
    Full,
    /// The packet would exceed what we or the broker allow.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// In bytes, topic and properties included.
        limit: u32,
    },
    /// MQTT cannot carry it.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}

/// How the bus ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Messages that were neither sent nor refused; their [`Sent`] said so.
    pub unsent: usize,
    /// Whether the last message given to [`Bus::close_with`] was acknowledged.
    pub farewell_sent: bool,
    /// Whether a DISCONNECT was sent, so that the broker drops the will.
    pub will_suppressed: bool,
}

/// The state of the bus, for health reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Whether the session is up.
    pub connected: bool,
    /// Messages waiting or unacknowledged.
    pub outbox_messages: usize,
    /// Their packets together, in bytes.
    pub outbox_bytes: usize,
    /// Received messages dropped because nobody read them in time, since start.
    pub dropped_incoming: u64,
}

/// A handle to the session; clones are cheap and share it.
///
/// When the last handle is dropped without [`Bus::close`], the connection is cut and the broker
/// publishes the will.
#[derive(Debug, Clone)]
pub struct Bus {
    shared: Arc<Shared>,
    /// Unbounded in type only: every publish holds a place in the bounded [`Room`].
    commands: mpsc::UnboundedSender<Command>,
    /// The sessions that only receive.
    apart: Arc<[Bus]>,
}

#[derive(Debug)]
struct Shared {
    room: Arc<Room>,
    bound: OutboxBound,
    /// The smaller of our and the broker's maximum packet size.
    packet_limit: AtomicU32,
    connected: AtomicBool,
    dropped_incoming: AtomicU64,
}

#[derive(Debug)]
enum Command {
    Publish(Entry),
    Close {
        farewell: Option<Message>,
        deadline: Instant,
        done: oneshot::Sender<Closed>,
    },
}

impl Bus {
    /// Starts the session task on the present Tokio runtime and returns at once; whether the broker
    /// can be reached is told by the first [`Incoming`].
    pub fn start(settings: Settings) -> (Self, mpsc::Receiver<Incoming>) {
        Self::start_apart(settings, [])
    }

    /// As [`Bus::start`], with a session of its own for each of these subscriptions, named by the
    /// client identifier and a suffix. A broker bounds what waits for a session: what fills one of
    /// these takes no place in the others. The line is up when all of them are.
    pub fn start_apart(
        settings: Settings,
        apart: impl IntoIterator<Item = (String, Subscription)>,
    ) -> (Self, mpsc::Receiver<Incoming>) {
        // One window of QoS 1 messages; what exceeds it waits inside the sessions, bounded there.
        let (incoming, inbox) = mpsc::channel(usize::from(settings.receive_maximum.max(1)));
        let apart: Vec<_> = apart
            .into_iter()
            .map(|(suffix, subscription)| Settings {
                client_id: format!("{}-{suffix}", settings.client_id),
                will: None,
                subscriptions: vec![subscription],
                ..settings.clone()
            })
            .collect();
        let main = Member::main_of(apart.len());
        let apart = apart
            .into_iter()
            .map(|settings| Self::session(settings, Arc::new([]), incoming.clone(), main.other()))
            .collect();
        (Self::session(settings, apart, incoming, main), inbox)
    }

    fn session(
        settings: Settings,
        apart: Arc<[Self]>,
        incoming: mpsc::Sender<Incoming>,
        member: Member,
    ) -> Self {
        let (commands, command_inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            room: Room::new(settings.outbox.messages, settings.outbox.bytes),
            bound: settings.outbox,
            packet_limit: AtomicU32::new(settings.max_packet_size),
            connected: AtomicBool::new(false),
            dropped_incoming: AtomicU64::new(0),
        });
        let (ours, theirs) = (Arc::clone(&shared), command_inbox);
        if let Some(broker) = settings.local.clone() {
            let session = local::run(broker, settings, ours, theirs, incoming, member);
            tokio::spawn(session);
        } else {
            let session = session::Session::new(settings, ours, theirs, incoming, member);
            tokio::spawn(session.run());
        }
        Self {
            shared,
            commands,
            apart,
        }
    }

    /// Queues a message and returns at once, connected or not. Messages leave in the order of the
    /// calls.
    pub fn publish(&self, message: Message) -> Result<Sent, Refused> {
        self.publish_holding(message, &mut None)
    }

    /// As [`Bus::publish`]; what the publisher holds for the message is given back once its fate
    /// is known. Where the message is not taken it stays with the publisher.
    pub(crate) fn publish_holding(
        &self,
        message: Message,
        held: &mut Option<Held>,
    ) -> Result<Sent, Refused> {
        message.check()?;
        let limit = self.shared.packet_limit.load(Ordering::Relaxed);
        if message.packet_size() > limit as usize {
            return Err(Refused::TooLarge { limit });
        }
        let (entry, sent) = Entry::new(message, &self.shared.room, held).ok_or(Refused::Full)?;
        self.commands
            .send(Command::Publish(entry))
            .map_err(|_| Refused::Closed)?;
        Ok(sent)
    }

    /// Sends what is queued, at most until `patience` is over, and leaves. A will is left to the
    /// broker to publish. Later publishes are refused.
    pub async fn close(&self, patience: Duration) -> Closed {
        self.leave(None, patience).await
    }

    /// As [`Bus::close`], then publishes `farewell`, and once it is acknowledged leaves with a
    /// DISCONNECT, so that the will is not published. When the farewell cannot be sent in time, the
    /// will speaks instead.
    pub async fn close_with(&self, farewell: Message, patience: Duration) -> Closed {
        self.leave(Some(farewell), patience).await
    }

    async fn leave(&self, farewell: Option<Message>, patience: Duration) -> Closed {
        let farewell = farewell.filter(|message| {
            message
                .check()
                .inspect_err(|error| tracing::error!(%error, "farewell left out"))
                .is_ok()
        });
        let (done, closed) = oneshot::channel();
        let deadline = Instant::now() + patience;
        self.commands
            .send(Command::Close {
                farewell,
                deadline,
                done,
            })
            .ok();
        let others = self.apart.iter().map(|bus| Box::pin(bus.close(patience)));
        let (closed, _) = join(closed, join_all(others)).await;
        // Closed a second time, or after the task has ended: nothing left to tell.
        closed.unwrap_or(Closed {
            unsent: 0,
            farewell_sent: false,
            will_suppressed: false,
        })
    }

    /// Queue depths for the health document.
    pub fn depth(&self) -> Depth {
        let (free_messages, free_bytes) = self.shared.room.free();
        Depth {
            connected: self
                .sessions()
                .all(|shared| shared.connected.load(Ordering::Relaxed)),
            outbox_messages: self.shared.bound.messages.saturating_sub(free_messages),
            outbox_bytes: self.shared.bound.bytes.saturating_sub(free_bytes),
            dropped_incoming: self
                .sessions()
                .map(|shared| shared.dropped_incoming.load(Ordering::Relaxed))
                .sum(),
        }
    }

    fn sessions(&self) -> impl Iterator<Item = &Shared> {
        let apart = self.apart.iter().map(|bus| &*bus.shared);
        apart.chain([&*self.shared])
    }
}
