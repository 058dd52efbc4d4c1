//! What clients may take that have said who they are.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Client, Kofferd, SUCCESS, connect, packet, publish, text};

const MALFORMED: u8 = 0x81;
const TOO_LARGE: u8 = 0x95;
const QUOTA: u8 = 0x97;
const QOS_NOT_SUPPORTED: u8 = 0x9b;

#[test]
fn an_identifier_that_was_assigned_leads_back_to_the_session_and_only_its_user() {
    let kofferd = Kofferd::start(1024);
    let mut first = Client::to(kofferd.mqtt);
    first.send(&connect("ws-1", "", 60));
    let connack = first.connack();
    let id = connack.assigned().expect("an identifier");
    drop(first);
    for (user, session_present) in [("ws-2", false), ("ws-1", true)] {
        let mut again = Client::to(kofferd.mqtt);
        again.send(&connect(user, &id, 60));
        let connack = again.connack();
        assert_eq!(
            (connack.reason, connack.session_present, connack.assigned()),
            (SUCCESS, session_present, None),
            "{user}"
        );
    }
}

#[test]
fn nobody_is_cut_off_by_another_user_with_the_same_identifier() {
    let kofferd = Kofferd::start(1024);
    let mut mine = kofferd.client("ws-1", "till-1");
    let _other = kofferd.client("ws-2", "till-1");
    let _gateways = kofferd.client("ws-2", "kofferd");
    mine.send(&[0xc0, 0]);
    assert_eq!(mine.receive(), Some((0xd0, vec![])), "still connected");
    let _again = kofferd.client("ws-1", "till-1");
    let taken_over = mine.receive().expect("a reason");
    assert_eq!(
        (taken_over.0, taken_over.1[0]),
        (0xe0, 0x8e),
        "its own user may"
    );
    assert!(kofferd.answers(), "the gateway is connected");
}

#[test]
fn one_user_s_connections_are_its_own() {
    let kofferd = Kofferd::start(1024);
    let (mut taken, mut refused) = (Vec::new(), 0);
    for n in 0..50 {
        let mut client = Client::to(kofferd.mqtt);
        client.send(&connect("ws-1", &format!("till-{n}"), 0));
        match client.connack().reason {
            SUCCESS => taken.push(client),
            QUOTA => refused += 1,
            other => panic!("{other:#x}"),
        }
    }
    assert_eq!((taken.len(), refused), (32, 18));
    assert!(kofferd.answers(), "ws-2 has its own");
    drop(taken);
    kofferd.eventually(|| {
        let mut client = Client::to(kofferd.mqtt);
        client.send(&connect("ws-1", "again", 0));
        client.connack().reason == SUCCESS
    });
}

#[test]
fn abandoned_sessions_of_one_user_are_bounded() {
    let kofferd = Kofferd::start(1024);
    let before = kofferd.memory();
    for n in 0..1000 {
        let mut client = Client::to(kofferd.mqtt);
        client.send(&connect("ws-1", &format!("random-{n}"), 3600));
        assert_eq!(client.connack().reason, SUCCESS);
        let mut subscribe = vec![0, 1, 0];
        subscribe.extend(text("koffer/1/case-7/dev/#"));
        subscribe.push(1);
        client.send(&packet(0x82, &subscribe));
        client.0.shutdown(Shutdown::Write).unwrap();
        while client.receive().is_some() {}
    }
    let grown = kofferd.memory().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB");
    let resumes = |id: &str| {
        let mut client = Client::to(kofferd.mqtt);
        client.send(&connect("ws-1", id, 3600));
        client.connack().session_present
    };
    assert!(resumes("random-999") && !resumes("random-1"));
}

#[test]
fn large_packets_that_never_end_take_little_memory_and_nothing_from_other_users() {
    let kofferd = Kofferd::start(1024);
    let before = kofferd.memory();
    let begin = |user: &str, client_id: &str| {
        let client = kofferd.client(user, client_id);
        client.0.set_nonblocking(true).unwrap();
        let whole = publish(
            1,
            "koffer/1/case-7/call/ws-1/till/pay",
            &vec![b'x'; 30 << 20],
        );
        (client, whole[..20 << 20].to_vec())
    };
    let mut halves: Vec<_> = (0..30)
        .map(|n| begin("ws-1", &format!("half-{n}")))
        .collect();
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        for (client, rest) in &mut halves {
            if let Ok(written) = client.0.write(rest) {
                rest.drain(..written);
            }
        }
    }
    let grown = kofferd.memory().saturating_sub(before);
    assert!(grown < 100 * 1024, "{grown} KiB");
    let mut other = kofferd.client("ws-2", "other");
    other.send(&publish(
        1,
        "koffer/1/case-7/call/ws-2/till/pay",
        &vec![b'x'; 20 << 20],
    ));
    assert_eq!(other.receive().expect("an answer").0, 0x40, "acknowledged");
    // Small ones of the same user go on.
    let mut small = kofferd.client("ws-1", "small");
    small.send(&publish(1, "koffer/1/case-7/call/ws-1/till/pay", b"{}"));
    assert_eq!(small.receive().expect("an answer").0, 0x40, "acknowledged");
}

/// A call of the gateway's own list, as one PUBLISH.
fn call(user: &str, number: u16, id: &str) -> Vec<u8> {
    let mut properties = vec![0x02, 0, 0, 0, 60, 0x03];
    properties.extend(text("application/json"));
    properties.push(0x08);
    properties.extend(text(&format!("koffer/1/case-7/reply/{user}/a")));
    properties.push(0x09);
    properties.extend(text(id));
    let mut body = text(&format!("koffer/1/case-7/call/{user}/gateway/calls"));
    body.extend(number.to_be_bytes());
    body.push(u8::try_from(properties.len()).unwrap());
    body.extend(properties);
    body.extend(format!("{{\"x\":\"{}\"}}", "x".repeat(2000)).bytes());
    packet(0x32, &body)
}

#[test]
fn a_flood_of_one_client_loses_no_call_of_another() {
    let kofferd = Kofferd::start(1024);
    let mut other = kofferd.client("ws-2", "other");
    let mut subscribe = vec![0, 1, 0];
    subscribe.extend(text("koffer/1/case-7/reply/ws-2/#"));
    subscribe.push(1);
    other.send(&packet(0x82, &subscribe));
    assert_eq!(other.receive().unwrap().0, 0x90);
    let flooding = AtomicBool::new(true);
    other
        .0
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let sent = AtomicUsize::new(0);
    let (mut acknowledged, mut answered) = (0, 0);
    thread::scope(|scope| {
        for n in 0..30 {
            let client = kofferd.client("ws-1", &format!("flood-{n}"));
            let (flooding, sent) = (&flooding, &sent);
            scope.spawn(move || flood(client, flooding, sent));
        }
        thread::sleep(Duration::from_secs(1));
        for number in 1..=200 {
            other.send(&call("ws-2", number, &format!("c-{number}")));
        }
        while answered < 200
            && let Some((first, body)) = other.receive()
        {
            match first & 0xf0 {
                0x40 => acknowledged += 1,
                0x30 => {
                    answered += 1;
                    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    other.send(&packet(0x40, &body[2 + length..4 + length]));
                }
                _ => {}
            }
        }
        flooding.store(false, Ordering::Relaxed);
    });
    let sent = sent.load(Ordering::Relaxed);
    assert_eq!((acknowledged, answered), (200, 200), "of {sent}");
    assert!(sent > 2000, "{sent} is no flood");
    assert!(
        !kofferd.log().contains("Dropped oldest"),
        "{}",
        kofferd.log()
    );
}

/// Calls without a pause, whose answers nobody reads.
fn flood(mut client: Client, flooding: &AtomicBool, sent: &AtomicUsize) {
    client.0.set_nonblocking(true).unwrap();
    let mut ignored = vec![0; 64 * 1024];
    let (mut pending, mut number) = (Vec::new(), 0_u16);
    while flooding.load(Ordering::Relaxed) {
        if pending.is_empty() {
            for _ in 0..50 {
                number = number.wrapping_add(1).max(1);
                pending.extend(call("ws-1", number, &format!("flood-{number}")));
            }
            sent.fetch_add(50, Ordering::Relaxed);
        }
        match client.0.write(&pending) {
            Ok(written) => drop(pending.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return,
        }
        while client.0.read(&mut ignored).is_ok_and(|read| read > 0) {}
    }
}

#[test]
fn what_ends_a_connection_is_told_with_its_reason_code() {
    let kofferd = Kofferd::start(1024);
    let ended_by = |bytes: &[u8]| {
        let mut client = kofferd.client("ws-1", "x");
        client.send(bytes);
        let (first, body) = client.receive().expect("a last word");
        assert_eq!(client.receive(), None);
        (first, body[0])
    };
    // SUBSCRIBE with flags that it may not have, a remaining length of five bytes, a second
    // CONNECT, and more than is announced.
    assert_eq!(
        ended_by(&packet(0x80, b"\0\x01\0\0\x01a\0")),
        (0xe0, MALFORMED)
    );
    assert_eq!(ended_by(b"\x30\xff\xff\xff\xff\xff"), (0xe0, MALFORMED));
    assert_eq!(ended_by(&connect("ws-1", "x", 0)), (0xe0, 0x82));
    assert_eq!(ended_by(b"\x30\xff\xff\xff\x7f"), (0xe0, TOO_LARGE));

    let mut client = Client::to(kofferd.mqtt);
    client.send(b"\x10\xff\xff\xff\x7f\0\x04MQTT\x05");
    assert_eq!(client.connack().reason, TOO_LARGE);
}

#[test]
fn nothing_is_held_until_its_sender_releases_it() {
    let kofferd = Kofferd::start(1024);
    let mut client = Client::to(kofferd.mqtt);
    client.send(&connect("ws-1", "x", 0));
    let connack = client.connack();
    assert!(
        connack.properties.windows(2).any(|w| w == [0x24, 1]),
        "Maximum QoS is announced: {connack:?}"
    );
    client.send(&publish(2, "koffer/1/case-7/call/ws-1/till/pay", b"{}"));
    let (first, body) = client.receive().expect("an answer");
    assert_eq!((first, body[2]), (0x50, QOS_NOT_SUPPORTED));
}
