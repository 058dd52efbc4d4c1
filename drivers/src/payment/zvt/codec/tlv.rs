//! The TLV container of BMP 06 (chapter 9): BER tags and lengths, nested.

use std::fmt;

use super::EncodeError;
use super::apdu::Control;
use super::charset::{Charset, Text};
use super::opaque::Reader;

/// Deepest nesting that is read or written; the specification needs four.
pub const MAX_DEPTH: usize = 8;

/// A tag of one to three bytes, written as the specification writes it (`0x1F07`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(u32);

impl Tag {
    /// Line of text.
    pub const TEXT: Self = Self(0x07);
    /// Receipt number in a list of open pre-authorisations.
    pub const RECEIPT: Self = Self(0x08);
    /// Attribute of the lines that follow; [`super::receipt::Attribute`].
    pub const ATTRIBUTE: Self = Self(0x09);
    /// A command in [`Tag::PERMITTED`].
    pub const COMMAND: Self = Self(0x0A);
    /// Characters per line of the printer, one BCD byte.
    pub const PRINTER_WIDTH: Self = Self(0x12);
    /// Character set.
    pub const CHARSET: Self = Self(0x14);
    /// Language, two letters.
    pub const LANGUAGE: Self = Self(0x15);
    /// Longest APDU, two bytes, high first.
    pub const MAX_APDU: Self = Self(0x1A);
    /// Kind of diagnosis (06 70).
    pub const DIAGNOSIS: Self = Self(0x1B);
    /// Open pre-authorisations.
    pub const OPEN_RESERVATIONS: Self = Self(0x23);
    /// Texts of 04 FF.
    pub const DISPLAY_TEXTS: Self = Self(0x24);
    /// Texts of 06 D3.
    pub const PRINT_TEXTS: Self = Self(0x25);
    /// Commands the ECR understands.
    pub const PERMITTED: Self = Self(0x26);
    /// Character sets of both ends.
    pub const CHARSETS: Self = Self(0x27);
    /// How the cardholder was identified, and with which technology.
    pub const PAYMENT_TYPE: Self = Self(0x2F);
    /// Application of the card.
    pub const APPLICATION: Self = Self(0x60);
    /// EMV application identifier.
    pub const APPLICATION_ID: Self = Self(0x43);
    /// Which receipt to repeat (06 20).
    pub const RECEIPT_ID: Self = Self(0x1F01);
    /// Which receipts the terminal is to send.
    pub const RECEIPT_PARAMETER: Self = Self(0x1F04);
    /// 1 merchant, 2 customer, 3 administration.
    pub const RECEIPT_TYPE: Self = Self(0x1F07);
    /// Signature, PIN, none.
    pub const CARDHOLDER_AUTHENTICATION: Self = Self(0x1F10);
    /// 0 offline, 1 online.
    pub const ONLINE: Self = Self(0x1F11);
    /// 0 stripe, 1 chip, 2 contactless.
    pub const CARD_TECHNOLOGY: Self = Self(0x1F12);
    /// Vendor's error code behind FF.
    pub const ERROR_CODE: Self = Self(0x1F16);
    /// Vendor's error text behind FF.
    pub const ERROR_TEXT: Self = Self(0x1F17);
    /// Trace number beyond six digits.
    pub const LONG_TRACE: Self = Self(0x1F2B);
    /// Positive, negative, signature needed.
    pub const RECEIPT_INFORMATION: Self = Self(0x1F37);

    /// `None` if these bytes are not exactly one tag.
    pub fn new(tag: u32) -> Option<Self> {
        let tag = Self(tag);
        let mut reader = Reader(&[]);
        let bytes = tag.bytes();
        reader.0 = &bytes;
        (Self::read(&mut reader) == Some(tag) && reader.0.is_empty()).then_some(tag)
    }

    /// The number, as the specification writes it.
    pub fn number(self) -> u32 {
        self.0
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let first = reader.byte()?;
        if first & 0x1F != 0x1F {
            return Some(Self(first.into()));
        }
        let second = reader.byte()?;
        let tag = (u32::from(first) << 8) | u32::from(second);
        // 1F80-1F83 have two bytes in the specification's own table, against BER.
        let ends = second & 0x80 == 0 || (first == 0x1F && second < 0x90);
        if ends {
            return Some(Self(tag));
        }
        let third = reader.byte()?;
        (third & 0x80 == 0).then_some(Self((tag << 8) | u32::from(third)))
    }

    fn bytes(self) -> Vec<u8> {
        let all = self.0.to_be_bytes();
        let leading = all.iter().take(3).take_while(|byte| **byte == 0).count();
        all.iter().skip(leading).copied().collect()
    }

    /// Coupons and loyalty data (FF01-FF04) are listed as primitive although bit 6 is set.
    fn is_constructed(self) -> bool {
        let first = self.bytes().first().copied().unwrap_or(0);
        first & 0x20 != 0 && first != 0xFF
    }

    /// Texts that a clerk or customer reads, in which a card number may be printed.
    fn is_text(self) -> bool {
        matches!(
            self.0,
            0x07 | 0x0B | 0x0C | 0x45..=0x47 | 0x1F17 | 0x1F2A | 0x1F3D
        )
    }

    /// Track data, card numbers, PINs and keys: never kept.
    fn is_withheld(self) -> bool {
        matches!(
            self.0,
            0x4D | 0x80 | 0x1F08..=0x1F0A | 0x1F1A | 0x1F31 | 0x1F5C | 0x1F5D | 0x1F75
        )
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

/// Why a container could not be read: a tag or a length runs past its end, or a length has a
/// form that the specification reserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("TLV container is malformed")]
pub struct TlvError;

#[derive(Clone, PartialEq, Eq)]
enum Value {
    Primitive(Vec<u8>),
    Constructed(Vec<Tlv>),
}

/// One data object. `Debug` shows tags and lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct Tlv {
    tag: Tag,
    value: Value,
}

impl fmt::Debug for Tlv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Primitive(bytes) => write!(f, "{:?}: <{} bytes>", self.tag, bytes.len()),
            Value::Constructed(items) => write!(f, "{:?}: {items:?}", self.tag),
        }
    }
}

impl Tlv {
    /// A data object with a value, reduced as a received one is; `None` for a tag of a container.
    pub fn primitive(tag: Tag, value: &[u8]) -> Option<Self> {
        (!tag.is_constructed()).then(|| Self {
            tag,
            value: Value::reduced(tag, value),
        })
    }

    /// A data object of data objects; `None` for a tag of a plain value.
    pub fn constructed(tag: Tag, items: Vec<Self>) -> Option<Self> {
        tag.is_constructed().then_some(Self {
            tag,
            value: Value::Constructed(items),
        })
    }

    /// The tag.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// The value; empty for a container.
    pub fn value(&self) -> &[u8] {
        match &self.value {
            Value::Primitive(bytes) => bytes,
            Value::Constructed(_) => &[],
        }
    }

    /// The data objects inside; none for a plain value.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Primitive(_) => &[],
            Value::Constructed(items) => items,
        }
    }

    /// The value as text.
    pub fn text(&self) -> Text {
        Text::from_bytes(self.value().to_vec())
    }

    fn read(reader: &mut Reader<'_>, depth: usize) -> Option<Self> {
        let tag = Tag::read(reader)?;
        let content = read_length(reader).and_then(|len| reader.take(len))?;
        if !tag.is_constructed() {
            return Some(Self {
                tag,
                value: Value::reduced(tag, content),
            });
        }
        // What cannot be read cannot be reduced either, so it is dropped; its siblings stay.
        let items = if depth < MAX_DEPTH {
            read_list(content, depth + 1)
        } else {
            None
        };
        Some(Self {
            tag,
            value: Value::Constructed(items.unwrap_or_default()),
        })
    }

    fn write(&self, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
        let mut nested = Vec::new();
        let content = match &self.value {
            Value::Primitive(bytes) => bytes,
            Value::Constructed(_) if depth > MAX_DEPTH => return Err(EncodeError::TooDeep),
            Value::Constructed(items) => {
                items
                    .iter()
                    .try_for_each(|item| item.write(&mut nested, depth + 1))?;
                // A container at the deepest level is read as empty.
                if depth == MAX_DEPTH && !nested.is_empty() {
                    return Err(EncodeError::TooDeep);
                }
                &nested
            }
        };
        out.extend(self.tag.bytes());
        write_length(self.tag.0, content.len(), out)?;
        out.extend_from_slice(content);
        Ok(())
    }
}

impl Value {
    fn reduced(tag: Tag, bytes: &[u8]) -> Self {
        if tag.is_withheld() {
            return Self::Primitive(Vec::new());
        }
        let mut bytes = bytes.to_vec();
        if tag.is_text() {
            crate::card_number::mask_bytes(&mut bytes);
        }
        Self::Primitive(bytes)
    }
}

/// The content of BMP 06. Empty, it tells the terminal that it may send one (chapter 9.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container(pub Vec<Tlv>);

impl Container {
    /// Reads the objects of a container.
    pub fn decode(content: &[u8]) -> Result<Self, TlvError> {
        read_list(content, 0).map(Self).ok_or(TlvError)
    }

    /// Writes the length and the objects, as they follow the 06.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut content = Vec::new();
        self.0
            .iter()
            .try_for_each(|item| item.write(&mut content, 0))?;
        write_length(0x06, content.len(), out)?;
        out.extend(content);
        Ok(())
    }

    /// The first object with this tag, not looking into containers.
    pub fn find(&self, tag: Tag) -> Option<&Tlv> {
        self.0.iter().find(|item| item.tag == tag)
    }

    /// The character set the terminal agreed to: the only one in list 27, or a bare 14.
    pub fn charset(&self) -> Option<Charset> {
        let listed = self.find(Tag::CHARSETS).map(Tlv::items);
        let item = match listed {
            Some([only]) if only.tag == Tag::CHARSET => Some(only),
            Some(_) => None,
            None => self.find(Tag::CHARSET),
        };
        match item?.value() {
            [code] => Charset::from_tlv(*code),
            _ => None,
        }
    }

    /// The lines of the display text (24).
    pub fn display_lines(&self) -> Vec<Text> {
        let items = self.find(Tag::DISPLAY_TEXTS).map_or(&[][..], Tlv::items);
        items
            .iter()
            .filter(|item| item.tag == Tag::TEXT)
            .map(Tlv::text)
            .collect()
    }

    /// The list of permitted commands (26).
    pub fn permitted_commands(&self) -> Vec<Control> {
        let items = self.find(Tag::PERMITTED).map_or(&[][..], Tlv::items);
        let commands = items.iter().filter(|item| item.tag == Tag::COMMAND);
        commands
            .filter_map(|item| match item.value() {
                [class, instruction] => Some(Control(*class, *instruction)),
                _ => None,
            })
            .collect()
    }

    /// Adds the list of permitted commands (26).
    pub fn permit(mut self, commands: &[Control]) -> Self {
        let item = |command: &Control| Tlv {
            tag: Tag::COMMAND,
            value: Value::Primitive(vec![command.0, command.1]),
        };
        let items = commands.iter().map(item).collect();
        self.0.push(Tlv {
            tag: Tag::PERMITTED,
            value: Value::Constructed(items),
        });
        self
    }

    /// Adds a plain value; one for a container's tag is left out.
    pub fn with(mut self, tag: Tag, value: &[u8]) -> Self {
        self.0.extend(Tlv::primitive(tag, value));
        self
    }

    /// Adds a container; one for a plain value's tag is left out.
    pub fn with_items(mut self, tag: Tag, items: Vec<Tlv>) -> Self {
        self.0.extend(Tlv::constructed(tag, items));
        self
    }
}

fn read_list(content: &[u8], depth: usize) -> Option<Vec<Tlv>> {
    let mut reader = Reader(content);
    let mut items = Vec::new();
    while !reader.0.is_empty() {
        items.push(Tlv::read(&mut reader, depth)?);
    }
    Some(items)
}

/// Zero to 127 in one byte, 81 and one byte, 82 and two bytes; the rest is reserved.
pub(super) fn read_length(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.byte()? {
        short @ 0..=0x7F => Some(short.into()),
        0x81 => reader.byte().map(usize::from),
        0x82 => reader.array().map(u16::from_be_bytes).map(usize::from),
        _ => None,
    }
}

fn write_length(tag: u32, len: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let [high, low] = u16::try_from(len)
        .map_err(|_| EncodeError::TooLong { tag, len })?
        .to_be_bytes();
    match (high, low) {
        (0, 0..=0x7F) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
