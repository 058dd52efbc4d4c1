//! One device as the dispatcher sees it: who waits, what runs, how it is.

use std::{collections::BTreeMap, time::Instant};

use jiff::Timestamp;
use koffer_drivers::NotStored;
use koffer_proto::{
    Class, ClientId, Detail, DeviceHealth, DeviceId, DeviceState, EffectKind, Failure, Lang,
    LastSelfTest, OperationSpec, Reason, StateDocument, Status,
};

use super::{dispatcher::BRIEF, fair_queue::FairQueue, texts};
use crate::journal::CallNo;

/// How the driver finds the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The driver makes contact.
    Starting,
    /// It takes calls; what needs attention soon.
    Usable(Vec<Reason>),
    /// It is there and cannot do its work: it takes calls, but none that must not happen twice.
    Blocked(Vec<Reason>),
    /// It takes no calls.
    Fault(Reason),
    /// It is not there.
    Absent(Reason),
}

impl Condition {
    fn is_contact(&self) -> bool {
        matches!(self, Self::Usable(_) | Self::Blocked(_))
    }
}

/// The end of a call that is not on record.
#[derive(Debug, Default)]
struct Unrecorded {
    /// How often the journal is being asked to store it.
    storing: u32,
    /// It could not be stored. The journal tries again by itself.
    failed: Option<NotStored>,
}

/// What its driver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Idle,
    /// It runs a call.
    Running(CallNo),
    /// It is asked, or soon asked again, what became of a call of before.
    Reconciling(CallNo),
}

/// One device.
#[derive(Debug)]
pub(crate) struct DeviceQueue {
    class: Class,
    condition: Condition,
    generation: u64,
    waiting: FairQueue<CallNo>,
    work: Work,
    /// Why that question has no answer yet.
    waits_for: Option<Reason>,
    /// Calls that may have done something here and whose end is not on record.
    unrecorded: BTreeMap<CallNo, Unrecorded>,
    /// Calls whose outcome only a person can tell, as the retained state says it.
    unresolved: Vec<Reason>,
    /// From when on it shows as busy, with one call after the other without a pause.
    busy_from: Option<Instant>,
    since: Timestamp,
    shown: Option<(DeviceState, Vec<Reason>, u64)>,
    completed: BTreeMap<Status, u64>,
    restarts: u64,
    self_test: Option<LastSelfTest>,
}

impl DeviceQueue {
    pub(crate) fn new(class: Class, queue_bound: usize, now: Timestamp) -> Self {
        Self {
            class,
            condition: Condition::Starting,
            generation: 1,
            waiting: FairQueue::new(queue_bound),
            work: Work::Idle,
            waits_for: None,
            unrecorded: BTreeMap::new(),
            unresolved: Vec::new(),
            busy_from: None,
            since: now,
            shown: None,
            completed: BTreeMap::new(),
            restarts: 0,
            self_test: None,
        }
    }

    /// Whether its driver is in contact with it and takes what is in the queue.
    pub(crate) fn is_usable(&self) -> bool {
        self.condition.is_contact()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.is_usable() && self.work == Work::Idle
    }

    /// What a call gets that would make an unknown outcome worse: money must not move again on a
    /// terminal of which nobody knows whether it has. A page or a chip is another one next time.
    pub(crate) fn locked_for(
        &self,
        device: &DeviceId,
        spec: &OperationSpec,
        lang: Lang,
    ) -> Option<Failure> {
        (self.is_locked() && spec.effect == EffectKind::Once).then(|| {
            let text = texts::unavailable(device, &texts::all(&self.unresolved));
            let reasons = self.unresolved.iter().map(|r| r.keyword.clone()).collect();
            Failure::without_effect(Status::Unavailable, text.get(lang)).with(Detail {
                reasons,
                ..Detail::default()
            })
        })
    }

    /// Whether a role's calls that must not happen twice may go to it.
    pub(crate) fn serves_roles(&self) -> bool {
        matches!(self.condition, Condition::Usable(_)) && !self.is_locked()
    }

    fn is_locked(&self) -> bool {
        self.class.is_locked_while_unresolved() && !self.unresolved.is_empty()
    }

    /// The end of a call is being stored.
    pub(crate) fn storing(&mut self, no: CallNo) {
        self.unrecorded.entry(no).or_default().storing += 1;
    }

    /// The journal has answered.
    pub(crate) fn stored(&mut self, no: CallNo, result: Result<(), NotStored>) {
        if let Some(end) = self.unrecorded.get_mut(&no) {
            end.storing = end.storing.saturating_sub(1);
            end.failed = result.err();
            self.unrecorded
                .retain(|_, end| end.storing > 0 || end.failed.is_some());
        }
    }

    /// Whether the end of this call is not on record.
    pub(crate) fn is_recording(&self, no: CallNo) -> bool {
        self.unrecorded.contains_key(&no)
    }

    /// Whether the next effect has to wait: after a crash, the device would be asked for the call
    /// whose end is not on record, and its records would show the next one.
    pub(crate) fn awaits_record(&self) -> bool {
        !self.unrecorded.is_empty()
    }

    /// Whether a call runs, or the next one begins as soon as the last one's end is on record.
    fn is_at_work(&self) -> bool {
        let next = self.awaits_record() && self.not_recorded().is_none() && self.waiting.len() > 0;
        self.is_running() || next
    }

    /// Why the end of a call could not be stored.
    pub(crate) fn not_recorded(&self) -> Option<&NotStored> {
        let mut ends = self.unrecorded.values();
        ends.find_map(|end| end.failed.as_ref())
    }

    /// It is given a call.
    pub(crate) fn run(&mut self, no: CallNo, now: Instant) {
        self.work = Work::Running(no);
        self.busy_from.get_or_insert(now + BRIEF);
    }

    /// A call that it ran has ended.
    pub(crate) fn finished(&mut self, no: CallNo) {
        if self.work == Work::Running(no) {
            self.work = Work::Idle;
        }
    }

    /// Whether it runs a call.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.work, Work::Running(_))
    }

    /// It is asked what became of a call.
    pub(crate) fn reconcile(&mut self, no: CallNo) {
        self.work = Work::Reconciling(no);
    }

    /// It has answered.
    pub(crate) fn reconciled(&mut self, no: CallNo) {
        self.ask_again(no);
        self.waits_for = None;
    }

    /// Its records may still change. Says whether the reason is another one than before.
    pub(crate) fn not_yet(&mut self, no: CallNo, reason: &Reason) -> bool {
        self.work = Work::Reconciling(no);
        self.waits_for.replace(reason.clone()).as_ref() != Some(reason)
    }

    /// It can be asked again.
    pub(crate) fn ask_again(&mut self, no: CallNo) {
        if self.work == Work::Reconciling(no) {
            self.work = Work::Idle;
        }
    }

    /// Contact was lost while its records could still change.
    pub(crate) fn stop_waiting(&mut self) {
        if matches!(self.work, Work::Reconciling(_)) {
            self.work = Work::Idle;
        }
        self.waits_for = None;
    }

    /// A new life began: it was attached again.
    pub(crate) fn attached(&mut self) {
        self.generation += 1;
    }

    /// How often it was attached.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The calls of which only a person can tell what became of them.
    pub(crate) fn set_unresolved(&mut self, reasons: Vec<Reason>) {
        self.unresolved = reasons;
    }

    pub(crate) fn set_self_test(&mut self, last: LastSelfTest) {
        self.self_test = Some(last);
    }

    /// Puts a call into the queue, or hands it back where its client has too many. Returns how
    /// many get their turn before it at the most.
    pub(crate) fn push(&mut self, client: &ClientId, no: CallNo) -> Result<usize, CallNo> {
        self.waiting.push(client, no)
    }

    /// The call whose turn is next.
    pub(crate) fn next(&self) -> Option<CallNo> {
        self.waiting.first().copied()
    }

    /// Takes it out.
    pub(crate) fn pop(&mut self) {
        self.waiting.pop();
    }

    /// A call does not wait for its turn any more.
    pub(crate) fn withdraw(&mut self, no: CallNo) {
        self.waiting.extract(|waiting| *waiting == no);
    }

    /// Every call that waits.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = CallNo> {
        self.waiting.iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.len() == 0
    }

    pub(crate) fn is_full_for(&self, client: &ClientId) -> bool {
        self.waiting.is_full_for(client)
    }

    /// When its state is due to change to busy.
    pub(crate) fn busy_from(&self) -> Option<Instant> {
        let shows = self.shown.as_ref().map(|(state, ..)| *state);
        let due = matches!(self.condition, Condition::Usable(_))
            && self.is_running()
            && shows != Some(DeviceState::Busy);
        self.busy_from.filter(|_| due)
    }

    pub(crate) fn set_condition(&mut self, condition: Condition) {
        let contact_lost = !condition.is_contact() && self.is_usable();
        self.restarts += u64::from(contact_lost);
        self.condition = condition;
    }

    pub(crate) fn count(&mut self, status: Status) {
        *self.completed.entry(status).or_default() += 1;
    }

    fn state(&self, now: Instant, is_claimed: bool) -> (DeviceState, Vec<Reason>) {
        match &self.condition {
            Condition::Starting => (DeviceState::Starting, Vec::new()),
            Condition::Fault(reason) => (DeviceState::Fault, vec![reason.clone()]),
            Condition::Absent(reason) => (DeviceState::Absent, vec![reason.clone()]),
            Condition::Blocked(reasons) => (DeviceState::Fault, reasons.clone()),
            Condition::Usable(reasons) => {
                let mut reasons = reasons.clone();
                reasons.extend_from_slice(&self.unresolved);
                reasons.extend(self.waits_for.clone());
                let busy = self.busy_from.filter(|_| self.is_at_work());
                let busy = busy.is_some_and(|from| from <= now);
                let state = if busy || matches!(self.work, Work::Reconciling(_)) {
                    DeviceState::Busy
                } else if self.is_locked() {
                    DeviceState::Fault
                } else if is_claimed {
                    DeviceState::Claimed
                } else if reasons.is_empty() {
                    DeviceState::Ready
                } else {
                    DeviceState::Degraded
                };
                (state, reasons)
            }
        }
    }

    /// The retained state, if it changed since it was last asked for.
    pub(crate) fn changed_state(
        &mut self,
        now: Instant,
        wall: Timestamp,
        is_claimed: bool,
    ) -> Option<StateDocument> {
        if !self.is_at_work() {
            self.busy_from = None;
        }
        let (state, reasons) = self.state(now, is_claimed);
        let shows = (state, reasons, self.generation);
        if self.shown.as_ref() == Some(&shows) {
            return None;
        }
        if self
            .shown
            .as_ref()
            .is_none_or(|(shown, _, _)| *shown != state)
        {
            self.since = wall;
        }
        self.shown = Some(shows.clone());
        let (state, reasons, generation) = shows;
        Some(StateDocument {
            state,
            since: self.since,
            reasons,
            generation,
        })
    }

    pub(crate) fn health(&self, now: Instant, is_claimed: bool) -> DeviceHealth {
        DeviceHealth {
            state: self.state(now, is_claimed).0,
            queued: self.waiting.len() as u64,
            completed: self
                .completed
                .iter()
                .map(|(status, count)| (status.as_str().to_owned(), *count))
                .collect(),
            restarts: self.restarts,
            self_test: self.self_test,
        }
    }
}
