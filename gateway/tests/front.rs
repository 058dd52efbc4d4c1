//! kofferd's own broker as a process, against clients that misbehave before and after they are
//! known: raw bytes on raw sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use koffer_tests::mosquitto::{User, free_port};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket, client::IntoClientRequest, http::HeaderValue,
};

const PATIENCE: Duration = Duration::from_secs(20);
const SUCCESS: u8 = 0;
const MALFORMED: u8 = 0x81;
const WRONG_PASSWORD: u8 = 0x86;
const TOO_LARGE: u8 = 0x95;
const QUOTA: u8 = 0x97;
const QOS_NOT_SUPPORTED: u8 = 0x9b;
const TOO_OFTEN: u8 = 0x9f;

/// A kofferd without devices, killed with the test.
struct Kofferd {
    child: Child,
    mqtt: SocketAddr,
    websocket: SocketAddr,
    log: PathBuf,
    _home: TempDir,
}

impl Kofferd {
    fn start(descriptors: u32) -> Self {
        let home = tempfile::tempdir().unwrap();
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (mqtt, websocket) = (address(), address());
        let config = format!(
            "[gateway]\nid = \"case-7\"\n[journal]\ndirectory = \"{}\"\n\
             [mqtt.embedded]\nlisten = \"{mqtt}\"\nwebsocket = \"{websocket}\"\n\
             [clients.ws-1]\nrole = \"workstation\"\npassword = \"secret-1\"\nallow = [\"*\"]\n\
             [clients.ws-2]\nrole = \"workstation\"\npassword = \"secret-2\"\nallow = [\"*\"]\n",
            home.path().display(),
        );
        let file = home.path().join("kofferd.toml");
        fs::write(&file, config).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let log = home.path().join("log");
        let child = Command::new("sh")
            .args(["-c", "ulimit -n \"$1\"; exec \"$0\" --config \"$2\""])
            .arg(env!("CARGO_BIN_EXE_kofferd"))
            .arg(descriptors.to_string())
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let kofferd = Self {
            child,
            mqtt,
            websocket,
            log,
            _home: home,
        };
        kofferd.eventually(|| TcpStream::connect(mqtt).is_ok());
        kofferd.eventually(|| kofferd.answers());
        kofferd
    }

    fn eventually(&self, is: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is() {
            assert!(Instant::now() < end, "{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A call of a client that nobody here wrote is answered by the gateway.
    fn answers(&self) -> bool {
        let user = User::new(self.mqtt.port(), "ws-2", "secret-2");
        let asked = async {
            let topic = "koffer/1/case-7/call/ws-2/gateway/calls";
            let request = [
                "-V",
                "5",
                "-q",
                "1",
                "-W",
                "5",
                "-t",
                topic,
                "-e",
                "koffer/1/case-7/reply/ws-2/a",
                "-m",
                "{}",
                "-D",
                "publish",
                "correlation-data",
                "c-1",
                "-D",
                "publish",
                "message-expiry-interval",
                "30",
                "-D",
                "publish",
                "content-type",
                "application/json",
            ];
            user.run("mosquitto_rr", &request).await
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let output = runtime.block_on(asked);
        String::from_utf8_lossy(&output.stdout).contains("\"status\":\"ok\"")
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn descriptors(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        open.count()
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        line.and_then(|line| line.split_whitespace().nth(1))
            .and_then(|size| size.parse().ok())
            .expect("a process of Linux")
    }

    /// Processor time used, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let field = |n: usize| fields.split(' ').nth(n).unwrap().parse::<u64>().unwrap();
        field(11) + field(12)
    }

    fn client(&self, user: &str, client_id: &str) -> Client {
        let mut client = Client::to(self.mqtt);
        client.send(&connect(user, client_id, 0));
        assert_eq!(client.connack().reason, SUCCESS, "{}", self.log());
        client
    }
}

impl Drop for Kofferd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A packet of MQTT with its fixed header.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        packet.push(low | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A CONNECT of MQTT 5 without clean start, of a user whose password is right.
fn connect(user: &str, client_id: &str, expiry: u32) -> Vec<u8> {
    let password = user.replace("ws-", "secret-");
    connect_with(user, &password, client_id, expiry)
}

fn connect_with(user: &str, password: &str, client_id: &str, expiry: u32) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x05\xc0\0\x3c\x05\x11".to_vec();
    body.extend_from_slice(&expiry.to_be_bytes());
    for part in [client_id, user, password] {
        body.extend(text(part));
    }
    packet(0x10, &body)
}

/// A PUBLISH of QoS 1 or 2 without properties.
fn publish(qos: u8, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    body.extend_from_slice(&[0, 7, 0]);
    body.extend_from_slice(payload);
    packet(0x30 | qos << 1, &body)
}

/// What a CONNACK says.
#[derive(Debug)]
struct Connack {
    session_present: bool,
    reason: u8,
    properties: Vec<u8>,
}

impl Connack {
    fn from(body: &[u8]) -> Self {
        Self {
            session_present: body[0] == 1,
            reason: body[1],
            properties: body[2..].to_vec(),
        }
    }

    /// The Assigned Client Identifier, which comes as text after 0x12.
    fn assigned(&self) -> Option<String> {
        let at = self
            .properties
            .windows(7)
            .position(|w| w == b"\x12\0\x25auto")?;
        let id = &self.properties[at + 3..at + 3 + 0x25];
        Some(String::from_utf8(id.to_vec()).unwrap())
    }
}

/// A raw connection.
struct Client(TcpStream);

impl Client {
    fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next packet: its first byte and its body. `None` at the end, or when none comes.
    fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut first = [0];
        match self.0.read(&mut first) {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        let (mut length, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Some((first[0], body))
    }

    fn connack(&mut self) -> Connack {
        let (first, body) = self.receive().expect("an answer");
        assert_eq!(first, 0x20);
        Connack::from(&body)
    }
}

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
