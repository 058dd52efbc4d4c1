//! `docs/contract` is what the types say.

use std::process::Command;

#[test]
fn the_checked_in_schemas_and_examples_are_what_the_types_say() {
    let check = Command::new(env!("CARGO_BIN_EXE_koffer-contract"))
        .arg("check")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{told}");
}
