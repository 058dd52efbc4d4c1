//! Architecture invariants that the compiler does not hold: who may name which library.

#![expect(
    clippy::unwrap_used,
    reason = "a source file that cannot be read fails the test"
)]

use std::path::{Path, PathBuf};

use koffer_drivers::DRIVERS;

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

/// The lines of code in `folder`, each with its file: no comments, no tests.
fn code_lines(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    sources(folder, &mut files);
    assert!(!files.is_empty());
    files
        .iter()
        .filter(|file| !file.components().any(|part| part.as_os_str() == "tests"))
        .filter(|file| file.file_name().is_none_or(|name| name != "tests.rs"))
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let name = file.display().to_string();
            text.split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default()
                .lines()
                .map(str::trim_start)
                .filter(|line| !line.starts_with("//"))
                .map(|line| (name.clone(), line.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
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

#[test]
fn the_gateway_names_no_driver_and_no_protocol() {
    // How a reader is attached is a word of the contract, which a driver happens to share.
    let allowed = ["Attachment::Pcsc"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = Vec::new();
    for (file, line) in code_lines(&source) {
        let line = allowed
            .iter()
            .fold(line, |line, word| line.replace(word, ""));
        let words: Vec<_> = line
            .split(|c: char| !c.is_ascii_alphanumeric())
            .map(str::to_ascii_lowercase)
            .collect();
        let driver = DRIVERS
            .iter()
            .any(|driver| words.iter().any(|word| word == driver.name));
        let class = ["card", "payment", "printer", "position", "power"];
        let path = class
            .iter()
            .any(|class| line.contains(&format!("koffer_drivers::{class}")));
        if driver || path {
            named.push(format!("{file}: {line}"));
        }
    }
    assert_eq!(named, [""; 0]);
}
