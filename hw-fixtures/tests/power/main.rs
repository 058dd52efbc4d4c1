//! The power drivers against peers that nobody here wrote: NUT's server with `dummy-ups`, and
//! umockdev's sysfs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails fails the test"
)]

use koffer_drivers::{
    Contact, Report,
    power::{nut::NutConfig, sysfs::SysfsConfig},
};
use koffer_fixtures::{
    driven::Driven,
    power::{MockedSupplies, NutServer},
};
use koffer_proto::{
    EventKind, Outcome, Response, Status,
    class::{
        any_device::{IdentifyParams, Response as Any, SelfTestLevel, SelfTestParams, StepOutcome},
        power::{PowerSource, PowerStatus, Response as Power, StatusParams},
    },
};
use serde_json::json;

const ON_MAINS: &str = "device.mfr: Town\ndevice.model: Case 700\ndevice.serial: TP-0007\n\
    ups.status: OL CHRG\nbattery.charge: 90\nbattery.runtime: 1800\n";
const ON_BATTERY: &str = "device.serial: TP-0007\nups.status: OB DISCHRG\nbattery.charge: 60\n\
    battery.runtime: 900\n";
const LOW: &str = "device.serial: TP-0007\nups.status: OB DISCHRG LB\nbattery.charge: 8\n\
    battery.runtime: 60\n";

async fn status(driven: &mut Driven) -> PowerStatus {
    match driven.ask(StatusParams {}).await {
        (Outcome::Ok(Response::Power(Power::Status(status))), Contact::Kept) => status,
        other => panic!("{other:?}"),
    }
}

fn is_event(report: &Report, wanted: EventKind) -> bool {
    matches!(report, Report::Event(event) if *event == wanted)
}

fn has_reason(report: &Report, keyword: &str) -> bool {
    matches!(report, Report::Reasons(reasons) if reasons.iter().any(|r| r.keyword == keyword))
}

fn ups(server: &NutServer) -> Driven {
    let config: NutConfig = server.address().parse().unwrap();
    Driven::new(&config, &"case-7".parse().unwrap())
}

#[tokio::test]
async fn a_ups_tells_what_feeds_the_case_and_reports_each_change() {
    let dir = tempfile::tempdir().unwrap();
    let server = NutServer::start(dir.path(), ON_MAINS).unwrap();
    let mut driven = ups(&server);
    let opened = driven.open_soon().await.unwrap();
    assert_eq!(opened.identity.serial.as_deref(), Some("TP-0007"));
    assert!(opened.reasons.is_empty(), "{:?}", opened.reasons);
    let told = status(&mut driven).await;
    assert_eq!(told.source, PowerSource::Mains);
    assert_eq!(told.charge_percent, Some(90));
    assert_eq!(told.runtime_ms, Some(1_800_000));

    server.say(ON_BATTERY).unwrap();
    let reports = driven
        .watch_until(|report| has_reason(report, "on-battery"))
        .await
        .unwrap();
    assert!(is_event(&reports[0], EventKind::OnBattery), "{reports:?}");
    server.say(LOW).unwrap();
    driven
        .watch_until(|report| has_reason(report, "battery-low"))
        .await
        .unwrap();
    assert!(status(&mut driven).await.low);
    server.say(ON_MAINS).unwrap();
    let reports = driven
        .watch_until(|report| matches!(report, Report::Reasons(reasons) if reasons.is_empty()))
        .await
        .unwrap();
    assert!(is_event(&reports[0], EventKind::OnMains), "{reports:?}");
}

#[tokio::test]
async fn a_ups_whose_driver_or_server_dies_is_a_fault_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = NutServer::start(dir.path(), ON_MAINS).unwrap();
    let mut driven = ups(&server);
    driven.open_soon().await.unwrap();

    server.kill_ups().unwrap();
    let fault = driven.watch_until(|_| false).await.unwrap_err().unwrap();
    assert_eq!(fault.reason.keyword, "no-data");
    server.start_ups().unwrap();
    driven.open_soon().await.unwrap();

    server.kill_server().unwrap();
    let (outcome, contact) = driven.ask(StatusParams {}).await;
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(failure.status(), Status::DeviceFault);
    let Contact::Lost(fault) = contact else {
        panic!("{contact:?}");
    };
    assert_eq!(fault.reason.keyword, "not-reachable");
    let again = driven.open().await.unwrap_err();
    assert_eq!(again.reason.keyword, "not-reachable");
    server.start_server().unwrap();
    driven.open_soon().await.unwrap();
}

#[tokio::test]
async fn a_ups_that_the_server_does_not_know_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = NutServer::start(dir.path(), ON_MAINS).unwrap();
    ups(&server).open_soon().await.unwrap();
    let config: NutConfig = format!("{}x", server.address()).parse().unwrap();
    let mut driven = Driven::new(&config, &"case-7".parse().unwrap());
    let fault = driven.open().await.unwrap_err();
    assert_eq!(fault.reason.keyword, "unknown-ups");
    assert!(fault.reason.text.de.contains("casex"), "{fault}");
}

#[tokio::test]
async fn a_ups_tests_and_names_itself() {
    let dir = tempfile::tempdir().unwrap();
    let server = NutServer::start(dir.path(), ON_MAINS).unwrap();
    let mut driven = ups(&server);
    driven.open_soon().await.unwrap();
    for (level, steps) in [
        (SelfTestLevel::Internal, &["read"][..]),
        (SelfTestLevel::External, &["read", "battery"]),
    ] {
        let (outcome, _) = driven.ask(SelfTestParams { level }).await;
        let Outcome::Ok(Response::AnyDevice(Any::SelfTest(report))) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(report.outcome, Some(StepOutcome::Passed), "{report:?}");
        let names: Vec<_> = report.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, steps);
        assert_eq!(report.identity.serial.as_deref(), Some("TP-0007"));
    }
    let (outcome, _) = driven.ask(IdentifyParams {}).await;
    let Outcome::Ok(Response::AnyDevice(Any::Identify(identified))) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(!identified.signalled);
}

#[tokio::test]
async fn the_machine_s_own_supplies_tell_the_same() {
    let mut machine = MockedSupplies::start().unwrap();
    machine
        .add("AC", &json!({"type": "Mains", "online": "1"}))
        .unwrap();
    let battery = json!({"type": "Battery", "present": "1", "status": "Charging",
        "capacity": "80", "manufacturer": "Town", "model_name": "Pack 9", "serial_number": "7",
        "energy_now": "30000000", "power_now": "10000000"});
    machine.add("BAT0", &battery).unwrap();
    let config = SysfsConfig {
        folder: machine.folder().to_owned(),
        low_percent: 10,
    };
    let mut driven = Driven::new(&config, &"case-7".parse().unwrap());
    let opened = driven.open().await.unwrap();
    assert_eq!(opened.identity.model.as_deref(), Some("Pack 9"));
    assert_eq!(status(&mut driven).await.source, PowerSource::Mains);

    machine.set("AC", &json!({"online": "0"})).unwrap();
    machine
        .set("BAT0", &json!({"status": "Discharging"}))
        .unwrap();
    let reports = driven
        .watch_until(|report| has_reason(report, "on-battery"))
        .await
        .unwrap();
    assert!(is_event(&reports[0], EventKind::OnBattery), "{reports:?}");
    let told = status(&mut driven).await;
    assert_eq!(told.runtime_ms, Some(10_800_000));

    machine.remove("BAT0").unwrap();
    machine.remove("AC").unwrap();
    let fault = driven.watch_until(|_| false).await.unwrap_err().unwrap();
    assert!(["no-supply", "not-readable"].contains(&fault.reason.keyword.as_str()));
}
