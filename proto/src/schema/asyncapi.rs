//! The AsyncAPI 3.0 document: topics as channels, what kofferd sends and receives as operations,
//! one call and one reply message per operation of the contract.
//!
//! AsyncAPI's own schemas are of draft 7, so this document carries its schemas in that draft;
//! `x-koffer-schema` names the URN of the same schema in 2020-12.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    accepted, completion,
    envelope::{self, DESCRIPTION, EVENT, EnvelopeSpec, HEALTH, PROGRESS, STATE, STATUS},
    make_plain,
    message_properties::{self, mqtt, parameter},
    operations, sent,
    topics::{Templates, parameters},
};
use crate::{ContentType, Lang, OperationDescription, OperationSpec, VERSION};

const INTRODUCTION: &str = "The gateway (kofferd) exposes the peripherals of a mobile town hall \
    over MQTT 5, safely: nothing that matters happens twice, and every answer says whether the \
    effect happened. Call ids, deadlines and effects are explained in docs/contract.md. The \
    operations below are told from the gateway's side: it receives calls and sends everything \
    else. Calls and their answers may be CBOR (application/cbor) instead of JSON: the same \
    fields, with bytes as byte strings.";

/// The AsyncAPI 3.0 document of the whole contract.
pub fn asyncapi() -> Value {
    let mut document = Document {
        calls: accepted(settings()),
        answers: sent(settings()),
        schemas: Map::new(),
        messages: Map::new(),
        call_messages: Map::new(),
        reply_messages: Map::new(),
        operations: Map::new(),
    };
    for spec in operations() {
        document.add(spec);
    }
    document.finish()
}

fn settings() -> SchemaSettings {
    let mut settings = SchemaSettings::draft07();
    settings.meta_schema = None;
    settings
}

/// The document while it grows.
struct Document {
    calls: SchemaGenerator,
    answers: SchemaGenerator,
    schemas: Map<String, Value>,
    messages: Map<String, Value>,
    call_messages: Map<String, Value>,
    reply_messages: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Document {
    /// Adds one operation: its schemas, its call and its reply, and how one answers the other.
    fn add(&mut self, spec: &OperationSpec) {
        let name = format!("{}.{}", spec.class, spec.name);
        let about = OperationDescription::from(spec);

        let params = (spec.params)(&mut self.calls);
        self.schema(&format!("{name}.params"), CALLS, params, &spec.params_urn());
        let result = (spec.result)(&mut self.answers);
        self.schema(
            &format!("{name}.result"),
            ANSWERS,
            result,
            &spec.result_urn(),
        );

        let call = json!({
            "name": format!("{name}.call"),
            "title": format!("Call of {}/{}", spec.class, spec.name),
            "summary": spec.summary,
            "traits": [reference("messageTraits/call")],
            "payload": reference(&format!("schemas/{name}.params")),
        });
        self.messages.insert(format!("{name}.call"), call);
        self.call_messages
            .insert(name.clone(), reference(&format!("messages/{name}.call")));

        let result = Schema::try_from(reference(&format!("schemas/{name}.result")))
            .unwrap_or_else(|e| unreachable!("a reference is an object: {e}"));
        let mut done = completion::done(&mut self.answers, &result);
        make_plain(&mut done);
        let reply = json!({
            "name": format!("{name}.reply"),
            "title": format!("Completion of {}/{}", spec.class, spec.name),
            "summary": "Exactly one for every call.",
            "traits": [reference("messageTraits/reply")],
            "payload": {
                "oneOf": [moved(done.to_value(), ANSWERS), reference("schemas/failure")],
            },
        });
        self.messages.insert(format!("{name}.reply"), reply);
        self.reply_messages
            .insert(name.clone(), reference(&format!("messages/{name}.reply")));

        let operation = json!({
            "action": "receive",
            "title": format!("{}/{}", spec.class, spec.name),
            "summary": spec.summary,
            "channel": channel("call"),
            "messages": [channel(&format!("call/messages/{name}"))],
            "reply": {
                "address": {
                    "location": "$message.header#/responseTopic",
                    "description": "MQTT's Response Topic of the call.",
                },
                "channel": channel("reply"),
                "messages": [channel(&format!("reply/messages/{name}"))],
            },
            "bindings": mqtt(&json!({
                "qos": 1,
                "retain": false,
                "messageExpiryInterval": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "Seconds; the deadline, and required. More than the \
                                    operation's own maximum counts as that.",
                },
            })),
            "x-koffer-effect": about.effect,
            "x-koffer-max-duration-ms": about.max_duration_ms,
            "x-koffer-confidential": about.confidential,
            "x-koffer-reply-qos": i32::from(!about.confidential),
        });
        self.operations.insert(name, operation);
    }

    /// Adds what the gateway sends of its own accord.
    fn send(&mut self, spec: &EnvelopeSpec, retain: bool) {
        let schema = (spec.generate)(&mut self.answers);
        self.schema(spec.name, ANSWERS, schema, &spec.urn());
        let message = json!({
            "name": spec.name,
            "title": spec.title,
            "summary": spec.description,
            "contentType": ContentType::Json.as_str(),
            "payload": reference(&format!("schemas/{}", spec.name)),
        });
        self.messages.insert(spec.name.to_owned(), message);
        let operation = json!({
            "action": "send",
            "title": spec.title,
            "summary": spec.description,
            "channel": channel(spec.name),
            "messages": [channel(&format!("{0}/messages/{0}", spec.name))],
            "bindings": mqtt(&json!({ "qos": 1, "retain": retain })),
        });
        self.operations.insert(spec.name.to_owned(), operation);
    }

    fn schema(&mut self, name: &str, namespace: &str, schema: Schema, urn: &str) {
        let mut schema = moved(schema.to_value(), namespace);
        schema["x-koffer-schema"] = json!(urn);
        self.schemas.insert(name.to_owned(), schema);
    }

    fn finish(mut self) -> Value {
        let templates = Templates::new();
        for spec in [STATUS, HEALTH, DESCRIPTION, STATE] {
            self.send(&spec, true);
        }
        for spec in [EVENT, PROGRESS] {
            self.send(&spec, false);
        }
        let mut failure = completion::failure(&mut self.answers);
        make_plain(&mut failure);
        self.schema("failure", ANSWERS, failure, &envelope::COMPLETION.urn());
        let lang = self.calls.subschema_for::<Lang>().to_value();
        let traits = message_properties::traits(&moved(lang, CALLS));
        for (namespace, generator) in [(CALLS, &mut self.calls), (ANSWERS, &mut self.answers)] {
            for (name, schema) in generator.take_definitions(true) {
                self.schemas
                    .insert(format!("{namespace}.{name}"), moved(schema, namespace));
            }
        }

        let own = |name: &str| {
            Map::from_iter([(name.to_owned(), reference(&format!("messages/{name}")))])
        };
        let mut channels = Map::new();
        for (spec, address) in [
            (STATUS, &templates.status),
            (HEALTH, &templates.health),
            (DESCRIPTION, &templates.description),
            (STATE, &templates.state),
            (EVENT, &templates.event),
            (PROGRESS, &templates.progress),
        ] {
            let entry = topic(address, spec.description, &own(spec.name));
            channels.insert(spec.name.to_owned(), entry);
        }
        let about_calls = "A call. The broker lets a client publish only under its own name.";
        channels.insert(
            "call".to_owned(),
            topic(&templates.call, about_calls, &self.call_messages),
        );
        // A channel whose address comes with each message states none of its own.
        let about_replies = format!(
            "Replies to one client, readable by that client alone: a response topic under {}.",
            templates.reply
        );
        channels.insert(
            "reply".to_owned(),
            json!({
                "address": null,
                "description": about_replies,
                "messages": self.reply_messages,
            }),
        );

        json!({
            "asyncapi": "3.0.0",
            "id": format!("urn:koffer:{VERSION}"),
            "info": {
                "title": "koffer",
                "version": format!("{VERSION}.0.0"),
                "description": INTRODUCTION,
                "license": {
                    "name": "Apache-2.0",
                    "url": "https://www.apache.org/licenses/LICENSE-2.0",
                },
            },
            "defaultContentType": ContentType::Json.as_str(),
            "channels": channels,
            "operations": self.operations,
            "components": {
                "schemas": self.schemas,
                "messages": self.messages,
                "messageTraits": traits,
            },
        })
    }
}

/// The namespaces of nested types: what is optional in a call may be certain in an answer.
const CALLS: &str = "call";
const ANSWERS: &str = "answer";

/// `schema` with its nested types taken out, and found among the components of `namespace`.
fn moved(mut schema: Value, namespace: &str) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.remove("definitions");
        object.remove("$schema");
    }
    redirect(&mut schema, namespace);
    schema
}

fn redirect(schema: &mut Value, namespace: &str) {
    match schema {
        Value::Object(object) => {
            for (keyword, value) in object {
                match value {
                    Value::String(target) if keyword == "$ref" => {
                        if let Some(name) = target.strip_prefix("#/definitions/") {
                            *target = format!("#/components/schemas/{namespace}.{name}");
                        }
                    }
                    _ => redirect(value, namespace),
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|e| redirect(e, namespace)),
        _ => {}
    }
}

fn reference(component: &str) -> Value {
    json!({ "$ref": format!("#/components/{component}") })
}

fn channel(path: &str) -> Value {
    json!({ "$ref": format!("#/channels/{path}") })
}

fn topic(address: &str, description: &str, messages: &Map<String, Value>) -> Value {
    let parameters: Map<_, _> = parameters(address)
        .map(|name| (name.to_owned(), parameter(name)))
        .collect();
    json!({
        "address": address,
        "description": description,
        "messages": messages,
        "parameters": parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_received_and_answered() {
        let document = asyncapi();
        for spec in operations() {
            let name = format!("{}.{}", spec.class, spec.name);
            let operation = &document["operations"][&name];
            assert_eq!(operation["action"], "receive", "{name}");
            assert!(document["components"]["messages"][format!("{name}.reply")].is_object());
            assert!(document["components"]["schemas"][format!("{name}.params")].is_object());
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(target)) = object.get("$ref") {
                        found.push(target.clone());
                    }
                    object.values().for_each(|v| references(v, found));
                }
                Value::Array(entries) => entries.iter().for_each(|v| references(v, found)),
                _ => {}
            }
        }
        let document = asyncapi();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }
}
