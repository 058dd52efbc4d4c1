//! The terminal while no call runs.

use std::time::Duration;

use koffer_proto::{Effect, Status};
use tokio::{
    io::AsyncReadExt,
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::script::{
    ACK, Hear, PAYMENT, READY, REGISTER, Say, Silent, Stage, Step, TAKEN, config, kept, pay,
    perform_and_leave, script,
};
use crate::{Driver, Report};

const CLOSING_DUE: &[Step] = &[Hear("0501 00"), TAKEN, Say("060F 01 F0"), ACK];

#[tokio::test(start_paused = true)]
async fn what_an_idle_terminal_needs_is_reported_once_and_again_when_it_is_well() {
    let mut stage = Stage::new(config());
    for state in [READY, CLOSING_DUE, CLOSING_DUE, READY] {
        stage.terminal(script(&[REGISTER, state]));
    }
    let opened = stage.driver.open().await.unwrap();
    assert_eq!(opened.reasons, []);
    let (reports, mut heard) = mpsc::channel(4);
    let begun = Instant::now();
    // It ends when there is nobody left to dial.
    let fault = stage.driver.watch(&reports).await;
    assert_eq!(fault.reason.keyword, "unreachable");
    assert!(begun.elapsed() >= Duration::from_secs(4 * 25));
    let keywords = |report| match report {
        Some(Report::Reasons(reasons)) => reasons.into_iter().map(|r| r.keyword).collect(),
        other => vec![format!("{other:?}")],
    };
    assert_eq!(keywords(heard.recv().await), ["end-of-day-required"]);
    assert_eq!(keywords(heard.recv().await), Vec::<String>::new());
    assert!(heard.try_recv().is_err());
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_closes_an_idle_connection_is_not_at_fault() {
    let mut stage = Stage::new(kept());
    let mut first = stage.line();
    tokio::spawn(async move {
        let steps = script(&[REGISTER, READY, &[Silent(2)]]);
        perform_and_leave(&mut first, steps).await;
    });
    stage.driver.open().await.unwrap();
    let (reports, _heard) = mpsc::channel(4);
    let watched = timeout(Duration::from_secs(20), stage.driver.watch(&reports)).await;
    assert!(watched.is_err(), "{watched:?}");
    stage.terminal(script(&[REGISTER, READY, PAYMENT]));
    assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    stage.all_said().await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_a_call_interrupts_leaves_nothing_on_the_line() {
    let mut stage = Stage::new(kept());
    let mut first = stage.line();
    let (asked, heard_question) = oneshot::channel();
    tokio::spawn(async move {
        let steps = script(&[REGISTER, READY, &[Hear("0501 00"), TAKEN]]);
        perform_and_leave(&mut first, steps).await;
        // The answer never comes; the line stays open until the ECR closes it.
        asked.send(()).unwrap();
        assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
    });
    stage.driver.open().await.unwrap();
    let (reports, _heard) = mpsc::channel(4);
    tokio::select! {
        fault = stage.driver.watch(&reports) => panic!("{fault:?}"),
        asked = heard_question => asked.unwrap(),
    }
    stage.terminal(script(&[REGISTER, READY, PAYMENT]));
    assert_eq!(stage.run(pay()).await.ended(), (Status::Ok, Effect::Done));
    stage.all_said().await;
}
