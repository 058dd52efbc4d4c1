//! Translation between the bus and `rumqttc`.

use super::message::{Message, Properties, Qos};
use super::outbox::Rejection;
use super::settings::{Address, Settings};
use super::suspicion::Ending;
use super::{BrokerLimits, Disconnection};
use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, DisconnectReasonCode, Filter, LastWill, LastWillProperties,
    PubAckReason, Publish, PublishProperties, RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{self, QoS};
use rumqttc::v5::{ConnectionError, MqttOptions, StateError};
use rumqttc::{NetworkOptions, Transport};
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Below this `rumqttc` panics.
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// TCP connect and CONNACK together. A local broker answers in milliseconds.
const CONNECT_SECONDS: u64 = 10;

/// Unacknowledged publishes: enough to fill a line, few enough to replay. One more than we use,
/// because `rumqttc` stops reading requests, our acknowledgements among them, at its own limit.
pub(super) const MAX_IN_FLIGHT: u16 = 65;

pub(super) fn keep_alive(settings: &Settings) -> Duration {
    settings.keep_alive.max(SHORTEST_KEEP_ALIVE)
}

pub(super) fn options(settings: &Settings) -> MqttOptions {
    let (host, port, transport) = match &settings.address {
        // rumqttc joins host and port with a colon before it resolves them.
        Address::Tcp { host, port } if host.contains(':') => {
            (format!("[{host}]"), *port, Transport::Tcp)
        }
        Address::Tcp { host, port } => (host.clone(), *port, Transport::Tcp),
        Address::Unix(path) => (path.to_string_lossy().into_owned(), 0, Transport::Unix),
    };
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_SECONDS);
    if let Some(bytes) = settings.send_buffer {
        network.set_tcp_send_buffer_size(bytes);
    }

    let mut connect = ConnectProperties::new();
    connect.session_expiry_interval =
        Some(u32::try_from(settings.session_expiry.as_secs()).unwrap_or(u32::MAX));
    connect.receive_maximum = Some(settings.receive_maximum.max(1));
    connect.max_packet_size = Some(settings.max_packet_size);

    let mut options = MqttOptions::new(&settings.client_id, host, port);
    options
        .set_transport(transport)
        .set_network_options(network)
        .set_connection_timeout(CONNECT_SECONDS)
        .set_keep_alive(keep_alive(settings))
        .set_clean_start(false)
        .set_manual_acks(true)
        .set_credentials(&settings.username, settings.password.reveal())
        .set_connect_properties(connect)
        .set_outgoing_inflight_upper_limit(MAX_IN_FLIGHT);
    if let Some(will) = &settings.will {
        options.set_last_will(last_will(will));
    }
    options
}

fn last_will(will: &Message) -> LastWill {
    let properties = &will.properties;
    LastWill {
        topic: will.topic.clone().into(),
        message: will.payload.clone(),
        qos: qos(will.qos),
        retain: will.retain,
        properties: Some(LastWillProperties {
            delay_interval: None,
            payload_format_indicator: properties.payload_is_utf8.map(u8::from),
            message_expiry_interval: properties.message_expiry,
            content_type: properties.content_type.clone(),
            response_topic: properties.response_topic.clone(),
            correlation_data: properties.correlation_data.clone(),
            user_properties: properties.user.clone(),
        }),
    }
}

pub(super) fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

/// The properties of an outgoing message with `seconds_left` of its expiry.
pub(super) fn properties(message: &Message, seconds_left: Option<u32>) -> PublishProperties {
    let properties = &message.properties;
    PublishProperties {
        payload_format_indicator: properties.payload_is_utf8.map(u8::from),
        message_expiry_interval: seconds_left,
        topic_alias: None,
        response_topic: properties.response_topic.clone(),
        correlation_data: properties.correlation_data.clone(),
        user_properties: properties.user.clone(),
        subscription_identifiers: Vec::new(),
        content_type: properties.content_type.clone(),
    }
}

/// The same PUBLISH once more, as a resumed session demands (MQTT 5, MQTT-3.3.1-1, MQTT-4.4.0-1).
pub(super) fn replay(message: &Message, packet_id: u16, seconds_left: Option<u32>) -> Publish {
    Publish {
        dup: true,
        qos: qos(message.qos),
        retain: message.retain,
        topic: message.topic.clone().into(),
        pkid: packet_id,
        payload: message.payload.clone(),
        properties: Some(properties(message, seconds_left)),
    }
}

/// A received PUBLISH, or why it cannot be one of ours.
pub(super) fn message(publish: Publish) -> Result<Message, &'static str> {
    let qos = match publish.qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => return Err("QoS 2 was not subscribed to"),
    };
    let topic =
        String::from_utf8(publish.topic.to_vec()).map_err(|_| "the topic is not valid UTF-8")?;
    let properties = publish
        .properties
        .map_or_else(Properties::default, |properties| Properties {
            response_topic: properties.response_topic,
            // Its own copy: a slice would keep the whole packet in memory as long as it is needed.
            correlation_data: properties
                .correlation_data
                .map(|data| Bytes::copy_from_slice(&data)),
            message_expiry: properties.message_expiry_interval,
            content_type: properties.content_type,
            user: properties.user_properties,
            payload_is_utf8: properties
                .payload_format_indicator
                .map(|indicator| indicator == 1),
        });
    Ok(Message {
        topic,
        payload: publish.payload,
        qos,
        retain: publish.retain,
        properties,
    })
}

pub(super) fn filters(settings: &Settings) -> Vec<Filter> {
    let retained = if settings.wants_retained {
        RetainForwardRule::OnEverySubscribe
    } else {
        RetainForwardRule::Never
    };
    settings
        .subscriptions
        .iter()
        .map(|subscription| Filter {
            path: subscription.filter.clone(),
            qos: qos(subscription.qos),
            nolocal: true,
            preserve_retain: true,
            retain_forward_rule: retained.clone(),
        })
        .collect()
}

/// The refusal in a SUBACK code, if it is one.
pub(super) fn subscription_refusal(code: SubscribeReasonCode) -> Option<String> {
    match code {
        SubscribeReasonCode::Success(_) => None,
        SubscribeReasonCode::NotAuthorized => Some("not authorised".to_owned()),
        other => Some(format!("{other:?}")),
    }
}

pub(super) fn rejection(reason: PubAckReason) -> Option<Rejection> {
    Some(match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return None,
        PubAckReason::UnspecifiedError => Rejection::Unspecified,
        PubAckReason::ImplementationSpecificError => Rejection::ImplementationSpecific,
        PubAckReason::NotAuthorized => Rejection::NotAuthorised,
        PubAckReason::TopicNameInvalid => Rejection::TopicNameInvalid,
        PubAckReason::PacketIdentifierInUse => Rejection::PacketIdentifierInUse,
        PubAckReason::QuotaExceeded => Rejection::QuotaExceeded,
        PubAckReason::PayloadFormatInvalid => Rejection::PayloadFormatInvalid,
    })
}

pub(super) fn limits(connack: &ConnAck) -> BrokerLimits {
    let properties = connack.properties.as_ref();
    BrokerLimits {
        max_packet_size: properties.and_then(|properties| properties.max_packet_size),
        receive_maximum: properties
            .and_then(|properties| properties.receive_max)
            .unwrap_or(u16::MAX)
            .max(1),
        retain_available: properties
            .and_then(|properties| properties.retain_available)
            .is_none_or(|available| available != 0),
        qos1_available: properties
            .and_then(|properties| properties.max_qos)
            .is_none_or(|qos| qos > 0),
    }
}

/// What the end of a connection says of the messages that were on their way.
pub(super) fn ending(error: &ConnectionError) -> Ending {
    use DisconnectReasonCode as Code;
    let hung_up = |error: &io::Error| match error.kind() {
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Ending::HungUp,
        _ => Ending::Elsewise,
    };
    let ConnectionError::MqttState(error) = error else {
        return Ending::Elsewise;
    };
    match error {
        StateError::ServerDisconnect { reason_code, .. } => match reason_code {
            Code::MalformedPacket
            | Code::ProtocolError
            | Code::TopicNameInvalid
            | Code::TopicAliasInvalid
            | Code::PacketTooLarge
            | Code::PayloadFormatInvalid
            | Code::RetainNotSupported
            | Code::QoSNotSupported => Ending::Refused,
            Code::UnspecifiedError
            | Code::ImplementationSpecificError
            | Code::NotAuthorized
            | Code::QuotaExceeded => Ending::HungUp,
            _ => Ending::Elsewise,
        },
        // mosquitto acknowledges what is beyond its `message_size_limit` with 0x95, which is no
        // reason code of a PUBACK; `rumqttc` gives up the connection over such a one.
        StateError::Deserialization(mqttbytes::Error::InvalidConnectReturnCode(_))
        | StateError::OutgoingPacketTooLarge { .. } => Ending::Refused,
        // mosquitto's DISCONNECT has no property length, and `rumqttc` does not see such a one.
        StateError::ConnectionAborted => Ending::HungUp,
        StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => {
            hung_up(error)
        }
        _ => Ending::Elsewise,
    }
}

/// Why there is no connection; `connecting`: it never came as far as CONNACK.
pub(super) fn disconnection(
    error: ConnectionError,
    connecting: bool,
    settings: &Settings,
) -> Disconnection {
    let address = settings.address.clone();
    let error = match error {
        ConnectionError::Io(error) => {
            let error = error.to_string();
            return Disconnection::Unreachable { address, error };
        }
        ConnectionError::Timeout(_) => {
            let error = format!("no answer within {CONNECT_SECONDS} s");
            return Disconnection::Unreachable { address, error };
        }
        ConnectionError::ConnectionRefused(code) => {
            return Disconnection::Refused {
                address,
                username: settings.username.clone(),
                reason: format!("{code:?}"),
            };
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            let reason = match reason_code {
                DisconnectReasonCode::SessionTakenOver => {
                    format!("another client connected as {}", settings.client_id)
                }
                other => format!("{other:?} (0x{:02x})", other as u8),
            };
            return Disconnection::ClosedByBroker { address, reason };
        }
        ConnectionError::MqttState(StateError::AwaitPingResp | StateError::CollisionTimeout) => {
            return Disconnection::Silent { address };
        }
        ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
        ) => match error.kind() {
            // `tokio_util`'s words for a packet that is cut off: "bytes remaining on stream".
            ErrorKind::Other => "what came is no MQTT 5 packet".to_owned(),
            _ => error.to_string(),
        },
        ConnectionError::MqttState(StateError::ConnectionAborted) => "it was closed".to_owned(),
        ConnectionError::MqttState(StateError::Deserialization(error)) => {
            format!("what came is no MQTT 5 packet ({error})")
        }
        // Debug output of a packet would show its payload.
        ConnectionError::NotConnAck(_) => "the answer to CONNECT was no CONNACK".to_owned(),
        other => other.to_string(),
    };
    if connecting {
        Disconnection::NotMqtt { address, error }
    } else {
        Disconnection::Broken { address, error }
    }
}
