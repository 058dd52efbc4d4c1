//! What a technician configures of a receiver behind gpsd.

use std::sync::Arc;

use koffer_proto::{Class, Connection, GatewayId, Text};
use koffer_settings::{HostPort, Key, Parsed, Preset, Section, text};

use super::sensor::Gps;
use crate::{
    Driver, DriverConfig, DriverFactory, DriverName, Endpoint, factory::driver_key,
    sensor::SensorDriver,
};

/// Where gpsd listens unless told otherwise (gpsd(8)).
const DEFAULT_PORT: u16 = 2947;

/// The driver's entry in the table of drivers.
pub static FACTORY: DriverFactory = DriverFactory {
    name: "gpsd",
    class: Class::Position,
    section: &SECTION,
    configured: |table, _| {
        let server = table.get(&ADDRESS);
        let receiver = table.find(&RECEIVER)?;
        Ok(Arc::new(GpsdConfig {
            server: server?,
            receiver,
        }))
    },
    address_key: ADDRESS.name,
    plugged: None,
    fail_points: &[],
};

/// One receiver at gpsd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpsdConfig {
    /// Where gpsd listens.
    pub server: HostPort,
    /// The receiver's node, where gpsd has several; else its first.
    pub receiver: Option<String>,
}

impl DriverConfig for GpsdConfig {
    fn factory(&self) -> &'static DriverFactory {
        &FACTORY
    }

    fn address(&self) -> String {
        format!("tcp://{}", self.server)
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Network {
            authority: self.server.to_string(),
            path: self.receiver.clone().unwrap_or_default(),
        }
    }

    fn connection(&self) -> Connection {
        Connection::Tcp {
            address: self.server.to_string(),
        }
    }

    fn driver(&self, _: &GatewayId) -> Box<dyn Driver> {
        Box::new(SensorDriver::new(Gps::new(self.clone())))
    }
}

static DRIVER: Key<DriverName> = driver_key(r#"driver = "gpsd""#);

static ADDRESS: Key<Parsed<HostPort>> = Key {
    name: "address",
    form: Parsed {
        de: "tcp://host:port (ohne Angabe Port 2947)",
        en: "tcp://host:port (port 2947 if left out)",
        parse: address,
    },
    preset: Preset::Required,
    example: r#"address = "tcp://127.0.0.1:2947""#,
    about: "Where gpsd listens. It is only asked, never configured.",
};

static RECEIVER: Key<Parsed<String>> = Key {
    name: "receiver",
    form: Parsed {
        de: "der Pfad eines Empfängers, wie gpsd ihn nennt",
        en: "the path of a receiver, as gpsd calls it",
        parse: receiver,
    },
    preset: Preset::Optional,
    example: r#"receiver = "/dev/ttyACM0""#,
    about: "Which receiver, where gpsd has several; else its first.",
};

static SECTION: Section = Section {
    path: r#"devices.<name>, driver = "gpsd""#,
    about: "A position receiver that gpsd serves; class `position`.",
    keys: &[&DRIVER, &ADDRESS, &RECEIVER],
    tables: &[],
};

fn address(given: &str) -> Result<HostPort, Text> {
    given
        .strip_prefix("tcp://")
        .and_then(|rest| HostPort::parse(rest, Some(DEFAULT_PORT)))
        .ok_or_else(|| {
            text!(
                "»{given}« ist keine Adresse von gpsd",
                "\"{given}\" is no address of gpsd"
            )
        })
}

fn receiver(given: &str) -> Result<String, Text> {
    if given.starts_with('/') && !given.chars().any(char::is_control) {
        Ok(given.to_owned())
    } else {
        Err(text!(
            "»{given}« ist kein Pfad eines Empfängers",
            "\"{given}\" is no path of a receiver"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::parsed;

    #[test]
    fn a_receiver_is_a_server_and_where_there_are_several_a_path() {
        let config = parsed(&FACTORY, "address = \"tcp://127.0.0.1\"").unwrap();
        assert_eq!(config.address(), "tcp://127.0.0.1:2947");
        let one = parsed(
            &FACTORY,
            "address = \"tcp://127.0.0.1\"\nreceiver = \"/dev/ttyACM0\"",
        );
        assert!(!one.unwrap().endpoint().conflicts_with(&config.endpoint()));
        let mistakes = parsed(&FACTORY, "address = \"127.0.0.1\"\nreceiver = \"x\"");
        assert_eq!(mistakes.unwrap_err().len(), 2);
    }
}
