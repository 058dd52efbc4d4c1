//! The bus and a real broker, for what a scripted one cannot show: sizes, sessions, refusals.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

use koffer_gateway::broker::InternalBroker;
use koffer_gateway::broker::embedded;
use koffer_gateway::bus::{
    Address, Bus, Disconnection, Incoming, Message, NotSent, Qos, Received, Refused, Rejection,
    Settings, Subscription,
};
use koffer_tests::brokers::{Broker, ROOT};
use koffer_tests::mosquitto::{Mosquitto, PATIENCE};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

const MEBIBYTE: usize = 1024 * 1024;

async fn next(incoming: &mut mpsc::Receiver<Incoming>) -> Incoming {
    timeout(PATIENCE, incoming.recv())
        .await
        .expect("in time")
        .expect("the bus lives")
}

/// The next message, and whether the session was found again on the way to it.
async fn message(incoming: &mut mpsc::Receiver<Incoming>) -> Received {
    loop {
        if let Incoming::Message(received) = next(incoming).await {
            return received;
        }
    }
}

async fn connected(incoming: &mut mpsc::Receiver<Incoming>) -> bool {
    loop {
        match next(incoming).await {
            Incoming::Connected {
                session_present, ..
            } => return session_present,
            Incoming::Disconnected { .. } => {}
            Incoming::Message(_) => panic!("a message before the connection"),
        }
    }
}

fn gateway(broker: &Broker) -> Settings {
    takes_calls(broker.bus("kofferd"))
}

fn takes_calls(mut settings: Settings) -> Settings {
    settings.subscriptions = vec![Subscription {
        filter: format!("{ROOT}/call/#"),
        qos: Qos::AtLeastOnce,
    }];
    settings
}

async fn a_call_of_full_size_passes_with_its_properties(broker: &Broker, own: Settings) {
    let (gateway, mut calls) = Bus::start(takes_calls(own));
    assert!(!connected(&mut calls).await);
    let (client, mut states) = Bus::start(broker.bus("ws-1"));
    connected(&mut states).await;
    let mut call = Message::new(format!("{ROOT}/call/ws-1/a4/print"), vec![7; 32 * MEBIBYTE]);
    call.properties.response_topic = Some(format!("{ROOT}/reply/ws-1/a4"));
    call.properties.correlation_data = Some("call-1".into());
    call.properties.message_expiry = Some(60);
    call.properties.content_type = Some("application/cbor".to_owned());
    let sent = client.publish(call.clone()).expect("within the limit");
    let received = message(&mut calls).await;
    assert_eq!(received.message.payload, call.payload);
    let (got, put) = (&received.message.properties, &call.properties);
    assert_eq!(got.response_topic, put.response_topic);
    assert_eq!(got.correlation_data, put.correlation_data);
    assert_eq!(got.content_type, put.content_type);
    assert!(got.message_expiry.is_some_and(|left| left <= 60));
    received.ack.send();
    assert_eq!(sent.await, Ok(()));

    let over = Message::new(format!("{ROOT}/call/ws-1/a4/print"), vec![7; 33 * MEBIBYTE]);
    assert!(matches!(
        client.publish(over),
        Err(Refused::TooLarge { .. })
    ));
    client.close(PATIENCE).await;
    gateway.close(PATIENCE).await;
}

async fn a_refusal_of_the_broker_is_reported(broker: &Broker) {
    let (client, mut states) = Bus::start(broker.bus("ws-1"));
    connected(&mut states).await;
    let forged = Message::new(format!("{ROOT}/call/ws-2/till/pay"), "x");
    let sent = client.publish(forged).expect("queued");
    let refused = Err(NotSent::Rejected(Rejection::NotAuthorised));
    assert_eq!(timeout(PATIENCE, sent).await.expect("in time"), refused);
    client.close(PATIENCE).await;

    let mut wrong = broker.bus("ws-1");
    wrong.username = String::from("nobody");
    let (_stranger, mut states) = Bus::start(wrong);
    match next(&mut states).await {
        Incoming::Disconnected {
            reason: Disconnection::Refused { username, .. },
        } => {
            assert_eq!(username, "nobody");
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The gateway dies with a call it has not made safe; its successor is given the call again.
async fn an_unacknowledged_call_is_delivered_again_to_the_next_process(broker: &Broker) {
    let (first, mut calls) = Bus::start(gateway(broker));
    connected(&mut calls).await;
    let caller = broker.user("ws-1");
    let topic = format!("{ROOT}/call/ws-1/till/pay");
    for payload in ["safe", "unsafe"] {
        caller.publish(&topic, payload, &[]).await.expect("allowed");
    }
    message(&mut calls).await.ack.send();
    let lost = message(&mut calls).await;
    assert_eq!(lost.message.payload, "unsafe");
    // The acknowledgement above has left before anything that is published after it.
    let status = Message::new(format!("{ROOT}/status"), "x");
    let sent = first.publish(status).expect("queued");
    assert_eq!(timeout(PATIENCE, sent).await.expect("in time"), Ok(()));
    drop(first);
    drop(lost);

    let (second, mut calls) = Bus::start(gateway(broker));
    let again = message(&mut calls).await;
    assert_eq!(
        (again.message.payload.as_ref(), again.duplicate),
        (&b"unsafe"[..], true)
    );
    again.ack.send();
    second.close(PATIENCE).await;
}

/// The will is published for a gateway that vanishes, not for one that says goodbye.
async fn the_will_speaks_only_for_a_gateway_that_vanished(broker: &Broker, own: Settings) {
    let topic = format!("{ROOT}/status");
    let status = |text: &str| Message::new(topic.clone(), text.to_owned()).retained();
    broker
        .user("kofferd")
        .publish(&topic, "before", &["-r"])
        .await
        .expect("allowed");
    let mut listener = broker.user("ws-1").subscribe(&[&topic], &["-F", "%p"]);
    listener.until("before").await;
    let mut settings = own;
    settings.will = Some(status("vanished"));
    let start = || async {
        let (bus, mut incoming) = Bus::start(settings.clone());
        connected(&mut incoming).await;
        let sent = bus.publish(status("online")).expect("queued");
        assert_eq!(timeout(PATIENCE, sent).await.expect("in time"), Ok(()));
        bus
    };
    let polite = start().await;
    listener.until("online").await;
    let closed = polite.close_with(status("offline"), PATIENCE).await;
    assert!(closed.farewell_sent && closed.will_suppressed);
    drop(start().await);
    let between = listener.until("vanished").await;
    assert_eq!(between, ["offline", "online"]);
}

async fn all(broker: Broker) {
    a_call_of_full_size_passes_with_its_properties(&broker, broker.bus("kofferd")).await;
    a_refusal_of_the_broker_is_reported(&broker).await;
    an_unacknowledged_call_is_delivered_again_to_the_next_process(&broker).await;
    the_will_speaks_only_for_a_gateway_that_vanished(&broker, broker.bus("kofferd")).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bus_gets_on_with_the_embedded_broker() {
    all(Broker::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bus_gets_on_with_mosquitto() {
    all(Broker::mosquitto()).await;
}

/// The gateway beside its own broker has no connection: what a connection gave it is shown here
/// once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_the_broker_calls_and_the_will_are_as_by_a_connection() {
    let broker = Broker::embedded().await;
    let own = || broker.beside("kofferd");
    a_call_of_full_size_passes_with_its_properties(&broker, own()).await;
    the_will_speaks_only_for_a_gateway_that_vanished(&broker, own()).await;
    let large = Message::new(format!("{ROOT}/dev/a/state"), vec![7; MEBIBYTE]).retained();
    let (bus, _incoming) = Bus::start(own());
    let sent = bus.publish(large).expect("queued");
    let refused = Err(NotSent::Rejected(Rejection::QuotaExceeded));
    assert_eq!(timeout(PATIENCE, sent).await.expect("in time"), refused);
    bus.close(PATIENCE).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_the_broker_a_gateway_that_acknowledges_nothing_gets_no_more_and_loses_nothing() {
    const CALLS: usize = 300;
    let broker = Broker::embedded().await;
    let mut own = takes_calls(broker.beside("kofferd"));
    own.receive_maximum = 2;
    let (_gateway, mut calls) = Bus::start(own);
    connected(&mut calls).await;
    let (client, mut states) = Bus::start(broker.bus("ws-1"));
    connected(&mut states).await;
    let call = |n: usize| Message::new(format!("{ROOT}/call/ws-1/a4/print"), n.to_string());
    let mut sent: Vec<_> = (0..CALLS)
        .map(|n| client.publish(call(n)).expect("queued"))
        .collect();
    let [first, second] = [message(&mut calls).await, message(&mut calls).await];
    // So many are with the broker; the last ones wait with their client.
    for sent in sent.drain(..100) {
        assert_eq!(timeout(PATIENCE, sent).await.expect("in time"), Ok(()));
    }
    assert!(calls.try_recv().is_err(), "more than the window");
    let mut last = sent.pop().expect("the last");
    assert!(
        timeout(Duration::from_millis(500), &mut last)
            .await
            .is_err(),
        "nobody is held up"
    );
    second.ack.send();
    let early = timeout(Duration::from_millis(100), calls.recv()).await;
    assert!(early.is_err(), "in order of receipt");
    first.ack.send();
    for n in 2..CALLS {
        let next = message(&mut calls).await;
        assert_eq!(next.message.payload, n.to_string());
        next.ack.send();
    }
    assert_eq!(timeout(PATIENCE, last).await.expect("in time"), Ok(()));
    client.close(PATIENCE).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_forbidden_subscription_is_told_by_the_embedded_broker() {
    let broker = Broker::embedded().await;
    let mut settings = broker.bus("ws-1");
    settings.subscriptions = vec![Subscription {
        filter: format!("{ROOT}/reply/ws-2/#"),
        qos: Qos::AtLeastOnce,
    }];
    let (_bus, mut incoming) = Bus::start(settings);
    match next(&mut incoming).await {
        Incoming::Disconnected {
            reason: Disconnection::SubscriptionRefused { filter, .. },
        } => {
            assert_eq!(filter, format!("{ROOT}/reply/ws-2/#"));
        }
        other => panic!("expected a refused subscription, got {other:?}"),
    }
    broker.stop().await;
}

#[tokio::test]
async fn messages_wait_while_the_embedded_broker_is_away() {
    let broker = Broker::embedded().await;
    let port = broker.port();
    let (bus, mut incoming) = Bus::start(gateway(&broker));
    connected(&mut incoming).await;
    broker.stop().await;
    let sent: Vec<_> = (0..200)
        .map(|n| bus.publish(Message::new(format!("{ROOT}/dev/d{n}"), "x").retained()))
        .collect();
    let broker = Broker::embedded_on(port).await;
    for sent in sent {
        let sent = timeout(PATIENCE, sent.expect("queued"))
            .await
            .expect("in time");
        assert_eq!(sent, Ok(()));
    }
    broker.stop().await;
}

#[tokio::test]
async fn the_bus_reaches_a_broker_by_a_unix_socket() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("mqtt.sock");
    let config = format!("listener 0 {}\nallow_anonymous true\n", socket.display());
    let _broker = Mosquitto::with_config(&config);
    let (bus, mut incoming) = Bus::start(Settings::new(Address::Unix(socket), "kofferd"));
    connected(&mut incoming).await;
    let sent = bus.publish(Message::new("a", "x")).expect("queued");
    assert_eq!(timeout(PATIENCE, sent).await.expect("in time"), Ok(()));
}

/// mosquitto closes the connection over a topic of more than 200 levels, and acknowledges what is
/// beyond its `message_size_limit` with a reason code that no client expects; it announces neither.
#[tokio::test]
async fn what_mosquitto_hangs_up_over_is_dropped_and_the_others_go_on() {
    let broker = Mosquitto::with_config("allow_anonymous true\nmessage_size_limit 100000\n");
    let address = Address::Tcp {
        host: "127.0.0.1".to_owned(),
        port: broker.port(),
    };
    let (bus, mut incoming) = Bus::start(Settings::new(address, "kofferd"));
    connected(&mut incoming).await;
    let good = |n: usize| Message::new(format!("good/{n}"), vec![7; 50_000]);
    let bad = [
        Message::new("too/large", vec![7; 200_000]),
        Message::new(format!("deep{}", "/a".repeat(300)), "x"),
    ];
    let start = std::time::Instant::now();
    let mut sent = Vec::new();
    for (n, bad) in bad.iter().cycle().take(6).enumerate() {
        sent.push((bus.publish(good(n)).expect("queued"), Ok(())));
        let bad = bus.publish(bad.clone()).expect("queued");
        sent.push((bad, Err(NotSent::HungUp)));
    }
    sent.push((bus.publish(good(6)).expect("queued"), Ok(())));
    for (n, (sent, expected)) in sent.into_iter().enumerate() {
        let told = timeout(PATIENCE, sent).await.expect("in time");
        assert_eq!(told, expected, "message {n}");
    }
    let sessions = broker.log().matches("as kofferd").count();
    assert!(
        sessions <= 1 + 3 * bad.len() * 3,
        "{sessions} connections: {}",
        broker.log()
    );
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(bus.close(PATIENCE).await.unsent, 0);
}

/// Over loopback with Nagle's algorithm on either side it would take 44 ms each.
#[tokio::test]
async fn a_round_trip_is_not_delayed_by_nagle() {
    for broker in [Broker::embedded().await, Broker::mosquitto()] {
        let (bus, mut incoming) = Bus::start(broker.bus("kofferd"));
        connected(&mut incoming).await;
        let mut trips = Vec::new();
        for _ in 0..50 {
            let start = std::time::Instant::now();
            let sent = bus
                .publish(Message::new(format!("{ROOT}/health"), "x"))
                .expect("queued");
            assert_eq!(timeout(PATIENCE, sent).await.expect("in time"), Ok(()));
            trips.push(start.elapsed());
        }
        // It would meet every one of them; a busy machine delays some.
        trips.sort_unstable();
        assert!(trips[10] < Duration::from_millis(40), "{trips:?}");
        broker.stop().await;
    }
}

/// A client that subscribes and never reads again.
async fn never_reads(port: u16, number: usize) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("listens");
    let text = |text: &str| {
        let length = u16::try_from(text.len()).expect("short");
        [&length.to_be_bytes(), text.as_bytes()].concat()
    };
    let packet = |first: u8, content: Vec<u8>| {
        let length = u8::try_from(content.len()).expect("short");
        assert!(length < 128);
        [vec![first, length], content].concat()
    };
    let connect = [
        text("MQTT"),
        // Version 5, user name and password, clean start; keep-alive of an hour; no properties.
        vec![5, 0xc2, 0x0e, 0x10, 0],
        text(&format!("deaf-{number}")),
        text("ws-1"),
        text("secret-one"),
    ];
    let subscribe = [vec![0, 1, 0], text(&format!("{ROOT}/dev/#")), vec![1]];
    for bytes in [
        packet(0x10, connect.concat()),
        packet(0x82, subscribe.concat()),
    ] {
        stream.write_all(&bytes).await.expect("sent");
    }
    // CONNACK and the whole of SUBACK.
    let (mut heard, mut subscribed) = (Vec::new(), false);
    while !subscribed {
        stream.read_buf(&mut heard).await.expect("an answer");
        subscribed = heard
            .windows(3)
            .any(|three| three[0] == 0x90 && three[2..] == [0]);
    }
    stream
}

/// The broker waits for whoever does not take its messages, and not each time anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_hold_up_nobody_for_long() {
    let broker = Broker::embedded().await;
    for own in [broker.bus("kofferd"), broker.beside("kofferd")] {
        nobody_is_held_up_for_long(&broker, own).await;
    }
    broker.stop().await;
}

async fn nobody_is_held_up_for_long(broker: &Broker, own: Settings) {
    let mut deaf = Vec::new();
    for number in 0..30 {
        deaf.push(never_reads(broker.port(), number).await);
    }
    let (bus, mut incoming) = Bus::start(own);
    connected(&mut incoming).await;
    let start = std::time::Instant::now();
    let mut slow = 0;
    // More than the sockets and the queues of the broker take.
    for n in 0..1_200 {
        let event = Message::new(format!("{ROOT}/dev/d{n}/event/x"), vec![7; 32 * 1024]);
        let begun = std::time::Instant::now();
        let sent = bus.publish(event).expect("queued");
        assert_eq!(timeout(PATIENCE, sent).await.expect("in time"), Ok(()));
        slow += usize::from(begun.elapsed() > Duration::from_secs(1));
    }
    assert!(
        slow <= 12,
        "{slow} were held up, all took {:?}",
        start.elapsed()
    );
    drop(deaf);
    bus.close(PATIENCE).await;
}

#[tokio::test]
async fn the_embedded_broker_answers_browsers() {
    let mut settings = embedded::Settings::new("case-7", Vec::new());
    settings.listen = ([127, 0, 0, 1], 0).into();
    settings.websocket = Some(settings.listen);
    let broker = embedded::start(settings).await.expect("starts");
    let address = broker.websocket_address().expect("asked for");
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("listens");
    let request = format!(
        "GET /mqtt HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 101");
    drop(stream);
    Box::new(broker).stop().await;
}
