//! Card numbers: reduced while they are decoded, so that none is ever held.

use std::fmt;

use super::charset::Text;
use crate::card_number::mask_bytes;

/// How many digits may be shown.
const SHOWN: usize = 4;
/// A shorter number would be given away by its last four digits.
const SHORTEST_SHOWN: usize = 8;
/// What a nibble becomes.
const MASK: u8 = b'*';

/// A card number of which only the length and the last four digits are known. Whatever the
/// terminal sent (BMP 22, masked by it or not), this type has no room for more.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaskedPan {
    digits: u8,
    last: [u8; SHOWN],
}

impl MaskedPan {
    /// Reads packed digits: E is a digit the terminal masked, F pads, D ends the number (what
    /// follows is expiry and service data and is not read). Numbers beyond 255 digits are cut.
    pub fn from_packed(packed: &[u8]) -> Self {
        let mut digits = 0_u8;
        let mut last = [MASK; SHOWN];
        let nibbles = packed.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
        for nibble in nibbles.take_while(|nibble| !matches!(nibble, 0x0D | 0x0F)) {
            digits = digits.saturating_add(1);
            last.rotate_left(1);
            last[SHOWN - 1] = if nibble <= 9 { b'0' + nibble } else { MASK };
        }
        if usize::from(digits) < SHORTEST_SHOWN {
            last = [MASK; SHOWN];
        }
        Self { digits, last }
    }

    /// Packed digits, E for those not known, F to fill the last byte.
    pub fn to_packed(self) -> Vec<u8> {
        let text = self.to_string();
        let nibble = |character: u8| {
            if character == MASK {
                0x0E
            } else {
                character & 0x0F
            }
        };
        text.as_bytes()
            .chunks(2)
            .map(|pair| match *pair {
                [high, low] => (nibble(high) << 4) | nibble(low),
                [high] => (nibble(high) << 4) | 0x0F,
                _ => 0xFF,
            })
            .collect()
    }
}

impl fmt::Display for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.digits);
        let shown = if digits < SHORTEST_SHOWN { 0 } else { SHOWN };
        write!(f, "{}", "*".repeat(digits - shown))?;
        self.last
            .iter()
            .take(shown)
            .try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

impl fmt::Debug for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedPan({self})")
    }
}

/// Masked text from the wire.
pub(super) fn masked_text(bytes: &[u8]) -> Text {
    let mut bytes = bytes.to_vec();
    mask_bytes(&mut bytes);
    Text::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_last_four_digits_survive() {
        for (packed, shown) in [
            (
                vec![0x41, 0x11, 0x11, 0x11, 0x11, 0x11, 0x47, 0x11],
                "************4711",
            ),
            (
                vec![0x55, 0x98, 0x83, 0xEE, 0xEE, 0xEE, 0x80, 0x74],
                "************8074",
            ),
            (
                vec![0x67, 0x26, 0x01, 0x23, 0x45, 0x67, 0x89, 0x01, 0x23, 0x4F],
                "***************1234",
            ),
            (
                vec![0x41, 0x11, 0x11, 0x11, 0xD2, 0x51, 0x22, 0x01],
                "****1111",
            ),
            (vec![0xEE; 8], "****************"),
            (vec![0x01, 0x23, 0x45], "******"),
            (vec![], ""),
        ] {
            let pan = MaskedPan::from_packed(&packed);
            assert_eq!(pan.to_string(), shown);
            assert_eq!(format!("{pan:?}"), format!("MaskedPan({shown})"));
        }
    }

    proptest! {
        #[test]
        fn a_masked_number_stays_what_it_is(packed in proptest::collection::vec(any::<u8>(), 0..99)) {
            let pan = MaskedPan::from_packed(&packed);
            prop_assert_eq!(MaskedPan::from_packed(&pan.to_packed()), pan);
        }
    }
}
