//! What travels over the bus, free of any client library's types.

use bytes::Bytes;
use std::time::Duration;

/// Longest UTF-8 string or binary field of MQTT 5 (chapter 1.5.4, 1.5.6): its length has two bytes.
const LONGEST_FIELD: usize = 65_535;

/// Bytes of a topic that a log line shows.
const LOGGED: usize = 200;

/// Quality of service. QoS 2 is not offered: the contract's call id makes QoS 1 idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0: handed to the transport once, never sent again. For answers that must not be stored.
    AtMostOnce,
    /// QoS 1: kept in the outbox until the broker acknowledges it; may arrive twice.
    AtLeastOnce,
}

/// One MQTT PUBLISH, outgoing or incoming.
///
/// `Debug` shows sizes, never the payload, the correlation data or user properties.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic name, no wildcards.
    pub topic: String,
    /// Application message.
    pub payload: Bytes,
    /// Quality of service asked for (outgoing) or delivered with (incoming).
    pub qos: Qos,
    /// Retain flag; on incoming messages as the publisher set it (Retain As Published).
    pub retain: bool,
    /// MQTT 5 properties.
    pub properties: Properties,
}

/// The PUBLISH properties (MQTT 5, chapter 3.3.2.3) that the contract uses.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Where the answer shall go.
    pub response_topic: Option<String>,
    /// The call id.
    pub correlation_data: Option<Bytes>,
    /// Whole seconds the message is worth delivering. On the wire the time spent in the outbox is taken off.
    pub message_expiry: Option<u32>,
    /// MIME type of the payload.
    pub content_type: Option<String>,
    /// Name and value pairs, in order, names may repeat.
    pub user: Vec<(String, String)>,
    /// Payload Format Indicator: `Some(true)` promises UTF-8 text.
    pub payload_is_utf8: Option<bool>,
}

/// Why a message can never be sent, whatever the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Empty, with wildcards or NUL, or longer than 65 535 bytes.
    #[error("the topic is empty, too long, or contains '+', '#' or NUL")]
    Topic,
    /// As `Topic`, for the response topic.
    #[error("the response topic is empty, too long, or contains '+', '#' or NUL")]
    ResponseTopic,
    /// A property longer than 65 535 bytes or with NUL in it.
    #[error("a property is longer than 65535 bytes or contains NUL")]
    Property,
}

impl Message {
    /// A QoS 1 message without properties.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            properties: Properties::default(),
        }
    }

    /// The same message, retained by the broker.
    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The same message with another quality of service.
    pub fn with_qos(mut self, qos: Qos) -> Self {
        self.qos = qos;
        self
    }

    /// Checks what the wire cannot carry. The client library would cut lengths silently, and the
    /// broker would drop the connection over the result, again and again.
    pub(super) fn check(&self) -> Result<(), Malformed> {
        if !is_topic_name(&self.topic) {
            return Err(Malformed::Topic);
        }
        let properties = &self.properties;
        if properties
            .response_topic
            .as_deref()
            .is_some_and(|topic| !is_topic_name(topic))
        {
            return Err(Malformed::ResponseTopic);
        }
        let strings = properties.content_type.iter().chain(
            properties
                .user
                .iter()
                .flat_map(|(name, value)| [name, value]),
        );
        let strings_fit = strings
            .into_iter()
            .all(|text| text.len() <= LONGEST_FIELD && !text.contains('\0'));
        let data_fits = properties
            .correlation_data
            .as_ref()
            .is_none_or(|data| data.len() <= LONGEST_FIELD);
        if strings_fit && data_fits {
            Ok(())
        } else {
            Err(Malformed::Property)
        }
    }

    /// An upper bound, in bytes, of the PUBLISH packet (MQTT 5, chapter 3.3), at most nine too many.
    pub(super) fn packet_size(&self) -> usize {
        // Fixed header 1 + 4, topic length 2, packet identifier 2, property length 4.
        const FRAME: usize = 13;
        let properties = &self.properties;
        let optional = |length: Option<usize>| length.map_or(0, |length| 3 + length);
        FRAME
            + self.topic.len()
            + self.payload.len()
            + optional(properties.response_topic.as_ref().map(String::len))
            + optional(properties.correlation_data.as_ref().map(Bytes::len))
            + optional(properties.content_type.as_ref().map(String::len))
            + properties.message_expiry.map_or(0, |_| 5)
            + properties.payload_is_utf8.map_or(0, |_| 2)
            + properties
                .user
                .iter()
                .map(|(name, value)| 5 + name.len() + value.len())
                .sum::<usize>()
    }

    /// The topic as a log line shows it: of a call's answer a client chose most of it.
    pub(super) fn short_topic(&self) -> &str {
        let end = self.topic.floor_char_boundary(LOGGED);
        self.topic.get(..end).unwrap_or_default()
    }

    /// How long the message may wait.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.properties
            .message_expiry
            .map(|seconds| Duration::from_secs(u64::from(seconds)))
    }
}

/// MQTT 5, chapter 4.7.3.
fn is_topic_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= LONGEST_FIELD && !topic.contains(['+', '#', '\0'])
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("bytes", &self.payload.len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .finish()
    }
}

impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Properties")
            .field("response_topic", &self.response_topic)
            .field(
                "correlation_bytes",
                &self.correlation_data.as_ref().map(Bytes::len),
            )
            .field("message_expiry", &self.message_expiry)
            .field("content_type", &self.content_type)
            .field("user", &self.user.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_wire_cannot_carry_is_refused_before_it_is_queued() {
        let good = || Message::new("a/b", "x");
        assert_eq!(good().check(), Ok(()));
        for topic in ["", "a/+", "#", "a\0b"] {
            assert_eq!(
                Message::new(topic, "x").check(),
                Err(Malformed::Topic),
                "{topic:?}"
            );
        }
        assert_eq!(
            Message::new("x".repeat(65_536), "x").check(),
            Err(Malformed::Topic)
        );

        let mut message = good();
        message.properties.response_topic = Some("a/#".into());
        assert_eq!(message.check(), Err(Malformed::ResponseTopic));

        let mut message = good();
        message.properties.correlation_data = Some(vec![0; 65_536].into());
        assert_eq!(message.check(), Err(Malformed::Property));

        let mut message = good();
        message.properties.user = vec![("k".into(), "v".repeat(65_536))];
        assert_eq!(message.check(), Err(Malformed::Property));
    }

    #[test]
    fn debug_output_never_shows_content() {
        let mut message = Message::new("a", "secret payload");
        message.properties.correlation_data = Some("secret id".into());
        message.properties.user = vec![("claim".into(), "secret token".into())];
        assert!(!format!("{message:?}").contains("secret"));
    }
}
