//! An electronic cash register of plain bytes: knows the framing and nothing of the codec, so that
//! both cannot be wrong in the same way.

use std::path::Path;
use std::time::Duration;

use koffer_fixtures::zvt::{Address, Terminal, TerminalConfig};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Registration: password 000000, ECR prints all receipts from print commands, 04 FF wanted, euro.
pub(crate) const REGISTER: &str = "0600 06 000000 8E 0978";
/// The same with a container: 06 D3 permitted, UTF-8 offered in a list.
pub(crate) const REGISTER_BLOCKS: &str = "0600 11 000000 8E 0978 06 09 26 04 0A 02 06D3 14 01 FE";
/// 37.80 EUR.
pub(crate) const PAY: &str = "0601 0A 04 000000003780 49 0978";
pub(crate) const END_OF_DAY: &str = "0650 03 000000";
/// Status information wanted, no printing.
pub(crate) const REPEAT: &str = "0620 05 000000 03 03";
pub(crate) const STATUS: &str = "0501 00";
pub(crate) const ABORT: &str = "06B0 00";
pub(crate) const ACK: &str = "8000 00";

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// CRC-16/KERMIT by the table-free definition.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x8408
            } else {
                crc >> 1
            };
        }
    }
    crc.to_le_bytes()
}

pub(crate) fn frame(apdu: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x10, 0x02];
    for byte in apdu {
        frame.push(*byte);
        if *byte == 0x10 {
            frame.push(0x10);
        }
    }
    frame.extend([0x10, 0x03]);
    frame.extend(crc(&[apdu, &[0x03]].concat()));
    frame
}

/// What the terminal sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn is(&self, class: u8, instruction: u8) -> bool {
        self.0.starts_with(&[class, instruction])
    }

    pub(crate) fn body(&self) -> &[u8] {
        let head = if self.0[2] == 0xFF { 5 } else { 3 };
        &self.0[head..]
    }

    /// Whether the body holds these bytes.
    pub(crate) fn has(&self, bytes: &str) -> bool {
        let bytes = hex(bytes);
        self.body()
            .windows(bytes.len())
            .any(|window| window == bytes)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }
}

/// Where the bytes go.
pub(crate) enum Wire {
    Tcp(TcpStream),
    /// The slave of a pseudo-terminal.
    Serial(File),
}

pub(crate) struct Ecr {
    wire: Wire,
    /// Bytes sent and received on this wire.
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// The connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Ecr {
    pub(crate) async fn connect(terminal: &Terminal) -> Self {
        Self::to(&terminal.address).await
    }

    pub(crate) async fn to(address: &Address) -> Self {
        let wire = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                Wire::Tcp(stream)
            }
            Address::Serial(path) => {
                let mut options = tokio::fs::OpenOptions::new();
                Wire::Serial(options.read(true).write(true).open(path).await.unwrap())
            }
        };
        Self {
            wire,
            sent: 0,
            received: 0,
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let written = match &mut self.wire {
            Wire::Tcp(stream) => stream.write_all(bytes).await,
            Wire::Serial(file) => {
                let written = file.write_all(bytes).await;
                file.flush().await.unwrap();
                written
            }
        };
        self.sent += u64::try_from(bytes.len()).unwrap();
        written.map_err(|_| Gone)
    }

    pub(crate) async fn byte(&mut self) -> Result<u8, Gone> {
        let mut byte = [0];
        let read = async {
            match &mut self.wire {
                Wire::Tcp(stream) => stream.read(&mut byte).await,
                Wire::Serial(file) => file.read(&mut byte).await,
            }
        };
        match tokio::time::timeout(PATIENCE, read)
            .await
            .expect("a byte in time")
        {
            Ok(1) => {
                self.received += 1;
                Ok(byte[0])
            }
            _ => Err(Gone),
        }
    }

    /// Sends an APDU, on a serial line in a frame whose acknowledgement is awaited.
    pub(crate) async fn say(&mut self, apdu: &str) -> Result<(), Gone> {
        let apdu = hex(apdu);
        if matches!(self.wire, Wire::Tcp(_)) {
            return self.write(&apdu).await;
        }
        for _ in 0..3 {
            self.write(&frame(&apdu)).await?;
            if self.byte().await? == 0x06 {
                return Ok(());
            }
        }
        panic!("the terminal does not take a frame");
    }

    /// Throws away what has arrived on a serial line.
    pub(crate) fn forget(&mut self) {
        let Wire::Serial(file) = &self.wire else {
            return;
        };
        nix::sys::termios::tcflush(file, nix::sys::termios::FlushArg::TCIFLUSH).unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Result<Message, Gone> {
        if matches!(self.wire, Wire::Serial(_)) {
            return self.hear_frame().await;
        }
        let mut bytes = vec![self.byte().await?, self.byte().await?, self.byte().await?];
        let mut length = usize::from(bytes[2]);
        if length == 0xFF {
            bytes.extend([self.byte().await?, self.byte().await?]);
            length = usize::from(u16::from_le_bytes([bytes[3], bytes[4]]));
        }
        for _ in 0..length {
            bytes.push(self.byte().await?);
        }
        Ok(Message(bytes))
    }

    async fn hear_frame(&mut self) -> Result<Message, Gone> {
        loop {
            while self.byte().await? != 0x10 {}
            if self.byte().await? != 0x02 {
                continue;
            }
            let mut apdu = Vec::new();
            loop {
                match self.byte().await? {
                    0x10 => match self.byte().await? {
                        0x03 => break,
                        doubled => apdu.push(doubled),
                    },
                    byte => apdu.push(byte),
                }
            }
            let given = [self.byte().await?, self.byte().await?];
            if given == crc(&[apdu.as_slice(), &[0x03]].concat()) {
                self.write(&[0x06]).await?;
                return Ok(Message(apdu));
            }
            self.write(&[0x15]).await?;
        }
    }

    /// Hears one message and acknowledges it.
    pub(crate) async fn next(&mut self) -> Result<Message, Gone> {
        let message = self.hear().await?;
        self.say(ACK).await?;
        Ok(message)
    }

    /// Sends a command and acknowledges everything up to 06 0F or 06 1E.
    pub(crate) async fn run(&mut self, command: &str) -> Result<Vec<Message>, Gone> {
        self.say(command).await?;
        let mut heard = vec![self.hear().await?];
        if !heard[0].is(0x80, 0x00) {
            return Ok(heard);
        }
        heard.extend(self.finish().await?);
        Ok(heard)
    }

    /// Acknowledges everything up to 06 0F or 06 1E.
    pub(crate) async fn finish(&mut self) -> Result<Vec<Message>, Gone> {
        let mut heard = Vec::new();
        loop {
            let message = self.next().await?;
            let ends = message.is(0x06, 0x0F) || message.is(0x06, 0x1E);
            heard.push(message);
            if ends {
                return Ok(heard);
            }
        }
    }

    /// Acknowledges up to a message of this kind, which is left unanswered.
    pub(crate) async fn until(&mut self, class: u8, instruction: u8) -> Result<Message, Gone> {
        loop {
            let message = self.hear().await?;
            if message.is(class, instruction) {
                return Ok(message);
            }
            if !message.is(0x80, 0x00) {
                self.say(ACK).await?;
            }
        }
    }
}

/// Connected and registered.
pub(crate) async fn registered(terminal: &Terminal) -> Ecr {
    let mut ecr = Ecr::connect(terminal).await;
    let answer = ecr.run(REGISTER).await.unwrap();
    assert!(answer[1].is(0x06, 0x0F), "{answer:?}");
    ecr
}

/// A terminal whose timers suit a test, in a directory of its own.
pub(crate) async fn terminal(dir: &Path) -> Terminal {
    start(config(dir)).await
}

pub(crate) fn config(dir: &Path) -> TerminalConfig {
    quick(TerminalConfig::tcp(dir.join("ledger.jsonl")))
}

pub(crate) fn serial_config(dir: &Path) -> TerminalConfig {
    quick(TerminalConfig::serial(dir.join("ledger.jsonl")))
}

fn quick(mut config: TerminalConfig) -> TerminalConfig {
    config.profile.ack_timeout_ms = 300;
    config.profile.frame_ack_timeout_ms = 150;
    config.profile.cardholder.inserts_after_ms = 1;
    config.profile.cardholder.pin_after_ms = 1;
    config.profile.cardholder.host_after_ms = 1;
    config.profile.cardholder.removes_after_ms = 0;
    config
}

pub(crate) async fn start(config: TerminalConfig) -> Terminal {
    Terminal::start(config).await.unwrap()
}
