//! Money on the wire: BMP 04, six bytes of packed decimals in minor units.

use super::bcd::Bcd;

/// An amount in minor units (cents) of the currency in BMP 49; at most [`Amount::MAX_MINOR`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// Twelve digits are what the field holds.
    pub const MAX_MINOR: u64 = 999_999_999_999;

    /// `None` if the amount needs more than twelve digits.
    pub fn from_minor(minor: u64) -> Option<Self> {
        (minor <= Self::MAX_MINOR).then_some(Self(minor))
    }

    /// Minor units.
    pub const fn minor(self) -> u64 {
        self.0
    }

    /// `None` if a nibble is no decimal digit: money is never guessed.
    pub fn from_bcd(field: Bcd<6>) -> Option<Self> {
        field.value().and_then(Self::from_minor)
    }

    /// The field on the wire.
    pub fn to_bcd(self) -> Bcd<6> {
        // The bound was checked when the amount was made.
        Bcd::from_value(self.0).unwrap_or(Bcd::from_bytes([0x99; 6]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_beyond_twelve_digits_are_refused() {
        assert!(Amount::from_minor(Amount::MAX_MINOR).is_some());
        assert_eq!(Amount::from_minor(Amount::MAX_MINOR + 1), None);
        assert_eq!(
            Amount::from_bcd(Bcd::from_bytes([0, 0, 0, 0, 0, 0x1A])),
            None
        );
    }

    proptest! {
        #[test]
        fn an_amount_survives_the_wire(minor in 0..=Amount::MAX_MINOR) {
            let amount = Amount::from_minor(minor).unwrap();
            prop_assert_eq!(Amount::from_bcd(amount.to_bcd()), Some(amount));
        }
    }
}
