//! What a clerk learns when a terminal says no, or the gateway must.

use koffer_proto::{
    Effect, Outcome, Response, Status,
    class::payment::{
        EndOfDayParams, PayParams,
        ReceiptCopy::{Customer, Merchant},
        Response as Paid, ReverseParams,
    },
};

use super::script::{
    ACK, BOOKED, DONE, Hear, PAY, PAYMENT, READY, REGISTER, Recorder, Say, Stage, Step, TAKEN,
    config, kept, pay, script,
};
use crate::{Contact, Driver, payment::zvt::codec::charset::Charset};

const UNDONE: fn(Status) -> (Status, Effect) = |status| (status, Effect::None);

/// A payment of which the terminal says this after it took the command.
pub(super) async fn paying(steps: &[Step]) -> super::script::Played {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[REGISTER, READY, &[PAY], steps]));
    let played = stage.run(pay()).await;
    stage.all_said().await;
    played
}

#[tokio::test(start_paused = true)]
async fn what_the_terminal_says_no_to_has_no_effect_and_a_code() {
    for (steps, status, code, cause) in [
        (
            &[TAKEN, Say("040F 02 27 05"), ACK, Say("061E 01 05"), ACK][..],
            Status::Declined,
            "05",
            "declined",
        ),
        (
            &[TAKEN, Say("040F 02 27 6C"), ACK, DONE, ACK],
            Status::Cancelled,
            "6c",
            "cancelled-at-terminal",
        ),
        (
            &[TAKEN, Say("061E 01 64"), ACK],
            Status::Declined,
            "64",
            "declined",
        ),
        (
            &[TAKEN, Say("061E 01 F0"), ACK],
            Status::DeviceFault,
            "f0",
            "end-of-day-required",
        ),
        (
            &[TAKEN, Say("061E 03 6F 0756"), ACK],
            Status::Declined,
            "6f",
            "not-possible",
        ),
        (&[Say("8483 00")], Status::Declined, "83", "not-possible"),
        (
            &[Say("849C 00")],
            Status::DeviceFault,
            "9c",
            "terminal-busy",
        ),
    ] {
        let played = paying(steps).await;
        assert_eq!(played.ended(), UNDONE(status), "{code}");
        assert_eq!(played.cause(), cause);
        assert_eq!(played.failure().detail.device_code.as_deref(), Some(code));
        assert!(played.failure().message.ends_with('.'));
        assert_eq!(played.finished.contact, Contact::Kept);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_terminal_is_waited_for_before_money_moves() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER,
        &[Hear("0501 00"), Say("849C 00")],
        &[Hear("0501 00"), TAKEN, Say("060F 01 9C"), ACK],
        READY,
        PAYMENT,
    ]));
    let played = stage.run(pay()).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
    assert_eq!(played.shown()[0], "please-wait");
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_needs_initialising_is_initialised_once_and_then_the_clerk_is_told() {
    const NEEDS: &[Step] = &[Hear("0501 00"), TAKEN, Say("060F 01 51"), ACK];
    const INITIALISE: &[Step] = &[
        Hear("0693 03 123456"),
        TAKEN,
        Say("04FF 01 CA"),
        ACK,
        DONE,
        ACK,
    ];
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER, NEEDS, INITIALISE, READY, PAYMENT, NEEDS, INITIALISE, NEEDS,
    ]));
    assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    let told = stage.run(pay()).await;
    assert_eq!(told.ended(), UNDONE(Status::Unavailable));
    assert_eq!(told.failure().detail.reasons, ["initialisation-required"]);
    assert_eq!(told.journal.steps(), Vec::<&str>::new());
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_wants_its_day_closed_gets_no_payment_but_may_be_closed() {
    const OPEN: &[Step] = &[Hear("0501 00"), TAKEN, Say("060F 01 F0"), ACK];
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER,
        OPEN,
        OPEN,
        &[Hear("0650 03 123456"), TAKEN, DONE, ACK],
    ]));
    let told = stage.run(pay()).await;
    assert_eq!(told.ended(), UNDONE(Status::Unavailable));
    assert_eq!(told.cause(), "end-of-day-required");
    let closed = stage.run(EndOfDayParams {}).await;
    assert_eq!(closed.ended(), (Status::Ok, Effect::Done));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_closing_refused_for_open_pre_authorisations_names_them() {
    let mut stage = Stage::new(kept());
    stage.terminal(script(&[
        REGISTER,
        READY,
        &[
            Hear("0650 03 123456"),
            TAKEN,
            Say("061E 01 77"),
            ACK,
            Hear("0623 03 87 FFFF"),
            TAKEN,
            Say("061E 10 B8 87 0229 06 0A 23 08 08 02 0229 08 02 0230"),
            ACK,
        ],
    ]));
    let played = stage.run(EndOfDayParams {}).await;
    assert_eq!(played.ended(), UNDONE(Status::Declined));
    assert_eq!(played.cause(), "open-pre-authorisations");
    assert!(played.failure().message.contains("0229, 0230"));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_answer_is_refused_and_the_terminal_has_the_last_word() {
    for (answer, reply, cause) in [
        // Amount, terminal, currency, no result, an unknown field, cut off.
        ("040F 09 27 00 04 000000003781", "8466 00", "wrong-amount"),
        (
            "040F 0E 27 00 04 000000003780 29 68000124",
            "8466 00",
            "wrong-terminal",
        ),
        (
            "040F 0C 27 00 04 000000003780 49 0756",
            "8466 00",
            "wrong-currency",
        ),
        ("040F 07 04 000000003780", "8466 00", "unreadable-answer"),
        ("040F 05 27 00 C9 01 02", "8483 00", "unreadable-answer"),
        ("040F 03 27 00 04", "8466 00", "unreadable-answer"),
    ] {
        let confirmed = paying(&[TAKEN, Say(answer), Hear(reply), Say("061E 01 66"), ACK]).await;
        assert_eq!(confirmed.ended(), UNDONE(Status::DeviceFault), "{answer}");
        assert_eq!(confirmed.cause(), cause, "{answer}");
        let completed = paying(&[TAKEN, Say(answer), Hear(reply), DONE, ACK]).await;
        let unknown = (Status::OutcomeUnknown, Effect::Unknown);
        assert_eq!(completed.ended(), unknown, "{answer}");
        assert!(matches!(completed.finished.contact, Contact::Lost(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_contradicts_a_booking_ends_unknown_with_the_booking_as_evidence() {
    for steps in [
        &[TAKEN, Say(BOOKED), ACK, Say("061E 01 6C"), ACK][..],
        &[
            TAKEN,
            Say(BOOKED),
            ACK,
            Say("040F 02 27 6C"),
            Hear("8466 00"),
            DONE,
            ACK,
        ],
    ] {
        let played = paying(steps).await;
        let unknown = (Status::OutcomeUnknown, Effect::Unknown);
        assert_eq!(played.ended(), unknown);
        let evidence = played.failure().detail.evidence.as_ref().unwrap();
        assert_eq!(evidence["receipt"], 231);
    }
    // A payment that ends without any result, and an answer before the acknowledgement.
    for steps in [&[TAKEN, DONE, ACK][..], &[Say("061E 01 6C")]] {
        let unknown = (Status::OutcomeUnknown, Effect::Unknown);
        assert_eq!(paying(steps).await.ended(), unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_result_twice_is_acknowledged_twice_and_booked_once() {
    let played = paying(&[TAKEN, Say(BOOKED), ACK, Say(BOOKED), ACK, DONE, ACK]).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
    let steps = played.journal.steps();
    assert_eq!(steps, ["baseline", "started", "status-information"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_completion_belongs_to_an_enquiry_and_ends_no_payment() {
    let played = paying(&[TAKEN, Say(BOOKED), ACK, Say("060F 01 9C"), ACK, DONE, ACK]).await;
    assert_eq!(played.ended(), (Status::Ok, Effect::Done));
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_nothing_is_sent() {
    for step in ["baseline", "started"] {
        let mut stage = Stage::new(kept());
        stage.terminal(script(&[REGISTER, READY]));
        let journal = Recorder::refusing(step);
        let played = stage.run_with(pay(), journal, |_| {}).await;
        assert_eq!(played.ended(), UNDONE(Status::DeviceFault));
        assert_eq!(played.cause(), "journal-failed");
        stage.all_said().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_stored_is_refused_with_84_66() {
    for (last, ended) in [
        (Say("061E 01 66"), UNDONE(Status::DeviceFault)),
        (DONE, (Status::OutcomeUnknown, Effect::Unknown)),
    ] {
        let mut stage = Stage::new(kept());
        let refused = [PAY, TAKEN, Say(BOOKED), Hear("8466 00"), last, ACK];
        stage.terminal(script(&[REGISTER, READY, &refused]));
        let journal = Recorder::refusing("status-information");
        let played = stage.run_with(pay(), journal, |_| {}).await;
        assert_eq!(played.ended(), ended);
        stage.all_said().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_terminal_cannot_do_is_refused_before_it_is_dialled() {
    let mut config = config();
    config.profile.reverse_only_last = true;
    let mut stage = Stage::new(config);
    let francs = PayParams {
        amount: koffer_proto::Amount {
            cents: 100.try_into().unwrap(),
            currency: "CHF".to_owned().try_into().unwrap(),
        },
        reference: None,
    };
    assert_eq!(stage.run(francs).await.ended(), UNDONE(Status::BadRequest));
    stage.terminal(script(&[REGISTER, READY, PAYMENT]));
    stage.run(pay()).await;
    let earlier = ReverseParams {
        receipt: 230.try_into().unwrap(),
        amount: None,
    };
    assert_eq!(
        stage.run(earlier).await.ended(),
        UNDONE(Status::Unsupported)
    );
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_terminal_of_another_currency_or_password_is_a_fault_that_says_so() {
    for (answer, keyword) in [
        (
            &[TAKEN, Say("060F 05 19 00 49 0756"), ACK][..],
            "wrong-currency",
        ),
        (&[Say("8437 00")], "registration-refused"),
        (
            &[
                Say("8483 00"),
                Hear("0600 06 123456 9E 0978"),
                Say("8483 00"),
            ],
            "registration-refused",
        ),
    ] {
        let mut stage = Stage::new(kept());
        stage.terminal(script(&[&REGISTER[..1], answer]));
        let fault = stage.driver.open().await.unwrap_err();
        assert_eq!(fault.reason.keyword, keyword);
        stage.all_said().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_character_set_holds_unless_the_terminal_names_another() {
    for (echo, text) in [
        ("060F 0F 19 00 29 68000123 49 0978 06 03 14 01 0F", "5 €"),
        ("060F 0F 19 00 29 68000123 49 0978 06 03 14 01 FF", "5 ñ"),
        ("060F 0A 19 00 29 68000123 49 0978", "5 €"),
    ] {
        let mut config = kept();
        config.profile.charset = Charset::Latin9;
        let mut stage = Stage::new(config);
        stage.terminal(script(&[
            &[
                Hear("0600 11 123456 9E 0978 06 09 26 04 0A 02 06D3 14 01 0F"),
                TAKEN,
                Say(echo),
                ACK,
            ],
            READY,
            &[
                PAY,
                TAKEN,
                Say(BOOKED),
                ACK,
                Say("06D1 04 00 3520A4"),
                ACK,
                DONE,
                ACK,
            ],
        ]));
        let played = stage.run(pay()).await;
        assert_eq!(played.paid().receipts[0].lines[0].text, text);
        stage.all_said().await;
    }
}

#[tokio::test(start_paused = true)]
async fn both_receipts_come_apart_with_their_card_number_masked() {
    // 06 D3: merchant (1F07 = 1) with a card number, then customer (1F07 = 2).
    let merchant = "06D3 22 06 20 1F07 01 01 25 1A 07 10 34313131313131313131313131313131 \
                    07 03 53756D 09 01 81";
    let customer = "06D3 12 06 10 1F07 01 02 25 0A 07 05 4B756E6465 09 01 81";
    let played = paying(&[
        TAKEN,
        Say(BOOKED),
        ACK,
        Say(merchant),
        ACK,
        Say(customer),
        ACK,
        DONE,
        ACK,
    ])
    .await;
    let Outcome::Ok(Response::Payment(Paid::Pay(paid))) = &played.finished.outcome else {
        panic!("{:?}", played.finished)
    };
    let receipts: Vec<_> = paid
        .receipts
        .iter()
        .map(|receipt| (receipt.copy, receipt.lines[0].text.as_str()))
        .collect();
    assert_eq!(
        receipts,
        [(Merchant, "************1111"), (Customer, "Kunde")]
    );
}
