//! Calls whose outcome is unknown: which device must be asked, and which call a person must resolve.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use koffer_proto::{
    Class, Completion, DeviceId, OperationSpec, Reason, Response, class::gateway::Unresolved,
};

use super::{idempotency::Key, texts};
use crate::journal::CallNo;

/// What is known of such a call.
#[derive(Debug)]
pub(super) struct InDoubt {
    pub(super) key: Key,
    /// The device that may have done it.
    pub(super) device: DeviceId,
    pub(super) spec: &'static OperationSpec,
    pub(super) accepted_at: Timestamp,
}

/// All such calls.
#[derive(Debug, Default)]
pub(super) struct InDoubtCalls {
    calls: BTreeMap<CallNo, Entry>,
    /// By the call that says it.
    resolutions: BTreeMap<CallNo, PendingResolution>,
}

#[derive(Debug)]
struct Entry {
    call: InDoubt,
    /// Since when this process knows of it.
    since: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The device has yet to be asked.
    Unasked,
    /// There is no such device. It may be plugged in until then.
    NotThere(Instant),
    /// It is being asked.
    Asking,
    /// Its records may still change. It is asked again then, and gets no other call before.
    Later(Instant),
    /// Its records cannot tell; what a person should look at.
    Person(Reason),
}

/// What a person says became of a call. It is being stored.
#[derive(Debug)]
pub(super) struct PendingResolution {
    pub(super) target: CallNo,
    pub(super) at: Timestamp,
    pub(super) completion: Arc<Completion<Response>>,
}

/// A call that a person wants to resolve.
pub(super) struct Resolvable {
    pub(super) target: CallNo,
    pub(super) device: DeviceId,
    pub(super) class: Class,
    /// Its device is being asked, or somebody else's word is being stored.
    pub(super) is_busy: bool,
}

impl InDoubtCalls {
    /// Takes a call in. Its device is asked as soon as it can be; where there is no such device,
    /// it may appear until `not_there`.
    pub(super) fn add(
        &mut self,
        no: CallNo,
        call: InDoubt,
        since: Instant,
        not_there: Option<Instant>,
    ) {
        let stage = not_there.map_or(Stage::Unasked, Stage::NotThere);
        self.calls.insert(no, Entry { call, since, stage });
    }

    /// The next call that `device` is to be asked for, and for how long this process has known
    /// of it. `is_recording`: one writer of the outcome at a time.
    pub(super) fn ask_next(
        &mut self,
        device: &DeviceId,
        now: Instant,
        is_recording: impl Fn(CallNo) -> bool,
    ) -> Option<(CallNo, Duration)> {
        let resolutions = &self.resolutions;
        let is_resolved = |no| resolutions.values().any(|word| word.target == no);
        let (no, entry) = self.calls.iter_mut().find(|(no, entry)| {
            entry.call.device == *device
                && matches!(entry.stage, Stage::Unasked)
                && !is_recording(**no)
                && !is_resolved(**no)
        })?;
        entry.stage = Stage::Asking;
        Some((*no, now.saturating_duration_since(entry.since)))
    }

    /// The device of a call.
    pub(super) fn device(&self, no: CallNo) -> Option<&DeviceId> {
        self.calls.get(&no).map(|entry| &entry.call.device)
    }

    /// Contact was lost over the question.
    pub(super) fn ask_anew(&mut self, no: CallNo) {
        self.set(no, Stage::Unasked);
    }

    /// The device's records may still change.
    pub(super) fn ask_later(&mut self, no: CallNo, at: Instant) {
        self.set(no, Stage::Later(at));
    }

    /// Its records cannot tell.
    pub(super) fn leave_to_a_person(&mut self, no: CallNo, reason: Reason) -> Option<&InDoubt> {
        self.set(no, Stage::Person(reason));
        self.calls.get(&no).map(|entry| &entry.call)
    }

    fn set(&mut self, no: CallNo, stage: Stage) {
        if let Some(entry) = self.calls.get_mut(&no) {
            entry.stage = stage;
        }
    }

    /// Its outcome is known.
    pub(super) fn remove(&mut self, no: CallNo) -> Option<InDoubt> {
        self.calls.remove(&no).map(|entry| entry.call)
    }

    /// The calls whose devices are due to be asked again.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(CallNo, DeviceId)> {
        let due = self.calls.iter_mut();
        let due = due.filter(|(_, entry)| matches!(entry.stage, Stage::Later(at) if at <= now));
        due.map(|(no, entry)| (*no, entry.ask_anew())).collect()
    }

    /// Calls whose device did not appear in time.
    pub(super) fn missing(&self, now: Instant) -> Vec<(CallNo, DeviceId)> {
        let missing = self.calls.iter();
        let missing = missing
            .filter(|(_, entry)| matches!(entry.stage, Stage::NotThere(until) if until <= now));
        missing
            .map(|(no, entry)| (*no, entry.call.device.clone()))
            .collect()
    }

    /// When [`InDoubtCalls::due`] or [`InDoubtCalls::missing`] change.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = self.calls.values().filter_map(|entry| match entry.stage {
            Stage::Later(at) | Stage::NotThere(at) => Some(at),
            _ => None,
        });
        due.min()
    }

    /// Contact with a device was lost. Says whether it was to be asked again.
    pub(super) fn contact_lost(&mut self, device: &DeviceId) -> bool {
        let later = self.calls.values_mut();
        let later = later
            .filter(|entry| entry.call.device == *device && matches!(entry.stage, Stage::Later(_)));
        later.map(Entry::ask_anew).count() > 0
    }

    /// A device has appeared that was not there before.
    pub(super) fn appeared(&mut self, device: &DeviceId) {
        let here = self.calls.values_mut();
        for entry in here.filter(|entry| entry.call.device == *device) {
            entry.stage = Stage::Unasked;
        }
    }

    /// What a device's retained state says of its calls that a person must resolve.
    pub(super) fn reasons(&self, device: &DeviceId) -> Vec<Reason> {
        let here = self.calls.values();
        let here = here.filter(|entry| {
            entry.call.device == *device && matches!(entry.stage, Stage::Person(_))
        });
        let mut reasons: Vec<_> = here
            .map(|entry| texts::unresolved(entry.call.spec))
            .collect();
        // Several of one operation read the same: whose they are is nobody else's business.
        reasons.dedup();
        reasons
    }

    /// How many calls have ended without their outcome being known still.
    pub(super) fn unresolved_count(&self, is_open: impl Fn(CallNo) -> bool) -> u64 {
        let told = self
            .calls
            .iter()
            .filter(|(no, entry)| matches!(entry.stage, Stage::Person(_)) || !is_open(**no));
        told.count() as u64
    }

    /// The calls that wait for a person's word, of those that `shows`.
    pub(super) fn unresolved(&self, shows: impl Fn(&InDoubt) -> bool) -> Vec<Unresolved> {
        let seen = self.calls.values().filter(|entry| shows(&entry.call));
        seen.filter_map(|Entry { call, stage, .. }| {
            let Stage::Person(reason) = stage else {
                return None;
            };
            Some(Unresolved {
                client: call.key.0.clone(),
                call: call.key.1.clone(),
                device: call.device.clone(),
                operation: call.spec.name.parse().ok()?,
                accepted_at: call.accepted_at,
                reason: reason.clone(),
            })
        })
        .collect()
    }

    /// The call that a person wants to resolve.
    pub(super) fn resolvable(&self, key: &Key) -> Option<Resolvable> {
        let (target, entry) = self.calls.iter().find(|(_, e)| e.call.key == *key)?;
        let stored = self.resolutions.values();
        let is_stored = stored.into_iter().any(|word| word.target == *target);
        Some(Resolvable {
            target: *target,
            device: entry.call.device.clone(),
            class: entry.call.spec.class,
            is_busy: is_stored || matches!(entry.stage, Stage::Asking | Stage::Later(_)),
        })
    }

    /// A person's word is being stored.
    pub(super) fn resolve(&mut self, by: CallNo, resolution: PendingResolution) {
        self.resolutions.insert(by, resolution);
    }

    /// The journal has answered.
    pub(super) fn resolution(&mut self, by: CallNo) -> Option<PendingResolution> {
        self.resolutions.remove(&by)
    }
}

impl Entry {
    /// The device is asked as soon as it can be; the answer is which.
    fn ask_anew(&mut self) -> DeviceId {
        self.stage = Stage::Unasked;
        self.call.device.clone()
    }
}
