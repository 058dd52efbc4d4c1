//! What printers and card readers are connected to.

use super::{Case, project};

/// A certificate that a printer signed for itself, and its digest as `openssl x509 -outform der |
/// sha256sum` says it.
const CERTIFICATE: &str = include_str!("printer.pem");
const DIGEST: &str = "51896fae28a31452b5459135edf8d4f4ede53723378224b6caa9d9620c1257f1";

fn printer(address: &str, certificate: &str) -> Case {
    let case = Case::new("");
    let path = case.path("printer.pem").display().to_string();
    case.file("printer.pem", certificate, 0o644);
    let toml = format!(
        "[gateway]\nid = \"case-7\"\n[devices.a4]\ndriver = \"ipp\"\naddress = \"{address}\"\ncertificate_file = \"{path}\"\n"
    );
    case.file("kofferd.toml", toml, 0o600);
    case
}

#[test]
fn a_printer_and_a_reader_are_configured_by_their_place() {
    let case = Case::new(
        "[gateway]\nid = \"case-7\"\n\
         [devices.a4]\ndriver = \"ipp\"\naddress = \"ipp://192.0.2.8\"\n\
         [devices.card]\ndriver = \"pcsc\"\nreader = \"Virtual PCD*\"\n",
    );
    let config = case.config();
    let told: Vec<_> = config
        .devices
        .values()
        .map(|device| {
            let driver = &device.driver;
            (
                driver.factory().class.as_str(),
                driver.factory().name,
                driver.address(),
            )
        })
        .collect();
    let at = "ipp://192.0.2.8:631/ipp/print".to_owned();
    let reader = "Virtual PCD*".to_owned();
    assert_eq!(
        told,
        [
            ("document-printer", "ipp", at),
            ("card-terminal", "pcsc", reader)
        ]
    );
}

#[test]
fn the_certificate_of_a_printer_is_read_from_its_file() {
    // What else stands in the file does not matter.
    for pem in [CERTIFICATE, &format!("subject=CN = a\n{CERTIFICATE}")] {
        let config = printer("ipps://192.0.2.8", pem).config();
        let shown = format!("{:?}", config.devices);
        assert!(shown.contains(DIGEST), "{shown}");
    }
}

#[test]
fn a_certificate_that_is_none_or_of_no_use_is_a_mistake() {
    let half = &CERTIFICATE[..CERTIFICATE.len() / 2];
    let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (address, pem, expected) in [
        (
            "ipps://192.0.2.8",
            "",
            "there is no certificate in PEM form",
        ),
        (
            "ipps://192.0.2.8",
            half,
            "there is no certificate in PEM form",
        ),
        ("ipps://192.0.2.8", other, "cannot be understood"),
        ("ipp://192.0.2.8", CERTIFICATE, "shows no certificate"),
    ] {
        let mistakes = printer(address, pem).mistakes();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(
            mistakes[0].contains("devices.a4.certificate_file: "),
            "{mistakes:?}"
        );
        assert!(mistakes[0].contains(expected), "{mistakes:?}");
    }
}

/// polkit has to let exactly the unit's user to the readers.
#[test]
fn the_polkit_rule_names_the_user_of_the_unit() {
    let read = |name: &str| std::fs::read_to_string(project().join("systemd").join(name)).unwrap();
    let unit = read("kofferd.service");
    let user = unit.lines().find_map(|line| line.strip_prefix("User="));
    let rule = read("koffer.polkit.rules");
    assert!(rule.contains(&format!("subject.user == \"{}\"", user.unwrap())));
}
