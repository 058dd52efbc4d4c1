//! Content that goes to a file instead of the screen.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use koffer_proto::Sha256;
use serde_json::Value;

use super::reading::{bytes, text};
use super::texts;
use super::trouble::Trouble;

/// Writes the content of a result to a file that only its owner reads, once its digest is right.
pub(super) fn save(result: &Value, path: &Path) -> Result<(), Trouble> {
    let content = bytes(result, "content");
    let saved = if text(result, "sha256") == Sha256::of(&content).to_string() {
        write(path, &content)
    } else {
        Err(io::Error::other("SHA-256"))
    };
    saved.map_err(|error| Trouble::Unsaved(texts::unsaved(&path.display(), &error)))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
