//! What terminals in the field do that the book does not say, or says in a place that is easily missed.

use koffer_proto::{
    Effect, Outcome, Response, Status,
    class::payment::{EndOfDayParams, Response as Paid, ReverseParams},
};

use super::refusals::paying;
use crate::Driver as _;

use super::script::{
    ACK, BOOKED, DONE, Hear, PAY, PAYMENT, Played, READY, REGISTER, Say, Silent, Stage, Step,
    TAKEN, config, kept, pay, perform_and_leave, script,
};

const NO_EFFECT: fn(Status) -> (Status, Effect) = |status| (status, Effect::None);

/// 06 50.
const CLOSE: Step = Hear("0650 03 123456");
/// 06 30 of receipt 231.
const REVERSE_231: Step = Hear("0630 06 123456 87 0231");
/// 06 20 without a receipt.
const ASK: Step = Hear("0620 05 123456 03 03");
/// Receipt 232, trace 1078.
const LAST: &str =
    "040F 21 27 00 04 000000001010 49 0978 0B 001078 0C 160000 0D 1122 29 68000123 87 0232 8A 05";
const SHOWS_LAST: &[Step] = &[ASK, TAKEN, Say(LAST), ACK, DONE, ACK];
/// What takes trace 1078 back.
const TAKES_1078: &str = "040F 25 27 00 04 000000001010 49 0978 0B 001079 37 001078 0C 160107 0D 1122 29 68000123 87 0233 8A 05";
/// What takes trace 1077 back.
const TAKES_1077: &str = "040F 25 27 00 04 000000003780 49 0978 0B 001079 37 001077 0C 160107 0D 1122 29 68000123 87 0233 8A 05";

fn reverse(receipt: u64) -> ReverseParams {
    ReverseParams {
        receipt: receipt.try_into().unwrap(),
        amount: None,
    }
}

async fn closing(steps: &[Step]) -> Played {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, &[CLOSE, TAKEN], steps]));
    let played = stage.run(EndOfDayParams {}).await;
    stage.all_said().await;
    played
}

/// A reversal of receipt 231 on a terminal whose last one is 232.
async fn reversing(only_last: bool, steps: &[Step]) -> Played {
    let mut config = kept();
    config.profile.shows_books = true;
    config.profile.reverse_only_last = only_last;
    let mut stage = Stage::new(config);
    stage.terminal(script(&[REGISTER, READY, SHOWS_LAST, steps]));
    let played = stage.run(reverse(231)).await;
    stage.all_said().await;
    played
}

#[tokio::test(start_paused = true)]
async fn a_closing_that_failed_in_its_completion_is_no_success() {
    // Whether open pre-authorisations stand in the way is asked then.
    let asks = Hear("0623 03 87 FFFF");
    let failed = closing(&[Say("060F 02 27 77"), ACK, asks, Say("8483 00")]).await;
    assert_eq!(failed.ended(), NO_EFFECT(failed.failure().status()));
    assert_eq!(failed.failure().detail.device_code.as_deref(), Some("77"));
    let done = closing(&[Say("060F 02 27 00"), ACK]).await;
    assert_eq!(done.ended(), (Status::Ok, Effect::Done));
    // E0: remote maintenance follows. That it was closed stands in the 04 0F alone.
    let total = Say("040F 0D 27 00 04 000000002600 0B 000011");
    let done = closing(&[total, ACK, Say("060F 02 27 E0"), ACK]).await;
    assert_eq!(done.ended(), (Status::Ok, Effect::Done));
    let unknown = closing(&[Say("060F 02 27 E0"), ACK]).await;
    assert_eq!(unknown.ended(), (Status::OutcomeUnknown, Effect::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_fails_after_a_positive_result_contradicts_it() {
    let played = paying(&[TAKEN, Say(BOOKED), ACK, Say("060F 02 27 6C"), ACK]).await;
    assert_eq!(played.ended(), (Status::OutcomeUnknown, Effect::Unknown));
    let played = paying(&[TAKEN, Say("060F 02 27 6C"), ACK]).await;
    assert_eq!(played.ended(), NO_EFFECT(Status::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_closing_has_one_result_per_contract_and_no_total_of_one_of_them() {
    let played = closing(&[
        Say("040F 0D 27 00 04 000000002600 0B 000011"),
        ACK,
        Say("040F 0D 27 00 04 000000001400 0B 000012"),
        ACK,
        Say("040F 0D 27 00 04 000000000300 0B 000013"),
        ACK,
        DONE,
        ACK,
    ])
    .await;
    let Outcome::Ok(Response::Payment(Paid::EndOfDay(closed))) = &played.finished.outcome else {
        panic!("not closed: {:?}", played.finished.outcome);
    };
    assert_eq!((closed.total.as_ref(), closed.trace), (None, None));
}

#[tokio::test(start_paused = true)]
async fn an_approval_without_an_amount_is_taken() {
    let played = paying(&[
        TAKEN,
        Say("040F 09 27 00 0B 001077 87 0231"),
        ACK,
        DONE,
        ACK,
    ])
    .await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
}

#[tokio::test(start_paused = true)]
async fn a_further_result_with_more_data_is_taken_and_one_of_another_booking_refused() {
    let more = "040F 11 27 00 04 000000003780 0B 001077 88 000231";
    let played = paying(&[TAKEN, Say(BOOKED), ACK, Say(more), ACK, DONE, ACK]).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
    assert_eq!(played.paid().receipt, Some(231));
    let other = "040F 0D 27 00 04 000000003780 0B 001078";
    let played = paying(&[
        TAKEN,
        Say(BOOKED),
        ACK,
        Say(other),
        Hear("8466 00"),
        DONE,
        ACK,
    ])
    .await;
    assert_eq!(played.ended(), (Status::OutcomeUnknown, Effect::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_reversal_of_another_receipt_is_refused_and_never_told_as_done() {
    let refused = [
        REVERSE_231,
        TAKEN,
        Say(TAKES_1078),
        Hear("8466 00"),
        Say("061E 01 66"),
        ACK,
    ];
    let played = reversing(false, &refused).await;
    assert_eq!(played.ended(), NO_EFFECT(Status::DeviceFault));
    assert_eq!(played.cause(), "wrong-receipt");
    let completed = [
        REVERSE_231,
        TAKEN,
        Say(TAKES_1078),
        Hear("8466 00"),
        DONE,
        ACK,
    ];
    let played = reversing(false, &completed).await;
    assert_eq!(played.ended(), (Status::OutcomeUnknown, Effect::Unknown));
    let right = [REVERSE_231, TAKEN, Say(TAKES_1077), ACK, DONE, ACK];
    let played = reversing(false, &right).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_reverses_only_its_last_booking_is_asked_which_one_that_is() {
    let played = reversing(true, &[]).await;
    assert_eq!(played.ended(), NO_EFFECT(Status::Unsupported));
    assert_eq!(played.cause(), "only-last-receipt");
    let mut config = config();
    config.profile.reverse_only_last = true;
    let played = Stage::new(config).run(reverse(231)).await;
    assert_eq!(played.ended(), NO_EFFECT(Status::Unsupported));
    assert_eq!(played.cause(), "last-receipt-unknown");
}

#[tokio::test(start_paused = true)]
async fn an_intermediate_status_without_a_code_and_a_clock_are_acknowledged() {
    for said in ["04FF 00", "0401 08 AA 261127 0C 201500"] {
        let played = paying(&[TAKEN, Say(said), ACK, Say(BOOKED), ACK, DONE, ACK]).await;
        assert_eq!(played.ended(), (Status::Ok, Effect::Done), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_terminals_own_words_reach_the_clerk_and_the_bank_is_not_blamed_for_them() {
    for (steps, words) in [
        (
            &[
                TAKEN,
                Say("040F 13 27 FF 3C F0F1F3 426574726167 20 66616C736368"),
                ACK,
                Say("061E 01 FF"),
                ACK,
            ][..],
            "»Betrag falsch«",
        ),
        (
            &[TAKEN, Say("061E 0C DF 06 09 1F17 06 537065727265"), ACK],
            "»Sperre«",
        ),
        (&[Say("841E 01 7D")], "nimmt den Auftrag nicht an"),
    ] {
        let played = paying(steps).await;
        let message = &played.failure().message;
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("Bank"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_says_how_long_its_own_work_takes_is_waited_for() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER,
        &[
            Hear("0501 00"),
            TAKEN,
            Say("04FF 02 0F 05"),
            ACK,
            Step::Silent(60),
        ],
        &[Say("060F 01 00"), ACK],
        PAYMENT,
    ]));
    assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn terminals_with_other_manners_become_ready() {
    const PLAIN: &[Step] = &[
        Hear("0600 0E 123456 9E 0978 06 06 26 04 0A 02 06D3"),
        Say("8483 00"),
        Hear("0600 06 123456 9E 0978"),
        TAKEN,
        Say("060F 0A 19 00 29 68000123 49 0978"),
        ACK,
    ];
    for parts in [
        [PLAIN, READY],
        [
            REGISTER,
            &[
                Hear("0501 00"),
                Say("8437 00"),
                Hear("0501 03 123456"),
                TAKEN,
                Say("060F 01 00"),
                ACK,
            ],
        ],
        [
            REGISTER,
            &[Hear("0501 00"), TAKEN, Say("040F 02 27 00"), ACK, DONE, ACK],
        ],
    ] {
        let mut stage = Stage::new(kept());
        stage.terminal(script(&[parts[0], parts[1], PAYMENT]));
        assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
        stage.all_said().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_type_alone_tells_that_the_cardholder_signs() {
    for (result, signs) in [
        (
            "040F 23 27 00 04 000000003780 49 0978 0B 001077 0C 154501 0D 1122 19 60 29 68000123 87 0231 8A 05",
            true,
        ),
        (
            "040F 23 27 00 04 000000003780 49 0978 0B 001077 0C 154501 0D 1122 19 70 29 68000123 87 0231 8A 05",
            false,
        ),
    ] {
        let mut stage = Stage::new(kept());
        stage.terminal(script(&[
            REGISTER,
            READY,
            &[
                PAY,
                TAKEN,
                Say(result),
                ACK,
                Say("06D1 06 00 53756D6D65"),
                ACK,
                Say("06D1 01 81"),
                ACK,
                DONE,
                ACK,
            ],
        ]));
        let played = stage.run(pay()).await;
        assert_eq!(played.paid().receipts[0].signature_required, signs);
        stage.all_said().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_acknowledgement_and_a_status_before_it_are_waited_for() {
    let late = paying(&[Silent(7), TAKEN, Say(BOOKED), ACK, DONE, ACK]).await;
    assert_eq!(late.ended(), (Status::Ok, Effect::Done));
    let before = [Say("04FF 01 0E"), ACK, TAKEN, Say(BOOKED), ACK, DONE, ACK];
    assert_eq!(paying(&before).await.ended(), (Status::Ok, Effect::Done));
}

#[tokio::test(start_paused = true)]
async fn numbers_that_the_terminal_leaves_out_are_absent() {
    let result = Say("040F 15 27 00 04 000000003780 0B 000000 29 68000123 87 0000");
    let played = paying(&[TAKEN, result, ACK, DONE, ACK]).await;
    let paid = played.paid();
    assert_eq!((paid.receipt, paid.trace), (None, None));
}

/// A payment on a terminal of which only the first bytes differ.
async fn greeted(greeting: &'static str) -> Played {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[&[Say(greeting)], REGISTER, READY, PAYMENT]));
    let played = stage.run(pay()).await;
    stage.all_said().await;
    played
}

#[tokio::test(start_paused = true)]
async fn what_a_terminal_says_before_its_first_message_is_skipped() {
    // 00 00 00 3E VER|APP 1
    let played = greeted("0000003E 5645527C4150502031").await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
}

#[tokio::test(start_paused = true)]
async fn what_speaks_another_protocol_is_named_with_its_first_bytes() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[&[Say("5353482D322E30"), REGISTER[0]]]));
    let fault = stage.driver.open().await.unwrap_err();
    assert_eq!(fault.reason.keyword, "not-zvt");
    let text = fault.reason.text.en;
    assert!(text.contains("127.0.0.1:20007"), "{text}");
    assert!(text.contains("53 53 48 2D 32 2E 30"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_hangs_up_after_each_command_is_dialled_for_each() {
    let mut stage = Stage::new(config());
    // It is found out once: the first line of a session breaks, and is not tried again after that.
    for steps in [REGISTER, READY, PAYMENT, REGISTER, READY, PAYMENT] {
        let mut line = stage.line();
        let steps = steps.to_vec();
        tokio::spawn(async move { perform_and_leave(&mut line, steps).await });
    }
    for _ in 0..2 {
        assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_terminal_cannot_do_is_found_out_once() {
    let password = [Hear("0501 03 123456"), TAKEN, Say("060F 01 00"), ACK];
    let refused = [Hear("0501 00"), Say("8437 00")];
    let mut stage = Stage::new(config());
    stage.terminal(script(&[REGISTER, &refused, &password, PAYMENT]));
    stage.terminal(script(&[REGISTER, &password, PAYMENT]));
    for _ in 0..2 {
        assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    }
    stage.all_said().await;
}
