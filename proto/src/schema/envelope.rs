//! The schemas of everything that is no operation's own: completion, progress, and what the
//! gateway publishes of itself and its devices.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::sent;
use crate::{
    Completion, Description, DeviceEvent, GatewayStatus, Health, Progress, StateDocument, VERSION,
};

/// One kind of message, and its JSON Schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Its name, e.g. `completion`.
    pub name: &'static str,
    /// Its JSON Schema.
    pub schema: Value,
}

/// A kind of message and how its schema comes about.
pub(super) struct EnvelopeSpec {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) generate: fn(&mut SchemaGenerator) -> schemars::Schema,
}

const fn spec<T: JsonSchema>(
    name: &'static str,
    title: &'static str,
    description: &'static str,
) -> EnvelopeSpec {
    EnvelopeSpec {
        name,
        title,
        description,
        generate: SchemaGenerator::root_schema_for::<T>,
    }
}

pub(super) const COMPLETION: EnvelopeSpec = spec::<Completion<Value>>(
    "completion",
    "Completion",
    "The one answer that ends every accepted call: what came of it and of its effect. Goes to \
     the call's response topic.",
);
pub(super) const PROGRESS: EnvelopeSpec = spec::<Progress>(
    "progress",
    "Progress",
    "An interim message of a running call, on `<response topic>/progress`; with QoS 0 where it \
     carries biometric or document content. Readers pass over events they do not know.",
);
pub(super) const STATUS: EnvelopeSpec = spec::<GatewayStatus>(
    "status",
    "Gateway status",
    "Whether the gateway is there. Retained, JSON, and its will.",
);
pub(super) const HEALTH: EnvelopeSpec = spec::<Health>(
    "health",
    "Gateway health",
    "The gateway's vital signs, every 30 s and on change. Retained, JSON.",
);
pub(super) const DESCRIPTION: EnvelopeSpec = spec::<Description>(
    "description",
    "Device description",
    "What a device is and what it can do. Retained, JSON.",
);
pub(super) const STATE: EnvelopeSpec = spec::<StateDocument>(
    "state",
    "Device state",
    "How a device is, since when and why. Retained, JSON.",
);
pub(super) const EVENT: EnvelopeSpec = spec::<DeviceEvent>(
    "event",
    "Device event",
    "Something that happened at a device. Not retained, JSON, never content. Readers pass over \
     events they do not know.",
);

const ALL: [EnvelopeSpec; 7] = [
    COMPLETION,
    PROGRESS,
    STATUS,
    HEALTH,
    DESCRIPTION,
    STATE,
    EVENT,
];

/// Every kind of message that is no operation's own.
pub fn envelopes() -> Vec<Envelope> {
    ALL.iter().map(EnvelopeSpec::envelope).collect()
}

impl EnvelopeSpec {
    /// The URN of the schema.
    pub(super) fn urn(&self) -> String {
        format!("urn:koffer:{VERSION}:envelope:{}", self.name)
    }

    fn envelope(&self) -> Envelope {
        let generator = &mut sent(SchemaSettings::draft2020_12());
        let mut schema = (self.generate)(generator).to_value();
        schema["$id"] = json!(self.urn());
        schema["title"] = json!(self.title);
        schema["description"] = json!(self.description);
        Envelope {
            name: self.name,
            schema,
        }
    }
}
