//! What a technician configures of a UPS behind NUT.

use std::{fmt, str::FromStr, sync::Arc};

use koffer_proto::{Class, Connection, GatewayId, Text};
use koffer_settings::{HostPort, Key, Parsed, Preset, Section, text};

use super::sensor::Ups;
use crate::{
    Driver, DriverConfig, DriverFactory, DriverName, Endpoint, factory::driver_key,
    sensor::SensorDriver,
};

/// Where upsd listens unless told otherwise (RFC 9271).
const DEFAULT_PORT: u16 = 3493;

/// The driver's entry in the table of drivers.
pub static FACTORY: DriverFactory = DriverFactory {
    name: "nut",
    class: Class::Power,
    section: &SECTION,
    configured: |table, _| Ok(Arc::new(table.get(&ADDRESS)?)),
    address_key: ADDRESS.name,
    plugged: None,
    fail_points: &[],
};

/// One UPS at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NutConfig {
    /// Where upsd listens.
    pub server: HostPort,
    /// The UPS's name there.
    pub ups: String,
}

/// A text is no address of a UPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form nut://host:port/ups")]
pub struct NutAddressError;

impl FromStr for NutConfig {
    type Err = NutAddressError;

    fn from_str(text: &str) -> Result<Self, NutAddressError> {
        let (server, ups) = text
            .strip_prefix("nut://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(NutAddressError)?;
        let server = HostPort::parse(server, Some(DEFAULT_PORT)).ok_or(NutAddressError)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if ups.is_empty() || ups.len() > 64 || !ups.bytes().all(plain) {
            return Err(NutAddressError);
        }
        Ok(Self {
            server,
            ups: ups.to_owned(),
        })
    }
}

impl fmt::Display for NutConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nut://{}/{}", self.server, self.ups)
    }
}

impl DriverConfig for NutConfig {
    fn factory(&self) -> &'static DriverFactory {
        &FACTORY
    }

    fn address(&self) -> String {
        self.to_string()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Network {
            authority: self.server.to_string(),
            path: self.ups.clone(),
        }
    }

    fn connection(&self) -> Connection {
        Connection::Url {
            url: self.to_string(),
        }
    }

    fn driver(&self, _: &GatewayId) -> Box<dyn Driver> {
        Box::new(SensorDriver::new(Ups::new(self.clone())))
    }
}

static DRIVER: Key<DriverName> = driver_key(r#"driver = "nut""#);

static ADDRESS: Key<Parsed<NutConfig>> = Key {
    name: "address",
    form: Parsed {
        de: "nut://host:port/usv (ohne Angabe Port 3493)",
        en: "nut://host:port/ups (port 3493 if left out)",
        parse: address,
    },
    preset: Preset::Required,
    example: r#"address = "nut://127.0.0.1:3493/case""#,
    about: "Which UPS it is: the server that runs NUT's `upsd`, and the UPS's name there as `upsc -l` lists it. \
            It is only read, without a login.",
};

static SECTION: Section = Section {
    path: r#"devices.<name>, driver = "nut""#,
    about: "A UPS that NUT (Network UPS Tools) serves; class `power`.",
    keys: &[&DRIVER, &ADDRESS],
    tables: &[],
};

fn address(text: &str) -> Result<NutConfig, Text> {
    text.parse().map_err(|_| {
        text!(
            "»{text}« ist keine Adresse einer USV",
            "\"{text}\" is no address of a UPS"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::parsed;

    #[test]
    fn an_address_is_a_server_and_the_name_of_a_ups() {
        for (text, expected) in [
            ("nut://127.0.0.1/case", Some("nut://127.0.0.1:3493/case")),
            ("nut://[::1]:13493/a.b", Some("nut://[::1]:13493/a.b")),
            ("nut://127.0.0.1", None),
            ("nut://127.0.0.1/", None),
            ("nut://127.0.0.1/a b", None),
            ("nut://127.0.0.1/a\nSET", None),
            ("tcp://127.0.0.1/case", None),
        ] {
            let read = text.parse::<NutConfig>().map(|config| config.to_string());
            assert_eq!(read.ok().as_deref(), expected, "{text}");
        }
        let config = parsed(&FACTORY, "address = \"nut://ups-host/case\"").unwrap();
        assert_eq!(config.address(), "nut://ups-host:3493/case");
        let mistakes = parsed(&FACTORY, "address = \"nut://ups-host\"").unwrap_err();
        assert_eq!(
            mistakes,
            ["devices.x.address: \"nut://ups-host\" is no address of a UPS"]
        );
    }
}
