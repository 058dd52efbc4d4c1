//! Every fault happens as the list says, and the ledger stays the truth.

use std::time::Duration;

use koffer_fixtures::zvt::{
    Cut, Direction, Event, Fault, How, Kind, Per, Phase, Step, Terminal, Until, Wrong,
};
use serde_json::json;
use tokio::time::Instant;

use crate::byte_ecr::*;

const KINDS_OF_CUTS: [How; 2] = [How::Close, How::Reset];

/// Registration without receipts, to keep payments short.
const QUIET: &str = "0600 06 000000 08 0978";

fn cut(byte: u64, of: Direction, how: How) -> Fault {
    let per = Per::Transaction;
    Fault::new(Kind::Cut(Cut { byte, of, per, how })).during(0x06, 0x01)
}

async fn idle(terminal: &Terminal) {
    let idle = Until {
        phase: Some(Phase::Idle),
        ..Until::default()
    };
    terminal.control.wait(idle).await.unwrap();
}

/// One fault in a payment on a new connection, then the terminal works again.
async fn payment_with(terminal: &Terminal, faults: &[Fault]) -> Result<Vec<Message>, Gone> {
    let mut ecr = Ecr::connect(terminal).await;
    ecr.run(QUIET).await.unwrap();
    terminal.control.faults(faults).await.unwrap();
    let heard = ecr.run(PAY).await;
    drop(ecr);
    idle(terminal).await;
    let happened = terminal.control.happened().await.unwrap();
    assert_eq!(happened.pending, [], "{faults:?}");
    assert!(!happened.consumed.is_empty());
    assert!(terminal.control.ledger().await.unwrap().sum() >= 0);
    heard
}

#[tokio::test]
async fn a_payment_cut_at_any_byte_is_booked_only_if_its_result_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    ecr.run(QUIET).await.unwrap();
    let (sent, received) = (ecr.sent, ecr.received);
    ecr.run(PAY).await.unwrap();
    let counted = terminal.control.bytes().await.unwrap().by_command["06 01"];
    assert_eq!(
        (counted.sent, counted.received),
        (ecr.received - received, ecr.sent - sent)
    );
    drop(ecr);
    for (of, total) in [
        (Direction::Sent, counted.sent),
        (Direction::Received, counted.received),
    ] {
        let mut booked_since = None;
        for byte in 0..=total {
            let before = terminal.control.ledger().await.unwrap();
            let how = KINDS_OF_CUTS[usize::from(byte % 2 == 1)];
            let heard = payment_with(&terminal, &[cut(byte, of, how)]).await;
            // A cut inside the last acknowledgement is not seen by who sent it.
            let unseen = match of {
                Direction::Sent => byte == total,
                Direction::Received => byte + 3 > total,
            };
            assert!(heard.is_err() || unseen, "{of:?} {byte}: {heard:?}");
            let after = terminal.control.ledger().await.unwrap();
            let moved = after.sum() - before.sum();
            let acked =
                after.list(Event::Acknowledged).len() - before.list(Event::Acknowledged).len();
            assert_eq!(moved, if acked == 1 { 3780 } else { 0 }, "{of:?} {byte}");
            assert!(acked == 1 || booked_since.is_none(), "{of:?} {byte}");
            if acked == 1 {
                booked_since.get_or_insert(byte);
            }
        }
        assert!(booked_since.is_some_and(|byte| byte > 0 && byte < total));
    }
}

#[tokio::test]
async fn a_terminal_that_keeps_bookings_keeps_them_without_an_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    terminal
        .control
        .set(json!({"missing_ack": "keeps"}))
        .await
        .unwrap();
    let drop = Fault::new(Kind::Drop(How::Close)).at(Step::Result);
    assert_eq!(payment_with(&terminal, &[drop]).await, Err(Gone));
    let ledger = terminal.control.ledger().await.unwrap();
    assert_eq!(
        (ledger.sum(), ledger.list(Event::Acknowledged).len()),
        (3780, 0)
    );
    let mut ecr = registered(&terminal).await;
    let heard = ecr.run(REPEAT).await.unwrap();
    assert!(heard[1].has("27 00") && heard[1].has("87 0001") && !heard[1].has("37 000001"));
}

#[tokio::test]
async fn an_automatic_reversal_is_what_is_repeated_or_leaves_no_trace_of_a_receipt() {
    for (leaves, original, next) in [(true, true, "87 0003"), (false, false, "87 0002")] {
        let dir = tempfile::tempdir().unwrap();
        let terminal = terminal(dir.path()).await;
        let set = json!({"auto_reversal_leaves_receipt": leaves});
        terminal.control.set(set).await.unwrap();
        let mut ecr = registered(&terminal).await;
        ecr.run(PAY).await.unwrap();
        ecr.say(PAY).await.unwrap();
        ecr.until(0x04, 0x0F).await.unwrap();
        ecr.say("8466 00").await.unwrap();
        let heard = ecr.finish().await.unwrap();
        assert_eq!(heard.last().unwrap().0, hex("061E 01 66"));
        let heard = ecr.run(REPEAT).await.unwrap();
        assert_eq!(heard[1].has("37 000002"), original, "{heard:?}");
        assert_eq!(heard[1].has("87 0002"), leaves);
        let heard = ecr.run(PAY).await.unwrap();
        assert!(
            heard.iter().any(|m| m.is(0x04, 0x0F) && m.has(next)),
            "{heard:?}"
        );
        assert_eq!(terminal.control.ledger().await.unwrap().sum(), 2 * 3780);
    }
}

#[tokio::test]
async fn a_result_answered_9c_is_sent_again_and_an_unanswered_one_is_reversed() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    ecr.say(PAY).await.unwrap();
    let first = ecr.until(0x04, 0x0F).await.unwrap();
    ecr.say("849C 00").await.unwrap();
    assert_eq!(ecr.until(0x04, 0x0F).await.unwrap(), first);
    ecr.say(ACK).await.unwrap();
    ecr.finish().await.unwrap();
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 3780);

    ecr.say(PAY).await.unwrap();
    ecr.until(0x04, 0x0F).await.unwrap();
    let reversed = Until {
        entries: Some(5),
        ..Until::default()
    };
    terminal.control.wait(reversed).await.unwrap();
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 3780);
    assert_eq!(ecr.until(0x06, 0x1E).await.unwrap().0, hex("061E 01 66"));
}

#[tokio::test]
async fn a_payment_goes_on_alone_or_is_cancelled_when_the_connection_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    for (alone, event) in [(true, Event::AutoReversed), (false, Event::Cancelled)] {
        let slow = json!({"continues_alone": alone, "cardholder": {"inserts_after_ms": 200}});
        terminal.control.set(slow).await.unwrap();
        let mut ecr = registered(&terminal).await;
        ecr.say(PAY).await.unwrap();
        ecr.until(0x04, 0xFF).await.unwrap();
        drop(ecr);
        idle(&terminal).await;
        let ledger = terminal.control.ledger().await.unwrap();
        assert_eq!(ledger.entries().last().unwrap().event, event);
        assert_eq!(ledger.sum(), 0);
    }
}

#[tokio::test]
async fn a_new_connection_during_a_payment_finds_the_terminal_busy() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let slow = json!({"cardholder": {"inserts_after_ms": 500}});
    terminal.control.set(slow).await.unwrap();
    ecr.say(PAY).await.unwrap();
    ecr.until(0x04, 0xFF).await.unwrap();
    let mut again = Ecr::connect(&terminal).await;
    assert_eq!(ecr.hear().await, Err(Gone));
    assert_eq!(again.run(REGISTER).await.unwrap()[0].0, hex("849C 00"));
    again.say(STATUS).await.unwrap();
    assert!(again.hear().await.unwrap().is(0x80, 0x00));
    assert_eq!(again.next().await.unwrap().0, hex("060F 01 9C"));
}

#[tokio::test]
async fn delays_hold_the_named_step_back_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    for (kind, at) in [
        (Kind::Delay { ms: 250 }, Some(Step::Result)),
        (Kind::Delay { ms: 250 }, Some(Step::Booking)),
        (Kind::LateCompletion { ms: 250 }, None),
    ] {
        let fault = Fault {
            at,
            ..Fault::new(kind)
        };
        let begun = Instant::now();
        let heard = payment_with(&terminal, &[fault]).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(250));
        assert!(heard.last().unwrap().is(0x06, 0x0F));
    }
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 3 * 3780);
}

#[tokio::test]
async fn a_silent_terminal_says_no_more_in_this_exchange_and_works_in_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let silence = Fault::new(Kind::Silence).at(Step::Result);
    terminal.control.faults(&[silence]).await.unwrap();
    ecr.say(PAY).await.unwrap();
    for _ in 0..4 {
        let message = ecr.hear().await.unwrap();
        if !message.is(0x80, 0x00) {
            ecr.say(ACK).await.unwrap();
        }
    }
    idle(&terminal).await;
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 0);
    // Nothing was left on the line: the next thing heard answers the next command.
    assert_eq!(ecr.run(STATUS).await.unwrap()[1].body().last(), Some(&0));

    let deaf = Fault::new(Kind::Silence).at(Step::Command).times(2);
    terminal.control.faults(&[deaf]).await.unwrap();
    ecr.say(STATUS).await.unwrap();
    ecr.say(STATUS).await.unwrap();
    let heard = Until {
        faults_consumed: Some(2),
        ..Until::default()
    };
    terminal.control.wait(heard).await.unwrap();
    assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
}

#[tokio::test]
async fn garbage_truncation_and_repetition_are_on_the_wire_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let garbage = |instead| Kind::Garbage {
        bytes: 7,
        seed: 42,
        instead,
    };
    let mut noise = Vec::new();
    for instead in [false, true] {
        let fault = Fault::new(garbage(instead)).at(Step::Ack);
        terminal.control.faults(&[fault]).await.unwrap();
        let before = ecr.received;
        ecr.say(STATUS).await.unwrap();
        let mut bytes = Vec::new();
        let total = if instead { 7 } else { 10 };
        while ecr.received - before < total {
            bytes.push(ecr.byte().await.unwrap());
        }
        if !instead {
            assert!(bytes.ends_with(&hex(ACK)));
        }
        noise.push(bytes[..7].to_vec());
        assert!(ecr.next().await.unwrap().is(0x06, 0x0F));
    }
    assert_eq!(noise[0], noise[1]);

    let twice = Fault::new(Kind::Duplicate).at(Step::Ack);
    terminal.control.faults(&[twice]).await.unwrap();
    ecr.say(STATUS).await.unwrap();
    assert_eq!(ecr.hear().await.unwrap(), ecr.hear().await.unwrap());
    ecr.next().await.unwrap();

    let short = Fault::new(Kind::Truncate { bytes: 2 }).at(Step::Completion);
    terminal.control.faults(&[short]).await.unwrap();
    ecr.say(STATUS).await.unwrap();
    ecr.hear().await.unwrap();
    assert_eq!(
        [ecr.byte().await.unwrap(), ecr.byte().await.unwrap()],
        [0x06, 0x0F]
    );
    idle(&terminal).await;
}

#[tokio::test]
async fn wrong_answers_say_what_was_asked_and_the_ledger_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    for (wrong, shown) in [
        (Wrong::Amount, "04 000000003781"),
        (Wrong::TerminalId, "29 68000124"),
        (Wrong::Receipt, "87 0004"),
        (Wrong::Trace, "0B 000005"),
        (Wrong::UnknownField, "C9 01 02 27 00"),
    ] {
        let fault = Fault::new(Kind::WrongAnswer(wrong));
        let heard = payment_with(&terminal, &[fault]).await.unwrap();
        let result = heard.iter().find(|message| message.is(0x04, 0x0F)).unwrap();
        assert!(result.has(shown), "{wrong:?}: {result:?}");
    }
    let no_result = Fault::new(Kind::WrongAnswer(Wrong::NoResult));
    let heard = payment_with(&terminal, &[no_result]).await.unwrap();
    let result = heard.iter().find(|message| message.is(0x04, 0x0F)).unwrap();
    assert!(!result.body().starts_with(&[0x27]) && result.has("04 000000003780"));
    let other = Fault::new(Kind::WrongAnswer(Wrong::Command)).at(Step::Status);
    let heard = payment_with(&terminal, &[other]).await.unwrap();
    assert_eq!(heard[1].0, hex("060F 00"));
    let ledger = terminal.control.ledger().await.unwrap();
    assert!(
        ledger
            .list(Event::Booked)
            .iter()
            .all(|entry| entry.cents == 3780)
    );
}

#[tokio::test]
async fn busy_answers_as_many_commands_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut ecr = registered(&terminal).await;
    let faults = [
        Fault::new(Kind::Busy).times(2),
        Fault::new(Kind::Nack { code: 0x66 }).during(0x06, 0x50),
    ];
    terminal.control.faults(&faults).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ecr.run(PAY).await.unwrap()[0].0, hex("849C 00"));
    }
    assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
    assert_eq!(ecr.run(END_OF_DAY).await.unwrap()[0].0, hex("8466 00"));
    assert_eq!(terminal.control.happened().await.unwrap().consumed.len(), 3);
}

#[tokio::test]
async fn a_terminal_that_dies_or_loses_power_after_booking_puts_it_right_when_it_wakes() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    for kind in [Kind::Die, Kind::Restart { down_ms: 30 }] {
        assert_eq!(
            payment_with(&terminal, &[Fault::new(kind)]).await,
            Err(Gone)
        );
        let ledger = terminal.control.ledger().await.unwrap();
        assert_eq!(ledger.entries().last().unwrap().event, Event::AutoReversed);
        assert_eq!(ledger.sum(), 0);
    }
    let mut ecr = registered(&terminal).await;
    terminal
        .control
        .restart(Duration::from_millis(10))
        .await
        .unwrap();
    assert_eq!(ecr.hear().await, Err(Gone));
    let mut ecr = loop {
        idle(&terminal).await;
        if let Ok(ecr) = tokio::time::timeout(PATIENCE, Ecr::connect(&terminal)).await {
            break ecr;
        }
    };
    assert_eq!(ecr.run(PAY).await.unwrap()[1].0, hex("061E 01 6B"));
}

#[tokio::test]
async fn serial_frames_are_repeated_twice_and_damaged_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = start(serial_config(dir.path())).await;
    let mut ecr = registered(&terminal).await;
    let faults = [
        Fault::new(Kind::BadCrc).at(Step::Result),
        Fault::new(Kind::NakFrame).during(0x06, 0x01),
    ];
    terminal.control.faults(&faults).await.unwrap();
    assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
    assert_eq!(terminal.control.happened().await.unwrap().consumed.len(), 2);

    // A frame with a wrong checksum, then the same one whole, with noise between them.
    let mut bad = frame(&hex(STATUS));
    *bad.last_mut().unwrap() ^= 0xFF;
    ecr.write(&bad).await.unwrap();
    assert_eq!(ecr.byte().await.unwrap(), 0x15);
    ecr.write(&[0x55, 0x10, 0x99]).await.unwrap();
    assert_eq!(ecr.run(STATUS).await.unwrap()[1].body().last(), Some(&0));

    // A terminal whose frames are not acknowledged sends them three times in all.
    ecr.write(&frame(&hex(STATUS))).await.unwrap();
    assert_eq!(ecr.byte().await.unwrap(), 0x06);
    let answer = frame(&hex(ACK));
    for _ in 0..3 {
        for byte in &answer {
            assert_eq!(ecr.byte().await.unwrap(), *byte);
        }
    }
}

#[tokio::test]
async fn a_pulled_serial_cable_loses_bytes_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = serial_config(dir.path());
    config.profile.frame_ack_timeout_ms = 5;
    let terminal = start(config).await;
    let mut ecr = registered(&terminal).await;
    let unplug = cut(3, Direction::Sent, How::Unplug);
    terminal.control.faults(&[unplug]).await.unwrap();
    ecr.write(&frame(&hex(PAY))).await.unwrap();
    for _ in 0..3 {
        ecr.byte().await.unwrap();
    }
    idle(&terminal).await;
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 0);
    let exchanges = terminal.control.status().await.unwrap().exchanges;
    // Into the void, until one arrives.
    let back = Until {
        exchanges: Some(exchanges + 1),
        ms: Some(50),
        ..Until::default()
    };
    loop {
        ecr.write(&frame(&hex(STATUS))).await.unwrap();
        if terminal.control.wait(back.clone()).await.is_ok() {
            break;
        }
    }
    idle(&terminal).await;
    ecr.forget();
    terminal
        .control
        .set(json!({"frame_ack_timeout_ms": 1000}))
        .await
        .unwrap();
    assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
}

#[tokio::test]
async fn the_control_channel_says_what_is_wrong_with_a_request() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let client = terminal.control.client();
    for (verb, argument, named) in [
        ("explode", json!({}), "known are: set, next, faults"),
        ("set", json!({"colour": 1}), "colour"),
        ("set", json!({"password": "12"}), "six digits"),
        ("next", json!([{"pin": ["maybe"]}]), "maybe"),
        ("faults", json!([{"do": "vanish"}]), "vanish"),
        (
            "faults",
            json!([{"do": "busy", "at": "receipt"}]),
            "cannot happen",
        ),
        (
            "faults",
            json!([{"do": {"cut": {"byte": 1}}, "after": 1}]),
            "after",
        ),
        ("status", json!({"now": true}), "now"),
        ("wait", json!({"entries": 99, "ms": 1}), "not within"),
    ] {
        let error = client
            .request(verb, &argument)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(named), "{verb}: {error}");
    }
    // None of it changed anything.
    let mut ecr = registered(&terminal).await;
    assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
}
