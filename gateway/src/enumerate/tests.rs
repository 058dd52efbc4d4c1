//! Which thing is which device, in every order of plugging.

use std::time::Duration;

use koffer_proto::class::gateway::Attachment;
use tokio::time::Instant;

use super::{
    bindings::{ABSENT_AFTER, Bindings, Change},
    found::Found,
};
use crate::config::Config;

/// A case with these rules, and what happened to it.
struct Case {
    bindings: Bindings,
    now: Instant,
}

impl Case {
    fn new(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("case.toml");
        std::fs::write(&file, rules).unwrap();
        let toml = folder.path().join("kofferd.toml");
        let config = format!(
            "[gateway]\nid = \"case-7\"\nrules = [{file:?}]\n\
             [clients.ws-1]\nrole = \"workstation\"\npassword = \"geheim-1\"\n\
             [devices.till-0]\ndriver = \"zvt\"\naddress = \"serial:///dev/koffer/first\"\n"
        );
        std::fs::write(&toml, config).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&toml, private).unwrap();
        let (config, _) = Config::load(&toml, []).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let configured = config.devices.into_values().collect();
        Self {
            bindings: Bindings::new(config.rules, configured),
            now: Instant::now(),
        }
    }

    fn plug(&mut self, found: Found) -> Vec<String> {
        words(self.bindings.here(self.now, found))
    }

    fn pull(&mut self, node: &str) -> Vec<String> {
        words(self.bindings.gone(self.now, Attachment::Serial, node))
    }

    fn wait(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        words(self.bindings.pass_time(self.now))
    }

    /// What is attached, and the device, or the keyword of why it is none.
    fn told(&self) -> Vec<String> {
        let told = self.bindings.told().into_iter();
        told.map(|thing| {
            let device = thing.device.map(|device| device.to_string());
            let what = device.or(thing.reason.map(|reason| reason.keyword));
            format!("{}: {}", thing.name, what.unwrap_or_default())
        })
        .collect()
    }
}

fn words(changes: Vec<Change>) -> Vec<String> {
    let word = |change| match change {
        Change::In(device, driver) => format!("{device} in {}", driver.address()),
        Change::Pulled(device) => format!("{device} pulled"),
        Change::Out(device) => format!("{device} out"),
    };
    changes.into_iter().map(word).collect()
}

fn adapter(node: &str, port: &str, serial: Option<&str>) -> Found {
    Found {
        vid: Some("0403".to_owned()),
        pid: Some("6001".to_owned()),
        serial: serial.map(str::to_owned),
        port: Some(port.to_owned()),
        interface: Some("00".to_owned()),
        ..Found::new(Attachment::Serial, node)
    }
}

fn usb(port: &str, class: u8) -> Found {
    Found {
        port: Some(port.to_owned()),
        usb_classes: vec![class],
        ..Found::new(Attachment::Usb, port)
    }
}

const ONE: &str = r#"
[[rule]]
name = "ec-terminal"
match = { by = "serial", vid = "0403", pid = "6001" }
driver = "zvt"
"#;

const BY_PORT: &str = r#"
[[rule]]
name = "till-{port}"
match = { by = "serial", vid = "0403" }
driver = "zvt"
baud = 115200
"#;

#[test]
fn a_plug_out_for_a_moment_is_no_absence() {
    let mut case = Case::new(ONE);
    let first = adapter("/dev/ttyUSB0", "1-1", None);
    assert_eq!(
        case.plug(first.clone()),
        ["ec-terminal in serial:///dev/ttyUSB0?baud=9600"]
    );
    assert_eq!(
        case.plug(first.clone()),
        [""; 0],
        "the same again is no news"
    );
    assert_eq!(case.pull("/dev/ttyUSB0"), ["ec-terminal pulled"]);
    assert_eq!(case.wait(ABSENT_AFTER / 2), [""; 0]);
    // The old node may still be taken.
    let again = adapter("/dev/ttyUSB1", "1-1", None);
    assert_eq!(
        case.plug(again),
        ["ec-terminal in serial:///dev/ttyUSB1?baud=9600"]
    );
    assert_eq!(case.wait(ABSENT_AFTER), [""; 0]);
    assert_eq!(case.pull("/dev/ttyUSB1"), ["ec-terminal pulled"]);
    assert_eq!(case.pull("/dev/ttyUSB1"), [""; 0]);
    assert_eq!(case.wait(ABSENT_AFTER), ["ec-terminal out"]);
    assert_eq!(case.bindings.next_tick(), None);
}

#[test]
fn a_fixed_name_serves_one_thing_and_goes_to_the_next_when_that_is_gone_for_good() {
    let mut case = Case::new(ONE);
    case.plug(adapter("/dev/ttyUSB0", "1-1", None));
    assert_eq!(case.plug(adapter("/dev/ttyUSB1", "1-2", None)), [""; 0]);
    assert_eq!(
        case.told(),
        [
            "/dev/ttyUSB0: ec-terminal",
            "/dev/ttyUSB1: rule-taken",
            "serial:///dev/koffer/first?baud=9600: till-0"
        ]
    );
    case.pull("/dev/ttyUSB0");
    assert_eq!(case.plug(adapter("/dev/ttyUSB2", "1-3", None)), [""; 0]);
    assert_eq!(
        case.wait(ABSENT_AFTER),
        [
            "ec-terminal out",
            "ec-terminal in serial:///dev/ttyUSB1?baud=9600"
        ]
    );
}

#[test]
fn two_equal_things_have_names_by_their_sockets() {
    let mut case = Case::new(BY_PORT);
    for (node, port, name) in [
        ("/dev/ttyUSB0", "1-1.4", "till-1-1-4"),
        ("/dev/ttyUSB1", "1-2", "till-1-2"),
    ] {
        let expected = format!("{name} in serial://{node}?baud=115200");
        assert_eq!(case.plug(adapter(node, port, None)), [expected]);
    }
    // Both out, and in again in the other order: the nodes change, the names do not.
    case.pull("/dev/ttyUSB0");
    case.pull("/dev/ttyUSB1");
    assert_eq!(case.wait(ABSENT_AFTER), ["till-1-1-4 out", "till-1-2 out"]);
    assert_eq!(
        case.plug(adapter("/dev/ttyUSB0", "1-2", None)),
        ["till-1-2 in serial:///dev/ttyUSB0?baud=115200"]
    );
}

#[test]
fn what_is_no_device_has_a_reason() {
    let mut case = Case::new(
        r#"
[[rule]]
match = { by = "usb", port = "1-9" }
ignore = true
[[rule]]
name = "by-number-{serial}"
match = { by = "serial", vid = "0403" }
driver = "zvt"
"#,
    );
    for found in [
        adapter("/dev/ttyUSB0", "1-1", None),
        adapter("/dev/ttyUSB1", "1-2", Some(&"x".repeat(64))),
        adapter("/dev/ttyUSB2", "1-3", Some("A 10")),
        Found {
            vid: None,
            ..adapter("/dev/ttyUSB3", "1-4", None)
        },
        Found::new(Attachment::Serial, "/dev/ttyS0"),
        Found {
            links: vec!["/dev/koffer/first".to_owned()],
            ..Found::new(Attachment::Serial, "/dev/ttyS1")
        },
        Found::new(Attachment::Pcsc, "Some Reader 00 00"),
        usb("1-1", 0xff),
        usb("1-5", 0x07),
        usb("1-6", 0x0b),
        usb("1-9", 0x03),
    ] {
        case.plug(found);
    }
    assert_eq!(
        case.told(),
        [
            "Some Reader 00 00: no-rule",
            "/dev/ttyS0: configure-it",
            "/dev/ttyS1: till-0",
            "/dev/ttyUSB0: no-name",
            "/dev/ttyUSB1: no-name",
            "/dev/ttyUSB2: by-number-a-10",
            "/dev/ttyUSB3: no-rule",
            "1-5: no-rule",
            "1-6: see-pcsc",
            "1-9: ignored",
        ]
    );
    let told = case.bindings.told();
    let texts = told.iter().filter_map(|thing| thing.reason.as_ref());
    for text in texts.map(|reason| &reason.text) {
        assert!(!text.de.is_empty() && text.de != text.en);
    }
}

#[test]
fn a_rule_gives_a_card_reader_its_name_whatever_its_index() {
    let mut case = Case::new(
        r#"
[[rule]]
name = "card-terminal"
match = { by = "pcsc", reader = "*cyberJack*" }
driver = "pcsc"
"#,
    );
    let reader = |index: u8| {
        let name = format!("REINER SCT cyberJack 00 0{index}");
        Found::new(Attachment::Pcsc, name)
    };
    assert_eq!(
        case.plug(reader(0)),
        ["card-terminal in REINER SCT cyberJack 00 00"]
    );
    assert_eq!(case.plug(reader(1)), [""; 0], "the name is taken");
    let kinds = [Attachment::Pcsc];
    let gone = words(case.bindings.all(case.now, &kinds, vec![reader(1)]));
    assert_eq!(gone, ["card-terminal pulled"]);
    assert_eq!(
        case.wait(ABSENT_AFTER),
        [
            "card-terminal out",
            "card-terminal in REINER SCT cyberJack 00 01"
        ]
    );
}

#[test]
fn looking_at_everything_anew_finds_what_came_and_went_unheard() {
    let mut case = Case::new(BY_PORT);
    case.plug(adapter("/dev/ttyUSB0", "1-1", None));
    case.plug(Found::new(Attachment::Pcsc, "Some Reader 00 00"));
    let kinds = [Attachment::Serial, Attachment::Usb];
    let now = vec![adapter("/dev/ttyUSB1", "1-2", None)];
    let changes = words(case.bindings.all(case.now, &kinds, now));
    assert_eq!(
        changes,
        [
            "till-1-1 pulled",
            "till-1-2 in serial:///dev/ttyUSB1?baud=115200"
        ]
    );
    assert_eq!(case.told().len(), 3, "{:?}", case.told());
}

#[test]
fn one_socket_cannot_make_devices_without_end() {
    let mut case = Case::new(&BY_PORT.replace("{port}", "{serial}"));
    for number in 0..300 {
        case.plug(adapter("/dev/ttyUSB0", "1-1", Some(&format!("n{number}"))));
    }
    assert!(case.told().contains(&"/dev/ttyUSB0: too-many".to_owned()));
}
