//! The devices and their roles, and which device does a call.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use koffer_proto::{
    ClaimToken, Class, ClientId, Detail, DeviceHealth, DeviceId, EffectKind, Failure, Lang,
    OperationSpec, RoleDescription, Segment, StateDocument, Status, Text,
};

use super::{
    claims::{Claim, Claims},
    device_queue::{Condition, DeviceQueue},
    dispatcher::{Moment, millis},
    texts,
};
use crate::journal::CallNo;

/// All devices, and the roles that they have.
pub(super) struct Devices {
    queues: BTreeMap<DeviceId, DeviceQueue>,
    /// The devices a role stands for, in the order they are tried.
    roles: BTreeMap<Segment, Vec<DeviceId>>,
    roles_shown: Option<BTreeMap<Segment, RoleDescription>>,
    queue_bound: usize,
}

/// Who asks for a device.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) client: &'a ClientId,
    pub(super) claim: Option<&'a ClaimToken>,
    pub(super) lang: Lang,
}

impl Devices {
    pub(super) fn new(
        devices: Vec<(DeviceId, Class)>,
        roles: BTreeMap<Segment, Vec<DeviceId>>,
        queue_bound: usize,
        now: Timestamp,
    ) -> Self {
        let queue = |class| DeviceQueue::new(class, queue_bound, now);
        let devices = devices.into_iter();
        Self {
            queues: devices
                .map(|(device, class)| (device, queue(class)))
                .collect(),
            roles,
            roles_shown: None,
            queue_bound,
        }
    }

    /// There is a device that was not there before.
    pub(super) fn add(&mut self, device: DeviceId, class: Class, now: Timestamp) {
        let queue = || DeviceQueue::new(class, self.queue_bound, now);
        self.queues.entry(device).or_insert_with(queue);
    }

    pub(super) fn contains(&self, device: &DeviceId) -> bool {
        self.queues.contains_key(device)
    }

    pub(super) fn get(&self, device: &DeviceId) -> Option<&DeviceQueue> {
        self.queues.get(device)
    }

    pub(super) fn get_mut(&mut self, device: &DeviceId) -> Option<&mut DeviceQueue> {
        self.queues.get_mut(device)
    }

    /// The device on which the end of a call is not on record.
    pub(super) fn recording(&mut self, no: CallNo) -> Option<(&DeviceId, &mut DeviceQueue)> {
        let mut queues = self.queues.iter_mut();
        queues.find(|(_, queue)| queue.is_recording(no))
    }

    pub(super) fn is_role(&self, target: &str) -> bool {
        self.roles.keys().any(|role| role.as_str() == target)
    }

    /// The class that a device or role has.
    pub(super) fn class_of(&self, target: &Segment) -> Option<Class> {
        if target.as_str() == DeviceId::GATEWAY {
            return Some(Class::Gateway);
        }
        // A role may name devices that have not been plugged in yet; all of them are of one class.
        let candidates = self.candidates(target);
        let mut queues = candidates
            .iter()
            .filter_map(|device| self.queues.get(device));
        queues.next().map(DeviceQueue::class)
    }

    /// The devices a target stands for, in the order they are tried.
    fn candidates(&self, target: &Segment) -> Vec<DeviceId> {
        match self.roles.get(target) {
            Some(devices) => devices.clone(),
            None => vec![DeviceId::from(target.clone())],
        }
    }

    /// Chooses the device: the one that the caller has claimed; else the first that is ready and
    /// idle; else the first that takes the call into its queue; else says why the first does not.
    pub(super) fn choose(
        &self,
        now: Moment,
        target: &Segment,
        tried: &[DeviceId],
        asker: Asker<'_>,
        spec: &OperationSpec,
        claims: &Claims,
    ) -> Result<DeviceId, Failure> {
        if spec.class == Class::Gateway {
            return Ok(DeviceId::from(target.clone()));
        }
        let mut first_failure = None;
        let (mut idle, mut with_room) = (None, None);
        for device in self.candidates(target) {
            let Some(queue) = self.queues.get(&device) else {
                continue;
            };
            if tried.contains(&device) {
                continue;
            }
            let claim = claims.on(&device, now.instant);
            match usable_for(&device, queue, claim, now, asker, spec) {
                Ok(()) if claim.is_some_and(|claim| asker.holds(claim)) => return Ok(device),
                Ok(()) if queue.is_idle() && queue.is_empty() => idle = idle.or(Some(device)),
                Ok(()) => with_room = with_room.or(Some(device)),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        idle.or(with_room).ok_or_else(|| {
            first_failure.unwrap_or_else(|| {
                let text = texts::unknown_device(target);
                Failure::without_effect(Status::UnknownDevice, text.get(asker.lang))
            })
        })
    }

    /// When a device's state is due to change to busy.
    pub(super) fn next_busy(&self) -> Option<Instant> {
        let due = self.queues.values();
        due.filter_map(DeviceQueue::busy_from).min()
    }

    /// Each device's counters.
    pub(super) fn health(&self, now: Instant, claims: &Claims) -> BTreeMap<DeviceId, DeviceHealth> {
        let queues = self.queues.iter();
        let health = queues.map(|(device, queue)| {
            let is_claimed = claims.on(device, now).is_some();
            (device.clone(), queue.health(now, is_claimed))
        });
        health.collect()
    }

    /// The states that have changed.
    pub(super) fn changed_states(
        &mut self,
        now: Moment,
        claims: &Claims,
    ) -> Vec<(DeviceId, StateDocument)> {
        let queues = self.queues.iter_mut();
        let changed = queues.filter_map(|(device, queue)| {
            let is_claimed = claims.on(device, now.instant).is_some();
            let state = queue.changed_state(now.instant, now.wall, is_claimed)?;
            Some((device.clone(), state))
        });
        changed.collect()
    }

    /// Whether it was ever said who serves each role.
    pub(super) fn has_shown_roles(&self) -> bool {
        self.roles_shown.is_some()
    }

    /// Who serves each role, where that has changed.
    pub(super) fn changed_roles(&mut self) -> Option<BTreeMap<Segment, RoleDescription>> {
        let serves = |device: &&DeviceId| {
            let queue = self.queues.get(*device);
            queue.is_some_and(DeviceQueue::serves_roles)
        };
        let described = |devices: &Vec<DeviceId>| RoleDescription {
            serves: devices.iter().find(serves).cloned(),
            devices: devices.clone(),
        };
        let roles = self.roles.iter();
        let roles = roles.map(|(role, devices)| (role.clone(), described(devices)));
        let roles: BTreeMap<_, _> = roles.collect();
        if self.roles_shown.as_ref() == Some(&roles) {
            return None;
        }
        self.roles_shown = Some(roles.clone());
        Some(roles)
    }
}

impl Asker<'_> {
    fn holds(&self, claim: &Claim) -> bool {
        claim.is_proven_by(self.client, self.claim)
    }
}

/// Whether `queue` takes a call of `asker` now.
fn usable_for(
    device: &DeviceId,
    queue: &DeviceQueue,
    claim: Option<&Claim>,
    now: Moment,
    asker: Asker<'_>,
    spec: &OperationSpec,
) -> Result<(), Failure> {
    let lang = asker.lang;
    let claim_operation =
        matches!(spec.name, "claim" | "release") && spec.class == Class::AnyDevice;
    if claim_operation {
        return Ok(());
    }
    if let Some(claim) = claim
        && !asker.holds(claim)
    {
        return Err(claimed(device, claim, now, lang));
    }
    // A reset is how a device that is at fault comes back.
    let reset = spec.class == Class::AnyDevice && spec.name == "reset";
    let unavailable = |reasons: Vec<String>, text: &Text| {
        let text = texts::unavailable(device, text);
        Failure::without_effect(Status::Unavailable, text.get(lang)).with(Detail {
            reasons,
            ..Detail::default()
        })
    };
    match queue.condition() {
        Condition::Blocked(reasons) if spec.effect == EffectKind::Once => {
            let keywords = reasons.iter().map(|reason| reason.keyword.clone());
            return Err(unavailable(keywords.collect(), &texts::all(reasons)));
        }
        // Asking it how it is helps to mend it.
        Condition::Usable(_) | Condition::Blocked(_) => {}
        Condition::Fault(_) | Condition::Starting if reset => {}
        Condition::Starting => {
            return Err(unavailable(vec!["starting".to_owned()], &texts::starting()));
        }
        Condition::Fault(reason) | Condition::Absent(reason) => {
            return Err(unavailable(vec![reason.keyword.clone()], &reason.text));
        }
    }
    if let Some(failure) = queue.locked_for(device, spec, lang) {
        return Err(failure);
    }
    if queue.is_full_for(asker.client) {
        return Err(busy(device, lang));
    }
    Ok(())
}

/// Another client holds the device.
pub(super) fn claimed(device: &DeviceId, claim: &Claim, now: Moment, lang: Lang) -> Failure {
    let text = texts::claimed(device, &claim.holder);
    let left = claim.until.saturating_duration_since(now.instant);
    Failure::without_effect(Status::Claimed, text.get(lang)).with(Detail {
        claimed_by: Some(claim.holder.clone()),
        retry_after_ms: Some(millis(left)),
        ..Detail::default()
    })
}

pub(super) fn busy(device: &DeviceId, lang: Lang) -> Failure {
    /// Long enough for a status call to finish, short enough for a person at a counter.
    const RETRY_AFTER: Duration = Duration::from_secs(2);
    Failure::without_effect(Status::Busy, texts::busy(device).get(lang)).with(Detail {
        retry_after_ms: Some(millis(RETRY_AFTER)),
        ..Detail::default()
    })
}
