//! What one client sends takes nothing from the others.

use super::*;

#[test]
fn a_flood_at_one_device_makes_it_busy_for_nobody_else_and_turns_are_fair() {
    let mut office = Office::new();
    for n in 0..17 {
        office.pay("ws-1", &format!("flood-{n}"), "till-1", 5);
    }
    let told = office.statuses();
    assert_eq!(told.len(), 14, "one runs and two wait: {told:?}");
    assert!(told.iter().all(|(_, status)| status == "busy"));
    office.pay("ws-2", "mine", "till-1", 7);
    office.pay("ws-2", "next", "till-1", 7);
    assert_eq!(office.statuses(), []);
    for start in 0..5 {
        office.finish(start, paid());
    }
    let order: Vec<_> = office.statuses().into_iter().map(|(id, _)| id).collect();
    assert_eq!(order, ["flood-0", "flood-1", "mine", "flood-2", "next"]);
}

#[test]
fn whoever_has_all_places_open_leaves_the_others_their_share() {
    let mut office = Office::new();
    office.pay("ws-1", "running", "till-1", 5);
    let cancel = json!({"call": "running"});
    for n in 0..200 {
        office.call("ws-1", &format!("c{n}"), "gateway/cancel", &cancel);
    }
    let told = office.statuses();
    assert!(told.iter().all(|(_, status)| status == "busy"));
    assert_eq!(told.len(), 101, "100 calls are open");
    office.pay("ws-2", "mine", "till-2", 7);
    office.pay("ws-2", "next", "till-2", 7);
    assert_eq!((office.statuses(), office.starts.len()), (vec![], 2));
}

#[test]
fn a_call_is_told_in_a_bounded_number_of_places() {
    let mut office = Office::new();
    office.pay("ws-1", "a", "till-1", 5);
    let at = |place: usize| {
        let mut again = Office::message("ws-1", "a", "till-1/pay", &payment_of(5));
        again.properties.response_topic = Some(format!("koffer/1/case-7/reply/ws-1/{place}"));
        again
    };
    for place in 0..20 {
        office.send(at(place), false);
    }
    assert_eq!(office.statuses(), vec![pair("a", "busy"); 13]);
    office.send(at(0), false);
    office.finish(0, paid());
    assert_eq!(office.statuses(), vec![pair("a", "ok"); 8]);
}
