//! Money: integer cents with an ISO 4217 currency.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::bound::{OutOfBounds, bounded_number};

bounded_number! {
    /// An amount in the currency's minor unit; never zero, twelve digits at most as on every
    /// card payment protocol.
    Cents(u64) in 1..=999_999_999_999;
}

/// An ISO 4217 alphabetic code, e.g. `EUR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The three letters.
    pub fn as_str(&self) -> &str {
        // Only upper-case ASCII letters get in, so this is always valid UTF-8.
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl TryFrom<String> for Currency {
    type Error = OutOfBounds;

    fn try_from(code: String) -> Result<Self, OutOfBounds> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(OutOfBounds::Form(
                "three upper-case letters of ISO 4217, such as EUR",
            )),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217" })
    }
}

/// An amount of money, e.g. `{"cents": 3780, "currency": "EUR"}` for 37.80 EUR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    /// In the currency's minor unit.
    pub cents: Cents,
    /// In which currency.
    pub currency: Currency,
}

impl Amount {
    /// `cents` euro cents.
    pub fn euro_cents(cents: u64) -> Result<Self, OutOfBounds> {
        Ok(Self {
            cents: cents.try_into()?,
            currency: Currency::EUR,
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.cents.get();
        write!(f, "{}.{:02} {}", cents / 100, cents % 100, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_never_zero_negative_or_endless() {
        for (json, accepted) in [
            (r#"{"cents": 1, "currency": "EUR"}"#, true),
            (r#"{"cents": 999999999999, "currency": "EUR"}"#, true),
            (r#"{"cents": 0, "currency": "EUR"}"#, false),
            (r#"{"cents": -1, "currency": "EUR"}"#, false),
            (r#"{"cents": 1000000000000, "currency": "EUR"}"#, false),
            (r#"{"cents": 1.5, "currency": "EUR"}"#, false),
            (r#"{"cents": 100, "currency": "eur"}"#, false),
            (r#"{"cents": 100}"#, false),
        ] {
            assert_eq!(
                serde_json::from_str::<Amount>(json).is_ok(),
                accepted,
                "{json}"
            );
        }
    }
}
