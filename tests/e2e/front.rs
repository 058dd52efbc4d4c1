//! kofferd's own broker as a process, against clients that misbehave before and after they are
//! known: raw bytes on raw sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

mod known;
mod unknown;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use koffer_tests::{
    built::program,
    mosquitto::{User, free_port},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
const SUCCESS: u8 = 0;

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
            .arg(program("kofferd"))
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
