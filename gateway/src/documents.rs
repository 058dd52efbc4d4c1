//! What the gateway publishes of itself and its devices: retained documents, and events.

use std::collections::BTreeMap;

use koffer_proto::{
    Class, Connection, ContentType, Description, DeviceEvent, DeviceId, GatewayStatus, Health,
    Identity, RoleDescription, Root, Segment, StateDocument, Topic,
};
use serde::Serialize;

use crate::bus::{Message, Qos};

/// How long an event is worth delivering, in seconds.
const EVENT_EXPIRY: u32 = 60;

/// Every retained document as it was last published, to be published again where a broker has
/// lost them.
#[derive(Debug)]
pub struct Documents {
    root: Root,
    retained: BTreeMap<String, Message>,
}

impl Documents {
    /// No documents yet.
    pub fn new(root: Root) -> Self {
        Self {
            root,
            retained: BTreeMap::new(),
        }
    }

    /// The gateway's presence; also what its will says.
    pub fn status(&mut self, status: &GatewayStatus) -> Message {
        self.retain(&Topic::Status, status)
    }

    /// The gateway's vital signs.
    pub fn health(&mut self, health: &Health) -> Message {
        self.retain(&Topic::Health, health)
    }

    /// What the gateway can do, as the device it is itself, and which roles there are.
    pub fn gateway_description(&mut self, roles: BTreeMap<Segment, RoleDescription>) -> Message {
        let identity = Identity {
            firmware: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..Identity::default()
        };
        let operations = Class::Gateway.operations();
        let description = Description {
            class: Class::Gateway,
            driver: "kofferd".to_owned(),
            identity,
            connection: Connection::Internal,
            operations: operations
                .map(|operation| (operation.name.to_owned(), operation.into()))
                .collect(),
            capabilities: None,
            roles,
        };
        self.description(&DeviceId::gateway(), &description)
    }

    /// What a device is.
    pub fn description(&mut self, device: &DeviceId, description: &Description) -> Message {
        self.retain(&Topic::Device(device.clone()), description)
    }

    /// How a device is.
    pub fn state(&mut self, device: &DeviceId, state: &StateDocument) -> Message {
        self.retain(&Topic::State(device.clone()), state)
    }

    /// What takes a device's documents away.
    pub fn cleared(&mut self, device: &DeviceId) -> [Message; 2] {
        [Topic::Device(device.clone()), Topic::State(device.clone())].map(|topic| {
            let topic = self.root.topic(&topic);
            self.retained.remove(&topic);
            Message::new(topic, Vec::new()).retained()
        })
    }

    /// Something that happened at a device; not retained.
    pub fn event(&self, device: &DeviceId, event: &DeviceEvent) -> Message {
        let kind = event.event.segment();
        let topic = Topic::Event {
            device: device.clone(),
            kind,
        };
        let mut message = json(self.root.topic(&topic), event).with_qos(Qos::AtLeastOnce);
        message.properties.message_expiry = Some(EVENT_EXPIRY);
        message
    }

    /// Everything retained, for a broker that has lost it.
    pub fn all(&self) -> impl Iterator<Item = &Message> {
        self.retained.values()
    }

    fn retain<T: Serialize>(&mut self, topic: &Topic, document: &T) -> Message {
        let message = json(self.root.topic(topic), document).retained();
        self.retained.insert(message.topic.clone(), message.clone());
        message
    }
}

fn json<T: Serialize>(topic: String, document: &T) -> Message {
    // Documents are plain structs of strings and numbers: nothing in them can fail to encode.
    let payload = ContentType::Json.encode(document).unwrap_or_default();
    let mut message = Message::new(topic, payload);
    message.properties.content_type = Some(ContentType::Json.as_str().to_owned());
    message.properties.payload_is_utf8 = Some(true);
    message
}
