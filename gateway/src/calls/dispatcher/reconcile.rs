//! Calls whose outcome is unknown: the device's own records are asked, and where they cannot
//! tell, a person is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use koffer_drivers::{NotStored, NotYet, Reconciled};
use koffer_proto::{
    ClientId, Completion, Detail, DeviceId, Effect, EffectKind, Failure, Lang, OperationSpec,
    Outcome, ProgressEvent, Reason, ReplyTopic, Response, Status,
    class::gateway::{self, Finding, ResolveParams, Unresolved},
};

use super::{Action, Dispatcher, Moment, Replay, Resolved, run::storable};
use crate::{
    calls::{
        idempotency::Key,
        incoming::Listener,
        lifecycle::{ActiveCall, State},
        replies::ProgressLog,
        texts,
    },
    journal::{CallNo, NotRead, Pending, RecoveryState, Resolution, Snapshot},
};

/// How long a caller waits, beyond the deadline, for a device that is away to come back and tell
/// what it did: a terminal restarts within a minute.
const SETTLING: Duration = Duration::from_mins(1);

/// A call whose outcome is unknown.
#[derive(Debug)]
pub(super) struct InDoubt {
    key: Key,
    device: DeviceId,
    spec: &'static OperationSpec,
    accepted_at: Timestamp,
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

/// A person's word that is being stored.
#[derive(Debug)]
pub(super) struct Resolving {
    target: CallNo,
    at: Timestamp,
    completion: Arc<Completion<Response>>,
}

impl InDoubt {
    /// The device is asked as soon as it can be; the answer is which.
    fn ask_anew(&mut self) -> DeviceId {
        self.stage = Stage::Unasked;
        self.device.clone()
    }
}

impl Dispatcher {
    /// A driver does not know what became of a call: the device is asked once it is back.
    pub(super) fn in_doubt_now(&mut self, now: Moment, no: CallNo, failure: Failure) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        if open.spec.effect != EffectKind::Once {
            return self.end(now, no, Outcome::Failed(failure));
        }
        self.in_doubt.insert(
            no,
            InDoubt {
                key: open.key.clone(),
                device: open.device.clone(),
                spec: open.spec,
                accepted_at: open.accepted_at,
                since: now.instant,
                stage: Stage::Unasked,
            },
        );
        open.state.settle(failure);
        open.deadline = open.deadline.max(now.instant + SETTLING);
        let text = texts::settling().get(open.lang()).to_owned();
        self.conclude_cancels(now, no, false);
        let reasons = vec!["settling".to_owned()];
        self.progress(no, ProgressEvent::StateReasons { reasons, text });
    }

    /// Asks an idle device for the first of its calls that it has yet to be asked for.
    pub(super) fn ask_device(&mut self, now: Moment, device: &DeviceId) {
        let Some(queue) = self.queues.get_mut(device) else {
            return;
        };
        // What is being stored is not asked for: one word at a time reaches the journal, the
        // device's or a person's.
        let ending = |no: &CallNo| {
            self.open
                .get(no)
                .is_some_and(|open| open.state.is_recording())
                || self.resolving.values().any(|word| word.target == *no)
        };
        let unasked = self.in_doubt.iter_mut().find(|(no, in_doubt)| {
            in_doubt.device == *device && matches!(in_doubt.stage, Stage::Unasked) && !ending(no)
        });
        if let Some((no, in_doubt)) = unasked
            && queue.is_idle()
        {
            in_doubt.stage = Stage::Asking;
            queue.settling = Some(*no);
            let known_for = now.instant.saturating_duration_since(in_doubt.since);
            self.actions
                .push(Action::Reconcile(device.clone(), *no, known_for));
        }
    }

    /// The device's own records were read.
    pub(super) fn settled(&mut self, now: Moment, no: CallNo, reconciled: Reconciled) {
        let Some(in_doubt) = self.in_doubt.get_mut(&no) else {
            return;
        };
        let device = in_doubt.device.clone();
        match reconciled {
            Reconciled::Lost(_) => in_doubt.stage = Stage::Unasked,
            Reconciled::Undecided(reason) => self.leave_to_a_person(now, no, reason),
            Reconciled::NotYet(not_yet) => {
                in_doubt.stage = Stage::Later(now.instant + not_yet.again);
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
                let Some(in_doubt) = self.in_doubt.remove(&no) else {
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
        let Some(queue) = self.queues.get_mut(device) else {
            return;
        };
        let heard = queue.waits_for.replace(reason.clone()).as_ref() == Some(&reason);
        queue.settling = Some(no);
        if let Some(open) = self.open.get_mut(&no) {
            open.deadline = open.deadline.max(now.instant + within + SETTLING);
            if !heard {
                let text = reason.text.get(open.lang()).to_owned();
                let reasons = vec![reason.keyword];
                self.progress(no, ProgressEvent::StateReasons { reasons, text });
            }
        }
    }

    /// Asks the devices whose records may tell more by now.
    pub(super) fn ask_again(&mut self, now: Moment) {
        let due = self.in_doubt.values_mut();
        let due =
            due.filter(|in_doubt| matches!(in_doubt.stage, Stage::Later(at) if at <= now.instant));
        let devices: Vec<_> = due.map(InDoubt::ask_anew).collect();
        for device in devices {
            if let Some(queue) = self.queues.get_mut(&device) {
                queue.settling = None;
            }
            self.dispatch(now, &device);
        }
    }

    /// When the next device is to be asked again.
    pub(super) fn next_question(&self) -> Option<Instant> {
        let later = self
            .in_doubt
            .values()
            .filter_map(|in_doubt| match in_doubt.stage {
                Stage::Later(at) | Stage::NotThere(at) => Some(at),
                _ => None,
            });
        later.min()
    }

    /// Leaves calls to a person whose device did not appear in time.
    pub(super) fn give_up_waiting_for_devices(&mut self, now: Moment) {
        let missing = self.in_doubt.iter().filter(
            |(_, in_doubt)| matches!(in_doubt.stage, Stage::NotThere(until) if until <= now.instant),
        );
        let missing: Vec<_> = missing
            .map(|(no, in_doubt)| (*no, in_doubt.device.clone()))
            .collect();
        for (no, device) in missing {
            self.leave_to_a_person(now, no, texts::device_gone(&device));
        }
    }

    /// Contact with a device was lost: it is asked anew when it is back.
    pub(super) fn stop_waiting(&mut self, device: &DeviceId) {
        let later = self.in_doubt.values_mut();
        let later = later.filter(|in_doubt| {
            in_doubt.device == *device && matches!(in_doubt.stage, Stage::Later(_))
        });
        if later.map(InDoubt::ask_anew).count() > 0
            && let Some(queue) = self.queues.get_mut(device)
        {
            queue.settling = None;
            queue.waits_for = None;
        }
    }

    fn leave_to_a_person(&mut self, now: Moment, no: CallNo, reason: Reason) {
        let Some(in_doubt) = self.in_doubt.get_mut(&no) else {
            return;
        };
        tracing::warn!(
            call = no.0, device = %in_doubt.device, operation = in_doubt.spec.name,
            reason = %reason.keyword, "a person must say what became of it"
        );
        in_doubt.stage = Stage::Person(reason.clone());
        let device = in_doubt.device.clone();
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

    /// A device has appeared that was not there when the journal was read: it can be asked.
    pub(super) fn ask_after_all(&mut self, device: &DeviceId) {
        let here = self.in_doubt.values_mut();
        for in_doubt in here.filter(|in_doubt| in_doubt.device == *device) {
            in_doubt.stage = Stage::Unasked;
        }
    }

    fn show_unresolved(&mut self, device: &DeviceId) {
        let Some(queue) = self.queues.get_mut(device) else {
            return;
        };
        let here = self
            .in_doubt
            .values()
            .filter(|in_doubt| in_doubt.device == *device);
        queue.unresolved = here
            .filter(|in_doubt| matches!(in_doubt.stage, Stage::Person(_)))
            .map(|in_doubt| texts::unresolved(in_doubt.spec))
            .collect();
        // Several of one operation read the same: whose they are is nobody else's business.
        queue.unresolved.dedup();
    }

    /// What the journal kept from before this daemon's time.
    pub(super) fn remember(&mut self, now: Moment, memory: Snapshot) {
        self.remembers_everything = true;
        self.last_no = self.last_no.max(memory.last.0);
        self.idempotency.all_journalled(memory.ended);
        for call in memory.unsettled {
            let key = (call.client, call.call);
            let left = call.pending;
            match call.state {
                RecoveryState::Unknown(device) => {
                    self.idempotency.journalled(&key, &call.digest, call.no);
                    let (spec, at) = (left.operation, call.accepted_at);
                    self.in_doubt_of_before(now, call.no, key, &device, spec, at);
                }
                RecoveryState::Waiting => {
                    self.idempotency.open(&key, call.digest, call.no, true);
                    self.take_up(now, call.no, key, left, call.accepted_at, None);
                }
                RecoveryState::Interrupted(device) => {
                    self.idempotency.open(&key, call.digest, call.no, true);
                    self.take_up(now, call.no, key, left, call.accepted_at, Some(device));
                }
            }
        }
    }

    /// A call that this daemon's predecessor accepted and did not end.
    fn take_up(
        &mut self,
        now: Moment,
        no: CallNo,
        key: Key,
        left: Pending,
        accepted_at: Timestamp,
        begun_on: Option<DeviceId>,
    ) {
        let Pending {
            operation,
            target,
            answer_to,
            deadline,
        } = left;
        let lang = answer_to.lang;
        let topic = ReplyTopic::parse(&self.root, &key.0, &answer_to.topic);
        let listener = topic.ok().map(|topic| Listener {
            topic,
            correlation: Some(key.1.as_bytes().to_vec().into()),
            encoding: answer_to.encoding,
            lang,
        });
        let open = ActiveCall {
            key: key.clone(),
            spec: operation,
            ignored: Vec::new(),
            target: target.clone(),
            claim: None,
            tried: Vec::new(),
            device: begun_on.clone().unwrap_or_else(|| DeviceId::from(target)),
            accepted_at,
            deadline: now.instant + SETTLING,
            deadline_wall: deadline,
            listeners: listener.into_iter().collect(),
            held: Vec::new(),
            ack: None,
            progress: ProgressLog::new(now.instant),
            state: State::settling(Failure::outcome_unknown(
                texts::restarted_after_it_began().get(lang),
            )),
        };
        self.open.insert(no, open);
        let Some(device) = begun_on else {
            let text = texts::restarted_before_it_began();
            let failure = Failure::without_effect(Status::Unavailable, text.get(lang));
            return self.end(now, no, Outcome::Failed(failure));
        };
        self.in_doubt_of_before(now, no, key, &device, operation, accepted_at);
    }

    fn in_doubt_of_before(
        &mut self,
        now: Moment,
        no: CallNo,
        key: Key,
        device: &DeviceId,
        spec: &'static OperationSpec,
        accepted_at: Timestamp,
    ) {
        // A rule may name it by its port or serial number: then it appears when it is found.
        let stage = if self.queues.contains_key(device) {
            Stage::Unasked
        } else {
            Stage::NotThere(now.instant + SETTLING)
        };
        self.in_doubt.insert(
            no,
            InDoubt {
                key,
                device: device.clone(),
                spec,
                accepted_at,
                since: now.instant,
                stage,
            },
        );
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
        let Some((&target, in_doubt)) = self
            .in_doubt
            .iter()
            .find(|(_, in_doubt)| in_doubt.key == key)
        else {
            return refuse(
                Status::BadRequest,
                texts::nothing_to_resolve(&key),
                Some("call"),
            );
        };
        if !self.policy.resolves(client, in_doubt.spec.class) {
            return refuse(Status::Denied, texts::may_not_resolve(client), None);
        }
        let being_resolved = self.resolving.values().any(|other| other.target == target);
        let settling = self.open.contains_key(&target)
            || matches!(in_doubt.stage, Stage::Asking | Stage::Later(_));
        if being_resolved || settling {
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
        let completion = Arc::new(Completion::failed(in_doubt.device.clone(), failure));
        self.resolving.insert(
            no,
            Resolving {
                target,
                at: now.wall,
                completion: completion.clone(),
            },
        );
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
        let Some(Resolving {
            target,
            at,
            completion,
        }) = self.resolving.remove(&no)
        else {
            return;
        };
        let lang = self.open.get(&no).map(ActiveCall::lang).unwrap_or_default();
        if let Err(error) = result {
            let text = texts::not_stored(&error.0);
            let failure = Failure::without_effect(Status::Unavailable, text.get(lang));
            return self.end(now, no, Outcome::Failed(failure));
        }
        let Some(in_doubt) = self.in_doubt.remove(&target) else {
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
        let told = |(no, in_doubt): &(&CallNo, &InDoubt)| {
            matches!(in_doubt.stage, Stage::Person(_)) || !self.open.contains_key(no)
        };
        self.in_doubt.iter().filter(told).count() as u64
    }

    /// The calls that wait for a person's word, as `client` may see them.
    pub(super) fn unresolved_calls(&self, client: &ClientId) -> Vec<Unresolved> {
        let seen = self.in_doubt.values().filter(|in_doubt| {
            in_doubt.key.0 == *client || self.policy.resolves(client, in_doubt.spec.class)
        });
        seen.filter_map(|in_doubt| {
            let Stage::Person(reason) = &in_doubt.stage else {
                return None;
            };
            Some(Unresolved {
                client: in_doubt.key.0.clone(),
                call: in_doubt.key.1.clone(),
                device: in_doubt.device.clone(),
                operation: in_doubt.spec.name.parse().ok()?,
                accepted_at: in_doubt.accepted_at,
                reason: reason.clone(),
            })
        })
        .collect()
    }
}
