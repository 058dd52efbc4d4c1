//! kofferd's configuration for a case.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::access::ClientAccess;
use super::file::{BrokerKind, CaseFile, ClientRole, KOFFERD};

fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

fn path(path: &Path) -> Value {
    text(path.display().to_string())
}

fn table(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Table {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// The TOML that kofferd is started with.
pub(super) fn configuration(
    case: &CaseFile,
    port: u16,
    websocket: Option<u16>,
    secrets: &Path,
    clients: &BTreeMap<String, ClientAccess>,
    places: &BTreeMap<String, String>,
) -> Table {
    let broker = format!("127.0.0.1:{port}");
    let mqtt = match case.case.broker {
        BrokerKind::Embedded => {
            let mut embedded = table([("listen", text(broker))]);
            if let Some(port) = websocket {
                embedded.insert("websocket".into(), text(format!("127.0.0.1:{port}")));
            }
            table([
                ("broker", text("embedded")),
                ("embedded", Value::Table(embedded)),
            ])
        }
        BrokerKind::Mosquitto => table([
            ("broker", text("external")),
            (
                "external",
                Value::Table(table([
                    ("address", text(broker)),
                    ("username", text(KOFFERD)),
                    ("password_file", path(&secrets.join(KOFFERD))),
                ])),
            ),
        ]),
    };
    let mut configuration = table([
        (
            "gateway",
            Value::Table(table([("id", text(&case.case.gateway))])),
        ),
        ("mqtt", Value::Table(mqtt)),
        ("clients", Value::Table(client_tables(case, clients))),
        ("devices", Value::Table(device_tables(case, places))),
    ]);
    if !case.roles.is_empty() {
        let roles = case.roles.iter().map(|(role, devices)| {
            let devices = devices.iter().map(text).collect();
            (role.clone(), Value::Array(devices))
        });
        configuration.insert("roles".into(), Value::Table(roles.collect()));
    }
    for (section, more) in &case.kofferd {
        match (configuration.get_mut(section), more) {
            (Some(Value::Table(own)), Value::Table(more)) => own.extend(more.clone()),
            _ => {
                configuration.insert(section.clone(), more.clone());
            }
        }
    }
    configuration
}

fn client_tables(case: &CaseFile, clients: &BTreeMap<String, ClientAccess>) -> Table {
    let tables = case.clients.iter().map(|(name, entry)| {
        let role = match entry.role {
            ClientRole::Workstation => "workstation",
            ClientRole::Technician => "technician",
            ClientRole::Monitor => "monitor",
        };
        let mut client = table([("role", text(role))]);
        // An external broker keeps the passwords itself.
        if case.case.broker == BrokerKind::Embedded
            && let Some(access) = clients.get(name)
        {
            client.insert("password_file".into(), path(&access.password_file));
        }
        if !entry.allow.is_empty() {
            let classes = entry.allow.iter().map(text).collect();
            client.insert("allow".into(), Value::Array(classes));
        }
        (name.clone(), Value::Table(client))
    });
    tables.collect()
}

fn device_tables(case: &CaseFile, places: &BTreeMap<String, String>) -> Table {
    let tables = case.devices.iter().map(|(name, entry)| {
        let simulated = entry.simulated();
        let place = places.get(name).map_or("", String::as_str);
        let mut device = table(simulated.configuration(place));
        device.extend(simulated.more().clone());
        (name.clone(), Value::Table(device))
    });
    tables.collect()
}
