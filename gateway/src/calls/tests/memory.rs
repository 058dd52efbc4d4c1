//! What a client can make the gateway hold.

use super::{office::*, *};
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
    let mut office = Office::new();
    for (n, id) in ["a", "b"].into_iter().enumerate() {
        for place in 0..8 {
            let message = Office::message("ws-1", id, "till-1/pay", &payment_of(5));
            office.send(answered_at(message, reply("ws-1", 60_000, place)), false);
        }
        assert_eq!(office.statuses().len(), [0, 7][n], "refused of {id}");
    }
    office.pay("ws-2", "a", "till-2", 5);
    assert_eq!(office.starts.len(), 2, "another client has its own share");
    office.call("ws-1", "c", "gateway/cancel", &json!({"call": "b"}));
    assert_eq!(office.last_result()["verdict"], "cancelled");
    office.finish(0, paid());
    office.published.clear();
    office.pay("ws-1", "d", "till-1", 5);
    assert!(office.statuses().is_empty(), "given back");
    assert_eq!(office.starts.len(), 3);
}

#[test]
fn what_the_gateway_lists_is_not_kept() {
    let mut office = Office::new();
    let schema = json!({"class": "payment", "operation": "pay"});
    for n in 0..100 {
        office.call("ws-1", &n.to_string(), "gateway/schema", &schema);
    }
    assert_eq!(office.statuses().len(), 100);
    assert_eq!(office.desk.counts(), (0, 0));
}

#[test]
fn a_large_call_is_decoded_elsewhere_and_its_client_s_calls_keep_their_order() {
    let mut office = Office::new();
    office.call("ws-1", "large", "till-1/pay", &padded(1, 100_000));
    office.pay("ws-1", "small", "till-1", 2);
    office.call("ws-1", "larger", "till-1/pay", &padded(3, 110_000));
    office.pay("ws-1", "last", "till-2", 4);
    office.pay("ws-2", "other", "till-2", 5);
    let started = |office: &Office| -> Vec<_> {
        let ids = office.starts.iter().map(|start| start.call.id.to_string());
        ids.collect()
    };
    assert_eq!(started(&office), ["other"], "nobody else waits");
    assert!(!office.desk.is_idle());
    for _ in 0..2 {
        assert_eq!(office.to_decode.len(), 1, "one at a time");
        let (call, decoded) = office.to_decode.remove(0);
        office.handle(Input::Decoded(call, Some(decoded)));
    }
    assert_eq!(started(&office), ["other", "large"]);
    for start in [0, 1] {
        office.finish(start, paid());
    }
    assert_eq!(started(&office), ["other", "large", "last", "small"]);
    assert_eq!(office.acknowledged.len(), 5);
}

#[test]
fn a_large_call_that_cannot_be_read_is_refused_and_the_next_one_goes_on() {
    let mut office = Office::new();
    let list = Value::from(vec![1; 60_000]);
    let mut message = Office::message("ws-1", "list", "till-1/pay", &list);
    office.send(message.clone(), false);
    message.payload = format!("[{}1]", "1,".repeat(102_000)).into();
    message.properties.correlation_data = Some("more".into());
    office.send(message, false);
    office.pay("ws-1", "good", "till-1", 2);
    while let Some((call, decoded)) = office.to_decode.pop() {
        office.handle(Input::Decoded(call, Some(decoded)));
    }
    let refused = [pair("list", "bad-request"), pair("more", "bad-request")];
    assert_eq!(office.statuses(), refused);
    assert_eq!(office.starts.len(), 1);
}
