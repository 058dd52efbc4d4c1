//! Topics: built and parsed here and nowhere else.

use std::fmt;

use crate::{ClientId, DeviceId, GatewayId, NameError, Segment, VERSION};

/// The root of one gateway's topics: `koffer/1/<gateway>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Root {
    gateway: GatewayId,
    text: String,
}

/// Every topic below a [`Root`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Whether the gateway is online; retained, and its will.
    Status,
    /// The gateway's vital signs; retained.
    Health,
    /// What a device is; retained.
    Device(DeviceId),
    /// How a device is; retained.
    State(DeviceId),
    /// Something that happened at a device.
    Event {
        /// Where it happened.
        device: DeviceId,
        /// What happened, a keyword.
        kind: Segment,
    },
    /// A call of a client.
    Call {
        /// Who calls; the broker vouches for it.
        client: ClientId,
        /// A device or a role.
        target: Segment,
        /// The operation's name.
        operation: Segment,
    },
    /// A reply to a client.
    Reply(ReplyTopic),
}

/// A topic under `<root>/reply/<client>/`, the only kind the gateway ever answers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplyTopic {
    client: ClientId,
    path: String,
    text: String,
}

/// Why a text is no topic of this gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It does not start with the gateway's root.
    #[error("the topic is not under {root}")]
    OtherRoot {
        /// The root it should be under.
        root: String,
    },
    /// It starts right and then leads nowhere.
    #[error("the contract has no such topic")]
    NoSuchTopic,
    /// A segment is not a valid name.
    #[error("segment {segment:?} of the topic: {reason}")]
    Segment {
        /// The segment.
        segment: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// It is under `reply`, but not a valid response topic.
    #[error(transparent)]
    Reply(#[from] ReplyTopicError),
}

/// Why a response topic is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyTopicError {
    /// It leads outside the caller's own replies.
    #[error("the response topic must be under {expected}")]
    Outside {
        /// The prefix it must have.
        expected: String,
    },
    /// Nothing, or an empty level, follows the prefix.
    #[error("the response topic has an empty level")]
    Empty,
    /// It contains `+`, `#` or a control character.
    #[error("the response topic must not contain wildcards or control characters")]
    Character,
    /// MQTT could not carry it with `/progress` behind it.
    #[error("the response topic is longer than {} bytes", ReplyTopic::MAX_LEN)]
    TooLong,
    /// A broker could not carry it: mosquitto hangs up on whoever publishes to such a topic.
    #[error("the response topic has more than {} levels", ReplyTopic::MAX_LEVELS)]
    TooDeep,
}

impl Root {
    /// The root of `gateway`'s topics.
    pub fn new(gateway: GatewayId) -> Self {
        let text = format!("koffer/{VERSION}/{gateway}");
        Self { gateway, text }
    }

    /// The gateway these topics belong to.
    pub fn gateway(&self) -> &GatewayId {
        &self.gateway
    }

    /// The root as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The filter of every call of every client.
    pub fn calls(&self) -> String {
        format!("{}/call/#", self.text)
    }

    /// The filter of every call of `client`.
    pub fn calls_of(&self, client: &ClientId) -> String {
        format!("{}/call/{client}/#", self.text)
    }

    /// The filter of every reply to `client`.
    pub fn replies_to(&self, client: &ClientId) -> String {
        format!("{}/reply/{client}/#", self.text)
    }

    /// The filter of everything devices publish.
    pub fn devices(&self) -> String {
        format!("{}/dev/#", self.text)
    }

    /// The text of `topic`.
    pub fn topic(&self, topic: &Topic) -> String {
        let root = &self.text;
        match topic {
            Topic::Status => format!("{root}/status"),
            Topic::Health => format!("{root}/health"),
            Topic::Device(device) => format!("{root}/dev/{device}"),
            Topic::State(device) => format!("{root}/dev/{device}/state"),
            Topic::Event { device, kind } => format!("{root}/dev/{device}/event/{kind}"),
            Topic::Call {
                client,
                target,
                operation,
            } => {
                format!("{root}/call/{client}/{target}/{operation}")
            }
            Topic::Reply(reply) => reply.text.clone(),
        }
    }

    /// The topic that `text` names.
    pub fn parse(&self, text: &str) -> Result<Topic, TopicError> {
        let rest = text
            .strip_prefix(&self.text)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| TopicError::OtherRoot {
                root: self.text.clone(),
            })?;
        let mut levels = rest.splitn(5, '/');
        let head = (
            levels.next(),
            levels.next(),
            levels.next(),
            levels.next(),
            levels.next(),
        );
        Ok(match head {
            (Some("status"), None, ..) => Topic::Status,
            (Some("health"), None, ..) => Topic::Health,
            (Some("dev"), Some(device), None, ..) => Topic::Device(segment(device)?.into()),
            (Some("dev"), Some(device), Some("state"), None, _) => {
                Topic::State(segment(device)?.into())
            }
            (Some("dev"), Some(device), Some("event"), Some(kind), None) => Topic::Event {
                device: segment(device)?.into(),
                kind: segment(kind)?,
            },
            (Some("call"), Some(client), Some(target), Some(operation), None) => Topic::Call {
                client: segment(client)?.into(),
                target: segment(target)?,
                operation: segment(operation)?,
            },
            (Some("reply"), Some(client), Some(_), ..) => {
                Topic::Reply(ReplyTopic::parse(self, &segment(client)?.into(), text)?)
            }
            _ => return Err(TopicError::NoSuchTopic),
        })
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn segment(text: &str) -> Result<Segment, TopicError> {
    text.parse().map_err(|reason| TopicError::Segment {
        segment: text.chars().take(80).collect(),
        reason,
    })
}

/// MQTT 5, chapter 1.5.4: a broker may close the connection over one of these, and mosquitto does.
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    matches!(code, 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
}

impl ReplyTopic {
    const PROGRESS: &str = "/progress";
    /// The longest response topic in bytes: MQTT's 65,535 less the room for `/progress`.
    pub const MAX_LEN: usize = 65_535 - Self::PROGRESS.len();

    /// The most levels of a response topic. mosquitto carries 201, `/progress` among them.
    pub const MAX_LEVELS: usize = 128;
    const REFUSED: &str = "refused";

    /// Where `client` is told of calls that name no response topic of its own.
    pub fn refused(root: &Root, client: &ClientId) -> Self {
        Self {
            client: client.clone(),
            path: Self::REFUSED.to_owned(),
            text: format!("{root}/reply/{client}/{}", Self::REFUSED),
        }
    }

    /// Checks that `text` is a response topic of `client` below `root`.
    pub fn parse(root: &Root, client: &ClientId, text: &str) -> Result<Self, ReplyTopicError> {
        let prefix = format!("{root}/reply/{client}/");
        let Some(path) = text.strip_prefix(&prefix) else {
            return Err(ReplyTopicError::Outside { expected: prefix });
        };
        if path.split('/').any(str::is_empty) {
            return Err(ReplyTopicError::Empty);
        }
        if path
            .chars()
            .any(|c| matches!(c, '+' | '#') || c.is_control() || is_noncharacter(c))
        {
            return Err(ReplyTopicError::Character);
        }
        if text.len() > Self::MAX_LEN {
            return Err(ReplyTopicError::TooLong);
        }
        if text.split('/').count() > Self::MAX_LEVELS {
            return Err(ReplyTopicError::TooDeep);
        }
        Ok(Self {
            client: client.clone(),
            path: path.to_owned(),
            text: text.to_owned(),
        })
    }

    /// Whose replies these are.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// What follows `<root>/reply/<client>/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole topic: where the completion goes.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where interim messages go.
    pub fn progress(&self) -> String {
        format!("{}{}", self.text, Self::PROGRESS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn root() -> Root {
        Root::new("case-7".parse().unwrap())
    }

    fn name() -> impl Strategy<Value = Segment> {
        "[a-z0-9][a-z0-9-]{0,63}".prop_map(|name| name.parse().unwrap())
    }

    fn topic() -> impl Strategy<Value = Topic> {
        prop_oneof![
            Just(Topic::Status),
            Just(Topic::Health),
            name().prop_map(|device| Topic::Device(device.into())),
            name().prop_map(|device| Topic::State(device.into())),
            (name(), name()).prop_map(|(device, kind)| Topic::Event {
                device: device.into(),
                kind
            }),
            (name(), name(), name()).prop_map(|(client, target, operation)| Topic::Call {
                client: client.into(),
                target,
                operation
            }),
            (name(), "[^+#/\\p{Cc}]{1,20}(/[^+#/\\p{Cc}]{1,20}){0,3}").prop_map(
                |(client, path)| {
                    let text = format!("koffer/1/case-7/reply/{client}/{path}");
                    Topic::Reply(ReplyTopic::parse(&root(), &client.into(), &text).unwrap())
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn every_topic_round_trips(topic in topic()) {
            let text = root().topic(&topic);
            prop_assert_eq!(root().parse(&text), Ok(topic));
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC*") {
            let _ = root().parse(&text);
            let _ = root().parse(&format!("koffer/1/case-7/{text}"));
        }

        #[test]
        fn what_parses_is_built_again_to_the_letter(
            text in "koffer/1/case-7/(status|dev|call|reply)(/[a-z0-9+#]{0,3}){0,5}"
        ) {
            if let Ok(topic) = root().parse(&text) {
                prop_assert_eq!(root().topic(&topic), text);
            }
        }

        #[test]
        fn a_response_topic_never_leaves_its_client(path in "\\PC{0,30}") {
            let (own, other) = ("ws-1".parse().unwrap(), "ws-2".parse().unwrap());
            let text = format!("koffer/1/case-7/reply/ws-2/{path}");
            prop_assert!(ReplyTopic::parse(&root(), &own, &text).is_err());
            if let Ok(topic) = ReplyTopic::parse(&root(), &other, &text) {
                prop_assert!(topic.as_str().starts_with("koffer/1/case-7/reply/ws-2/"));
            }
        }
    }

    #[test]
    fn a_response_topic_outside_ones_own_is_refused() {
        let ws1: ClientId = "ws-1".parse().unwrap();
        for (text, accepted) in [
            ("koffer/1/case-7/reply/ws-1/till", true),
            ("koffer/1/case-7/reply/ws-1/till/3", true),
            ("koffer/1/case-7/reply/ws-1/", false),
            ("koffer/1/case-7/reply/ws-1", false),
            ("koffer/1/case-7/reply/ws-1//a", false),
            ("koffer/1/case-7/reply/ws-1/+", false),
            ("koffer/1/case-7/reply/ws-1/#", false),
            ("koffer/1/case-7/reply/ws-10/till", false),
            ("koffer/1/case-7/reply/ws-2/till", false),
            ("koffer/1/case-7/status", false),
            ("koffer/1/case-8/reply/ws-1/till", false),
            ("", false),
        ] {
            assert_eq!(
                ReplyTopic::parse(&root(), &ws1, text).is_ok(),
                accepted,
                "{text}"
            );
        }
    }

    #[test]
    fn a_response_topic_that_a_broker_hangs_up_over_is_refused() {
        let ws1: ClientId = "ws-1".parse().unwrap();
        let deep = |levels: usize| format!("koffer/1/case-7/reply/ws-1{}", "/a".repeat(levels));
        let parse = |text: &str| ReplyTopic::parse(&root(), &ws1, text);
        assert!(parse(&deep(ReplyTopic::MAX_LEVELS - 5)).is_ok());
        for levels in [ReplyTopic::MAX_LEVELS - 4, 196, 30_000] {
            assert_eq!(parse(&deep(levels)), Err(ReplyTopicError::TooDeep));
        }
        for character in [
            '\u{fdd0}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{1fffe}',
            '\u{10ffff}',
            '\u{80}',
        ] {
            let text = format!("koffer/1/case-7/reply/ws-1/a{character}");
            assert_eq!(parse(&text), Err(ReplyTopicError::Character), "{text:?}");
        }
    }
}
