//! How many values a payload has and how deep they are nested, found out before any of them is
//! read: a list of millions costs seconds and gigabytes to read, whatever becomes of it.
//!
//! The scans judge nothing else. Of what is no CBOR or no JSON the reader says so.

/// Values of one payload, keys counted: no operation has more than some thousand.
pub(crate) const MAX_VALUES: usize = 100_000;

/// Lists and maps within each other: no operation has more than ten.
pub(crate) const MAX_DEPTH: usize = 64;

/// A payload that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Excess {
    #[error("the payload has more than {MAX_VALUES} values")]
    Values,
    #[error("the payload is nested more than {MAX_DEPTH} deep")]
    Depth,
}

/// What has been met so far.
#[derive(Default)]
struct Tally {
    values: usize,
    depth: usize,
}

impl Tally {
    fn value(&mut self) -> Result<(), Excess> {
        self.values += 1;
        (self.values <= MAX_VALUES)
            .then_some(())
            .ok_or(Excess::Values)
    }

    fn open(&mut self) -> Result<(), Excess> {
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(()).ok_or(Excess::Depth)
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// JSON (RFC 8259): a value begins after each bracket and each comma.
pub(crate) fn check_json(payload: &[u8]) -> Result<(), Excess> {
    let mut tally = Tally::default();
    let mut rest = payload;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'[' | b'{' => {
                tally.open()?;
                tally.value()?;
            }
            b',' => tally.value()?,
            b']' | b'}' => tally.close(),
            b'"' => rest = after_string(after),
            _ => {}
        }
    }
    Ok(())
}

fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        let escape = rest.get(end) == Some(&b'\\');
        rest = rest
            .get(end + 1 + usize::from(escape)..)
            .unwrap_or_default();
        if !escape {
            return rest;
        }
    }
    &[]
}

/// What a list, map or string of chunks still expects.
#[derive(Clone, Copy)]
enum Expects {
    Items(u64),
    Break,
}

/// CBOR (RFC 8949, 3): heads, one after the other.
pub(crate) fn check_cbor(payload: &[u8]) -> Result<(), Excess> {
    let mut tally = Tally::default();
    let mut open: Vec<Expects> = Vec::new();
    let mut rest = payload;
    while let Some(head) = head(&mut rest) {
        let opened = match head {
            Head::Break => {
                open.pop();
                tally.close();
                None
            }
            Head::Tag => {
                tally.value()?;
                continue;
            }
            Head::Value => {
                tally.value()?;
                None
            }
            Head::String(length) => {
                tally.value()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                rest = rest.get(length..).unwrap_or_default();
                None
            }
            Head::Open(Expects::Items(items)) if items > MAX_VALUES as u64 => {
                return Err(Excess::Values);
            }
            Head::Open(expects) => {
                tally.value()?;
                tally.open()?;
                Some(expects)
            }
        };
        match opened {
            Some(Expects::Items(0)) => tally.close(),
            Some(expects) => {
                open.push(expects);
                continue;
            }
            None => {}
        }
        // One item is complete, and with it perhaps what it was the last of.
        while let Some(Expects::Items(left)) = open.last_mut() {
            *left -= 1;
            if *left > 0 {
                break;
            }
            open.pop();
            tally.close();
        }
    }
    Ok(())
}

enum Head {
    Value,
    String(u64),
    Open(Expects),
    Tag,
    Break,
}

/// The next head, or `None` at the end and where there is none.
fn head(rest: &mut &[u8]) -> Option<Head> {
    let (first, after) = rest.split_first()?;
    let (major, info) = (first >> 5, first & 0x1f);
    let width = match info {
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        28..=30 => return None,
        _ => 0,
    };
    let (argument, after) = after.split_at_checked(width)?;
    let argument = argument
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    let argument = if width == 0 { info.into() } else { argument };
    *rest = after;
    Some(match (major, info) {
        (2..=5, 31) => Head::Open(Expects::Break),
        (7, 31) => Head::Break,
        (_, 31) => return None,
        (2 | 3, _) => Head::String(argument),
        (4, _) => Head::Open(Expects::Items(argument)),
        (5, _) => Head::Open(Expects::Items(argument.saturating_mul(2))),
        (6, _) => Head::Tag,
        _ => Head::Value,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn cbor(value: &Value) -> Vec<u8> {
        crate::ContentType::Cbor.encode(value).unwrap()
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!([inner, 2]))
    }

    #[test]
    fn as_many_values_as_there_may_be_pass_and_one_more_does_not() {
        // The list is a value itself.
        for (items, verdict) in [
            (MAX_VALUES - 1, Ok(())),
            (MAX_VALUES, Err(Excess::Values)),
            (3_000_000, Err(Excess::Values)),
        ] {
            let list = Value::from(vec![1; items]);
            assert_eq!(check_cbor(&cbor(&list)), verdict, "{items}");
            let mut endless = vec![0x9f];
            endless.extend(vec![1; items]);
            assert_eq!(check_cbor(&endless), verdict, "{items}");
        }
        let json = |items: usize| format!("[{}1]", "1,".repeat(items - 1));
        assert_eq!(check_json(json(MAX_VALUES).as_bytes()), Ok(()));
        assert_eq!(
            check_json(json(MAX_VALUES + 1).as_bytes()),
            Err(Excess::Values)
        );
        // A length that lies.
        assert_eq!(
            check_cbor(&[0x9b, 0xff, 0, 0, 0, 0, 0, 0, 0]),
            Err(Excess::Values)
        );
    }

    #[test]
    fn as_deep_as_it_may_be_passes_and_one_deeper_does_not() {
        for (depth, verdict) in [(MAX_DEPTH, Ok(())), (MAX_DEPTH + 1, Err(Excess::Depth))] {
            let value = nested(depth);
            assert_eq!(check_cbor(&cbor(&value)), verdict);
            assert_eq!(check_json(value.to_string().as_bytes()), verdict);
        }
        let beside = Value::from(vec![nested(MAX_DEPTH - 1); 300]);
        assert_eq!(check_cbor(&cbor(&beside)), Ok(()));
        assert_eq!(check_json(beside.to_string().as_bytes()), Ok(()));
    }

    #[test]
    fn what_stands_in_strings_does_not_count() {
        let text = json!({"a": "[[[,,,\"\\".repeat(MAX_VALUES)});
        assert_eq!(check_json(text.to_string().as_bytes()), Ok(()));
        assert_eq!(check_cbor(&cbor(&text)), Ok(()));
    }

    proptest! {
        #[test]
        fn no_payload_makes_a_scan_panic(payload: Vec<u8>) {
            let _ = check_cbor(&payload);
            let _ = check_json(&payload);
        }
    }
}
