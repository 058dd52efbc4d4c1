//! `kofferd --check`, as a technician runs it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

const SOUND: &str = "[gateway]\nid = \"case-7\"\n[clients.ws-1]\nrole = \"workstation\"\npassword = \"geheim\"\nallow = [\"*\"]\n";

#[expect(clippy::unwrap_used, reason = "set-up of the tests below")]
fn kofferd(folder: &Path, toml: &str, arguments: &[&str]) -> Output {
    let path = folder.join("kofferd.toml");
    fs::write(&path, toml).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_kofferd"))
        .arg("--config")
        .arg(path)
        .args(arguments)
        .env_clear()
        .env("LANG", "en_GB.UTF-8")
        .env("KOFFER__DEVICES__EC_TERMINAL__DRIVER", "zvt")
        .env("KOFFER__DEVICES__EC_TERMINAL__ADDRESS", "tcp://192.0.2.7")
        .output()
        .unwrap()
}

#[test]
fn a_sound_configuration_is_summed_up_with_its_warnings_and_ends_with_0() {
    let folder = TempDir::new().unwrap();
    let output = kofferd(folder.path(), SOUND, &["--check"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "configuration ok\n\
         gateway  case-7\n\
         broker   embedded, 127.0.0.1:1883\n\
         clients  ws-1\n\
         devices  ec-terminal (zvt, tcp://192.0.2.7:20007)\n\
         roles    -\n\
         rules    -\n"
    );
    let warnings = String::from_utf8(output.stderr).unwrap();
    assert_eq!(warnings.matches("warning: ").count(), 1, "{warnings}");
}

#[test]
fn mistakes_are_printed_in_the_language_asked_for_and_end_with_1() {
    let folder = TempDir::new().unwrap();
    let broken = format!("{SOUND}[gatewai]\n[limit]\n");
    for (arguments, line) in [
        (&["--check"][..], "2 mistakes in the configuration\n"),
        (
            &["--check", "--lang", "de"],
            "2 Fehler in der Konfiguration\n",
        ),
    ] {
        let output = kofferd(folder.path(), &broken, arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.ends_with(line), "{told}");
    }
}

#[test]
fn a_mistake_on_the_command_line_ends_with_2() {
    let folder = TempDir::new().unwrap();
    let output = kofferd(folder.path(), SOUND, &["--check", "--lang", "fr"]);
    assert_eq!(output.status.code(), Some(2));
}
