//! `[devices.<name>]`: the devices that are configured, each with the table of its driver.

use std::{collections::BTreeMap, ffi::OsString, sync::Arc};

use koffer_drivers::{Context, DriverConfig, Endpoint, factory::DRIVER};
use koffer_proto::DeviceId;
use koffer_settings::{Reported, Section, Table, parse_name, text};

/// One device.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// Its name in topics.
    pub id: DeviceId,
    /// Its driver, with what that driver needs.
    pub driver: Arc<dyn DriverConfig>,
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
                "Je Gerät eine Tabelle [devices.NAME] anlegen, oder Regeln für angeschlossene Geräte (docs/rules.md).",
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
    let driver = table.get(&DRIVER).and_then(|driver| {
        table.only(driver.section);
        (driver.configured)(&table, &Context { name, credentials })
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
    let mut owners: Vec<(&str, Endpoint)> = Vec::new();
    for (name, device) in devices {
        let Ok(DeviceConfig { driver, .. }) = device else {
            continue;
        };
        let endpoint = driver.endpoint();
        let owner = owners
            .iter()
            .find(|(_, owner)| owner.conflicts_with(&endpoint));
        let Some((owner, _)) = owner else {
            owners.push((name, endpoint));
            continue;
        };
        let (key, address) = (driver.factory().address_key, driver.address());
        *device = Err(table.table(name).mistake(
            key,
            text!(
                "{address} gehört schon dem Gerät {owner}",
                "{address} already belongs to the device {owner}"
            ),
            text!(
                "Eine der beiden Angaben berichtigen: zwei Treiber an einem Gerät stören einander.",
                "Correct one of the two entries: two drivers at one device disturb each other."
            ),
        ));
    }
}
