//! What clients may take that have not said who they are.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket, client::IntoClientRequest, http::HeaderValue,
};

use super::{Client, Connack, Kofferd, PATIENCE, SUCCESS, connect, connect_with, publish};

const WRONG_PASSWORD: u8 = 0x86;
const TOO_OFTEN: u8 = 0x9f;

#[test]
fn idle_connections_switch_nothing_off_and_fill_no_log() {
    let kofferd = Kofferd::start(128);
    let ticks = kofferd.ticks();
    let idle: Vec<_> = (0..600).map(|_| Client::to(kofferd.mqtt)).collect();
    let upgrading: Vec<_> = (0..100).map(|_| Client::to(kofferd.websocket)).collect();
    for _ in 0..3 {
        assert!(kofferd.answers(), "{}", kofferd.log());
        assert!(kofferd.descriptors() <= 64, "half are kept for devices");
        thread::sleep(Duration::from_millis(500));
    }
    assert!(kofferd.ticks() - ticks < 200, "{}", kofferd.ticks() - ticks);
    assert!(kofferd.log().len() < 64 * 1024, "{}", kofferd.log().len());
    drop((idle, upgrading));
}

#[test]
fn half_connects_hold_no_memory() {
    let kofferd = Kofferd::start(1024);
    let before = kofferd.memory();
    let mut halves = Vec::new();
    for door in [kofferd.mqtt, kofferd.websocket] {
        for _ in 0..60 {
            let mut half = Client::to(door);
            half.0.set_nonblocking(true).unwrap();
            let mut sent = 0;
            if door == kofferd.websocket {
                half.send(UPGRADE);
                // A frame of 30 MiB, masked with zeros.
                half.send(b"\x82\xff\0\0\0\0\x01\xe0\0\0\0\0\0\0");
            }
            half.send(b"\x10\xf0\xff\x3f\0\x04MQTT\x05\xc0\0\x3c");
            let chunk = vec![0; 64 * 1024];
            while sent < 4 << 20 {
                match half.0.write(&chunk) {
                    Ok(written) => sent += written,
                    Err(_) => break,
                }
            }
            halves.push(half);
        }
    }
    assert!(kofferd.answers(), "{}", kofferd.log());
    let grown = kofferd.memory().saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB");
}

const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

fn browser(kofferd: &Kofferd, path: &str) -> tungstenite::Result<WebSocket<TcpStream>> {
    let socket = TcpStream::connect(kofferd.websocket).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{}{path}", kofferd.websocket);
    let mut request = url.into_client_request()?;
    let mqtt = HeaderValue::from_static("mqtt");
    request.headers_mut().insert("Sec-WebSocket-Protocol", mqtt);
    match tungstenite::client(request, socket) {
        Ok((socket, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
            Ok(socket)
        }
        Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_browser_is_held_up_by_no_other_and_may_send_as_much_as_is_announced() {
    let kofferd = Kofferd::start(1024);
    let idle = Client::to(kofferd.websocket);
    let began = Instant::now();
    let mut browser_1 = browser(&kofferd, "/mqtt").unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    let mut say = |bytes: Vec<u8>| browser_1.send(Message::binary(bytes)).unwrap();
    say(connect("ws-1", "browser", 0));
    say(publish(
        1,
        "koffer/1/case-7/call/ws-1/till/pay",
        &vec![b'x'; 20 << 20],
    ));
    let connack = browser_1.read().unwrap().into_data();
    assert_eq!(
        (connack[0], Connack::from(&connack[2..]).reason),
        (0x20, SUCCESS)
    );
    let puback = browser_1.read().unwrap().into_data();
    assert_eq!(&puback[..4], b"\x40\x02\0\x07", "acknowledged");
    let lost = browser(&kofferd, "/elsewhere").unwrap_err();
    assert!(matches!(lost, tungstenite::Error::Http(answer) if answer.status() == 404));
    drop(idle);
}

#[test]
fn guessing_passwords_is_slow_and_locks_nobody_else_out() {
    let kofferd = Kofferd::start(1024);
    let guess = |password: &str| {
        let mut client = Client::to(kofferd.mqtt);
        client.send(&connect_with("ws-1", password, "x", 0));
        client.connack().reason
    };
    let end = Instant::now() + Duration::from_secs(3);
    let looked_at: usize = thread::scope(|scope| {
        let guessers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut looked_at = 0;
                    while Instant::now() < end {
                        match guess("wrong") {
                            WRONG_PASSWORD => looked_at += 1,
                            TOO_OFTEN => {}
                            other => panic!("{other:#x}"),
                        }
                    }
                    looked_at
                })
            })
            .collect();
        thread::sleep(Duration::from_secs(1));
        let began = Instant::now();
        kofferd.client("ws-2", "another-user");
        assert!(began.elapsed() < Duration::from_secs(1));
        let began = Instant::now();
        let elsewhere = socket_from([127, 0, 0, 2].into(), kofferd.mqtt);
        let mut elsewhere = Client(elsewhere);
        elsewhere.send(&connect("ws-1", "another-address", 0));
        assert_eq!(elsewhere.connack().reason, SUCCESS);
        assert!(began.elapsed() < Duration::from_secs(1));
        guessers.into_iter().map(|g| g.join().unwrap()).sum()
    });
    assert!(looked_at < 40, "{looked_at} in three seconds");
    kofferd.eventually(|| guess("secret-1") == SUCCESS);
}

/// A connection from another address of this machine.
fn socket_from(from: std::net::IpAddr, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let socket = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    });
    let socket = socket.into_std().unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}
