//! The dispatcher's promises, each tried without a clock, a channel or a task.

use std::time::Duration;

use koffer_drivers::{CallUpdate, Report, Stop};
use koffer_proto::{
    ContentType, DeviceId, DeviceState, Effect, Failure, Outcome, Status,
    class::{
        any_device::ClaimParams,
        gateway::{CancelParams, CancelVerdict},
    },
};
use serde_json::{Value, json};

use super::*;
use crate::journal::{AcceptedCall, AnswerTo, CallName, CallNo, Deleted, JournalIndex};

mod brief;
mod budget;
mod dispatcher_task;
mod fairness;
mod fixture;
mod in_doubt;
mod races;
mod roles;

use fixture::*;

#[test]
fn a_call_runs_once_and_is_answered_once() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 3780);
    assert_eq!(fixture.starts.len(), 1);
    assert_eq!(fixture.acknowledged, [AckToken(1)]);
    assert!(fixture.completions().is_empty());
    fixture.finish(0, paid());
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
    assert!(fixture.dispatcher.is_idle());
}

#[test]
fn a_call_is_acknowledged_only_when_the_journal_has_it_and_answered_when_it_has_the_end() {
    let mut fixture = Fixture::new();
    fixture.journal_answers = false;
    fixture.pay("ws-1", "a", "till-1", 3780);
    assert_eq!((fixture.starts.len(), fixture.acknowledged.len()), (1, 0));
    fixture.journal_answer();
    assert_eq!((fixture.starts.len(), fixture.acknowledged.len()), (1, 1));
    fixture.finish(0, paid());
    assert!(
        fixture.completions().is_empty(),
        "told before it was stored"
    );
    fixture.journal_answer();
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
}

#[test]
fn how_a_call_ended_is_told_after_it_is_on_record_that_it_was_accepted() {
    let mut fixture = Fixture::new();
    fixture.journal_answers = false;
    fixture.pay("ws-1", "a", "till-1", 3780);
    fixture.finish(0, jammed());
    assert!(fixture.kept.is_empty() && fixture.completions().is_empty());
    fixture.journal_answer();
    assert_eq!(fixture.kept.len(), 1, "its end comes second");
    fixture.journal_answer();
    assert_eq!(fixture.statuses(), [pair("a", "device-fault")]);
}

#[tokio::test]
async fn without_a_journal_a_call_that_matters_is_stopped_and_was_never_taken() {
    for ended_first in [true, false] {
        let mut fixture = Fixture::new();
        fixture.journal_works = false;
        fixture.journal_answers = false;
        fixture.pay("ws-1", "a", "till-1", 3780);
        if ended_first {
            fixture.finish(0, jammed());
            fixture.journal_answer();
        } else {
            fixture.pay("ws-1", "behind", "till-1", 3780);
            fixture.journal_answer();
            assert_eq!(fixture.starts[0].call.stopped().await, Stop::Cancelled);
            assert_eq!(fixture.statuses(), [pair("behind", "unavailable")]);
            fixture.finish(0, jammed());
        }
        let mut told = fixture.statuses();
        told.retain(|(id, _)| id == "a");
        assert_eq!(told, [pair("a", "unavailable")]);
        assert!(fixture.kept.is_empty(), "what was not taken has no end");
        assert!(fixture.dispatcher.is_idle());
        assert_eq!(fixture.starts.len(), 1);
        fixture.call("ws-1", "b", "till-1/status", &json!({}));
        assert_eq!(fixture.starts.len(), 2);
    }
}

#[test]
fn a_device_whose_last_end_is_not_on_record_starts_nothing_that_must_not_happen_twice() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 3780);
    fixture.pay("ws-2", "waits", "till-1", 3780);
    fixture.journal_works = false;
    fixture.finish(0, paid());
    let told = [pair("a", "ok"), pair("waits", "unavailable")];
    assert_eq!(fixture.statuses(), told);
    assert_eq!(fixture.starts.len(), 1);
    fixture.call("ws-2", "s", "till-1/status", &json!({}));
    assert_eq!(fixture.starts.len(), 2, "what only asks is answered");
    fixture.finish(1, paid());
    fixture.statuses();
    // There is room again, and the end is not stored yet.
    fixture.journal_works = true;
    fixture.pay("ws-1", "b", "till-1", 3780);
    assert_eq!(fixture.statuses(), [pair("b", "unavailable")]);
    fixture.pay("ws-1", "c", "till-2", 3780);
    assert_eq!(fixture.starts[2].device.as_str(), "till-2", "only there");
    assert!(fixture.unrecorded.contains(&fixture.starts[0].no));
    fixture.handle(Input::Recorded(fixture.starts[0].no));
    fixture.pay("ws-1", "d", "till-1", 3780);
    assert_eq!(fixture.starts[3].call.id.to_string(), "d");
}

#[test]
fn the_next_payment_waits_until_the_end_of_the_one_before_is_stored() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 3780);
    fixture.pay("ws-2", "b", "till-1", 3780);
    fixture.journal_answers = false;
    fixture.finish(0, paid());
    assert_eq!(fixture.starts.len(), 1);
    fixture.journal_answer();
    assert_eq!(fixture.starts.len(), 2);
}

#[test]
fn a_call_that_could_not_be_put_on_record_names_no_device_and_may_be_made_again() {
    let mut fixture = Fixture::new();
    fixture.journal_works = false;
    fixture.pay("ws-1", "a", "till-1", 3780);
    fixture.finish(0, jammed());
    let refused: Value = serde_json::from_slice(&fixture.published[0].payload).unwrap();
    assert_eq!(refused["status"], "unavailable");
    assert_eq!(refused.get("device"), None);
    fixture.journal_works = true;
    fixture.pay("ws-1", "a", "till-1", 3780);
    assert_eq!(fixture.starts.len(), 2);
}

#[test]
fn the_same_call_id_joins_replays_or_conflicts_and_never_runs_again() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 3780);
    fixture.pay("ws-1", "a", "till-1", 3780);
    let mut elsewhere = Fixture::message("ws-1", "a", "till-1/pay", &payment_of(3780));
    elsewhere.properties.response_topic = Some("koffer/1/case-7/reply/ws-1/b".to_owned());
    fixture.send(elsewhere, true);
    fixture.pay("ws-1", "a", "till-1", 1);
    assert_eq!(fixture.statuses(), [pair("a", "conflict")]);
    fixture.finish(0, paid());
    assert_eq!(
        fixture.statuses(),
        [pair("a", "ok"), pair("a", "ok")],
        "one per place"
    );
    fixture.later(Duration::from_hours(23));
    fixture.pay("ws-1", "a", "till-1", 3780);
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
    assert_eq!(fixture.starts.len(), 1);
    assert_eq!(fixture.acknowledged.len(), 5);
    fixture.pay("ws-2", "a", "till-1", 3780);
    assert_eq!(fixture.starts.len(), 2, "another client's id is another id");
}

#[test]
fn a_redelivered_call_that_is_not_known_never_runs() {
    let mut fixture = Fixture::new();
    fixture.send(
        Fixture::message("ws-1", "a", "till-1/pay", &payment_of(5)),
        true,
    );
    assert_eq!(fixture.statuses(), [pair("a", "expired")]);
    let mut forgetful = Fixture::new();
    forgetful.dispatcher = Fixture::new().dispatcher;
    forgetful.dispatcher.remembers_everything = false;
    forgetful.condition("till-1", Condition::Usable(Vec::new()));
    forgetful.send(
        Fixture::message("ws-1", "a", "till-1/pay", &payment_of(5)),
        true,
    );
    forgetful.send(
        Fixture::message("ws-1", "b", "till-1/status", &json!({})),
        true,
    );
    assert_eq!(
        forgetful.statuses(),
        [pair("a", "outcome-unknown"), pair("b", "expired")],
        "only what might have had an effect is unknown"
    );
    assert!(forgetful.starts.is_empty());
}

#[test]
fn a_full_queue_answers_busy_at_once_and_the_id_can_be_used_again() {
    let mut fixture = Fixture::new();
    for id in ["a", "b", "c", "d"] {
        fixture.pay("ws-1", id, "till-1", 5);
    }
    assert_eq!(fixture.statuses(), [pair("d", "busy")]);
    for start in 0..3 {
        fixture.finish(start, paid());
    }
    fixture.pay("ws-1", "d", "till-1", 5);
    assert_eq!(fixture.starts.len(), 4);
}

#[test]
fn a_waiting_call_expires_and_a_running_one_is_left_to_its_driver() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 5);
    fixture.pay("ws-1", "b", "till-1", 5);
    let expires = fixture.now.instant + Duration::from_mins(1);
    fixture.later(dispatcher::BRIEF);
    assert_eq!(fixture.dispatcher.next_tick(), Some(expires));
    fixture.later(Duration::from_mins(1));
    assert_eq!(fixture.statuses(), [pair("b", "expired")]);
    fixture.finish(0, paid());
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
    assert_eq!(fixture.starts.len(), 1);
}

#[test]
fn a_call_that_expired_and_is_being_stored_wakes_nobody() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 5);
    fixture.pay("ws-1", "b", "till-1", 5);
    fixture.journal_answers = false;
    fixture.later(Duration::from_mins(1));
    let next = fixture.dispatcher.next_tick();
    assert!(next.is_none_or(|next| next > fixture.now.instant));
    fixture.journal_answer();
    assert_eq!(fixture.statuses(), [pair("b", "expired")]);
}

#[test]
fn cancelling_answers_cancelled_too_late_or_unknown() {
    let cancel = |call: &str| {
        json!(CancelParams {
            call: call.parse().unwrap(),
            client: None
        })
    };
    let verdict = |fixture: &Fixture| {
        serde_json::from_value::<CancelVerdict>(fixture.last_result()["verdict"].clone()).unwrap()
    };
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "running", "till-1", 5);
    fixture.pay("ws-1", "waiting", "till-1", 5);
    fixture.call("ws-1", "c1", "gateway/cancel", &cancel("waiting"));
    assert_eq!(verdict(&fixture), CancelVerdict::Cancelled);
    assert_eq!(
        fixture.statuses(),
        [pair("waiting", "cancelled"), pair("c1", "ok")]
    );

    fixture.call("ws-1", "c2", "gateway/cancel", &cancel("running"));
    assert!(fixture.completions().is_empty(), "only the driver can tell");
    let stopped = Outcome::Failed(Failure::unfinished(Status::Cancelled, Effect::None, ""));
    fixture.finish(0, stopped);
    assert_eq!(verdict(&fixture), CancelVerdict::Cancelled);
    assert_eq!(
        fixture.statuses(),
        [pair("running", "cancelled"), pair("c2", "ok")]
    );

    fixture.pay("ws-1", "late", "till-1", 5);
    fixture.call("ws-1", "c3", "gateway/cancel", &cancel("late"));
    let (device, no) = (fixture.starts[1].device.clone(), fixture.starts[1].no);
    fixture.handle(Input::Device(
        device,
        SupervisorEvent::CallUpdate(no, CallUpdate::PastCancelling),
    ));
    assert_eq!(verdict(&fixture), CancelVerdict::TooLate);
    fixture.finish(1, paid());
    fixture.call("ws-1", "c4", "gateway/cancel", &cancel("late"));
    assert_eq!(verdict(&fixture), CancelVerdict::TooLate);
    fixture.call("ws-2", "c5", "gateway/cancel", &cancel("late"));
    assert_eq!(
        verdict(&fixture),
        CancelVerdict::Unknown,
        "another's call is not seen"
    );
}

#[tokio::test]
async fn a_cancelled_driver_is_asked_to_stop() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 5);
    fixture.call("ws-1", "c", "gateway/cancel", &json!({"call": "a"}));
    assert_eq!(fixture.starts[0].call.stopped().await, Stop::Cancelled);
}

#[test]
fn a_claim_keeps_others_out_until_its_lease_runs_out() {
    let mut fixture = Fixture::new();
    let claim = json!({"lease_ms": 10_000});
    fixture.call("ws-1", "c", "till-1/claim", &claim);
    let token = fixture.last_result()["token"].as_str().unwrap().to_owned();
    assert_eq!(fixture.states.last().unwrap().1, DeviceState::Claimed);
    fixture.statuses();

    fixture.pay("ws-2", "a", "till-1", 5);
    fixture.pay("ws-1", "b", "till-1", 5);
    fixture.call("ws-2", "d", "till-1/claim", &claim);
    let expected = ["a", "b", "d"].map(|id| pair(id, "claimed"));
    assert_eq!(fixture.statuses(), expected);
    let mut with_token = Fixture::message("ws-1", "e", "till-1/pay", &payment_of(5));
    with_token
        .properties
        .user
        .push(("claim".to_owned(), token.clone()));
    fixture.send(with_token, false);
    assert_eq!(fixture.starts.len(), 1);
    fixture.finish(0, paid());
    fixture.statuses();

    fixture.later(Duration::from_secs(10));
    assert_eq!(fixture.states.last().unwrap().1, DeviceState::Ready);
    fixture.pay("ws-2", "f", "till-1", 5);
    assert_eq!(fixture.starts.len(), 2);
}

#[test]
fn calls_that_waited_before_a_claim_do_not_run_inside_it() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "runs", "till-1", 5);
    fixture.pay("ws-1", "own", "till-1", 5);
    fixture.pay("ws-2", "theirs", "till-1", 5);
    fixture.pay("ws-2", "running", "till-2", 5);
    fixture.pay("ws-2", "anywhere", "any-till", 5);
    fixture.call("ws-1", "c", "till-1/claim", &json!({"lease_ms": 10_000}));
    fixture.statuses();
    fixture.finish(0, paid());
    assert_eq!(fixture.statuses(), [pair("runs", "ok")]);
    assert_eq!(fixture.starts[2].call.id.to_string(), "own");
    fixture.finish(2, paid());
    let told = [pair("own", "ok"), pair("theirs", "claimed")];
    assert_eq!(fixture.statuses(), told);
    assert_eq!(fixture.starts.len(), 3, "the role's call waits elsewhere");
    fixture.finish(1, paid());
    assert_eq!(fixture.starts[3].device.as_str(), "till-2");
    assert_eq!(fixture.starts[3].call.id.to_string(), "anywhere");
}

#[test]
fn a_claim_made_through_a_role_is_used_renewed_and_released_there() {
    let mut fixture = Fixture::new();
    let claim = json!({"lease_ms": 10_000});
    fixture.call("ws-1", "c", "any-till/claim", &claim);
    let token = fixture.last_result()["token"].as_str().unwrap().to_owned();
    let with_token = |id: &str, operation: &str, params: &Value| {
        let mut message = Fixture::message("ws-1", id, &format!("any-till/{operation}"), params);
        let claim = ("claim".to_owned(), token.clone());
        message.properties.user.push(claim);
        message
    };
    let (first, second) = (
        with_token("a", "pay", &payment_of(5)),
        with_token("b", "pay", &payment_of(5)),
    );
    fixture.send(first, false);
    fixture.send(second, false);
    let places: Vec<_> = fixture.starts.iter().map(|s| s.device.as_str()).collect();
    assert_eq!(places, ["till-1"], "the second waits for what is claimed");
    fixture.send(with_token("renew", "claim", &claim), false);
    assert_eq!(fixture.last_result()["token"], *token);
    fixture.send(with_token("release", "release", &json!({})), false);
    let told = ["c", "renew", "release"].map(|id| pair(id, "ok"));
    assert_eq!(fixture.statuses(), told);
}

#[test]
fn claims_are_listed_for_who_holds_them_and_for_technicians_until_they_end() {
    let mut fixture = Fixture::new();
    fixture.call("ws-1", "c", "till-1/claim", &json!({"lease_ms": 10_000}));
    let listed = |fixture: &mut Fixture, client: &str, id: &str| {
        fixture.call(client, id, "gateway/calls", &json!({}));
        fixture.last_result()["claims"].clone()
    };
    let until = fixture
        .now
        .wall
        .checked_add(Duration::from_secs(10))
        .unwrap();
    let held = json!([{"device": "till-1", "client": "ws-1", "until": until}]);
    assert_eq!(listed(&mut fixture, "ws-1", "a"), held);
    assert_eq!(listed(&mut fixture, "tech", "b"), held);
    assert_eq!(listed(&mut fixture, "ws-2", "d"), Value::Null);
    fixture.later(Duration::from_secs(11));
    assert_eq!(listed(&mut fixture, "tech", "e"), Value::Null);
}

#[test]
fn only_a_technician_takes_a_claim_over() {
    let mut fixture = Fixture::new();
    fixture.call("ws-1", "a", "till-1/claim", &json!({"lease_ms": 10_000}));
    let over = ClaimParams {
        lease_ms: 10_000.try_into().unwrap(),
        take_over: true,
    };
    fixture.call("ws-2", "b", "till-1/claim", &json!(over));
    fixture.call("tech", "c", "till-1/claim", &json!(over));
    let expected = [pair("a", "ok"), pair("b", "denied"), pair("c", "ok")];
    assert_eq!(fixture.statuses(), expected);
}

#[test]
fn a_role_goes_to_the_first_device_that_is_ready() {
    let mut fixture = Fixture::new();
    fixture.condition(
        "till-1",
        Condition::Fault(koffer_proto::Reason::new("no-answer", "", "")),
    );
    fixture.pay("ws-1", "a", "any-till", 5);
    assert_eq!(fixture.starts[0].device.as_str(), "till-2");
    fixture.pay("ws-1", "b", "till-1", 5);
    assert_eq!(fixture.statuses(), [pair("b", "unavailable")]);
    fixture.condition("till-1", Condition::Usable(Vec::new()));
    fixture.pay("ws-1", "c", "any-till", 5);
    assert_eq!(fixture.starts[1].device.as_str(), "till-1");
    fixture.pay("ws-1", "d", "any-till", 5);
    assert_eq!(
        fixture.starts.len(),
        2,
        "both are busy: it waits for the first"
    );
    fixture.finish(1, paid());
    assert_eq!(fixture.starts[2].device.as_str(), "till-1");
}

#[test]
fn a_blocked_device_hands_its_roles_effects_to_the_next_and_still_answers_questions() {
    let mut fixture = Fixture::new();
    let till = || "till-1".parse::<DeviceId>().unwrap();
    let empty = koffer_proto::Reason::new("media-empty", "", "");
    let blocked = Report::Blocked(vec![empty]);
    fixture.handle(Input::Device(till(), SupervisorEvent::Report(blocked)));
    assert_eq!(fixture.states.last(), Some(&(till(), DeviceState::Fault)));
    fixture.pay("ws-1", "a", "any-till", 5);
    assert_eq!(fixture.starts[0].device.as_str(), "till-2");
    fixture.pay("ws-1", "b", "till-1", 5);
    assert_eq!(fixture.statuses(), [pair("b", "unavailable")]);
    fixture.call("ws-1", "c", "till-1/status", &json!({}));
    assert_eq!(fixture.starts[1].device.as_str(), "till-1");

    let well = Report::Reasons(Vec::new());
    fixture.handle(Input::Device(till(), SupervisorEvent::Report(well)));
    assert_eq!(fixture.states.last(), Some(&(till(), DeviceState::Ready)));
    fixture.finish(0, paid());
    fixture.pay("ws-1", "d", "till-1", 5);
    assert_eq!(fixture.starts.len(), 2, "it waits for its turn");
}

#[test]
fn what_a_driver_reports_while_a_call_runs_shows_in_the_state() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 5);
    let till = || "till-1".parse::<DeviceId>().unwrap();
    let (no, jam) = (
        fixture.starts[0].no,
        koffer_proto::Reason::new("media-jam", "", ""),
    );
    let told = |report| {
        Input::Device(
            till(),
            SupervisorEvent::CallUpdate(no, CallUpdate::Report(report)),
        )
    };
    fixture.handle(told(Report::Blocked(vec![jam])));
    assert_eq!(fixture.states.last(), Some(&(till(), DeviceState::Fault)));
    fixture.handle(told(Report::Reasons(Vec::new())));
    fixture.finish(0, paid());
    assert_eq!(fixture.states.last(), Some(&(till(), DeviceState::Ready)));
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
}

#[test]
fn what_is_refused_starts_nothing_and_says_so() {
    let mut fixture = Fixture::new();
    fixture.call("stranger", "a", "till-1/pay", &payment_of(5));
    fixture.call("ws-1", "b", "no-till/pay", &payment_of(5));
    fixture.call("ws-1", "c", "till-1/dance", &json!({}));
    fixture.call("ws-1", "d", "till-1/pay", &payment_of(0));
    fixture.call(
        "ws-1",
        "e",
        "till-1/self-test",
        &json!({"level": "internal"}),
    );
    let told = fixture.completions();
    let statuses: Vec<_> = told
        .iter()
        .map(|(_, id, status, _)| format!("{id} {status}"))
        .collect();
    assert_eq!(
        statuses,
        [
            "a denied",
            "b unknown-device",
            "c unsupported",
            "d bad-request",
            "e denied"
        ]
    );
    assert!(told.iter().all(|(.., effect)| effect == "none"));
    assert_eq!(fixture.acknowledged.len(), 5);
    assert!(fixture.starts.is_empty());
}

#[test]
fn a_field_that_nobody_reads_is_named_in_every_answer() {
    let mut fixture = Fixture::new();
    let misspelt = json!({
        "amount": {"cents": 5, "currency": "EUR", "vat": 19}, "refrence": "PA-2026-00417",
    });
    fixture.call("ws-1", "a", "till-1/pay", &misspelt);
    fixture.finish(0, paid());
    fixture.call("ws-1", "a", "till-1/pay", &misspelt);
    fixture.call("ws-1", "b", "till-1/pay", &misspelt);
    fixture.finish(1, jammed());
    fixture.call("ws-1", "c", "gateway/calls", &json!({"all": true}));
    fixture.pay("ws-1", "d", "till-1", 5);
    fixture.finish(2, paid());
    let told = std::mem::take(&mut fixture.published);
    let told: Vec<_> = told
        .iter()
        .map(|message| serde_json::from_slice::<Value>(&message.payload).unwrap())
        .map(|told| json!([told["status"], told["ignored"]]))
        .collect();
    let names = json!(["amount.vat", "refrence"]);
    assert_eq!(
        told,
        [
            json!(["ok", names]),
            json!(["ok", names]),
            json!(["device-fault", names]),
            json!(["ok", ["all"]]),
            json!(["ok", null]),
        ]
    );
}

#[test]
fn a_wrong_field_is_named_with_what_belongs_there() {
    let mut fixture = Fixture::new();
    let currency = "three upper-case replies of ISO 4217, such as EUR";
    let cents = "a whole number of cents, such as 3780 (1 to 999999999999)";
    for (params, field, message) in [
        (
            json!({}),
            "amount",
            "amount is missing: an object with cents and currency.".to_owned(),
        ),
        (
            json!({"amount": {"cents": 5}}),
            "amount.currency",
            format!("amount.currency is missing: {currency}."),
        ),
        (
            json!({"amount": {"cents": 12.5, "currency": "EUR"}}),
            "amount.cents",
            format!("amount.cents: {cents}."),
        ),
        (
            json!({"amount": {"cents": 0, "currency": "EUR"}}),
            "amount.cents",
            format!("amount.cents does not fit: {cents}. (0 is outside 1 to 999999999999)"),
        ),
        (
            json!({"amount": {"cents": 5, "currency": "EUR"}, "reference": ""}),
            "reference",
            "reference does not fit: a text of 1 to 64 characters. (must be 1 to 64 characters \
             without control characters, not 0)"
                .to_owned(),
        ),
    ] {
        for encoding in ContentType::ALL {
            let mut message_of = Fixture::message("ws-1", "a", "till-1/pay", &params);
            message_of.payload = encoding.encode(&params).unwrap().into();
            message_of.properties.content_type = Some(encoding.as_str().to_owned());
            fixture.send(message_of, false);
            let told = fixture.published.pop().unwrap();
            let told: Value = encoding.decode(&told.payload).unwrap();
            assert_eq!(told["status"], "bad-request");
            assert_eq!(told["detail"]["field"], field, "{encoding}");
            assert_eq!(told["message"], message, "{encoding}");
        }
    }
    assert!(fixture.starts.is_empty());
}

#[test]
fn shutdown_answers_every_accepted_call() {
    let mut fixture = Fixture::new();
    fixture.pay("ws-1", "a", "till-1", 5);
    fixture.pay("ws-1", "b", "till-1", 5);
    fixture.handle(Input::Shutdown);
    assert_eq!(fixture.statuses(), [pair("b", "unavailable")]);
    fixture.pay("ws-1", "c", "till-2", 5);
    assert_eq!(fixture.statuses(), [pair("c", "unavailable")]);
    assert!(!fixture.dispatcher.is_idle());
    fixture.finish(0, paid());
    assert_eq!(fixture.statuses(), [pair("a", "ok")]);
    assert!(fixture.dispatcher.is_idle());
}

#[test]
fn a_reset_reaches_a_device_at_fault() {
    let mut fixture = Fixture::new();
    fixture.condition(
        "till-1",
        Condition::Fault(koffer_proto::Reason::new("driver-hung", "", "")),
    );
    fixture.call("tech", "a", "till-1/reset", &json!({}));
    assert_eq!(fixture.starts.len(), 1);
}
