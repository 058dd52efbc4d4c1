//! A new call is joined, replayed, refused, or opened on a device.

use jiff::Timestamp;
use koffer_proto::{
    CallId, Class, Completion, DeviceId, EffectKind, Failure, Request, Status, Text,
    class::{any_device, gateway},
};

use super::{Action, BRIEF, Dispatcher, Moment, Replay};
use crate::{
    bus::Message,
    calls::{
        admission::Turn,
        decoding::{Content, Decoded, Undecoded, Vetted},
        devices::Asker,
        idempotency::Known,
        incoming::{AckToken, Admitted, Listener, Refusal},
        lifecycle::{ActiveCall, State},
        replies::ProgressLog,
        texts,
    },
    journal::{AcceptedCall, CallNo},
    room::Held,
};

/// Characters of a client's topic that a log line shows.
const LOGGED: usize = 200;

/// Response topics that one call is answered on: an app that repeats it from another session, and
/// some more.
const LISTENERS: usize = 8;

impl Dispatcher {
    pub(super) fn call(&mut self, now: Moment, message: Message, redelivered: bool, ack: AckToken) {
        if message.retain {
            // Nobody shall find it in the broker again.
            let cleared = Message::new(message.topic.clone(), Vec::new()).retained();
            self.actions.push(Action::Publish(cleared));
        }
        let topic: String = message.topic.chars().take(LOGGED).collect();
        let admitted = match self.admission.read(now.instant, message, redelivered) {
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
        let class = self.devices.class_of(&admitted.target);
        match self.admission.vet(admitted, class) {
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
        match self.admission.turn(vetted, ack) {
            Turn::Now(undecoded, payload) => {
                let decoded = undecoded.form().decode(&payload);
                self.take_or_refuse(now, undecoded, decoded);
            }
            Turn::Elsewhere(undecoded, payload) => {
                let decode = Action::Decode(Box::new(undecoded), payload);
                self.actions.push(decode);
            }
            Turn::Later => {}
        }
    }

    /// A large call is decoded: it goes on, and after it those that came meanwhile.
    pub(super) fn decoded(&mut self, now: Moment, call: Undecoded, decoded: Option<Decoded>) {
        let after = self.admission.decoded(&call.vetted.call.client);
        let decoded = decoded.unwrap_or_else(|| {
            let text = texts::not_decoded();
            let text = text.get(call.vetted.call.listener.lang);
            Err(Failure::without_effect(Status::BadRequest, text))
        });
        self.take_or_refuse(now, call, decoded);
        for (vetted, ack) in after {
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
        let own = self.open.values();
        let own = own.filter(|open| open.key.0 == call.client).count();
        if self.admission.is_crowded(own, self.open.len()) {
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
        let device = self
            .devices
            .choose(now, &call.target, &[], asker, spec, &self.claims)?;
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

    /// Another device of the role that can take the call now.
    pub(super) fn another_device(&self, now: Moment, no: CallNo) -> Option<DeviceId> {
        let open = self.open.get(&no)?;
        if !self.devices.is_role(open.target.as_str()) {
            return None;
        }
        let asker = Asker {
            client: &open.key.0,
            claim: open.claim.as_ref(),
            lang: open.lang(),
        };
        let mut tried = open.tried.clone();
        tried.push(open.device.clone());
        self.devices
            .choose(now, &open.target, &tried, asker, open.spec, &self.claims)
            .ok()
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
