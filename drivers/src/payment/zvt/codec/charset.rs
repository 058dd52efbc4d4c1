//! Character sets of receipt and display texts (chapters 9.4.2 tag 14, 15.1, 15.2).
//!
//! Total both ways. What has no meaning in the set becomes [`REPLACEMENT`]; when encoding, "€" in
//! a set without it becomes "EUR", because a lost currency is worse than a longer line.

use std::fmt;

/// Stands for what a character set cannot say.
pub const REPLACEMENT: char = '?';

/// The sets that the codec speaks. Terminals start with CP437; the others are offered in TLV 14
/// and hold only if the terminal echoes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// ISO 646, 7 bits.
    Ascii,
    /// ISO 8859-1.
    Latin1,
    /// ISO 8859-2.
    Latin2,
    /// ISO 8859-15, with the euro.
    Latin9,
    /// UTF-8.
    Utf8,
    /// The 8-bit ZVT set.
    #[default]
    Cp437,
    /// The 7-bit ZVT set with umlauts in place of brackets (software version). Not negotiable.
    Zvt7,
}

impl Charset {
    /// From the value of TLV 14.
    pub fn from_tlv(code: u8) -> Option<Self> {
        Some(match code {
            0x00 => Self::Ascii,
            0x01 => Self::Latin1,
            0x02 => Self::Latin2,
            0x0F => Self::Latin9,
            0xFE => Self::Utf8,
            0xFF => Self::Cp437,
            _ => return None,
        })
    }

    /// The value of TLV 14; `None` for the set that cannot be negotiated.
    pub fn to_tlv(self) -> Option<u8> {
        Some(match self {
            Self::Ascii => 0x00,
            Self::Latin1 => 0x01,
            Self::Latin2 => 0x02,
            Self::Latin9 => 0x0F,
            Self::Utf8 => 0xFE,
            Self::Cp437 => 0xFF,
            Self::Zvt7 => return None,
        })
    }

    /// Reads text.
    pub fn decode(self, bytes: &[u8]) -> String {
        if self != Self::Utf8 {
            return bytes.iter().map(|byte| self.character(*byte)).collect();
        }
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push(REPLACEMENT);
            }
        }
        text
    }

    /// Writes text.
    pub fn encode(self, text: &str) -> Vec<u8> {
        if self == Self::Utf8 {
            return text.as_bytes().to_vec();
        }
        let mut bytes = Vec::with_capacity(text.len());
        for character in text.chars() {
            match self.byte(character) {
                Some(byte) => bytes.push(byte),
                None if character == '€' => bytes.extend_from_slice(b"EUR"),
                None => bytes.push(b'?'),
            }
        }
        bytes
    }

    /// The meaning of one byte; never called for UTF-8.
    fn character(self, byte: u8) -> char {
        let high = |table: &str, first: u8| {
            table
                .chars()
                .nth(usize::from(byte.saturating_sub(first)))
                .unwrap_or(REPLACEMENT)
        };
        match (self, byte) {
            (Self::Zvt7, b'[') => 'Ä',
            (Self::Zvt7, b'\\') => 'Ö',
            (Self::Zvt7, b']') => 'Ü',
            (Self::Zvt7, b'{') => 'ä',
            (Self::Zvt7, b'|') => 'ö',
            (Self::Zvt7, b'}') => 'ü',
            (Self::Zvt7, b'~') => 'ß',
            (_, 0..=0x7F) => char::from(byte),
            (Self::Cp437, _) => high(CP437, 0x80),
            (Self::Latin2, 0xA0..) => high(LATIN2, 0xA0),
            (Self::Latin9, 0xA4) => '€',
            (Self::Latin9, 0xA6) => 'Š',
            (Self::Latin9, 0xA8) => 'š',
            (Self::Latin9, 0xB4) => 'Ž',
            (Self::Latin9, 0xB8) => 'ž',
            (Self::Latin9, 0xBC) => 'Œ',
            (Self::Latin9, 0xBD) => 'œ',
            (Self::Latin9, 0xBE) => 'Ÿ',
            (Self::Latin1 | Self::Latin2 | Self::Latin9, _) => char::from(byte),
            (Self::Ascii | Self::Zvt7 | Self::Utf8, _) => REPLACEMENT,
        }
    }

    /// The byte that means this character.
    fn byte(self, character: char) -> Option<u8> {
        let ascii = u8::try_from(character).ok().filter(u8::is_ascii);
        ascii
            .filter(|byte| self.character(*byte) == character)
            .or_else(|| {
                (0..=u8::MAX).find(|byte| {
                    self.character(*byte) == character
                        && (character != REPLACEMENT || *byte == b'?')
                })
            })
    }
}

/// 80-FF of CP437.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{A0}";

/// A0-FF of ISO 8859-2.
const LATIN2: &str = "\u{A0}Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{AD}ŽŻ°ą˛ł´ľśˇ¸šşťź˝žżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß\
    ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙";

/// Text as it is on the wire, in the character set agreed at registration; card numbers in it are
/// masked when it is decoded. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text(Vec<u8>);

impl Text {
    /// Encodes text.
    pub fn new(text: &str, charset: Charset) -> Self {
        Self(charset.encode(&crate::card_number::mask_text(text)))
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the text; a closing NUL (card names have one) is left out.
    pub fn decode(&self, charset: Charset) -> String {
        charset.decode(self.0.strip_suffix(&[0]).unwrap_or(&self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<text, {} bytes>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Charset; 7] = [
        Charset::Ascii,
        Charset::Latin1,
        Charset::Latin2,
        Charset::Latin9,
        Charset::Utf8,
        Charset::Cp437,
        Charset::Zvt7,
    ];

    #[test]
    fn german_text_has_the_bytes_of_its_set() {
        for (charset, text, bytes) in [
            (
                Charset::Cp437,
                "äöüßÄÖÜ",
                vec![0x84, 0x94, 0x81, 0xE1, 0x8E, 0x99, 0x9A],
            ),
            (Charset::Latin1, "äß", vec![0xE4, 0xDF]),
            (Charset::Latin2, "äśŘ", vec![0xE4, 0xB6, 0xD8]),
            (Charset::Latin9, "5 €", vec![0x35, 0x20, 0xA4]),
            (Charset::Utf8, "€", vec![0xE2, 0x82, 0xAC]),
            (Charset::Zvt7, "Äß", vec![0x5B, 0x7E]),
        ] {
            assert_eq!(charset.encode(text), bytes);
            assert_eq!(charset.decode(&bytes), text);
        }
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(LATIN2.chars().count(), 96);
    }

    #[test]
    fn what_a_set_cannot_say_is_replaced() {
        assert_eq!(Charset::Cp437.encode("5 € für 猫"), b"5 EUR f\x81r ?");
        assert_eq!(Charset::Ascii.encode("ä€"), b"?EUR");
        assert_eq!(Charset::Zvt7.encode("[x]"), b"?x?");
        assert_eq!(Charset::Ascii.decode(&[0x41, 0x80]), "A?");
        assert_eq!(Charset::Utf8.decode(&[0x41, 0xC3, 0xFF, 0x42]), "A??B");
    }

    #[test]
    fn every_negotiable_set_has_its_code() {
        for charset in ALL.into_iter().filter(|charset| *charset != Charset::Zvt7) {
            assert_eq!(charset.to_tlv().and_then(Charset::from_tlv), Some(charset));
        }
        assert_eq!(Charset::from_tlv(0x0C), None);
    }

    #[test]
    fn every_byte_of_the_eight_bit_sets_survives() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for charset in [
            Charset::Cp437,
            Charset::Latin1,
            Charset::Latin2,
            Charset::Latin9,
        ] {
            assert_eq!(charset.encode(&charset.decode(&all)), all, "{charset:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_what_was_read_changes_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 0..80), which in 0..ALL.len()
        ) {
            let text = ALL[which].decode(&bytes);
            prop_assert_eq!(ALL[which].decode(&ALL[which].encode(&text)), text);
        }

        #[test]
        fn any_text_can_be_written(text in ".{0,60}", which in 0..ALL.len()) {
            ALL[which].encode(&text);
        }
    }
}
