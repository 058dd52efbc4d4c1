//! Received messages on their way to the reader, and their acknowledgements on the way back.

use super::acks::{self, Ack, Receipt, Verdict};
use super::message::Qos;
use super::{Incoming, Received, wire};
use rumqttc::v5::mqttbytes::v5::Publish;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// QoS 0 messages kept for a slow reader. Calls are QoS 1; these are courtesy.
const QOS0_ROOM: usize = 64;

/// Everything kept for a slow reader, in windows of QoS 1 messages: the present connection's and,
/// while the line flaps, those of earlier ones.
const WINDOWS: usize = 4;

#[derive(Debug)]
pub(super) struct Inbox {
    incoming: mpsc::Sender<Incoming>,
    backlog: VecDeque<Kept>,
    bound: usize,
    received: acks::Received,
    verdicts: mpsc::UnboundedSender<(Receipt, Verdict)>,
    owed: mpsc::UnboundedReceiver<(Receipt, Verdict)>,
}

#[derive(Debug)]
enum Kept {
    Line(Incoming),
    Message(Received, Option<Receipt>),
}

impl Inbox {
    pub(super) fn new(incoming: mpsc::Sender<Incoming>, receive_maximum: u16) -> Self {
        let (verdicts, owed) = mpsc::unbounded_channel();
        Self {
            incoming,
            backlog: VecDeque::new(),
            bound: QOS0_ROOM + WINDOWS * usize::from(receive_maximum.max(1)),
            received: acks::Received::default(),
            verdicts,
            owed,
        }
    }

    /// Moves one item to the reader or one verdict to the caller, whichever comes first. Returns
    /// the packet identifiers that may be acknowledged now. Cancel safe.
    pub(super) async fn progress(&mut self) -> Vec<u16> {
        tokio::select! {
            Some((receipt, verdict)) = self.owed.recv() => {
                self.received.settle(receipt, verdict)
            }
            // A reader that has gone away leaves the backlog to its bound.
            Ok(place) = self.incoming.reserve(), if !self.backlog.is_empty() => {
                match self.backlog.pop_front() {
                    Some(Kept::Line(change)) => place.send(change),
                    Some(Kept::Message(received, _)) => place.send(Incoming::Message(received)),
                    None => {}
                }
                Vec::new()
            }
            else => std::future::pending().await,
        }
    }

    /// The packet identifiers that may be acknowledged by what callers have said until now.
    pub(super) fn due(&mut self) -> Vec<u16> {
        let mut due = Vec::new();
        while let Ok((receipt, verdict)) = self.owed.try_recv() {
            due.extend(self.received.settle(receipt, verdict));
        }
        due
    }

    /// A new connection begins: acknowledgements owed to the one before are void.
    pub(super) fn connection_begins(&mut self) {
        self.received.next_epoch();
    }

    /// The broker kept our session, so it will deliver again what was not acknowledged: copies not
    /// yet read would only be duplicates.
    pub(super) fn session_resumed(&mut self) {
        let received = &self.received;
        self.backlog.retain(|kept| match kept {
            Kept::Message(_, Some(receipt)) => received.is_current(*receipt),
            _ => true,
        });
    }

    /// Tells the reader about the line. An older change not yet read is replaced.
    pub(super) fn line(&mut self, change: Incoming) {
        self.backlog
            .retain(|kept| matches!(kept, Kept::Message(..)));
        self.backlog.push_back(Kept::Line(change));
    }

    /// Keeps a received message for the reader, without ever waiting. Returns the identifiers that
    /// may be acknowledged now, and whether the message was dropped.
    pub(super) fn deliver(&mut self, publish: Publish) -> (Vec<u16>, bool) {
        let (packet_id, duplicate) = (publish.pkid, publish.dup);
        let receipt = (packet_id != 0).then(|| self.received.push(packet_id));
        let message = match wire::message(publish) {
            Ok(message) => message,
            Err(problem) => {
                tracing::warn!(problem, "received message dropped");
                // It would be no better the next time.
                return (self.settle(receipt, Verdict::Acknowledge), true);
            }
        };
        let room = match message.qos {
            Qos::AtMostOnce => QOS0_ROOM,
            Qos::AtLeastOnce => self.bound,
        };
        if self.backlog.len() >= room {
            tracing::warn!(topic = %message.topic, "received message dropped: nobody reads them");
            return (self.settle(receipt, Verdict::Abandon), true);
        }
        let ack = receipt.map_or_else(Ack::needless, |receipt| {
            Ack::new(receipt, self.verdicts.clone())
        });
        self.backlog.push_back(Kept::Message(
            Received {
                message,
                duplicate,
                ack,
            },
            receipt,
        ));
        (Vec::new(), false)
    }

    fn settle(&mut self, receipt: Option<Receipt>, verdict: Verdict) -> Vec<u16> {
        receipt.map_or_else(Vec::new, |receipt| self.received.settle(receipt, verdict))
    }
}
