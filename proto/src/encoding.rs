//! The two encodings of a payload: CBOR (RFC 8949) and JSON (RFC 8259).

use std::{fmt, io, ops::RangeInclusive, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned},
};

use crate::{
    Sha256,
    binary::Digester,
    shape::{self, Excess},
};

/// The content type of a call and of its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// `application/cbor`.
    Cbor,
    /// `application/json`.
    Json,
}

/// A payload that is not what its content type and the contract say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", field_prefix(field))]
pub struct DecodeError {
    /// The path of the offending field, e.g. `amount.cents`, also where it is missing; empty for
    /// the payload as a whole.
    pub field: String,
    /// In which way.
    pub wrong: Wrong,
    /// What is wrong with it.
    pub problem: String,
}

/// In which way a field is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is not there.
    Missing,
    /// It is of another kind: a text where a number should be.
    Kind,
    /// Its value does not fit, or it stands there twice, or the payload is no such encoding.
    Value,
}

impl DecodeError {
    fn whole(problem: impl Into<String>) -> Self {
        Self {
            field: String::new(),
            wrong: Wrong::Value,
            problem: problem.into(),
        }
    }

    /// What serde says of the field at `path`.
    fn at(path: String, problem: String) -> Self {
        let quoted = |after: &str| problem.strip_prefix(after)?.split('`').next();
        let missing = quoted("missing field `");
        let field = match missing.or_else(|| quoted("duplicate field `")) {
            Some(name) if path.is_empty() => name.to_owned(),
            Some(name) => format!("{path}.{name}"),
            None => path,
        };
        let kind = ["invalid type: ", "invalid value: ", "unknown variant "];
        let wrong = if missing.is_some() {
            Wrong::Missing
        } else if kind.iter().any(|kind| problem.starts_with(kind)) {
            Wrong::Kind
        } else {
            Wrong::Value
        };
        Self {
            field,
            wrong,
            problem,
        }
    }
}

/// Of fields that nobody reads, so many are named …
const IGNORED_NAMED: usize = 16;

/// … with so many characters.
const IGNORED_LENGTH: usize = 64;

/// A value that could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer could not be encoded: {0}")]
pub struct EncodeError(String);

impl From<Excess> for DecodeError {
    fn from(excess: Excess) -> Self {
        Self::whole(excess.to_string())
    }
}

fn field_prefix(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("field {field}: ")
    }
}

impl ContentType {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cbor, Self::Json];

    /// The MIME type that travels as MQTT's Content Type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cbor => "application/cbor",
            Self::Json => "application/json",
        }
    }

    /// The payload of `value`. CBOR has definite lengths only and fields in the order of their
    /// definition, so that one value has one payload.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Cbor => encode_cbor(value),
            Self::Json => serde_json::to_vec(value).map_err(|e| EncodeError(e.to_string())),
        }
    }

    /// The value of `payload`. An empty payload reads as an empty map, so that operations
    /// without parameters can be called with nothing at all.
    pub fn decode<T: DeserializeOwned>(self, payload: &[u8]) -> Result<T, DecodeError> {
        self.decode_noting(payload).map(|(value, _)| value)
    }

    /// As [`ContentType::decode`], with the paths of fields that nobody reads.
    pub fn decode_noting<T: DeserializeOwned>(
        self,
        payload: &[u8],
    ) -> Result<(T, Vec<String>), DecodeError> {
        match self {
            Self::Cbor => decode_cbor(if payload.is_empty() { &[0xa0] } else { payload }),
            Self::Json => decode_json(if payload.is_empty() { b"{}" } else { payload }),
        }
    }
}

fn encode_cbor<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    write_cbor(value, Vec::new)
}

/// The digest of a value's CBOR, which is never in memory as a whole.
pub(crate) fn digest_cbor<T: Serialize + ?Sized>(value: &T) -> Result<Sha256, EncodeError> {
    let digest = write_cbor(value, Digesting::default)?;
    Ok(digest.0.finish())
}

/// Writes a value in CBOR to what `sink` makes.
fn write_cbor<T: Serialize + ?Sized, W: io::Write>(
    value: &T,
    sink: impl Fn() -> W,
) -> Result<W, EncodeError> {
    let mut definite = DefiniteLengths(sink());
    if ciborium::into_writer(value, &mut definite).is_ok() {
        return Ok(definite.0);
    }
    // A flattened field hides its number of entries; as a tree of values every length is known.
    // That costs a copy of everything, which content of some megabytes should not pay.
    let tree = ciborium::Value::serialized(value).map_err(|e| EncodeError(e.to_string()))?;
    let mut written = sink();
    ciborium::into_writer(&tree, &mut written).map_err(|e| EncodeError(e.to_string()))?;
    Ok(written)
}

/// Digests what is written to it.
#[derive(Default)]
struct Digesting(Digester);

impl io::Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes a payload unless it has a length that is not stated before what it counts. ciborium
/// writes the initial byte of such an item by itself; that a number or a string of one byte looks
/// the same does no harm, it only takes the other way.
struct DefiniteLengths<W>(W);

impl<W: io::Write> io::Write for DefiniteLengths<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const INDEFINITE: RangeInclusive<u8> = 0x5f..=0xbf;
        if let [byte] = bytes
            && byte & 0x1f == 0x1f
            && INDEFINITE.contains(byte)
        {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn decode_json<T: DeserializeOwned>(payload: &[u8]) -> Result<(T, Vec<String>), DecodeError> {
    shape::check_json(payload)?;
    let mut json = serde_json::Deserializer::from_slice(payload);
    let Tracked { value, ignored } = Tracked::read(&mut json).map_err(|(field, error)| {
        let told = error.to_string();
        // Where in the payload it stands says no more than which field it is.
        let problem = match told.rsplit_once(" at line ") {
            Some((problem, _)) if error.is_data() => problem.to_owned(),
            _ => told,
        };
        DecodeError::at(field, problem)
    })?;
    json.end()
        .map_err(|_| DecodeError::whole("something follows the JSON payload"))?;
    Ok((value, ignored))
}

fn decode_cbor<T: DeserializeOwned>(payload: &[u8]) -> Result<(T, Vec<String>), DecodeError> {
    shape::check_cbor(payload)?;
    // The recursion limit is ciborium's own (256); it reads long strings in chunks, so a length
    // that lies allocates nothing.
    let mut rest = payload;
    let Tracked { value, ignored } = ciborium::from_reader(&mut rest).map_err(|e| match e {
        ciborium::de::Error::Io(_) => DecodeError::whole("the CBOR payload ends too early"),
        ciborium::de::Error::Syntax(at) => DecodeError::whole(format!("no CBOR at byte {at}")),
        ciborium::de::Error::RecursionLimitExceeded => {
            DecodeError::whole("the CBOR payload is nested too deeply")
        }
        ciborium::de::Error::Semantic(_, told) => match told.split_once(FIELD_ENDS) {
            Some((field, problem)) => DecodeError::at(field.to_owned(), problem.to_owned()),
            None => DecodeError::whole(told),
        },
    })?;
    if !rest.is_empty() {
        let problem = format!("{} bytes follow the CBOR payload", rest.len());
        return Err(DecodeError::whole(problem));
    }
    Ok((value, ignored))
}

/// Separates the field from the problem on their way through ciborium's one error string.
const FIELD_ENDS: char = '\u{1f}';

/// A value read while keeping track of where in the payload the reader is, and of what it passes
/// over. ciborium offers no deserializer to wrap, so the tracking is done by the value.
struct Tracked<T> {
    value: T,
    ignored: Vec<String>,
}

impl<T> Tracked<T> {
    /// The value, or the field that is wrong and what the reader says of it.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, (String, D::Error)>
    where
        T: Deserialize<'de>,
    {
        let mut track = serde_path_to_error::Track::new();
        let mut ignored = Vec::new();
        let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
        let read = serde_ignored::deserialize(tracked, |path| {
            if ignored.len() < IGNORED_NAMED {
                let path = ignored_path(&path);
                let shown = path.chars().filter(|c| !c.is_control());
                ignored.push(shown.take(IGNORED_LENGTH).collect());
            }
        });
        match read {
            Ok(value) => Ok(Self { value, ignored }),
            Err(error) => Err((field_path(&track.path()), error)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Tracked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(deserializer).map_err(|(field, error)| {
            let told = error.to_string();
            // ciborium wraps what it is told as `Semantic(offset, "…")`.
            let problem = told
                .strip_prefix("Semantic(")
                .and_then(|told| {
                    let (_, quoted) = told.split_once(", \"")?;
                    Some(quoted.strip_suffix("\")")?.replace("\\\"", "\""))
                })
                .unwrap_or(told);
            de::Error::custom(format!("{field}{FIELD_ENDS}{problem}"))
        })
    }
}

fn field_path(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    if path == "." { String::new() } else { path }
}

/// A path as [`field_path`] writes it: `commands[0].data`.
fn ignored_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", ignored_path(parent)),
        Path::Map { parent, key } => match ignored_path(parent) {
            above if above.is_empty() => key.clone(),
            above => format!("{above}.{key}"),
        },
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => ignored_path(parent),
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContentType {
    type Err = ();

    /// Reads a MIME type; parameters such as `; charset=utf-8` are passed over.
    fn from_str(text: &str) -> Result<Self, ()> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        Self::ALL
            .into_iter()
            .find(|t| t.as_str().eq_ignore_ascii_case(essence))
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Amount;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Till {
        amount: Amount,
    }

    #[test]
    fn a_wrong_field_is_named_in_both_encodings() {
        let wrong = serde_json::json!({"amount": {"cents": 0, "currency": "EUR"}});
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&wrong).unwrap();
            let error = encoding.decode::<Till>(&payload).unwrap_err();
            assert_eq!(error.field, "amount.cents", "{encoding}");
            assert!(
                error.problem.contains("outside 1 to 999999999999"),
                "{encoding}: {error}"
            );
            assert!(!error.problem.contains("Semantic"), "{encoding}: {error}");
        }
    }

    #[test]
    fn a_missing_field_and_a_wrong_kind_are_told_plainly() {
        let amount = |amount: serde_json::Value| serde_json::json!({ "amount": amount });
        for (json, field, wrong, problem) in [
            (
                serde_json::json!({}),
                "amount",
                Wrong::Missing,
                "missing field `amount`",
            ),
            (
                amount(serde_json::json!({"cents": 5})),
                "amount.currency",
                Wrong::Missing,
                "missing field `currency`",
            ),
            (
                amount(serde_json::json!(7)),
                "amount",
                Wrong::Kind,
                "invalid type: integer `7`, expected ",
            ),
            (
                amount(serde_json::json!({"cents": 12.5, "currency": "EUR"})),
                "amount.cents",
                Wrong::Kind,
                "invalid type: floating point `12.5`, expected ",
            ),
            (
                amount(serde_json::json!({"cents": 0, "currency": "EUR"})),
                "amount.cents",
                Wrong::Value,
                "0 is outside 1 to 999999999999",
            ),
        ] {
            for encoding in ContentType::ALL {
                let payload = encoding.encode(&json).unwrap();
                let error = encoding.decode::<Till>(&payload).unwrap_err();
                let found = (error.field.as_str(), error.wrong);
                assert_eq!(found, (field, wrong), "{encoding}: {error}");
                // ciborium says `float` where JSON says `floating point`.
                let problem = problem.replace("floating point", "float");
                let told = error.problem.replace("floating point", "float");
                assert!(told.starts_with(&problem), "{encoding}: {told}");
            }
        }
    }

    #[test]
    fn fields_that_nobody_reads_are_named_and_bounded() {
        let json = serde_json::json!({
            "amount": {"cents": 5, "currency": "EUR", "vat": {"rate": 19}},
            "refrence": "PA-2026-00417",
        });
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&json).unwrap();
            let (_, ignored) = encoding.decode_noting::<Till>(&payload).unwrap();
            assert_eq!(ignored, ["amount.vat", "refrence"], "{encoding}");

            let list = serde_json::json!([json]);
            let payload = encoding.encode(&list).unwrap();
            let (_, ignored) = encoding.decode_noting::<Vec<Till>>(&payload).unwrap();
            assert_eq!(ignored, ["[0].amount.vat", "[0].refrence"], "{encoding}");

            let mut json = json.clone();
            for n in 0..100 {
                json["\u{7}".repeat(n) + &"x".repeat(100) + &n.to_string()] = n.into();
            }
            let payload = encoding.encode(&json).unwrap();
            let (_, ignored) = encoding.decode_noting::<Till>(&payload).unwrap();
            assert_eq!(ignored.len(), IGNORED_NAMED);
            assert!(ignored.iter().all(|path| path.len() <= IGNORED_LENGTH));
        }
    }

    #[test]
    fn trailing_bytes_and_truncation_are_refused() {
        let till = Till {
            amount: Amount::euro_cents(1010).unwrap(),
        };
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&till).unwrap();
            assert_eq!(encoding.decode::<Till>(&payload), Ok(Till { ..till }));
            for end in 1..payload.len() {
                assert!(encoding.decode::<Till>(&payload[..end]).is_err());
            }
            let longer = [payload.as_slice(), b"1"].concat();
            assert!(encoding.decode::<Till>(&longer).is_err());
        }
    }

    #[test]
    fn a_length_that_lies_allocates_nothing() {
        // A byte string that claims 2^62 bytes.
        let liar = [0x5b, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3];
        assert!(ContentType::Cbor.decode::<crate::Blob>(&liar).is_err());
    }

    #[test]
    fn a_flattened_value_has_a_definite_length() {
        let progress = crate::Progress {
            seq: 1,
            event: crate::ProgressEvent::Started,
        };
        let payload = ContentType::Cbor.encode(&progress).unwrap();
        assert_eq!(payload, b"\xa2cseq\x01eeventgstarted");
    }

    #[test]
    fn bytes_that_look_like_an_indefinite_length_are_encoded_all_the_same() {
        for length in 0..=u8::MAX {
            let bytes = vec![0xbf; length.into()];
            let value = (length, crate::Blob::from(bytes));
            let payload = ContentType::Cbor.encode(&value).unwrap();
            assert_eq!(payload[0], 0x82);
            assert_eq!(ContentType::Cbor.decode(&payload), Ok(value));
        }
    }

    #[test]
    fn content_larger_than_the_reader_s_scratch_survives_behind_a_tag() {
        let progress = crate::Progress {
            seq: 1,
            event: crate::ProgressEvent::Preview {
                image: vec![7; 100_000].into(),
            },
        };
        for encoding in ContentType::ALL {
            let payload = encoding.encode(&progress).unwrap();
            assert_eq!(encoding.decode(&payload), Ok(progress.clone()));
        }
    }

    #[test]
    fn content_types_are_read_with_parameters() {
        assert_eq!(
            "application/json; charset=utf-8".parse(),
            Ok(ContentType::Json)
        );
        assert_eq!("Application/CBOR".parse(), Ok(ContentType::Cbor));
        assert_eq!("text/plain".parse::<ContentType>(), Err(()));
    }

    proptest! {
        #[test]
        fn any_payload_is_read_without_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            for encoding in ContentType::ALL {
                let _ = encoding.decode::<Till>(&payload);
                let _ = encoding.decode::<crate::Blob>(&payload);
            }
        }
    }
}
