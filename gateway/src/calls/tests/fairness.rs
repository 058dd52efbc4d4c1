//! What one client sends takes nothing from the others.

use super::*;

#[test]
fn a_flood_at_one_device_makes_it_busy_for_nobody_else_and_turns_are_fair() {
    let mut fixture = Fixture::new();
    for n in 0..17 {
        fixture.pay("ws-1", &format!("flood-{n}"), "till-1", 5);
    }
    let told = fixture.statuses();
    assert_eq!(told.len(), 14, "one runs and two wait: {told:?}");
    assert!(told.iter().all(|(_, status)| status == "busy"));
    fixture.pay("ws-2", "mine", "till-1", 7);
    fixture.pay("ws-2", "next", "till-1", 7);
    assert_eq!(fixture.statuses(), []);
    for start in 0..5 {
        fixture.finish(start, paid());
    }
    let order: Vec<_> = fixture.statuses().into_iter().map(|(id, _)| id).collect();
    assert_eq!(order, ["flood-0", "flood-1", "mine", "flood-2", "next"]);
}

#[test]
fn whoever_has_all_places_open_leaves_the_others_their_share() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "running", "till-1", 5);
    let cancel = json!({"call": "running"});
    for n in 0..200 {
        fixture.call("ws-1", &format!("c{n}"), "gateway/cancel", &cancel);
    }
    let told = fixture.statuses();
    assert!(told.iter().all(|(_, status)| status == "busy"));
    assert_eq!(told.len(), 101, "100 calls are open");
    fixture.pay("ws-2", "mine", "till-2", 7);
    fixture.pay("ws-2", "next", "till-2", 7);
    assert_eq!((fixture.statuses(), fixture.starts.len()), (vec![], 2));
}

#[test]
fn a_call_is_told_in_a_bounded_number_of_places() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 5);
    let at = |place: usize| {
        let mut again = Fixture::message("ws-1", "a", "till-1/pay", &payment_of(5));
        again.properties.response_topic = Some(format!("koffer/1/case-7/reply/ws-1/{place}"));
        again
    };
    for place in 0..20 {
        fixture.send(at(place), false);
    }
    assert_eq!(fixture.statuses(), vec![pair("a", "busy"); 13]);
    fixture.send(at(0), false);
    fixture.finish(0, paid());
    assert_eq!(fixture.statuses(), vec![pair("a", "ok"); 8]);
}
