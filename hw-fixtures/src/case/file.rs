//! The TOML file of a case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use koffer_proto::{ClientId, DeviceId, GatewayId};
use serde::{Deserialize, Serialize};

use super::card_terminal::SLOTS;
use super::device::DeviceEntry;

/// A case: one gateway, its clients and its devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// The gateway and its broker.
    pub case: CaseSection,
    /// Who may connect.
    #[serde(default)]
    pub clients: BTreeMap<String, ClientEntry>,
    /// The devices, all simulated.
    #[serde(default)]
    pub devices: BTreeMap<String, DeviceEntry>,
    /// Names that stand for the first of their devices that is ready.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<String>>,
    /// Further tables for kofferd's configuration, taken as they are, such as `[kofferd.limits]`.
    #[serde(default)]
    pub kofferd: toml::Table,
}

/// `[case]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseSection {
    /// The gateway's name, third segment of every topic.
    pub gateway: String,
    /// Which broker.
    #[serde(default)]
    pub broker: BrokerKind,
    /// The broker's port on 127.0.0.1; 0 takes a free one.
    #[serde(default)]
    pub port: u16,
    /// The broker's port for MQTT over WebSocket on 127.0.0.1; 0 takes a free one, none if it is
    /// left out.
    #[serde(default)]
    pub websocket: Option<u16>,
}

/// Which broker the case has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerKind {
    /// The one within kofferd.
    #[default]
    Embedded,
    /// Debian's mosquitto with the configuration that koffer ships.
    Mosquitto,
}

/// `[clients.<name>]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientEntry {
    /// What it may do.
    pub role: ClientRole,
    /// The classes whose devices it may call; `*` for all.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// The contract's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientRole {
    /// Calls.
    Workstation,
    /// Calls, and puts things right.
    Technician,
    /// Reads.
    Monitor,
}

/// What is wrong with a case file.
#[derive(Debug, thiserror::Error)]
pub enum CaseFileError {
    /// Not there.
    #[error("{}: {source}; give the path of a file such as hw-fixtures/cases/demo.toml", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No TOML, an unknown key, a value of the wrong kind.
    #[error("{}: {source}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: toml::de::Error,
    },
    /// Values that cannot be, each with its field and remedy.
    #[error("{}:\n  {}", path.display(), mistakes.join("\n  "))]
    Mistakes {
        /// Which.
        path: PathBuf,
        /// One sentence each.
        mistakes: Vec<String>,
    },
}

/// The gateway's own user name.
pub(super) const KOFFERD: &str = "kofferd";

impl CaseFile {
    /// Reads and checks a file. Blocks.
    pub fn read(path: &Path) -> Result<Self, CaseFileError> {
        let text = std::fs::read_to_string(path).map_err(|source| CaseFileError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Checks a text; `path` is only for the messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, CaseFileError> {
        let case: Self = toml::from_str(text).map_err(|source| CaseFileError::Form {
            path: path.to_owned(),
            source,
        })?;
        let mistakes = case.mistakes();
        if mistakes.is_empty() {
            Ok(case)
        } else {
            Err(CaseFileError::Mistakes {
                path: path.to_owned(),
                mistakes,
            })
        }
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |good: bool, sentence: String| {
            if !good {
                mistakes.push(sentence);
            }
        };
        let name = "write lower-case letters, digits and hyphens, at most 64";
        let gateway = &self.case.gateway;
        check(
            gateway.parse::<GatewayId>().is_ok(),
            format!("case.gateway = \"{gateway}\" is no name: {name}"),
        );
        check(
            !self.clients.is_empty(),
            "clients: there are none, and nobody could watch the case; add [clients.ws-1]".into(),
        );
        for (client, entry) in &self.clients {
            check(
                client.parse::<ClientId>().is_ok() && client != KOFFERD,
                format!("clients.{client} is no name for a client: {name}, and not \"{KOFFERD}\""),
            );
            check(
                entry.role == ClientRole::Monitor || !entry.allow.is_empty(),
                format!("clients.{client}.allow is empty: name classes, such as [\"payment\"]"),
            );
        }
        let mut ports = BTreeMap::new();
        if self.case.port != 0 {
            ports.insert(self.case.port, "case.port".to_owned());
        }
        if let Some(port) = self.case.websocket.filter(|port| *port != 0) {
            let other = ports.insert(port, "case.websocket".to_owned());
            check(
                other.is_none(),
                format!("case.websocket = {port} is also case.port: choose another, or 0"),
            );
        }
        for (device, entry) in &self.devices {
            let id = device.parse::<DeviceId>();
            check(
                id.is_ok_and(|id| !id.is_gateway()),
                format!("devices.{device} is no name for a device: {name}, and not \"gateway\""),
            );
            for mistake in entry.simulated().mistakes() {
                check(false, format!("devices.{device}.{mistake}"));
            }
            let port = entry.simulated().port();
            if port != 0 {
                let field = format!("devices.{device}.port");
                if let Some(other) = ports.insert(port, field.clone()) {
                    check(
                        false,
                        format!("{field} = {port} is also {other}: choose another, or 0"),
                    );
                }
            }
        }
        let cards = self.devices.values();
        let cards = cards.filter(|entry| matches!(entry, DeviceEntry::Card(_)));
        check(
            cards.count() <= SLOTS,
            format!("devices: a case has at most {SLOTS} card terminals; remove the others"),
        );
        for (role, devices) in &self.roles {
            for device in devices {
                check(
                    self.devices.contains_key(device),
                    format!("roles.{role} names \"{device}\", which is not in [devices]"),
                );
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CaseFile, CaseFileError> {
        CaseFile::parse(text, Path::new("case.toml"))
    }

    #[test]
    fn the_cases_in_this_repository_are_in_order() {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
        let mut count = 0;
        for entry in std::fs::read_dir(cases).unwrap() {
            CaseFile::read(&entry.unwrap().path()).unwrap();
            count += 1;
        }
        assert!(count >= 3);
    }

    #[test]
    fn every_mistake_names_its_field_and_the_remedy() {
        let error = parse(
            r#"
            [case]
            gateway = "Case 7"
            port = 4711
            websocket = 4711
            [clients.kofferd]
            role = "workstation"
            [devices.gateway]
            simulator = "zvt"
            port = 4711
            [devices.serial]
            simulator = "zvt"
            line = "serial"
            port = 1
            profile = { password = "12" }
            [devices.printer]
            simulator = "ippeveprinter"
            port = 4711
            [devices.card-1]
            simulator = "card"
            pin = "12x4"
            application = "a000"
            files = { "1" = { text = "x" }, "0102" = { text = "longer", bytes = 3 }, "0103" = {} }
            [devices.card-2]
            simulator = "card"
            [devices.card-3]
            simulator = "card"
            [roles]
            till = ["other"]
            "#,
        )
        .unwrap_err()
        .to_string();
        for named in [
            "case.gateway = \"Case 7\" is no name: write",
            "case.websocket = 4711 is also case.port",
            "clients.kofferd is no name",
            "clients.kofferd.allow is empty",
            "devices.gateway is no name",
            "devices.gateway.port = 4711 is also case.websocket",
            "devices.serial.port means nothing",
            "devices.serial.profile.password: write six digits",
            "devices.printer.port = 4711 is also devices.gateway.port",
            "devices.card-1.pin: write",
            "devices.card-1.application: write",
            "devices.card-1.files.1: write four",
            "devices.card-1.files.0102.bytes: write at least 1, and the 6",
            "devices.card-1.files.0103.bytes: write at least 1",
            "at most 2 card terminals",
            "roles.till names \"other\"",
        ] {
            assert!(error.contains(named), "{named} in:\n{error}");
        }
        for (text, named) in [
            ("[case]\ngateway = \"a\"\ncolour = 1", "colour"),
            ("[case]\n", "gateway"),
            ("[case]\ngateway = \"a\"\nbroker = \"rabbit\"", "rabbit"),
            (
                "[case]\ngateway = \"a\"\n[devices.b]\nsimulator = \"fax\"",
                "fax",
            ),
            (
                "[case]\ngateway = \"a\"\n[devices.b]\nsimulator = \"card\"\nsheets = 1",
                "sheets",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.contains(named) && error.contains("case.toml"),
                "{error}"
            );
        }
    }
}
