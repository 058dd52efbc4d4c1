//! What waits to be sent: bounded when it enters, in order, with deadlines, and answered exactly once.

use super::message::Message;
use super::suspicion::Record;
use crate::room::{Held, Place, Room};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Resolves when the fate of a published message is known. Dropping it changes nothing.
#[derive(Debug)]
pub struct Sent(oneshot::Receiver<Result<(), NotSent>>);

impl Sent {
    /// The answer, if it is known by now.
    pub(super) fn try_take(&mut self) -> Option<Result<(), NotSent>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(NotSent::Closed)),
        }
    }
}

impl Future for Sent {
    type Output = Result<(), NotSent>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            // The sender is only ever dropped with the whole bus.
            .map(|answer| answer.unwrap_or(Err(NotSent::Closed)))
    }
}

/// Why a queued message was not, or not certainly, taken by the broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// Its message expiry ran out before it was handed to the broker.
    #[error("the message expired before the broker could take it")]
    Expired,
    /// The broker answered with a refusal; sending again would change nothing.
    #[error("the broker refused the message: {0}")]
    Rejected(Rejection),
    /// The connection broke after the message was handed over, and it is not sent again (QoS 0,
    /// or expired since): it may have arrived.
    #[error("the connection to the broker broke while the message was on its way")]
    Unknown,
    /// The broker now connected takes only smaller packets.
    #[error("the broker takes packets of at most {limit} bytes")]
    TooLarge {
        /// The broker's Maximum Packet Size in bytes.
        limit: u32,
    },
    /// The broker hung up over it, twice: it is not sent a third time.
    #[error("the broker closed the connection over it twice; it is dropped")]
    HungUp,
    /// The bus was closed first.
    #[error("the bus was closed before the message was sent")]
    Closed,
}

/// The broker's refusals (MQTT 5, chapter 3.4.2.1, and the capabilities of its CONNACK).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// 0x80.
    #[error("unspecified error")]
    Unspecified,
    /// 0x83.
    #[error("refused by the broker's implementation")]
    ImplementationSpecific,
    /// 0x87: the broker's topic rules do not allow it.
    #[error("not authorised")]
    NotAuthorised,
    /// 0x90.
    #[error("topic name invalid")]
    TopicNameInvalid,
    /// 0x91.
    #[error("packet identifier in use")]
    PacketIdentifierInUse,
    /// 0x97.
    #[error("quota exceeded")]
    QuotaExceeded,
    /// 0x99.
    #[error("payload format invalid")]
    PayloadFormatInvalid,
    /// The broker announced that it keeps no retained messages.
    #[error("the broker does not retain messages")]
    RetainNotSupported,
    /// The broker announced QoS 0 as its maximum.
    #[error("the broker offers only QoS 0")]
    QosNotSupported,
}

/// A message on its way, with everything to answer for it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) message: Message,
    /// The packet identifier it was last sent under; 0 while never handed over.
    pub(super) packet_id: u16,
    /// What it may have done to earlier connections.
    pub(super) record: Record,
    expires: Option<Instant>,
    answer: oneshot::Sender<Result<(), NotSent>>,
    _place: Option<Place>,
    _held: Option<Held>,
}

impl Entry {
    /// Takes space for a message, or `None` when the outbox is full; then `held` stays with the
    /// publisher.
    pub(super) fn new(
        message: Message,
        room: &Arc<Room>,
        held: &mut Option<Held>,
    ) -> Option<(Self, Sent)> {
        let place = room.take(message.packet_size())?;
        Some(Self::with_place(message, Some(place), held.take()))
    }

    /// An entry beside the bounds: the last message of a closing bus, which a full outbox must not
    /// silence.
    pub(super) fn unbounded(message: Message) -> (Self, Sent) {
        Self::with_place(message, None, None)
    }

    fn with_place(message: Message, place: Option<Place>, held: Option<Held>) -> (Self, Sent) {
        let (answer, sent) = oneshot::channel();
        let expires = message
            .lifetime()
            .and_then(|life| Instant::now().checked_add(life));
        let entry = Self {
            message,
            packet_id: 0,
            record: Record::default(),
            expires,
            answer,
            _place: place,
            _held: held,
        };
        (entry, Sent(sent))
    }

    /// Whole seconds of its expiry left, rounded up; `Some(0)` once it is over.
    pub(super) fn seconds_left(&self, now: Instant) -> Option<u32> {
        let left = self.expires?.saturating_duration_since(now);
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Tells the publisher; nobody listening is fine.
    pub(super) fn resolve(self, outcome: Result<(), NotSent>) {
        if let Err(error) = &outcome {
            let (topic, bytes) = (self.message.short_topic(), self.message.payload.len());
            tracing::warn!(topic, bytes, %error, "message not sent");
        }
        self.answer.send(outcome).ok();
    }
}

/// Entries never handed over, or to be handed over anew, oldest first.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<Entry>);

impl Waiting {
    pub(super) fn push(&mut self, entry: Entry) {
        self.0.push_back(entry);
    }

    /// Puts entries back before all others, in their order.
    pub(super) fn put_back(&mut self, entries: impl DoubleEndedIterator<Item = Entry>) {
        for entry in entries.rev() {
            self.0.push_front(entry);
        }
    }

    /// The oldest entry still worth sending; the expired before it are answered.
    pub(super) fn next(&mut self, now: Instant) -> Option<Entry> {
        while let Some(entry) = self.0.pop_front() {
            if entry.has_expired(now) {
                entry.resolve(Err(NotSent::Expired));
            } else {
                return Some(entry);
            }
        }
        None
    }

    /// Answers all that expired, wherever they stand.
    pub(super) fn drop_expired(&mut self, now: Instant) {
        if !self.0.iter().any(|entry| entry.has_expired(now)) {
            return;
        }
        let (expired, alive): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|entry| entry.has_expired(now));
        self.0 = alive;
        for entry in expired {
            entry.resolve(Err(NotSent::Expired));
        }
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry> + '_ {
        self.0.drain(..)
    }

    pub(super) fn front(&self) -> Option<&Entry> {
        self.0.front()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn room(messages: usize, bytes: usize) -> Arc<Room> {
        Room::new(messages, bytes)
    }

    fn expiring(seconds: u32) -> Message {
        let mut message = Message::new("t", "x");
        message.properties.message_expiry = Some(seconds);
        message
    }

    #[test]
    fn the_outbox_is_bounded_by_count_and_by_bytes_and_gives_space_back() {
        let by_count = room(2, 10_000);
        let first = Entry::new(Message::new("t", "x"), &by_count, &mut None);
        let second = Entry::new(Message::new("t", "x"), &by_count, &mut None);
        assert!(first.is_some() && second.is_some());
        assert!(Entry::new(Message::new("t", "x"), &by_count, &mut None).is_none());
        drop(first);
        assert!(Entry::new(Message::new("t", "x"), &by_count, &mut None).is_some());

        let by_bytes = room(10, 100);
        assert!(Entry::new(Message::new("t", vec![0; 200]), &by_bytes, &mut None).is_none());
        let all: Vec<_> = (0..10)
            .map_while(|_| Entry::new(Message::new("t", vec![0; 26]), &by_bytes, &mut None))
            .collect();
        assert_eq!(all.len(), 2, "2 x 40 bytes of packet fit into 100");
        drop(all);
        assert_eq!(by_bytes.free(), (10, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_expires_in_the_queue_is_reported_not_sent() {
        let room = room(10, 10_000);
        let mut waiting = Waiting::default();
        let (entry, short) = Entry::new(expiring(5), &room, &mut None).unwrap();
        waiting.push(entry);
        let (entry, long) = Entry::new(expiring(60), &room, &mut None).unwrap();
        waiting.push(entry);

        tokio::time::advance(Duration::from_secs(6)).await;
        waiting.drop_expired(Instant::now());
        assert_eq!(short.await, Err(NotSent::Expired));
        let entry = waiting.next(Instant::now()).unwrap();
        assert_eq!(entry.seconds_left(Instant::now()), Some(54));
        drop(entry);
        assert_eq!(long.await, Err(NotSent::Closed));
    }

    #[test]
    fn entries_put_back_come_first_and_in_their_order() {
        let room = room(10, 10_000);
        let entry = |name: &str| {
            Entry::new(Message::new(name, "x"), &room, &mut None)
                .unwrap()
                .0
        };
        let mut waiting = Waiting::default();
        waiting.push(entry("c"));
        waiting.put_back([entry("a"), entry("b")].into_iter());
        let order: Vec<_> = waiting.drain().map(|entry| entry.message.topic).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }
}
