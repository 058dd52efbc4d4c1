//! What terminals in the field do that the book does not say, or says in a place that is easily missed.

use koffer_proto::{
    Effect, Outcome, Response, Status,
    class::payment::{EndOfDayParams, Response as Paid, ReverseParams},
};

use super::script::{
    ACK, BOOKED, DONE, Hear, PAY, Played, READY, REGISTER, Say, Stage, Step, TAKEN, config, kept,
    pay, script,
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

async fn paying(steps: &[Step]) -> Played {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, &[PAY, TAKEN], steps]));
    let played = stage.run(pay()).await;
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
    // E0: closed, and remote maintenance follows.
    for code in ["060F 02 27 00", "060F 02 27 E0"] {
        let done = closing(&[Say(code), ACK]).await;
        assert_eq!(done.ended(), (Status::Ok, Effect::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_fails_after_a_positive_result_contradicts_it() {
    let played = paying(&[Say(BOOKED), ACK, Say("060F 02 27 6C"), ACK]).await;
    assert_eq!(played.ended(), (Status::OutcomeUnknown, Effect::Unknown));
    let played = paying(&[Say("060F 02 27 6C"), ACK]).await;
    assert_eq!(played.ended(), NO_EFFECT(Status::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_closing_has_one_result_per_contract_and_no_total_of_one_of_them() {
    let played = closing(&[
        Say("040F 0D 27 00 04 000000002600 0B 000011"),
        ACK,
        Say("040F 0D 27 00 04 000000001400 0B 000012"),
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
    let played = paying(&[Say("040F 09 27 00 0B 001077 87 0231"), ACK, DONE, ACK]).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
}

#[tokio::test(start_paused = true)]
async fn a_further_result_with_more_data_is_taken_and_one_of_another_booking_refused() {
    let more = "040F 11 27 00 04 000000003780 0B 001077 88 000231";
    let played = paying(&[Say(BOOKED), ACK, Say(more), ACK, DONE, ACK]).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
    assert_eq!(played.paid().receipt, 231);
    let other = "040F 0D 27 00 04 000000003780 0B 001078";
    let played = paying(&[Say(BOOKED), ACK, Say(other), Hear("8466 00"), DONE, ACK]).await;
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
        let played = paying(&[Say(said), ACK, Say(BOOKED), ACK, DONE, ACK]).await;
        assert_eq!(played.ended(), (Status::Ok, Effect::Done), "{said}");
    }
}
