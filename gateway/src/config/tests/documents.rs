//! The example and the reference say what the code does.

use std::fs;

use config::{FileFormat, Format};

use koffer_settings::Preset;

use super::{
    super::{reference, rule_sections, rules_reference, sections},
    Case, project,
};

const BEGIN: &str = "<!-- begin: keys -->\n";
const END: &str = "<!-- end: keys -->";

#[test]
fn every_default_and_every_example_is_a_value_that_would_be_read() {
    for key in sections()
        .chain(rule_sections())
        .flat_map(|section| section.keys)
    {
        assert!(key.default_is_valid(), "{}", key.name());
        let mut table = FileFormat::Toml.parse(None, key.example()).unwrap();
        let name = if key.name() == "<role>" {
            "forms-printer"
        } else {
            key.name()
        };
        let value = table.remove(name).unwrap();
        assert!(key.example_is_valid(&value), "{}", key.example());
    }
}

#[test]
fn the_shipped_example_is_in_order_and_shows_every_key_with_its_default() {
    let toml = fs::read_to_string(project().join("systemd/kofferd.toml")).unwrap();
    let mut case = Case::new(&toml);
    case.file("credentials/secrets_ws-1", "geheim\n", 0o400);
    let folder = case.path("credentials").display().to_string();
    case.env("CREDENTIALS_DIRECTORY", &folder);
    case.file("kofferd.toml", &toml, 0o644);
    assert_eq!(case.warnings(), [""; 0]);

    let keys = sections().flat_map(|section| section.keys);
    for key in keys.filter(|key| key.name() != "<role>") {
        let lines: Vec<_> = toml
            .lines()
            .filter_map(|line| {
                line.trim_start_matches('#')
                    .strip_prefix(key.name())?
                    .strip_prefix(" = ")
            })
            .collect();
        assert!(!lines.is_empty(), "{} is not shown", key.name());
        if let Preset::Value(default) = key.preset()
            // Lists are written otherwise in TOML.
            && !["allow", "rules"].contains(&key.name())
        {
            let shown = lines.iter().any(|line| line.trim_matches('"') == default);
            assert!(
                shown,
                "{} is shown with {lines:?}, its default is {default}",
                key.name()
            );
        }
    }
}

#[test]
fn configuration_md_lists_exactly_the_keys_of_the_code() {
    lists_exactly("docs/configuration.md", &reference());
}

#[test]
fn rules_md_lists_exactly_the_keys_of_the_code() {
    lists_exactly("docs/rules.md", &rules_reference());
}

fn lists_exactly(document: &str, reference: &str) {
    let path = project().join(document);
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("KOFFER_BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{reference}{END}{after}")).unwrap();
        return;
    }
    assert!(
        written == reference,
        "{document} is out of date: KOFFER_BLESS=1 cargo test -p koffer-gateway keys_of_the_code"
    );
}
