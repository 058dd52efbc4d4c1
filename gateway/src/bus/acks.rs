//! Acknowledgements of received messages: in order of receipt, never on another connection.

use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Names one received QoS 1 message: packet identifiers are reused, this is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    /// Counts the connections; a packet identifier means nothing on another one.
    epoch: u64,
    /// Counts the QoS 1 messages of this connection.
    serial: u64,
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Acknowledge,
    /// The token was dropped: whoever held it failed before it knew the message to be safe.
    Abandon,
}

/// The right to acknowledge one received message.
///
/// Dropped without [`Ack::send`], the message stays unacknowledged and the broker delivers it again
/// on the next connection; acknowledgements after it are not held up.
#[derive(Debug)]
#[must_use = "an unacknowledged message is delivered again"]
pub struct Ack(Option<(Receipt, mpsc::UnboundedSender<(Receipt, Verdict)>)>);

impl Ack {
    /// Nothing to acknowledge: QoS 0.
    pub(super) fn needless() -> Self {
        Self(None)
    }

    /// The channel is unbounded in type only: a receipt sends one verdict, and the broker sends at
    /// most receive-maximum messages ahead of our acknowledgements.
    pub(super) fn new(
        receipt: Receipt,
        verdicts: mpsc::UnboundedSender<(Receipt, Verdict)>,
    ) -> Self {
        Self(Some((receipt, verdicts)))
    }

    /// Acknowledges the message (PUBACK) as soon as all received before it are, and before anything
    /// published after this. Never blocks; does nothing for QoS 0, and nothing once the connection it came by is gone.
    pub fn send(mut self) {
        self.give(Verdict::Acknowledge);
    }

    fn give(&mut self, verdict: Verdict) {
        if let Some((receipt, verdicts)) = self.0.take() {
            verdicts.send((receipt, verdict)).ok();
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        self.give(Verdict::Abandon);
    }
}

/// The received QoS 1 messages of the present connection, oldest first.
#[derive(Debug, Default)]
pub(super) struct Received {
    epoch: u64,
    /// Serial of the front of `open`.
    first: u64,
    open: VecDeque<(u16, Option<Verdict>)>,
}

impl Received {
    /// A new connection: every receipt handed out before is void.
    pub(super) fn next_epoch(&mut self) {
        self.epoch += 1;
        self.first = 0;
        self.open.clear();
    }

    /// Whether a receipt belongs to the present connection.
    pub(super) fn is_current(&self, receipt: Receipt) -> bool {
        receipt.epoch == self.epoch
    }

    /// How many messages are not acknowledged, or not in their turn.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Notes a received message.
    pub(super) fn push(&mut self, packet_id: u16) -> Receipt {
        let serial = self.first + self.open.len() as u64;
        self.open.push_back((packet_id, None));
        Receipt {
            epoch: self.epoch,
            serial,
        }
    }

    /// Notes a verdict and returns the packet identifiers that may be acknowledged now, in order
    /// (MQTT 5, MQTT-4.6.0-2).
    pub(super) fn settle(&mut self, receipt: Receipt, verdict: Verdict) -> Vec<u16> {
        let slot = receipt
            .serial
            .checked_sub(self.first)
            .filter(|_| self.is_current(receipt))
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| self.open.get_mut(index));
        let Some((packet_id, open)) = slot else {
            tracing::debug!("acknowledgement for an earlier connection dropped");
            return Vec::new();
        };
        if verdict == Verdict::Abandon {
            tracing::warn!(
                packet_id,
                "received message not acknowledged; it will come again"
            );
        }
        *open = Some(verdict);
        let mut due = Vec::new();
        while let Some((packet_id, Some(verdict))) = self.open.front().copied() {
            self.open.pop_front();
            self.first += 1;
            if verdict == Verdict::Acknowledge {
                due.push(packet_id);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn acknowledgements_leave_in_order_of_receipt_whatever_the_order_of_the_caller() {
        let mut received = Received::default();
        let [a, b, c] = [7, 3, 9].map(|packet_id| received.push(packet_id));
        assert!(received.settle(c, Verdict::Acknowledge).is_empty());
        assert!(received.settle(b, Verdict::Acknowledge).is_empty());
        assert_eq!(received.settle(a, Verdict::Acknowledge), [7, 3, 9]);
    }

    #[test]
    fn an_acknowledgement_for_an_earlier_connection_cannot_hit_a_reused_packet_identifier() {
        let mut received = Received::default();
        let stale = received.push(1);
        received.next_epoch();
        let fresh = received.push(1);
        assert!(received.settle(stale, Verdict::Acknowledge).is_empty());
        assert_eq!(received.settle(fresh, Verdict::Acknowledge), [1]);
    }

    #[test]
    fn a_dropped_token_leaves_its_message_unacknowledged_and_holds_up_no_other() {
        let mut received = Received::default();
        let (verdicts, mut inbox) = mpsc::unbounded_channel();
        drop(Ack::new(received.push(1), verdicts.clone()));
        Ack::new(received.push(2), verdicts).send();
        let mut due = Vec::new();
        while let Some((receipt, verdict)) = inbox.blocking_recv() {
            due.extend(received.settle(receipt, verdict));
        }
        assert_eq!(due, [2]);
    }

    proptest! {
        #[test]
        fn every_message_is_acknowledged_once_and_in_order(
            order in Just((0..20usize).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut received = Received::default();
            let receipts: Vec<_> = (0..20).map(|packet_id| received.push(packet_id)).collect();
            let due: Vec<u16> = order
                .into_iter()
                .flat_map(|index| received.settle(receipts[index], Verdict::Acknowledge))
                .collect();
            prop_assert_eq!(due, (0..20).collect::<Vec<u16>>());
        }
    }
}
