//! Patterns of names.

use std::{fmt, str::FromStr};

/// A pattern of names: `*` stands for anything, case does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

/// A text that is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamePatternError;

impl fmt::Display for NamePatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name has 1 to 127 bytes, * for any")
    }
}

impl std::error::Error for NamePatternError {}

impl NamePattern {
    /// The pattern that fits a name of the machine's own.
    pub fn exactly(name: &str) -> Self {
        Self(name.to_owned())
    }

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

    /// Whether every name that fits one pattern fits the other one too. A `*` of the inner pattern
    /// counts as any other character: what covers the pattern as text covers the names it stands
    /// for.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.fits(&other.0) || other.fits(&self.0)
    }
}

impl FromStr for NamePattern {
    type Err = NamePatternError;

    fn from_str(text: &str) -> Result<Self, NamePatternError> {
        // pcsc-lite's names end at 127 bytes (MAX_READERNAME).
        if (1..=127).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NamePatternError)
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_the_names_it_shows() {
        let fits = |pattern: &str, name: &str| pattern.parse::<NamePattern>().unwrap().fits(name);
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
        assert!("".parse::<NamePattern>().is_err());
    }

    #[test]
    fn patterns_overlap_where_one_covers_the_other() {
        for (one, other, shared) in [
            ("Virtual PCD 00 00", "virtual pcd 00 00", true),
            ("Virtual PCD 00 00", "Virtual PCD 00 01", false),
            ("Virtual*", "Virtual PCD 00 01", true),
            ("REINER*", "REINER*komfort*", true),
            ("REINER*basis*", "REINER*komfort*", false),
        ] {
            let pattern = |name: &str| name.parse::<NamePattern>().unwrap();
            let (one, other) = (pattern(one), pattern(other));
            assert_eq!(one.overlaps(&other), shared, "{one:?} {other:?}");
            assert_eq!(other.overlaps(&one), shared, "{one:?} {other:?}");
        }
    }
}
