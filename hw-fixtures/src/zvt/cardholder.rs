//! The person in front of the terminal, as a script.

use serde::{Deserialize, Serialize};

/// What the cardholder and the bank do during one transaction. Times are counted from the moment
/// the terminal asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cardholder {
    /// Whether a card ever comes.
    pub comes: bool,
    /// Until the card is in.
    pub inserts_after_ms: u64,
    /// One entry per attempt, in order; empty for a payment without PIN.
    pub pin: Vec<Pin>,
    /// Until the PIN is entered, each time.
    pub pin_after_ms: u64,
    /// Until the bank answers.
    pub host_after_ms: u64,
    /// The bank's answer, BMP 27: 0 approves, 1-99 decline.
    pub host_result: u8,
    /// Until the card is removed; the terminal is busy until then.
    pub removes_after_ms: u64,
    /// The card.
    pub card: Card,
}

impl Default for Cardholder {
    fn default() -> Self {
        Self {
            comes: true,
            inserts_after_ms: 30,
            pin: vec![Pin::Ok],
            pin_after_ms: 30,
            host_after_ms: 20,
            host_result: 0,
            removes_after_ms: 5,
            card: Card::default(),
        }
    }
}

/// What is entered on the PIN pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pin {
    /// The right one.
    Ok,
    /// Another one; after the third the card is refused.
    Wrong,
    /// The red key.
    Cancel,
}

/// A card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Card {
    /// BMP 8B.
    pub name: String,
    /// BMP 8A, number in the ZVT card table.
    pub kind: u8,
    /// 8 to 19 digits; a test number, never a real one.
    pub pan: String,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            name: "girocard".into(),
            kind: 0x05,
            pan: "6725900000044711".into(),
        }
    }
}

impl Card {
    /// The digits; what is no digit is left out.
    fn digits(&self) -> Vec<u8> {
        let digits = self.pan.bytes().filter(u8::is_ascii_digit);
        digits.map(|byte| byte & 0x0F).take(19).collect()
    }

    /// For a receipt: `672590******4711`.
    pub(super) fn shown(&self) -> String {
        let digits = self.digits();
        let last = digits.len().saturating_sub(4);
        let shown = digits.iter().enumerate().map(|(at, digit)| {
            if at < 6 || at >= last {
                char::from(b'0' + digit)
            } else {
                '*'
            }
        });
        shown.collect()
    }
}

/// BMP 22 of a number masked by [`Card::shown`]: E for each digit not shown, F to fill up.
pub(super) fn packed(shown: &str) -> Vec<u8> {
    let nibbles: Vec<u8> = shown
        .bytes()
        .map(|byte| if byte == b'*' { 0x0E } else { byte & 0x0F })
        .collect();
    nibbles
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => (high << 4) | low,
            [high] => (high << 4) | 0x0F,
            _ => 0xFF,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_masks_the_middle_of_a_card_number() {
        let shown = Card::default().shown();
        assert_eq!(shown, "672590******4711");
        assert_eq!(
            packed(&shown),
            [0x67, 0x25, 0x90, 0xEE, 0xEE, 0xEE, 0x47, 0x11]
        );
        assert_eq!(packed("123"), [0x12, 0x3F]);
    }
}
