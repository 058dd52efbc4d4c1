//! The printer is killed and comes back, at every stage of a print.

use std::time::Duration;

use koffer_proto::{Effect, Status};

use super::{
    Office, PAGE, reasons,
    runner::{PATIENCE, print, print_of},
    sheets,
};

#[tokio::test]
async fn a_printer_that_is_gone_before_the_call_prints_nothing() {
    let mut office = Office::open().await;
    let device = office.device().await;
    office.printer.kill().expect("SIGKILL");
    let (_, ended) = device.run("a", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Unavailable, Effect::None));
    assert!(!ended.is_in_contact());
    office.printer.restart().await.expect("it comes back");
    let (_, ended) = office.device().await.run("b", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn an_idle_printer_that_goes_is_noticed() {
    let mut office = Office::open().await;
    let mut device = office.device().await;
    office.printer.kill().expect("SIGKILL");
    let (reports, _) = tokio::sync::mpsc::channel(16);
    let fault = tokio::time::timeout(PATIENCE, device.driver.watch(&reports));
    let fault = fault.await.expect("it is noticed");
    assert_eq!(fault.reason.keyword, "offline");
}

#[tokio::test]
async fn a_printer_killed_while_it_waits_for_another_job_prints_nothing() {
    let mut office = Office::open().await;
    office.create_job("somebody", "theirs").await;
    let device = office.device().await;
    let mut running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    running.until(reasons(&["printer-busy"])).await;
    office.printer.kill().expect("SIGKILL");
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::Unavailable, Effect::None));
    assert_eq!(office.tray(), Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn a_printer_killed_while_it_prints_is_in_doubt_and_nothing_is_printed_again() {
    let mut office = Office::open().await;
    office.set("pages", "2");
    office.set("hold-1", "");
    let device = office.device().await;
    let mut running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    running.until(sheets(1)).await;
    office.printer.kill().expect("SIGKILL");
    office.printer.restart().await.expect("it comes back");
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::OutcomeUnknown, Effect::Unknown));
    assert!(!ended.is_in_contact());
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn another_job_under_the_same_id_is_not_taken_for_ours() {
    let mut office = Office::open().await;
    office.set("hold-0", "");
    let device = office.device().await;
    let running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    office.until_processing("a").await;
    office.printer.kill().expect("SIGKILL");
    office.printer.restart().await.expect("it comes back");
    // Its id is 1 again, and it is printed.
    office.create_job("somebody", "theirs").await;
    office.cancel_job(1).await;
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::OutcomeUnknown, Effect::Unknown));
}

#[tokio::test]
async fn a_printer_that_stays_away_is_in_doubt_at_the_deadline() {
    let mut office = Office::open().await;
    office.set("hold-0", "");
    let device = office.device().await;
    let running = device.begin("a", print(print_of(PAGE)), Duration::from_secs(3));
    office.until_processing("a").await;
    office.printer.kill().expect("SIGKILL");
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::OutcomeUnknown, Effect::Unknown));
    assert_eq!(ended.detail().cause.as_deref(), Some("connection-lost"));
}
