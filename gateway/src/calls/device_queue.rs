//! One device as the dispatcher sees it: who waits, what runs, how it is.

use std::{collections::BTreeMap, time::Instant};

use jiff::Timestamp;
use koffer_drivers::NotStored;
use koffer_proto::{
    Class, Detail, DeviceHealth, DeviceId, DeviceState, EffectKind, Failure, Lang, LastSelfTest,
    OperationSpec, Reason, StateDocument, Status,
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

/// One device.
#[derive(Debug)]
pub(crate) struct DeviceQueue {
    pub(crate) class: Class,
    pub(crate) condition: Condition,
    pub(crate) generation: u64,
    pub(crate) waiting: FairQueue<CallNo>,
    pub(crate) running: Option<CallNo>,
    /// A call of before, whose outcome the device is asked for.
    pub(crate) settling: Option<CallNo>,
    /// Why that question has no answer yet.
    pub(crate) waits_for: Option<Reason>,
    /// Calls that may have done something here and whose end is not on record.
    unrecorded: BTreeMap<CallNo, Unrecorded>,
    /// Calls whose outcome only a person can tell, as the retained state says it.
    pub(crate) unresolved: Vec<Reason>,
    /// From when on it shows as busy, with one call after the other without a pause.
    busy_from: Option<Instant>,
    since: Timestamp,
    shown: Option<(DeviceState, Vec<Reason>, u64)>,
    completed: BTreeMap<Status, u64>,
    restarts: u64,
    pub(crate) self_test: Option<LastSelfTest>,
}

impl DeviceQueue {
    pub(crate) fn new(class: Class, queue_bound: usize, now: Timestamp) -> Self {
        Self {
            class,
            condition: Condition::Starting,
            generation: 1,
            waiting: FairQueue::new(queue_bound),
            running: None,
            settling: None,
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
        self.is_usable() && self.running.is_none() && self.settling.is_none()
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
        self.running.is_some() || next
    }

    /// Why the end of a call could not be stored.
    pub(crate) fn not_recorded(&self) -> Option<&NotStored> {
        let mut ends = self.unrecorded.values();
        ends.find_map(|end| end.failed.as_ref())
    }

    /// It is given a call.
    pub(crate) fn run(&mut self, no: CallNo, now: Instant) {
        self.running = Some(no);
        self.busy_from.get_or_insert(now + BRIEF);
    }

    /// When its state is due to change to busy.
    pub(crate) fn busy_from(&self) -> Option<Instant> {
        let shows = self.shown.as_ref().map(|(state, ..)| *state);
        let due = matches!(self.condition, Condition::Usable(_))
            && self.running.is_some()
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
                let state = if busy || self.settling.is_some() {
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
