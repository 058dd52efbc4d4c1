//! Devices that are plugged in and out, on a machine that umockdev mocks: `kofferd` as a process,
//! a simulated terminal on the line of a mocked adapter.
//!
//! Needs the programs beside the tests, which `cargo test --workspace` builds.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

mod bed;
mod cycles;
mod gateway;
mod plugging;

use std::{path::Path, time::Duration};

use koffer_fixtures::zvt::{Plug, Terminal, TerminalConfig};
use koffer_tests::client::Workstation;
use serde_json::{Value, json};

/// Any adapter of this kind is the one terminal.
pub(crate) const ONE: &str = r#"
[[rule]]
name = "ec-terminal"
match = { by = "serial", vid = "0403", pid = "6001" }
driver = "zvt"
tells_busy = true
baud = 115200
"#;

/// A terminal whose line is the link `name`.
pub(crate) async fn terminal(folder: &Path, name: &str) -> Terminal {
    let config = TerminalConfig {
        plug: Plug::Pty(Some(folder.join(name))),
        ..TerminalConfig::tcp(folder.join(format!("{name}.ledger")))
    };
    Terminal::start(config).await.expect("the terminal starts")
}

/// A payment that must be ok.
pub(crate) async fn pay(clerk: &Workstation, device: &str) -> Value {
    let params = json!({"amount": {"cents": 3780, "currency": "EUR"}});
    let paid = clerk.ask(device, "pay", &params, 60).await;
    assert_eq!(paid["status"], "ok", "{paid}");
    paid
}

/// Waits until `device` shows `state` in a generation from `least` on, and answers that.
pub(crate) async fn until(clerk: &Workstation, device: &str, state: &str, least: u64) -> u64 {
    let shown = async {
        loop {
            let document = clerk.until_state(device, &[state]).await;
            let generation = document["generation"].as_u64().unwrap_or_default();
            if generation >= least {
                return generation;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_mins(1), shown).await;
    reached.unwrap_or_else(|_| {
        panic!(
            "{device} does not become {state} in generation {least}: {:?}",
            clerk.state(device)
        )
    })
}
