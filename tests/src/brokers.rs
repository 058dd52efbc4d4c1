//! The two brokers every end-to-end test runs against, with the same gateway and clients.

use crate::mosquitto::{Mosquitto, User};
use koffer_gateway::Secret;
use koffer_gateway::broker::InternalBroker;
use koffer_gateway::broker::embedded::{self, Client, Password, Running};
use koffer_gateway::broker::rules::Role;
use koffer_gateway::bus::{Address, Neighbour, Settings};

/// Topic root of the gateway under test.
pub const ROOT: &str = "koffer/1/case-7";

/// Name, password and role of everybody who may connect.
pub const USERS: [(&str, &str, Role); 4] = [
    ("kofferd", "gateway-secret", Role::Gateway),
    ("ws-1", "secret-one", Role::Workstation),
    ("ws-2", "secret-two", Role::Workstation),
    ("monitor", "secret-three", Role::Monitor),
];

/// A broker under test.
pub enum Broker {
    /// Refuses forbidden subscriptions in the SUBACK, forbidden and retained wills at CONNECT, and
    /// keeps the sessions of each user apart whatever the client identifiers.
    Embedded(Box<Running>),
    /// mosquitto 2.0 with an ACL file grants any subscription and withholds the messages, takes any
    /// will and withholds it when it is due, accepts a retained will where the client may publish
    /// (the gateway refuses it like every retained call), and lets a client take over a session by
    /// its identifier: disturbing, but nothing of it can be read.
    Mosquitto(Mosquitto),
}

impl Broker {
    /// The embedded broker.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn embedded() -> Self {
        Self::embedded_on(0).await
    }

    /// The embedded broker on this port of 127.0.0.1.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn embedded_on(port: u16) -> Self {
        let clients = USERS
            .map(|(name, password, role)| Client {
                name: name.to_owned(),
                role,
                password: Password::Clear(Secret::new(password)),
            })
            .into();
        let mut settings = embedded::Settings::new("case-7", clients);
        settings.listen = ([127, 0, 0, 1], port).into();
        Self::Embedded(Box::new(
            embedded::start(settings)
                .await
                .expect("the embedded broker starts"),
        ))
    }

    /// mosquitto with the shipped configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub fn mosquitto() -> Self {
        Self::Mosquitto(Mosquitto::shipped(
            &USERS.map(|(name, password, _)| (name, password)),
        ))
    }

    /// Whether it is the embedded one.
    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        match self {
            Self::Embedded(running) => running.mqtt_address().port(),
            Self::Mosquitto(broker) => broker.port(),
        }
    }

    /// One of [`USERS`], for mosquitto's clients.
    ///
    /// # Panics
    /// When there is no such user.
    pub fn user(&self, name: &str) -> User {
        User::new(self.port(), name, password(name))
    }

    /// Settings of a bus that connects as one of [`USERS`].
    ///
    /// # Panics
    /// When there is no such user.
    pub fn bus(&self, name: &str) -> Settings {
        let address = Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: self.port(),
        };
        let mut settings = Settings::new(address, name);
        settings.password = Secret::new(password(name));
        settings
    }

    /// Settings of a bus that sits beside the embedded broker, as the gateway does.
    ///
    /// # Panics
    /// With another broker, or when there is no such user.
    pub fn beside(&self, name: &str) -> Settings {
        let mut settings = self.bus(name);
        match self {
            Self::Embedded(running) => settings.local = Some(Neighbour(running.local())),
            Self::Mosquitto(_) => panic!("it is another process"),
        }
        settings
    }

    /// Ends it, and waits until it has.
    pub async fn stop(self) {
        if let Self::Embedded(running) = self {
            running.stop().await;
        }
    }
}

fn password(name: &str) -> &'static str {
    let (_, password, _) = USERS
        .iter()
        .find(|(user, ..)| *user == name)
        .expect("a known user");
    password
}
