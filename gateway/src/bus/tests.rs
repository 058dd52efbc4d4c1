//! The promises of the bus, against a scripted broker.

use super::scripted_broker::{Peer, ScriptedBroker, connected, connected_bus, next};
use super::*;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Packet, PubAckReason, Publish, RetainForwardRule, SubscribeReasonCode,
};

fn subscription() -> Subscription {
    Subscription {
        filter: "root/call/#".into(),
        qos: Qos::AtLeastOnce,
    }
}

fn call(packet_id: u16) -> Publish {
    let mut publish = Publish::new("root/call/ws-1/x/y", QoS::AtLeastOnce, "{}", None);
    publish.pkid = packet_id;
    publish
}

#[tokio::test]
async fn sent_means_acknowledged_with_success() {
    let (_broker, bus, _incoming, mut peer) = connected_bus().await;
    let mut first = bus.publish(Message::new("a", "1")).unwrap();
    let mut second = bus.publish(Message::new("b", "2")).unwrap();
    let packet_id = peer.read_publish().await.pkid;
    assert_eq!(first.try_take(), None, "written is not sent");
    peer.acknowledge(packet_id, PubAckReason::Success).await;
    assert_eq!(first.await, Ok(()));

    let packet_id = peer.read_publish().await.pkid;
    assert_eq!(second.try_take(), None);
    peer.acknowledge(packet_id, PubAckReason::NoMatchingSubscribers)
        .await;
    assert_eq!(second.await, Ok(()), "nobody listening is no failure");
    assert_eq!(bus.depth().outbox_messages, 0);
}

#[tokio::test]
async fn a_refused_message_is_reported_and_never_sent_again() {
    let (broker, bus, mut incoming, mut peer) = connected_bus().await;
    let sent = bus.publish(Message::new("forbidden", "x")).unwrap();
    let packet_id = peer.read_publish().await.pkid;
    peer.acknowledge(packet_id, PubAckReason::NotAuthorized)
        .await;
    assert_eq!(sent.await, Err(NotSent::Rejected(Rejection::NotAuthorised)));

    drop(peer);
    let mut peer = broker.welcome(true).await;
    connected(&mut incoming).await;
    let _sent = bus.publish(Message::new("next", "x")).unwrap();
    assert_eq!(peer.read_publish().await.topic, "next");
}

#[tokio::test]
async fn a_resumed_session_gets_what_was_in_flight_again_marked_in_order_and_before_anything_new() {
    let (broker, bus, mut incoming, mut peer) = connected_bus().await;
    let sent: Vec<_> = ["a", "b", "c"]
        .map(|topic| bus.publish(Message::new(topic, "x")).unwrap())
        .into();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(peer.read_publish().await.pkid);
    }
    peer.acknowledge(ids[0], PubAckReason::Success).await;
    let mut sent = sent.into_iter();
    assert_eq!(sent.next().unwrap().await, Ok(()));
    drop(peer);

    let mut peer = broker.welcome(true).await;
    connected(&mut incoming).await;
    let new = bus.publish(Message::new("new", "x")).unwrap();
    for (topic, id) in [("b", ids[1]), ("c", ids[2])] {
        let replayed = peer.read_publish().await;
        assert_eq!(
            (replayed.topic.as_ref(), replayed.pkid, replayed.dup),
            (topic.as_bytes(), id, true)
        );
        // One at a time: the broker may have hung up over one of them.
        peer.acknowledge(id, PubAckReason::Success).await;
    }
    let after = peer.read_publish().await;
    assert_eq!((after.topic.as_ref(), after.dup), (&b"new"[..], false));
    peer.acknowledge(after.pkid, PubAckReason::Success).await;
    for sent in sent.chain([new]) {
        assert_eq!(sent.await, Ok(()));
    }
}

/// Serves connections until every message in `good` is acknowledged and `bad` was sent for the last
/// time, hanging up over `bad` in its own way. Says how many connections `bad` has cost.
async fn serve_and_hang_up(
    broker: &ScriptedBroker,
    mut peer: Peer,
    bad: &str,
    good: &[&str],
    way: HangUp,
) -> usize {
    let mut cost = 0;
    let mut open: Vec<_> = good.to_vec();
    while !open.is_empty() {
        let Some(packet) = peer.read_or_end().await else {
            panic!("the bus hung up; {open:?} are open");
        };
        let Packet::Publish(publish) = packet else {
            panic!("expected PUBLISH, got {packet:?}");
        };
        if publish.topic == bad {
            cost += 1;
            match way {
                HangUp::Silently => {}
                HangUp::Disconnect => peer.write_raw(&[0xe0, 2, 0x95, 0]).await,
                HangUp::PubAck => {
                    let [high, low] = publish.pkid.to_be_bytes();
                    peer.write_raw(&[0x40, 3, high, low, 0x95]).await;
                    // It is the bus that hangs up.
                    while peer.read_or_end().await.is_some() {}
                }
            }
            drop(peer);
            peer = broker.welcome(true).await;
        } else {
            open.retain(|topic| publish.topic != *topic);
            peer.acknowledge(publish.pkid, PubAckReason::Success).await;
        }
    }
    cost
}

#[derive(Debug, Clone, Copy)]
enum HangUp {
    Silently,
    Disconnect,
    PubAck,
}

#[tokio::test]
async fn a_message_that_the_broker_hangs_up_over_is_dropped_and_the_others_go_on() {
    for way in [HangUp::Silently, HangUp::Disconnect, HangUp::PubAck] {
        let (broker, bus, _incoming, peer) = connected_bus().await;
        let [before, bad, after, late] = ["before", "bad", "after", "late"]
            .map(|topic| bus.publish(Message::new(topic, "x")).unwrap());
        let good = ["before", "after", "late"];
        let cost = serve_and_hang_up(&broker, peer, "bad", &good, way).await;
        assert_eq!(bad.await, Err(NotSent::HungUp), "{way:?}");
        for sent in [before, after, late] {
            assert_eq!(sent.await, Ok(()), "{way:?}");
        }
        // Once among others, then twice alone.
        assert_eq!(cost, 3, "{way:?}");
    }
}

#[tokio::test]
async fn a_message_alone_that_the_broker_hangs_up_over_costs_two_connections() {
    let (broker, bus, _incoming, mut peer) = connected_bus().await;
    let bad = bus.publish(Message::new("bad", "x")).unwrap();
    for _ in 0..2 {
        assert_eq!(peer.read_publish().await.topic, "bad");
        drop(peer);
        peer = broker.welcome(true).await;
    }
    assert_eq!(bad.await, Err(NotSent::HungUp));
    let _sent = bus.publish(Message::new("next", "x")).unwrap();
    assert_eq!(peer.read_publish().await.topic, "next");
}

#[tokio::test]
async fn a_broker_that_restarts_and_a_line_that_breaks_cost_no_message() {
    let (broker, bus, _incoming, mut peer) = connected_bus().await;
    let sent = bus.publish(Message::new("good", "x")).unwrap();
    for round in 0..6 {
        assert_eq!(peer.read_publish().await.topic, "good", "round {round}");
        if round % 2 == 0 {
            // Shutting down.
            peer.write_raw(&[0xe0, 2, 0x8b, 0]).await;
        }
        drop(peer);
        let session_kept = round % 3 != 0;
        if session_kept {
            // There, and not yet well.
            drop(broker.accept().await);
        }
        peer = broker.welcome(session_kept).await;
    }
    let packet_id = peer.read_publish().await.pkid;
    peer.acknowledge(packet_id, PubAckReason::Success).await;
    assert_eq!(sent.await, Ok(()));
}

#[tokio::test]
async fn a_reader_of_documents_is_given_what_is_retained_with_its_subscription() {
    let broker = ScriptedBroker::start().await;
    let mut settings = broker.settings();
    settings.subscriptions = vec![subscription()];
    settings.wants_retained = true;
    let (_bus, _incoming) = Bus::start(settings);
    let mut peer = broker.welcome(false).await;
    let Packet::Subscribe(subscribe) = peer.read().await else {
        panic!("expected SUBSCRIBE");
    };
    assert_eq!(
        subscribe.filters[0].retain_forward_rule,
        RetainForwardRule::OnEverySubscribe
    );
}

#[tokio::test]
async fn a_lost_session_is_subscribed_anew_before_the_outbox_is_replayed_in_order() {
    let broker = ScriptedBroker::start().await;
    let mut settings = broker.settings();
    settings.subscriptions = vec![subscription()];
    let (bus, mut incoming) = Bus::start(settings);
    let mut peer = broker.welcome(false).await;
    match peer.read().await {
        Packet::Subscribe(subscribe) => {
            let filter = &subscribe.filters[0];
            assert!(filter.preserve_retain, "Retain As Published");
            assert_eq!(filter.retain_forward_rule, RetainForwardRule::Never);
        }
        other => panic!("expected SUBSCRIBE, got {other:?}"),
    }
    let early = bus.publish(Message::new("early", "x")).unwrap();
    drop(peer);

    let mut peer = broker.welcome(false).await;
    peer.answer_subscribe(SubscribeReasonCode::Success(QoS::AtLeastOnce))
        .await;
    connected(&mut incoming).await;
    let second = bus.publish(Message::new("second", "x")).unwrap();
    assert_eq!(peer.read_publish().await.topic, "early");
    assert_eq!(peer.read_publish().await.topic, "second");
    drop(peer);

    let mut peer = broker.welcome(false).await;
    peer.answer_subscribe(SubscribeReasonCode::Success(QoS::AtLeastOnce))
        .await;
    for topic in ["early", "second"] {
        let again = peer.read_publish().await;
        assert_eq!((again.topic.as_ref(), again.dup), (topic.as_bytes(), false));
        peer.acknowledge(again.pkid, PubAckReason::Success).await;
    }
    assert_eq!((early.await, second.await), (Ok(()), Ok(())));
}

#[tokio::test]
async fn a_refused_subscription_is_told_not_ignored() {
    let broker = ScriptedBroker::start().await;
    let mut settings = broker.settings();
    settings.subscriptions = vec![subscription()];
    let (_bus, mut incoming) = Bus::start(settings);
    let mut peer = broker.welcome(false).await;
    peer.answer_subscribe(SubscribeReasonCode::NotAuthorized)
        .await;
    match next(&mut incoming).await {
        Incoming::Disconnected {
            reason: Disconnection::SubscriptionRefused { filter, .. },
        } => {
            assert_eq!(filter, "root/call/#");
        }
        other => panic!("expected a refused subscription, got {other:?}"),
    }
}

#[tokio::test]
async fn a_qos_0_message_is_never_replayed_once_handed_over() {
    let (broker, bus, mut incoming, mut peer) = connected_bus().await;
    let fingerprint = Message::new("fingerprint", "x").with_qos(Qos::AtMostOnce);
    let sent = bus.publish(fingerprint).unwrap();
    assert_eq!(peer.read_publish().await.pkid, 0);
    assert_eq!(sent.await, Ok(()), "for QoS 0, written is sent");
    drop(peer);

    let mut peer = broker.welcome(true).await;
    connected(&mut incoming).await;
    let _sent = bus.publish(Message::new("next", "x")).unwrap();
    assert_eq!(peer.read_publish().await.topic, "next");
}

#[tokio::test]
async fn an_expired_message_is_dropped_and_a_waiting_one_loses_the_time_it_waited() {
    let broker = ScriptedBroker::start().await;
    let (bus, mut incoming) = Bus::start(broker.settings());
    let expiring = |topic: &str, seconds| {
        let mut message = Message::new(topic, "x");
        message.properties.message_expiry = Some(seconds);
        bus.publish(message).unwrap()
    };
    let (short, _long) = (expiring("short", 1), expiring("long", 600));
    // Not connected yet: the broker answers only after the first message has expired.
    assert_eq!(short.await, Err(NotSent::Expired));
    let mut peer = broker.welcome(false).await;
    connected(&mut incoming).await;
    let publish = peer.read_publish().await;
    assert_eq!(publish.topic, "long");
    let left = publish.properties.unwrap().message_expiry_interval.unwrap();
    assert!((500..600).contains(&left), "{left}");
}

#[tokio::test]
async fn a_packet_larger_than_the_broker_takes_is_refused_and_the_connection_lives() {
    let broker = ScriptedBroker::start().await;
    let (bus, mut incoming) = Bus::start(broker.settings());
    let early = bus.publish(Message::new("early", vec![0; 5000])).unwrap();
    let mut peer = broker
        .welcome_with(false, |announce| announce.max_packet_size = Some(1000))
        .await;
    connected(&mut incoming).await;
    assert_eq!(early.await, Err(NotSent::TooLarge { limit: 1000 }));
    let late = bus.publish(Message::new("late", vec![0; 5000]));
    assert_eq!(late.unwrap_err(), Refused::TooLarge { limit: 1000 });
    let _sent = bus.publish(Message::new("small", "x")).unwrap();
    assert_eq!(peer.read_publish().await.topic, "small");
}

#[tokio::test]
async fn a_full_outbox_refuses_at_once() {
    let broker = ScriptedBroker::start().await;
    let mut settings = broker.settings();
    settings.outbox = OutboxBound {
        messages: 2,
        bytes: 1_000_000,
    };
    let (bus, _incoming) = Bus::start(settings);
    let _kept = [
        bus.publish(Message::new("a", "x")),
        bus.publish(Message::new("a", "x")),
    ];
    assert_eq!(
        bus.publish(Message::new("a", "x")).unwrap_err(),
        Refused::Full
    );
}

#[tokio::test]
async fn the_broker_s_receive_maximum_is_kept_and_acknowledgements_still_flow() {
    let broker = ScriptedBroker::start().await;
    let (bus, mut incoming) = Bus::start(broker.settings());
    let mut peer = broker
        .welcome_with(false, |announce| announce.receive_max = Some(3))
        .await;
    connected(&mut incoming).await;
    let _sent: Vec<_> = (0..5)
        .map(|n| bus.publish(Message::new(format!("t{n}"), "x")).unwrap())
        .collect();
    let first = peer.read_publish().await;
    peer.read_publish().await;
    peer.write(Packet::Publish(call(9))).await;
    match next(&mut incoming).await {
        Incoming::Message(received) => received.ack.send(),
        other => panic!("{other:?}"),
    }
    assert!(matches!(peer.read().await, Packet::PubAck(ack) if ack.pkid == 9));
    peer.acknowledge(first.pkid, PubAckReason::Success).await;
    assert_eq!(peer.read_publish().await.topic, "t2");
}

#[tokio::test]
async fn a_received_message_is_acknowledged_only_when_told_and_in_order_of_receipt() {
    let (_broker, _bus, mut incoming, mut peer) = connected_bus().await;
    for packet_id in [5, 3] {
        peer.write(Packet::Publish(call(packet_id))).await;
    }
    let mut acks = Vec::new();
    for _ in 0..2 {
        match next(&mut incoming).await {
            Incoming::Message(received) => acks.push(received.ack),
            other => panic!("{other:?}"),
        }
    }
    for ack in acks.into_iter().rev() {
        ack.send();
    }
    for expected in [5, 3] {
        assert!(matches!(peer.read().await, Packet::PubAck(ack) if ack.pkid == expected));
    }
}

#[tokio::test]
async fn an_acknowledgement_for_an_earlier_connection_never_reaches_the_next_one() {
    let (broker, _bus, mut incoming, mut peer) = connected_bus().await;
    peer.write(Packet::Publish(call(1))).await;
    let Incoming::Message(stale) = next(&mut incoming).await else {
        panic!("no message")
    };
    drop(peer);
    let mut peer = broker.welcome(true).await;
    connected(&mut incoming).await;
    peer.write(Packet::Publish(call(1))).await;
    peer.write(Packet::Publish(call(2))).await;
    let Incoming::Message(first) = next(&mut incoming).await else {
        panic!("no message")
    };
    let Incoming::Message(second) = next(&mut incoming).await else {
        panic!("no message")
    };
    stale.ack.send();
    second.ack.send();
    first.ack.send();
    for expected in [1, 2] {
        assert!(matches!(peer.read().await, Packet::PubAck(ack) if ack.pkid == expected));
    }
}

#[tokio::test]
async fn the_retain_and_duplicate_flags_reach_the_reader() {
    let (_broker, _bus, mut incoming, mut peer) = connected_bus().await;
    let mut publish = call(1);
    publish.retain = true;
    publish.dup = true;
    peer.write(Packet::Publish(publish)).await;
    let Incoming::Message(received) = next(&mut incoming).await else {
        panic!("no message")
    };
    assert!(received.message.retain && received.duplicate);
    received.ack.send();
}

#[tokio::test]
async fn a_reader_that_does_not_read_loses_qos_0_messages_and_stalls_nothing() {
    let (_broker, bus, _incoming, mut peer) = connected_bus().await;
    for _ in 0..500 {
        let noise = Publish::new("noise", QoS::AtMostOnce, "x", None);
        peer.write(Packet::Publish(noise)).await;
    }
    peer.write(Packet::Publish(call(1))).await;
    let sent = bus.publish(Message::new("alive", "x")).unwrap();
    let packet_id = peer.read_publish().await.pkid;
    peer.acknowledge(packet_id, PubAckReason::Success).await;
    assert_eq!(sent.await, Ok(()));
    assert!(bus.depth().dropped_incoming >= 300, "{:?}", bus.depth());
}

#[tokio::test]
async fn closing_with_a_farewell_drains_then_says_it_then_disconnects() {
    let broker = ScriptedBroker::start().await;
    let mut settings = broker.settings();
    settings.will = Some(Message::new("status", "gone"));
    let (bus, mut incoming) = Bus::start(settings);
    let mut peer = broker.welcome(false).await;
    connected(&mut incoming).await;
    let last = bus.publish(Message::new("last", "x")).unwrap();
    let closer = bus.clone();
    let closing = tokio::spawn(async move {
        closer
            .close_with(Message::new("status", "offline"), Duration::from_secs(20))
            .await
    });
    for topic in ["last", "status"] {
        let publish = peer.read_publish().await;
        assert_eq!(publish.topic, topic);
        peer.acknowledge(publish.pkid, PubAckReason::Success).await;
    }
    assert!(matches!(peer.read().await, Packet::Disconnect(_)));
    drop(peer);
    let expected = Closed {
        unsent: 0,
        farewell_sent: true,
        will_suppressed: true,
    };
    assert_eq!(closing.await.unwrap(), expected);
    assert_eq!(last.await, Ok(()));
    assert_eq!(
        bus.publish(Message::new("late", "x")).unwrap_err(),
        Refused::Closed
    );
}

#[tokio::test]
async fn acknowledgements_leave_before_later_publishes_and_before_the_bus_does() {
    for round in 0..20 {
        let broker = ScriptedBroker::start().await;
        let mut settings = broker.settings();
        settings.will = Some(Message::new("status", "gone"));
        let (bus, mut incoming) = Bus::start(settings);
        let mut peer = broker.welcome(false).await;
        connected(&mut incoming).await;
        for packet_id in [1, 2] {
            peer.write(Packet::Publish(call(packet_id))).await;
        }
        let Incoming::Message(first) = next(&mut incoming).await else {
            panic!("no message")
        };
        let Incoming::Message(second) = next(&mut incoming).await else {
            panic!("no message")
        };
        first.ack.send();
        let _sent = bus.publish(Message::new("answer", "x")).unwrap();
        let ack = peer.read().await;
        assert!(
            matches!(ack, Packet::PubAck(ack) if ack.pkid == 1),
            "round {round}"
        );
        let packet_id = peer.read_publish().await.pkid;
        peer.acknowledge(packet_id, PubAckReason::Success).await;
        second.ack.send();
        bus.close(Duration::from_secs(5)).await;
        let ack = peer.read().await;
        assert!(
            matches!(ack, Packet::PubAck(ack) if ack.pkid == 2),
            "round {round}"
        );
        assert!(ends_without_disconnect(&mut peer).await);
    }
}

/// Ends a connection the way a will needs it: without DISCONNECT.
async fn ends_without_disconnect(peer: &mut Peer) -> bool {
    peer.read_or_end().await.is_none()
}

#[tokio::test]
async fn closing_without_a_farewell_or_without_an_answer_to_it_leaves_the_will_to_the_broker() {
    for farewell in [None, Some(Message::new("status", "offline"))] {
        let broker = ScriptedBroker::start().await;
        let mut settings = broker.settings();
        settings.will = Some(Message::new("status", "gone"));
        let (bus, mut incoming) = Bus::start(settings);
        let mut peer = broker.welcome(false).await;
        connected(&mut incoming).await;
        let patience = Duration::from_millis(300);
        let closed = match farewell {
            None => bus.close(patience).await,
            Some(farewell) => {
                let closed = bus.close_with(farewell, patience).await;
                assert_eq!(peer.read_publish().await.topic, "status");
                closed
            }
        };
        assert_eq!(
            closed,
            Closed {
                unsent: 0,
                farewell_sent: false,
                will_suppressed: false
            }
        );
        assert!(ends_without_disconnect(&mut peer).await);
    }
}

#[tokio::test]
async fn closing_without_a_broker_reports_what_was_not_sent() {
    let broker = ScriptedBroker::start().await;
    let settings = broker.settings();
    drop(broker);
    let (bus, mut incoming) = Bus::start(settings);
    let Incoming::Disconnected { reason } = next(&mut incoming).await else {
        panic!("connected?")
    };
    assert!(
        matches!(reason, Disconnection::Unreachable { .. }),
        "{reason}"
    );
    let sent = bus.publish(Message::new("a", "x")).unwrap();
    let closed = bus.close(Duration::from_millis(50)).await;
    assert_eq!(
        closed,
        Closed {
            unsent: 1,
            farewell_sent: false,
            will_suppressed: false
        }
    );
    assert_eq!(sent.await, Err(NotSent::Closed));
}

#[tokio::test]
async fn losing_every_handle_ends_the_session_and_leaves_the_will_to_the_broker() {
    let broker = ScriptedBroker::start().await;
    let mut settings = broker.settings();
    settings.will = Some(Message::new("status", "gone"));
    let (bus, mut incoming) = Bus::start(settings);
    let mut peer = broker.welcome(false).await;
    connected(&mut incoming).await;
    drop(bus);
    assert!(ends_without_disconnect(&mut peer).await);
}

#[tokio::test]
async fn a_broker_that_reads_nothing_is_given_up_and_its_messages_go_to_the_next_one() {
    let (broker, bus, mut incoming, peer) = connected_bus().await;
    // More than the socket buffers take: writing blocks inside the client library.
    let sent = bus
        .publish(Message::new("big", vec![0; 30_000_000]))
        .unwrap();
    tokio::time::pause();
    let reason = loop {
        if let Incoming::Disconnected { reason } = next_paused(&mut incoming).await {
            break reason;
        }
    };
    tokio::time::resume();
    assert!(matches!(reason, Disconnection::Silent { .. }), "{reason}");
    drop(peer);
    let mut peer = broker.welcome(true).await;
    let publish = peer.read_publish().await;
    assert_eq!(
        (publish.topic.as_ref(), publish.payload.len()),
        (&b"big"[..], 30_000_000)
    );
    peer.acknowledge(publish.pkid, PubAckReason::Success).await;
    assert_eq!(sent.await, Ok(()));
}

#[tokio::test]
async fn the_reason_for_a_lost_connection_names_the_address_and_what_was_wrong() {
    // A TLS alert, as a port for TLS answers to what is none; a web server; nothing.
    let strangers: [(&[u8], &str); 3] = [
        (b"\x15\x03\x03\x00\x02\x02\x46", "no MQTT 5 packet"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no MQTT 5 packet"),
        (b"", "it was closed"),
    ];
    for (answer, problem) in strangers {
        let broker = ScriptedBroker::start().await;
        let (_bus, mut incoming) = Bus::start(broker.settings());
        broker.accept().await.write_raw(answer).await;
        let told = disconnected(&mut incoming).await;
        for words in [&broker.address(), problem, "without TLS"] {
            assert!(told.contains(words), "{words:?} is not in {told:?}");
        }
    }
    for (code, problem) in [
        (0x8e, "another client connected as kofferd"),
        (0x95, "0x95"),
    ] {
        let (broker, _bus, mut incoming, mut peer) = connected_bus().await;
        peer.write_raw(&[0xe0, 2, code, 0]).await;
        let told = disconnected(&mut incoming).await;
        for words in [&broker.address(), problem] {
            assert!(told.contains(words), "{words:?} is not in {told:?}");
        }
    }
    let (broker, _bus, mut incoming, peer) = connected_bus().await;
    drop(peer);
    let told = disconnected(&mut incoming).await;
    assert!(told.contains(&broker.address()), "{told}");
}

async fn disconnected(incoming: &mut mpsc::Receiver<Incoming>) -> String {
    match next(incoming).await {
        Incoming::Disconnected { reason } => reason.to_string(),
        other => panic!("expected the end of the connection, got {other:?}"),
    }
}

/// With paused time a timeout would fire before the session's own timers.
async fn next_paused(incoming: &mut mpsc::Receiver<Incoming>) -> Incoming {
    incoming.recv().await.expect("the bus has ended")
}
