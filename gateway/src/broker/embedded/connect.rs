//! The CONNECT of a client of which nobody knows yet who it is: read within bounds, and answered
//! where the client is not let in.

use std::{io, time::Duration};

use bytes::BytesMut;
use mqtt5::{
    Packet,
    packet::{connack::ConnAckPacket, connect::ConnectPacket},
    transport::packet_io::{decode_buffered_packet, encode_packet_to_buffer},
    types::ReasonCode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{engine, line::Socket};

/// The largest will has 64 KiB; as much again for everything else.
pub(super) const LARGEST_CONNECT: usize = 128 * 1024;

const CHUNK: usize = 4096;
const MQTT_5: u8 = 5;
const MQTT_3_1_1: u8 = 4;

/// How long a client that is sent away may take to read why, and how much it may still say. Without
/// reading on, what it sent last would have the system throw away the answer.
const FAREWELL: Duration = Duration::from_secs(1);
const LAST_WORDS: u64 = 256 * 1024;

/// Why a client is not let in.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The protocol level of the client. Unknown: it gets no answer.
    version: Option<u8>,
    pub(super) reason: ReasonCode,
    pub(super) words: String,
}

impl Refusal {
    pub(super) fn new(version: u8, reason: ReasonCode, words: impl Into<String>) -> Self {
        Self {
            version: Some(version),
            reason,
            words: words.into(),
        }
    }

    fn silent(words: impl Into<String>) -> Self {
        Self {
            version: None,
            reason: ReasonCode::UnspecifiedError,
            words: words.into(),
        }
    }

    /// The CONNACK that says so.
    pub(super) fn answer(&self) -> Option<Packet> {
        let connack = match self.version? {
            MQTT_5 => ConnAckPacket::new(false, self.reason).with_reason_string(self.words.clone()),
            _ => ConnAckPacket::new_v311(false, self.reason),
        };
        Some(Packet::ConnAck(connack))
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::silent(error.to_string())
    }
}

/// Reads CONNECT, and what the client sent right behind it.
pub(super) async fn read(socket: &mut dyn Socket) -> Result<(ConnectPacket, BytesMut), Refusal> {
    const CONNECT: u8 = 0x10;
    let mut received = BytesMut::new();
    loop {
        received.reserve(CHUNK);
        if socket.read_buf(&mut received).await? == 0 {
            return Err(Refusal::silent(
                "the client went before its CONNECT was whole",
            ));
        }
        if received.first() != Some(&CONNECT) {
            return Err(Refusal::silent("the first packet is no CONNECT"));
        }
        let version = version(&received);
        if let Some(version) = version
            && !matches!(version, MQTT_3_1_1 | MQTT_5)
        {
            let words = "this broker speaks MQTT 5 and 3.1.1";
            let reason = ReasonCode::UnsupportedProtocolVersion;
            return Err(Refusal::new(version, reason, words));
        }
        match decode_buffered_packet(&mut received, MQTT_5, LARGEST_CONNECT) {
            Ok(None) => {}
            Ok(Some(Packet::Connect(connect))) => return Ok((*connect, received)),
            Ok(Some(_)) => return Err(Refusal::silent("the first packet is no CONNECT")),
            Err(error) => {
                return Err(Refusal {
                    // MQTT 3.1.1 has no answer to this.
                    version: version.filter(|version| *version == MQTT_5),
                    reason: engine::reason(&error).unwrap_or(ReasonCode::MalformedPacket),
                    words: error.to_string(),
                });
            }
        }
    }
}

/// The protocol level of a CONNECT, as soon as it has come.
fn version(received: &[u8]) -> Option<u8> {
    let length = received.iter().skip(1).position(|byte| byte & 0x80 == 0)?;
    match received.get(length + 2..)? {
        [0, 4, b'M', b'Q', b'T', b'T', version, ..]
        | [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', version, ..] => Some(*version),
        _ => None,
    }
}

/// Says the last word of the broker, waits until the client has it, and hangs up.
pub(super) async fn farewell(socket: &mut dyn Socket, last: &Packet) {
    let mut words = BytesMut::new();
    if encode_packet_to_buffer(last, &mut words).is_err() {
        return;
    }
    let said = async {
        socket.write_all(&words).await?;
        socket.shutdown().await?;
        let mut rest = socket.take(LAST_WORDS);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // A client that went, or does not listen, has missed it.
    let _ = tokio::time::timeout(FAREWELL, said).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(bytes: &[u8]) -> Refusal {
        let mut socket = socket(bytes);
        read(&mut socket).await.expect_err("refused")
    }

    fn socket(bytes: &[u8]) -> impl Socket + use<> {
        let bytes = io::Cursor::new(bytes.to_vec());
        tokio::io::join(bytes, tokio::io::sink())
    }

    #[tokio::test]
    async fn what_is_no_connect_is_told_so_where_mqtt_has_a_word_for_it() {
        type Told = Option<(u8, ReasonCode)>;
        let table: [(&[u8], Told); 7] = [
            (b"", None),
            (b"GET / HTTP/1.1\r\n", None),
            (&[0x30, 3, 0, 1, b'a'], None),
            // A reserved flag.
            (
                b"\x10\x0d\0\x04MQTT\x05\x03\0\x3c\0\0\0",
                Some((5, ReasonCode::MalformedPacket)),
            ),
            (
                b"\x10\x80\x80\x80\x0a\0\x04MQTT\x05",
                Some((5, ReasonCode::PacketTooLarge)),
            ),
            (
                b"\x10\x0c\0\x04MQTT\x06\x02\0\x3c\0\0",
                Some((6, ReasonCode::UnsupportedProtocolVersion)),
            ),
            (
                b"\x10\x0e\0\x06MQIsdp\x03\x02\0\x3c\0\0",
                Some((3, ReasonCode::UnsupportedProtocolVersion)),
            ),
        ];
        for (bytes, told) in table {
            let refusal = refused(bytes).await;
            let answer = refusal.version.map(|version| (version, refusal.reason));
            assert_eq!(answer, told, "{bytes:?}");
            assert_eq!(refusal.answer().is_some(), told.is_some());
        }
    }

    #[tokio::test]
    async fn what_follows_connect_at_once_is_kept() {
        let bytes = b"\x10\x0d\0\x04MQTT\x05\x02\0\x3c\0\0\0\xc0\0";
        let (connect, rest) = read(&mut socket(bytes)).await.unwrap();
        assert!(connect.client_id.is_empty() && connect.clean_start);
        assert_eq!(&rest[..], b"\xc0\0");
    }
}
