//! Where passwords may stand, and who may read them.

use std::fs;

use super::{Case, SMALL};

const WITHOUT_PASSWORD: &str = "[gateway]\nid = \"case-7\"\n[clients.ws-1]\nrole = \"workstation\"\nallow = [\"*\"]\n[devices.t]\ndriver = \"zvt\"\naddress = \"tcp://127.0.0.1\"\n";

/// A configuration whose client's password file has this content and mode.
fn with_file(content: impl AsRef<[u8]>, mode: u32) -> Case {
    let case = Case::new("");
    case.file("ws-1.password", content, mode);
    let path = case.path("ws-1.password");
    let line = WITHOUT_PASSWORD.replace("allow =", &format!("password_file = {path:?}\nallow ="));
    case.file("kofferd.toml", line, 0o644);
    case
}

fn password(case: &Case) -> String {
    let client = &case.config().clients[&"ws-1".parse().unwrap()];
    client.password.as_ref().unwrap().reveal().to_owned()
}

#[test]
fn a_password_is_one_line_of_a_file_that_only_its_owner_reads() {
    for content in ["geheim", "geheim\n", "geheim\r\n"] {
        let case = with_file(content, 0o600);
        assert_eq!(password(&case), "geheim");
        assert_eq!(case.warnings(), [""; 0]);
    }
    assert_eq!(
        with_file("geheim", 0o640).warnings(),
        [
            "kofferd.toml:5: clients.ws-1.password_file: the password file ws-1.password is open to a whole group | chmod 600 ws-1.password"
        ]
    );
    assert_eq!(
        with_file("geheim", 0o644).mistakes(),
        [
            "kofferd.toml:5: clients.ws-1.password_file: the password file ws-1.password is open to everybody | chmod 600 ws-1.password"
        ]
    );
}

#[test]
fn a_password_file_without_a_password_is_refused() {
    let long = "x".repeat(1025);
    let one_line = "Write exactly one line with the password into ws-1.password.";
    for (content, what) in [
        (&b""[..], "the password is empty"),
        (b"\n", "the password is empty"),
        (
            b"a\nb\n",
            "the password is too long or contains control characters",
        ),
        (
            long.as_bytes(),
            "the password is too long or contains control characters",
        ),
        (&[0xff], "the password is not written in UTF-8"),
    ] {
        assert_eq!(
            with_file(content, 0o600).mistakes(),
            [format!(
                "kofferd.toml:5: clients.ws-1.password_file: ws-1.password: {what} | {one_line}"
            )]
        );
    }
    let gone = with_file("", 0o600);
    fs::remove_file(gone.path("ws-1.password")).unwrap();
    assert_eq!(
        gone.mistakes(),
        [
            "kofferd.toml:5: clients.ws-1.password_file: the password file ws-1.password cannot be read (No such file or directory (os error 2)) | Put the password there: install -m 600 /dev/stdin ws-1.password"
        ]
    );
}

#[test]
fn a_credential_is_what_systemd_loaded_for_the_unit() {
    let mut case = Case::new(
        &WITHOUT_PASSWORD.replace("allow =", "password_file = \"credential:ws-1\"\nallow ="),
    );
    // The group bits are the mask of systemd's access list.
    case.file("credentials/secrets_ws-1", "geheim\n", 0o440);
    let folder = case.path("credentials").display().to_string();
    case.env("CREDENTIALS_DIRECTORY", &folder);
    assert_eq!(password(&case), "geheim");
    assert_eq!(case.warnings(), [""; 0]);
}

#[test]
fn a_password_within_the_configuration_is_warned_about_and_refused_where_all_can_read_it() {
    let case = Case::new(SMALL);
    assert_eq!(
        case.warnings(),
        [
            "kofferd.toml:6: clients.ws-1.password: the password stands in the configuration itself; whoever reads that knows it | Put it into the file /etc/koffer/secrets/ws-1 that only root reads, and write: password_file = \"credential:ws-1\""
        ]
    );
    case.file("kofferd.toml", SMALL, 0o644);
    assert_eq!(
        case.mistakes(),
        [
            "kofferd.toml:6: clients.ws-1.password: the password stands in a file that everybody can read | Put it into the file /etc/koffer/secrets/ws-1 that only root reads, and write: password_file = \"credential:ws-1\" (Or: chmod o-rwx kofferd.toml)"
        ]
    );
}

#[test]
fn the_zvt_password_of_every_manual_needs_no_guard_and_any_other_does() {
    let case = with_file("geheim", 0o600);
    let toml = fs::read_to_string(case.path("kofferd.toml")).unwrap();
    case.file(
        "kofferd.toml",
        format!("{toml}password = \"000000\"\n"),
        0o644,
    );
    assert_eq!(case.warnings(), [""; 0]);
    case.file(
        "kofferd.toml",
        format!("{toml}password = \"123456\"\n"),
        0o644,
    );
    assert_eq!(case.mistakes().len(), 1);
    case.file(
        "kofferd.toml",
        format!("{toml}password = \"123456\"\n"),
        0o600,
    );
    assert_eq!(case.warnings().len(), 1);
    case.file("zvt.password", "12345", 0o600);
    let file = format!("{toml}password_file = {:?}\n", case.path("zvt.password"));
    case.file("kofferd.toml", file, 0o644);
    assert_eq!(
        case.mistakes(),
        [
            "kofferd.toml:10: devices.t.password_file: zvt.password: a ZVT password has exactly six digits | Write exactly one line with the password into zvt.password."
        ]
    );
}

#[test]
fn nothing_shows_a_password() {
    let case = Case::new(SMALL);
    let config = case.config();
    let shown = format!("{config:?}{}", config.summary(koffer_proto::Lang::En));
    assert!(!shown.contains("geheim"), "{shown}");
    // Not even where it has the wrong type or form.
    let case = Case::new(
        &SMALL
            .replace("\"geheim-1\"", "987654321")
            .replace("address =", "password = \"98765\"\naddress ="),
    );
    let shown = format!("{:?}", case.load().unwrap_err());
    assert!(!shown.contains("98765"), "{shown}");
}
