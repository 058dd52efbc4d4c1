//! People at the terminal's own keys, and what the terminal tells of its books.

use crate::byte_ecr::*;
use koffer_fixtures::zvt::{ByHand, Event, Profile, TerminalConfig};

/// 06 00 with "no amount entry at the terminal".
const REGISTER_ALONE: &str = "0600 06 000000 9E 0978";
const TURNOVER: &str = "0610 03 000000";

#[tokio::test]
async fn the_keys_do_nothing_while_an_ecr_has_the_terminal_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = start(config(dir.path())).await;
    let mut ecr = Ecr::connect(&terminal).await;
    ecr.run(REGISTER_ALONE).await.unwrap();
    let control = terminal.control.clone();
    let person = tokio::spawn(async move { control.by_hand(ByHand::Pay { cents: 500 }).await });
    ecr.run(PAY).await.unwrap();
    let ledger = terminal.control.ledger().await.unwrap();
    assert!(ledger.entries().iter().all(|entry| !entry.by_hand));
    drop(ecr);
    person.await.unwrap().unwrap();
    let ledger = terminal.control.ledger().await.unwrap();
    let last = ledger.entries().last().unwrap();
    assert_eq!(
        (last.event, last.receipt, last.by_hand),
        (Event::Booked, 2, true)
    );
    assert_eq!(ledger.sum(), 3780 + 500);
}

#[tokio::test]
async fn what_was_done_by_hand_is_in_the_books_like_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let profile = Profile {
        closing_clears_last: true,
        ..config(dir.path()).profile
    };
    let terminal = start(TerminalConfig {
        profile,
        ..config(dir.path())
    })
    .await;
    let control = &terminal.control;
    for deed in [
        ByHand::Pay { cents: 500 },
        ByHand::Pay { cents: 1010 },
        ByHand::Decline { cents: 9999 },
        ByHand::Reverse { receipt: 1 },
    ] {
        control.by_hand(deed).await.unwrap();
    }
    // Only once.
    let again = control.by_hand(ByHand::Reverse { receipt: 1 }).await;
    assert!(again.unwrap_err().to_string().contains("does not do that"));

    let mut ecr = registered(&terminal).await;
    let told = |heard: Vec<Message>| heard.into_iter().find(|message| message.is(0x04, 0x0F));
    let last = told(ecr.run(REPEAT).await.unwrap()).unwrap();
    assert!(last.has("87 0003") && last.has("37 000001"), "{last:?}");
    let turnover = told(ecr.run(TURNOVER).await.unwrap()).unwrap();
    // One girocard payment of 10.10 EUR, receipt 2 alone.
    assert!(turnover.has("0002 0002 01 000000001010"), "{turnover:?}");

    // The power fails: nobody owed an acknowledgement for what was done by hand.
    control
        .restart(std::time::Duration::from_millis(10))
        .await
        .unwrap();
    control.by_hand(ByHand::Close).await.unwrap();
    let ledger = control.ledger().await.unwrap();
    assert_eq!(ledger.list(Event::AutoReversed).len(), 0);
    let mut ecr = registered(&terminal).await;
    assert_eq!(told(ecr.run(REPEAT).await.unwrap()), None);
    let turnover = told(ecr.run(TURNOVER).await.unwrap()).unwrap();
    assert!(turnover.has("0000 0000 00 000000000000"), "{turnover:?}");
}
