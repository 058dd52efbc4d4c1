//! Architecture invariants that the compiler does not hold: who may name which library.

#![expect(
    clippy::unwrap_used,
    reason = "a source file that cannot be read fails the test"
)]

use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Code lines below `gateway/src` that name `library`, outside `room`.
fn named_outside(library: &str, room: &str) -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    assert!(!files.is_empty());
    files
        .iter()
        .filter(|file| !file.starts_with(source.join(room)))
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let name = file.display().to_string();
            text.lines()
                .map(str::trim_start)
                .filter(|line| !line.starts_with("//") && line.contains(library))
                .map(|line| format!("{name}: {line}"))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn only_the_bus_names_the_mqtt_client() {
    assert_eq!(named_outside("rumqttc", "bus"), [""; 0]);
}

#[test]
fn only_the_embedded_broker_names_the_broker_crate() {
    assert_eq!(named_outside("mqtt5::", "broker"), [""; 0]);
}

#[test]
fn only_the_journal_names_the_database() {
    assert_eq!(named_outside("rusqlite", "journal"), [""; 0]);
}
