//! The contract's examples, for tests.

use std::{fs, path::Path};

use serde_json::{Map, Value};

/// Every example, by its name.
pub(crate) fn all() -> Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contract/examples.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The example of this name.
pub(crate) fn named(name: &str) -> Value {
    all()
        .remove(name)
        .unwrap_or_else(|| panic!("no example {name}"))
}
