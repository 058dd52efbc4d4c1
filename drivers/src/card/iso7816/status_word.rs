//! Status words (ISO/IEC 7816-4, 5.6).

use std::fmt;

/// SW1 and SW2 of an answer. Printed as four lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// 9000: done.
    pub const SUCCESS: Self = Self(0x9000);
    /// 6282: the end of the file came before the length asked for.
    pub const END_OF_FILE: Self = Self(0x6282);
    /// 6700: the length does not fit.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// 6B00: the offset lies outside the file.
    pub const OUTSIDE_FILE: Self = Self(0x6B00);
    /// 6A82: there is no such file or application.
    pub const FILE_NOT_FOUND: Self = Self(0x6A82);
    /// 6A86: P1 or P2 does not fit.
    pub const WRONG_P1_P2: Self = Self(0x6A86);
    /// 6D00: the card does not know the instruction.
    pub const UNKNOWN_INSTRUCTION: Self = Self(0x6D00);
    /// 6983: no try is left.
    pub const BLOCKED: Self = Self(0x6983);

    /// Whether the command was done without a remark.
    pub fn is_success(self) -> bool {
        self == Self::SUCCESS
    }

    /// 61xx: how many bytes GET RESPONSE brings; 256 for 6100.
    pub fn more_data(self) -> Option<u32> {
        self.low_with(0x61)
    }

    /// 6Cxx: the length that should have been asked for; 256 for 6C00. The command was not done.
    pub fn exact_length(self) -> Option<u32> {
        self.low_with(0x6C)
    }

    /// 63Cx: the tries that are left; 6983 says that none is.
    pub fn tries_left(self) -> Option<u8> {
        if self == Self::BLOCKED {
            return Some(0);
        }
        (self.0 & 0xFFF0 == 0x63C0).then_some(self.0.to_be_bytes()[1] & 0x0F)
    }

    fn low_with(self, high: u8) -> Option<u32> {
        let [sw1, sw2] = self.0.to_be_bytes();
        (sw1 == high).then(|| if sw2 == 0 { 256 } else { u32::from(sw2) })
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_words_say_what_follows() {
        assert_eq!(StatusWord(0x6110).more_data(), Some(16));
        assert_eq!(StatusWord(0x6100).more_data(), Some(256));
        assert_eq!(StatusWord(0x6C05).exact_length(), Some(5));
        assert_eq!(StatusWord(0x63C2).tries_left(), Some(2));
        assert_eq!(StatusWord(0x6983).tries_left(), Some(0));
        assert_eq!(StatusWord(0x9000).tries_left(), None);
        assert_eq!(StatusWord(0x0A0B).to_string(), "0a0b");
    }
}
