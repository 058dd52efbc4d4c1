//! Plugged in, out, and in again.

use std::time::{Duration, Instant};

use koffer_fixtures::{
    card::fake_pcscd::FakePcscd,
    zvt::{Cardholder, Event, Terminal},
};
use serde_json::json;

use super::{
    ONE,
    bed::{Bed, adapter, stranger},
    gateway::{Gateway, unbound},
    pay, terminal, until,
};

#[tokio::test]
async fn a_serial_terminal_is_plugged_in_out_and_in_again_and_pays_each_time() {
    let mut bed = Bed::make().await;
    let gateway = Gateway::start(&bed, ONE, "").await;
    let terminal = terminal(gateway.home.path(), "line").await;
    let line = gateway.home.path().join("line");
    let clerk = gateway.workstation().await;

    // It has its place before it was ever there.
    let absent = clerk.until_state("ec-terminal", &["absent"]).await;
    assert_eq!(absent["reasons"][0]["keyword"], "not-attached", "{absent}");
    let params = json!({"amount": {"cents": 100, "currency": "EUR"}});
    let refused = clerk.ask("ec-terminal", "pay", &params, 10).await;
    assert_eq!(refused["status"], "unavailable", "{refused}");
    assert_eq!(refused["effect"], "none", "{refused}");

    let mut generation = 0;
    for (round, (port, node)) in [("1-1", "ttyUSB0"), ("1-1", "ttyUSB1"), ("1-2.3", "ttyUSB0")]
        .into_iter()
        .enumerate()
    {
        bed.plug(&adapter(port, node, None, &line)).await;
        generation = until(&clerk, "ec-terminal", "ready", generation + 1).await;
        let paid = pay(&clerk, "ec-terminal").await;
        assert_eq!(paid["device"], "ec-terminal");
        let ledger = terminal.control.ledger().await.expect("a ledger");
        assert_eq!(ledger.list(Event::Booked).len(), round + 1);

        bed.unplug(port).await;
        let pulled = Instant::now();
        clerk.until_state("ec-terminal", &["absent"]).await;
        let after = pulled.elapsed();
        assert!(after >= Duration::from_millis(1500), "debounced: {after:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_terminal_that_is_back_at_once_was_never_absent() {
    let mut bed = Bed::make().await;
    let gateway = Gateway::start(&bed, ONE, "").await;
    let _terminal = terminal(gateway.home.path(), "line").await;
    let line = gateway.home.path().join("line");
    let clerk = gateway.workstation().await;
    bed.plug(&adapter("1-1", "ttyUSB0", None, &line)).await;
    let generation = until(&clerk, "ec-terminal", "ready", 1).await;

    let states = "koffer/1/case-7/dev/ec-terminal/state";
    let user = gateway.user();
    let mut states = user.subscribe(&[states], &["-F", "%p"]);
    states.until("\"ready\"").await;
    bed.unplug("1-1").await;
    bed.plug(&adapter("1-1", "ttyUSB0", None, &line)).await;
    let shown = states.until("\"ready\"").await;
    assert!(
        !shown.iter().any(|state| state.contains("\"absent\"")),
        "{shown:?}"
    );
    until(&clerk, "ec-terminal", "ready", generation + 1).await;
    pay(&clerk, "ec-terminal").await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_nobody_knows_is_named_with_the_reason_and_leaves_nothing_behind() {
    let mut bed = Bed::make().await;
    bed.plug(&stranger("1-4")).await;
    let gateway = Gateway::start(&bed, ONE, "").await;
    let clerk = gateway.workstation().await;
    let retained = gateway.retained().await;
    let expected = vec![("1-4".to_owned(), "no-rule".to_owned())];
    assert_eq!(unbound(&clerk).await, expected, "there from the start");
    let said = gateway.kofferctl(&["devices", "--unbound"]).await;
    for word in [
        "1-4",
        "1234:5678",
        "Acme Stranger",
        "No rule fits.",
        "vid = \"1234\"",
    ] {
        assert!(said.contains(word), "{word} is missing: {said}");
    }

    bed.unplug("1-4").await;
    until_unbound(&clerk, &[]).await;
    let said = gateway.kofferctl(&["devices", "--unbound"]).await;
    assert!(
        said.contains("Everything attached is used by a device."),
        "{said}"
    );
    bed.plug(&stranger("1-5")).await;
    until_unbound(&clerk, &[("1-5", "no-rule")]).await;
    let answer = clerk.ask("gateway", "attached", &json!({}), 10).await;
    let thing = &answer["result"]["attached"][0];
    assert_eq!(
        thing["usb_classes"],
        json!(["07"]),
        "from its descriptors: {answer}"
    );
    assert_eq!(gateway.retained().await, retained);
    gateway.stop().await;
}

#[tokio::test]
async fn two_equal_adapters_have_names_by_their_sockets_and_a_role() {
    let rules = ONE.replace("ec-terminal", "till-{port}");
    let one_name = "[roles]\ntill = [\"till-1-1\", \"till-1-2-4\"]\n";
    let mut bed = Bed::make().await;
    let gateway = Gateway::start(&bed, &rules, one_name).await;
    let home = gateway.home.path();
    let (first, second) = (
        terminal(home, "first").await,
        terminal(home, "second").await,
    );
    let clerk = gateway.workstation().await;
    let params = json!({"amount": {"cents": 100, "currency": "EUR"}});
    let nobody = clerk.ask("till", "pay", &params, 10).await;
    assert_eq!(nobody["status"], "unknown-device", "{nobody}");

    // The second first: the role works with whichever is there.
    bed.plug(&adapter("1-2.4", "ttyUSB0", None, &home.join("second")))
        .await;
    until(&clerk, "till-1-2-4", "ready", 1).await;
    assert_eq!(pay(&clerk, "till").await["device"], "till-1-2-4");
    bed.plug(&adapter("1-1", "ttyUSB1", None, &home.join("first")))
        .await;
    until(&clerk, "till-1-1", "ready", 1).await;
    assert_eq!(pay(&clerk, "till").await["device"], "till-1-1");

    // Out and in again, in the other order: other nodes, the same names, the same terminals.
    for port in ["1-1", "1-2.4"] {
        bed.unplug(port).await;
    }
    for device in ["till-1-1", "till-1-2-4"] {
        clerk.until_state(device, &["absent"]).await;
    }
    bed.plug(&adapter("1-1", "ttyUSB0", None, &home.join("first")))
        .await;
    bed.plug(&adapter("1-2.4", "ttyUSB1", None, &home.join("second")))
        .await;
    for (device, terminal) in [("till-1-1", &first), ("till-1-2-4", &second)] {
        until(&clerk, device, "ready", 2).await;
        pay(&clerk, device).await;
        let ledger = terminal.control.ledger().await.expect("a ledger");
        assert_eq!(ledger.list(Event::Booked).len(), 2, "{device}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_second_of_two_equal_adapters_waits_for_a_fixed_name() {
    let mut bed = Bed::make().await;
    let gateway = Gateway::start(&bed, ONE, "").await;
    let home = gateway.home.path();
    let (_first, second) = (
        terminal(home, "first").await,
        terminal(home, "second").await,
    );
    let clerk = gateway.workstation().await;
    bed.plug(&adapter("1-1", "ttyUSB0", None, &home.join("first")))
        .await;
    until(&clerk, "ec-terminal", "ready", 1).await;
    bed.plug(&adapter("1-2", "ttyUSB1", None, &home.join("second")))
        .await;
    until_unbound(&clerk, &[("/dev/ttyUSB1", "rule-taken")]).await;
    bed.unplug("1-1").await;
    until(&clerk, "ec-terminal", "ready", 2).await;
    pay(&clerk, "ec-terminal").await;
    let ledger = second.control.ledger().await.expect("a ledger");
    assert_eq!(ledger.list(Event::Booked).len(), 1);
    assert_eq!(unbound(&clerk).await, []);
    gateway.stop().await;
}

#[tokio::test]
async fn a_configured_line_counts_as_bound_and_no_rule_takes_it() {
    let mut bed = Bed::make().await;
    let configured =
        "[devices.till-9]\ndriver = \"zvt\"\naddress = \"serial:///dev/ttyUSB0?baud=115200\"\n";
    let gateway = Gateway::start(&bed, ONE, configured).await;
    let _terminal = terminal(gateway.home.path(), "line").await;
    let line = gateway.home.path().join("line");
    let clerk = gateway.workstation().await;
    bed.plug(&adapter("1-1", "ttyUSB0", None, &line)).await;
    until(&clerk, "till-9", "ready", 1).await;
    pay(&clerk, "till-9").await;
    assert_eq!(unbound(&clerk).await, []);
    clerk.until_state("ec-terminal", &["absent"]).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_card_reader_has_the_name_that_a_rule_gives_it() {
    let rules = r#"
[[rule]]
name = "card-terminal"
match = { by = "pcsc", reader = "*cyberJack*" }
driver = "pcsc"
"#;
    let bed = Bed::make().await;
    let gateway = Gateway::start(&bed, rules, "").await;
    let clerk = gateway.workstation().await;
    clerk.until_state("card-terminal", &["absent"]).await;
    let pcscd = FakePcscd::start(&gateway.home.path().join("pcscd")).expect("a pcscd");
    pcscd.plug("Another Reader 00 00", false);
    let mut generation = 0;
    for index in 0..3 {
        let name = format!("REINER SCT cyberJack 00 0{index}");
        pcscd.plug(&name, false);
        generation = until(&clerk, "card-terminal", "ready", generation + 1).await;
        until_unbound(&clerk, &[("Another Reader 00 00", "no-rule")]).await;
        pcscd.unplug(&name);
        clerk.until_state("card-terminal", &["absent"]).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_terminal_pulled_out_in_the_middle_of_a_payment_ends_it_with_the_truth() {
    let mut bed = Bed::make().await;
    let gateway = Gateway::start(&bed, ONE, "").await;
    let home = gateway.home.path();
    let line = home.join("line");
    let clerk = gateway.workstation().await;
    let mut generation = 0;
    // With a driver that hears nothing of it, and with the line gone as the kernel hangs it up.
    for hangs_up in [false, true] {
        let terminal = terminal(home, "line").await;
        bed.plug(&adapter("1-1", "ttyUSB0", None, &line)).await;
        until(&clerk, "ec-terminal", "ready", generation + 1).await;
        let booked = booked(&terminal).await;
        let slow = Cardholder {
            inserts_after_ms: 600_000,
            ..Cardholder::default()
        };
        terminal.control.next(&[slow]).await.expect("a cardholder");
        let params = json!({"amount": {"cents": 3780, "currency": "EUR"}});
        let mut payment = clerk.call("ec-terminal", "pay", &params, 120).await;
        payment
            .progress(|progress| progress["event"] == "terminal-text")
            .await;
        if hangs_up {
            terminal.stop().await;
            bed.unplug("1-1").await;
        } else {
            // The driver ends it at the terminal, as if its time were over.
            let pulled = Instant::now();
            bed.unplug("1-1").await;
            let ended = payment.completion().await;
            assert_eq!(ended["status"], "timed-out", "{ended}");
            assert!(pulled.elapsed() < Duration::from_mins(1), "{ended}");
            terminal.stop().await;
        }
        clerk.until_state("ec-terminal", &["absent"]).await;

        // Back in: what was left open is told, and never against the terminal's ledger.
        let terminal = super::terminal(home, "line").await;
        bed.plug(&adapter("1-1", "ttyUSB0", None, &line)).await;
        let ended = payment.completion().await;
        match ended["effect"].as_str() {
            Some("none") => {}
            Some("unknown") => assert!(hangs_up && ended["status"] == "outcome-unknown", "{ended}"),
            _ => panic!("{ended}"),
        }
        assert_eq!(self::booked(&terminal).await, booked);
        assert_eq!(clerk.completions()[&payment.id].len(), 1);
        // Ready, or at fault until a person has said what became of the payment.
        let back = clerk.until_state("ec-terminal", &["ready", "fault"]).await;
        generation = back["generation"].as_u64().expect("a generation");
        let asked = clerk.ask("ec-terminal", "status", &json!({}), 30).await;
        assert_eq!(asked["status"], "ok", "{asked} {back}");
        terminal.stop().await;
        bed.unplug("1-1").await;
        clerk.until_state("ec-terminal", &["absent"]).await;
    }
    gateway.stop().await;
}

async fn booked(terminal: &Terminal) -> usize {
    let ledger = terminal.control.ledger().await.expect("a ledger");
    ledger.list(Event::Booked).len()
}

async fn until_unbound(clerk: &koffer_tests::client::Workstation, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, keyword)| ((*name).to_owned(), (*keyword).to_owned()))
        .collect();
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let unbound = unbound(clerk).await;
        if unbound == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{unbound:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
