//! The task behind a [`super::Bus`]: connects, subscribes, sends, receives, and begins again.
//!
//! `EventLoop::poll` is never cancelled while a connection is good: it is pinned, and everything
//! else is served beside it. Only a connection given up (silent, or out of time) is dropped, and
//! with it the whole event loop; what it still held is collected first.

use super::delivery::Delivery;
use super::group::Member;
use super::inbox::Inbox;
use super::link::{Link, SUBACK_PATIENCE, Stage};
use super::message::Message;
use super::outbox::{Entry, NotSent, Sent};
use super::settings::Settings;
use super::suspicion::{Answer, Ending};
use super::{Closed, Command, Disconnection, Incoming, Shared, wire};
use crate::backoff::Backoff;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, PubAck, Publish, SubAck};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Request};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};

/// A broker restarted by its supervisor is back within a second or two.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Nobody wants to wait longer than this for a broker that is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Expiry is counted in seconds.
const SWEEP: Duration = Duration::from_secs(1);

/// Requests `rumqttc` may hold beside acknowledgements: one publish, one SUBSCRIBE, one DISCONNECT.
const SPARE_REQUESTS: usize = 4;

pub(super) struct Session {
    settings: Settings,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    delivery: Delivery,
    inbox: Inbox,
    group: Member,
    sweep: Interval,
    /// Whether commands may still come.
    listening: bool,
    closing: Option<Closing>,
    /// Whether this process has made its subscriptions: a session found at the first connection may
    /// be an older version's.
    subscribed: bool,
}

struct Closing {
    deadline: Instant,
    farewell: Farewell,
    done: Option<oneshot::Sender<Closed>>,
    will_suppressed: bool,
}

enum Farewell {
    None,
    Wanted(Message),
    Queued(Sent),
    Answered(bool),
}

enum Woken<T> {
    Done(T),
    /// The work took longer than it may.
    Overdue,
    /// The bus shall end now.
    Leave,
}

enum Ended {
    Lost(Disconnection),
    Left,
}

impl Session {
    pub(super) fn new(
        settings: Settings,
        shared: Arc<Shared>,
        commands: mpsc::UnboundedReceiver<Command>,
        incoming: mpsc::Sender<Incoming>,
        group: Member,
    ) -> Self {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self {
            inbox: Inbox::new(incoming, settings.receive_maximum),
            settings,
            shared,
            commands,
            delivery: Delivery::default(),
            group,
            sweep,
            listening: true,
            closing: None,
            subscribed: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            match self.connection(&mut backoff).await {
                Ended::Left => break,
                Ended::Lost(reason) => {
                    let pause = backoff.next_pause();
                    tracing::warn!(
                        broker = %self.settings.address, client_id = %self.settings.client_id,
                        %reason, retry_ms = pause.as_millis(), "no connection to the broker"
                    );
                    if self.group.down() {
                        self.inbox.line(Incoming::Disconnected { reason });
                    }
                    if matches!(self.beside(None, sleep(pause), None).await, Woken::Leave) {
                        break;
                    }
                }
            }
        }
        self.finish();
    }

    /// One connection, from CONNECT to its end.
    async fn connection(&mut self, backoff: &mut Backoff) -> Ended {
        self.inbox.connection_begins();
        let requests = usize::from(self.settings.receive_maximum) + SPARE_REQUESTS;
        let (client, mut event_loop) = AsyncClient::new(wire::options(&self.settings), requests);
        let mut link = Link::new(client);
        let mut ending = Ending::Elsewise;
        let ended = loop {
            let patience = link.patience(&self.settings);
            let woken = self
                .beside(Some(&mut link), event_loop.poll(), Some(patience))
                .await;
            let step = match woken {
                Woken::Done(Ok(event)) => self.on_event(&mut link, &mut event_loop, event),
                Woken::Done(Err(_)) | Woken::Overdue if link.is_leaving() => Err(Ended::Left),
                Woken::Done(Err(error)) => {
                    ending = wire::ending(&error);
                    let connecting = matches!(link.stage, Stage::Connecting);
                    Err(Ended::Lost(wire::disconnection(
                        error,
                        connecting,
                        &self.settings,
                    )))
                }
                Woken::Overdue => {
                    let address = self.settings.address.clone();
                    Err(Ended::Lost(Disconnection::Silent { address }))
                }
                Woken::Leave => Err(Ended::Left),
            };
            match step {
                // A broker that hangs up over the same message again is not asked ever faster.
                Ok(()) if matches!(link.stage, Stage::Ready) => {
                    if self.delivery.has_progressed() || !self.delivery.has_suspects() {
                        backoff.reset();
                    }
                }
                Ok(()) => {}
                Err(ended) => break ended,
            }
            if self.say_farewell(&mut link) {
                break Ended::Left;
            }
        };
        self.shared.connected.store(false, Ordering::Relaxed);
        if matches!(link.stage, Stage::Connecting) {
            self.delivery.broker_answered(Answer::None);
        }
        self.collect(&mut event_loop, ending);
        ended
    }

    /// Runs `work` to its end and serves handles, reader and timers beside it.
    async fn beside<T>(
        &mut self,
        mut link: Option<&mut Link>,
        work: impl Future<Output = T>,
        patience: Option<Duration>,
    ) -> Woken<T> {
        let mut work = std::pin::pin!(work);
        let mut overdue = std::pin::pin!(at(patience.map(|patience| Instant::now() + patience)));
        loop {
            let deadline = self.closing.as_ref().map(|closing| closing.deadline);
            tokio::select! {
                done = &mut work => return Woken::Done(done),
                command = self.commands.recv(), if self.listening => {
                    self.obey(command);
                    match link.as_deref_mut() {
                        Some(link) => {
                            self.hand_over(link);
                            if self.say_farewell(link) {
                                return Woken::Leave;
                            }
                        }
                        None if self.has_nothing_to_say() => return Woken::Leave,
                        None => {}
                    }
                }
                due = self.inbox.progress() => {
                    if let Some(link) = link.as_deref_mut() {
                        link.acknowledge(&due);
                    }
                }
                _ = self.sweep.tick(), if self.delivery.has_waiting() => {
                    self.delivery.drop_expired(Instant::now());
                }
                () = &mut overdue => return Woken::Overdue,
                () = at(deadline) => return Woken::Leave,
            }
        }
    }

    fn obey(&mut self, command: Option<Command>) {
        let (farewell, deadline, done) = match command {
            Some(Command::Publish(entry)) => return self.delivery.push(entry),
            Some(Command::Close {
                farewell,
                deadline,
                done,
            }) => {
                let farewell = farewell.map_or(Farewell::None, Farewell::Wanted);
                (farewell, deadline, Some(done))
            }
            None => {
                self.listening = false;
                // Closed, or every handle is gone and nobody can close any more.
                (Farewell::None, Instant::now(), None)
            }
        };
        self.commands.close();
        self.closing.get_or_insert(Closing {
            deadline,
            farewell,
            done,
            will_suppressed: false,
        });
    }

    /// Hands the next message to `rumqttc`, if there is one and it may leave.
    fn hand_over(&mut self, link: &mut Link) {
        if !matches!(link.stage, Stage::Ready) {
            return;
        }
        // Who acknowledges a call and then publishes its answer finds both in that order.
        link.acknowledge(&self.inbox.due());
        let now = Instant::now();
        let Some(entry) = self.delivery.next(&link.limits, now) else {
            return;
        };
        let message = &entry.message;
        let taken = link.client.try_publish_with_properties(
            message.topic.as_str(),
            wire::qos(message.qos),
            message.retain,
            message.payload.clone(),
            wire::properties(message, entry.seconds_left(now)),
        );
        match taken {
            Ok(()) => self.delivery.handed(entry, now),
            // Its queue is full of acknowledgements: tried again at the next event.
            Err(_) => self.delivery.not_handed(entry),
        }
    }

    fn on_event(
        &mut self,
        link: &mut Link,
        event_loop: &mut EventLoop,
        event: Event,
    ) -> Result<(), Ended> {
        match event {
            Event::Incoming(Packet::ConnAck(connack)) => {
                self.on_connack(link, event_loop, &connack);
            }
            Event::Incoming(Packet::SubAck(suback)) => self.on_suback(link, event_loop, &suback)?,
            Event::Incoming(Packet::PubAck(PubAck { pkid, reason, .. })) => {
                self.delivery.acknowledged(pkid, reason);
                self.replay(link, event_loop);
            }
            Event::Incoming(Packet::Publish(publish)) => {
                let due = self.deliver(publish);
                link.acknowledge(&due);
            }
            Event::Outgoing(Outgoing::Publish(pkid) | Outgoing::AwaitAck(pkid)) => {
                self.delivery.written(pkid);
            }
            Event::Outgoing(Outgoing::PubAck(_)) => {
                link.unwritten_acks = link.unwritten_acks.saturating_sub(1);
            }
            Event::Outgoing(Outgoing::Disconnect) => {
                if let Some(closing) = &mut self.closing {
                    closing.will_suppressed = true;
                }
            }
            _ => {}
        }
        self.hand_over(link);
        Ok(())
    }

    fn on_connack(&mut self, link: &mut Link, event_loop: &mut EventLoop, connack: &ConnAck) {
        link.limits = wire::limits(connack);
        link.session_present = connack.session_present;
        let limit = link
            .limits
            .max_packet_size
            .map_or(self.settings.max_packet_size, |limit| {
                limit.min(self.settings.max_packet_size)
            });
        self.shared.packet_limit.store(limit, Ordering::Relaxed);
        if connack.session_present {
            self.delivery.broker_answered(Answer::SessionKept);
            self.inbox.session_resumed();
        } else {
            self.delivery.broker_answered(Answer::SessionLost);
            self.subscribed = false;
            self.delivery.session_gone();
        }
        if self.subscribed || self.settings.subscriptions.is_empty() {
            self.ready(link, event_loop);
        } else {
            // Nothing is in flight yet, so the packet identifier rumqttc chooses is free.
            link.client
                .try_subscribe_many(wire::filters(&self.settings))
                .ok();
            link.stage = Stage::Subscribing {
                deadline: Instant::now() + SUBACK_PATIENCE,
            };
        }
    }

    fn on_suback(
        &mut self,
        link: &mut Link,
        event_loop: &mut EventLoop,
        suback: &SubAck,
    ) -> Result<(), Ended> {
        let answers = self.settings.subscriptions.iter().zip(&suback.return_codes);
        for (subscription, code) in answers {
            if let Some(reason) = wire::subscription_refusal(*code) {
                let filter = subscription.filter.clone();
                tracing::error!(%filter, %reason, "the broker refused a subscription");
                let refused = Disconnection::SubscriptionRefused { filter, reason };
                return Err(Ended::Lost(refused));
            }
        }
        if suback.return_codes.len() != self.settings.subscriptions.len() {
            return Err(Ended::Lost(Disconnection::Broken {
                address: self.settings.address.clone(),
                error: "the SUBACK does not fit the SUBSCRIBE".to_owned(),
            }));
        }
        self.subscribed = true;
        self.ready(link, event_loop);
        Ok(())
    }

    fn ready(&mut self, link: &mut Link, event_loop: &mut EventLoop) {
        link.stage = Stage::Ready;
        self.shared.connected.store(true, Ordering::Relaxed);
        let (session_present, limits) = (link.session_present, link.limits);
        tracing::info!(
            broker = %self.settings.address, client_id = %self.settings.client_id,
            session_present, waiting = self.delivery.len(), "connected to the broker"
        );
        if let Some((session_present, limits)) = self.group.up((session_present, limits)) {
            self.inbox.line(Incoming::Connected {
                session_present,
                limits,
            });
        }
        self.replay(link, event_loop);
    }

    /// Only between polls: `pending` is the one way to send a packet under its old identifier.
    fn replay(&mut self, link: &Link, event_loop: &mut EventLoop) {
        if matches!(link.stage, Stage::Ready) {
            let due = self.delivery.due_replays(&link.limits, Instant::now());
            event_loop
                .pending
                .extend(due.into_iter().map(Request::Publish));
        }
    }

    fn deliver(&mut self, publish: Publish) -> Vec<u16> {
        let (due, dropped) = self.inbox.deliver(publish);
        self.shared
            .dropped_incoming
            .fetch_add(u64::from(dropped), Ordering::Relaxed);
        due
    }

    /// Takes from a dead event loop what it had received, sent and not sent.
    fn collect(&mut self, event_loop: &mut EventLoop, ending: Ending) {
        event_loop.clean();
        for event in std::mem::take(&mut event_loop.state.events) {
            match event {
                Event::Incoming(Packet::PubAck(PubAck { pkid, reason, .. })) => {
                    self.delivery.acknowledged(pkid, reason);
                }
                // Its acknowledgement is void, the message is not.
                Event::Incoming(Packet::Publish(publish)) => drop(self.deliver(publish)),
                Event::Outgoing(Outgoing::Publish(pkid) | Outgoing::AwaitAck(pkid)) => {
                    self.delivery.written(pkid);
                }
                _ => {}
            }
        }
        let collided = event_loop.state.collision.take().is_some();
        let now = Instant::now();
        self.delivery
            .connection_lost(&event_loop.pending, collided, ending, now);
    }

    /// Moves a closing bus on; true when it may end now.
    fn say_farewell(&mut self, link: &mut Link) -> bool {
        let Some(closing) = &mut self.closing else {
            return false;
        };
        if let Farewell::Queued(sent) = &mut closing.farewell
            && let Some(answer) = sent.try_take()
        {
            closing.farewell = Farewell::Answered(answer.is_ok());
        }
        if !matches!(link.stage, Stage::Ready) || !self.delivery.is_idle() {
            return false;
        }
        link.acknowledge(&self.inbox.due());
        if link.unwritten_acks > 0 {
            return false;
        }
        let politely = match std::mem::replace(&mut closing.farewell, Farewell::None) {
            Farewell::Wanted(message) => {
                let (entry, sent) = Entry::unbounded(message);
                closing.farewell = Farewell::Queued(sent);
                self.delivery.push(entry);
                self.hand_over(link);
                return false;
            }
            Farewell::None => self.settings.will.is_none(),
            Farewell::Queued(_) => false,
            Farewell::Answered(sent) => {
                closing.farewell = Farewell::Answered(sent);
                sent
            }
        };
        if politely && link.client.try_disconnect().is_ok() {
            link.stage = Stage::Leaving;
            return false;
        }
        true
    }

    /// Closing, unconnected, and nothing that would be worth a connection.
    fn has_nothing_to_say(&self) -> bool {
        let silent = |closing: &Closing| matches!(closing.farewell, Farewell::None);
        self.closing.as_ref().is_some_and(silent) && self.delivery.is_idle()
    }

    fn finish(mut self) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Publish(entry) => self.delivery.push(entry),
                Command::Close { .. } => {}
            }
        }
        let mut unsent = self.delivery.len();
        self.delivery.abandon();
        let Some(mut closing) = self.closing.take() else {
            return;
        };
        let farewell_sent = match &mut closing.farewell {
            Farewell::Answered(sent) => *sent,
            Farewell::Queued(sent) => {
                // Counted as the caller's farewell, not as one of the queue.
                let answer = sent.try_take();
                unsent -= usize::from(matches!(
                    answer,
                    Some(Err(NotSent::Unknown | NotSent::Closed))
                ));
                matches!(answer, Some(Ok(())))
            }
            Farewell::None | Farewell::Wanted(_) => false,
        };
        let will_suppressed = closing.will_suppressed;
        tracing::info!(unsent, farewell_sent, will_suppressed, "left the broker");
        if let Some(done) = closing.done {
            done.send(Closed {
                unsent,
                farewell_sent,
                will_suppressed,
            })
            .ok();
        }
    }
}

/// Sleeps until then, or for ever.
async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
