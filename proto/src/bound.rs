//! Numbers and texts that carry their bounds, so that a call out of bounds is refused with the
//! field's name before anything is started, and the JSON Schema says the same bounds.

use serde::{Deserialize, Deserializer, de};

/// A value outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// A number outside its range.
    #[error("{value} is outside {min} to {max}")]
    Number {
        /// What was given.
        value: u64,
        /// The smallest that fits.
        min: u64,
        /// The largest that fits.
        max: u64,
    },
    /// A text too short, too long or with characters that do not fit.
    #[error("must be {min} to {max} characters without control characters, not {len}")]
    Text {
        /// What was given.
        len: usize,
        /// The shortest that fits.
        min: usize,
        /// The longest that fits.
        max: usize,
    },
    /// A list too short or too long.
    #[error("must have {min} to {max} entries, not {len}")]
    List {
        /// What was given.
        len: usize,
        /// The shortest that fits.
        min: usize,
        /// The longest that fits.
        max: usize,
    },
    /// A text that does not have the form asked for.
    #[error("must be {0}")]
    Form(&'static str),
}

/// Reads a list of `MIN` to `MAX` entries; goes with `#[schemars(length(min = …, max = …))]`.
pub(crate) fn list<'de, D, T, const MIN: usize, const MAX: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let entries = Vec::deserialize(deserializer)?;
    let len = entries.len();
    if (MIN..=MAX).contains(&len) {
        Ok(entries)
    } else {
        let (min, max) = (MIN, MAX);
        Err(de::Error::custom(OutOfBounds::List { len, min, max }))
    }
}

/// Defines a number with bounds: `$name(u32) in 1..=999`.
macro_rules! bounded_number {
    ($($(#[$doc:meta])* $name:ident($int:ty) in $min:literal..=$max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "u64")]
        pub struct $name($int);

        impl $name {
            /// The smallest.
            pub const MIN: Self = Self($min);
            /// The largest.
            pub const MAX: Self = Self($max);

            /// The plain number.
            pub const fn get(self) -> $int {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = $crate::OutOfBounds;

            fn try_from(value: u64) -> Result<Self, Self::Error> {
                match <$int>::try_from(value) {
                    Ok(number @ $min..=$max) => Ok(Self(number)),
                    _ => Err($crate::OutOfBounds::Number { value, min: $min, max: $max }),
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let (min, max): ($int, $int) = ($min, $max);
                schemars::json_schema!({ "type": "integer", "minimum": min, "maximum": max })
            }
        }
    )*};
}

/// Defines a text with bounds on its number of characters: `$name in 1..=64`.
macro_rules! bounded_text {
    ($($(#[$doc:meta])* $name:ident in $min:literal..=$max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The plain text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::OutOfBounds;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let len = text.chars().count();
                if ($min..=$max).contains(&len) && !text.chars().any(char::is_control) {
                    Ok(Self(text))
                } else {
                    Err($crate::OutOfBounds::Text { len, min: $min, max: $max })
                }
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "minLength": $min, "maxLength": $max,
                    "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
                })
            }
        }
    )*};
}

pub(crate) use {bounded_number, bounded_text};
