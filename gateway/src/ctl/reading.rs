//! Payloads read leniently: whatever a later gateway adds is shown, not refused.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use koffer_proto::{ContentType, Lang};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::bus::Message;

/// The content of a message as a JSON value, whichever of the two encodings it came in; bytes
/// become base64, as the contract has it.
pub(super) fn value(message: &Message) -> Option<Value> {
    let encoding = message
        .properties
        .content_type
        .as_deref()
        .map_or(Ok(ContentType::Json), str::parse)
        .ok()?;
    encoding
        .decode::<Lenient>(&message.payload)
        .ok()
        .map(|Lenient(value)| value)
}

/// The text of `field`, or nothing.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of the list `field`, or none.
pub(super) fn entries<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    let entries = value.get(field).and_then(Value::as_array);
    entries.into_iter().flatten()
}

/// The sentence of a reason in the language of the person, else its keyword.
pub(super) fn sentence(reason: &Value, lang: Lang) -> &str {
    let sentence = reason.get("text");
    match sentence.map_or("", |sentence| text(sentence, lang.as_str())) {
        "" => text(reason, "keyword"),
        sentence => sentence,
    }
}

/// How a self-test ended as a whole; older gateways say only whether it passed.
pub(super) fn tested(report: &Value) -> &str {
    match (text(report, "outcome"), report.get("passed")) {
        ("", Some(Value::Bool(true))) => "passed",
        ("", _) => "failed",
        (outcome, _) => outcome,
    }
}

/// The bytes of `field`, or none.
pub(super) fn bytes(value: &Value, field: &str) -> Vec<u8> {
    BASE64_STANDARD
        .decode(text(value, field))
        .unwrap_or_default()
}

/// A JSON value that also reads what only CBOR has.
struct Lenient(Value);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor).map(Lenient)
    }
}

struct LenientVisitor;

impl<'de> Visitor<'de> for LenientVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(BASE64_STANDARD.encode(value).into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Lenient(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some((Lenient(key), Lenient(value))) = map.next_entry()? {
            let key = match key {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                _ => return Err(de::Error::custom("a field's name is no text")),
            };
            values.insert(key, value);
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use koffer_proto::{Blob, Progress, ProgressEvent, class::scanner::PageFormat};
    use serde_json::json;

    use super::*;

    fn message(encoding: ContentType, payload: Vec<u8>) -> Message {
        let mut message = Message::new("t", payload);
        message.properties.content_type = Some(encoding.as_str().to_owned());
        message
    }

    #[test]
    fn both_encodings_read_as_the_same_value_and_bytes_as_base64() {
        let progress = Progress {
            seq: 1,
            event: ProgressEvent::Page {
                number: 1,
                format: PageFormat::Jpeg,
                content: Blob::from(vec![0xff, 0xd8]),
            },
        };
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&progress).unwrap();
            assert_eq!(
                value(&message(encoding, payload)),
                Some(json!({
                    "seq": 1, "event": "page", "number": 1, "format": "image/jpeg", "content": "/9g="
                })),
                "{encoding}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_nothing_and_no_panic() {
        assert_eq!(value(&message(ContentType::Json, b"{".to_vec())), None);
        assert_eq!(value(&message(ContentType::Cbor, vec![0xff])), None);
        let mut strange = Message::new("t", "x");
        strange.properties.content_type = Some("image/png".to_owned());
        assert_eq!(value(&strange), None);
    }
}
