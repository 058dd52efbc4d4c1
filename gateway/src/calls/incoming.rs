//! A message on a call topic as the bus hands it over, and its admission: everything that can be
//! said of it without knowing a device.

use std::time::{Duration, Instant};

use bytes::Bytes;
use koffer_proto::{
    CallId, ClaimToken, ClientId, ContentType, Failure, Lang, ReplyTopic, Root, Segment, Status,
    Topic,
};

use super::texts;
use crate::bus::Message;
use crate::journal::AnswerTo;

/// Stands for one message's MQTT acknowledgement until it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AckToken(pub u64);

/// Where an answer goes, and in which form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listener {
    pub(crate) topic: ReplyTopic,
    pub(crate) correlation: Option<Bytes>,
    pub(crate) encoding: ContentType,
    pub(crate) lang: Lang,
}

impl Listener {
    /// As it outlives a restart.
    pub(crate) fn answer_to(&self) -> AnswerTo {
        AnswerTo {
            topic: self.topic.as_str().to_owned(),
            encoding: self.encoding,
            lang: self.lang,
        }
    }
}

/// A call whose form is right.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) client: ClientId,
    pub(crate) call: CallId,
    pub(crate) target: Segment,
    pub(crate) operation: Segment,
    pub(crate) listener: Listener,
    pub(crate) deadline: Instant,
    pub(crate) claim: Option<ClaimToken>,
    pub(crate) redelivered: bool,
    pub(crate) payload: Bytes,
}

/// A call whose form is wrong.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is nobody to tell; why, for the log.
    Unanswerable(String),
    /// The caller is told.
    Answered(Box<(Listener, Failure)>),
    /// The caller is known, the call or the place of its answer is not one of ours: told where
    /// refusals go, and at the response topic if that is right; why, for the log.
    Misdirected {
        to: Vec<Listener>,
        failure: Box<Failure>,
        why: String,
    },
}

/// Why a topic of the gateway's that is not a call's takes none.
const OTHER_TOPIC: &str = "not on a call topic";

/// Reads a message as a call.
pub(crate) fn admit(
    root: &Root,
    max_payload: usize,
    now: Instant,
    message: Message,
    redelivered: bool,
) -> Result<Admitted, Refusal> {
    let properties = &message.properties;
    let user = |name: &str| {
        properties
            .user
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let encoding = properties
        .content_type
        .as_deref()
        .map(str::parse::<ContentType>);
    let listen = |topic| Listener {
        topic,
        correlation: properties.correlation_data.clone(),
        encoding: encoding.and_then(Result::ok).unwrap_or(ContentType::Json),
        lang: user("lang").and_then(Lang::from_tag).unwrap_or_default(),
    };
    let response = |client: &ClientId| {
        let named = properties.response_topic.as_deref().unwrap_or_default();
        ReplyTopic::parse(root, client, named)
    };
    let misdirected = |client: &ClientId, field: &str, why: String| {
        let refused = ReplyTopic::refused(root, client);
        let named = response(client).ok().filter(|topic| *topic != refused);
        let to = std::iter::once(refused).chain(named).map(listen).collect();
        Refusal::misdirected(to, field, why)
    };
    let (client, target, operation) = match root.parse(&message.topic) {
        Ok(Topic::Call {
            client,
            target,
            operation,
        }) => (client, target, operation),
        other => {
            let why = other.map_or_else(|error| error.to_string(), |_| OTHER_TOPIC.to_owned());
            return Err(match caller(root, &message.topic) {
                Some(client) => misdirected(&client, "topic", why),
                None => Refusal::Unanswerable(why),
            });
        }
    };
    let topic = response(&client)
        .map_err(|error| misdirected(&client, "response-topic", error.to_string()))?;
    let listener = listen(topic);
    let refuse = |status, field: &str, text: koffer_proto::Text| {
        let failure =
            Failure::without_effect(status, text.get(listener.lang)).with(koffer_proto::Detail {
                field: Some(field.to_owned()),
                ..Default::default()
            });
        Refusal::Answered(Box::new((listener.clone(), failure)))
    };

    if message.retain {
        return Err(refuse(Status::BadRequest, "retain", texts::retained()));
    }
    let correlation = properties.correlation_data.as_deref().unwrap_or_default();
    let call = CallId::new(correlation)
        .map_err(|e| refuse(Status::BadRequest, "correlation-data", texts::call_id(&e)))?;
    match encoding {
        Some(Ok(_)) => {}
        Some(Err(())) | None => {
            return Err(refuse(
                Status::BadRequest,
                "content-type",
                texts::content_type(),
            ));
        }
    }
    let Some(expiry) = properties.message_expiry else {
        return Err(refuse(
            Status::BadRequest,
            "message-expiry-interval",
            texts::no_expiry(),
        ));
    };
    if expiry == 0 {
        return Err(refuse(
            Status::Expired,
            "message-expiry-interval",
            texts::expired(),
        ));
    }
    if message.payload.len() > max_payload {
        let text = texts::too_large(message.payload.len(), max_payload);
        return Err(refuse(Status::BadRequest, "payload", text));
    }
    Ok(Admitted {
        client,
        call,
        target,
        operation,
        listener,
        deadline: now + Duration::from_secs(expiry.into()),
        claim: user("claim").map(ClaimToken::new),
        redelivered,
        payload: message.payload,
    })
}

impl Refusal {
    fn misdirected(to: Vec<Listener>, field: &str, why: String) -> Self {
        let lang = to.first().map(|listener| listener.lang).unwrap_or_default();
        let text = texts::misdirected(field, &why);
        let failure = Failure::without_effect(Status::BadRequest, text.get(lang));
        Self::Misdirected {
            to,
            failure: Box::new(failure.with(koffer_proto::Detail {
                field: Some(field.to_owned()),
                ..Default::default()
            })),
            why,
        }
    }
}

/// Who published it, where that is all that can be read of a topic: the broker lets a client publish
/// below its own name only.
fn caller(root: &Root, topic: &str) -> Option<ClientId> {
    let below = topic.strip_prefix(&format!("{root}/call/"))?;
    below.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Properties;

    fn root() -> Root {
        Root::new("case-7".parse().unwrap())
    }

    fn good() -> Message {
        let mut message = Message::new(
            "koffer/1/case-7/call/ws-1/ec-terminal/pay",
            Bytes::from_static(b"{}"),
        );
        message.properties = Properties {
            response_topic: Some("koffer/1/case-7/reply/ws-1/till".to_owned()),
            correlation_data: Some(Bytes::from_static(b"7d1f0c7e")),
            message_expiry: Some(180),
            content_type: Some("application/json".to_owned()),
            ..Properties::default()
        };
        message
    }

    #[derive(Debug, PartialEq)]
    enum Verdict {
        Admitted,
        NobodyToTell,
        /// The field, and where it is told.
        Misdirected(String, Vec<String>),
        Refused(Status, String),
    }

    fn check(change: impl FnOnce(&mut Message)) -> Verdict {
        let mut message = good();
        change(&mut message);
        match admit(&root(), 1000, Instant::now(), message, false) {
            Ok(_) => Verdict::Admitted,
            Err(Refusal::Unanswerable(_)) => Verdict::NobodyToTell,
            Err(Refusal::Misdirected { to, failure, .. }) => Verdict::Misdirected(
                failure.detail.field.clone().unwrap(),
                to.iter().map(|l| l.topic.path().to_owned()).collect(),
            ),
            Err(Refusal::Answered(told)) => {
                Verdict::Refused(told.1.status(), told.1.detail.field.clone().unwrap())
            }
        }
    }

    #[test]
    fn a_well_formed_call_is_admitted() {
        assert_eq!(check(|_| ()), Verdict::Admitted);
    }

    #[test]
    fn a_malformed_call_is_refused_with_the_property_that_is_wrong() {
        let refused = |status, field: &str| Verdict::Refused(status, field.to_owned());
        let bad = |field| refused(Status::BadRequest, field);
        assert_eq!(check(|m| m.retain = true), bad("retain"));
        assert_eq!(
            check(|m| m.properties.correlation_data = None),
            bad("correlation-data")
        );
        assert_eq!(
            check(|m| m.properties.correlation_data = Some(vec![7; 65].into())),
            bad("correlation-data")
        );
        assert_eq!(
            check(|m| m.properties.content_type = None),
            bad("content-type")
        );
        assert_eq!(
            check(|m| m.properties.content_type = Some("text/html".into())),
            bad("content-type")
        );
        assert_eq!(
            check(|m| m.properties.message_expiry = None),
            bad("message-expiry-interval")
        );
        assert_eq!(
            check(|m| m.properties.message_expiry = Some(0)),
            refused(Status::Expired, "message-expiry-interval")
        );
        assert_eq!(check(|m| m.payload = vec![0; 1001].into()), bad("payload"));
    }

    #[test]
    fn a_call_that_names_no_place_for_its_answer_is_refused_where_its_caller_looks() {
        let deep = format!("koffer/1/case-7/reply/ws-1{}", "/a".repeat(200));
        for topic in [
            None,
            Some("koffer/1/case-7/reply/ws-2/till"),
            Some("koffer/1/case-7/status"),
            Some(deep.as_str()),
        ] {
            assert_eq!(
                check(|m| m.properties.response_topic = topic.map(str::to_owned)),
                Verdict::Misdirected("response-topic".to_owned(), vec!["refused".to_owned()])
            );
        }
        // MQTT 3.1.1 has no properties at all.
        assert_eq!(
            check(|m| m.properties = Properties::default()),
            Verdict::Misdirected("response-topic".to_owned(), vec!["refused".to_owned()])
        );
    }

    #[test]
    fn a_call_on_a_topic_that_is_no_call_is_refused_there_and_at_its_response_topic() {
        for below in ["EC-Terminal/pay", "ec-terminal/pay/now", "ec-terminal", ""] {
            assert_eq!(
                check(|m| m.topic = format!("koffer/1/case-7/call/ws-1/{below}")),
                Verdict::Misdirected(
                    "topic".to_owned(),
                    vec!["refused".to_owned(), "till".to_owned()]
                ),
                "{below}"
            );
        }
    }

    #[test]
    fn a_message_of_nobody_is_answered_nowhere() {
        for topic in [
            "koffer/1/case-7/status",
            "other",
            "koffer/1/case-7/call/WS/x/y",
        ] {
            assert_eq!(check(|m| m.topic = topic.into()), Verdict::NobodyToTell);
        }
    }
}
