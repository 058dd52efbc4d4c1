//! Calls to a role: who does them, and when they go on to the next device.

use koffer_drivers::Stop;
use koffer_proto::{
    Response,
    class::any_device::{SelfTestLevel, StepOutcome},
};

use super::*;

fn unable(status: Status) -> Outcome<Response> {
    Outcome::Failed(Failure::without_effect(status, "out of paper"))
}

#[tokio::test]
async fn a_call_goes_on_to_the_next_device_as_long_as_its_effect_could_not_have_begun() {
    // A device that cannot do this call, such as a printer that takes no PDF, is passed over.
    for status in [
        Status::Unavailable,
        Status::DeviceFault,
        Status::Unsupported,
    ] {
        let mut fixture = Fixture::new();
        fixture.pay("ws-1", "a", "any-till", 500);
        assert_eq!(fixture.starts[0].device.as_str(), "till-1");
        fixture.finish(0, unable(status));
        assert_eq!(fixture.statuses(), [], "nobody is told yet");
        assert_eq!(fixture.starts[1].device.as_str(), "till-2");
        fixture.finish(1, paid());
        let last = fixture.published.last().unwrap();
        let answer: Value = serde_json::from_slice(&last.payload).unwrap();
        assert_eq!(
            answer["device"], "till-2",
            "the completion names who did it"
        );
        assert_eq!(fixture.statuses(), [pair("a", "ok")]);
    }
}

#[tokio::test]
async fn a_call_whose_effect_could_have_begun_stays_where_it_is() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "any-till", 500);
    fixture.starts[0].call.effect_may_begin().await.unwrap();
    fixture.finish(0, unable(Status::DeviceFault));
    assert_eq!(fixture.starts.len(), 1);
    assert_eq!(fixture.statuses(), [pair("a", "device-fault")]);
}

#[test]
fn what_the_device_refused_or_the_caller_stopped_does_not_go_on() {
    for status in [Status::Declined, Status::BadRequest, Status::Cancelled] {
        let mut fixture = Fixture::new();
        fixture.pay("ws-1", "a", "any-till", 500);
        fixture.finish(0, unable(status));
        assert_eq!(fixture.starts.len(), 1, "{status}");
    }
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "any-till", 500);
    fixture.call("ws-1", "c", "gateway/cancel", &json!({"call": "a"}));
    fixture.finish(0, unable(Status::Unavailable));
    assert_eq!(fixture.starts.len(), 1, "the caller wishes it to end");
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "any-till", 500);
    fixture.handle(Input::Shutdown);
    fixture.starts[0].control.steering().stop(Stop::Shutdown);
    fixture.finish(0, unable(Status::Unavailable));
    assert_eq!(fixture.starts.len(), 1, "the gateway goes down");
}

#[test]
fn a_call_to_one_device_stays_with_it() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 500);
    fixture.finish(0, unable(Status::Unavailable));
    assert_eq!(fixture.statuses(), [pair("a", "unavailable")]);
}

#[test]
fn each_device_of_a_role_is_tried_once() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "any-till", 500);
    fixture.finish(0, unable(Status::Unavailable));
    fixture.finish(1, unable(Status::Unavailable));
    assert_eq!(fixture.starts.len(), 2);
    assert_eq!(fixture.statuses(), [pair("a", "unavailable")]);
}

#[test]
fn calls_that_wait_for_a_device_out_of_use_are_passed_on() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "held", "till-2", 500);
    fixture.pay("ws-1", "first", "any-till", 500);
    fixture.pay("ws-2", "waits", "any-till", 500);
    let running: Vec<_> = fixture
        .starts
        .iter()
        .map(|s| s.device.to_string())
        .collect();
    assert_eq!(running, ["till-2", "till-1"]);
    let out_of_paper = koffer_proto::Reason::new("media-empty", "", "");
    fixture.condition("till-1", Condition::Blocked(vec![out_of_paper]));
    fixture.finish(0, paid());
    assert_eq!(fixture.starts.len(), 3);
    assert_eq!(fixture.starts[2].device.as_str(), "till-2");
    assert_eq!(fixture.starts[2].call.client.as_str(), "ws-2");
}

#[test]
fn it_is_shown_who_stands_in_for_whom() {
    let mut fixture = Fixture::new();
    let serves = |fixture: &Fixture| {
        let role = fixture.roles.values().next().unwrap();
        assert_eq!(role.devices.len(), 2);
        role.serves.as_ref().map(ToString::to_string)
    };
    assert_eq!(serves(&fixture).as_deref(), Some("till-1"));
    let fault = || Condition::Fault(koffer_proto::Reason::new("no-answer", "", ""));
    fixture.condition("till-1", fault());
    assert_eq!(serves(&fixture).as_deref(), Some("till-2"));
    fixture.condition("till-2", fault());
    assert_eq!(serves(&fixture), None);
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    assert_eq!(serves(&fixture).as_deref(), Some("till-1"));
}

#[test]
fn a_self_test_says_how_the_gateway_is() {
    let mut fixture = Fixture::new();
    let full = koffer_proto::Reason::new("journal-full", "voll", "full");
    let level = json!({"level": "internal"});
    let unset = koffer_proto::Reason::new(crate::clock::NOT_SYNCHRONISED, "offen", "open");
    let cases = [
        (None, None, "passed", "passed"),
        (Some(full), None, "failed", "passed"),
        // Nobody can be asked for the time: that says nothing against the device.
        (None, Some(unset), "passed", "skipped"),
    ];
    for (no, (journal, clock, of_journal, of_clock)) in cases.into_iter().enumerate() {
        let id = format!("{no}");
        let vitals = (fixture.dispatcher.vitals)();
        let passed = journal.is_none();
        fixture.dispatcher.vitals = Box::new(move || Vitals {
            journal_reason: journal.clone(),
            clock_reason: clock.clone(),
            ..vitals.clone()
        });
        fixture.call("tech", &id, "till-1/self-test", &level);
        let report = koffer_proto::class::any_device::SelfTestReport {
            passed: true,
            level: Some(SelfTestLevel::Internal),
            outcome: Some(StepOutcome::Passed),
            steps: Vec::new(),
            identity: koffer_proto::Identity::default(),
            address: None,
            supplies: Vec::new(),
        };
        let response = koffer_proto::class::any_device::Response::SelfTest(report);
        let start = fixture.starts.len() - 1;
        fixture.finish(start, Outcome::Ok(response.into()));
        let told = fixture.last_result();
        assert_eq!(told["passed"], passed);
        let ended = if passed { "passed" } else { "failed" };
        assert_eq!(told["outcome"], ended);
        let health = fixture.dispatcher.device_health(fixture.now.instant);
        let last = serde_json::to_value(health[&"till-1".parse().unwrap()].self_test).unwrap();
        assert_eq!(
            (&last["outcome"], &last["level"]),
            (&json!(ended), &json!("internal"))
        );
        assert_eq!(told["steps"][0]["name"], "gateway-journal");
        assert_eq!(told["steps"][0]["outcome"], of_journal);
        assert_eq!(told["steps"][1]["outcome"], of_clock);
    }
}
