//! The task that carries out the dispatcher's actions. It connects the bus, the devices and the journal,
//! and waits for none of them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use koffer_drivers::{Interrupted, NotStored, Reconciled};
use koffer_proto::{ClientId, DeviceId, Failure, Outcome, Reason, Status};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    bulk::BulkSession,
    decoding::Undecoded,
    dispatcher::{Action, Dispatcher, Input, Job, Moment, Reconcile, StoredStep, SupervisorEvent},
    incoming::AckToken,
    own_state::OwnState,
    replies::Reply,
    texts,
};
use crate::{
    bus::{Ack, Bus, Incoming, Message, Refused},
    clock,
    documents::Documents,
    journal::{CallNo, Deleted, Journal, Snapshot},
    room::{Budget, Held},
};

/// A journal that cannot be read, on a disk that is full or away, is looked at again this often.
const REMEMBER_AGAIN: Duration = Duration::from_secs(10);

/// As long as more than this waits for the outbox, events of devices do not wait as well.
const EVENTS: usize = 1024;

/// Vital signs follow a change no faster than this.
const HEALTH_FOLLOWS: Duration = Duration::from_secs(1);

/// What the dispatcher task needs.
pub struct Startup {
    /// Decides.
    pub dispatcher: Dispatcher,
    /// Sends.
    pub bus: Bus,
    /// Sends what is large.
    pub bulk: BulkSession,
    /// What the bus receives.
    pub incoming: mpsc::Receiver<Incoming>,
    /// What the devices' supervisors tell.
    pub events: mpsc::Receiver<(DeviceId, SupervisorEvent)>,
    /// Devices of which the broker still holds documents of an earlier life of the gateway.
    pub left_behind: mpsc::Receiver<DeviceId>,
    /// Where the devices' calls go.
    pub devices: BTreeMap<DeviceId, mpsc::Sender<Job>>,
    /// What it kept from before; `None` where it could not be read.
    pub memory: Option<Snapshot>,
    /// Keeps.
    pub journal: Arc<dyn Journal>,
    /// What it deletes.
    pub deleted: mpsc::Receiver<Vec<Deleted>>,
    /// What is retained.
    pub documents: Documents,
    /// How often vital signs are published.
    pub health_interval: Duration,
    /// How long running calls may go on at shutdown before they are asked to stop.
    pub finish: Duration,
    /// How long they have after that.
    pub grace: Duration,
}

/// The one task that serves calls.
pub struct DispatcherTask {
    with: Startup,
    acks: BTreeMap<AckToken, Ack>,
    last_ack: u64,
    storing: FuturesUnordered<BoxFuture<'static, Input>>,
    /// What a shutdown does not wait for: devices that are about to be asked, and the journal.
    asking: FuturesUnordered<BoxFuture<'static, Option<Input>>>,
    /// What found the outbox full; sent before anything else is. Each answer holds memory of the
    /// budget, and of what is retained only the latest is kept.
    unsent: VecDeque<(Message, Option<Held>)>,
    budget: Arc<Budget>,
    /// How many answers of a client found its memory used up.
    left_out: BTreeMap<ClientId, u64>,
    health_due: Option<Instant>,
    own_state: OwnState,
    /// Whether the broker was given what is retained: a session may be from an earlier life.
    shown: bool,
    /// What is wrong with the clock, looked at together with the vital signs.
    clock: Option<Reason>,
    clocks: clock::Comparison,
}

impl DispatcherTask {
    /// A task that does not serve yet.
    pub fn new(with: Startup) -> Self {
        Self {
            budget: with.dispatcher.budget(),
            left_out: BTreeMap::new(),
            with,
            acks: BTreeMap::new(),
            last_ack: 0,
            storing: FuturesUnordered::new(),
            asking: FuturesUnordered::new(),
            unsent: VecDeque::new(),
            health_due: None,
            own_state: OwnState::default(),
            shown: false,
            clock: None,
            clocks: clock::Comparison::default(),
        }
    }

    /// Serves until `stop` is cancelled and every accepted call is answered.
    pub async fn serve(mut self, stop: CancellationToken, tell: impl FnMut(Served)) {
        self.work(stop, tell).await;
        self.with.bulk.close().await;
    }

    async fn work(&mut self, stop: CancellationToken, mut tell: impl FnMut(Served)) {
        let mut health = interval(self.with.health_interval);
        health.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = None;
        if let Some(memory) = self.with.memory.take() {
            self.take(Input::Snapshot(memory));
        } else {
            let journal = self.with.journal.clone();
            self.asking.push(remember(journal).boxed());
        }
        let alarm = sleep_until(self.next_wakeup(None));
        tokio::pin!(alarm);
        loop {
            if stopping.is_some() && self.with.dispatcher.is_idle() && self.storing.is_empty() {
                return;
            }
            // Never set later before it went off: setting it to an earlier time wakes the runtime
            // with a system call, and each call would do so.
            let tick = self.next_wakeup(stopping);
            if alarm.is_elapsed() || tick < alarm.deadline() {
                alarm.as_mut().reset(tick);
            }
            tokio::select! {
                () = stop.cancelled(), if stopping.is_none() => {
                    stopping = Some(Stopping::Finishing(Instant::now() + self.with.finish));
                    tell(Served::Stopping);
                    self.take(Input::Shutdown);
                }
                Some((device, event)) = self.with.events.recv() => {
                    if let SupervisorEvent::Appeared(_, jobs) = &event {
                        self.with.devices.insert(device.clone(), jobs.clone());
                    }
                    self.take(Input::Device(device, event));
                }
                Some(device) = self.with.left_behind.recv() => self.clear(&device),
                Some(calls) = self.with.deleted.recv() => self.take(Input::Deleted(calls)),
                Some(stored) = self.storing.next(), if !self.storing.is_empty() => self.take(stored),
                Some(input) = self.asking.next(), if !self.asking.is_empty() => {
                    if let Some(input) = input {
                        self.take(input);
                    }
                }
                incoming = self.with.incoming.recv() => match incoming {
                    Some(Incoming::Connected { session_present, limits }) => {
                        // Topic and properties need some room beside the answer.
                        const FRAME: usize = 4096;
                        if let Some(packet) = limits.max_packet_size {
                            let packet = usize::try_from(packet).unwrap_or(usize::MAX);
                            self.with.dispatcher.limit_answers(packet.saturating_sub(FRAME));
                        }
                        self.connected(session_present);
                        tell(Served::Connected);
                    }
                    Some(Incoming::Disconnected { reason }) => {
                        tracing::warn!(%reason, "the broker is out of reach");
                    }
                    Some(Incoming::Message(received)) => {
                        self.last_ack += 1;
                        let ack = AckToken(self.last_ack);
                        self.acks.insert(ack, received.ack);
                        self.take(Input::Call {
                            message: received.message,
                            redelivered: received.duplicate,
                            ack,
                        });
                    }
                    None => return,
                },
                _ = health.tick() => self.publish_health(),
                () = &mut alarm => {
                    if self.health_due.is_some_and(|due| due <= Instant::now()) {
                        self.publish_health();
                    }
                    match stopping {
                        Some(Stopping::Finishing(until)) if until <= Instant::now() => {
                            stopping = Some(Stopping::Asked(Instant::now() + self.with.grace));
                            self.take(Input::StopRunning);
                        }
                        Some(Stopping::Asked(until)) if until <= Instant::now() => {
                            tracing::error!("calls are open at the end of the shutdown's grace");
                            return;
                        }
                        _ => self.take(Input::Tick),
                    }
                }
            }
        }
    }

    fn next_wakeup(&self, stopping: Option<Stopping>) -> Instant {
        /// Answers that found the outbox full are tried again this often.
        const RETRY_UNSENT: Duration = Duration::from_millis(200);
        /// Nothing is due: look again now and then.
        const IDLE: Duration = Duration::from_mins(1);
        let now = Instant::now();
        let unsent = (!self.unsent.is_empty()).then(|| now + RETRY_UNSENT);
        let until = stopping.map(|(Stopping::Finishing(until) | Stopping::Asked(until))| until);
        let dispatcher = self.with.dispatcher.next_tick().map(Instant::from_std);
        let due = [unsent, until, dispatcher, self.health_due];
        due.into_iter().flatten().min().unwrap_or(now + IDLE)
    }

    fn connected(&mut self, session_present: bool) {
        let shown = std::mem::replace(&mut self.shown, true);
        if !session_present || !shown {
            let documents: Vec<_> = self.with.documents.all().cloned().collect();
            for document in documents {
                self.publish(document);
            }
        }
    }

    fn take(&mut self, input: Input) {
        let now = Moment {
            instant: std::time::Instant::now(),
            wall: Timestamp::now(),
        };
        self.send_unsent();
        for action in self.with.dispatcher.handle(now, input) {
            self.act(action);
        }
        self.show_own_state();
    }

    /// Shows how the gateway itself is, where that has changed.
    fn show_own_state(&mut self) {
        let reasons = [
            self.with.journal.trouble(),
            self.clock.clone(),
            self.clocks.trouble(),
        ];
        let reasons = reasons.into_iter().flatten().collect();
        if let Some(state) = self.own_state.changed(reasons, Timestamp::now()) {
            let message = self.with.documents.state(&DeviceId::gateway(), &state);
            self.publish(message);
            self.health_due
                .get_or_insert(Instant::now() + HEALTH_FOLLOWS);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Publish(message) => self.publish(message),
            Action::Answer(reply) => self.answer(reply),
            Action::Describe(device, description) => {
                let message = self.with.documents.description(&device, &description);
                self.publish(message);
            }
            Action::Roles(roles) => {
                let message = self.with.documents.gateway_description(roles);
                self.publish(message);
            }
            Action::State(device, state) => {
                let message = self.with.documents.state(&device, &state);
                self.publish(message);
                self.health_due
                    .get_or_insert(Instant::now() + HEALTH_FOLLOWS);
            }
            Action::Event(device, event) => {
                let message = self.with.documents.event(&device, &event);
                self.publish(message);
            }
            Action::Acknowledge(ack) => {
                if let Some(ack) = self.acks.remove(&ack) {
                    ack.send();
                }
            }
            Action::Decode(undecoded, payload) => {
                self.storing.push(decode(undecoded, payload).boxed());
            }
            Action::StoreAccepted(call) => {
                // Replay now, before its driver can be given the call and ask for more.
                let stored = self.with.journal.accepted(&call);
                self.store(call.no, StoredStep::Accepted, stored);
            }
            Action::StoreFinished(no, completion) => {
                self.clocks.hear(&completion, Timestamp::now());
                let journal = self.with.journal.clone();
                let stored = async move { journal.finished(no, &completion).await };
                self.store(no, StoredStep::Finished, stored);
            }
            Action::StoreResolved(resolved) => {
                let (no, journal) = (resolved.no, self.with.journal.clone());
                let stored = async move {
                    journal
                        .resolved(resolved.target, &resolved.resolution, &resolved.completion)
                        .await
                };
                self.store(no, StoredStep::Resolved, stored);
            }
            Action::AwaitRecord(no) => {
                let journal = self.with.journal.clone();
                self.asking.push(
                    async move {
                        journal.on_record(no).await;
                        Some(Input::Recorded(no))
                    }
                    .boxed(),
                );
            }
            Action::Read(asked) => {
                let journal = self.with.journal.clone();
                self.storing.push(
                    async move {
                        let result = journal.completion(asked.no).await;
                        Input::Read(asked, result)
                    }
                    .boxed(),
                );
            }
            Action::Reconcile(device, no, known_for) => {
                let jobs = self.with.devices.get(&device).cloned();
                let journal = self.with.journal.clone();
                self.asking
                    .push(ask(journal, jobs, device, no, known_for).boxed());
            }
            Action::Start(start) => {
                // A device has one place for a call, and the dispatcher starts one at a time: where
                // that is taken, the supervisor is gone, and so is the device.
                let (device, no, lang) = (start.device.clone(), start.no, start.call.lang);
                let jobs = self.with.devices.get(&device);
                if jobs.is_none_or(|jobs| jobs.try_send(Job::Run(start)).is_err()) {
                    tracing::error!(%device, "the supervisor takes no call");
                    let text = texts::going_down();
                    let failure = Failure::without_effect(Status::Unavailable, text.get(lang));
                    self.take(Input::Device(
                        device,
                        SupervisorEvent::Finished(no, Outcome::Failed(failure)),
                    ));
                }
            }
        }
    }

    /// Waits for the journal's answer.
    fn store(
        &mut self,
        no: CallNo,
        step: StoredStep,
        stored: impl Future<Output = Result<(), NotStored>> + Send + 'static,
    ) {
        let answer = move |result| Input::Stored { no, step, result };
        self.storing.push(stored.map(answer).boxed());
    }

    /// Takes a device's documents away, where there is no such device any more.
    fn clear(&mut self, device: &DeviceId) {
        if self.with.dispatcher.has(device) || device.is_gateway() {
            return;
        }
        tracing::info!(%device, "documents of a device that is no more are taken away");
        for document in self.with.documents.cleared(device) {
            self.publish(document);
        }
    }

    fn answer(&mut self, reply: Reply) {
        if self.with.bulk.takes(&reply) {
            match self.budget.take(reply.client(), reply.content_bytes()) {
                Some(held) => self.with.bulk.send(reply, held),
                None => self.leave_out(reply.client()),
            }
        } else if let Some(message) = reply.encode() {
            match self.budget.take(reply.client(), message.payload.len()) {
                Some(held) => self.publish_holding(message, Some(held)),
                None => self.leave_out(reply.client()),
            }
        }
    }

    /// An answer is not sent: its client does not take the ones before, and goes on calling.
    fn leave_out(&mut self, client: &ClientId) {
        let count = self.left_out.entry(client.clone()).or_default();
        *count += 1;
        // A flood is logged at growing intervals.
        if count.is_power_of_two() {
            tracing::warn!(
                %client, count = *count,
                "answers are left out: those before wait and take all its memory; a call that is \
                 repeated under its call id is answered again"
            );
        }
    }

    fn publish(&mut self, message: Message) {
        self.publish_holding(message, None);
    }

    fn publish_holding(&mut self, message: Message, mut held: Option<Held>) {
        if !self.unsent.is_empty() {
            return self.wait(message, held);
        }
        match self.with.bus.publish_holding(message.clone(), &mut held) {
            Ok(_) => {}
            Err(Refused::Full) => self.wait(message, held),
            Err(error) => {
                tracing::error!(topic = %message.topic, %error, "a message cannot be sent");
            }
        }
    }

    fn send_unsent(&mut self) {
        while let Some((message, mut held)) = self.unsent.pop_front() {
            let published = self.with.bus.publish_holding(message.clone(), &mut held);
            if let Err(Refused::Full) = published {
                return self.unsent.push_front((message, held));
            }
        }
    }

    fn wait(&mut self, message: Message, held: Option<Held>) {
        if message.retain {
            let same = |waiting: &Message| waiting.retain && waiting.topic == message.topic;
            self.unsent.retain(|(waiting, _)| !same(waiting));
        } else if held.is_none() && self.unsent.len() >= EVENTS {
            return tracing::warn!(topic = %message.topic, "an event is left out: too much waits");
        }
        self.unsent.push_back((message, held));
    }

    fn publish_health(&mut self) {
        self.health_due = None;
        let now = Moment {
            instant: std::time::Instant::now(),
            wall: Timestamp::now(),
        };
        let health = self.with.dispatcher.health(now);
        let message = self.with.documents.health(&health);
        self.publish(message);
        self.clock = clock::trouble(now.wall);
        self.show_own_state();
    }
}

/// Asks a journal that could not be read at the start until it can be.
async fn remember(journal: Arc<dyn Journal>) -> Option<Input> {
    loop {
        sleep(REMEMBER_AGAIN).await;
        if let Ok(memory) = journal.snapshot().await {
            return Some(Input::Snapshot(memory));
        }
    }
}

/// Decodes a large call on another thread.
async fn decode(undecoded: Box<Undecoded>, payload: Bytes) -> Input {
    let form = undecoded.form();
    let decoded = tokio::task::spawn_blocking(move || form.decode(&payload)).await;
    Input::Decoded(undecoded, decoded.ok())
}

/// Hands what the journal kept of a call to its device; `Some`: it cannot be asked.
async fn ask(
    journal: Arc<dyn Journal>,
    jobs: Option<mpsc::Sender<Job>>,
    device: DeviceId,
    no: CallNo,
    known_for: Duration,
) -> Option<Input> {
    let reconciled = match journal.interrupted(no).await {
        Ok(Some(interrupted)) => {
            let interrupted = Interrupted {
                known_for,
                ..interrupted
            };
            let settle = Job::Reconcile(Reconcile { no, interrupted });
            // A device has one place for a job, and the dispatcher gives it one at a time.
            match jobs {
                Some(jobs) if jobs.try_send(settle).is_ok() => return None,
                _ => Reconciled::Undecided(texts::device_gone(&device)),
            }
        }
        Ok(None) => Reconciled::Undecided(texts::not_journalled()),
        Err(error) => {
            tracing::error!(call = no.0, %error, "an interrupted call could not be read");
            Reconciled::Undecided(texts::not_journalled())
        }
    };
    Some(Input::Device(
        device,
        SupervisorEvent::Reconciled(no, reconciled),
    ))
}

/// What the serving task reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// A session with the broker is up.
    Connected,
    /// No new calls are taken.
    Stopping,
}

/// How far a shutdown is.
#[derive(Debug, Clone, Copy)]
enum Stopping {
    /// Running calls may finish until then.
    Finishing(Instant),
    /// They were asked to stop, and have until then.
    Asked(Instant),
}
