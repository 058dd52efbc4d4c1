//! What a payment terminal does when all goes well, on both kinds of line.

use crate::byte_ecr::*;
use koffer_fixtures::zvt::{Card, Cardholder, Event, Ledger, Pin, Terminal, Until};
use serde_json::json;

async fn both(dir: &std::path::Path) -> [Terminal; 2] {
    let (tcp, serial) = (dir.join("tcp"), dir.join("serial"));
    std::fs::create_dir_all(&tcp).unwrap();
    std::fs::create_dir_all(&serial).unwrap();
    [
        start(config(&tcp)).await,
        start(serial_config(&serial)).await,
    ]
}

fn kinds(heard: &[Message]) -> Vec<u16> {
    let mut kinds: Vec<u16> = heard
        .iter()
        .map(|message| u16::from_be_bytes([message.0[0], message.0[1]]))
        .collect();
    kinds.dedup();
    kinds
}

#[tokio::test]
async fn a_payment_goes_through_its_steps_in_order_on_both_lines() {
    let dir = tempfile::tempdir().unwrap();
    for terminal in both(dir.path()).await {
        let mut ecr = registered(&terminal).await;
        let heard = ecr.run(PAY).await.unwrap();
        assert_eq!(
            kinds(&heard),
            [0x8000, 0x04FF, 0x040F, 0x04FF, 0x06D1, 0x04FF, 0x060F]
        );
        let shown: Vec<u8> = heard
            .iter()
            .filter(|message| message.is(0x04, 0xFF))
            .map(|message| message.body()[0])
            .collect();
        assert_eq!(shown, [0x0A, 0x01, 0x04, 0x1C, 0x0B]);
        let result = heard.iter().find(|message| message.is(0x04, 0x0F)).unwrap();
        for field in [
            "27 00",
            "04 000000003780",
            "49 0978",
            "29 68000123",
            "87 0001",
            "0B 000001",
            "22 F0F8 672590EEEEEE4711",
            "8B F0F9 6769726F63617264 00",
        ] {
            assert!(result.has(field), "{field} in {result:?}");
        }
        assert!(!result.has("37 000001"));
        let ledger = terminal.control.ledger().await.unwrap();
        let events: Vec<Event> = ledger.entries().iter().map(|entry| entry.event).collect();
        assert_eq!(events, [Event::Started, Event::Booked, Event::Acknowledged]);
        assert_eq!(ledger.sum(), 3780);
    }
}

#[tokio::test]
async fn ten_euros_ten_survive_the_doubling_of_10_on_a_serial_line() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = start(serial_config(dir.path())).await;
    let mut ecr = registered(&terminal).await;
    let heard = ecr.run("0601 07 04 000000001010").await.unwrap();
    assert!(heard.iter().any(|message| message.has("04 000000001010")));
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 1010);
}

#[tokio::test]
async fn who_prints_and_whether_the_terminal_shows_its_steps_is_the_ecrs_choice() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = Ecr::connect(&terminal).await;
    for (registration, expected) in [
        ("0600 06 000000 00 0978", vec![0x8000, 0x040F, 0x060F]),
        ("0600 06 000000 02 0978", vec![0x8000, 0x040F, 0x060F]),
        (
            "0600 06 000000 82 0978",
            vec![0x8000, 0x040F, 0x06D1, 0x060F],
        ),
        (
            "0600 06 000000 08 0978",
            vec![0x8000, 0x04FF, 0x040F, 0x04FF, 0x060F],
        ),
    ] {
        ecr.run(registration).await.unwrap();
        assert_eq!(kinds(&ecr.run(PAY).await.unwrap()), expected);
    }
    let answer = ecr.run(REGISTER_BLOCKS).await.unwrap();
    assert!(answer[1].has("06 03 14 01 FE"), "{answer:?}");
    let heard = ecr.run(PAY).await.unwrap();
    let blocks: Vec<&Message> = heard.iter().filter(|m| m.is(0x06, 0xD3)).collect();
    assert!(blocks[0].has("1F07 01 01") && blocks[0].text().contains("Händlerbeleg"));
    assert!(blocks[1].has("1F07 01 02") && blocks[1].text().contains("Kundenbeleg"));
    assert!(heard[1].has("06") && heard[1].text().contains("Bitte Karte einstecken"));
}

#[tokio::test]
async fn the_whole_card_number_is_only_on_the_merchants_copy_and_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let whole = |heard: &[Message]| {
        let lines = heard.iter().filter(|message| message.is(0x06, 0xD1));
        lines
            .filter(|line| line.text().contains("6725900000044711"))
            .count()
    };
    assert_eq!(whole(&ecr.run(PAY).await.unwrap()), 0);
    let open = json!({"open_pan_on_merchant_copy": true});
    terminal.control.set(open).await.unwrap();
    let heard = ecr.run(PAY).await.unwrap();
    assert_eq!(whole(&heard), 1);
    ecr.run(REGISTER_BLOCKS).await.unwrap();
    let heard = ecr.run(PAY).await.unwrap();
    let open: Vec<bool> = heard
        .iter()
        .filter(|message| message.is(0x06, 0xD3))
        .map(|block| block.text().contains("6725900000044711"))
        .collect();
    assert_eq!(open, [true, false]);
    let on_disk = std::fs::read_to_string(dir.path().join("ledger.jsonl")).unwrap();
    assert!(!on_disk.contains("6725900000044711"));
}

#[tokio::test]
async fn the_cardholder_decides_how_a_payment_ends() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let usual = config(dir.path()).profile.cardholder;
    let with = |pin: &[Pin], host_result| Cardholder {
        pin: pin.to_vec(),
        host_result,
        ..usual.clone()
    };
    let (ok, wrong, cancel) = (Pin::Ok, Pin::Wrong, Pin::Cancel);
    for (person, ending) in [
        (with(&[ok], 0), "060F 00"),
        (with(&[], 0), "060F 00"),
        (with(&[wrong, ok], 0), "060F 00"),
        (with(&[cancel], 0), "061E 01 6C"),
        (with(&[wrong, wrong, wrong], 0), "061E 01 55"),
        (with(&[ok], 0x05), "061E 01 05"),
        (
            Cardholder {
                comes: false,
                ..usual.clone()
            },
            "061E 01 6C",
        ),
    ] {
        terminal
            .control
            .set(json!({"card_timeout_ms": 50}))
            .await
            .unwrap();
        terminal.control.next(&[person]).await.unwrap();
        let heard = ecr.run(PAY).await.unwrap();
        assert_eq!(heard.last().unwrap().0, hex(ending));
        let declined = heard.iter().any(|m| m.is(0x04, 0x0F) && !m.has("27 00"));
        assert_eq!(declined, matches!(ending, "061E 01 55" | "061E 01 05"));
    }
    let ledger = terminal.control.ledger().await.unwrap();
    assert_eq!(ledger.sum(), 3 * 3780);
    assert_eq!(ledger.list(Event::Declined).len(), 2);
    assert_eq!(ledger.list(Event::Cancelled).len(), 2);
}

#[tokio::test]
async fn an_abort_is_taken_until_the_host_is_asked_and_then_refused() {
    let dir = tempfile::tempdir().unwrap();
    for terminal in both(dir.path()).await {
        let mut ecr = registered(&terminal).await;
        let slow = json!({"cardholder": {"inserts_after_ms": 30_000}});
        terminal.control.set(slow).await.unwrap();
        ecr.say(PAY).await.unwrap();
        assert!(ecr.hear().await.unwrap().is(0x80, 0x00));
        assert_eq!(ecr.next().await.unwrap().body()[0], 0x0A);
        ecr.say(ABORT).await.unwrap();
        assert!(ecr.hear().await.unwrap().is(0x80, 0x00));
        assert_eq!(ecr.next().await.unwrap().0, hex("061E 01 6C"));

        let at_host = json!({"cardholder": {"inserts_after_ms": 0, "host_after_ms": 400}});
        terminal.control.set(at_host).await.unwrap();
        ecr.say(PAY).await.unwrap();
        let shown = ecr.until(0x04, 0xFF).await.unwrap();
        assert_eq!(shown.body()[0], 0x0A);
        ecr.say(ACK).await.unwrap();
        while ecr.next().await.unwrap().body()[0] != 0x04 {}
        ecr.say(ABORT).await.unwrap();
        assert_eq!(ecr.hear().await.unwrap().0, hex("8483 00"));
        assert!(ecr.finish().await.unwrap().last().unwrap().is(0x06, 0x0F));
        assert_eq!(terminal.control.ledger().await.unwrap().sum(), 3780);
    }
}

#[tokio::test]
async fn an_enquiry_during_a_payment_is_answered_busy_and_belongs_to_itself() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let slow = json!({"cardholder": {"pin_after_ms": 300}});
    terminal.control.set(slow).await.unwrap();
    ecr.say(PAY).await.unwrap();
    while ecr.until(0x04, 0xFF).await.unwrap().body()[0] != 0x01 {
        ecr.say(ACK).await.unwrap();
    }
    ecr.say(ACK).await.unwrap();
    ecr.say(STATUS).await.unwrap();
    assert!(ecr.hear().await.unwrap().is(0x80, 0x00));
    assert_eq!(ecr.next().await.unwrap().0, hex("060F 01 9C"));
    ecr.say(PAY).await.unwrap();
    assert_eq!(ecr.hear().await.unwrap().0, hex("849C 00"));
    assert_eq!(
        ecr.finish().await.unwrap().last().unwrap().0,
        hex("060F 00")
    );
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 3780);
}

#[tokio::test]
async fn a_payment_can_be_reversed_once_and_only_if_it_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    ecr.run(PAY).await.unwrap();
    let reverse = "0630 06 000000 87 0001";
    let heard = ecr.run(reverse).await.unwrap();
    let result = heard.iter().find(|message| message.is(0x04, 0x0F)).unwrap();
    assert!(result.has("37 000001") && result.has("0B 000002") && result.has("87 0002"));
    assert_eq!(
        ecr.run(reverse).await.unwrap().last().unwrap().0,
        hex("061E 01 B4")
    );
    let unknown = ecr.run("0630 06 000000 87 0099").await.unwrap();
    assert_eq!(unknown.last().unwrap().0, hex("061E 01 B5"));
    let refund = ecr.run("0631 0A 000000 04 000000000500").await.unwrap();
    assert!(refund.last().unwrap().is(0x06, 0x0F));
    let ledger = terminal.control.ledger().await.unwrap();
    assert_eq!(ledger.sum(), -500);
    assert_eq!(ledger.standing(1), Some(0));

    ecr.run(PAY).await.unwrap();
    ecr.run(PAY).await.unwrap();
    terminal
        .control
        .set(json!({"reverses": "last"}))
        .await
        .unwrap();
    let older = ecr.run("0630 06 000000 87 0004").await.unwrap();
    assert_eq!(older.last().unwrap().0, hex("061E 01 B5"));
    let last = ecr.run("0630 06 000000 87 0005").await.unwrap();
    assert!(last.last().unwrap().is(0x06, 0x0F));
}

#[tokio::test]
async fn pre_authorisations_are_booked_in_part_or_released_and_hold_up_the_end_of_day() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let reserve = "0622 0A 04 000000009000 49 0978";
    ecr.run(reserve).await.unwrap();
    assert_eq!(
        ecr.run(END_OF_DAY).await.unwrap().last().unwrap().0,
        hex("061E 04 77 87 0001")
    );
    let open = ecr.run("0623 03 87 FFFF").await.unwrap();
    assert_eq!(open.last().unwrap().0, hex("061E 04 B8 87 0001"));
    let part = ecr.run("0623 0A 87 0001 04 000000008000").await.unwrap();
    assert!(part.last().unwrap().is(0x06, 0x0F), "{part:?}");
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 1000);
    ecr.run(reserve).await.unwrap();
    let total = ecr.run("0624 0A 87 0002 04 000000000250").await.unwrap();
    assert!(total.last().unwrap().is(0x06, 0x0F));
    ecr.run(reserve).await.unwrap();
    let all = ecr.run("0625 03 87 0003").await.unwrap();
    assert!(all.last().unwrap().is(0x06, 0x0F));
    let none = ecr.run("0623 03 87 FFFF").await.unwrap();
    assert_eq!(none.last().unwrap().0, hex("061E 04 B8 87 FFFF"));
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 1250);
}

#[tokio::test]
async fn an_end_of_day_tells_the_totals_and_lifts_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    ecr.run(PAY).await.unwrap();
    ecr.run(PAY).await.unwrap();
    ecr.run("0630 06 000000 87 0001").await.unwrap();
    terminal
        .control
        .set(json!({"closing_lock": true}))
        .await
        .unwrap();
    assert_eq!(ecr.run(PAY).await.unwrap()[1].0, hex("061E 01 F0"));
    assert_eq!(ecr.run(STATUS).await.unwrap()[1].body().last(), Some(&0xF0));
    let heard = ecr.run(END_OF_DAY).await.unwrap();
    let result = heard.iter().find(|message| message.is(0x04, 0x0F)).unwrap();
    assert!(result.has("04 000000003780"));
    // Receipts 2 to 2, one girocard payment.
    assert!(
        result.has("60 F0F5F3 0002 0002 01 000000003780"),
        "{result:?}"
    );
    assert!(
        heard
            .iter()
            .any(|message| message.text().contains("KASSENSCHNITT"))
    );
    assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
    let ledger = terminal.control.ledger().await.unwrap();
    assert_eq!(ledger.list(Event::Closed)[0].cents, 3780);
    let gone = ecr.run("0630 06 000000 87 0002").await.unwrap();
    assert_eq!(gone.last().unwrap().0, hex("061E 01 B5"));
}

#[tokio::test]
async fn what_is_due_is_said_and_done_by_its_command() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    for (key, code, remedy) in [
        ("needs_initialisation", 0x51, "0693 03 000000"),
        ("needs_diagnosis", 0xC2, "0670 00"),
        ("needs_time", 0x62, "0691 0B 000000 AA 261122 0C 120359"),
    ] {
        terminal.control.set(json!({ key: true })).await.unwrap();
        let quiet = ecr.run("0501 05 000000 03 02").await.unwrap();
        assert_eq!(quiet[1].body(), [code]);
        assert_eq!(ecr.run(PAY).await.unwrap()[1].body(), [code]);
        assert!(
            ecr.run(remedy)
                .await
                .unwrap()
                .last()
                .unwrap()
                .is(0x06, 0x0F)
        );
        assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
    }
    let answer = ecr.run(STATUS).await.unwrap();
    assert_eq!(
        answer[1].body(),
        [hex("F0F1F4"), b"KOFFER-SIM 1.0".to_vec(), vec![0]].concat()
    );
}

#[tokio::test]
async fn what_it_does_not_know_or_may_not_do_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = Ecr::connect(&terminal).await;
    for (command, last) in [
        (PAY, "061E 01 6B"),
        ("0600 06 999999 8E 0978", "061E 01 FE"),
        ("0600 06 000000 8E 0756", "061E 03 6F 0978"),
        (REGISTER, "060F 0A 19 00 29 68000123 49 0978"),
        ("0FA1 02 0001", "8483 00"),
        ("0601 05 04 0000 C9 01", "8483 00"),
        ("0601 00", "061E 01 C8"),
        ("0601 0A 04 000000003780 49 0756", "061E 03 6F 0978"),
        (REPEAT, "061E 01 83"),
        (ABORT, "8483 00"),
    ] {
        let heard = ecr.run(command).await.unwrap();
        assert_eq!(heard.last().unwrap().0, hex(last), "{command}");
    }
    ecr.say("0602 00").await.unwrap();
    assert_eq!(ecr.hear().await.unwrap().0, hex(ACK));
    assert_eq!(ecr.run(PAY).await.unwrap()[1].0, hex("061E 01 6B"));
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 0);
}

#[tokio::test]
async fn receipt_numbers_wrap_after_9999_and_traces_after_999999() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.profile.first_receipt = 9_999;
    config.profile.first_trace = 999_999;
    let terminal = start(config).await;
    let mut ecr = registered(&terminal).await;
    ecr.run(PAY).await.unwrap();
    ecr.run(PAY).await.unwrap();
    let ledger = terminal.control.ledger().await.unwrap();
    let numbers: Vec<(u16, u32)> = ledger
        .list(Event::Booked)
        .iter()
        .map(|entry| (entry.receipt, entry.trace))
        .collect();
    assert_eq!(numbers, [(9_999, 999_999), (1, 1)]);
}

#[tokio::test]
async fn another_start_goes_on_with_the_ledger_and_repeats_the_last_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let first = terminal(dir.path()).await;
    let mut ecr = registered(&first).await;
    ecr.run(PAY).await.unwrap();
    first.stop().await;

    let second = terminal(dir.path()).await;
    let mut ecr = registered(&second).await;
    let heard = ecr.run(REPEAT).await.unwrap();
    assert_eq!(kinds(&heard), [0x8000, 0x040F, 0x060F]);
    assert!(heard[1].has("87 0001") && heard[1].has("04 000000003780"));
    let silent = ecr.run("0620 03 000000").await.unwrap();
    assert_eq!(kinds(&silent), [0x8000, 0x06D1, 0x060F]);
    let heard = ecr.run(PAY).await.unwrap();
    assert!(
        heard
            .iter()
            .any(|m| m.is(0x04, 0x0F) && m.has("87 0002") && m.has("0B 000002"))
    );
    let on_disk = Ledger::read(&dir.path().join("ledger.jsonl")).unwrap();
    assert_eq!(on_disk, second.control.ledger().await.unwrap());
    assert_eq!(on_disk.sum(), 2 * 3780);
}

#[tokio::test]
async fn an_idle_connection_is_dropped_and_a_message_comes_in_pieces_where_the_make_does_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.profile.split = 3;
    config.profile.idle_drop_ms = 100;
    let terminal = start(config).await;
    let mut ecr = registered(&terminal).await;
    assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
    assert_eq!(ecr.hear().await, Err(Gone));
    let gone = Until {
        connected: Some(false),
        ..Until::default()
    };
    terminal.control.wait(gone).await.unwrap();
    let mut again = Ecr::connect(&terminal).await;
    assert!(again.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
}

#[tokio::test]
async fn a_card_of_another_kind_is_named_on_result_and_totals() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let visa = Cardholder {
        card: Card {
            name: "VISA".into(),
            kind: 0x0A,
            pan: "4111111111111111".into(),
        },
        pin: Vec::new(),
        ..config(dir.path()).profile.cardholder
    };
    terminal.control.next(&[visa]).await.unwrap();
    let heard = ecr.run(PAY).await.unwrap();
    let result = heard.iter().find(|message| message.is(0x04, 0x0F)).unwrap();
    assert!(result.has("8A 0A") && result.has("22 F0F8 411111EEEEEE1111"));
    let heard = ecr.run(END_OF_DAY).await.unwrap();
    let result = heard.iter().find(|message| message.is(0x04, 0x0F)).unwrap();
    assert!(result.has(&format!(
        "0001 0001 {} 01 000000003780",
        "00 000000000000".repeat(4)
    )));
}
