//! `[devices.<name>]`: the devices that are configured, each with the table of its driver.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use koffer_drivers::card::pcsc::PcscConfig;
use koffer_proto::{Class, DeviceId};

use super::{
    finding::{Reported, text},
    form::{Choice, parse_name},
    ipp::{self, IppConfig},
    key::{Key, Preset, Section},
    pcsc,
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
    /// A document printer that speaks IPP.
    Ipp(IppConfig),
    /// A chip card terminal behind PC/SC.
    Pcsc(PcscConfig),
}

impl DriverConfig {
    /// The class of its devices.
    pub fn class(&self) -> Class {
        match self {
            Self::Zvt(_) => Class::Payment,
            Self::Ipp(_) => Class::DocumentPrinter,
            Self::Pcsc(_) => Class::CardTerminal,
        }
    }

    /// The driver's name, as configured.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Zvt(_) => "zvt",
            Self::Ipp(_) => "ipp",
            Self::Pcsc(_) => "pcsc",
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
            Self::Pcsc(pcsc) => Self::Pcsc(pcsc::exactly(line).unwrap_or_else(|| pcsc.clone())),
            Self::Ipp(ipp) => Self::Ipp(ipp.clone()),
        }
    }

    /// Whether it uses what the machine knows by one of these names: nodes, links, readers.
    pub(crate) fn uses(&self, names: &[&str]) -> bool {
        match self {
            Self::Zvt(zvt) => match &zvt.address {
                ZvtAddress::Serial { path, .. } => names.iter().any(|name| path == Path::new(name)),
                ZvtAddress::Tcp(_) => false,
            },
            // Of several that fit it may take any, so no rule gets one of them.
            Self::Pcsc(pcsc) => names.iter().any(|name| pcsc.reader.fits(name)),
            Self::Ipp(_) => false,
        }
    }

    /// What it is connected to, for people.
    pub fn endpoint(&self) -> String {
        match self {
            Self::Zvt(zvt) => zvt.address.to_string(),
            Self::Ipp(ipp) => ipp.address.to_string(),
            Self::Pcsc(pcsc) => pcsc.reader.to_string(),
        }
    }

    /// The key that says what it is connected to.
    fn endpoint_key(&self) -> &'static str {
        match self {
            Self::Zvt(_) | Self::Ipp(_) => "address",
            Self::Pcsc(_) => pcsc::READER.name,
        }
    }

    /// Whether it is connected to what the other one is connected to, which serves one device only.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Zvt(one), Self::Zvt(other)) => one.address.port() == other.address.port(),
            (Self::Ipp(one), Self::Ipp(other)) => one.port() == other.port(),
            (Self::Pcsc(one), Self::Pcsc(other)) => pcsc::share_a_reader(one, other),
            (Self::Zvt(_) | Self::Ipp(_) | Self::Pcsc(_), _) => false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Zvt,
    Ipp,
    Pcsc,
}

static DRIVER: Key<Choice<Driver>> = driver(r#"driver = "zvt""#);

/// The key of every device, with the example of one driver's section.
pub(super) const fn driver(example: &'static str) -> Key<Choice<Driver>> {
    Key {
        name: "driver",
        form: Choice(&[
            ("zvt", Driver::Zvt),
            ("ipp", Driver::Ipp),
            ("pcsc", Driver::Pcsc),
        ]),
        preset: Preset::Required,
        example,
        about: "Which driver serves the device; it decides the device's class and the other keys of the table.",
    }
}

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
        Driver::Ipp => {
            table.only(&ipp::SECTION);
            ipp::read(&table).map(DriverConfig::Ipp)
        }
        Driver::Pcsc => {
            table.only(&pcsc::SECTION);
            pcsc::read(&table).map(DriverConfig::Pcsc)
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
    let mut owners: Vec<(&str, DriverConfig)> = Vec::new();
    for (name, device) in devices {
        let Ok(DeviceConfig { driver, .. }) = device else {
            continue;
        };
        let owner = owners.iter().find(|(_, owner)| owner.meets(driver));
        let Some((owner, _)) = owner else {
            owners.push((name, driver.clone()));
            continue;
        };
        let (key, endpoint) = (driver.endpoint_key(), driver.endpoint());
        *device = Err(table.table(name).mistake(
            key,
            text!(
                "{endpoint} gehört schon dem Gerät {owner}",
                "{endpoint} already belongs to the device {owner}"
            ),
            text!(
                "Eine der beiden Angaben berichtigen: zwei Treiber an einem Gerät stören einander.",
                "Correct one of the two entries: two drivers at one device disturb each other."
            ),
        ));
    }
}
