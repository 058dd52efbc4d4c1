//! Many connections of one user that make calls as fast as the broker takes them.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::brokers::ROOT;

/// A flood under way.
pub struct Flood {
    flooding: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Flood {
    /// Begins with this many connections.
    ///
    /// # Panics
    /// When the broker does not let them in.
    pub fn start(port: u16, user: &str, password: &str, connections: usize) -> Self {
        let flooding = Arc::new(AtomicBool::new(true));
        let sent = Arc::new(AtomicUsize::new(0));
        let client = |n| {
            let socket = connected(port, user, password, &format!("flood-{n}"));
            let calls: Vec<_> = (1..=50).flat_map(|number| call(user, number)).collect();
            let (flooding, sent) = (flooding.clone(), sent.clone());
            thread::spawn(move || flood(socket, &calls, &flooding, &sent))
        };
        let clients = (0..connections).map(client).collect();
        Self {
            flooding,
            sent,
            clients,
        }
    }

    /// Ends it and tells how many calls were written.
    ///
    /// # Panics
    /// When one of its clients did.
    pub fn stop(self) -> usize {
        self.flooding.store(false, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client of the flood");
        }
        self.sent.load(Ordering::Relaxed)
    }
}

/// Calls without a pause, whose answers nobody reads.
fn flood(mut socket: TcpStream, calls: &[u8], flooding: &AtomicBool, sent: &AtomicUsize) {
    socket.set_nonblocking(true).expect("a socket option");
    let mut ignored = vec![0; 64 * 1024];
    let mut left = calls;
    while flooding.load(Ordering::Relaxed) {
        match socket.write(left) {
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return,
        }
        if left.is_empty() {
            sent.fetch_add(50, Ordering::Relaxed);
            left = calls;
        }
        while socket.read(&mut ignored).is_ok_and(|read| read > 0) {}
    }
}

fn connected(port: u16, user: &str, password: &str, client_id: &str) -> TcpStream {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the broker");
    let mut body = b"\0\x04MQTT\x05\xc2\0\x3c\0".to_vec();
    for part in [client_id, user, password] {
        body.extend(text(part));
    }
    socket.write_all(&packet(0x10, &body)).expect("CONNECT");
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).expect("CONNACK");
    assert_eq!((connack[0], connack[3]), (0x20, 0), "the broker's answer");
    let mut properties = [0; 256];
    let rest = usize::from(connack[1]) - 2;
    socket
        .read_exact(&mut properties[..rest])
        .expect("the rest of it");
    socket
}

/// A call of the gateway's own list, as one PUBLISH of QoS 1.
fn call(user: &str, number: u16) -> Vec<u8> {
    let mut properties = vec![0x02, 0, 0, 0, 60, 0x03];
    properties.extend(text("application/json"));
    properties.push(0x08);
    properties.extend(text(&format!("{ROOT}/reply/{user}/a")));
    properties.push(0x09);
    properties.extend(text(&format!("flood-{number}")));
    let mut body = text(&format!("{ROOT}/call/{user}/gateway/calls"));
    body.extend(number.to_be_bytes());
    body.push(u8::try_from(properties.len()).expect("short properties"));
    body.extend(properties);
    body.extend(format!("{{\"x\":\"{}\"}}", "x".repeat(2000)).bytes());
    packet(0x32, &body)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).expect("seven bits");
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
    let length = u16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}
