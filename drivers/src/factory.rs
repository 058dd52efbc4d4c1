//! What a driver says of itself before there is a device: its name and class, its configuration
//! keys, what of the things that are plugged in it can serve. [`DRIVERS`] lists them all.

use std::{ffi::OsString, fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use koffer_proto::{Class, Connection, GatewayId, Reason, Text, class::gateway::Attachment};
use koffer_settings::{
    Form, Given, Key, NamePattern, Parsed, Preset, Refusal, Reported, Section, Table, choose, text,
    words,
};

#[cfg(test)]
use koffer_settings::{Layers, Report};

use crate::{Driver, list::DRIVERS};

/// Reads a table of the configuration, or of a rules file.
pub type Read<T> = fn(&Table<'_>, &Context<'_>) -> Result<Arc<T>, Reported>;

/// What a driver knows of a USB device by its classes.
pub type Explain = fn(&[u8]) -> Option<Reason>;

/// A driver, as it is entered in [`DRIVERS`].
pub struct DriverFactory {
    /// Its name, as configured.
    pub name: &'static str,
    /// The class of its devices.
    pub class: Class,
    /// The keys of a configured device.
    pub section: &'static Section,
    /// Reads the table of a configured device.
    pub configured: Read<dyn DriverConfig>,
    /// The key that says what a configured device is connected to.
    pub address_key: &'static str,
    /// What of the things that are plugged in a rule may give it.
    pub plugged: Option<Plugged>,
    /// Its fail points, in the order in which a call passes them (`fail_point`).
    pub fail_points: &'static [&'static str],
}

impl fmt::Debug for DriverFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What of the things that are plugged in a driver serves.
pub struct Plugged {
    /// How they are attached.
    pub by: Attachment,
    /// The keys of a rule, beside those that every rule has.
    pub section: Option<&'static Section>,
    /// Reads a rule.
    pub rule: Read<dyn PluggedConfig>,
    /// Lists what is attached, where udev does not.
    pub list: Option<fn() -> Box<dyn Listing>>,
    /// Why a USB device of these classes has no rule of its own, where the driver knows.
    pub explain: Option<Explain>,
}

/// What the table of a device does not say of itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The device's name, or what a rule's template leaves of one.
    pub name: &'a str,
    /// Where systemd put the unit's credentials.
    pub credentials: Option<&'a OsString>,
}

/// The configuration of one device, as its driver read it.
pub trait DriverConfig: fmt::Debug + Send + Sync {
    /// The driver that read it.
    fn factory(&self) -> &'static DriverFactory;

    /// What the device is connected to, for people.
    fn address(&self) -> String;

    /// What the device is connected to, as far as it serves one device only.
    fn endpoint(&self) -> Endpoint;

    /// How the device is connected, for its description.
    fn connection(&self) -> Connection;

    /// The driver of a new life.
    fn driver(&self, gateway: &GatewayId) -> Box<dyn Driver>;
}

/// What a rule says of the devices it makes.
pub trait PluggedConfig: fmt::Debug + Send + Sync {
    /// The driver that read it.
    fn factory(&self) -> &'static DriverFactory;

    /// The device at the thing that the rule found: a serial line's node, a USB port, a reader's
    /// name.
    fn at(&self, found: &str) -> Arc<dyn DriverConfig>;
}

/// A list of what is attached that a driver's own service keeps.
#[async_trait]
pub trait Listing: Send {
    /// Every name: the first time at once, then whenever the list may have changed. Cancel-safe.
    async fn next(&mut self) -> Vec<String>;
}

/// What a device is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Something on the network.
    Network {
        /// `host:port`.
        authority: String,
        /// What tells it from others at the same address; empty where there is one only.
        path: String,
    },
    /// A device node, or another path of this machine.
    Path(PathBuf),
    /// A PC/SC reader: the first that fits.
    Reader(NamePattern),
}

impl Endpoint {
    /// Whether both mean the same thing.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Network { authority, path },
                Self::Network {
                    authority: other_authority,
                    path: other_path,
                },
            ) => authority.eq_ignore_ascii_case(other_authority) && path == other_path,
            (Self::Path(one), Self::Path(other)) => one == other,
            (Self::Reader(one), Self::Reader(other)) => one.overlaps(other),
            (Self::Network { .. } | Self::Path(_) | Self::Reader(_), _) => false,
        }
    }

    /// Whether it is, or may be, what the machine knows by one of these names: nodes, links,
    /// readers.
    pub fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| match self {
            Self::Network { .. } => false,
            Self::Path(path) => path.as_os_str() == *name,
            Self::Reader(pattern) => pattern.fits(name),
        })
    }
}

/// The form of a driver's name.
#[derive(Debug, Clone, Copy)]
pub struct DriverName {
    /// Whether only drivers that serve what is plugged in are meant.
    plugged: bool,
}

impl DriverName {
    fn known(self) -> Vec<(&'static str, &'static DriverFactory)> {
        let meant = |driver: &&&DriverFactory| !self.plugged || driver.plugged.is_some();
        let drivers = DRIVERS.iter().filter(meant);
        drivers.map(|driver| (driver.name, *driver)).collect()
    }
}

impl Form for DriverName {
    type Value = &'static DriverFactory;

    fn expected(&self) -> Text {
        words(self.known().into_iter().map(|(name, _)| name))
    }

    fn read(&self, given: Given<'_>) -> Result<Self::Value, Vec<Refusal>> {
        let word = given.text().ok_or_else(|| self.wrong_type(given))?;
        choose(word, &self.known())
    }
}

/// The key of every configured device; `example` is a line of its driver's section.
pub const fn driver_key(example: &'static str) -> Key<DriverName> {
    Key {
        name: "driver",
        form: DriverName { plugged: false },
        preset: Preset::Required,
        example,
        about: "Which driver serves the device; it decides the device's class and the other keys of the table.",
    }
}

/// The key of a configured device, before its driver is known.
pub static DRIVER: Key<DriverName> = driver_key(r#"driver = "zvt""#);

/// The key of a rule that makes devices.
pub static RULE_DRIVER: Key<DriverName> = Key {
    name: "driver",
    form: DriverName { plugged: true },
    preset: Preset::Required,
    example: r#"driver = "zvt""#,
    about: "Which driver serves what is found; it decides the device's class and the other keys of the rule. \
            `pcsc` has none. Devices of other drivers have an address, and stand in the configuration.",
};

/// The form of a PC/SC reader's name, in devices and in rules.
pub const READER_NAME: Parsed<NamePattern> = Parsed {
    de: "der Name eines Kartenlesers, 1 bis 127 Bytes; * steht für Beliebiges",
    en: "the name of a card reader, 1 to 127 bytes; * stands for anything",
    parse: |text| {
        text.parse().map_err(|_| {
            text!(
                "»{text}« ist kein Name eines Kartenlesers",
                "\"{text}\" is no name of a card reader"
            )
        })
    },
};

/// What a driver reads of `[devices.x]`, or its mistakes in English.
#[cfg(test)]
pub(crate) fn parsed(
    driver: &DriverFactory,
    keys: &str,
) -> Result<Arc<dyn DriverConfig>, Vec<String>> {
    let report = Report::default();
    let toml = format!("[devices.x]\ndriver = \"{}\"\n{keys}\n", driver.name);
    let layers = Layers::of_text("kofferd.toml".as_ref(), &toml, &report);
    let root = Table::root(&layers, &report);
    let devices = root.table("devices");
    let table = devices.table("x");
    table.only(driver.section);
    let context = Context {
        name: "x",
        credentials: None,
    };
    let config = (driver.configured)(&table, &context);
    let read = report.finish(config).map(|(config, _)| config);
    read.map_err(|mistakes| {
        let mistakes = mistakes.mistakes.iter();
        mistakes
            .map(|mistake| format!("{}: {}", mistake.key, mistake.what.en))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_driver_has_a_name_and_a_section_of_its_own() {
        let names: BTreeSet<_> = DRIVERS.iter().map(|driver| driver.name).collect();
        assert_eq!(names.len(), DRIVERS.len());
        for driver in DRIVERS {
            let name = driver.name;
            let path = format!("devices.<name>, driver = \"{name}\"");
            assert_eq!(driver.section.path, path);
            let example = format!("driver = \"{name}\"");
            assert_eq!(driver.section.keys[0].example(), example);
            let rule = driver.plugged.as_ref().and_then(|plugged| plugged.section);
            if let Some(rule) = rule {
                assert_eq!(rule.path, format!("[rule], driver = \"{name}\""));
            }
            for point in driver.fail_points {
                assert!(point.starts_with(&format!("{name}.")), "{point}");
            }
        }
    }

    #[test]
    fn two_devices_at_one_endpoint_conflict() {
        let network = |authority: &str, path: &str| Endpoint::Network {
            authority: authority.to_owned(),
            path: path.to_owned(),
        };
        let reader = |pattern: &str| Endpoint::Reader(pattern.parse().unwrap());
        let path = |path: &str| Endpoint::Path(path.into());
        for (one, other, expected) in [
            (network("Till:20007", ""), network("till:20007", ""), true),
            (network("till:20007", ""), network("till:20008", ""), false),
            (network("a4:631", "/a"), network("a4:631", "/b"), false),
            (network("a4:631", "/a"), network("A4:631", "/a"), true),
            (path("/dev/ttyS0"), path("/dev/ttyS0"), true),
            (path("/dev/ttyS0"), path("/dev/ttyS1"), false),
            (reader("A*"), reader("a 00 00"), true),
            (reader("A*"), path("A*"), false),
        ] {
            assert_eq!(one.conflicts_with(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.conflicts_with(&one), expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_node_is_known_by_its_name_and_a_reader_by_its_pattern() {
        let names = ["/dev/ttyUSB0", "/dev/koffer/till"];
        assert!(Endpoint::Path("/dev/koffer/till".into()).is_one_of(&names));
        assert!(!Endpoint::Path("/dev/ttyUSB1".into()).is_one_of(&names));
        assert!(Endpoint::Reader("a*".parse().unwrap()).is_one_of(&["A 00 00"]));
    }
}
