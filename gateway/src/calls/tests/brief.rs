//! What is told of a call on its way, and what a brief one leaves out.

use koffer_proto::ProgressEvent;

use super::*;

fn till() -> DeviceId {
    "till-1".parse().unwrap()
}

#[test]
fn a_brief_call_is_told_by_its_completion_alone() {
    let mut fixture = Fixture::new();
    fixture.states.clear();
    fixture.call("ws-1", "a", "till-1/status", &json!({}));
    fixture.later(dispatcher::BRIEF / 2);
    fixture.finish(0, paid());
    fixture.later(dispatcher::BRIEF);
    let topics: Vec<_> = fixture.published.iter().map(|m| m.topic.as_str()).collect();
    assert_eq!(topics, ["koffer/1/case-7/reply/ws-1/a"]);
    assert!(fixture.states.is_empty(), "{:?}", fixture.states);
    assert!(fixture.dispatcher.next_tick() > Some(fixture.now.instant));
}

#[test]
fn a_call_that_lasts_is_told_in_order_and_its_device_shows_busy() {
    let mut fixture = Fixture::new();
    fixture.states.clear();
    fixture.pay("ws-1", "a", "till-1", 5);
    fixture.pay("ws-1", "b", "till-1", 5);
    let told_from = fixture.now.instant + dispatcher::BRIEF;
    assert_eq!(fixture.dispatcher.next_tick(), Some(told_from));
    fixture.later(dispatcher::BRIEF);
    assert_eq!(fixture.progress(), ["a started 1", "b queued 1"]);
    assert_eq!(fixture.states, [(till(), DeviceState::Busy)]);
    fixture.finish(0, paid());
    assert_eq!(
        fixture.progress(),
        ["b started 2"],
        "at once: it has waited"
    );
    assert_eq!(fixture.states.len(), 1, "busy all the while");
    fixture.finish(1, paid());
    assert_eq!(fixture.states.last(), Some(&(till(), DeviceState::Ready)));
}

#[test]
fn what_a_driver_tells_comes_after_what_came_before_it() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 5);
    let told = CallUpdate::Progress(ProgressEvent::Advanced {
        completed: 1,
        total: 2,
    });
    let event = SupervisorEvent::CallUpdate(fixture.starts[0].no, told);
    fixture.handle(Input::Device(till(), event));
    assert_eq!(fixture.progress(), ["a started 1", "a advanced 2"]);
}
