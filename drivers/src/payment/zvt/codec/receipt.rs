//! Receipt lines, from 06 D1 one by one or from 06 D3 in blocks (chapters 3.5, 3.6, tag 25).

use super::bmp::Bmp;
use super::charset::Text;
use super::fields::Fields;
use super::tlv::{Container, Tag, Tlv};

/// How a line is to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attribute(pub u8);

impl Attribute {
    /// In 06 D1: feed as many lines as the text's only byte says.
    pub const FEED: Self = Self(0xFF);
    /// Ends a receipt; any `1xxx xxxx` but 80 and FF does.
    pub const LAST: Self = Self(0x81);
    /// Centred.
    pub const CENTRED: Self = Self(0x40);

    /// The receipt ends here: cut, and the next line begins another one.
    pub const fn ends_receipt(self) -> bool {
        self.0 & 0x80 != 0 && self.0 != 0x80
    }

    /// Centred.
    pub const fn is_centred(self) -> bool {
        self.0 & 0xC0 == 0x40
    }

    /// Twice as wide.
    pub const fn is_wide(self) -> bool {
        self.0 & 0xA0 == 0x20
    }

    /// Twice as high.
    pub const fn is_high(self) -> bool {
        self.0 & 0x90 == 0x10
    }

    /// Characters to indent, 0-15.
    pub const fn indent(self) -> u8 {
        self.0 & 0x0F
    }
}

/// Which receipt a block belongs to (TLV 1F07).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptType {
    /// Stays with the authority.
    Merchant,
    /// For the customer.
    Customer,
    /// End of day, diagnosis and such.
    Administration,
}

impl ReceiptType {
    /// The value of TLV 1F07.
    pub const fn code(self) -> u8 {
        match self {
            Self::Merchant => 1,
            Self::Customer => 2,
            Self::Administration => 3,
        }
    }

    /// `None` for a reserved value.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Merchant),
            2 => Some(Self::Customer),
            3 => Some(Self::Administration),
            _ => None,
        }
    }
}

/// A line of a block and the attribute that holds for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The last attribute before it.
    pub attribute: Attribute,
    /// Card numbers are masked.
    pub text: Text,
}

/// The content of a 06 D3.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// Which receipt, if the terminal says so.
    pub receipt: Option<ReceiptType>,
    /// The lines in order.
    pub lines: Vec<Line>,
    /// Whether the receipt is complete with this block.
    pub is_last: bool,
}

impl Block {
    /// Reads the fields of 06 D3. Barcodes (E3) are left out: they are not asked for.
    pub fn read(fields: &Fields) -> Self {
        let container = fields.tlv().unwrap_or_default();
        let receipt = match container.find(Tag::RECEIPT_TYPE).map(Tlv::value) {
            Some([code]) => ReceiptType::from_code(*code),
            _ => None,
        };
        let mut block = Self {
            receipt,
            ..Self::default()
        };
        let mut attribute = Attribute::default();
        let items = container.find(Tag::PRINT_TEXTS).map_or(&[][..], Tlv::items);
        for (at, item) in items.iter().enumerate() {
            match (item.tag(), item.value()) {
                (Tag::TEXT, _) => block.lines.push(Line {
                    attribute,
                    text: item.text(),
                }),
                // FF is one line feed; only what nothing follows may be meant as the end.
                (Tag::ATTRIBUTE, [0xFF]) if at + 1 < items.len() => block.lines.push(Line {
                    attribute: Attribute::default(),
                    text: Text::default(),
                }),
                (Tag::ATTRIBUTE, [byte]) => {
                    attribute = Attribute(*byte);
                    block.is_last |= attribute.ends_receipt();
                }
                _ => {}
            }
        }
        block
    }

    /// The fields of the 06 D3 that says this.
    pub fn to_fields(&self) -> Fields {
        let mut items = Vec::new();
        let mut current = Attribute::default();
        for line in &self.lines {
            if line.attribute != current {
                current = line.attribute;
                items.extend(Tlv::primitive(Tag::ATTRIBUTE, &[current.0]));
            }
            items.extend(Tlv::primitive(Tag::TEXT, line.text.bytes()));
        }
        if self.is_last {
            items.extend(Tlv::primitive(Tag::ATTRIBUTE, &[Attribute::LAST.0]));
        }
        let mut container = Container::default();
        if let Some(receipt) = self.receipt {
            container = container.with(Tag::RECEIPT_TYPE, &[receipt.code()]);
        }
        Fields(vec![Bmp::Tlv(
            container.with_items(Tag::PRINT_TEXTS, items),
        )])
    }
}

#[cfg(test)]
mod tests {
    use super::super::charset::Charset;
    use super::*;

    fn line(attribute: u8, text: &str) -> Line {
        Line {
            attribute: Attribute(attribute),
            text: Text::new(text, Charset::Cp437),
        }
    }

    #[test]
    fn attributes_have_their_meaning() {
        for (byte, ends, centred, wide, high, indent) in [
            (0x00, false, false, false, false, 0),
            (0x40, false, true, false, false, 0),
            (0x32, false, false, true, true, 2),
            (0x80, false, false, false, false, 0),
            (0x81, true, false, false, false, 1),
            (0xFF, true, false, false, false, 15),
        ] {
            let it = Attribute(byte);
            let shape = (
                it.ends_receipt(),
                it.is_centred(),
                it.is_wide(),
                it.is_high(),
                it.indent(),
            );
            assert_eq!(shape, (ends, centred, wide, high, indent), "{byte:02X}");
        }
    }

    #[test]
    fn a_block_survives_the_wire() {
        let block = Block {
            receipt: Some(ReceiptType::Customer),
            lines: vec![
                line(0, "Kundenbeleg"),
                line(0x40, "** Zahlung **"),
                line(0, ""),
            ],
            is_last: true,
        };
        let mut bytes = Vec::new();
        block.to_fields().encode(&mut bytes).unwrap();
        assert_eq!(bytes[..6], [0x06, 0x2D, 0x1F, 0x07, 0x01, 0x02]);
        assert_eq!(Block::read(&Fields::decode(&bytes).unwrap()), block);
    }

    #[test]
    fn a_line_feed_in_a_block_does_not_end_the_receipt() {
        let texts = |items: &[(Tag, &[u8])]| {
            let items = items
                .iter()
                .filter_map(|(tag, value)| Tlv::primitive(*tag, value));
            let container = Container::default().with_items(Tag::PRINT_TEXTS, items.collect());
            let block = Block::read(&Fields(vec![Bmp::Tlv(container)]));
            (block.lines.len(), block.is_last)
        };
        let feed = (Tag::ATTRIBUTE, &[0xFF][..]);
        assert_eq!(
            texts(&[(Tag::TEXT, b"Betrag"), feed, (Tag::TEXT, b"37,80")]),
            (3, false)
        );
        assert_eq!(texts(&[(Tag::TEXT, b"Danke"), feed]), (1, true));
    }

    #[test]
    fn a_block_without_container_is_empty() {
        assert_eq!(Block::read(&Fields::default()), Block::default());
    }
}
