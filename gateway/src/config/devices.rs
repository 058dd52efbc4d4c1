//! `[devices.<name>]`: the devices that are configured, each with the table of its driver.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use koffer_proto::{Class, DeviceId};

use super::{
    finding::{Reported, text},
    form::{Choice, parse_name},
    key::{Key, Preset, Section},
    table::Table,
    zvt::{self, ZvtAddress, ZvtConfig},
};

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Its name in topics.
    pub id: DeviceId,
    /// Its driver, with what that driver needs.
    pub driver: DriverConfig,
}

/// A driver, with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverConfig {
    /// A payment terminal that speaks ZVT.
    Zvt(ZvtConfig),
}

impl DriverConfig {
    /// The class of its devices.
    pub fn class(&self) -> Class {
        match self {
            Self::Zvt(_) => Class::Payment,
        }
    }

    /// The driver's name, as configured.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Zvt(_) => "zvt",
        }
    }

    /// The same on the line that a rule found.
    pub(crate) fn on(&self, line: &str) -> Self {
        match self {
            Self::Zvt(zvt) => {
                let mut zvt = zvt.clone();
                if let ZvtAddress::Serial { path, .. } = &mut zvt.address {
                    *path = line.into();
                }
                Self::Zvt(zvt)
            }
        }
    }

    /// Whether it uses what the machine knows by one of these names: nodes, links, readers.
    pub(crate) fn uses(&self, names: &[&str]) -> bool {
        match self {
            Self::Zvt(zvt) => match &zvt.address {
                ZvtAddress::Serial { path, .. } => names.iter().any(|name| path == Path::new(name)),
                ZvtAddress::Tcp(_) => false,
            },
        }
    }

    /// What it is connected to, for people.
    pub fn endpoint(&self) -> String {
        match self {
            Self::Zvt(zvt) => zvt.address.to_string(),
        }
    }

    /// What only one device can be connected to.
    fn port(&self) -> String {
        match self {
            Self::Zvt(zvt) => zvt.address.port(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Zvt,
}

pub(super) static DRIVER: Key<Choice<Driver>> = Key {
    name: "driver",
    form: Choice(&[("zvt", Driver::Zvt)]),
    preset: Preset::Required,
    example: r#"driver = "zvt""#,
    about: "Which driver serves the device; it decides the device's class and the other keys of the table.",
};

pub(super) static SECTION: Section = Section {
    path: "devices.<name>",
    about: "One table per device. The name is its segment in topics; `gateway` is the gateway's own.",
    keys: &[&DRIVER],
    tables: &[],
};

/// The devices by their name as written; a faulty one stays, so that roles can name it.
pub(super) type Devices<'a> = BTreeMap<&'a str, Result<DeviceConfig, Reported>>;

pub(super) fn read<'a>(
    root: &Table<'a>,
    credentials: Option<&OsString>,
    found_by_rules: bool,
) -> Devices<'a> {
    let table = root.table("devices");
    let mut devices: Devices<'a> = table
        .names()
        .into_iter()
        .map(|name| (name, device(&table, name, credentials)))
        .collect();
    if devices.is_empty() && !found_by_rules && table.incomplete().is_none() {
        root.warning(
            "devices",
            text!("es gibt keine Geräte", "there are no devices"),
            text!(
                "Je Gerät eine Tabelle [devices.NAME] anlegen, oder Regeln für angesteckte Geräte (docs/rules.md).",
                "Add a table [devices.NAME] per device, or rules for what is plugged in (docs/rules.md)."
            ),
        );
    }
    refuse_shared_ports(&table, &mut devices);
    devices
}

fn device(
    devices: &Table<'_>,
    name: &str,
    credentials: Option<&OsString>,
) -> Result<DeviceConfig, Reported> {
    let id = id(devices, name);
    let table = devices.table(name);
    let driver = table.get(&DRIVER).and_then(|driver| match driver {
        Driver::Zvt => {
            table.only(&zvt::SECTION);
            zvt::read(&table, name, credentials).map(DriverConfig::Zvt)
        }
    });
    Ok(DeviceConfig {
        id: id?,
        driver: driver?,
    })
}

fn id(devices: &Table<'_>, name: &str) -> Result<DeviceId, Reported> {
    let id: DeviceId = parse_name(name).map_err(|what| {
        devices.mistake(
            name,
            what,
            text!(
                "Kleinbuchstaben, Ziffern und Bindestriche verwenden, z. B. [devices.ec-terminal].",
                "Use lower-case letters, digits and hyphens, e.g. [devices.ec-terminal]."
            ),
        )
    })?;
    if id.is_gateway() {
        return Err(devices.mistake(
            name,
            text!(
                "»gateway« ist das Gateway selbst",
                "\"gateway\" is the gateway itself"
            ),
            text!("Einen anderen Namen wählen.", "Choose another name."),
        ));
    }
    Ok(id)
}

fn refuse_shared_ports(table: &Table<'_>, devices: &mut Devices<'_>) {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for (name, device) in devices {
        let Ok(DeviceConfig { driver, .. }) = device else {
            continue;
        };
        let port = driver.port();
        if let Some(owner) = owners.get(&port) {
            *device = Err(table.table(name).mistake(
                "address",
                text!(
                    "{port} gehört schon dem Gerät {owner}",
                    "{port} already belongs to the device {owner}"
                ),
                text!(
                    "Eine der beiden Adressen berichtigen: zwei Treiber an einem Gerät stören einander.",
                    "Correct one of the two addresses: two drivers at one device disturb each other."
                ),
            ));
        } else {
            owners.insert(port, name);
        }
    }
}
