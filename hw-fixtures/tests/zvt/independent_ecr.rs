//! A register that nobody here wrote: the crate `zvt` 0.1 (crates.io). It has no 06 01 and 06 30;
//! what it has is tried, pre-authorisations included.

use std::fmt::Debug;

use futures_util::{Stream, StreamExt};
use koffer_fixtures::zvt::{Address, Event, Terminal};
use serde_json::json;
use tokio::net::TcpStream;
use zvt::packets;
use zvt::sequences::*;

use crate::byte_ecr::terminal;

async fn connect(terminal: &Terminal) -> TcpStream {
    let Address::Tcp(address) = &terminal.address else {
        panic!("a TCP terminal");
    };
    TcpStream::connect(address).await.unwrap()
}

/// The whole conversation; fails where the other crate cannot read what the simulator sent.
async fn all<T, E: Debug>(stream: impl Stream<Item = Result<T, E>>) -> Vec<T> {
    let heard: Vec<_> = stream.collect().await;
    heard.into_iter().map(Result::unwrap).collect()
}

async fn registered(terminal: &Terminal) -> TcpStream {
    let mut wire = connect(terminal).await;
    let request = packets::Registration {
        password: 0,
        config_byte: 0x8E,
        currency: Some(978),
        tlv: None,
    };
    let heard = all(Registration::into_stream(&request, &mut wire)).await;
    let [RegistrationResponse::CompletionData(completion)] = heard.as_slice() else {
        panic!("{heard:?}");
    };
    assert_eq!(completion.status_byte, Some(0));
    assert_eq!(completion.terminal_id, Some(68_000_123));
    assert_eq!(completion.currency, Some(978));
    wire
}

#[tokio::test]
async fn another_register_registers_and_runs_the_administration() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut wire = registered(&terminal).await;

    let request = packets::Initialization { password: 0 };
    let heard = all(Initialization::into_stream(&request, &mut wire)).await;
    assert!(matches!(
        heard.last(),
        Some(InitializationResponse::CompletionData(_))
    ));
    assert!(
        heard
            .iter()
            .any(|m| matches!(m, InitializationResponse::PrintLine(_)))
    );

    let request = packets::Diagnosis { tlv: None };
    let heard = all(Diagnosis::into_stream(&request, &mut wire)).await;
    assert!(matches!(
        heard.last(),
        Some(DiagnosisResponse::CompletionData(_))
    ));

    let request = packets::PrintSystemConfiguration {};
    let heard = all(PrintSystemConfiguration::into_stream(&request, &mut wire)).await;
    assert!(heard.len() > 3);

    let request = packets::EndOfDay { password: 0 };
    let heard = all(EndOfDay::into_stream(&request, &mut wire)).await;
    assert!(matches!(
        heard.last(),
        Some(EndOfDayResponse::CompletionData(_))
    ));
    assert_eq!(
        terminal
            .control
            .ledger()
            .await
            .unwrap()
            .list(Event::Closed)
            .len(),
        1
    );
}

#[tokio::test]
async fn another_register_reserves_books_a_part_and_reads_the_same_numbers_as_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut wire = registered(&terminal).await;
    let request = packets::Reservation {
        amount: Some(9000),
        currency: Some(978),
        payment_type: Some(0x40),
        ..packets::Reservation::default()
    };
    let heard = all(Reservation::into_stream(&request, &mut wire)).await;
    assert!(matches!(
        heard.last(),
        Some(AuthorizationResponse::CompletionData(_))
    ));
    let result = heard.iter().find_map(|message| match message {
        AuthorizationResponse::StatusInformation(result) => Some(result),
        _ => None,
    });
    let result = result.unwrap();
    assert_eq!((result.amount, result.result_code), (Some(9000), Some(0)));
    assert_eq!((result.receipt_no, result.trace_number), (Some(1), Some(1)));
    assert_eq!(result.terminal_id, Some(68_000_123));
    assert_eq!(result.card_name.as_deref(), Some("girocard"));

    let request = packets::PartialReversal {
        receipt_no: Some(0xFFFF),
        amount: None,
        payment_type: None,
        currency: None,
        tlv: None,
    };
    let heard = all(PartialReversal::into_stream(&request, &mut wire)).await;
    let [PartialReversalResponse::PartialReversalAbort(open)] = heard.as_slice() else {
        panic!("{heard:?}");
    };
    assert_eq!((open.error, open.receipt_no), (0xB8, Some(1)));

    let request = packets::PartialReversal {
        receipt_no: Some(1),
        amount: Some(7500),
        payment_type: Some(0x40),
        currency: Some(978),
        tlv: None,
    };
    let heard = all(PartialReversal::into_stream(&request, &mut wire)).await;
    assert!(matches!(
        heard.last(),
        Some(PartialReversalResponse::CompletionData(_))
    ));
    assert_eq!(terminal.control.ledger().await.unwrap().sum(), 1500);

    let request = packets::EndOfDay { password: 0 };
    let heard = all(EndOfDay::into_stream(&request, &mut wire)).await;
    let totals = heard.iter().find_map(|message| match message {
        EndOfDayResponse::StatusInformation(result) => result.single_amounts.as_ref(),
        _ => None,
    });
    let totals = totals.unwrap();
    assert_eq!((totals.receipt_no_start, totals.receipt_no_end), (1, 1));
    assert_eq!((totals.girocard.num, totals.girocard.total), (1, 1500));
}

#[tokio::test]
async fn another_register_understands_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let terminal = terminal(dir.path()).await;
    let mut wire = registered(&terminal).await;
    terminal
        .control
        .set(json!({"closing_lock": true}))
        .await
        .unwrap();
    let request = packets::Reservation {
        amount: Some(100),
        ..packets::Reservation::default()
    };
    let heard = all(Reservation::into_stream(&request, &mut wire)).await;
    let [AuthorizationResponse::Abort(abort)] = heard.as_slice() else {
        panic!("{heard:?}");
    };
    assert_eq!(abort.error, 0xF0);
}
