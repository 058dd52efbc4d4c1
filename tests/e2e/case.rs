//! Whole cases with real processes: kofferd, the brokers, the simulated terminals. Killed, restarted,
//! and at work again.
//!
//! Needs the programs beside the tests: `cargo build --workspace --bins` (which `make test` does).

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use koffer_fixtures::{
    case::{Case, CaseFile, CaseOptions},
    zvt::{Event, Fault, Kind, Step},
};
use koffer_tests::{client::Workstation, office::Broker};
use serde_json::json;

/// A program of this workspace, as built beside the tests.
fn program(name: &str) -> PathBuf {
    let tests = env::current_exe().expect("a path");
    let built = tests
        .ancestors()
        .nth(2)
        .expect("target/<profile>")
        .join(name);
    assert!(
        built.exists(),
        "{name} is not built: cargo build --workspace --bins"
    );
    built
}

/// A case of `hw-fixtures/cases`, with either broker.
async fn raise(name: &str, broker: Broker) -> Case {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hw-fixtures/cases");
    let path = folder.join(format!("{name}.toml"));
    let mut text = std::fs::read_to_string(&path).expect("a case");
    // The cases are slow enough to be followed by eye.
    for slow in ["inserts_after_ms", "pin_after_ms", "host_after_ms"] {
        text = text.replace(slow, &format!("# {slow}"));
    }
    if broker == Broker::Mosquitto {
        text = text.replace("[case]", "[case]\nbroker = \"mosquitto\"");
    }
    let file = CaseFile::parse(&text, &path).unwrap_or_else(|error| panic!("{error}"));
    let options = CaseOptions {
        kofferd: Some(program("kofferd")),
        sim_zvt: Some(program("sim-zvt")),
        ..CaseOptions::default()
    };
    Case::raise(&file, options)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn clerk(case: &Case) -> Workstation {
    let password = case.clients["ws-1"].password().expect("a password");
    Workstation::connect(case.broker.port(), "ws-1", &password).await
}

#[tokio::test]
async fn every_shipped_case_takes_a_payment_with_either_broker() {
    for broker in [Broker::Embedded, Broker::Mosquitto] {
        for name in ["demo", "three-terminals", "serial"] {
            let case = raise(name, broker).await;
            let clerk = clerk(&case).await;
            for (device, terminal) in &case.terminals {
                clerk.until_state(device, &["ready"]).await;
                let params = json!({"amount": {"cents": 3780, "currency": "EUR"}});
                let paid = clerk.ask(device, "pay", &params, 60).await;
                assert_eq!(paid["status"], "ok", "{name} {broker:?} {device}: {paid}");
                let ledger = terminal.control.ledger().await.expect("a ledger");
                assert_eq!(
                    ledger.list(Event::Booked).len(),
                    1,
                    "{name} {broker:?} {device}"
                );
            }
            case.stop().await;
        }
    }
}

#[tokio::test]
async fn a_killed_gateway_comes_back_and_works() {
    for broker in [Broker::Embedded, Broker::Mosquitto] {
        let mut case = raise("demo", broker).await;
        let params = json!({"amount": {"cents": 100, "currency": "EUR"}});
        for round in 1..=3 {
            let clerk = clerk(&case).await;
            clerk.until_state("ec-terminal", &["ready"]).await;
            let paid = clerk.ask("ec-terminal", "pay", &params, 60).await;
            assert_eq!(paid["status"], "ok", "{broker:?} {round}: {paid}");
            drop(clerk);
            case.kill_kofferd().await;
            case.restart_kofferd()
                .await
                .unwrap_or_else(|error| panic!("{broker:?}: {error}"));
        }
        let ledger = case.terminals["ec-terminal"]
            .control
            .ledger()
            .await
            .expect("a ledger");
        assert_eq!(ledger.list(Event::Booked).len(), 3, "{broker:?}");
        case.stop().await;
    }
}

#[tokio::test]
async fn a_terminal_that_dies_after_booking_leaves_an_unknown_outcome_and_returns() {
    let mut case = raise("demo", Broker::Embedded).await;
    let clerk = clerk(&case).await;
    clerk.until_state("ec-terminal", &["ready"]).await;
    let control = case.terminals["ec-terminal"].control.clone();
    let dies = Fault::new(Kind::Die).at(Step::Booked);
    control.faults(&[dies]).await.expect("a fault");
    let params = json!({"amount": {"cents": 100, "currency": "EUR"}});
    let unknown = clerk.ask("ec-terminal", "pay", &params, 30).await;
    assert_eq!(unknown["status"], "outcome-unknown", "{unknown}");
    clerk.until_state("ec-terminal", &["fault"]).await;
    tokio::time::timeout(Duration::from_secs(10), case.death())
        .await
        .expect("it died");
    case.restart_terminal("ec-terminal")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    clerk.until_state("ec-terminal", &["ready"]).await;
    let paid = clerk.ask("ec-terminal", "pay", &params, 60).await;
    assert_eq!(paid["status"], "ok", "{paid}");
    case.stop().await;
}
