//! The wire of version 1 is frozen: every kind of message has its bytes in `wire_v1.txt`, and
//! they never change. New messages are added to the file, name and JSON, and get their CBOR from
//! `KOFFER_FREEZE=1 cargo test -p koffer-proto --test wire_v1`; entries that have theirs are only
//! ever compared.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code; clippy exempts only the functions marked as tests"
)]

use std::{
    collections::BTreeSet,
    fmt::{Debug, Write},
    path::Path,
};

use koffer_proto::{
    Class, Completion, ContentType, Description, DeviceEvent, GatewayStatus, Health, Progress,
    Request, Response, StateDocument, Status, class::payment::TerminalStatus, schema,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

mod frozen;
use frozen::{Entry, entries};

/// A payload in both encodings.
#[derive(Debug, PartialEq)]
struct Payload {
    json: String,
    hex: String,
}

/// Holds one entry to its promise, and answers what this build writes.
fn check<T, E, D>(entry: Entry<'_>, decode: D) -> Payload
where
    T: Serialize + PartialEq + Debug,
    E: Debug,
    D: Fn(ContentType, &[u8]) -> Result<T, E>,
{
    let name = entry.name;
    let value = decode(ContentType::Json, entry.json.as_bytes())
        .unwrap_or_else(|e| panic!("{name} is not read from its JSON: {e:?}"));
    let json = ContentType::Json.encode(&value).unwrap();
    let json = String::from_utf8(json).unwrap();
    let cbor = ContentType::Cbor.encode(&value).unwrap();
    assert_eq!(parse(&json), parse(entry.json), "{name} loses something");

    if let Some(frozen) = entry.hex {
        assert_eq!(json, entry.json, "{name}: its JSON is frozen");
        assert_eq!(hex(&cbor), frozen, "{name}: its CBOR is frozen");
    }
    let read = decode(ContentType::Cbor, &cbor)
        .unwrap_or_else(|e| panic!("{name} is not read from its CBOR: {e:?}"));
    assert_eq!(read, value, "{name} is another value in CBOR");
    assert_eq!(definite(&cbor), Some(cbor.len()), "{name}: lengths");

    for (encoding, payload) in [
        (ContentType::Json, with_unknown_json(&json)),
        (ContentType::Cbor, with_unknown_cbor(&cbor)),
    ] {
        let read = decode(encoding, &payload)
            .unwrap_or_else(|e| panic!("{name} in {encoding}, with an unknown field: {e:?}"));
        assert_eq!(read, value, "{name} in {encoding}, with an unknown field");
    }
    Payload {
        json,
        hex: hex(&cbor),
    }
}

fn check_envelope<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    entry: Entry<'_>,
) -> Payload {
    check(entry, ContentType::decode::<T>)
}

/// Holds an entry to its promise by the type that its name says.
fn check_by_name(entry: Entry<'_>) -> Payload {
    let parts: Vec<_> = entry.name.split('.').collect();
    match parts[..] {
        // A result keeps the order of its type's fields.
        ["envelope", "completion", "ok"] => check_envelope::<Completion<TerminalStatus>>(entry),
        ["envelope", "completion", ..] => check_envelope::<Completion<Value>>(entry),
        ["envelope", "progress", ..] => check_envelope::<Progress>(entry),
        ["envelope", "description", ..] => check_envelope::<Description>(entry),
        ["envelope", "state", ..] => check_envelope::<StateDocument>(entry),
        ["envelope", "event", ..] => check_envelope::<DeviceEvent>(entry),
        ["envelope", "status", ..] => check_envelope::<GatewayStatus>(entry),
        ["envelope", "health", ..] => check_envelope::<Health>(entry),
        [class, operation, "params", ..] => check(entry, |encoding, payload| {
            Request::decode(class_of(class), operation, encoding, payload)
        }),
        [class, operation, "result", ..] => check(entry, |encoding, payload| {
            Response::decode(class_of(class), operation, encoding, payload).unwrap()
        }),
        _ => panic!("{} names no kind of message", entry.name),
    }
}

fn class_of(name: &str) -> Class {
    serde_json::from_value(name.into()).unwrap()
}

#[test]
fn what_version_1_wrote_is_written_and_read_for_ever() {
    let freeze = std::env::var_os("KOFFER_FREEZE").is_some();
    let mut text = frozen::TEXT.to_owned();
    for entry in entries() {
        let payload = check_by_name(entry);
        if entry.hex.is_some() {
            continue;
        }
        assert!(
            freeze,
            "{} has no CBOR yet; to freeze it as it is, run: \
             KOFFER_FREEZE=1 cargo test -p koffer-proto --test wire_v1",
            entry.name
        );
        let new = format!("{}\n{}", entry.name, entry.json);
        let whole = format!("{}\n{}\n{}", entry.name, payload.json, payload.hex);
        text = text.replacen(&new, &whole, 1);
    }
    if freeze {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire_v1.txt");
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn every_operation_of_every_class_is_frozen() {
    let names: BTreeSet<_> = entries().map(|entry| entry.name).collect();
    for spec in Class::ALL.iter().flat_map(|class| class.own_operations()) {
        for kind in ["params", "result"] {
            let name = format!("{}.{}.{kind}", spec.class, spec.name);
            assert!(names.contains(name.as_str()), "{name} is not frozen");
        }
    }
}

#[test]
fn every_status_and_every_kind_of_message_is_frozen() {
    let names: BTreeSet<_> = entries().map(|entry| entry.name).collect();
    for status in Status::ALL {
        let name = format!("envelope.completion.{status}");
        assert!(names.contains(name.as_str()), "{name} is not frozen");
    }
    for envelope in schema::envelopes() {
        let prefix = format!("envelope.{}.", envelope.name);
        let frozen = names.iter().any(|name| name.starts_with(&prefix));
        assert!(frozen, "{} is not frozen", envelope.name);
    }
    assert_eq!(names.len(), entries().count(), "two entries have one name");
}

#[test]
fn every_field_and_every_keyword_is_frozen() {
    // The default that is left out is never written.
    let never_written = BTreeSet::from(["left".to_owned()]);
    let mut missing = Vec::new();
    let mut hold = |prefix: &str, schema: &Value| {
        let frozen: String = entries()
            .filter(|entry| entry.name.starts_with(prefix))
            .map(|entry| entry.json)
            .collect();
        let mut words = BTreeSet::new();
        collect_words(schema, &mut words);
        words.retain(|word| !frozen.contains(&format!("\"{word}\"")));
        missing.extend(words.difference(&never_written).cloned());
    };
    for spec in Class::ALL.iter().flat_map(|class| class.own_operations()) {
        let prefix = format!("{}.", spec.class);
        hold(&prefix, &schema::params(spec));
        hold(&prefix, &schema::result(spec));
    }
    for envelope in schema::envelopes() {
        // Their nested types are those of the classes.
        hold("", &envelope.schema);
    }
    assert!(missing.is_empty(), "not frozen: {missing:?}");
}

/// The names of all properties and all keywords of a schema.
fn collect_words(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (keyword, value) in object {
                match (keyword.as_str(), value) {
                    ("const", Value::String(word)) => {
                        words.insert(word.clone());
                    }
                    ("enum", Value::Array(all)) => {
                        words.extend(all.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("properties", Value::Object(properties)) => {
                        words.extend(properties.keys().cloned());
                        properties.values().for_each(|p| collect_words(p, words));
                    }
                    _ => collect_words(value, words),
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|e| collect_words(e, words)),
        _ => {}
    }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Puts a field in front that version 1 does not know.
fn with_unknown_json(json: &str) -> Vec<u8> {
    let rest = json.strip_prefix('{').unwrap();
    let comma = if rest == "}" { "" } else { "," };
    format!(r#"{{"x-later":[1,{{"deep":"content"}}]{comma}{rest}"#).into_bytes()
}

/// Puts a field behind that version 1 does not know.
fn with_unknown_cbor(cbor: &[u8]) -> Vec<u8> {
    let mut value: ciborium::Value = ciborium::from_reader(cbor).unwrap();
    let later = ciborium::Value::Array(vec![1.into(), ciborium::Value::Bytes(vec![0; 5000])]);
    value.as_map_mut().unwrap().push(("x-later".into(), later));
    let mut longer = Vec::new();
    ciborium::into_writer(&value, &mut longer).unwrap();
    longer
}

/// The length of the CBOR item at the start of `cbor`; `None` where it or anything in it has an
/// indefinite length (RFC 8949, 3.2).
fn definite(cbor: &[u8]) -> Option<usize> {
    let (major, info) = (cbor[0] >> 5, cbor[0] & 0x1f);
    let extra = match info {
        0..=23 => 0,
        24..=27 => 1_usize << (info - 24),
        _ => return None,
    };
    let number = cbor[1..=extra]
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte));
    let count = if extra == 0 {
        usize::from(info)
    } else {
        number
    };
    let mut end = 1 + extra;
    let items = match major {
        2 | 3 => {
            end += count;
            0
        }
        4 => count,
        5 => 2 * count,
        6 => 1,
        _ => 0,
    };
    for _ in 0..items {
        end += definite(&cbor[end..])?;
    }
    Some(end)
}
