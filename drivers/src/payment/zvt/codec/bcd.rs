//! Packed decimal fields of fixed width.

use std::fmt;

/// `N` bytes of packed decimal digits, as they are on the wire.
///
/// Terminals also send other nibbles (`FF FF` for "no receipt"), so the bytes are kept and
/// [`Bcd::value`] says whether they are a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bcd<const N: usize>([u8; N]);

/// Receipt number, 0-9999; wraps.
pub type ReceiptNo = Bcd<2>;
/// Trace number, 0-999999; 0 if the long form in TLV 1F2B is used.
pub type TraceNo = Bcd<3>;
/// Terminal identifier, 8 digits.
pub type TerminalId = Bcd<4>;
/// ISO 4217 numeric code with a leading zero.
pub type Currency = Bcd<2>;

/// The euro, 0978.
pub const EUR: Currency = Bcd([0x09, 0x78]);
/// What a terminal sends for "no such receipt" (chapter 2.10.1).
pub const NO_RECEIPT: ReceiptNo = Bcd([0xFF, 0xFF]);

impl<const N: usize> Bcd<N> {
    /// Takes the bytes as they are.
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes on the wire.
    pub const fn bytes(self) -> [u8; N] {
        self.0
    }

    /// `None` if the number has more than `2 * N` digits.
    pub fn from_value(value: u64) -> Option<Self> {
        let mut rest = value;
        let mut bytes = [0; N];
        for byte in bytes.iter_mut().rev() {
            let pair = u8::try_from(rest % 100).ok()?;
            *byte = ((pair / 10) << 4) | (pair % 10);
            rest /= 100;
        }
        (rest == 0).then_some(Self(bytes))
    }

    /// `None` if a nibble is no decimal digit, or the number exceeds `u64`.
    pub fn value(self) -> Option<u64> {
        self.0.iter().try_fold(0_u64, |sum, byte| {
            let (high, low) = (byte >> 4, byte & 0x0F);
            if high > 9 || low > 9 {
                return None;
            }
            sum.checked_mul(100)?
                .checked_add(u64::from(high * 10 + low))
        })
    }
}

impl<const N: usize> fmt::Display for Bcd<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl<const N: usize> fmt::Debug for Bcd<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bcd({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_fit_or_are_refused() {
        assert_eq!(
            Bcd::<2>::from_value(231).map(Bcd::bytes),
            Some([0x02, 0x31])
        );
        assert_eq!(Bcd::<2>::from_value(10_000), None);
        assert_eq!(EUR.value(), Some(978));
        assert_eq!(NO_RECEIPT.value(), None);
        assert_eq!(Bcd::<16>::from_bytes([0x99; 16]).value(), None);
    }

    proptest! {
        #[test]
        fn a_number_survives_the_wire(value in 0_u64..100_000_000) {
            prop_assert_eq!(Bcd::<4>::from_value(value).and_then(Bcd::value), Some(value));
        }
    }
}
