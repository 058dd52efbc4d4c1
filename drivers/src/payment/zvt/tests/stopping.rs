//! Cancelling, deadlines, silence: how a call ends that does not end by itself.

use std::time::Duration;

use koffer_proto::{Effect, Status};

use super::script::{
    ACK, BOOKED, DONE, Hear, PAY, PAYMENT, Played, READY, REGISTER, Recorder, Say, Silent, Stage,
    Step, TAKEN, kept, pay, script,
};
use crate::{CallUpdate, Contact, Stop};

const UNKNOWN: (Status, Effect) = (Status::OutcomeUnknown, Effect::Unknown);

/// A payment that is stopped so many seconds after it began.
async fn stopped_after(seconds: u64, stop: Stop, steps: &[Step]) -> Played {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, steps]));
    let played = stage
        .run_with(pay(), Recorder::default(), |steering| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                steering.stop(stop);
            });
        })
        .await;
    stage.all_said().await;
    played
}

fn too_late(played: &Played) -> bool {
    played.told.contains(&CallUpdate::PastCancelling)
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_payment_is_cancelled_when_the_terminal_says_so_and_not_before() {
    for (stop, status) in [
        (Stop::Cancelled, Status::Cancelled),
        (Stop::Shutdown, Status::Cancelled),
        (Stop::Deadline, Status::TimedOut),
    ] {
        let played = stopped_after(
            10,
            stop,
            &[
                PAY,
                TAKEN,
                Say("04FF 01 0A"),
                ACK,
                Hear("06B0 00"),
                TAKEN,
                // Its 80 00 is no "cancelled": the card has to come out first.
                Silent(10),
                Say("04FF 01 0B"),
                ACK,
                Silent(10),
                Say("061E 01 6C"),
                ACK,
            ],
        )
        .await;
        assert_eq!(played.ended(), (status, Effect::None));
        assert!(played.took >= Duration::from_secs(30));
        assert!(!too_late(&played));
        assert_eq!(played.finished.contact, Contact::Kept);
    }
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_is_booked_while_it_is_being_cancelled_is_booked() {
    for late in [
        // The terminal says that it is too late; or only the booking does.
        &[Hear("06B0 00"), Say("8483 00"), Silent(20), Say(BOOKED)][..],
        &[Hear("06B0 00"), TAKEN, Say(BOOKED)],
        &[Hear("06B0 00"), Say(BOOKED)],
    ] {
        let steps = [&[PAY, TAKEN][..], late, &[ACK, DONE, ACK]].concat();
        let played = stopped_after(10, Stop::Cancelled, &steps).await;
        assert_eq!(played.ended(), (Status::Ok, Effect::Done));
        assert!(too_late(&played));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_after_the_booking_is_too_late_and_loses_no_receipt() {
    let played = stopped_after(
        10,
        Stop::Cancelled,
        &[
            PAY,
            TAKEN,
            Say(BOOKED),
            ACK,
            Say("06D1 04 00 426172"),
            ACK,
            Silent(20),
            Say("06D1 04 00 426173"),
            ACK,
            DONE,
            ACK,
        ],
    )
    .await;
    assert_eq!(played.paid().receipts[0].lines.len(), 2);
    assert!(too_late(&played));
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_is_never_answered_ends_unknown() {
    for answer in [&[][..], &[TAKEN]] {
        let steps = [&[PAY, TAKEN, Hear("06B0 00")][..], answer].concat();
        let played = stopped_after(10, Stop::Cancelled, &steps).await;
        assert_eq!(played.ended(), UNKNOWN);
        assert!(played.took <= Duration::from_secs(40), "{:?}", played.took);
        assert!(matches!(played.finished.contact, Contact::Lost(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_only_says_please_wait_does_not_hold_a_stopped_call_for_ever() {
    let waiting = [Silent(5), Say("04FF 01 0E"), ACK].repeat(12);
    let steps = [&[PAY, TAKEN, Hear("06B0 00"), TAKEN][..], &waiting[..]].concat();
    let mut stage = Stage::new(kept());
    let mut line = stage.line();
    let terminal = tokio::spawn(async move {
        let steps = script(&[REGISTER, READY, &steps]);
        // It is hung up on before the script is over.
        super::script::perform_and_leave(&mut line, steps).await;
    });
    let played = stage
        .run_with(pay(), Recorder::default(), |steering| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(10)).await;
                steering.stop(Stop::Cancelled);
            });
        })
        .await;
    assert_eq!(played.ended(), UNKNOWN);
    assert!(played.took <= Duration::from_secs(71), "{:?}", played.took);
    terminal.abort();
}

#[tokio::test(start_paused = true)]
async fn stopped_before_anything_was_sent_nothing_is_sent() {
    let mut stage = Stage::new(kept());
    // The status enquiry is still answered; the payment is not begun.
    stage.terminal(script(&[
        REGISTER,
        &[Hear("0501 00"), TAKEN, Silent(5), Say("060F 01 00"), ACK],
    ]));
    let played = stage
        .run_with(pay(), Recorder::default(), |steering| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                steering.stop(Stop::Cancelled);
            });
        })
        .await;
    assert_eq!(played.ended(), (Status::Cancelled, Effect::None));
    assert!(!played.told.contains(&CallUpdate::EffectBegun));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_not_acknowledged_in_time_ends_unknown_and_is_not_sent_again() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, &[PAY]]));
    let played = stage.run(pay()).await;
    assert_eq!(played.ended(), UNKNOWN);
    assert_eq!(played.took.as_secs(), 10);
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn silence_for_t4_is_asked_to_abort_and_counts_only_if_confirmed() {
    let mut stage = Stage::new(kept());
    let silent = [PAY, TAKEN, Silent(179), Say("04FF 01 0A"), ACK, Silent(179)];
    let confirmed = [Hear("06B0 00"), TAKEN, Say("061E 01 6C"), ACK];
    stage.terminal(script(&[REGISTER, READY, &silent, &confirmed]));
    let played = stage.run(pay()).await;
    assert_eq!(played.ended(), (Status::TimedOut, Effect::None));
    assert_eq!(played.cause(), "terminal-silent");
    assert!(played.took >= Duration::from_secs(179 + 180));
    stage.all_said().await;

    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, &[PAY, TAKEN, Hear("06B0 00")]]));
    let played = stage.run(pay()).await;
    assert_eq!(played.ended(), UNKNOWN);
    assert_eq!(played.took.as_secs(), 180 + 15);
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn the_second_byte_of_04_ff_is_the_new_t4_in_minutes() {
    let mut stage = Stage::new(kept());
    let slow = [PAY, TAKEN, Say("04FF 02 04 05"), ACK, Silent(299)];
    stage.terminal(script(&[REGISTER, READY, &slow, &PAYMENT[6..]]));
    let played = stage.run(pay()).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_never_completes_ends_unknown_with_its_evidence() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, &[PAY, TAKEN, Say(BOOKED), ACK]]));
    let played = stage.run(pay()).await;
    assert_eq!(played.ended(), UNKNOWN);
    let evidence = played.failure().detail.evidence.as_ref().unwrap();
    assert_eq!(
        (&evidence["trace"], &evidence["terminal"]),
        (&1077.into(), &"68000123".into())
    );
    stage.all_said().await;
}
