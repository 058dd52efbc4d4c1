//! Writes what is generated from the contract's types to `docs/contract`, or checks that what is
//! checked in is still the same.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use koffer_proto::schema;

#[path = "../../tests/frozen/mod.rs"]
mod frozen;

const WRITE: &str = "cargo run -p koffer-proto --bin koffer-contract -- write";

/// The folder that holds generated files and nothing else.
const GENERATED: &str = "schema";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contract");
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("write") => write(&root),
        Some("check") => check(&root),
        _ => {
            eprintln!("usage: koffer-contract write|check");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("koffer-contract: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The generated files: schemas, the AsyncAPI document, and the frozen messages as examples.
fn files() -> BTreeMap<String, String> {
    let mut files = schema::files();
    // What is not frozen yet is no example.
    let examples: serde_json::Map<_, serde_json::Value> = frozen::entries()
        .filter(|entry| entry.hex.is_some())
        .filter_map(|entry| {
            let example = serde_json::from_str(entry.json).ok()?;
            Some((entry.name.to_string(), example))
        })
        .collect();
    files.insert("examples.json".to_owned(), schema::file(examples.into()));
    files
}

fn write(root: &Path) -> io::Result<bool> {
    let files = files();
    for path in stale(root, &files)? {
        eprintln!("removing {path}");
        fs::remove_file(root.join(path))?;
    }
    for (path, content) in &files {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if read(&path)?.as_deref() != Some(content.as_bytes()) {
            fs::write(path, content)?;
        }
    }
    Ok(true)
}

fn check(root: &Path) -> io::Result<bool> {
    let files = files();
    let mut wrong = Vec::new();
    for (path, content) in &files {
        match read(&root.join(path))? {
            None => wrong.push(format!("{path} is missing")),
            Some(found) if found != content.as_bytes() => wrong.push(format!("{path} differs")),
            Some(_) => {}
        }
    }
    for path in stale(root, &files)? {
        wrong.push(format!("{path} is no longer generated"));
    }
    if wrong.is_empty() {
        return Ok(true);
    }
    eprintln!("docs/contract is not what the types say:");
    for line in wrong {
        eprintln!("  {line}");
    }
    eprintln!("To mend it, run: {WRITE}");
    Ok(false)
}

/// The files below the generated folder that nothing generates any more.
fn stale(root: &Path, files: &BTreeMap<String, String>) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join(GENERATED)];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(root).map_err(io::Error::other)?;
            let below = below.to_string_lossy().into_owned();
            if !files.contains_key(&below) {
                found.push(below);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
