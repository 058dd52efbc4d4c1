//! Totals of an end of day, BMP 60.

use super::amount::Amount;
use super::bcd::{Bcd, ReceiptNo};
use super::bmp::Bmp;
use super::opaque::Reader;

/// The card groups of [`Totals`], in the order of the wire.
pub const CARD_GROUPS: [&str; 7] = [
    "girocard",
    "jcb",
    "mastercard",
    "american-express",
    "visa",
    "diners",
    "other",
];

/// Totals per card group after an end of day (BMP 60, chapter 3.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// First receipt number of the period.
    pub first: ReceiptNo,
    /// Last receipt number of the period.
    pub last: ReceiptNo,
    /// Count and turnover for each of [`CARD_GROUPS`].
    pub groups: [(u8, Amount); 7],
}

impl Totals {
    /// `None` if the length or an amount is not as specified.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        let first = Bcd::from_bytes(reader.array()?);
        let last = Bcd::from_bytes(reader.array()?);
        let mut groups = [(0, Amount::from_minor(0)?); 7];
        for group in &mut groups {
            *group = (
                reader.byte()?,
                Amount::from_bcd(Bcd::from_bytes(reader.array()?))?,
            );
        }
        reader.0.is_empty().then_some(Self {
            first,
            last,
            groups,
        })
    }

    /// The field that carries these totals.
    pub fn to_bmp(&self) -> Bmp {
        let mut value = [self.first.bytes(), self.last.bytes()].concat();
        for (count, amount) in &self.groups {
            value.push(*count);
            value.extend(amount.to_bcd().bytes());
        }
        Bmp::Totals(value.into())
    }
}
