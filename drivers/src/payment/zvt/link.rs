//! The line to a terminal: whole APDUs out and in, over TCP or a serial port.
//!
//! Who gives up waiting for an answer is the transaction; here only the pieces of one APDU are
//! waited for, and on a serial line the acknowledgement of a frame.

use std::{collections::VecDeque, fmt, io, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_serial::{ClearBuffer, SerialPort, SerialPortBuilder, SerialStream};

use super::{
    codec::apdu::{Apdu, Assembler},
    config::Address,
    timing,
};

mod framed;

use framed::Frames;

/// When a frame may be written to a serial line again. On TCP nothing ever is.
///
/// A NAK says that the frame was not accepted, so writing it again executes it once. Silence says
/// nothing: the frame may have been accepted and its ACK lost. So
/// - what changes nothing (05 01, 06 00, …) is repeated on silence too;
/// - what moves money is not, because the terminal could execute it twice;
/// - an 80 00 is not either, because a second one could be taken for the acknowledgement of the
///   next message, and the next message could be the 04 0F that must be stored first.
///
/// What is not repeated is not given up: the terminal's answer proves that it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Only what the terminal explicitly did not accept.
    OnNak,
    /// That, and what it did not acknowledge.
    OnNakOrSilence,
}

/// Why the line cannot be used any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// The peer closed it.
    #[error("the terminal closed the connection")]
    Closed,
    /// The operating system says so.
    #[error("{0}")]
    Io(String),
    /// It stopped inside an APDU.
    #[error("the terminal stopped in the middle of a message")]
    Stalled,
    /// Serial: every repeat of our frame was answered with NAK, so none was accepted.
    #[error("the terminal did not accept a frame")]
    NotAccepted,
    /// Serial: no repeat of our frame was acknowledged.
    #[error("the terminal did not acknowledge a frame")]
    Unacknowledged,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// A stream of bytes in both directions.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<W: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for W {}

/// How APDUs are laid on the line.
enum Framing {
    /// One after the other (TCP).
    Bare(Assembler),
    /// In frames with a checksum, each acknowledged by one byte (serial).
    Framed(Frames),
}

/// An open line.
pub(super) struct Link {
    wire: Box<dyn Wire>,
    framing: Framing,
    inbox: VecDeque<Apdu>,
    last_byte: Instant,
    greeting: Greeting,
}

/// What came over a bare line before the peer's first APDU.
#[derive(Debug, Default)]
enum Greeting {
    /// Nothing came yet.
    #[default]
    Awaited,
    /// Something that is no ZVT. Some terminals send a line of text first; so do printers and
    /// routers.
    Foreign(Vec<u8>),
    /// ZVT.
    Over,
}

/// Of a greeting that is shown.
const SHOWN_BYTES: usize = 16;

impl Greeting {
    /// The part of these bytes that is ZVT.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let begins = match self {
            Self::Over => Some(0),
            // The classes of what is said in ZVT.
            Self::Awaited if matches!(bytes.first(), Some(0x04..=0x06 | 0x80 | 0x84)) => Some(0),
            // After a greeting comes the answer to our first command.
            Self::Awaited | Self::Foreign(_) => {
                bytes.iter().position(|byte| matches!(byte, 0x80 | 0x84))
            }
        };
        let (foreign, zvt) = bytes.split_at(begins.unwrap_or(bytes.len()));
        match self {
            _ if begins.is_some() => *self = Self::Over,
            Self::Foreign(greeting) => {
                let room = SHOWN_BYTES.saturating_sub(greeting.len());
                greeting.extend(foreign.iter().take(room));
            }
            Self::Awaited | Self::Over => {
                *self = Self::Foreign(foreign.iter().take(SHOWN_BYTES).copied().collect());
            }
        }
        zvt
    }
}

impl Link {
    /// A line on which APDUs follow each other bare.
    pub(super) fn bare(wire: impl Wire + 'static) -> Self {
        Self::new(Box::new(wire), Framing::Bare(Assembler::default()))
    }

    /// The first bytes of a peer that has said nothing in ZVT, as hexadecimal digits.
    pub(super) fn foreign(&self) -> Option<String> {
        let Greeting::Foreign(bytes) = &self.greeting else {
            return None;
        };
        let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        Some(digits.join(" "))
    }

    /// A line on which APDUs travel in frames.
    pub(super) fn framed(wire: impl Wire + 'static) -> Self {
        Self::new(Box::new(wire), Framing::Framed(Frames::default()))
    }

    fn new(wire: Box<dyn Wire>, framing: Framing) -> Self {
        Self {
            wire,
            framing,
            inbox: VecDeque::new(),
            last_byte: Instant::now(),
            greeting: Greeting::default(),
        }
    }

    /// Sends one APDU. On a serial line it returns when the frame was acknowledged, or when it
    /// is not known whether it was and it must not be repeated.
    pub(super) async fn send(&mut self, apdu: &Apdu, repeat: Repeat) -> Result<(), Broken> {
        match self.framing {
            Framing::Bare(_) => self.write(&apdu.to_bytes()).await,
            Framing::Framed(_) => self.send_frame(apdu, repeat).await,
        }
    }

    /// The next APDU. May be dropped at any time without losing one. Does not end by itself while
    /// the line is silent between two APDUs.
    pub(super) async fn receive(&mut self) -> Result<Apdu, Broken> {
        loop {
            let flushed = self.flush().await;
            if let Some(apdu) = self.inbox.pop_front() {
                return Ok(apdu);
            }
            flushed?;
            self.read_more().await?;
        }
    }

    /// Why nothing more can be sent, if that has shown by now. Does not wait.
    pub(super) async fn ended(&mut self) -> Option<Broken> {
        self.take_what_is_there().await.err()
    }

    /// Reads what has arrived, without waiting for more.
    async fn take_what_is_there(&mut self) -> Result<(), Broken> {
        loop {
            self.flush().await?;
            tokio::select! {
                biased;
                read = self.read_more() => read?,
                () = std::future::ready(()) => return Ok(()),
            }
        }
    }

    /// Reads once, and sorts what came. Cancel-safe.
    async fn read_more(&mut self) -> Result<(), Broken> {
        let mut buffer = [0; 1024];
        let read = self.wire.read(&mut buffer);
        let count = match self.framing.patience() {
            None => read.await?,
            Some(patience) => match timeout_at(self.last_byte + patience, read).await {
                Ok(count) => count?,
                Err(_) => return self.framing.stalled(),
            },
        };
        self.last_byte = Instant::now();
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Broken::Closed);
        }
        match &mut self.framing {
            Framing::Bare(assembler) => {
                let bytes = self.greeting.skip(bytes);
                self.inbox.extend(assembler.feed(bytes));
            }
            Framing::Framed(frames) => self.inbox.extend(frames.feed(bytes)),
        }
        Ok(())
    }

    /// Writes the acknowledgements that frames are owed. One byte at a time, so that nothing is
    /// half written when this is dropped.
    async fn flush(&mut self) -> Result<(), Broken> {
        while let Framing::Framed(frames) = &mut self.framing {
            let Some(byte) = frames.owed() else { break };
            let written = timeout(timing::WRITE, self.wire.write_all(&[byte])).await;
            if let Framing::Framed(frames) = &mut self.framing {
                frames.paid();
            }
            written.map_err(|_| Broken::Stalled)??;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let whole = async {
            self.wire.write_all(bytes).await?;
            self.wire.flush().await
        };
        match timeout(timing::WRITE, whole).await {
            Ok(written) => written.map_err(Broken::from),
            Err(_) => Err(Broken::Stalled),
        }
    }
}

impl Framing {
    /// How long to wait for the rest of what has begun; `None` where nothing has.
    fn patience(&self) -> Option<Duration> {
        match self {
            Self::Bare(assembler) => assembler.is_partial().then_some(timing::PIECE),
            Self::Framed(frames) => frames.is_partial().then_some(timing::T1),
        }
    }

    /// The rest did not come.
    fn stalled(&mut self) -> Result<(), Broken> {
        match self {
            Self::Bare(_) => Err(Broken::Stalled),
            // The peer misses its ACK and sends the frame again.
            Self::Framed(frames) => {
                frames.drop_partial();
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// Opens lines to one terminal.
#[async_trait]
pub(super) trait Dial: fmt::Debug + Send + Sync {
    /// A new line. Bounded in time.
    async fn dial(&self) -> Result<Link, Broken>;
}

#[async_trait]
impl Dial for Address {
    async fn dial(&self) -> Result<Link, Broken> {
        match self {
            Self::Tcp { host, port } => {
                let connect = TcpStream::connect((host.as_str(), *port));
                let stream = timeout(timing::CONNECT, connect)
                    .await
                    .map_err(|_| Broken::Io("nobody answers at that address".to_owned()))??;
                // One APDU, one segment: Nagle would hold each acknowledgement for 40 ms.
                stream.set_nodelay(true)?;
                Ok(Link::bare(stream))
            }
            Self::Serial { path, baud } => {
                let port = SerialStream::open(&line_settings(path, *baud))
                    .map_err(|error| Broken::Io(error.to_string()))?;
                // What was left on the line belongs to nobody.
                port.clear(ClearBuffer::All)
                    .map_err(|error| Broken::Io(error.to_string()))?;
                Ok(Link::framed(port))
            }
        }
    }
}

/// 8N2 without flow control (PA00P016).
fn line_settings(path: &str, baud: u32) -> SerialPortBuilder {
    tokio_serial::new(path, baud)
        .data_bits(tokio_serial::DataBits::Eight)
        .parity(tokio_serial::Parity::None)
        .stop_bits(tokio_serial::StopBits::Two)
        .flow_control(tokio_serial::FlowControl::None)
}

#[cfg(test)]
mod tests;
