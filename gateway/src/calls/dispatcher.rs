//! The state machine of calls. It answers each input with actions, and composes the parts that own
//! their state.

use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::Timestamp;
use koffer_drivers::{
    Call, CallControl, CallUpdate, Effects, Interrupted, NotStored, Reconciled, Report, Stop,
};
use koffer_proto::{
    Class, Completion, Description, DeviceEvent, DeviceHealth, DeviceId, Failure, OperationSpec,
    Outcome, Request, Response, RoleDescription, Root, Segment, StateDocument, Status, Text,
    class::gateway::{AttachedThing, CancelVerdict},
};
use tokio::sync::mpsc;

use super::{
    admission::Admission,
    cancellation::Cancellations,
    claims::Claims,
    decoding::{Decoded, Undecoded},
    device_queue::Condition,
    devices::Devices,
    idempotency::IdempotencyStore,
    in_doubt::InDoubtCalls,
    incoming::{AckToken, Listener},
    lifecycle::ActiveCall,
    policy::Policy,
    replies::{Replies, Reply},
    texts,
};
use crate::{
    bus::Message,
    journal::{AcceptedCall, CallNo, Deleted, NotRead, Resolution, Snapshot},
    room::Budget,
};

mod admit;
mod gateway;
mod reconcile;
mod run;

pub use gateway::Vitals;
use gateway::cancel_verdict;

/// Calls that finish within this time publish only their completion: nobody could see `started` or
/// `busy` in between, and each would be one more message ahead of the answer.
pub(super) const BRIEF: Duration = Duration::from_millis(50);

/// Now, on both clocks: one for deadlines, one for documents.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Never jumps.
    pub instant: Instant,
    /// Civil time.
    pub wall: Timestamp,
}

/// Bounds of the dispatcher.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest payload of a call or an answer, in bytes.
    pub max_payload: usize,
    /// Calls of one client that may wait for one device.
    pub queue_per_device: usize,
    /// Calls that may be open at once; beyond it, each client has its share of them. Bounds the
    /// memory that callers can make the gateway hold.
    pub open_calls: usize,
    /// Bytes that open calls and answers that wait may take together.
    pub memory: usize,
    /// How long confidential completions are kept.
    pub confidential_kept: Duration,
}

/// What happens.
pub enum Input {
    /// A message on a call topic.
    Call {
        /// The message.
        message: Message,
        /// The broker delivers it again.
        redelivered: bool,
        /// Its acknowledgement.
        ack: AckToken,
    },
    /// A large call is decoded; `None`: that failed in a way that it should not.
    Decoded(Box<Undecoded>, Option<Decoded>),
    /// The journal has answered.
    Stored {
        /// For which call.
        no: CallNo,
        /// What was to be stored.
        step: StoredStep,
        /// Whether it is stored.
        result: Result<(), NotStored>,
    },
    /// How a call ended is on record after all, or never will be.
    Recorded(CallNo),
    /// What the journal kept from before this daemon's time: the first input, unless the journal
    /// cannot be read.
    Snapshot(Snapshot),
    /// The journal has deleted these calls: nothing is known of them any more.
    Deleted(Vec<Deleted>),
    /// How a call of before ended, read for who asked again.
    Read(Replay, Result<Option<Completion<Response>>, NotRead>),
    /// A device's supervisor reports.
    Device(DeviceId, SupervisorEvent),
    /// Time has passed.
    Tick,
    /// The gateway goes down: no new calls, what waits is answered, what runs may finish.
    Shutdown,
    /// The time to finish is over: what runs is asked to stop.
    StopRunning,
}

/// What was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredStep {
    /// That the call was accepted.
    Accepted,
    /// How it ended.
    Finished,
    /// What a person says became of another call; the number is that of the person's call.
    Resolved,
}

/// Somebody who asked again for a call that is only in the journal.
#[derive(Debug)]
pub struct Replay {
    /// Which call.
    pub no: CallNo,
    pub(super) spec: &'static OperationSpec,
    pub(super) listener: Listener,
    pub(super) ack: AckToken,
}

/// What a device's supervisor reports.
pub enum SupervisorEvent {
    /// There is a device that was not there before, of this class; its calls go there. Comes
    /// before any other event of this device.
    Appeared(Class, mpsc::Sender<Job>),
    /// The driver's finding changed.
    Condition(Condition),
    /// A new life began: the device was attached again.
    Attached,
    /// What the device is, found anew.
    Described(Box<Description>),
    /// What the driver saw while watching.
    Report(Report),
    /// The running call's driver says something.
    CallUpdate(CallNo, CallUpdate),
    /// The running call ended.
    Finished(CallNo, Outcome<Response>),
    /// What the device's own records say of a call whose outcome was unknown.
    Reconciled(CallNo, Reconciled),
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Send this.
    Publish(Message),
    /// Encode and send this.
    Answer(Reply),
    /// Publish a device's retained state.
    State(DeviceId, StateDocument),
    /// Publish a device's retained description.
    Describe(DeviceId, Box<Description>),
    /// Publish the roles anew.
    Roles(BTreeMap<Segment, RoleDescription>),
    /// Publish a device's event.
    Event(DeviceId, DeviceEvent),
    /// Give the acknowledgement.
    Acknowledge(AckToken),
    /// Decode a large call where that holds up nobody; answer with [`Input::Decoded`].
    Decode(Box<Undecoded>, Bytes),
    /// Store that a call was accepted; answer with [`Input::Stored`].
    StoreAccepted(AcceptedCall),
    /// Store how a call ended; answer with [`Input::Stored`].
    StoreFinished(CallNo, Arc<Completion<Response>>),
    /// Say when the end of a call is on record that could not be stored, with [`Input::Recorded`].
    AwaitRecord(CallNo),
    /// Store what a person says became of a call; answer with [`Input::Stored`].
    StoreResolved(Resolved),
    /// Read how a call ended; answer with [`Input::Read`].
    Read(Replay),
    /// Run a call on its device.
    Start(Start),
    /// Ask a device what became of a call that this process has known for so long to be
    /// interrupted; answer with [`SupervisorEvent::Reconciled`].
    Reconcile(DeviceId, CallNo, Duration),
}

/// What a person says became of a call.
#[derive(Debug)]
pub struct Resolved {
    /// The person's call.
    pub no: CallNo,
    /// The call whose outcome was unknown.
    pub target: CallNo,
    /// Who, when, what.
    pub resolution: Resolution,
    /// How the call is answered from now on.
    pub completion: Arc<Completion<Response>>,
}

/// A call whose outcome the device is asked for.
#[derive(Debug)]
pub struct Reconcile {
    /// Its number.
    pub no: CallNo,
    /// What the journal kept of it.
    pub interrupted: Interrupted,
}

/// What a device's supervisor is given to do.
#[derive(Debug)]
pub enum Job {
    /// Run a call.
    Run(Start),
    /// Find out what became of one.
    Reconcile(Reconcile),
}

/// A call that is to run.
#[derive(Debug)]
pub struct Start {
    /// Its number.
    pub no: CallNo,
    /// Where.
    pub device: DeviceId,
    /// What.
    pub request: Request,
    /// What surrounds it, for the driver.
    pub call: Call,
    /// The other end, for the supervisor.
    pub control: CallControl,
}

/// Makes the record of effects of a call.
pub type Recorded = Arc<dyn Fn(CallNo, &DeviceId) -> Box<dyn Effects> + Send + Sync>;

/// What a dispatcher needs.
pub struct Setup {
    /// The gateway's topics.
    pub root: Root,
    /// Who may do what.
    pub policy: Policy,
    /// Bounds.
    pub limits: Limits,
    /// The devices and their classes.
    pub devices: Vec<(DeviceId, Class)>,
    /// The devices a role stands for, in the order they are tried.
    pub roles: BTreeMap<Segment, Vec<DeviceId>>,
    /// Numbers are given from here on; where the journal cannot be read, above any it may hold.
    pub last_no: CallNo,
    /// Makes the record of effects of a call.
    pub effects: Recorded,
    /// Reads the daemon's vital signs.
    pub vitals: Box<dyn Fn() -> Vitals + Send>,
    /// What is attached.
    pub attached: Box<dyn Fn() -> Vec<AttachedThing> + Send>,
}

/// The state machine.
pub struct Dispatcher {
    admission: Admission,
    open: BTreeMap<CallNo, ActiveCall>,
    devices: Devices,
    idempotency: IdempotencyStore,
    replies: Replies,
    cancellations: Cancellations,
    /// Calls whose outcome is unknown.
    in_doubt: InDoubtCalls,
    claims: Claims,
    pub(super) vitals: Box<dyn Fn() -> Vitals + Send>,
    attached: Box<dyn Fn() -> Vec<AttachedThing> + Send>,
    effects: Recorded,
    last_no: u64,
    going_down: bool,
    pub(super) remembers_everything: bool,
    actions: Vec<Action>,
}

impl Dispatcher {
    /// A dispatcher without calls.
    pub fn new(setup: Setup, now: Moment) -> Self {
        let Setup {
            root,
            policy,
            limits,
            devices,
            roles,
            last_no,
            effects,
            vitals,
            attached,
        } = setup;
        Self {
            devices: Devices::new(devices, roles, limits.queue_per_device, now.wall),
            replies: Replies::new(limits.max_payload),
            idempotency: IdempotencyStore::new(limits.confidential_kept),
            admission: Admission::new(root, policy, limits),
            open: BTreeMap::new(),
            in_doubt: InDoubtCalls::default(),
            claims: Claims::default(),
            cancellations: Cancellations::default(),
            vitals,
            attached,
            effects,
            last_no: last_no.0,
            going_down: false,
            remembers_everything: false,
            actions: Vec::new(),
        }
    }

    /// The memory of which answers that wait take their part.
    pub(crate) fn budget(&self) -> Arc<Budget> {
        self.admission.budget().clone()
    }

    /// Says that the broker takes no answers larger than `bytes`.
    pub fn limit_answers(&mut self, bytes: usize) {
        self.replies.limit(bytes);
    }

    /// The actions that follow from an input, in order.
    pub fn handle(&mut self, now: Moment, input: Input) -> Vec<Action> {
        match input {
            Input::Call {
                message,
                redelivered,
                ack,
            } => {
                self.call(now, message, redelivered, ack);
            }
            Input::Decoded(undecoded, decoded) => self.decoded(now, *undecoded, decoded),
            Input::Stored {
                no,
                step: StoredStep::Accepted,
                result,
            } => {
                self.accepted(now, no, result);
            }
            Input::Stored {
                no,
                step: StoredStep::Finished,
                result,
            } => {
                self.end_stored(now, no, result);
            }
            Input::Stored {
                no,
                step: StoredStep::Resolved,
                result,
            } => {
                self.resolved(now, no, result);
            }
            Input::Recorded(no) => self.recorded(now, no, Ok(())),
            Input::Snapshot(memory) => self.remember(now, memory),
            Input::Deleted(calls) => {
                for call in calls {
                    self.idempotency.deleted(call);
                }
            }
            Input::Read(asked, result) => self.replay(asked, result),
            Input::Device(device, event) => self.event(now, &device, event),
            Input::Tick => {}
            Input::Shutdown => self.shut_down(now),
            Input::StopRunning => {
                for open in self.open.values() {
                    if let Some(steering) = open.state.steering() {
                        steering.stop(Stop::Shutdown);
                    }
                }
                self.give_up_settling(now, |_| true);
            }
        }
        self.pass_time(now);
        self.show_states(now);
        mem::take(&mut self.actions)
    }

    /// Whether there is such a device.
    pub fn has(&self, device: &DeviceId) -> bool {
        self.devices.contains(device)
    }

    /// When [`Input::Tick`] is due.
    pub fn next_tick(&self) -> Option<Instant> {
        let waiting = self
            .open
            .values()
            .filter(|open| open.state.ends_by_deadline());
        let progress = self.open.values();
        let progress = progress.filter_map(|open| open.progress.next_due());
        waiting
            .map(|open| open.deadline)
            .chain(progress)
            .chain(self.devices.next_busy())
            .chain(self.claims.next_expiry())
            .chain(self.idempotency.next_sweep())
            .chain(self.in_doubt.next_due())
            .min()
    }

    /// Whether no call is open.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.admission.is_idle()
    }

    /// Each device's counters.
    pub fn device_health(&self, now: Instant) -> BTreeMap<DeviceId, DeviceHealth> {
        self.devices.health(now, &self.claims)
    }

    /// Calls open, and completions kept.
    pub fn counts(&self) -> (u64, u64) {
        (self.open.len() as u64, self.idempotency.kept() as u64)
    }

    /// Tells `listener` how the call ended.
    pub(super) fn answer(
        &mut self,
        listener: Listener,
        completion: Arc<Completion<Response>>,
        spec: Option<&OperationSpec>,
    ) {
        let reply = self.replies.completion(listener, completion, spec);
        self.actions.push(Action::Answer(reply));
    }

    /// Takes a call out of its queue: it never reached the device.
    pub(super) fn withdraw(&mut self, now: Moment, no: CallNo, status: Status, text: &Text) {
        let Some(open) = self.open.get(&no) else {
            return;
        };
        let lang = open.lang();
        self.leave_queue(no);
        let failure = Failure::without_effect(status, text.get(lang));
        self.end(now, no, Outcome::Failed(failure));
    }

    fn shut_down(&mut self, now: Moment) {
        self.going_down = true;
        for no in self.waiting() {
            self.withdraw(now, no, Status::Unavailable, &texts::going_down());
        }
    }

    fn waiting(&self) -> Vec<CallNo> {
        self.open
            .iter()
            .filter(|(_, open)| open.state.is_queued())
            .map(|(no, _)| *no)
            .collect()
    }

    fn pass_time(&mut self, now: Moment) {
        let due: Vec<_> = self
            .open
            .iter()
            .filter(|(_, open)| {
                (open.state.is_queued() || open.state.awaits_another_call())
                    && open.deadline <= now.instant
            })
            .map(|(no, open)| (*no, open.state.awaits_another_call()))
            .collect();
        for (no, gateway) in due {
            if gateway {
                self.end(now, no, cancel_verdict(CancelVerdict::TooLate));
            } else {
                self.withdraw(now, no, Status::Expired, &texts::expired());
            }
        }
        self.give_up_waiting_for_devices(now);
        self.give_up_settling(now, |open| open.deadline <= now.instant);
        self.ask_again(now);
        self.publish_due_progress(now);
        self.claims.expire(now.instant);
        self.idempotency.sweep(now.instant);
    }

    fn show_states(&mut self, now: Moment) {
        let states = self.devices.changed_states(now, &self.claims);
        let changed = !states.is_empty();
        let states = states.into_iter();
        self.actions
            .extend(states.map(|(device, state)| Action::State(device, state)));
        // Who serves a role follows from the states.
        if changed || !self.devices.has_shown_roles() {
            let roles = self.devices.changed_roles();
            self.actions.extend(roles.map(Action::Roles));
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
