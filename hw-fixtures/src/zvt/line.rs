//! One connection: bytes in, APDUs and frame acknowledgements out.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use koffer_drivers::payment::zvt::codec::apdu::{Apdu, Assembler, Control};
use koffer_drivers::payment::zvt::codec::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::fault::How;
use super::port::reset;
use super::pty::Pty;

/// How long a pulled cable stays out of a serial port.
const UNPLUGGED: Duration = Duration::from_secs(1);
/// Between the pieces of a split message: long enough to be read apart, far below T1.
const PIECE_GAP: Duration = Duration::from_millis(2);

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream, Assembler),
    Serial(Pty, frame::Decoder),
}

/// What a byte completed.
#[derive(Debug)]
pub(super) enum Token {
    Apdu(Apdu),
    /// A frame that is to be answered 15.
    BadFrame,
    FrameAck,
    FrameNak,
}

/// What stands at the front of the bytes not yet read.
#[derive(Debug)]
pub(super) enum Head {
    Unfinished,
    Command(Control),
    /// A frame acknowledgement, noise, an acknowledgement of a message.
    Other,
}

#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    raw: BytesMut,
    unplugged: Option<Unplugged>,
}

#[derive(Debug)]
enum Unplugged {
    ForGood,
    Until(Instant),
}

impl Line {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self::new(Stream::Tcp(stream, Assembler::default()))
    }

    pub(super) fn serial(pty: Pty) -> Self {
        Self::new(Stream::Serial(pty, frame::Decoder::default()))
    }

    fn new(stream: Stream) -> Self {
        Self {
            stream,
            raw: BytesMut::new(),
            unplugged: None,
        }
    }

    pub(super) const fn is_serial(&self) -> bool {
        matches!(self.stream, Stream::Serial(..))
    }

    /// Waits for bytes; `false` at the end of the stream. Safe to cancel.
    pub(super) async fn read(&mut self) -> bool {
        let read = match &mut self.stream {
            Stream::Tcp(stream, _) => stream.read_buf(&mut self.raw).await,
            Stream::Serial(pty, _) => pty.read_buf(&mut self.raw).await,
        };
        if self.is_unplugged() {
            self.raw.clear();
        }
        read.is_ok_and(|count| count > 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    pub(super) fn head(&self) -> Head {
        let control = match (&self.stream, self.raw.as_ref()) {
            (Stream::Tcp(..), [class, instruction, ..])
            | (Stream::Serial(..), [0x10, 0x02, class, instruction, ..]) => {
                Control(*class, *instruction)
            }
            (Stream::Tcp(..), _) | (Stream::Serial(..), [] | [0x10] | [0x10, 0x02, ..]) => {
                return Head::Unfinished;
            }
            (Stream::Serial(..), _) => return Head::Other,
        };
        match control.0 {
            0x80 | 0x84 => Head::Other,
            _ => Head::Command(control),
        }
    }

    /// Takes the next byte.
    pub(super) fn digest(&mut self) -> Option<Token> {
        if self.raw.is_empty() {
            return None;
        }
        let byte = self.raw.get_u8();
        match &mut self.stream {
            Stream::Tcp(_, assembler) => assembler.push(byte).map(Token::Apdu),
            Stream::Serial(_, decoder) => match decoder.push(byte)? {
                frame::Event::Frame(apdu) => Some(Token::Apdu(apdu)),
                frame::Event::Ack => Some(Token::FrameAck),
                frame::Event::Nak => Some(Token::FrameNak),
                frame::Event::BadCrc | frame::Event::NotAnApdu => Some(Token::BadFrame),
                frame::Event::Broken | frame::Event::Noise(_) => None,
            },
        }
    }

    /// Writes in pieces of at most `split` bytes, 0 for one piece.
    pub(super) async fn write(&mut self, bytes: &[u8], split: usize) -> io::Result<()> {
        if self.is_unplugged() {
            return Ok(());
        }
        let size = if split == 0 { bytes.len() } else { split };
        for (at, piece) in bytes.chunks(size.max(1)).enumerate() {
            if at > 0 {
                tokio::time::sleep(PIECE_GAP).await;
            }
            match &mut self.stream {
                Stream::Tcp(stream, _) => stream.write_all(piece).await?,
                Stream::Serial(pty, _) => pty.write_all(piece).await?,
            }
        }
        Ok(())
    }

    /// Whether bytes vanish; a serial cable is put back after a while.
    pub(super) fn is_unplugged(&mut self) -> bool {
        match self.unplugged {
            None => false,
            Some(Unplugged::ForGood) => true,
            Some(Unplugged::Until(when)) if Instant::now() < when => true,
            Some(Unplugged::Until(_)) => {
                self.unplugged = None;
                if let Stream::Serial(_, decoder) = &mut self.stream {
                    decoder.reset();
                }
                false
            }
        }
    }

    /// Ends the connection; gives it back if only the cable was pulled.
    pub(super) async fn cut(mut self, how: How) -> Option<Self> {
        match (how, &mut self.stream) {
            (How::Unplug, stream) => {
                self.unplugged = Some(match stream {
                    Stream::Tcp(..) => Unplugged::ForGood,
                    Stream::Serial(..) => Unplugged::Until(Instant::now() + UNPLUGGED),
                });
                self.raw.clear();
                return Some(self);
            }
            (How::Reset, Stream::Tcp(stream, _)) => reset(stream),
            (How::Close, Stream::Tcp(stream, _)) => {
                // What is written leaves before the connection does.
                let _ = stream.shutdown().await;
            }
            (_, Stream::Serial(..)) => {}
        }
        None
    }
}
