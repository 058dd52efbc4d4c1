//! A client's connection as the broker crate sees it: with the CONNECT that was rewritten for it in
//! front, and with the identifier that the client was assigned in the CONNACK.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use mqtt5::{
    Packet,
    broker::transport::WebSocketTransport,
    transport::packet_io::{decode_buffered_packet, encode_packet_to_buffer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use super::{
    frames::Frames,
    meter::Meter,
    turns::{Turn, Turns},
};

/// What a client is connected by: TCP, or WebSocket on it.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// The first byte of a DISCONNECT.
const DISCONNECT: u8 = 0xe0;
/// The type of a PUBLISH, without its flags.
const PUBLISH: u8 = 0x30;
/// What is read from the socket at once.
const CHUNK: usize = 4096;

/// The socket, when the broker is done with it.
pub(super) struct Returned {
    pub(super) socket: Box<dyn Socket>,
    /// Whether the broker has said why it ends.
    pub(super) said_why: bool,
}

pub(super) struct Line {
    /// `None` only while it is dropped.
    socket: Option<Box<dyn Socket>>,
    peer: SocketAddr,
    meter: Meter,
    read: Frames,
    /// Of this user's messages at the gateway. `None`: the gateway's own.
    turns: Option<Turns>,
    turn: Option<Turn>,
    /// What has come and the broker has not read; at first CONNECT.
    ahead: Bytes,
    /// Until it stands in the CONNACK.
    assigned: Option<String>,
    /// The CONNACK with it, not written yet.
    owed: BytesMut,
    /// The last write was taken in part: the next one goes on with the same packet.
    within_packet: bool,
    said_why: bool,
    back: Option<oneshot::Sender<Returned>>,
}

impl Line {
    pub(super) fn new(
        socket: Box<dyn Socket>,
        peer: SocketAddr,
        meter: Meter,
        turns: Option<Turns>,
        ahead: Bytes,
        assigned: Option<String>,
    ) -> (Self, oneshot::Receiver<Returned>) {
        let (back, returned) = oneshot::channel();
        let line = Self {
            socket: Some(socket),
            peer,
            meter,
            read: Frames::default(),
            turns,
            turn: None,
            ahead,
            assigned,
            owed: BytesMut::new(),
            within_packet: false,
            said_why: false,
            back: Some(back),
        };
        (line, returned)
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Box<dyn Socket>>> {
        self.socket
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Ready when the packet that begins may go to the broker.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begins = self.read.begun() == 0;
        if !begins || self.ahead.first().map(|first| first & 0xf0) != Some(PUBLISH) {
            return Poll::Ready(());
        }
        if self.turn.is_none() {
            self.turn = self.turns.as_ref().and_then(Turns::wait);
        }
        if let Some(turn) = &mut self.turn {
            ready!(turn.as_mut().poll(cx));
            self.turn = None;
        }
        Poll::Ready(())
    }

    fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            let owed = std::mem::take(&mut self.owed);
            let written = self.socket()?.poll_write(cx, &owed);
            self.owed = owed;
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.owed.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The CONNACK in `packet`, with the identifier that the client has to know.
fn with_identifier(packet: &[u8], assigned: String) -> io::Result<BytesMut> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut packet = BytesMut::from(packet);
    let most = packet.len();
    let mut whole = BytesMut::new();
    match decode_buffered_packet(&mut packet, 5, most).map_err(invalid)? {
        Some(Packet::ConnAck(mut connack)) => {
            connack.properties.set_assigned_client_identifier(assigned);
            encode_packet_to_buffer(&Packet::ConnAck(connack), &mut whole).map_err(invalid)?;
            Ok(whole)
        }
        _ => Err(io::Error::other(
            "the broker answered CONNECT with something else",
        )),
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.ahead.is_empty() {
            let mut chunk = [0; CHUNK];
            let mut come = ReadBuf::new(&mut chunk);
            ready!(line.socket()?.poll_read(cx, &mut come))?;
            if come.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            line.ahead = Bytes::copy_from_slice(come.filled());
        }
        ready!(line.poll_turn(cx));
        let most = line.ahead.len().min(buf.remaining());
        let length = line.read.feed(&line.ahead[..most]);
        buf.put_slice(&line.ahead.split_to(length));
        line.meter.begun(line.read.begun());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        ready!(line.poll_owed(cx))?;
        // The broker writes each packet whole, the CONNACK first.
        if let Some(assigned) = line.assigned.take() {
            line.owed = with_identifier(buf, assigned)?;
            return Poll::Ready(Ok(buf.len()));
        }
        let written = ready!(line.socket()?.poll_write(cx, buf))?;
        line.said_why |= !line.within_packet && buf.first() == Some(&DISCONNECT);
        line.within_packet = written < buf.len();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        ready!(line.poll_owed(cx))?;
        line.socket()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        ready!(line.poll_owed(cx))?;
        line.socket()?.poll_shutdown(cx)
    }
}

impl WebSocketTransport for Line {
    fn peer_addr(&self) -> mqtt5::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let (Some(socket), Some(back)) = (self.socket.take(), self.back.take()) {
            let said_why = self.said_why;
            // Nobody waits for it when the broker is stopped.
            let _ = back.send(Returned { socket, said_why });
        }
    }
}
