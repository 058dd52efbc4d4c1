//! Drop-ins and environment.

use std::{net::SocketAddr, os::unix::ffi::OsStringExt};

use koffer_drivers::DriverConfig;
use koffer_proto::Class;

use super::{super::*, Case, SMALL};
use crate::{Secret, calls::ClientRole};

#[test]
fn a_small_configuration_is_filled_with_defaults() {
    let case = Case::new(SMALL);
    let config = case.config();
    assert_eq!(config.gateway.id.as_str(), "case-7");
    assert_eq!(config.limits.queue_per_device, 16);
    assert_eq!(
        config.mqtt,
        MqttConfig::Embedded(EmbeddedBroker {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            websocket: None,
        })
    );
    let client = &config.clients[&"ws-1".parse().unwrap()];
    assert_eq!(client.role, ClientRole::Workstation);
    assert!(client.allow.permits(Class::Payment));
    assert!(!client.allow.permits(Class::Scanner));
    let device = &config.devices[&"ec-terminal".parse().unwrap()];
    assert_eq!(device.driver.factory().class, Class::Payment);
}

#[test]
fn a_later_drop_in_overrides_single_keys_and_leaves_the_others() {
    let case = Case::new(SMALL);
    case.file("kofferd.toml.d/20-town.toml", "[gateway]\nid = \"case-20\"", 0o600)
        .file(
            "kofferd.toml.d/10-maker.toml",
            "[gateway]\nid = \"case-10\"\n[devices.ec-terminal]\nreceipts = \"terminal\"\n[devices.two]\ndriver = \"zvt\"\naddress = \"tcp://127.0.0.1:20008\"",
            0o600,
        )
        .file("kofferd.toml.d/.99-editor.toml", "no toml", 0o600)
        .file("kofferd.toml.d/99-note.txt", "no toml", 0o600);
    let config = case.config();
    assert_eq!(config.gateway.id.as_str(), "case-20");
    assert_eq!(config.devices.len(), 2);
    let terminal = terminal(&config);
    assert_eq!(terminal.address(), "tcp://127.0.0.1:20007");
    assert!(format!("{terminal:?}").contains("receipts: AtTerminal"));
}

#[test]
fn the_environment_overrides_files_and_reaches_names_with_hyphens() {
    let mut case = Case::new(SMALL);
    case.file(
        "kofferd.toml.d/10.toml",
        "[limits]\nqueue_per_device = 3",
        0o600,
    );
    case.env("KOFFER__LIMITS__QUEUE_PER_DEVICE", "5")
        .env(
            "KOFFER__DEVICES__EC_TERMINAL__ADDRESS",
            "serial:///dev/ttyS0",
        )
        .env("KOFFER__DEVICES__EC_TERMINAL__REVERSE_ONLY_LAST", "true")
        .env("KOFFER__DEVICES__EC_TERMINAL__SHOWS_BOOKS", "false")
        .env("KOFFER__DEVICES__EC_TERMINAL__PASSWORD", "012345")
        .env("KOFFER__CLIENTS__WS_1__ALLOW", "payment, card-terminal")
        .env("KOFFER__ROLES__MAIN_TILL", "ec-terminal")
        .env("KOFFER_LOG", "debug")
        .env("KOFFERX__GATEWAY__ID", "other");
    let config = case.config();
    assert_eq!(config.limits.queue_per_device, 5);
    let terminal = terminal(&config);
    assert_eq!(terminal.address(), "serial:///dev/ttyS0?baud=9600");
    let shown = format!("{terminal:?}");
    assert!(shown.contains("reverse_only_last: true"), "{shown}");
    assert!(shown.contains("shows_books: false"), "{shown}");
    assert!(
        config.clients[&"ws-1".parse().unwrap()]
            .allow
            .permits(Class::CardTerminal)
    );
    assert_eq!(config.roles[&"main-till".parse().unwrap()].len(), 1);
}

#[test]
fn a_mistake_in_the_environment_is_reported_under_its_variable() {
    let mut case = Case::new(SMALL);
    case.env("KOFFER__LIMITS__QUEUE_PER_DEVICE", "many")
        .env("KOFFER__GATEWAY", "x")
        .env("KOFFER__GATEWAY____ID", "x")
        .env("KOFFER__A__B__C__D__E__F__G__H__I", "x")
        .env("KOFFER__GATEWAY__IDD", "x");
    case.environment
        .push(("KOFFER__LOG__FILTER".into(), OsString::from_vec(vec![0xff])));
    let form = "names no key | Write KOFFER__SECTION__KEY, e.g. KOFFER__GATEWAY__ID.";
    assert_eq!(
        case.mistakes(),
        [
            &format!("$KOFFER__A__B__C__D__E__F__G__H__I: {form}"),
            &format!("$KOFFER__GATEWAY: {form}"),
            "$KOFFER__GATEWAY__IDD: gateway.idd: there is no such key | Did you mean \"id\"? Possible: id, shutdown_grace_ms, health_interval_ms, rules.",
            &format!("$KOFFER__GATEWAY____ID: {form}"),
            "$KOFFER__LIMITS__QUEUE_PER_DEVICE: limits.queue_per_device: this is text | Expected: a whole number from 1 to 1024.",
            "$KOFFER__LOG__FILTER: does not hold UTF-8 | Set the value in UTF-8.",
        ]
    );
}

#[test]
fn an_external_broker_keeps_the_clients_passwords_itself() {
    let case = Case::new(
        r#"
        [gateway]
        id = "case-7"
        [mqtt]
        broker = "external"
        [mqtt.external]
        address = "unix:/run/mosquitto/mqtt.sock"
        password = "geheim"
        [clients.board]
        role = "monitor"
        "#,
    );
    let config = case.config();
    assert_eq!(
        config.mqtt,
        MqttConfig::External(ExternalBroker {
            address: BrokerAddress::Unix("/run/mosquitto/mqtt.sock".into()),
            username: "kofferd".to_owned(),
            password: Secret::new("geheim"),
        })
    );
    assert_eq!(config.clients[&"board".parse().unwrap()].password, None);
}

/// The payment terminal of the small configuration.
fn terminal(config: &Config) -> &dyn DriverConfig {
    config.devices[&"ec-terminal".parse().unwrap()]
        .driver
        .as_ref()
}
