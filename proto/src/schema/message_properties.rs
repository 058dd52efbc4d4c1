//! What stands around a payload in AsyncAPI's words: MQTT's properties, its bindings, and the
//! parameters of topics.

use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::operations;
use crate::{CallId, ContentType, EventKind, ReplyTopic};

/// MQTT's bindings, as AsyncAPI versions them.
const BINDING_VERSION: &str = "0.2.0";

/// What every call and every reply has around its payload.
pub(super) fn traits(lang: &Value) -> Value {
    let correlation = json!({
        "type": "string",
        "minLength": 1,
        "maxLength": CallId::MAX_LEN,
        "description": "MQTT's Correlation Data, binary: the call id, unique per client, also \
                        the idempotency key.",
    });
    let response_topic = json!({
        "type": "string",
        "maxLength": ReplyTopic::MAX_LEN,
        "description": "MQTT's Response Topic, under the client's own replies.",
    });

    let content_types = ContentType::ALL.map(ContentType::as_str);
    let correlation_id = json!({
        "location": "$message.header#/correlationData",
        "description": "The call id.",
    });
    json!({
        "call": {
            "contentType": ContentType::Json.as_str(),
            "correlationId": correlation_id,
            "headers": {
                "type": "object",
                "description": "responseTopic and correlationData are MQTT 5's own \
                                properties, the others are user properties.",
                "properties": {
                    "responseTopic": response_topic,
                    "correlationData": correlation,
                    "claim": {
                        "type": "string",
                        "description": "The token of the claim the caller holds.",
                    },
                    "lang": {
                        "allOf": [lang],
                        "description": "The language of the sentences in the answers.",
                    },
                },
                "required": ["responseTopic", "correlationData"],
            },
            "bindings": mqtt(&json!({
                "correlationData": correlation,
                "responseTopic": response_topic,
                "contentType": ContentType::Json.as_str(),
            })),
            "x-koffer-content-types": content_types,
        },
        "reply": {
            "contentType": ContentType::Json.as_str(),
            "correlationId": correlation_id,
            "headers": {
                "type": "object",
                "properties": { "correlationData": correlation },
                "required": ["correlationData"],
            },
            "bindings": mqtt(&json!({
                "correlationData": correlation,
                "contentType": ContentType::Json.as_str(),
            })),
            "x-koffer-content-types": content_types,
        },
    })
}

/// `binding` as MQTT's, in its version.
pub(super) fn mqtt(binding: &Value) -> Value {
    let mut binding = binding.clone();
    binding["bindingVersion"] = json!(BINDING_VERSION);
    json!({ "mqtt": binding })
}

/// What is said of a topic's parameter.
pub(super) fn parameter(name: &str) -> Value {
    match name {
        "gateway" => json!({ "description": "The gateway's name, one topic segment." }),
        "client" => json!({ "description": "The caller's name; the broker vouches for it." }),
        "device" => json!({
            "description": "A device, a role, or `gateway` for the gateway itself.",
        }),
        "operation" => {
            let mut names: Vec<_> = operations().map(|spec| spec.name).collect();
            names.sort_unstable();
            names.dedup();
            json!({ "description": "An operation of the device's class.", "enum": names })
        }
        "type" => json!({ "description": "What happened.", "enum": event_kinds() }),
        "path" => json!({
            "description": "What the client chose, one level or several, without wildcards.",
        }),
        _ => json!({}),
    }
}

/// The keywords of events, from their schema.
fn event_kinds() -> Vec<Value> {
    let schema = SchemaGenerator::default().into_root_schema_for::<EventKind>();
    schema
        .get("enum")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_s_topic_has_its_keyword() {
        assert!(event_kinds().contains(&json!(EventKind::CardInserted.segment())));
    }
}
