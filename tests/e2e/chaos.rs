//! A short chaos run, as `make chaos` does a long one. The seed is one under which every process is
//! killed, and the gateway on a full disk, too.
//!
//! Needs the programs beside the tests, which `cargo test --workspace` builds.

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn whatever_is_killed_cut_or_full_each_payment_and_print_happens_once_and_is_told() {
    let run = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args([
            "run",
            "--seed",
            "20",
            "--payments",
            "100",
            "--prints",
            "100",
        ])
        .args(["--minutes", "4"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    let why = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}\n{why}");
    let report: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    for found in ["doubles", "forgotten", "unknown_but_knowable", "untrue"] {
        assert_eq!(report[found], 0, "{told}");
    }
    for done in ["payments", "prints"] {
        assert_eq!(report[done], 100, "{told}");
    }
    assert!(report["kills"].as_u64() > Some(2), "{told}");
}
