//! What identifies a call.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The call id: MQTT's Correlation Data, 1-64 bytes, unique per client, also the idempotency key.
///
/// As text (in `gateway` operations, in tables, in the journal) it is the bytes themselves where
/// they are visible ASCII, else `b64:` and their URL-safe base64 without padding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(Vec<u8>);

/// Why bytes or text are no call id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallIdError {
    /// No bytes.
    #[error("the correlation data (the call id) is empty; send 1 to 64 bytes, unique per call")]
    Empty,
    /// Too many bytes.
    #[error("the correlation data (the call id) has {0} bytes; send 1 to 64, unique per call")]
    TooLong(usize),
    /// Text that is neither visible ASCII nor `b64:`.
    #[error("a call id as text is visible ASCII, or b64: and URL-safe base64")]
    Text,
}

impl CallId {
    /// The longest call id, in bytes.
    pub const MAX_LEN: usize = 64;
    const BASE64: &str = "b64:";

    /// The call id that Correlation Data carries.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, CallIdError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(CallIdError::Empty),
            1..=Self::MAX_LEN => Ok(Self(bytes)),
            len => Err(CallIdError::TooLong(len)),
        }
    }

    /// The bytes that travel as Correlation Data.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for CallId {
    type Err = CallIdError;

    fn from_str(text: &str) -> Result<Self, CallIdError> {
        if let Some(encoded) = text.strip_prefix(Self::BASE64) {
            let bytes = BASE64_URL_SAFE_NO_PAD
                .decode(encoded)
                .map_err(|_| CallIdError::Text)?;
            return Self::new(bytes);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(CallIdError::Text);
        }
        Self::new(text)
    }
}

impl TryFrom<String> for CallId {
    type Error = CallIdError;

    fn try_from(text: String) -> Result<Self, CallIdError> {
        text.parse()
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text)
                if self.0.iter().all(u8::is_ascii_graphic) && !text.starts_with(Self::BASE64) =>
            {
                f.write_str(text)
            }
            _ => write!(
                f,
                "{}{}",
                Self::BASE64,
                BASE64_URL_SAFE_NO_PAD.encode(&self.0)
            ),
        }
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

impl JsonSchema for CallId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CallId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(b64:[A-Za-z0-9_-]{2,86}|[!-~]{1,64})$",
            "description": "A call id (correlation data) as text: visible ASCII as it is, \
                            anything else as b64: and URL-safe base64 without padding."
        })
    }
}

/// The secret that proves a claim; travels as the user property `claim`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ClaimToken(String);

impl ClaimToken {
    /// A token from text, as a client hands it in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_call_id_survives_its_text_form(bytes in proptest::collection::vec(any::<u8>(), 1..=64)) {
            let id = CallId::new(bytes).unwrap();
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            let _ = text.parse::<CallId>();
        }
    }

    #[test]
    fn a_readable_call_id_stays_readable() {
        assert_eq!(CallId::new("7d1f0c7e").unwrap().to_string(), "7d1f0c7e");
        assert_eq!(CallId::new([0xff]).unwrap().to_string(), "b64:_w");
        assert_eq!(CallId::new("b64:x").unwrap().to_string(), "b64:YjY0Ong");
        assert_eq!(CallId::new(""), Err(CallIdError::Empty));
        assert_eq!(CallId::new([0; 65]), Err(CallIdError::TooLong(65)));
    }
}
