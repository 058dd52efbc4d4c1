//! Broken configurations, each with the complete list of its mistakes.

use std::fs;

use koffer_proto::Lang;

use super::{Case, SMALL, project};

/// Each `broken/*.toml` beside its `.txt`: every message, in English, then in German.
/// `KOFFER_BLESS=1` writes them anew; read what it wrote.
#[test]
fn every_mistake_is_reported_at_once_with_file_key_and_remedy_in_both_languages() {
    let folder = project().join("gateway/src/config/tests/broken");
    let mut tried = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let case = Case::new(&fs::read_to_string(&path).unwrap());
        let mistakes = case.load().unwrap_err().mistakes;
        let told = [Lang::En, Lang::De].map(|lang| case.lines(&mistakes, lang).join("\n"));
        let told = format!("{}\n\n{}\n", told[0], told[1]);
        let expected = path.with_extension("txt");
        if std::env::var_os("KOFFER_BLESS").is_some() {
            fs::write(expected, told).unwrap();
        } else {
            assert_eq!(told, fs::read_to_string(expected).unwrap(), "{path:?}");
        }
        tried += 1;
    }
    assert!(tried >= 18, "{tried} files");
}

#[test]
fn ten_mistakes_in_one_file_are_ten_messages() {
    let case = Case::new(include_str!("broken/ten-mistakes.toml"));
    assert_eq!(case.mistakes().len(), 10);
}

#[test]
fn what_cannot_be_read_is_reported_and_the_rest_is_checked_nevertheless() {
    let case = Case::new(SMALL);
    case.file(
        "kofferd.toml.d/10-latin1.toml",
        b"# ok\nx = \"\xe4\"",
        0o600,
    )
    .file("kofferd.toml.d/20-folder.toml/x", "", 0o600)
    .file(
        "kofferd.toml.d/30-large.toml",
        vec![b'#'; 1024 * 1024 + 1],
        0o600,
    )
    .file("kofferd.toml.d/40-typo.toml", "[gatewai]", 0o600);
    assert_eq!(
        case.mistakes(),
        [
            "kofferd.toml.d/10-latin1.toml:2: is not written in UTF-8 | Save the file as UTF-8 in the editor.",
            "kofferd.toml.d/20-folder.toml: cannot be read (Is a directory (os error 21)) | Check that kofferd.toml.d/20-folder.toml is a readable file: ls -l kofferd.toml.d/20-folder.toml",
            "kofferd.toml.d/30-large.toml: is larger than 1 MiB and is not read | Name the right file.",
            "kofferd.toml.d/40-typo.toml:1: gatewai: there is no such key | Did you mean \"gateway\"? Possible: gateway, limits, journal, log, mqtt, clients, devices, roles.",
        ]
    );
    fs::remove_file(case.path("kofferd.toml")).unwrap();
    fs::remove_dir_all(case.path("kofferd.toml.d")).unwrap();
    assert_eq!(
        case.mistakes(),
        [
            "kofferd.toml: cannot be read (No such file or directory (os error 2)) | Create the file (template: /usr/share/doc/koffer/kofferd.toml) or name another one with --config."
        ]
    );
}

#[test]
fn what_works_and_should_be_looked_at_is_a_warning() {
    let case = Case::new(
        "[gateway]\nid = \"case-7\"\n[mqtt.embedded]\nlisten = \"0.0.0.0:0\"\nwebsocket = \"0.0.0.0:0\"\n",
    );
    let open = "on 0.0.0.0:0 passwords and calls cross the network unencrypted | Listen on 127.0.0.1, or put an external broker with TLS in front.";
    assert_eq!(
        case.warnings(),
        [
            "kofferd.toml: clients: there are no clients | Add a table [clients.NAME] per workstation; without one nobody can call.",
            "kofferd.toml: devices: there are no devices | Add a table [devices.NAME] per device, or rules for what is plugged in (docs/rules.md).",
            &format!("kofferd.toml:4: mqtt.embedded.listen: {open}"),
            &format!("kofferd.toml:5: mqtt.embedded.websocket: {open}"),
        ]
    );
    let case = Case::new(&SMALL.replace("allow = [\"payment\"]", ""));
    assert_eq!(
        case.warnings()[0],
        "kofferd.toml:4: clients.ws-1.allow: this workstation may call nothing | Name the classes, e.g. allow = [\"payment\", \"document-printer\"]"
    );
}
