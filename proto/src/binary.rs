//! Bytes on the wire: a byte string in CBOR, base64 in JSON.

use std::{fmt, sync::Arc};

use base64::{Engine, display::Base64Display, prelude::BASE64_STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use sha2::Digest;

use crate::OutOfBounds;

/// Binary content: a CBOR byte string, or standard base64 with padding in JSON.
///
/// `Debug` tells only the length: content never reaches a log. A clone shares the content.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Blob(Arc<Vec<u8>>);

impl Blob {
    /// The content.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content, taken out.
    pub fn into_vec(self) -> Vec<u8> {
        Arc::unwrap_or_clone(self.0)
    }

    /// The content's SHA-256.
    pub fn sha256(&self) -> Sha256 {
        Sha256::of(&self.0)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

/// Content from this size on is worth a copy in JSON that need not be looked at for escapes.
const LARGE: usize = 4096;

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            serializer.serialize_bytes(&self.0)
        } else if self.0.len() < LARGE {
            serializer.collect_str(&Base64Display::new(&self.0, &BASE64_STANDARD))
        } else {
            json_text(&self.0)
                .map_err(ser::Error::custom)?
                .serialize(serializer)
        }
    }
}

/// The content as a JSON text that is ready to be written: nothing in base64 needs an escape.
fn json_text(content: &[u8]) -> serde_json::Result<Box<RawValue>> {
    let mut text = String::with_capacity(content.len().div_ceil(3) * 4 + 2);
    text.push('"');
    base64_simd::STANDARD.encode_append(content, &mut text);
    text.push('"');
    RawValue::from_string(text)
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Behind a tag or a flattened field serde buffers and forgets which format it reads, so
        // the value itself decides: bytes are bytes, text is base64.
        deserializer.deserialize_any(BlobVisitor)
    }
}

struct BlobVisitor;

impl de::Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string (CBOR) or base64 text (JSON)")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(bytes.to_vec().into())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(bytes.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
        BASE64_STANDARD
            .decode(text)
            .map(Blob::from)
            .map_err(|e| E::custom(format!("no base64: {e}")))
    }
}

impl JsonSchema for Blob {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Blob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "contentEncoding": "base64",
            "description": "Bytes: base64 in JSON, a byte string in CBOR."
        })
    }
}

/// A SHA-256 digest; 64 lower-case hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(sha2::Sha256::digest(content).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Makes a digest of content that comes in parts.
#[derive(Default)]
pub(crate) struct Digester(sha2::Sha256);

impl Digester {
    pub(crate) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub(crate) fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

impl TryFrom<String> for Sha256 {
    type Error = OutOfBounds;

    fn try_from(text: String) -> Result<Self, OutOfBounds> {
        const FORM: OutOfBounds = OutOfBounds::Form("64 hexadecimal digits (a SHA-256)");
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(FORM);
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| FORM)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| FORM)?;
        }
        Ok(Self(digest))
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl JsonSchema for Sha256 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "SHA-256" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ContentType;

    proptest! {
        #[test]
        fn bytes_survive_both_encodings(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let blob = Blob::from(bytes);
            for encoding in ContentType::ALL {
                let wire = encoding.encode(&blob).unwrap();
                prop_assert_eq!(&encoding.decode::<Blob>(&wire).unwrap(), &blob);
            }
        }

        #[test]
        fn a_digest_survives_its_text(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let digest = Sha256::of(&bytes);
            prop_assert_eq!(Sha256::try_from(digest.to_string()), Ok(digest));
        }
    }

    #[test]
    fn large_content_is_the_same_text_as_small() {
        for length in LARGE - 1..LARGE + 4 {
            let bytes: Vec<_> = (0..length)
                .map(|n| u8::try_from(n * 7 % 251).unwrap())
                .collect();
            let blob = Blob::from(bytes.clone());
            let json = format!("{{\"content\":\"{}\"}}", BASE64_STANDARD.encode(&bytes));
            let value = std::collections::BTreeMap::from([("content", &blob)]);
            assert_eq!(ContentType::Json.encode(&value).unwrap(), json.as_bytes());
            let tree = serde_json::to_value(&blob).unwrap();
            assert_eq!(tree, BASE64_STANDARD.encode(&bytes));
            assert_eq!(
                ContentType::Json.decode(json.as_bytes()),
                Ok(std::collections::BTreeMap::from([(
                    "content".to_owned(),
                    blob
                )]))
            );
        }
    }

    #[test]
    fn a_blob_never_shows_its_content() {
        assert_eq!(
            format!("{:?}", Blob::from(b"secret".to_vec())),
            "Blob(6 bytes)"
        );
    }

    #[test]
    fn a_malformed_digest_is_refused() {
        for text in [
            "",
            "00",
            "zz",
            &"g".repeat(64),
            &"ä".repeat(32),
            &"+0".repeat(32),
        ] {
            let outcome = Sha256::try_from(text.to_owned());
            assert!(outcome.is_err(), "{text}");
        }
    }
}
