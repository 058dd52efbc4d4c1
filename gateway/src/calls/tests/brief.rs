//! What is told of a call on its way, and what a brief one leaves out.

use koffer_proto::ProgressEvent;

use super::*;

fn till() -> DeviceId {
    "till-1".parse().unwrap()
}

#[test]
fn a_brief_call_is_told_by_its_completion_alone() {
    let mut office = Office::new();
    office.states.clear();
    office.call("ws-1", "a", "till-1/status", &json!({}));
    office.later(desk::BRIEF / 2);
    office.finish(0, paid());
    office.later(desk::BRIEF);
    let topics: Vec<_> = office.published.iter().map(|m| m.topic.as_str()).collect();
    assert_eq!(topics, ["koffer/1/case-7/reply/ws-1/a"]);
    assert!(office.states.is_empty(), "{:?}", office.states);
    assert!(office.desk.next_tick() > Some(office.now.instant));
}

#[test]
fn a_call_that_lasts_is_told_in_order_and_its_device_shows_busy() {
    let mut office = Office::new();
    office.states.clear();
    office.pay("ws-1", "a", "till-1", 5);
    office.pay("ws-1", "b", "till-1", 5);
    let told_from = office.now.instant + desk::BRIEF;
    assert_eq!(office.desk.next_tick(), Some(told_from));
    office.later(desk::BRIEF);
    assert_eq!(office.progress(), ["a started 1", "b queued 1"]);
    assert_eq!(office.states, [(till(), DeviceState::Busy)]);
    office.finish(0, paid());
    assert_eq!(office.progress(), ["b started 2"], "at once: it has waited");
    assert_eq!(office.states.len(), 1, "busy all the while");
    office.finish(1, paid());
    assert_eq!(office.states.last(), Some(&(till(), DeviceState::Ready)));
}

#[test]
fn what_a_driver_tells_comes_after_what_came_before_it() {
    let mut office = Office::new();
    office.pay("ws-1", "a", "till-1", 5);
    let told = Told::Progress(ProgressEvent::Advanced {
        completed: 1,
        total: 2,
    });
    let news = News::Told(office.starts[0].no, told);
    office.handle(Input::Device(till(), news));
    assert_eq!(office.progress(), ["a started 1", "a advanced 2"]);
}
