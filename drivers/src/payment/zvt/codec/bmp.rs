//! Bitmaps: the numbered fields of a body, in any order (chapter 13; 4C from chapter 3.1).

use std::fmt;

use super::EncodeError;
use super::amount::Amount;
use super::bcd::{Bcd, Currency, ReceiptNo, TerminalId, TraceNo};
use super::charset::Text;
use super::fields::Fields;
use super::opaque::{Opaque, Reader};
use super::pan::{self, MaskedPan};
use super::tlv::{self, Container};

/// How long a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Fixed(usize),
    /// `Fx Fy`, at most 99 bytes.
    Ll,
    /// `Fx Fy Fz`, at most 999 bytes.
    Lll,
    /// BER length, BMP 06 only.
    Tlv,
}

/// The table of chapter 13.
const fn shape(tag: u8) -> Option<Shape> {
    Some(match tag {
        0x01..=0x03
        | 0x05
        | 0x19
        | 0x27
        | 0x72..=0x75
        | 0x8A
        | 0x8C
        | 0xA0
        | 0xD0
        | 0xD2
        | 0xD3
        | 0xE0
        | 0xE9
        | 0xEA
        | 0xF0
        | 0xF9..=0xFD => Shape::Fixed(1),
        0x0D | 0x0E | 0x17 | 0x3A | 0x49 | 0x87 => Shape::Fixed(2),
        0x0B | 0x0C | 0x37 | 0x3D | 0x88 | 0xAA => Shape::Fixed(3),
        0x29 | 0x70 | 0x71 => Shape::Fixed(4),
        0xBA => Shape::Fixed(5),
        0x04 => Shape::Fixed(6),
        0x3B | 0xEB => Shape::Fixed(8),
        0x2A => Shape::Fixed(15),
        0x22 | 0x23 | 0x2D | 0x4C | 0x8B | 0xA7 | 0xD1 | 0xE1..=0xE8 | 0xF1..=0xF8 => Shape::Ll,
        0x24 | 0x2E | 0x3C | 0x60 | 0x9A | 0xAF => Shape::Lll,
        0x06 => Shape::Tlv,
        _ => return None,
    })
}

/// Whether the number is in the table.
pub(super) const fn is_known(tag: u8) -> bool {
    shape(tag).is_some()
}

/// Tracks, chip files, card verification value, PIN data: never kept.
const fn is_withheld(tag: u8) -> bool {
    matches!(
        tag,
        0x23 | 0x24 | 0x2D | 0x2E | 0x3A | 0x9A | 0xA7 | 0xAF | 0xD1
    )
}

/// Texts for a display or an additional line, in which a card number may stand.
const fn is_text(tag: u8) -> bool {
    matches!(tag, 0xE1..=0xE8 | 0xF1..=0xF8)
}

/// A terminal password, six digits. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password(pub Bcd<3>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<password>")
    }
}

/// A field that holds cardholder secrets: the codec tells that it came, not what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld(u8);

impl Withheld {
    /// BMP number.
    pub fn tag(self) -> u8 {
        self.0
    }
}

/// A field of the table for which koffer has no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    tag: u8,
    value: Opaque,
}

impl Other {
    /// `None` for a number that has a variant of its own or is not in the table.
    pub fn new(tag: u8, value: &[u8]) -> Option<Self> {
        let mut bytes = Vec::new();
        put(tag, value, &mut bytes).ok()?;
        match Bmp::read(&mut Reader(&bytes)) {
            Ok(Bmp::Other(other)) => Some(other),
            _ => None,
        }
    }

    /// BMP number.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// The value without its length.
    pub fn value(&self) -> &[u8] {
        self.value.bytes()
    }
}

/// One field. The number in front of each is its BMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bmp {
    /// 01, seconds.
    Timeout(u8),
    /// 03, bits; which depends on the command ([`super::command::service`]).
    Service(u8),
    /// 04.
    Amount(Amount),
    /// 06.
    Tlv(Container),
    /// 0B.
    Trace(TraceNo),
    /// 0C, HHMMSS.
    Time(Bcd<3>),
    /// 0D, MMDD.
    Date(Bcd<2>),
    /// 0E, YYMM.
    Expiry(Bcd<2>),
    /// 17.
    CardSequence(Bcd<2>),
    /// 19: payment type, or the status byte of 06 0F after 06 00.
    Type(u8),
    /// 22.
    Pan(MaskedPan),
    /// 27; [`super::result::ResultCode`].
    Result(u8),
    /// 29.
    TerminalId(TerminalId),
    /// 2A, ASCII, filled with spaces.
    Vu([u8; 15]),
    /// 37: the trace number that a reversal reversed.
    OriginalTrace(TraceNo),
    /// 3B, ASCII, filled with zeros.
    Authorisation([u8; 8]),
    /// 3C.
    Additional(Text),
    /// 3D.
    Password(Password),
    /// 49.
    Currency(Currency),
    /// 60, see [`super::totals::Totals`].
    Totals(Opaque),
    /// 87.
    Receipt(ReceiptNo),
    /// 88.
    Turnover(Bcd<3>),
    /// 8A, number of the ZVT card table; FF: see TLV 41.
    CardType(u8),
    /// 8B, closed by NUL.
    CardName(Text),
    /// 8C, number of the network operator's card table.
    NetworkCardType(u8),
    /// A0, the host's own result code.
    HostResult(u8),
    /// AA, YYMMDD.
    FullDate(Bcd<3>),
    /// 23, 24, 2D, 2E, 3A, 9A, A7, AF, D1.
    Withheld(Withheld),
    /// Everything else in the table.
    Other(Other),
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not in the table, so its length is not known: answer `84 83`.
    #[error("is unknown")]
    Unknown,
    /// The body ends inside it.
    #[error("is cut off")]
    Truncated,
    /// Its LLVAR or LLLVAR length is not `Fx`.
    #[error("has an invalid length")]
    Length,
    /// An amount with a nibble that is no digit.
    #[error("is not a number")]
    NotDecimal,
    /// Its TLV container is malformed.
    #[error("holds a malformed container")]
    Tlv,
}

/// A body that could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("BMP {tag:02X} {fault}")]
pub struct FieldError {
    /// What is wrong.
    pub fault: Fault,
    /// The BMP.
    pub tag: u8,
    /// The BMP and all that follows it, as received. May hold cardholder data: not for logs,
    /// events or the journal.
    pub raw: Opaque,
    /// The fields before it. They are not the whole message: no outcome may rest on them.
    pub before: Fields,
}

impl Bmp {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let tag = reader.byte().ok_or(Fault::Truncated)?;
        let len = match shape(tag).ok_or(Fault::Unknown)? {
            Shape::Fixed(len) => len,
            Shape::Ll => read_digits::<2>(reader)?,
            Shape::Lll => read_digits::<3>(reader)?,
            // The length itself may be cut off or have a reserved form.
            Shape::Tlv => tlv::read_length(reader).ok_or(Fault::Tlv)?,
        };
        let value = reader.take(len).ok_or(Fault::Truncated)?;
        Self::from_value(tag, value)
    }

    /// `value` has the length that the table asks for.
    fn from_value(tag: u8, value: &[u8]) -> Result<Self, Fault> {
        fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Fault> {
            value.try_into().map_err(|_| Fault::Truncated)
        }
        fn bcd<const N: usize>(value: &[u8]) -> Result<Bcd<N>, Fault> {
            fixed(value).map(Bcd::from_bytes)
        }
        let byte = || fixed::<1>(value).map(|[byte]| byte);
        Ok(match tag {
            0x01 => Self::Timeout(byte()?),
            0x03 => Self::Service(byte()?),
            0x04 => Self::Amount(Amount::from_bcd(bcd(value)?).ok_or(Fault::NotDecimal)?),
            0x06 => Self::Tlv(Container::decode(value).map_err(|_| Fault::Tlv)?),
            0x0B => Self::Trace(bcd(value)?),
            0x0C => Self::Time(bcd(value)?),
            0x0D => Self::Date(bcd(value)?),
            0x0E => Self::Expiry(bcd(value)?),
            0x17 => Self::CardSequence(bcd(value)?),
            0x19 => Self::Type(byte()?),
            0x22 => Self::Pan(MaskedPan::from_packed(value)),
            0x27 => Self::Result(byte()?),
            0x29 => Self::TerminalId(bcd(value)?),
            0x2A => Self::Vu(fixed(value)?),
            0x37 => Self::OriginalTrace(bcd(value)?),
            0x3B => Self::Authorisation(fixed(value)?),
            0x3C => Self::Additional(pan::masked_text(value)),
            0x3D => Self::Password(Password(bcd(value)?)),
            0x49 => Self::Currency(bcd(value)?),
            0x60 => Self::Totals(value.into()),
            0x87 => Self::Receipt(bcd(value)?),
            0x88 => Self::Turnover(bcd(value)?),
            0x8A => Self::CardType(byte()?),
            0x8B => Self::CardName(pan::masked_text(value)),
            0x8C => Self::NetworkCardType(byte()?),
            0xA0 => Self::HostResult(byte()?),
            0xAA => Self::FullDate(bcd(value)?),
            _ if is_withheld(tag) => Self::Withheld(Withheld(tag)),
            _ => {
                let mut value = value.to_vec();
                if is_text(tag) {
                    crate::card_number::mask_bytes(&mut value);
                }
                Self::Other(Other {
                    tag,
                    value: value.into(),
                })
            }
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Timeout(byte) => put(0x01, &[*byte], out),
            Self::Service(byte) => put(0x03, &[*byte], out),
            Self::Amount(amount) => put(0x04, &amount.to_bcd().bytes(), out),
            Self::Tlv(container) => {
                out.push(0x06);
                container.write(out)
            }
            Self::Trace(bcd) => put(0x0B, &bcd.bytes(), out),
            Self::Time(bcd) => put(0x0C, &bcd.bytes(), out),
            Self::Date(bcd) => put(0x0D, &bcd.bytes(), out),
            Self::Expiry(bcd) => put(0x0E, &bcd.bytes(), out),
            Self::CardSequence(bcd) => put(0x17, &bcd.bytes(), out),
            Self::Type(byte) => put(0x19, &[*byte], out),
            Self::Pan(pan) => put(0x22, &pan.to_packed(), out),
            Self::Result(byte) => put(0x27, &[*byte], out),
            Self::TerminalId(bcd) => put(0x29, &bcd.bytes(), out),
            Self::Vu(bytes) => put(0x2A, bytes, out),
            Self::OriginalTrace(bcd) => put(0x37, &bcd.bytes(), out),
            Self::Authorisation(bytes) => put(0x3B, bytes, out),
            Self::Additional(text) => put(0x3C, text.bytes(), out),
            Self::Password(Password(bcd)) => put(0x3D, &bcd.bytes(), out),
            Self::Currency(bcd) => put(0x49, &bcd.bytes(), out),
            Self::Totals(bytes) => put(0x60, bytes.bytes(), out),
            Self::Receipt(bcd) => put(0x87, &bcd.bytes(), out),
            Self::Turnover(bcd) => put(0x88, &bcd.bytes(), out),
            Self::CardType(byte) => put(0x8A, &[*byte], out),
            Self::CardName(text) => put(0x8B, text.bytes(), out),
            Self::NetworkCardType(byte) => put(0x8C, &[*byte], out),
            Self::HostResult(byte) => put(0xA0, &[*byte], out),
            Self::FullDate(bcd) => put(0xAA, &bcd.bytes(), out),
            // Empty where the length is sent, else "no digits".
            Self::Withheld(Withheld(tag @ 0x3A)) => put(*tag, &[0xFF, 0xFF], out),
            Self::Withheld(Withheld(tag)) => put(*tag, &[], out),
            Self::Other(other) => put(other.tag, other.value.bytes(), out),
        }
    }
}

/// Writes any field of the table with its number and length, as a terminal would: for simulators
/// that must send what this codec refuses to hold, such as a whole PAN.
///
/// [`EncodeError::Missing`] if the number is not in the table or is 06.
pub fn put(tag: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let too_long = EncodeError::TooLong {
        tag: tag.into(),
        len: value.len(),
    };
    let digits: &[usize] = match shape(tag) {
        Some(Shape::Fixed(len)) if len == value.len() => &[],
        Some(Shape::Ll) if value.len() <= 99 => &[10, 1],
        Some(Shape::Lll) if value.len() <= 999 => &[100, 10, 1],
        Some(Shape::Fixed(_) | Shape::Ll | Shape::Lll) => return Err(too_long),
        Some(Shape::Tlv) | None => return Err(EncodeError::Missing("an entry in the BMP table")),
    };
    out.push(tag);
    for unit in digits {
        out.push(0xF0 | u8::try_from(value.len() / unit % 10).map_err(|_| too_long)?);
    }
    out.extend_from_slice(value);
    Ok(())
}

/// Reads `N` length digits of the form `Fx`.
pub(super) fn read_digits<const N: usize>(reader: &mut Reader<'_>) -> Result<usize, Fault> {
    let digits: [u8; N] = reader.array().ok_or(Fault::Truncated)?;
    digits.iter().try_fold(0, |len, byte| match byte {
        0xF0..=0xF9 => Ok(len * 10 + usize::from(byte & 0x0F)),
        _ => Err(Fault::Length),
    })
}

#[cfg(test)]
pub(super) mod tests;
