//! Clients of other makers, each with its default client id, on either broker: they pay, print and
//! write a chip, and ask again. What was seen is docs/clients.md.
//!
//! Needs the programs beside the tests (`cargo test --workspace` builds them) and the libraries
//! (`scripts/prepare test`). What is missing fails the test.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

mod library;
mod matrix;
mod page;
mod samples;

use std::path::{Path, PathBuf};

use koffer_fixtures::case::{Case, CaseFile, CaseOptions};
use koffer_tests::office::Broker;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A case of `hw-fixtures/cases` with either broker and more tables, as quick as progress can be
/// told.
async fn raise(name: &str, broker: Broker, more: &str) -> Case {
    let path = root().join(format!("hw-fixtures/cases/{name}.toml"));
    let mut text = std::fs::read_to_string(&path).expect("a case");
    for (slow, quick) in [
        ("inserts_after_ms = 800", "inserts_after_ms = 80"),
        ("pin_after_ms = 700", "pin_after_ms = 70"),
        ("host_after_ms = 500", "host_after_ms = 50"),
        ("page_ms = 400", "page_ms = 40"),
    ] {
        text = text.replace(slow, quick);
    }
    text.push_str(more);
    if broker == Broker::Mosquitto {
        text = text.replace("[case]", "[case]\nbroker = \"mosquitto\"");
    }
    let file = CaseFile::parse(&text, &path).unwrap_or_else(|error| panic!("{error}"));
    let options = CaseOptions {
        wait_for_devices: false,
        ..CaseOptions::default()
    };
    Case::raise(&file, options)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What a program finds the gateway of a case by, as docs/first-payment.md says.
fn settings(case: &Case, broker: String, user: &str) -> [(&'static str, String); 4] {
    let file = &case.clients[user].password_file;
    [
        ("KOFFER_BROKER", broker),
        ("KOFFER_GATEWAY", case.file.case.gateway.clone()),
        ("KOFFER_USER", user.to_owned()),
        ("KOFFER_PASSWORD_FILE", file.display().to_string()),
    ]
}
