//! Calls whose outcome is unknown. The device's own records are read; where they are inconclusive,
//! a person must confirm the outcome.

use std::{sync::Arc, time::Duration};

use koffer_drivers::{NotStored, NotYet, Reconciled};
use koffer_proto::{
    ClientId, Completion, Detail, DeviceId, Effect, EffectKind, Failure, Lang, Outcome,
    ProgressEvent, Reason, Response, Status,
    class::gateway::{self, Finding, ResolveParams, Unresolved},
};

use super::{Action, Dispatcher, Moment, Replay, Resolved, run::storable};
use crate::{
    calls::{
        in_doubt::{InDoubt, PendingResolution},
        lifecycle::ActiveCall,
        recovery::{Recovered, recover},
        texts,
    },
    journal::{CallNo, NotRead, Resolution, Snapshot},
};

/// How long a caller waits, beyond the deadline, for a device that is away to come back and tell
/// what it did: a terminal restarts within a minute.
const SETTLING: Duration = Duration::from_mins(1);

impl Dispatcher {
    /// A driver does not know what became of a call: the device is asked once it is back.
    pub(super) fn in_doubt_now(&mut self, now: Moment, no: CallNo, failure: Failure) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        if open.spec.effect != EffectKind::Once {
            return self.end(now, no, Outcome::Failed(failure));
        }
        let call = InDoubt {
            key: open.key.clone(),
            device: open.device.clone(),
            spec: open.spec,
            accepted_at: open.accepted_at,
        };
        self.in_doubt.add(no, call, now.instant, None);
        open.state.settle(failure);
        open.deadline = open.deadline.max(now.instant + SETTLING);
        let text = texts::settling().get(open.lang()).to_owned();
        self.conclude_cancels(now, no, false);
        let reasons = vec!["settling".to_owned()];
        self.progress(no, ProgressEvent::StateReasons { reasons, text });
    }

    /// Asks an idle device for the first of its calls that it has yet to be asked for.
    pub(super) fn ask_device(&mut self, now: Moment, device: &DeviceId) {
        let Some(queue) = self.devices.get_mut(device) else {
            return;
        };
        if !queue.is_idle() {
            return;
        }
        let open = &self.open;
        let is_recording = |no| {
            open.get(&no)
                .is_some_and(|open: &ActiveCall| open.state.is_recording())
        };
        let next = self.in_doubt.ask_next(device, now.instant, is_recording);
        if let Some((no, known_for)) = next {
            queue.reconcile(no);
            self.actions
                .push(Action::Reconcile(device.clone(), no, known_for));
        }
    }

    /// The device's own records were read.
    pub(super) fn settled(&mut self, now: Moment, no: CallNo, reconciled: Reconciled) {
        let Some(device) = self.in_doubt.device(no).cloned() else {
            return;
        };
        match reconciled {
            Reconciled::Lost(_) => self.in_doubt.ask_anew(no),
            Reconciled::Undecided(reason) => self.leave_to_a_person(now, no, reason),
            Reconciled::NotYet(not_yet) => {
                self.in_doubt.ask_later(no, now.instant + not_yet.again);
                self.wait_for_records(now, no, &device, not_yet);
            }
            Reconciled::Settled(Outcome::Failed(failure))
                if failure.status() == Status::OutcomeUnknown =>
            {
                let reason = Reason::new("no-answer", failure.message.clone(), failure.message);
                self.leave_to_a_person(now, no, reason);
            }
            Reconciled::Settled(outcome) => {
                tracing::info!(call = no.0, %device, "the device's records tell what became of it");
                let Some(in_doubt) = self.in_doubt.remove(no) else {
                    return;
                };
                match self.open.get_mut(&no) {
                    Some(open) if !open.state.is_recording() => self.end(now, no, outcome),
                    _ => self.correct(no, in_doubt, outcome),
                }
            }
        }
        self.show_unresolved(&device);
    }

    /// The device tells what became of a call that has ended as unknown, or is being stored so.
    fn correct(&mut self, no: CallNo, in_doubt: InDoubt, outcome: Outcome<Response>) {
        let InDoubt {
            key, device, spec, ..
        } = in_doubt;
        let completion = Arc::new(Completion {
            device: Some(device.clone()),
            outcome,
            ignored: Vec::new(),
        });
        let lang = self.open.get(&no).map(ActiveCall::lang).unwrap_or_default();
        if let Some(open) = self.open.get_mut(&no) {
            open.state.correct(completion.clone());
        }
        self.idempotency.correct(&key, completion.clone());
        let stored = storable(&completion, spec, lang);
        self.store_end(no, &device, stored);
    }

    /// The call stays open until the device's records can tell, and its caller hears why.
    fn wait_for_records(&mut self, now: Moment, no: CallNo, device: &DeviceId, not_yet: NotYet) {
        let NotYet { reason, within, .. } = not_yet;
        let Some(queue) = self.devices.get_mut(device) else {
            return;
        };
        let is_new = queue.not_yet(no, &reason);
        if let Some(open) = self.open.get_mut(&no) {
            open.deadline = open.deadline.max(now.instant + within + SETTLING);
            if is_new {
                let text = reason.text.get(open.lang()).to_owned();
                let reasons = vec![reason.keyword];
                self.progress(no, ProgressEvent::StateReasons { reasons, text });
            }
        }
    }

    /// Asks the devices whose records may tell more by now.
    pub(super) fn ask_again(&mut self, now: Moment) {
        for (no, device) in self.in_doubt.due(now.instant) {
            if let Some(queue) = self.devices.get_mut(&device) {
                queue.ask_again(no);
            }
            self.dispatch(now, &device);
        }
    }

    /// Leaves calls to a person whose device did not appear in time.
    pub(super) fn give_up_waiting_for_devices(&mut self, now: Moment) {
        for (no, device) in self.in_doubt.missing(now.instant) {
            self.leave_to_a_person(now, no, texts::device_gone(&device));
        }
    }

    /// Contact with a device was lost: it is asked anew when it is back.
    pub(super) fn stop_waiting(&mut self, device: &DeviceId) {
        if self.in_doubt.contact_lost(device)
            && let Some(queue) = self.devices.get_mut(device)
        {
            queue.stop_waiting();
        }
    }

    fn leave_to_a_person(&mut self, now: Moment, no: CallNo, reason: Reason) {
        let Some(in_doubt) = self.in_doubt.leave_to_a_person(no, reason.clone()) else {
            return;
        };
        let device = in_doubt.device.clone();
        tracing::warn!(
            call = no.0, %device, operation = in_doubt.spec.name, reason = %reason.keyword,
            "a person must say what became of it"
        );
        if let Some(open) = self.open.get_mut(&no)
            && let Some(mut failure) = open.state.fallback().cloned()
        {
            let lang = open.lang();
            // The reason says what to do; what the driver said before it was asked said so, too.
            reason.text.get(lang).clone_into(&mut failure.message);
            failure.detail.reasons.push(reason.keyword);
            self.end(now, no, Outcome::Failed(failure));
        }
        self.show_unresolved(&device);
    }

    /// Answers calls that waited long enough for the device's records.
    pub(super) fn give_up_settling(&mut self, now: Moment, enough: impl Fn(&ActiveCall) -> bool) {
        let waiting = self.open.iter().filter(|(_, open)| enough(open));
        let given_up: Vec<_> = waiting
            .filter_map(|(no, open)| Some((*no, open.state.fallback()?.clone())))
            .collect();
        for (no, failure) in given_up {
            self.end(now, no, Outcome::Failed(failure));
        }
    }

    fn show_unresolved(&mut self, device: &DeviceId) {
        if let Some(queue) = self.devices.get_mut(device) {
            queue.set_unresolved(self.in_doubt.reasons(device));
        }
    }

    /// What the journal kept from before this daemon's time.
    pub(super) fn remember(&mut self, now: Moment, memory: Snapshot) {
        self.remembers_everything = true;
        self.last_no = self.last_no.max(memory.last.0);
        self.idempotency.all_journalled(memory.ended);
        for call in memory.unsettled {
            let digest = call.digest;
            let (no, key, recovered) = recover(self.admission.root(), &call, now.instant, SETTLING);
            match recovered {
                Recovered::Answered(in_doubt) => {
                    self.idempotency.journalled(&key, &digest, no);
                    self.in_doubt_of_before(now, no, in_doubt);
                }
                Recovered::NeverBegan(call) => {
                    self.idempotency.open(&key, digest, no, true);
                    let text = texts::restarted_before_it_began();
                    let text = text.get(call.lang());
                    let failure = Failure::without_effect(Status::Unavailable, text);
                    self.open.insert(no, *call);
                    self.end(now, no, Outcome::Failed(failure));
                }
                Recovered::Interrupted(call, in_doubt) => {
                    self.idempotency.open(&key, digest, no, true);
                    self.open.insert(no, *call);
                    self.in_doubt_of_before(now, no, in_doubt);
                }
            }
        }
    }

    fn in_doubt_of_before(&mut self, now: Moment, no: CallNo, call: InDoubt) {
        // A rule may name it by its port or serial number: then it appears when it is found.
        let is_there = self.devices.contains(&call.device);
        let not_there = (!is_there).then(|| now.instant + SETTLING);
        self.in_doubt.add(no, call, now.instant, not_there);
    }

    /// The journal was read for who asked again.
    pub(super) fn replay(
        &mut self,
        asked: Replay,
        read: Result<Option<Completion<Response>>, NotRead>,
    ) {
        let Replay {
            no,
            spec,
            listener,
            ack,
        } = asked;
        let completion = match read {
            Ok(Some(completion)) => completion,
            Ok(None) => {
                let text = texts::no_longer_journalled();
                Completion::refused(Failure::outcome_unknown(text.get(listener.lang)))
            }
            Err(error) => {
                tracing::error!(call = no.0, %error, "a completion could not be read");
                let text = texts::not_read(&error.0);
                Completion::refused(Failure::outcome_unknown(text.get(listener.lang)))
            }
        };
        self.answer(listener, completion.into(), Some(spec));
        self.actions.push(Action::Acknowledge(ack));
    }

    /// A person says what became of a call; `None`: when it is stored.
    pub(super) fn resolve(
        &mut self,
        now: Moment,
        no: CallNo,
        client: &ClientId,
        params: ResolveParams,
        lang: Lang,
    ) -> Option<Outcome<Response>> {
        let refuse = |status, text: koffer_proto::Text, field: Option<&str>| {
            let detail = Detail {
                field: field.map(str::to_owned),
                ..Detail::default()
            };
            Some(Outcome::Failed(
                Failure::without_effect(status, text.get(lang)).with(detail),
            ))
        };
        let key = (params.client, params.call);
        let Some(call) = self.in_doubt.resolvable(&key) else {
            return refuse(
                Status::BadRequest,
                texts::nothing_to_resolve(&key),
                Some("call"),
            );
        };
        if !self.admission.policy().resolves(client, call.class) {
            return refuse(Status::Denied, texts::may_not_resolve(client), None);
        }
        let target = call.target;
        if call.is_busy || self.open.contains_key(&target) {
            return refuse(Status::Busy, texts::still_settling(), None);
        }
        let resolution = Resolution {
            by: client.clone(),
            at: now.wall,
            finding: params.finding,
            observation: params.observation,
        };
        let effect = match params.finding {
            Finding::Done => Effect::Done,
            Finding::NotDone => Effect::None,
            Finding::Partial => Effect::Partial,
        };
        let text = texts::resolved(&resolution);
        let failure = Failure::unfinished(Status::DeviceFault, effect, text.get(lang));
        let completion = Arc::new(Completion::failed(call.device, failure));
        let pending = PendingResolution {
            target,
            at: now.wall,
            completion: completion.clone(),
        };
        self.in_doubt.resolve(no, pending);
        if let Some(open) = self.open.get_mut(&no) {
            open.state.resolve();
        }
        self.actions.push(Action::StoreResolved(Resolved {
            no,
            target,
            resolution,
            completion,
        }));
        None
    }

    /// A person's word is stored.
    pub(super) fn resolved(&mut self, now: Moment, no: CallNo, result: Result<(), NotStored>) {
        let Some(PendingResolution {
            target,
            at,
            completion,
        }) = self.in_doubt.resolution(no)
        else {
            return;
        };
        let lang = self.open.get(&no).map(ActiveCall::lang).unwrap_or_default();
        if let Err(error) = result {
            let text = texts::not_stored(&error.0);
            let failure = Failure::without_effect(Status::Unavailable, text.get(lang));
            return self.end(now, no, Outcome::Failed(failure));
        }
        let Some(in_doubt) = self.in_doubt.remove(target) else {
            return;
        };
        let device = in_doubt.device;
        tracing::warn!(call = target.0, %device, effect = %completion.effect(), "resolved by a person");
        self.idempotency.correct(&in_doubt.key, completion);
        self.show_unresolved(&device);
        let answer = gateway::Response::Resolve(gateway::Resolved {
            at,
            device: device.clone(),
        });
        self.end(now, no, Outcome::Ok(Response::Gateway(answer)));
        self.dispatch(now, &device);
    }

    /// How many calls have ended without their outcome being known still.
    pub(super) fn unresolved_count(&self) -> u64 {
        self.in_doubt
            .unresolved_count(|no| self.open.contains_key(&no))
    }

    /// The calls that wait for a person's word, as `client` may see them.
    pub(super) fn unresolved_calls(&self, client: &ClientId) -> Vec<Unresolved> {
        self.in_doubt.unresolved(|call| {
            call.key.0 == *client || self.admission.policy().resolves(client, call.spec.class)
        })
    }
}
