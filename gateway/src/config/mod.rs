//! The configuration of `kofferd`: one TOML file, its drop-ins, the environment.
//!
//! Sources lie over each other in this order, each overriding single keys of those before:
//! 1. the file (`/etc/koffer/kofferd.toml`, or `--config`),
//! 2. `<file>.d/*.toml` in lexical order,
//! 3. variables `KOFFER__SECTION__KEY`.
//!
//! **Every mistake is reported at once**, with file and line, key, and remedy, in German and
//! English. The merged tree is read key by key (`table`) instead of being deserialised, which
//! would stop at the first mistake. What may stand there is said once, in the `static` keys of
//! each section; reader, messages and `docs/configuration.md` all come from them.

mod clients;
mod devices;
mod gateway;
mod journal;
mod limits;
mod log;
mod mqtt;
mod named;
mod roles;
mod rules;
mod summary;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use koffer_proto::{ClientId, DeviceId, Segment};

pub use clients::{Allowed, ClientConfig};
pub use devices::DeviceConfig;
pub use gateway::GatewayConfig;
pub use journal::{JournalConfig, state_directory};
pub use koffer_settings::{Finding, HostPort, Mistakes, Origin};
pub use limits::Limits;
pub use log::{LogConfig, LogTarget};
pub use mqtt::{BrokerAddress, EmbeddedBroker, ExternalBroker, GATEWAY_USERNAME, MqttConfig};
pub use rules::{Rule, Template, Then, Wanted};

use koffer_drivers::DRIVERS;
use koffer_settings::{
    Layers, Report, Reported, Section, Table, credentials_folder, reference as reference_of,
};
use named::Named;

/// Where the configuration lies unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/koffer/kofferd.toml";

/// A configuration in which every value has been checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// The gateway itself.
    pub gateway: GatewayConfig,
    /// Its bounds.
    pub limits: Limits,
    /// Its journal.
    pub journal: JournalConfig,
    /// Its log.
    pub log: LogConfig,
    /// The broker.
    pub mqtt: MqttConfig,
    /// Who may connect.
    pub clients: BTreeMap<ClientId, ClientConfig>,
    /// The devices.
    pub devices: BTreeMap<DeviceId, DeviceConfig>,
    /// Names that stand for the first of some devices that is ready; never a device's name.
    pub roles: BTreeMap<Segment, Vec<DeviceId>>,
    /// How what is plugged in becomes a device; the first rule that fits decides.
    pub rules: Vec<Rule>,
}

/// Sections whose second part is a name.
const NAMED: [&str; 3] = ["clients", "devices", "roles"];

/// The sections, in the order of the reference.
fn sections() -> impl Iterator<Item = &'static Section> {
    let before = [
        &gateway::SECTION,
        &limits::SECTION,
        &journal::SECTION,
        &log::SECTION,
        &mqtt::SECTION,
        &mqtt::EMBEDDED,
        &mqtt::EXTERNAL,
        &clients::SECTION,
        &devices::SECTION,
    ];
    let drivers = DRIVERS.iter().map(|driver| driver.section);
    before.into_iter().chain(drivers).chain([&roles::SECTION])
}

/// The sections of a rules file, in the order of their reference.
fn rule_sections() -> impl Iterator<Item = &'static Section> {
    let plugged = DRIVERS.iter().filter_map(|driver| driver.plugged.as_ref());
    let drivers = plugged.filter_map(|plugged| plugged.section);
    [&rules::SECTION, &rules::MATCH].into_iter().chain(drivers)
}

/// Every section with its keys, as it stands in `docs/configuration.md`.
pub fn reference() -> String {
    reference_of(sections())
}

/// The same of rules files, as it stands in `docs/rules.md`.
pub fn rules_reference() -> String {
    reference_of(rule_sections())
}

static ROOT: Section = Section {
    path: "",
    about: "",
    keys: &[],
    tables: &[
        "gateway", "limits", "journal", "log", "mqtt", "clients", "devices", "roles",
    ],
};

impl Config {
    /// Reads the file at `path`, its drop-ins and what `environment` overrides.
    ///
    /// Returns the configuration with its warnings, or everything that is wrong with it.
    /// `CREDENTIALS_DIRECTORY` is taken from `environment` too.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, Vec<Finding>), Mistakes> {
        let environment: BTreeMap<_, _> = environment.into_iter().collect();
        let report = Report::default();
        let layers = Layers::read(path, &environment, &NAMED, &report);
        let config = Self::read(path, &layers, &environment, &report);
        report.finish(config)
    }

    fn read(
        path: &Path,
        layers: &Layers,
        environment: &BTreeMap<OsString, OsString>,
        report: &Report,
    ) -> Result<Self, Reported> {
        let root = Table::root(layers, report);
        root.only(&ROOT);
        let credentials = credentials_folder(environment);
        let gateway = gateway::read(&root);
        let limits = limits::read(&root);
        let journal = journal::read(&root, environment);
        let log = log::read(&root);
        let mqtt = root.table(mqtt::SECTION.path);
        let broker = mqtt::broker(&mqtt);
        let mqtt = mqtt::read(&mqtt, broker, credentials);
        let clients = clients::read(&root, broker, credentials);
        let folders = gateway.as_ref().map_or(&[][..], |gateway| &gateway.rules);
        let found_by = rules::read(folders, credentials, report);
        let any_rules = found_by.as_ref().map_or(true, |rules| !rules.is_empty());
        let devices = devices::read(&root, credentials, any_rules);
        let readable = found_by.as_deref().unwrap_or_default();
        rules::refuse_taken_names(readable, &devices, report);
        let named = Named {
            devices: &devices,
            rules: readable,
        };
        let roles = roles::read(&root, &named);
        let devices: Result<Vec<DeviceConfig>, Reported> = devices.into_values().collect();
        Ok(Self {
            path: path.to_owned(),
            gateway: gateway?,
            limits: limits?,
            journal: journal?,
            log: log?,
            mqtt: mqtt?,
            clients: clients?,
            devices: devices?
                .into_iter()
                .map(|device| (device.id.clone(), device))
                .collect(),
            roles: roles?,
            rules: found_by?,
        })
    }
}
