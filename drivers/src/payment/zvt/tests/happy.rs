//! What a payment, and the calls beside it, look like when all is well.

use koffer_proto::{
    Effect, Outcome, ProgressEvent, Response, Status,
    class::{
        any_device::{
            self, IdentifyParams, ResetParams, SelfTestLevel, SelfTestParams,
            StepOutcome::{Failed, Passed, Skipped},
        },
        payment::{
            DiagnoseParams, EndOfDayParams, ReceiptCopy, ReceiptParams, RefundParams,
            Response as Paid, ReverseParams, StatusParams,
        },
    },
};
use tokio::net::TcpListener;

use super::script::{
    ACK, BOOKED, DONE, Hear, PAYMENT, READY, REGISTER, Say, Stage, TAKEN, config, kept, pay,
    perform, script,
};
use crate::{CallUpdate, Contact, Driver};

#[tokio::test]
async fn a_payment_over_tcp_has_exactly_these_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let terminal = tokio::spawn(async move {
        for steps in [
            script(&[REGISTER, READY]),
            script(&[REGISTER, READY, PAYMENT]),
        ] {
            let (line, _) = listener.accept().await.unwrap();
            perform(line, steps).await;
        }
    });
    let mut config = config();
    config.endpoint = format!("tcp://127.0.0.1:{port}").parse().unwrap();
    let mut stage = Stage::new(config.clone());
    stage.driver =
        super::super::driver::Zvt::new(config.clone(), std::sync::Arc::new(config.endpoint));

    let opened = stage.driver.open().await.unwrap();
    assert_eq!(opened.identity.serial.as_deref(), Some("68000123"));
    assert_eq!(opened.identity.firmware.as_deref(), Some("2.14.15"));
    let played = stage.run(pay()).await;
    terminal.await.unwrap();

    let paid = played.paid();
    assert_eq!((paid.receipt, paid.trace), (Some(231), Some(1077)));
    assert_eq!(paid.terminal, "68000123");
    assert_eq!(paid.receipts.len(), 1);
    assert_eq!(paid.receipts[0].copy, ReceiptCopy::Customer);
    assert!(!paid.recovered);
    assert_eq!(played.shown(), ["insert-card", "waiting-for-host"]);
    assert_eq!(played.finished.contact, Contact::Kept);
    let told_of = |what: &CallUpdate| played.told.iter().position(|told| told == what).unwrap();
    assert!(told_of(&CallUpdate::EffectBegun) < told_of(&CallUpdate::PastCancelling));
    let receipt = CallUpdate::Progress(ProgressEvent::Receipt {
        receipt: paid.receipts[0].clone(),
    });
    assert!(told_of(&CallUpdate::PastCancelling) < told_of(&receipt));
}

#[tokio::test(start_paused = true)]
async fn the_journal_knows_before_the_terminal_does() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, PAYMENT]));
    let played = stage.run(pay()).await;
    assert_eq!(
        played.journal.steps(),
        ["baseline", "started", "status-information"]
    );
    let fact = |step, name| played.journal.fact(step, name);
    assert_eq!(fact("baseline", "terminal").as_deref(), Some("68000123"));
    assert_eq!(fact("baseline", "cents").as_deref(), Some("3780"));
    assert_eq!(
        fact("status-information", "receipt").as_deref(),
        Some("231")
    );
    assert_eq!(fact("status-information", "result").as_deref(), Some("00"));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn two_calls_in_a_row_share_a_kept_connection_and_the_second_knows_the_first() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, PAYMENT, READY, PAYMENT]));
    stage.run(pay()).await;
    let second = stage.run(pay()).await;
    assert_eq!(second.ended(), (Status::Ok, Effect::Done));
    let last = second.journal.fact("baseline", "last-receipt");
    assert_eq!(last.as_deref(), Some("231"));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn two_calls_in_a_row_dial_twice_where_connections_are_per_call() {
    let mut stage = Stage::new(config());
    stage.terminal(script(&[REGISTER, READY, PAYMENT]));
    stage.terminal(script(&[REGISTER, READY, PAYMENT]));
    for _ in 0..2 {
        assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    }
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_died_is_dialled_anew_before_money_moves() {
    let mut stage = Stage::new(kept());
    let mut first = stage.line();
    let closes = tokio::spawn(async move {
        let steps = script(&[REGISTER, READY]);
        super::script::perform_and_leave(&mut first, steps).await;
    });
    stage.driver.open().await.unwrap();
    closes.await.unwrap();
    stage.terminal(script(&[REGISTER, READY, PAYMENT]));
    assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_reversal_and_a_refund_carry_the_password_and_say_what_was_booked() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER,
        READY,
        &[
            Hear("0630 06 123456 87 0231"),
            TAKEN,
            Say(BOOKED),
            ACK,
            DONE,
            ACK,
        ],
        READY,
        &[
            Hear("0631 0D 123456 04 000000003780 49 0978"),
            TAKEN,
            Say(BOOKED),
            ACK,
            DONE,
            ACK,
        ],
    ]));
    let amount = koffer_proto::Amount::euro_cents(3780).unwrap();
    let reversal = ReverseParams {
        receipt: 231.try_into().unwrap(),
        amount: Some(amount),
    };
    let played = stage.run(reversal).await;
    assert_eq!(played.paid().receipt, Some(231));
    let refund = RefundParams {
        amount,
        reference: None,
    };
    assert_eq!(stage.run(refund).await.paid().amount, Some(amount));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_closing_tells_its_totals_or_only_that_it_is_done() {
    let totals = "040F 49 27 00 04 000000005000 49 0978 0B 001078 60 F0F5F3 0230 0231 \
         02 000000005000 00 000000000000 00 000000000000 00 000000000000 \
         00 000000000000 00 000000000000 00 000000000000";
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER,
        READY,
        &[
            Hear("0650 03 123456"),
            TAKEN,
            Say(totals),
            ACK,
            Say("06D1 09 00 416273636C757373"),
            ACK,
            DONE,
            ACK,
        ],
        READY,
        &[Hear("0650 03 123456"), TAKEN, DONE, ACK],
    ]));
    let closings: Vec<_> = [
        stage.run(EndOfDayParams {}).await,
        stage.run(EndOfDayParams {}).await,
    ]
    .into_iter()
    .map(|played| match played.finished.outcome {
        Outcome::Ok(Response::Payment(Paid::EndOfDay(closing))) => closing,
        other => panic!("not closed: {other:?}"),
    })
    .collect();
    assert_eq!(closings[0].total.map(|total| total.cents), Some(5000));
    assert_eq!(closings[0].by_card[0].card, "girocard");
    assert_eq!(
        (closings[0].by_card.len(), closings[0].by_card[0].count),
        (1, 2)
    );
    assert_eq!(closings[0].receipts[0].copy, ReceiptCopy::Administration);
    assert_eq!(
        (closings[1].total, closings[1].terminal.as_str()),
        (None, "68000123")
    );
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn receipt_status_and_diagnosis_are_answered_and_journalled_nowhere() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER,
        &[
            Hear("0620 05 123456 03 01"),
            TAKEN,
            Say(BOOKED),
            ACK,
            Say("06D1 04 00 426172"),
            ACK,
            DONE,
            ACK,
        ],
        READY,
        &[Hear("0670 00"), TAKEN, Say("04FF 01 C9"), ACK, DONE, ACK],
    ]));
    let receipt = stage.run(ReceiptParams {}).await;
    let Outcome::Ok(Response::Payment(Paid::Receipt(repeated))) = &receipt.finished.outcome else {
        panic!("{:?}", receipt.finished)
    };
    assert_eq!(repeated.transaction.as_ref().unwrap().receipt, Some(231));
    assert_eq!(repeated.receipts[0].lines[0].text, "Bar");
    let status = stage.run(StatusParams {}).await;
    let Outcome::Ok(Response::Payment(Paid::Status(told))) = &status.finished.outcome else {
        panic!("{:?}", status.finished)
    };
    assert_eq!((told.ready, told.code.as_str()), (true, "00"));
    let diagnosis = stage.run(DiagnoseParams {}).await;
    let Outcome::Ok(Response::Payment(Paid::Diagnose(told))) = &diagnosis.finished.outcome else {
        panic!("{:?}", diagnosis.finished)
    };
    assert!(told.host_reached);
    for played in [receipt, status, diagnosis] {
        assert_eq!(played.journal.steps(), Vec::<&str>::new());
    }
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_self_test_says_what_it_skipped_and_identify_and_reset_answer() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER,
        READY,
        &[Hear("0670 00"), TAKEN, Say("061E 01 A3"), ACK],
        READY,
    ]));
    stage.terminal(script(&[REGISTER, READY]));
    let level = SelfTestLevel::Interactive;
    let played = stage.run(SelfTestParams { level }).await;
    let Outcome::Ok(Response::AnyDevice(any_device::Response::SelfTest(report))) =
        &played.finished.outcome
    else {
        panic!("{:?}", played.finished)
    };
    let steps: Vec<_> = report
        .steps
        .iter()
        .map(|step| (step.name.as_str(), step.outcome))
        .collect();
    assert_eq!(
        steps,
        [
            ("connect", Passed),
            ("register", Passed),
            ("status", Passed),
            ("host", Failed),
            ("card", Skipped)
        ]
    );
    assert!(!report.passed);
    assert_eq!(report.outcome, Some(Failed));
    assert_eq!(report.level, Some(level));
    for step in &report.steps {
        assert_eq!(
            step.duration_ms.is_some(),
            step.outcome != Skipped,
            "{step:?}"
        );
    }
    assert_eq!(report.identity.serial.as_deref(), Some("68000123"));
    for request in [
        koffer_proto::Request::from(IdentifyParams {}),
        ResetParams {}.into(),
    ] {
        assert_eq!(stage.run(request).await.ended(), (Status::Ok, Effect::Done));
    }
    stage.all_said().await;
}
