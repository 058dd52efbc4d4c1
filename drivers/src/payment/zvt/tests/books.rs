//! What is asked of the terminal's books before something is booked, and after contact was lost.

use std::time::Duration;

use jiff::Timestamp;
use koffer_proto::{
    Effect, Lang, Operation, Outcome, Response, Status,
    class::payment::{PayParams, Response as Paid, Transaction},
};

use super::super::{BASELINE, LOST, STATUS_INFORMATION, ZvtConfig};
use super::script::{
    ACK, BOOKED, DONE, Hear, PAY, PAYMENT, READY, REGISTER, Recorder, Say, Stage, Step, TAKEN,
    kept, pay, perform_and_leave, script,
};
use crate::{Contact, Driver, Interrupted, NotYet, Reconciled};

/// 06 20 without a receipt.
const ASK: Step = Hear("0620 05 123456 03 03");
/// 06 20 with its receipt.
const ASK_ALL: Step = Hear("0620 05 123456 03 01");
/// The entry before [`BOOKED`].
const EARLIER: &str =
    "040F 21 27 00 04 000000001010 49 0978 0B 001076 0C 150000 0D 1122 29 68000123 87 0230 8A 05";
/// What takes [`BOOKED`] back.
const REVERSED: &str = "040F 25 27 00 04 000000003780 49 0978 0B 001078 37 001077 0C 154507 0D 1122 29 68000123 87 0231 8A 05";

const SHOWS_EARLIER: &[Step] = &[ASK, TAKEN, Say(EARLIER), ACK, DONE, ACK];

fn asking() -> ZvtConfig {
    let mut config = kept();
    config.profile.shows_books = true;
    config
}

/// As the journal hands it to the driver's next life.
fn interrupted(journal: &Recorder) -> Interrupted {
    let steps = journal.steps.lock().unwrap();
    let find = |wanted: &str| steps.iter().find(|evidence| evidence.step == wanted);
    Interrupted {
        id: "7d1f0c7e".parse().unwrap(),
        client: "ws-1".parse().unwrap(),
        lang: Lang::En,
        operation: PayParams::SPEC,
        accepted_at: Timestamp::UNIX_EPOCH,
        baseline: find(BASELINE).cloned(),
        milestones: [STATUS_INFORMATION, LOST]
            .into_iter()
            .filter_map(find)
            .cloned()
            .collect(),
        known_for: Duration::ZERO,
    }
}

/// A payment whose line ends after these steps, and what was kept of it.
async fn cut_after(steps: &[Step]) -> Recorder {
    let mut stage = Stage::new(asking());
    let mut line = stage.line();
    let steps = script(&[REGISTER, READY, SHOWS_EARLIER, &[PAY, TAKEN], steps]);
    let terminal = tokio::spawn(async move { perform_and_leave(&mut line, steps).await });
    let played = stage.run(pay()).await;
    terminal.await.unwrap();
    assert_eq!(played.ended(), (Status::OutcomeUnknown, Effect::Unknown));
    assert!(matches!(played.finished.contact, Contact::Lost(_)));
    played.journal
}

/// What a new life of the driver finds out, from a terminal that shows `last` both times.
async fn finds(journal: &Recorder, last: &[Step]) -> Reconciled {
    let mut stage = Stage::new(asking());
    let look = script(&[READY, &[ASK_ALL, TAKEN], last]);
    stage.terminal(script(&[REGISTER, &look, &look]));
    let found = stage.driver.reconcile(&interrupted(journal)).await;
    stage.all_said().await;
    found
}

fn effect(reconciled: Reconciled) -> Effect {
    match reconciled {
        Reconciled::Settled(Outcome::Failed(failure)) => failure.effect(),
        other => panic!("not settled: {other:?}"),
    }
}

fn paid(reconciled: Reconciled) -> Transaction {
    match reconciled {
        Reconciled::Settled(Outcome::Ok(Response::Payment(Paid::Pay(paid)))) => paid,
        other => panic!("not paid: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_entry_is_asked_for_once_a_connection() {
    let mut stage = Stage::new(asking());
    stage.terminal(script(&[
        REGISTER,
        READY,
        SHOWS_EARLIER,
        PAYMENT,
        READY,
        PAYMENT,
    ]));
    let first = stage.run(pay()).await;
    let second = stage.run(pay()).await;
    for (played, last) in [(first, "1076"), (second, "1077")] {
        assert_eq!(played.ended(), (Status::Ok, Effect::Done));
        let known = played.journal.fact(BASELINE, "last-trace");
        assert_eq!(known.as_deref(), Some(last));
    }
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_will_not_tell_books_all_the_same() {
    let refusals: [&[Step]; 3] = [
        &[ASK, Say("8483 00")],
        &[ASK, TAKEN, Say("061E 01 83"), ACK],
        &[ASK, TAKEN, DONE, ACK],
    ];
    for refusal in refusals {
        let mut stage = Stage::new(asking());
        stage.terminal(script(&[REGISTER, READY, refusal, PAYMENT]));
        let played = stage.run(pay()).await;
        assert_eq!(played.ended(), (Status::Ok, Effect::Done));
        assert_eq!(played.journal.fact(BASELINE, "last-trace"), None);
        stage.all_said().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_hangs_up_over_the_question_gets_no_payment() {
    let mut stage = Stage::new(asking());
    let mut line = stage.line();
    let steps = script(&[REGISTER, READY, &[ASK, TAKEN]]);
    let terminal = tokio::spawn(async move { perform_and_leave(&mut line, steps).await });
    let played = stage.run(pay()).await;
    terminal.await.unwrap();
    assert_eq!(played.ended().1, Effect::None);
    assert_eq!(played.journal.steps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_and_is_shown_is_paid_with_the_terminals_own_receipt() {
    let journal = cut_after(&[Say(BOOKED), ACK]).await;
    assert_eq!(
        journal.steps(),
        [BASELINE, "started", STATUS_INFORMATION, LOST]
    );
    let last = [
        Say(BOOKED),
        ACK,
        Say("06D1 0C 00 4B756E64656E62656C6567"),
        ACK,
        Say("06D1 01 81"),
        ACK,
        DONE,
        ACK,
    ];
    let paid = paid(finds(&journal, &last).await);
    assert!(paid.recovered);
    assert_eq!((paid.receipt, paid.trace), (Some(231), Some(1077)));
    assert_eq!(paid.receipts[0].lines[0].text, "Kundenbeleg");
}

#[tokio::test(start_paused = true)]
async fn what_was_told_and_is_shown_taken_back_is_not_paid() {
    let journal = cut_after(&[Say(BOOKED), ACK]).await;
    let last = [Say(REVERSED), ACK, DONE, ACK];
    match finds(&journal, &last).await {
        Reconciled::Settled(Outcome::Failed(failure)) => {
            assert_eq!(failure.effect(), Effect::None);
            assert_eq!(failure.detail.cause.as_deref(), Some("taken-back"));
            assert!(
                failure.message.contains("took it back"),
                "{}",
                failure.message
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_as_before_is_not_paid_once_it_was_seen_twice() {
    let journal = cut_after(&[]).await;
    let mut stage = Stage::new(asking());
    let look = |last| script(&[READY, &[ASK_ALL, TAKEN, Say(last), ACK, DONE, ACK]]);
    // The command was still on its way: the second look finds the terminal at work, the third
    // and the fourth what came of it.
    let busy: &[Step] = &[Hear("0501 00"), Say("8000 00"), Say("060F 01 9C"), ACK];
    stage.terminal(script(&[
        REGISTER,
        &look(EARLIER),
        busy,
        &look(BOOKED),
        &look(BOOKED),
    ]));
    let found = stage.driver.reconcile(&interrupted(&journal)).await;
    stage.all_said().await;
    assert_eq!(paid(found).trace, Some(1077));
    let shown = [Say(EARLIER), ACK, DONE, ACK];
    assert!(matches!(
        finds(&journal, &shown).await,
        Reconciled::Settled(Outcome::Failed(failure)) if failure.effect() == Effect::None
    ));
}

#[tokio::test(start_paused = true)]
async fn what_is_booked_after_a_long_wait_may_be_somebody_elses() {
    let journal = cut_after(&[]).await;
    let mut stage = Stage::new(asking());
    let look = |last| script(&[READY, &[ASK_ALL, TAKEN, Say(last), ACK, DONE, ACK]]);
    // The next customer pays the same amount by hand while the terminal's rest is waited for.
    let busy: &[Step] = &[Hear("0501 00"), Say("8000 00"), Say("060F 01 9C"), ACK];
    stage.terminal(script(&[
        REGISTER,
        &look(EARLIER),
        &script(&[busy; 30]),
        &look(BOOKED),
        &look(BOOKED),
    ]));
    let found = stage.driver.reconcile(&interrupted(&journal)).await;
    stage.all_said().await;
    assert!(
        matches!(&found, Reconciled::Undecided(reason) if reason.keyword == "one-like-it"),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_what_was_not_told_may_be_somebody_elses() {
    let journal = cut_after(&[]).await;
    let shown = [Say(BOOKED), ACK, DONE, ACK];
    assert_eq!(paid(finds(&journal, &shown).await).trace, Some(1077));
    // A power cut: the marks are of another life of the process.
    for evidence in journal.steps.lock().unwrap().iter_mut() {
        evidence.facts.remove("mark");
    }
    match finds(&journal, &shown).await {
        Reconciled::Undecided(reason) => {
            assert_eq!(reason.keyword, "one-like-it");
            assert!(
                reason.text.en.contains("receipt 0231"),
                "{}",
                reason.text.en
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_breaks_over_the_question_is_asked_again_later() {
    let journal = cut_after(&[]).await;
    let mut stage = Stage::new(asking());
    let mut line = stage.line();
    let steps = script(&[REGISTER, READY, &[ASK_ALL, TAKEN]]);
    let terminal = tokio::spawn(async move { perform_and_leave(&mut line, steps).await });
    let found = stage.driver.reconcile(&interrupted(&journal)).await;
    terminal.await.unwrap();
    assert!(matches!(found, Reconciled::Lost(_)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_never_comes_to_rest_is_asked_again_later() {
    let journal = cut_after(&[]).await;
    let mut stage = Stage::new(asking());
    let mut line = stage.line();
    let terminal = tokio::spawn(async move {
        perform_and_leave(&mut line, REGISTER.to_vec()).await;
        let busy = [Hear("0501 00"), Say("8000 00"), Say("060F 01 9C"), ACK];
        for _ in 0..110 {
            perform_and_leave(&mut line, busy.to_vec()).await;
        }
        line
    });
    let found = stage.driver.reconcile(&interrupted(&journal)).await;
    terminal.abort();
    assert!(matches!(found, Reconciled::Lost(_)), "{found:?}");
}

/// 05 01 of a terminal that does not know it.
const NO_ENQUIRY: &[Step] = &[Hear("0501 00"), Say("8483 00")];

/// What is found out `known_for` after contact was lost, from a terminal that does not say that it
/// is busy.
async fn finds_after(
    known_for: Duration,
    tells_busy: bool,
    enquiry: &[Step],
    last: &[Step],
) -> Reconciled {
    let journal = cut_after(&[]).await;
    let mut config = asking();
    config.profile.tells_busy = tells_busy;
    let mut stage = Stage::new(config);
    let look = script(&[enquiry, &[ASK_ALL, TAKEN], last]);
    stage.terminal(script(&[REGISTER, &look, &look]));
    let interrupted = Interrupted {
        known_for,
        ..interrupted(&journal)
    };
    let found = stage.driver.reconcile(&interrupted).await;
    stage.all_said().await;
    found
}

#[tokio::test(start_paused = true)]
async fn not_booked_is_said_only_when_the_terminal_can_book_no_more() {
    let unchanged = &[Say(EARLIER), ACK, DONE, ACK];
    // 00 of a terminal that may say so while a customer stands there, and no answer at all.
    for (tells_busy, enquiry) in [(false, READY), (false, NO_ENQUIRY), (true, NO_ENQUIRY)] {
        let ask = async |seconds| {
            let known_for = Duration::from_secs(seconds);
            finds_after(known_for, tells_busy, enquiry, unchanged).await
        };
        let Reconciled::NotYet(NotYet {
            reason,
            again,
            within,
        }) = ask(0).await
        else {
            panic!("it may still book");
        };
        assert_eq!(reason.keyword, "may-still-book");
        assert!(reason.text.en.ends_with("certain within 3 minutes."));
        assert_eq!(within, Duration::from_mins(3));
        assert!(again < Duration::from_secs(1), "what comes soon is ours");
        assert!(
            matches!(ask(179).await, Reconciled::NotYet(NotYet { within, .. })
            if within == Duration::from_secs(1))
        );
        assert_eq!(effect(ask(180).await), Effect::None);
    }
    let idle = finds_after(Duration::ZERO, true, READY, unchanged).await;
    assert_eq!(effect(idle), Effect::None, "it would say that it is busy");
}

#[tokio::test(start_paused = true)]
async fn what_is_booked_late_is_told_at_once() {
    let booked = &[Say(BOOKED), ACK, DONE, ACK];
    let found = finds_after(Duration::from_secs(8), false, NO_ENQUIRY, booked).await;
    assert_eq!(paid(found).receipt, Some(231));
}

#[tokio::test(start_paused = true)]
async fn what_the_terminal_itself_ended_is_not_waited_for() {
    for abort in ["061E 00", "061E 01 00"] {
        let mut stage = Stage::new(asking());
        let mut line = stage.line();
        let aborts = &[PAY, TAKEN, Say(abort), ACK];
        let steps = script(&[REGISTER, READY, SHOWS_EARLIER, aborts]);
        let terminal = tokio::spawn(async move { perform_and_leave(&mut line, steps).await });
        let played = stage.run(pay()).await;
        terminal.await.unwrap();
        assert_eq!(played.ended(), (Status::OutcomeUnknown, Effect::Unknown));
        let detail = &played.failure().detail;
        assert_eq!(detail.cause.as_deref(), Some("aborted-without-reason"));
        let mut config = asking();
        config.profile.tells_busy = false;
        let mut stage = Stage::new(config);
        let look = script(&[READY, &[ASK_ALL, TAKEN, Say(EARLIER), ACK, DONE, ACK]]);
        stage.terminal(script(&[REGISTER, &look, &look]));
        let found = stage.driver.reconcile(&interrupted(&played.journal)).await;
        assert_eq!(effect(found), Effect::None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_in_place_of_the_acknowledgement_is_looked_up_in_the_books() {
    // It may be of an earlier command, as a line that knows no connections delivers it late.
    for (last, receipt) in [(BOOKED, Some(231)), (EARLIER, None)] {
        let mut stage = Stage::new(asking());
        let mut line = stage.line();
        let steps = script(&[REGISTER, READY, SHOWS_EARLIER, &[PAY, Say(BOOKED)]]);
        let terminal = tokio::spawn(async move { perform_and_leave(&mut line, steps).await });
        let played = stage.run(pay()).await;
        terminal.await.unwrap();
        assert_eq!(played.ended(), (Status::OutcomeUnknown, Effect::Unknown));
        let found = finds(&played.journal, &[Say(last), ACK, DONE, ACK]).await;
        match receipt {
            Some(_) => assert_eq!(paid(found).receipt, receipt),
            None => assert_eq!(effect(found), Effect::None),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_amount_than_asked_that_the_terminal_keeps_is_told_with_what_it_is() {
    for (booked, effect) in [("0734", Effect::Partial), ("5000", Effect::Done)] {
        let result: &'static str = format!(
            "040F 21 27 00 04 00000000{booked} 49 0978 0B 001077 0C 154501 0D 1122 29 68000123 87 0231 8A 05"
        )
        .leak();
        let mut stage = Stage::new(asking());
        let mut line = stage.line();
        let keeps = &[PAY, TAKEN, Say(result), Hear("8466 00"), DONE, ACK];
        let steps = script(&[REGISTER, READY, SHOWS_EARLIER, keeps]);
        let terminal = tokio::spawn(async move { perform_and_leave(&mut line, steps).await });
        let played = stage.run(pay()).await;
        terminal.await.unwrap();
        assert_eq!(played.ended(), (Status::OutcomeUnknown, Effect::Unknown));
        let found = finds(&played.journal, &[Say(result), ACK, DONE, ACK]).await;
        let Reconciled::Settled(Outcome::Failed(failure)) = found else {
            panic!("it is known: {found:?}");
        };
        assert_eq!(failure.effect(), effect);
        assert_eq!(failure.detail.cause.as_deref(), Some("other-amount"));
        let evidence = failure.detail.evidence.as_ref().unwrap();
        assert_eq!(evidence["amount"]["cents"], booked.parse::<u64>().unwrap());
        // One that it did not keep.
        let found = finds(&played.journal, &[Say(EARLIER), ACK, DONE, ACK]).await;
        assert_eq!(super::books::effect(found), Effect::None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_never_tells_of_its_books_names_the_key() {
    let mut stage = Stage::new(asking());
    stage.terminal(script(&[REGISTER, READY, &[ASK]]));
    let played = stage.run(pay()).await;
    assert_eq!(played.ended(), (Status::Unavailable, Effect::None));
    let message = &played.failure().message;
    assert!(message.contains("shows_books = false"), "{message}");
    stage.all_said().await;
}
