//! What a client can make the gateway hold.

use super::{fixture::*, *};
use crate::bus::Message;

/// A call with `topic` as its response topic.
fn answered_at(mut message: Message, topic: String) -> Message {
    message.properties.response_topic = Some(topic);
    message
}

fn reply(client: &str, bytes: usize, n: usize) -> String {
    format!("koffer/1/case-7/reply/{client}/{n}-{}", "x".repeat(bytes))
}

/// A payment whose payload has about so many bytes.
fn padded(cents: u64, bytes: usize) -> Value {
    let mut payment = payment_of(cents);
    payment["unknown"] = Value::from("x".repeat(bytes));
    payment
}

#[test]
fn who_holds_its_share_is_refused_until_it_gives_some_back_and_nobody_else_is() {
    let mut fixture = Fixture::new();
    for (n, id) in ["a", "b"].into_iter().enumerate() {
        for place in 0..8 {
            let message = Fixture::message("ws-1", id, "till-1/pay", &payment_of(5));
            fixture.send(answered_at(message, reply("ws-1", 60_000, place)), false);
        }
        assert_eq!(fixture.statuses().len(), [0, 7][n], "refused of {id}");
    }
    fixture.pay("ws-2", "a", "till-2", 5);
    assert_eq!(fixture.starts.len(), 2, "another client has its own share");
    fixture.call("ws-1", "c", "gateway/cancel", &json!({"call": "b"}));
    assert_eq!(fixture.last_result()["verdict"], "cancelled");
    fixture.finish(0, paid());
    fixture.published.clear();
    fixture.pay("ws-1", "d", "till-1", 5);
    assert!(fixture.statuses().is_empty(), "given back");
    assert_eq!(fixture.starts.len(), 3);
}

#[test]
fn what_the_gateway_lists_is_not_kept() {
    let mut fixture = Fixture::new();
    let schema = json!({"class": "payment", "operation": "pay"});
    for n in 0..100 {
        fixture.call("ws-1", &n.to_string(), "gateway/schema", &schema);
    }
    assert_eq!(fixture.statuses().len(), 100);
    assert_eq!(fixture.dispatcher.counts(), (0, 0));
}

#[test]
fn a_large_call_is_decoded_elsewhere_and_its_client_s_calls_keep_their_order() {
    let mut fixture = Fixture::new();
    fixture.call("ws-1", "large", "till-1/pay", &padded(1, 100_000));
    fixture.pay("ws-1", "small", "till-1", 2);
    fixture.call("ws-1", "larger", "till-1/pay", &padded(3, 110_000));
    fixture.pay("ws-1", "last", "till-2", 4);
    fixture.pay("ws-2", "other", "till-2", 5);
    let started = |fixture: &Fixture| -> Vec<_> {
        let ids = fixture.starts.iter().map(|start| start.call.id.to_string());
        ids.collect()
    };
    assert_eq!(started(&fixture), ["other"], "nobody else waits");
    assert!(!fixture.dispatcher.is_idle());
    for _ in 0..2 {
        assert_eq!(fixture.to_decode.len(), 1, "one at a time");
        let (call, decoded) = fixture.to_decode.remove(0);
        fixture.handle(Input::Decoded(call, Some(decoded)));
    }
    assert_eq!(started(&fixture), ["other", "large"]);
    for start in [0, 1] {
        fixture.finish(start, paid());
    }
    assert_eq!(started(&fixture), ["other", "large", "last", "small"]);
    assert_eq!(fixture.acknowledged.len(), 5);
}

#[test]
fn a_large_call_that_cannot_be_read_is_refused_and_the_next_one_goes_on() {
    let mut fixture = Fixture::new();
    let list = Value::from(vec![1; 60_000]);
    let mut message = Fixture::message("ws-1", "list", "till-1/pay", &list);
    fixture.send(message.clone(), false);
    message.payload = format!("[{}1]", "1,".repeat(102_000)).into();
    message.properties.correlation_data = Some("more".into());
    fixture.send(message, false);
    fixture.pay("ws-1", "good", "till-1", 2);
    while let Some((call, decoded)) = fixture.to_decode.pop() {
        fixture.handle(Input::Decoded(call, Some(decoded)));
    }
    let refused = [pair("list", "bad-request"), pair("more", "bad-request")];
    assert_eq!(fixture.statuses(), refused);
    assert_eq!(fixture.starts.len(), 1);
}
