//! Architecture invariants that a look at the tree can hold (ARCHITECTURE.md).

#![expect(clippy::expect_used, reason = "helpers of a test fail the test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names under `[dependencies]` of a crate.
fn dependencies(folder: &str) -> BTreeSet<String> {
    names(folder, "dependencies")
}

fn names(folder: &str, table: &str) -> BTreeSet<String> {
    let manifest = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(manifest).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("a TOML manifest");
    let table = manifest[table].as_table().expect("a table");
    table.keys().cloned().collect()
}

#[test]
fn the_contract_depends_on_no_runtime_and_does_no_io() {
    let allowed = [
        "base64",
        "base64-simd",
        "ciborium",
        "jiff",
        "schemars",
        "serde",
        "serde_ignored",
        "serde_json",
        "serde_path_to_error",
        "sha2",
        "thiserror",
    ];
    let unexpected: Vec<_> = dependencies("proto")
        .into_iter()
        .filter(|name| !allowed.contains(&name.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn a_driver_never_sees_mqtt_or_the_contract_s_json() {
    let drivers = dependencies("drivers");
    for forbidden in ["rumqttc", "mqtt5", "ciborium", "koffer-gateway"] {
        assert!(!drivers.contains(forbidden), "{forbidden}");
    }
    // A device may speak JSON; its codec reads it, and nobody else.
    let mut named = Vec::new();
    let mut folders = vec![root().join("drivers/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("codec.rs")
                && fs::read_to_string(&path).is_ok_and(|text| text.contains("serde_json"))
            {
                named.push(path);
            }
        }
    }
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn no_test_of_the_gateway_needs_what_depends_on_it() {
    for helper in ["koffer-tests", "koffer-bench", "koffer-fixtures"] {
        assert!(
            !names("gateway", "dev-dependencies").contains(helper),
            "{helper}"
        );
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).expect("the page");
    let mut missing = BTreeSet::new();
    for folder in [
        "proto",
        "settings",
        "drivers",
        "gateway",
        "hw-fixtures",
        "tests",
        "benches",
    ] {
        for name in dependencies(folder) {
            let own = name.starts_with("koffer-");
            if !own && !reasons.contains(&format!("`{name}`")) {
                missing.insert(name);
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no line in docs/dependencies.md: {missing:?}"
    );
}

#[test]
fn no_todo_stands_in_the_code() {
    let mut found = Vec::new();
    let mut folders: Vec<_> = [
        "proto",
        "settings",
        "drivers",
        "gateway",
        "hw-fixtures",
        "tests/src",
        "benches",
    ]
    .map(|f| root().join(f))
    .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let marks = ["TODO", "FIXME", "XXX:"];
                if marks.iter().any(|mark| text.contains(mark)) {
                    found.push(path);
                }
            }
        }
    }
    assert!(
        found.is_empty(),
        "put it into docs/known-gaps.md: {found:?}"
    );
}

#[test]
fn no_file_has_the_markers_of_a_merge() {
    let mut marked = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            if path.is_symlink() || ["target", ".git", "node_modules"].contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // What is no text has no lines.
            let text = fs::read_to_string(&path).unwrap_or_default();
            let is_marker =
                |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
            if text.lines().any(is_marker) {
                marked.push(path);
            }
        }
    }
    assert!(marked.is_empty(), "{marked:?}");
}
