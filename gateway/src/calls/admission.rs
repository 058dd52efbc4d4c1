//! Whether a call is taken at all: its form, its caller's rights, memory, and its turn to be decoded.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use koffer_proto::{Class, ClientId, Failure, Root, Status, Text};

use super::{
    decoding::{DECODED_AT_ONCE, Undecoded, Vetted},
    dispatcher::Limits,
    incoming::{self, AckToken, Admitted, Refusal},
    policy::Policy,
    texts,
};
use crate::{bus::Message, room::Budget};

/// Calls that a client may have open while all places are taken: its share of them, and this many
/// where there are so many clients that its share is less.
const LEAST_OPEN: usize = 16;

/// Admits calls.
pub(super) struct Admission {
    root: Root,
    policy: Policy,
    limits: Limits,
    budget: Arc<Budget>,
    /// Clients of which a large call is being decoded, and their calls that came after it.
    decoding: BTreeMap<ClientId, VecDeque<(Vetted, AckToken)>>,
}

/// When a call is decoded.
pub(super) enum Turn {
    /// At once.
    Now(Undecoded, Bytes),
    /// On another thread.
    Elsewhere(Undecoded, Bytes),
    /// After the large call of the same client that came before it.
    Later,
}

impl Admission {
    pub(super) fn new(root: Root, policy: Policy, limits: Limits) -> Self {
        let clients = policy.clients().cloned();
        let budget = Budget::new(limits.memory, limits.max_payload, clients);
        Self {
            root,
            policy,
            limits,
            budget: Arc::new(budget),
            decoding: BTreeMap::new(),
        }
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Whether no call is being decoded.
    pub(super) fn is_idle(&self) -> bool {
        self.decoding.is_empty()
    }

    /// Reads a message as a call.
    pub(super) fn read(
        &self,
        now: Instant,
        message: Message,
        redelivered: bool,
    ) -> Result<Admitted, Refusal> {
        incoming::admit(
            &self.root,
            self.limits.max_payload,
            now,
            message,
            redelivered,
        )
    }

    /// Whether the caller may call this at all, and has memory left for it. `class`: of the device
    /// or role that is called, if there is one.
    pub(super) fn vet(&self, call: Admitted, class: Option<Class>) -> Result<Vetted, Failure> {
        let lang = call.listener.lang;
        let refuse = |status, text: Text| Failure::without_effect(status, text.get(lang));
        if !self.policy.knows(&call.client) {
            return Err(refuse(Status::Denied, texts::unknown_client(&call.client)));
        }
        let class = class
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

    /// When a call is decoded: a client's calls keep their order.
    pub(super) fn turn(&mut self, vetted: Vetted, ack: AckToken) -> Turn {
        if let Some(after) = self.decoding.get_mut(&vetted.call.client) {
            after.push_back((vetted, ack));
            return Turn::Later;
        }
        let mut undecoded = Undecoded { vetted, ack };
        let payload = mem::take(&mut undecoded.vetted.call.payload);
        if payload.len() > DECODED_AT_ONCE {
            let client = undecoded.vetted.call.client.clone();
            self.decoding.insert(client, VecDeque::new());
            Turn::Elsewhere(undecoded, payload)
        } else {
            Turn::Now(undecoded, payload)
        }
    }

    /// A client's large call is decoded: its calls that came after it.
    pub(super) fn decoded(&mut self, client: &ClientId) -> VecDeque<(Vetted, AckToken)> {
        self.decoding.remove(client).unwrap_or_default()
    }

    /// Whether there is no place for a call of a client that has `own` of the `open` calls. While
    /// all places are taken, each client still has its share.
    pub(super) fn is_crowded(&self, own: usize, open: usize) -> bool {
        let (max, clients) = (self.limits.open_calls, self.policy.clients().len().max(1));
        open >= max && own >= (max / clients).max(LEAST_OPEN)
    }
}
