//! The task behind a [`super::Bus`] that sits beside the broker in the same process: no connection,
//! no packets, no acknowledgement on a wire.
//!
//! What it keeps of the promises of a session by other means:
//! - No more than the receive maximum of messages are with the reader unacknowledged. The others
//!   stay with the broker, in its bounded lane and queue, and hold up who publishes.
//! - Sent means that the broker has given the message to every subscriber, or keeps it for them.
//! - A bus that ends without a farewell leaves its will behind.

use super::acks::{self, Ack, Receipt, Verdict};
use super::group::Member;
use super::message::{Message, Qos};
use super::outbox::{Entry, NotSent, Rejection};
use super::settings::Settings;
use super::{BrokerLimits, Closed, Command, Incoming, Received, Shared};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

/// A broker in this process.
#[async_trait]
pub trait LocalBroker: Send + Sync {
    /// Begins a session with the client identifier, subscriptions and will of `settings`.
    async fn attach(&self, settings: &Settings) -> Arc<dyn LocalSession>;
}

/// A session with a [`LocalBroker`]. Dropped without [`LocalSession::leave`], its will is
/// published.
#[async_trait]
pub trait LocalSession: Send + Sync {
    /// Gives a message to every subscriber, with so many seconds of its expiry left. When this
    /// returns, each has it or the broker keeps it.
    async fn publish(&self, message: &Message, seconds_left: Option<u32>) -> Result<(), Rejection>;

    /// The next message; of QoS 1 only where `at_least_once`. `None`: the broker has ended. Cancel
    /// safe.
    async fn receive(&self, at_least_once: bool) -> Option<Message>;

    /// Drops the will.
    fn leave(&self);
}

/// The broker of [`Settings::local`].
#[derive(Clone)]
pub struct Neighbour(pub Arc<dyn LocalBroker>);

impl std::fmt::Debug for Neighbour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Neighbour")
    }
}

/// Serves a bus until it is closed or nobody has it any more.
pub(super) async fn run(
    broker: Neighbour,
    settings: Settings,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    incoming: mpsc::Sender<Incoming>,
    mut member: Member,
) {
    let session = broker.0.attach(&settings).await;
    drop(broker);
    shared.connected.store(true, Ordering::Relaxed);
    tracing::info!(client_id = %settings.client_id, "attached to the embedded broker");
    let limits = BrokerLimits {
        max_packet_size: Some(settings.max_packet_size),
        receive_maximum: u16::MAX,
        retain_available: true,
        qos1_available: true,
    };
    let connected =
        member
            .up((false, limits))
            .map(|(session_present, limits)| Incoming::Connected {
                session_present,
                limits,
            });
    let receiving = receive(&*session, &incoming, connected, settings.receive_maximum);
    let sending = Sending {
        session: &*session,
        commands,
        waiting: VecDeque::new(),
        closing: None,
        has_will: settings.will.is_some(),
    };
    tokio::select! {
        () = sending.run() => {}
        () = receiving => {}
    }
    shared.connected.store(false, Ordering::Relaxed);
}

/// Hands what the broker has to the reader, within the window. Never ends.
async fn receive(
    session: &dyn LocalSession,
    incoming: &mpsc::Sender<Incoming>,
    connected: Option<Incoming>,
    window: u16,
) {
    let (verdicts, mut owed) = mpsc::unbounded_channel::<(Receipt, Verdict)>();
    let mut received = acks::Received::default();
    // A reader that has gone away needs nothing; what it acknowledged counts all the same.
    let mut reading = match connected {
        Some(connected) => incoming.send(connected).await.is_ok(),
        None => true,
    };
    loop {
        let open = received.open() < usize::from(window.max(1));
        let next = async {
            let place = incoming.reserve().await.ok()?;
            Some((session.receive(open).await?, place))
        };
        tokio::select! {
            biased;
            Some((receipt, verdict)) = owed.recv() => {
                received.settle(receipt, verdict);
            }
            next = next, if reading => {
                let Some((message, place)) = next else {
                    reading = false;
                    continue;
                };
                let ack = match message.qos {
                    Qos::AtMostOnce => Ack::needless(),
                    Qos::AtLeastOnce => Ack::new(received.push(0), verdicts.clone()),
                };
                place.send(Incoming::Message(Received { message, duplicate: false, ack }));
            }
        }
    }
}

struct Sending<'a> {
    session: &'a dyn LocalSession,
    commands: mpsc::UnboundedReceiver<Command>,
    waiting: VecDeque<Entry>,
    closing: Option<Closing>,
    has_will: bool,
}

struct Closing {
    farewell: Option<Message>,
    deadline: Instant,
    done: Option<oneshot::Sender<Closed>>,
}

impl Sending<'_> {
    /// Publishes in order until the bus is closed.
    async fn run(mut self) {
        let unsent = self.send().await;
        self.commands.close();
        let abandoned: Vec<_> = std::iter::from_fn(|| self.commands.try_recv().ok()).collect();
        let entries = abandoned.into_iter().filter_map(|command| match command {
            Command::Publish(entry) => Some(entry),
            Command::Close { .. } => None,
        });
        let left: Vec<_> = self.waiting.drain(..).chain(entries).collect();
        let unsent = unsent + left.len();
        for entry in left {
            entry.resolve(Err(NotSent::Closed));
        }
        let closing = self.closing.take();
        let (farewell, deadline, done) = closing.map_or((None, None, None), |closing| {
            (closing.farewell, Some(closing.deadline), closing.done)
        });
        let farewell_sent = match farewell {
            Some(message) => tokio::select! {
                biased;
                sent = self.session.publish(&message, message.properties.message_expiry) => {
                    sent.is_ok()
                }
                () = at(deadline) => false,
            },
            None => false,
        };
        let will_suppressed = farewell_sent || !self.has_will;
        if will_suppressed {
            self.session.leave();
        }
        tracing::info!(unsent, farewell_sent, will_suppressed, "left the broker");
        if let Some(done) = done {
            let closed = Closed {
                unsent,
                farewell_sent,
                will_suppressed,
            };
            done.send(closed).ok();
        }
    }

    /// Publishes until the bus is closed and everything is sent, or the time for that is over.
    /// Returns how many were cut off on their way.
    async fn send(&mut self) -> usize {
        loop {
            let Some(entry) = self.waiting.pop_front() else {
                if self.closing.is_some() {
                    return 0;
                }
                let command = self.commands.recv().await;
                self.obey(command);
                continue;
            };
            let now = Instant::now();
            if entry.has_expired(now) {
                entry.resolve(Err(NotSent::Expired));
                continue;
            }
            let session = self.session;
            let mut publishing = session.publish(&entry.message, entry.seconds_left(now));
            let sent = loop {
                let deadline = self.closing.as_ref().map(|closing| closing.deadline);
                tokio::select! {
                    biased;
                    sent = &mut publishing => break Some(sent),
                    // While a subscriber that does not read is waited for.
                    command = self.commands.recv(), if self.closing.is_none() => self.obey(command),
                    () = at(deadline) => break None,
                }
            };
            drop(publishing);
            let Some(sent) = sent else {
                entry.resolve(Err(NotSent::Unknown));
                return 1;
            };
            entry.resolve(sent.map_err(NotSent::Rejected));
        }
    }

    fn obey(&mut self, command: Option<Command>) {
        let closing = match command {
            Some(Command::Publish(entry)) => return self.waiting.push_back(entry),
            Some(Command::Close {
                farewell,
                deadline,
                done,
            }) => Closing {
                farewell,
                deadline,
                done: Some(done),
            },
            // Every handle is gone: nobody can close any more.
            None => Closing {
                farewell: None,
                deadline: Instant::now(),
                done: None,
            },
        };
        self.commands.close();
        self.closing = Some(closing);
    }
}

/// Sleeps until then, or for ever.
async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => pending().await,
    }
}
