//! The gpsd driver against the real gpsd, with a receiver that gpsfake plays.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails fails the test"
)]

use std::time::Duration;

use koffer_drivers::{Contact, Report, position::gpsd::GpsdConfig};
use koffer_fixtures::{
    driven::Driven,
    position::{FakeReceiver, Sky},
};
use koffer_proto::{
    Outcome, Response, Status,
    class::{
        any_device::{Response as Any, SelfTestLevel, SelfTestParams, StepOutcome},
        position::{Fix, PositionStatus, Response as Position, StatusParams},
    },
};
use koffer_settings::HostPort;

/// gpsd needs some sentences for a fix.
const TRIES: usize = 100;

fn driven(receiver: &FakeReceiver) -> Driven {
    let address = receiver.address();
    let config = GpsdConfig {
        server: HostPort::parse(address.strip_prefix("tcp://").unwrap(), None).unwrap(),
        receiver: None,
    };
    Driven::new(&config, &"case-7".parse().unwrap())
}

async fn status(driven: &mut Driven) -> PositionStatus {
    match driven.ask(StatusParams {}).await {
        (Outcome::Ok(Response::Position(Position::Status(status))), Contact::Kept) => status,
        other => panic!("{other:?}"),
    }
}

async fn fixed(driven: &mut Driven) -> PositionStatus {
    for _ in 0..TRIES {
        let told = status(driven).await;
        // gpsd puts a report together from several sentences.
        let whole = told.place.is_some_and(|place| place.height_m.is_some());
        if whole && told.time.is_some() && told.satellites.is_some_and(|used| used > 0) {
            assert_eq!(told.fix, Fix::ThreeD);
            return told;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no fix");
}

async fn external(driven: &mut Driven) -> StepOutcome {
    let level = SelfTestLevel::External;
    let (outcome, _) = driven.ask(SelfTestParams { level }).await;
    let Outcome::Ok(Response::AnyDevice(Any::SelfTest(report))) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(report.steps[0].outcome, StepOutcome::Passed);
    report.steps[1].outcome
}

#[tokio::test]
async fn a_receiver_under_a_clear_sky_tells_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = FakeReceiver::start(dir.path(), Sky::Clear).unwrap();
    let mut driven = driven(&receiver);
    driven.open_soon().await.unwrap();
    let told = fixed(&mut driven).await;
    let place = told.place.unwrap();
    assert!((place.latitude - 52.52).abs() < 1e-6, "{place:?}");
    assert!((place.longitude - 13.405).abs() < 1e-6, "{place:?}");
    assert_eq!(external(&mut driven).await, StepOutcome::Passed);
}

#[tokio::test]
async fn a_covered_receiver_has_a_reason_and_gpsd_that_dies_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = FakeReceiver::start(dir.path(), Sky::Covered).unwrap();
    let mut driven = driven(&receiver);
    let opened = driven.open_soon().await.unwrap();
    assert_eq!(opened.reasons[0].keyword, "no-fix");
    let told = status(&mut driven).await;
    assert_eq!((told.fix, told.place), (Fix::None, None));
    assert_eq!(external(&mut driven).await, StepOutcome::Failed);

    receiver.kill().unwrap();
    let (outcome, contact) = driven.ask(StatusParams {}).await;
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(failure.status(), Status::DeviceFault);
    assert!(matches!(contact, Contact::Lost(fault) if fault.reason.keyword == "not-reachable"));

    receiver.restart(Sky::Clear).unwrap();
    let opened = driven.open_soon().await.unwrap();
    if !opened.reasons.is_empty() {
        driven
            .watch_until(|report| matches!(report, Report::Reasons(reasons) if reasons.is_empty()))
            .await
            .unwrap();
    }
    fixed(&mut driven).await;
}
