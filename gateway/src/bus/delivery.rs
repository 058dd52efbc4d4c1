//! Outgoing messages between the outbox and the broker's acknowledgement.
//!
//! `rumqttc` keeps its own copy of what is in flight, but forgets what it was handed when a
//! connection breaks at the wrong moment, and reports refusals nowhere. So the truth is here: an
//! entry leaves only when its fate is known, and each connection gets a fresh `rumqttc`.

use super::BrokerLimits;
use super::message::Qos;
use super::outbox::{Entry, NotSent, Rejection, Waiting};
use super::suspicion::{Answer, Ending};
use super::wire;
use rumqttc::v5::Request;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, Publish};
use std::collections::VecDeque;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Delivery {
    waiting: Waiting,
    /// Given to `rumqttc`, not yet known to be written. One at a time: it costs nothing, and when
    /// the connection breaks at most one message's fate has to be found out.
    handing: Option<Entry>,
    /// Written QoS 1 messages without their PUBACK, in order of sending.
    in_flight: VecDeque<Entry>,
    /// Of those, the ones to send again on a resumed session, oldest first.
    replay: VecDeque<Entry>,
    /// How many at the front of `in_flight` are replays. Nothing new leaves before they are
    /// acknowledged: the order holds, and a fresh `rumqttc`, which numbers from 1 again, cannot
    /// reuse one of their packet identifiers.
    replays_in_flight: usize,
    /// Whether a QoS 0 message went out on this connection: it leaves no trace here, and the
    /// broker may hang up over it as well.
    sent_qos_0: bool,
    /// Whether a suspect was cleared or dropped since this was last asked.
    progressed: bool,
}

impl Delivery {
    pub(super) fn push(&mut self, entry: Entry) {
        self.waiting.push(entry);
    }

    pub(super) fn drop_expired(&mut self, now: Instant) {
        self.waiting.drop_expired(now);
    }

    /// The next entry to hand to `rumqttc`, if flow control allows one. Entries this broker cannot
    /// take are answered on the way.
    pub(super) fn next(&mut self, limits: &BrokerLimits, now: Instant) -> Option<Entry> {
        if self.handing.is_some()
            || !self.replay.is_empty()
            || self.replays_in_flight > 0
            || self.in_flight.len() >= window(limits)
            || (!self.in_flight.is_empty() && self.has_suspects())
        {
            return None;
        }
        loop {
            let entry = self.waiting.next(now)?;
            match fit(&entry, limits) {
                Ok(()) => return Some(entry),
                Err(error) => entry.resolve(Err(error)),
            }
        }
    }

    /// `rumqttc` has taken the entry into its queue.
    pub(super) fn handed(&mut self, mut entry: Entry, now: Instant) {
        entry.record.sent(now);
        self.handing = Some(entry);
    }

    /// `rumqttc` has not taken the entry.
    pub(super) fn not_handed(&mut self, entry: Entry) {
        self.waiting.put_back(std::iter::once(entry));
    }

    /// `rumqttc` has written the entry to the socket (or, for QoS 1, holds it back until an
    /// identifier is free). Replays are known already and do not count.
    pub(super) fn written(&mut self, packet_id: u16) {
        let Some(mut entry) = self.handing.take() else {
            return;
        };
        match entry.message.qos {
            Qos::AtMostOnce => {
                self.sent_qos_0 = true;
                entry.resolve(Ok(()));
            }
            Qos::AtLeastOnce => {
                entry.packet_id = packet_id;
                self.in_flight.push_back(entry);
            }
        }
    }

    /// The broker has answered.
    pub(super) fn acknowledged(&mut self, packet_id: u16, reason: PubAckReason) {
        let Some(index) = self
            .in_flight
            .iter()
            .position(|entry| entry.packet_id == packet_id)
        else {
            tracing::warn!(
                packet_id,
                "acknowledgement for a message that is not in flight"
            );
            return;
        };
        self.replays_in_flight -= usize::from(index < self.replays_in_flight);
        if let Some(entry) = self.in_flight.remove(index) {
            self.progressed |= entry.record.is_suspect();
            let outcome = wire::rejection(reason).map_or(Ok(()), |r| Err(NotSent::Rejected(r)));
            entry.resolve(outcome);
        }
    }

    /// The broker kept our session: the unacknowledged messages that may be sent again now, with
    /// their packet identifiers and marked as duplicates.
    pub(super) fn due_replays(&mut self, limits: &BrokerLimits, now: Instant) -> Vec<Publish> {
        let mut due = Vec::new();
        while self.in_flight.len() < window(limits) {
            if !self.in_flight.is_empty() && self.has_suspects() {
                break;
            }
            let Some(mut entry) = self.replay.pop_front() else {
                break;
            };
            if entry.has_expired(now) {
                entry.resolve(Err(NotSent::Unknown));
            } else if let Err(error) = fit(&entry, limits) {
                entry.resolve(Err(error));
            } else {
                due.push(wire::replay(
                    &entry.message,
                    entry.packet_id,
                    entry.seconds_left(now),
                ));
                entry.record.sent(now);
                self.in_flight.push_back(entry);
                self.replays_in_flight += 1;
            }
        }
        due
    }

    /// The broker has no session of ours: what was in flight is sent anew, before all else.
    pub(super) fn session_gone(&mut self) {
        let again = std::mem::take(&mut self.replay)
            .into_iter()
            .map(|mut entry| {
                entry.packet_id = 0;
                entry
            });
        self.waiting.put_back(again);
    }

    /// The connection is gone. `left_over` is what `rumqttc` had not sent or not seen acknowledged,
    /// `collided` whether it held a message back because its packet identifier was in use.
    pub(super) fn connection_lost<'a>(
        &mut self,
        left_over: impl IntoIterator<Item = &'a Request>,
        collided: bool,
        ending: Ending,
        now: Instant,
    ) {
        if collided && let Some(mut entry) = self.in_flight.pop_back() {
            entry.packet_id = 0;
            self.waiting.put_back(std::iter::once(entry));
        }
        if let Some(entry) = self.handing.take() {
            self.place_handed(entry, left_over);
        }
        let alone = self.in_flight.len() == 1 && !self.sent_qos_0;
        for entry in &mut self.in_flight {
            entry.record.connection_lost(ending, alone, now);
        }
        self.sent_qos_0 = false;
        self.in_flight.append(&mut self.replay);
        self.replay = std::mem::take(&mut self.in_flight);
        self.replays_in_flight = 0;
    }

    /// A connection came as far as CONNACK, or not. What the broker hangs up over is dropped here.
    pub(super) fn broker_answered(&mut self, answer: Answer) {
        for mut entry in std::mem::take(&mut self.replay) {
            if entry.record.judge(answer) {
                self.progressed = true;
                entry.resolve(Err(NotSent::HungUp));
            } else {
                self.replay.push_back(entry);
            }
        }
    }

    /// Whether the search for what the broker hangs up over goes on. Suspects are in front of all
    /// others, and each is sent alone.
    pub(super) fn has_suspects(&self) -> bool {
        let first = [
            self.in_flight.front(),
            self.replay.front(),
            self.waiting.front(),
        ];
        first
            .into_iter()
            .flatten()
            .any(|entry| entry.record.is_suspect())
    }

    /// Whether a suspect was cleared or dropped since this was last asked.
    pub(super) fn has_progressed(&mut self) -> bool {
        std::mem::take(&mut self.progressed)
    }

    /// Finds out how far the entry came that was handed over last.
    fn place_handed<'a>(
        &mut self,
        mut entry: Entry,
        left_over: impl IntoIterator<Item = &'a Request>,
    ) {
        let left_over = left_over.into_iter().find_map(|request| match request {
            Request::Publish(publish)
                if self
                    .in_flight
                    .iter()
                    .all(|entry| entry.packet_id != publish.pkid) =>
            {
                Some(publish)
            }
            _ => None,
        });
        match (left_over, entry.message.qos) {
            // Possibly written, under this identifier.
            (Some(publish), Qos::AtLeastOnce) if publish.pkid != 0 => {
                entry.packet_id = publish.pkid;
                self.in_flight.push_back(entry);
            }
            // Still in the queue of requests: certainly not written.
            (Some(_), _) | (None, Qos::AtLeastOnce) => {
                self.waiting.put_back(std::iter::once(entry));
            }
            // Taken out of the queue: possibly written, and QoS 0 is never replayed.
            (None, Qos::AtMostOnce) => entry.resolve(Err(NotSent::Unknown)),
        }
    }

    /// Nothing waits and nothing is open.
    pub(super) fn is_idle(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.len() > 0
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
            + usize::from(self.handing.is_some())
            + self.in_flight.len()
            + self.replay.len()
    }

    /// The bus ends: everything left is answered.
    pub(super) fn abandon(&mut self) {
        let handed = self.handing.take().into_iter();
        for entry in handed
            .chain(self.in_flight.drain(..))
            .chain(self.replay.drain(..))
        {
            entry.resolve(Err(NotSent::Unknown));
        }
        for entry in self.waiting.drain() {
            entry.resolve(Err(NotSent::Closed));
        }
    }
}

/// How many messages may be in flight. One less than `rumqttc` allows itself: at its limit it stops
/// reading requests, and our acknowledgements of received messages are requests.
fn window(limits: &BrokerLimits) -> usize {
    usize::from(limits.receive_maximum.min(wire::MAX_IN_FLIGHT) - 1).max(1)
}

/// Whether this broker can take the message; sending it regardless would cost the connection.
fn fit(entry: &Entry, limits: &BrokerLimits) -> Result<(), NotSent> {
    let message = &entry.message;
    if let Some(limit) = limits.max_packet_size
        && message.packet_size() > limit as usize
    {
        return Err(NotSent::TooLarge { limit });
    }
    if message.retain && !limits.retain_available {
        return Err(NotSent::Rejected(Rejection::RetainNotSupported));
    }
    if message.qos == Qos::AtLeastOnce && !limits.qos1_available {
        return Err(NotSent::Rejected(Rejection::QosNotSupported));
    }
    Ok(())
}
