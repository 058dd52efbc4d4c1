//! Names that stand as one topic segment.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a name is not a valid topic segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than 64 characters.
    #[error("a name has at most 64 characters, this one has {0}")]
    TooLong(usize),
    /// A character outside `[a-z0-9-]`, or a leading hyphen.
    #[error("a name matches [a-z0-9][a-z0-9-]{{0,63}}; {0:?} does not fit there")]
    Character(char),
}

/// One topic segment: `[a-z0-9][a-z0-9-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Segment(String);

impl Segment {
    /// The longest name, in characters.
    pub const MAX_LEN: usize = 64;
    const PATTERN: &str = "^[a-z0-9][a-z0-9-]{0,63}$";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Segment {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        let first = name.chars().next().ok_or(NameError::Empty)?;
        if first == '-' {
            return Err(NameError::Character('-'));
        }
        let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
        if let Some(c) = name.chars().find(|c| !fits(c)) {
            return Err(NameError::Character(c));
        }
        if name.len() > Self::MAX_LEN {
            return Err(NameError::TooLong(name.len()));
        }
        Ok(Self(name))
    }
}

impl FromStr for Segment {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::try_from(name.to_owned())
    }
}

impl From<Segment> for String {
    fn from(segment: Segment) -> Self {
        segment.0
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Segment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Segment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

macro_rules! named_segment {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Segment);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The name as the topic segment it is.
            pub fn segment(&self) -> &Segment {
                &self.0
            }
        }

        impl From<Segment> for $name {
            fn from(segment: Segment) -> Self {
                Self(segment)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                name.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

named_segment! {
    /// One gateway: a bus, a suitcase.
    GatewayId;
    /// One workstation app, technician or monitor; also its MQTT user name.
    ClientId;
    /// One device of the gateway, or the gateway itself (`gateway`).
    DeviceId;
}

impl DeviceId {
    /// The gateway's own device name.
    pub const GATEWAY: &str = "gateway";

    /// The gateway itself.
    pub fn gateway() -> Self {
        Self(Segment(Self::GATEWAY.to_owned()))
    }

    /// Whether this is the gateway itself.
    pub fn is_gateway(&self) -> bool {
        self.as_str() == Self::GATEWAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_lower_case_topic_segment() {
        let long = "a".repeat(64);
        let too_long = "a".repeat(65);
        for (name, expected) in [
            ("ws-1", Ok(())),
            ("7", Ok(())),
            (long.as_str(), Ok(())),
            ("", Err(NameError::Empty)),
            ("-a", Err(NameError::Character('-'))),
            ("Ws", Err(NameError::Character('W'))),
            ("a/b", Err(NameError::Character('/'))),
            ("a+", Err(NameError::Character('+'))),
            ("#", Err(NameError::Character('#'))),
            ("ä", Err(NameError::Character('ä'))),
            (too_long.as_str(), Err(NameError::TooLong(65))),
        ] {
            assert_eq!(name.parse::<Segment>().map(drop), expected, "{name:?}");
        }
    }
}
