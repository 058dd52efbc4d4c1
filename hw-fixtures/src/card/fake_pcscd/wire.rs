//! Messages of pcsc-lite's client protocol 4:4 (its `winscard_msg.h`): a header of two numbers,
//! size and command, then a structure of numbers of the machine's byte order, which comes back
//! with the answer in it.

use std::io::{self, Read, Write};

/// Length of a reader's name.
pub(super) const NAME: usize = 128;
/// Readers in every list.
pub(super) const READERS: usize = 16;
/// The longest attribute.
pub(super) const ATTRIBUTE: usize = 264;
/// The longest transmission.
pub(super) const BUFFER: usize = 65_548;

/// A return code of PC/SC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnCode(pub u32);

impl ReturnCode {
    /// Done.
    pub const SUCCESS: Self = Self(0);
    /// No such handle.
    pub const INVALID_HANDLE: Self = Self(0x8010_0003);
    /// No such reader.
    pub const UNKNOWN_READER: Self = Self(0x8010_0009);
    /// Somebody else has it.
    pub const SHARING_VIOLATION: Self = Self(0x8010_000B);
    /// No card.
    pub const NO_SMARTCARD: Self = Self(0x8010_000C);
    /// The exchange with the card failed.
    pub const NOT_TRANSACTED: Self = Self(0x8010_0016);
    /// The reader is gone.
    pub const READER_UNAVAILABLE: Self = Self(0x8010_0017);
    /// The reader cannot do that.
    pub const UNSUPPORTED_FEATURE: Self = Self(0x8010_001F);
    /// The card was reset.
    pub const RESET_CARD: Self = Self(0x8010_0068);
    /// The card was removed.
    pub const REMOVED_CARD: Self = Self(0x8010_0069);
}

/// A command of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    EstablishContext,
    ReleaseContext,
    Connect,
    Reconnect,
    Disconnect,
    BeginTransaction,
    EndTransaction,
    Transmit,
    Control,
    Status,
    Cancel,
    GetAttribute,
    Version,
    GetReaders,
    Wait,
    StopWaiting,
}

impl Command {
    fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0x01 => Self::EstablishContext,
            0x02 => Self::ReleaseContext,
            0x04 => Self::Connect,
            0x05 => Self::Reconnect,
            0x06 => Self::Disconnect,
            0x07 => Self::BeginTransaction,
            0x08 => Self::EndTransaction,
            0x09 => Self::Transmit,
            0x0A => Self::Control,
            0x0B => Self::Status,
            0x0D => Self::Cancel,
            0x0F => Self::GetAttribute,
            0x11 => Self::Version,
            0x12 => Self::GetReaders,
            0x13 => Self::Wait,
            0x14 => Self::StopWaiting,
            _ => return None,
        })
    }
}

/// The next message of a client.
pub(super) fn receive(line: &mut impl Read) -> io::Result<(Command, Vec<u8>)> {
    let [size, command] = get(line)?;
    let command = Command::from_number(command).ok_or(io::ErrorKind::InvalidData)?;
    let body = bytes(line, size)?;
    Ok((command, body))
}

/// So many bytes, within what the protocol allows.
pub(super) fn bytes(line: &mut impl Read, size: u32) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > BUFFER {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; size];
    line.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn get<const N: usize>(line: &mut impl Read) -> io::Result<[u32; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let mut bytes = [0; 4];
        line.read_exact(&mut bytes)?;
        *number = u32::from_ne_bytes(bytes);
    }
    Ok(numbers)
}

/// The number at this place of a structure, counted in numbers.
pub(super) fn number(body: &[u8], index: usize) -> u32 {
    body.get(index * 4..index * 4 + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

/// Numbers to a client.
pub(super) fn put(line: &mut impl Write, numbers: &[u32]) -> io::Result<()> {
    let bytes: Vec<_> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
    line.write_all(&bytes)
}
