//! The programs that are tested, as they were built.

use std::{env, path::PathBuf};

/// A program of this workspace, from the build that the tests are of.
///
/// # Panics
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let tests = env::current_exe().expect("a path");
    let built = tests.ancestors().nth(2).map(|folder| folder.join(name));
    let built = built.expect("target/<profile>");
    assert!(
        built.exists(),
        "{name} is not built: cargo build --workspace --bins"
    );
    built
}
