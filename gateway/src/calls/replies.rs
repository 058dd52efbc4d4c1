//! Completions and progress as messages on the bus.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use koffer_proto::{
    ClientId, Completion, ContentType, Effect, EffectKind, Failure, OperationSpec, Outcome,
    Progress, ProgressEvent, Response, Status, Text,
};

use super::{incoming::Listener, texts};
use crate::bus::{Message, Properties, Qos};

/// How long the broker may hold an answer to what can simply be asked again, in seconds.
const REPEATABLE_ANSWER_EXPIRY: u32 = 120;

/// How a reply travels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeliveryPolicy {
    qos: Qos,
    expiry: Option<u32>,
}

impl DeliveryPolicy {
    /// Answers of `spec`; of a call that was refused before its operation was known, `None`.
    ///
    /// Confidential ones go with QoS 0, so that no broker queues them; what must not happen
    /// twice waits in the broker as long as the client's session lives.
    pub(crate) fn of(spec: Option<&OperationSpec>) -> Self {
        match spec {
            Some(spec) if spec.confidential => Self {
                qos: Qos::AtMostOnce,
                expiry: Some(REPEATABLE_ANSWER_EXPIRY),
            },
            Some(spec) if spec.effect == EffectKind::Once => Self {
                qos: Qos::AtLeastOnce,
                expiry: None,
            },
            _ => Self {
                qos: Qos::AtLeastOnce,
                expiry: Some(REPEATABLE_ANSWER_EXPIRY),
            },
        }
    }
}

/// The progress of one call. What the gateway itself does with it is held back at first: calls that
/// finish within 50 ms publish only their completion.
#[derive(Debug)]
pub(super) struct ProgressLog {
    seq: u32,
    held_back: Option<ProgressEvent>,
    held_until: Instant,
}

impl ProgressLog {
    pub(super) fn new(held_until: Instant) -> Self {
        Self {
            seq: 0,
            held_back: None,
            held_until,
        }
    }

    /// The gateway has brought the call so far. `Some`: to be published now.
    pub(super) fn reached(&mut self, now: Instant, event: ProgressEvent) -> Option<Progress> {
        self.held_back = Some(event);
        self.due(now)
    }

    /// Something else happened: what was held back, and this.
    pub(super) fn happened(&mut self, event: ProgressEvent) -> (Option<Progress>, Progress) {
        let held_back = self.held_back.take();
        let before = held_back.map(|event| self.numbered(event));
        (before, self.numbered(event))
    }

    /// What was held back long enough.
    pub(super) fn due(&mut self, now: Instant) -> Option<Progress> {
        if self.held_until > now {
            return None;
        }
        let event = self.held_back.take()?;
        Some(self.numbered(event))
    }

    /// When something is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held_back.as_ref().map(|_| self.held_until)
    }

    /// The call has ended.
    pub(super) fn drop_held_back(&mut self) {
        self.held_back = None;
    }

    fn numbered(&mut self, event: ProgressEvent) -> Progress {
        self.seq += 1;
        Progress {
            seq: self.seq,
            event,
        }
    }
}

/// Makes replies that reach their callers.
pub(super) struct Replies {
    max_payload: usize,
    /// The largest payload that the broker takes.
    largest: usize,
}

impl Replies {
    pub(super) fn new(max_payload: usize) -> Self {
        Self {
            max_payload,
            largest: max_payload,
        }
    }

    /// The broker takes no larger payload.
    pub(super) fn limit(&mut self, bytes: usize) {
        self.largest = self.max_payload.min(bytes);
    }

    /// How a call ended; of a call that was refused before its operation was known, `spec` is
    /// `None`.
    pub(super) fn completion(
        &self,
        listener: Listener,
        completion: Arc<Completion<Response>>,
        spec: Option<&OperationSpec>,
    ) -> Reply {
        Reply::completion(listener, completion, DeliveryPolicy::of(spec), self.largest)
    }

    /// What happens meanwhile.
    pub(super) fn progress(
        &self,
        listener: Listener,
        progress: Arc<Progress>,
        spec: &OperationSpec,
    ) -> Reply {
        Reply::progress(
            listener,
            progress,
            DeliveryPolicy::of(Some(spec)),
            self.largest,
        )
    }
}

/// An answer that is still to be encoded, so that whoever sends it decides where that is done.
#[derive(Debug, Clone)]
pub struct Reply {
    listener: Listener,
    content: Content,
    delivery: DeliveryPolicy,
    /// The largest payload that reaches the caller.
    largest: usize,
}

#[derive(Debug, Clone)]
enum Content {
    Completion(Arc<Completion<Response>>),
    Progress(Arc<Progress>),
}

/// Whose answer it is: where it goes, and the call id.
pub(crate) type Addressee = (String, Option<Bytes>);

impl Reply {
    /// How a call ended.
    pub(crate) fn completion(
        listener: Listener,
        completion: Arc<Completion<Response>>,
        delivery: DeliveryPolicy,
        largest: usize,
    ) -> Self {
        Self {
            listener,
            content: Content::Completion(completion),
            delivery,
            largest,
        }
    }

    /// What happens meanwhile.
    pub(crate) fn progress(
        listener: Listener,
        progress: Arc<Progress>,
        delivery: DeliveryPolicy,
        largest: usize,
    ) -> Self {
        Self {
            listener,
            content: Content::Progress(progress),
            delivery,
            largest,
        }
    }

    /// The message. Takes its time where there is much in it.
    pub fn encode(&self) -> Option<Message> {
        match &self.content {
            Content::Completion(told) => Some(completion(
                &self.listener,
                told,
                self.delivery,
                self.largest,
            )),
            Content::Progress(told) => progress(&self.listener, told, self.delivery),
        }
    }

    /// How many bytes of content are in it, beside its words.
    pub(crate) fn content_bytes(&self) -> usize {
        match &self.content {
            Content::Completion(told) => match &told.outcome {
                Outcome::Ok(response) => response.content_bytes(),
                Outcome::Failed(_) => 0,
            },
            Content::Progress(told) => told.event.content_bytes(),
        }
    }

    /// Whom it is for.
    pub(crate) fn client(&self) -> &ClientId {
        self.listener.topic.client()
    }

    pub(crate) fn addressee(&self) -> Addressee {
        let topic = self.listener.topic.as_str().to_owned();
        (topic, self.listener.correlation.clone())
    }

    /// Whether nothing follows it.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self.content, Content::Completion(_))
    }
}

/// The message of a completion.
fn completion(
    listener: &Listener,
    completion: &Completion<Response>,
    delivery: DeliveryPolicy,
    largest: usize,
) -> Message {
    let payload = match listener.encoding.encode(completion) {
        Ok(payload) if payload.len() <= largest => Ok(payload),
        Ok(payload) => Err(texts::answer_too_large(payload.len(), largest)),
        Err(error) => Err(Text::new(error.to_string(), error.to_string())),
    };
    // What cannot be told is not undone: the effect is still stated.
    let payload = payload.or_else(|why| {
        let why = why.get(listener.lang);
        let failure = match completion.effect() {
            Effect::Unknown => Failure::outcome_unknown(why),
            effect => Failure::unfinished(Status::DeviceFault, effect, why),
        };
        let device = completion.device.clone();
        listener.encoding.encode(&Completion::<()> {
            device,
            outcome: Outcome::Failed(failure),
            ignored: Vec::new(),
        })
    });
    message(
        listener,
        listener.topic.as_str().to_owned(),
        payload.unwrap_or_default(),
        delivery,
    )
}

/// The message of an interim event.
fn progress(listener: &Listener, progress: &Progress, delivery: DeliveryPolicy) -> Option<Message> {
    let delivery = if progress.event.is_confidential() {
        DeliveryPolicy {
            qos: Qos::AtMostOnce,
            ..delivery
        }
    } else {
        delivery
    };
    let payload = listener.encoding.encode(progress).ok()?;
    Some(message(
        listener,
        listener.topic.progress(),
        payload,
        delivery,
    ))
}

fn message(
    listener: &Listener,
    topic: String,
    payload: Vec<u8>,
    delivery: DeliveryPolicy,
) -> Message {
    Message {
        topic,
        payload: Bytes::from(payload),
        qos: delivery.qos,
        retain: false,
        properties: Properties {
            correlation_data: listener.correlation.clone(),
            message_expiry: delivery.expiry,
            content_type: Some(listener.encoding.as_str().to_owned()),
            payload_is_utf8: (listener.encoding == ContentType::Json).then_some(true),
            ..Properties::default()
        },
    }
}
