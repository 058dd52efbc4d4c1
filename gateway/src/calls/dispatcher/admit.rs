//! How a call is taken: joined, replayed, refused, or opened on the device that is to do it.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use koffer_proto::{
    CallId, ClaimToken, Class, ClientId, Completion, Detail, DeviceId, EffectKind, Failure, Lang,
    OperationSpec, Request, Segment, Status, Text,
    class::{any_device, gateway},
};

use super::{Action, BRIEF, Dispatcher, Moment, Replay, millis};
use crate::{
    bus::Message,
    calls::{
        claims::Claim,
        decoding::{Content, DECODED_AT_ONCE, Decoded, Undecoded, Vetted},
        device_queue::{Condition, DeviceQueue},
        idempotency::Known,
        incoming::{self, AckToken, Admitted, Listener, Refusal},
        lifecycle::{ActiveCall, State},
        replies::ProgressLog,
        texts,
    },
    journal::{AcceptedCall, CallNo},
    room::Held,
};

/// Characters of a client's topic that a log line shows.
const LOGGED: usize = 200;

/// Calls that a client may have open while all places are taken: its share of them, and this many
/// where there are so many clients that its share is less.
const LEAST_OPEN: usize = 16;

/// Places at which one call is told: an app that asks again from somewhere else, and some more.
const LISTENERS: usize = 8;

impl Dispatcher {
    pub(super) fn call(&mut self, now: Moment, message: Message, redelivered: bool, ack: AckToken) {
        if message.retain {
            // Nobody shall find it in the broker again.
            let cleared = Message::new(message.topic.clone(), Vec::new()).retained();
            self.actions.push(Action::Publish(cleared));
        }
        let max = self.limits.max_payload;
        let topic: String = message.topic.chars().take(LOGGED).collect();
        let admitted = match incoming::admit(&self.root, max, now.instant, message, redelivered) {
            Ok(admitted) => admitted,
            Err(Refusal::Unanswerable(why)) => {
                tracing::warn!(%topic, %why, "a message on a call topic that cannot be answered");
                return self.actions.push(Action::Acknowledge(ack));
            }
            Err(Refusal::Misdirected { to, failure, why }) => {
                let call = to.first().and_then(|listener| {
                    CallId::new(listener.correlation.as_deref().unwrap_or_default()).ok()
                });
                let call = call.map(|call| call.to_string());
                tracing::warn!(
                    client = to.first().map(|l| l.topic.client().as_str()), %topic, call, %why,
                    "a call that cannot be taken"
                );
                for listener in &to {
                    self.refuse(listener, (*failure).clone());
                }
                return self.actions.push(Action::Acknowledge(ack));
            }
            Err(Refusal::Answered(told)) => {
                let (listener, failure) = *told;
                self.refuse(&listener, failure);
                return self.actions.push(Action::Acknowledge(ack));
            }
        };
        let listener = admitted.listener.clone();
        match self.vet(admitted) {
            Ok(vetted) => self.in_turn(now, vetted, ack),
            Err(failure) => self.turn_away(&listener, failure, ack),
        }
    }

    fn turn_away(&mut self, listener: &Listener, failure: Failure, ack: AckToken) {
        self.refuse(listener, failure);
        self.actions.push(Action::Acknowledge(ack));
    }

    /// Decodes a call, a large one elsewhere; a client's calls keep their order.
    fn in_turn(&mut self, now: Moment, vetted: Vetted, ack: AckToken) {
        let client = &vetted.call.client;
        if let Some(after) = self.decoding.get_mut(client) {
            return after.push_back((vetted, ack));
        }
        let large = vetted.call.payload.len() > DECODED_AT_ONCE;
        if large {
            self.decoding.insert(client.clone(), VecDeque::new());
        }
        let mut undecoded = Undecoded { vetted, ack };
        let payload = std::mem::take(&mut undecoded.vetted.call.payload);
        if large {
            let decode = Action::Decode(Box::new(undecoded), payload);
            return self.actions.push(decode);
        }
        let decoded = undecoded.form().decode(&payload);
        self.take_or_refuse(now, undecoded, decoded);
    }

    /// A large call is decoded: it goes on, and after it those that came meanwhile.
    pub(super) fn decoded(&mut self, now: Moment, call: Undecoded, decoded: Option<Decoded>) {
        let after = self.decoding.remove(&call.vetted.call.client);
        let decoded = decoded.unwrap_or_else(|| {
            let text = texts::not_decoded();
            let text = text.get(call.vetted.call.listener.lang);
            Err(Failure::without_effect(Status::BadRequest, text))
        });
        self.take_or_refuse(now, call, decoded);
        for (vetted, ack) in after.unwrap_or_default() {
            self.in_turn(now, vetted, ack);
        }
    }

    fn take_or_refuse(&mut self, now: Moment, call: Undecoded, decoded: Decoded) {
        let listener = call.vetted.call.listener.clone();
        let ack = call.ack;
        let taken = decoded.and_then(|content| self.take(now, call, content));
        if let Err(failure) = taken {
            self.turn_away(&listener, failure, ack);
        }
    }

    /// Whether the caller may call this at all, and has memory left for it.
    fn vet(&self, call: Admitted) -> Result<Vetted, Failure> {
        let lang = call.listener.lang;
        let refuse = |status, text: Text| Failure::without_effect(status, text.get(lang));
        if !self.policy.knows(&call.client) {
            return Err(refuse(Status::Denied, texts::unknown_client(&call.client)));
        }
        let class = self
            .class_of(&call.target)
            .ok_or_else(|| refuse(Status::UnknownDevice, texts::unknown_device(&call.target)))?;
        let operation = call.operation.as_str();
        if let Some(spec) = class.operation(operation)
            && !self.policy.permits(&call.client, class, spec)
        {
            let text = texts::not_allowed(&call.client, class, operation);
            return Err(refuse(Status::Denied, text));
        }
        let bytes = call.payload.len() + call.listener.topic.as_str().len();
        // Cancelling needs little, and makes room.
        let held = match class {
            Class::Gateway => self.budget.take(&call.client, bytes),
            _ => self.budget.admit(&call.client, bytes),
        };
        let text = || texts::too_much_held(&call.client);
        let held = held.ok_or_else(|| refuse(Status::Busy, text()))?;
        Ok(Vetted { call, class, held })
    }

    /// Takes a call whose form is right: joins, replays, or opens it.
    fn take(&mut self, now: Moment, undecoded: Undecoded, content: Content) -> Result<(), Failure> {
        let Undecoded { vetted, ack } = undecoded;
        let Vetted { call, held, .. } = vetted;
        let lang = call.listener.lang;
        let refuse = |status, text: Text| Failure::without_effect(status, text.get(lang));
        let key = (call.client.clone(), call.call.clone());
        let spec = content.request.spec();
        match self.idempotency.look_up(&key, &content.digest) {
            Known::Nothing => {}
            Known::Conflict => return Err(refuse(Status::Conflict, texts::conflict())),
            Known::Open(no) => {
                self.join(no, call.listener, held)?;
                self.actions.push(Action::Acknowledge(ack));
                return Ok(());
            }
            Known::Journalled(no) => {
                self.actions.push(Action::Read(Replay {
                    no,
                    spec,
                    listener: call.listener,
                    ack,
                }));
                return Ok(());
            }
            Known::Ended(completion) => {
                self.answer(call.listener, completion, Some(spec));
                self.actions.push(Action::Acknowledge(ack));
                return Ok(());
            }
        }
        if call.redelivered {
            let unsure = spec.effect == EffectKind::Once && !self.remembers_everything;
            return Err(if unsure {
                Failure::outcome_unknown(texts::redelivered_after_restart().get(lang))
            } else {
                refuse(Status::Expired, texts::redelivered())
            });
        }
        // What still runs can still be looked at, steered and cancelled.
        if self.going_down && spec.class != Class::Gateway {
            return Err(refuse(Status::Unavailable, texts::going_down()));
        }
        if self.is_crowded_for(&call.client) {
            return Err(refuse(Status::Busy, texts::overloaded()));
        }
        self.open(now, call, held, content, ack)
    }

    fn open(
        &mut self,
        now: Moment,
        call: Admitted,
        held: Held,
        content: Content,
        ack: AckToken,
    ) -> Result<(), Failure> {
        let Content {
            request,
            ignored,
            digest,
        } = content;
        let spec = request.spec();
        let asker = Asker {
            client: &call.client,
            claim: call.claim.as_ref(),
            lang: call.listener.lang,
        };
        let device = self.choose(now, &call.target, &[], asker, spec)?;
        let longest = now.instant + spec.max_duration;
        let deadline = call.deadline.min(longest);
        let no = CallNo(self.last_no + 1);
        self.last_no = no.0;
        let left = deadline.saturating_duration_since(now.instant);
        let deadline_wall = now.wall.checked_add(left).unwrap_or(Timestamp::MAX);
        let key = (call.client.clone(), call.call.clone());
        let once = spec.effect == EffectKind::Once;
        self.idempotency.open(&key, digest, no, once);
        let (state, own) = match request {
            Request::Gateway(request) => (State::awaits_other(), Own::Gateway(request)),
            Request::AnyDevice(
                request @ (any_device::Request::Claim(_) | any_device::Request::Release(_)),
            ) => (State::awaits_other(), Own::Claim(request)),
            request => (State::queued(request), Own::No),
        };
        self.open.insert(
            no,
            ActiveCall {
                key,
                spec,
                ignored,
                target: call.target.clone(),
                claim: call.claim.clone(),
                tried: Vec::new(),
                device: device.clone(),
                accepted_at: now.wall,
                deadline,
                deadline_wall,
                listeners: vec![call.listener.clone()],
                held: vec![held],
                ack: Some(ack),
                progress: ProgressLog::new(now.instant + BRIEF),
                state,
            },
        );
        note!(
            spec,
            call = no.0, client = %call.client, id = %call.call, %device,
            operation = spec.name, "accepted"
        );
        match own {
            Own::Gateway(request) => {
                self.acknowledge(no);
                let lang = call.listener.lang;
                if let Some(outcome) = self.gateway_call(now, no, &call.client, lang, request) {
                    self.end(now, no, outcome);
                }
            }
            Own::Claim(request) => {
                self.acknowledge(no);
                let outcome = self.claim_call(now, &device, &call, request);
                self.end(now, no, outcome);
            }
            Own::No => {
                if spec.effect == EffectKind::Once {
                    self.actions.push(Action::StoreAccepted(AcceptedCall {
                        no,
                        client: call.client,
                        call: call.call,
                        target: call.target,
                        operation: spec,
                        digest,
                        answer_to: call.listener.answer_to(),
                        accepted_at: now.wall,
                        deadline: deadline_wall,
                    }));
                } else {
                    self.acknowledge(no);
                }
                self.take_turn(now, no);
            }
        }
        Ok(())
    }

    /// The class that a device or role has.
    fn class_of(&self, target: &Segment) -> Option<Class> {
        if target.as_str() == DeviceId::GATEWAY {
            return Some(Class::Gateway);
        }
        // A role may name devices that have not been plugged in yet; all of them are of one class.
        let candidates = self.candidates(target);
        candidates
            .iter()
            .find_map(|device| self.queues.get(device))
            .map(|s| s.class)
    }

    /// The devices a target stands for, in the order they are tried.
    fn candidates(&self, target: &Segment) -> Vec<DeviceId> {
        match self.roles.get(target) {
            Some(devices) => devices.clone(),
            None => vec![DeviceId::from(target.clone())],
        }
    }

    /// Chooses the device: the first that is ready and idle, else the first that takes the call
    /// into its queue; else says why the first does not.
    fn choose(
        &self,
        now: Moment,
        target: &Segment,
        tried: &[DeviceId],
        asker: Asker<'_>,
        spec: &OperationSpec,
    ) -> Result<DeviceId, Failure> {
        if spec.class == Class::Gateway {
            return Ok(DeviceId::from(target.clone()));
        }
        let candidates = self.candidates(target);
        // Who claimed one of them means that one.
        let is_claimed = |device: &&DeviceId| {
            let claim = self.claims.on(device, now.instant)?;
            Some(claim.is_proven_by(asker.client, asker.claim))
        };
        if let Some(device) = candidates.iter().find(|d| is_claimed(d) == Some(true))
            && let Some(queue) = self.queues.get(device)
            && !tried.contains(device)
            && usable_for(
                device,
                queue,
                self.claims.on(device, now.instant),
                now,
                asker,
                spec,
            )
            .is_ok()
        {
            return Ok(device.clone());
        }
        let mut first_failure = None;
        let mut with_room = None;
        for device in candidates {
            let Some(queue) = self.queues.get(&device) else {
                continue;
            };
            if tried.contains(&device) {
                continue;
            }
            let claim = self.claims.on(&device, now.instant);
            match usable_for(&device, queue, claim, now, asker, spec) {
                Ok(()) if queue.is_idle() && queue.waiting.len() == 0 => return Ok(device),
                Ok(()) => with_room = with_room.or(Some(device)),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        with_room.ok_or_else(|| {
            first_failure.unwrap_or_else(|| {
                let text = texts::unknown_device(target);
                Failure::without_effect(Status::UnknownDevice, text.get(asker.lang))
            })
        })
    }

    /// Another device of the role that can take the call now.
    pub(super) fn another_device(&self, now: Moment, no: CallNo) -> Option<DeviceId> {
        let open = self.open.get(&no)?;
        if !self.roles.contains_key(&open.target) {
            return None;
        }
        let asker = Asker {
            client: &open.key.0,
            claim: open.claim.as_ref(),
            lang: open.lang(),
        };
        let mut tried = open.tried.clone();
        tried.push(open.device.clone());
        self.choose(now, &open.target, &tried, asker, open.spec)
            .ok()
    }

    /// Whether there is no place for a call of `client`. While all are taken, each client still has
    /// its share: what one sends takes nothing from others.
    fn is_crowded_for(&self, client: &ClientId) -> bool {
        let (max, clients) = (self.limits.open_calls, self.policy.clients().len().max(1));
        let own = self.open.values().filter(|open| open.key.0 == *client);
        self.open.len() >= max && own.count() >= (max / clients).max(LEAST_OPEN)
    }

    fn join(&mut self, no: CallNo, listener: Listener, held: Held) -> Result<(), Failure> {
        let Some(open) = self.open.get_mut(&no) else {
            return Ok(());
        };
        // The same place asks again: it gets one completion, not two.
        let mut known = open.listeners.iter();
        if known.any(|known| known.topic == listener.topic) {
            return Ok(());
        }
        if open.listeners.len() >= LISTENERS {
            let text = texts::too_many_listen();
            return Err(Failure::without_effect(
                Status::Busy,
                text.get(listener.lang),
            ));
        }
        open.listeners.push(listener);
        open.held.push(held);
        Ok(())
    }

    fn refuse(&mut self, listener: &Listener, failure: Failure) {
        tracing::info!(
            client = %listener.topic.client(), status = %failure.status(),
            field = failure.detail.field.as_deref().unwrap_or_default(), "refused"
        );
        let completion = Completion::refused(failure);
        self.answer(listener.clone(), completion.into(), None);
    }
}

/// What the gateway does itself.
enum Own {
    Gateway(gateway::Request),
    Claim(any_device::Request),
    /// A driver does it.
    No,
}

/// Who asks for a device.
#[derive(Clone, Copy)]
struct Asker<'a> {
    client: &'a ClientId,
    claim: Option<&'a ClaimToken>,
    lang: Lang,
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
        && !claim.is_proven_by(asker.client, asker.claim)
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
    match &queue.condition {
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
    if queue.waiting.is_full_for(asker.client) {
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
