//! Whole cases with real processes: kofferd, the brokers, the simulated terminals, ippeveprinter,
//! pcscd. Killed, restarted, and at work again.
//!
//! Needs the programs beside the tests, which `cargo test --workspace` builds.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

use std::{env, path::Path, time::Duration};

use koffer_fixtures::{
    case::{Case, CaseCardTerminal, CaseFile, CaseOptions, CasePrinter, CaseTerminal},
    zvt::{Event, Fault, Kind, Step},
};
use koffer_proto::Blob;
use koffer_tests::{
    built::program,
    client::Workstation,
    office::{BROKERS, Broker},
};
use serde_json::json;

/// A case of `hw-fixtures/cases`, with either broker.
async fn raise(name: &str, broker: Broker) -> Case {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hw-fixtures/cases");
    let path = folder.join(format!("{name}.toml"));
    let mut text = std::fs::read_to_string(&path).expect("a case");
    // The cases are slow enough to be followed by eye.
    for slow in [
        "inserts_after_ms",
        "pin_after_ms",
        "host_after_ms",
        "page_ms",
    ] {
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

/// The file of the demo's chip.
const ADDRESS: u16 = 0x0101;

async fn pays(clerk: &Workstation, device: &str, terminal: &CaseTerminal) {
    let params = json!({"amount": {"cents": 3780, "currency": "EUR"}});
    let paid = clerk.ask(device, "pay", &params, 60).await;
    assert_eq!(paid["status"], "ok", "{device}: {paid}");
    let ledger = terminal.control.ledger().await.expect("a ledger");
    assert_eq!(ledger.list(Event::Booked).len(), 1, "{device}");
}

async fn prints(clerk: &Workstation, device: &str, printer: &CasePrinter) {
    let before = printer.home.printed().expect("a tray").len();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("../hw-fixtures/documents/anschrift.pdf");
    let form = Blob::from(std::fs::read(path).expect("the form"));
    let document = json!({
        "format": "application/pdf", "sha256": form.sha256(), "content": form,
    });
    let params = json!({"document": document});
    let done = clerk.ask(device, "print", &params, 60).await;
    assert_eq!(done["status"], "ok", "{device}: {done}");
    assert_eq!(done["result"]["sheets"], 2, "{device}: {done}");
    let tray = printer.home.printed().expect("a tray");
    assert_eq!(tray.len(), before + 1, "{device}");
    let came_out = tray.iter().any(|(_, content)| content == form.as_bytes());
    assert!(came_out, "{device}: another document came out");
}

async fn writes(clerk: &Workstation, device: &str, terminal: &CaseCardTerminal) {
    let address = Blob::from(b"Marktplatz 1".to_vec());
    let file = json!({"path": "3f00/0101"});
    let write = json!({"file": file, "content": address});
    let written = clerk.ask(device, "write", &write, 60).await;
    assert_eq!(written["status"], "ok", "{device}: {written}");
    let holds = terminal.with_card(|card| card.file(ADDRESS));
    assert!(holds.starts_with(address.as_bytes()), "{device}");
    let read = json!({"file": file, "length": 12});
    let back = clerk.ask(device, "read", &read, 60).await;
    assert_eq!(
        back["result"]["content"],
        json!(address),
        "{device}: {back}"
    );
    let kept = std::fs::read(terminal.files.join("0101.bin")).expect("the chip's file");
    assert!(kept == holds, "{device}");
}

#[tokio::test]
async fn every_shipped_case_pays_prints_and_writes_with_either_broker() {
    for broker in [Broker::Embedded, Broker::Mosquitto] {
        let mut devices = 0;
        for name in ["demo", "three-terminals", "serial"] {
            let case = raise(name, broker).await;
            let clerk = clerk(&case).await;
            for device in case.file.devices.keys() {
                clerk.until_state(device, &["ready"]).await;
            }
            for (device, terminal) in &case.terminals {
                pays(&clerk, device, terminal).await;
            }
            for (device, printer) in &case.printers {
                prints(&clerk, device, printer).await;
            }
            for (device, terminal) in &case.card_terminals {
                writes(&clerk, device, terminal).await;
            }
            devices += case.terminals.len() + case.printers.len() + case.card_terminals.len();
            case.stop().await;
        }
        assert_eq!(devices, 8, "{broker:?}");
    }
}

#[tokio::test]
async fn a_role_goes_to_the_printer_that_has_paper() {
    let case = raise("demo", Broker::Embedded).await;
    let clerk = clerk(&case).await;
    prints(&clerk, "forms-printer", &case.printers["forms-printer-1"]).await;
    let first = &case.printers["forms-printer-1"].home;
    first.load_paper(0).await.expect("no paper");
    // Nobody knows yet that the first has none: the call moves on.
    prints(&clerk, "forms-printer", &case.printers["forms-printer-2"]).await;
    case.stop().await;
}

#[tokio::test]
async fn a_killed_printer_and_a_killed_card_service_come_back_and_work() {
    let mut case = raise("demo", Broker::Embedded).await;
    let clerk = clerk(&case).await;
    let (printer, card) = ("forms-printer-1", "card-terminal");
    prints(&clerk, printer, &case.printers[printer]).await;
    writes(&clerk, card, &case.card_terminals[card]).await;
    case.kill_printer(printer).await.expect("a printer");
    case.kill_pcscd().await;
    for device in [printer, card] {
        clerk.until_state(device, &["fault", "absent"]).await;
    }
    // The others know nothing of it.
    pays(&clerk, "ec-terminal", &case.terminals["ec-terminal"]).await;
    case.restart_printer(printer)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    case.restart_pcscd()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    for device in [printer, card] {
        clerk.until_state(device, &["ready"]).await;
    }
    // The reader is there before its card is seen; a refused call did nothing.
    let file = json!({"file": {"path": "3f00/0101"}});
    let seen = async { while clerk.ask(card, "read", &file, 10).await["status"] != "ok" {} };
    tokio::time::timeout(Duration::from_mins(1), seen)
        .await
        .expect("the card is seen again");
    // What came out before is still there.
    prints(&clerk, printer, &case.printers[printer]).await;
    writes(&clerk, card, &case.card_terminals[card]).await;
    case.stop().await;
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
async fn a_terminal_that_dies_after_booking_comes_back_and_tells_that_it_took_the_payment_back() {
    let mut case = raise("demo", Broker::Embedded).await;
    let clerk = clerk(&case).await;
    clerk.until_state("ec-terminal", &["ready"]).await;
    let params = json!({"amount": {"cents": 100, "currency": "EUR"}});
    let first = clerk.ask("ec-terminal", "pay", &params, 60).await;
    assert_eq!(first["status"], "ok", "{first}");

    let control = case.terminals["ec-terminal"].control.clone();
    let dies = Fault::new(Kind::Die).at(Step::Booked);
    control.faults(&[dies]).await.expect("a fault");
    let params = json!({"amount": {"cents": 250, "currency": "EUR"}});
    let mut booked = clerk.call("ec-terminal", "pay", &params, 60).await;
    tokio::time::timeout(Duration::from_secs(30), case.death())
        .await
        .expect("it died");
    case.restart_terminal("ec-terminal")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    // Its status information was never acknowledged, and its books say what it made of that.
    let booked = booked.completion().await;
    assert_eq!(booked["status"], "device-fault", "{booked}");
    assert_eq!(booked["effect"], "none", "{booked}");
    assert_eq!(booked["detail"]["cause"], "taken-back", "{booked}");
    clerk.until_state("ec-terminal", &["ready"]).await;
    let again = clerk.ask("ec-terminal", "pay", &params, 60).await;
    assert_eq!(again["status"], "ok", "{again}");
    case.stop().await;
}

#[tokio::test]
async fn a_gateway_killed_in_the_middle_of_a_payment_tells_afterwards_what_became_of_it() {
    for broker in BROKERS {
        let mut case = raise("demo", broker).await;
        let control = case.terminals["ec-terminal"].control.clone();
        let params = |cents: u32| json!({"amount": {"cents": cents, "currency": "EUR"}});
        let clerk_before = clerk(&case).await;
        clerk_before.until_state("ec-terminal", &["ready"]).await;
        let first = clerk_before
            .call_as("first", "ec-terminal", "pay", &params(100), 60)
            .await
            .completion()
            .await;
        assert_eq!(first["status"], "ok", "{broker:?}: {first}");

        // The citizen takes the time to find the card, and the gateway dies meanwhile.
        let slow = json!({"cardholder": {"inserts_after_ms": 4000}});
        control.set(slow).await.expect("a slow cardholder");
        let mut cut = clerk_before
            .call_as("cut", "ec-terminal", "pay", &params(250), 60)
            .await;
        cut.progress(|event| event["event"] == "terminal-text")
            .await;
        case.kill_kofferd().await;
        case.restart_kofferd()
            .await
            .unwrap_or_else(|error| panic!("{broker:?}: {error}"));

        // Asked again under its id it is joined, not run; the terminal's books tell the rest.
        let clerk = clerk(&case).await;
        let again = clerk
            .call_as("cut", "ec-terminal", "pay", &params(250), 60)
            .await
            .completion()
            .await;
        let ledger = control.ledger().await.expect("a ledger");
        let count = |event| ledger.entries().iter().filter(|e| e.event == event).count();
        let stands = count(Event::Booked) - count(Event::AutoReversed);
        let told = match (again["status"].as_str(), again["effect"].as_str()) {
            (Some("ok"), _) => 2,
            (Some(_), Some("none")) => 1,
            _ => panic!("{broker:?}: it could be known: {again}"),
        };
        assert_eq!(stands, told, "{broker:?}: {again}");

        // What had ended before is answered again, to the letter.
        let replayed = clerk
            .call_as("first", "ec-terminal", "pay", &params(100), 60)
            .await
            .completion()
            .await;
        assert_eq!(replayed, first, "{broker:?}");
        let other = self::clerk(&case)
            .await
            .call_as("first", "ec-terminal", "pay", &params(101), 60)
            .await
            .completion()
            .await;
        assert_eq!(other["status"], "conflict", "{broker:?}: {other}");
        let ledger = control.ledger().await.expect("a ledger");
        let booked = ledger.entries().iter().filter(|e| e.event == Event::Booked);
        assert!(booked.count() <= 2, "{broker:?}: nothing was booked again");
        case.stop().await;
    }
}
