//! What a technician sets for one card reader.

use std::{fmt, str::FromStr};

use koffer_proto::Connection;

/// One reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcscConfig {
    /// Which reader; the first by name where it fits several.
    pub reader: ReaderPattern,
}

impl PcscConfig {
    /// How the reader is reached, for its description.
    pub fn connection(&self) -> Connection {
        Connection::Pcsc {
            reader: self.reader.to_string(),
        }
    }
}

/// A pattern of reader names: `*` stands for anything, case does not matter. Names end in an index
/// that changes with the order of plugging, so a pattern mostly ends in `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderPattern(String);

/// A text that is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reader's name has 1 to 127 characters, * for any")]
pub struct ReaderPatternError;

impl ReaderPattern {
    /// Whether `name` fits.
    pub fn fits(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.to_lowercase(), name.to_lowercase());
        let mut parts = pattern.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.split_once(part) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl FromStr for ReaderPattern {
    type Err = ReaderPatternError;

    fn from_str(text: &str) -> Result<Self, ReaderPatternError> {
        // pcsc-lite's names end at 127 bytes (MAX_READERNAME).
        if (1..=127).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReaderPatternError)
        }
    }
}

impl fmt::Display for ReaderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_the_names_it_shows() {
        let fits = |pattern: &str, name: &str| pattern.parse::<ReaderPattern>().unwrap().fits(name);
        assert!(fits("Virtual PCD 00 01", "virtual pcd 00 01"));
        assert!(!fits("Virtual PCD 00", "Virtual PCD 00 01"));
        assert!(fits("*", "anything"));
        assert!(fits(
            "reiner*komfort*",
            "REINER SCT cyberJack RFID komfort 00 00"
        ));
        assert!(!fits(
            "reiner*basis*",
            "REINER SCT cyberJack RFID komfort 00 00"
        ));
        assert!(fits("*00", "A 00"));
        assert!(!fits("a*a", "a"));
        assert!("".parse::<ReaderPattern>().is_err());
    }
}
