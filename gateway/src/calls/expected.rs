//! What belongs into a field of a call, in words: read from the schema of the operation, so that
//! no operation has to say it twice.

use koffer_proto::{OperationSpec, Text, schema};
use serde_json::Value;

/// What belongs into `field`, a path such as `amount.cents` or `commands[0].data`; `None` where the
/// schema has no such field.
pub(super) fn text(spec: &OperationSpec, field: &str) -> Option<Text> {
    let schema = schema::params(spec);
    let mut place = &schema;
    let mut name = "";
    for step in field.split(['.', '[']) {
        place = resolved(&schema, place);
        place = if step.ends_with(']') {
            place.get("items")?
        } else {
            name = step;
            property(&schema, place, step)?
        };
    }
    described(resolved(&schema, place), name)
}

/// The property, also where each of several forms has its own.
fn property<'a>(schema: &'a Value, place: &'a Value, name: &str) -> Option<&'a Value> {
    place["properties"].get(name).or_else(|| {
        let forms = place["oneOf"].as_array()?;
        let mut forms = forms.iter().map(|form| resolved(schema, form));
        forms.find_map(|form| form["properties"].get(name))
    })
}

fn resolved<'a>(schema: &'a Value, place: &'a Value) -> &'a Value {
    let mut place = place;
    // A definition may be no more than another one's name; none is its own.
    while let Some(name) = place["$ref"].as_str()
        && let Some(definition) = name.strip_prefix('#').and_then(|name| schema.pointer(name))
    {
        place = definition;
    }
    place
}

fn described(place: &Value, name: &str) -> Option<Text> {
    if let Some(words) = words(place) {
        let words = words.join(", ");
        return Some(Text::new(
            format!("eines von {words}"),
            format!("one of {words}"),
        ));
    }
    match place["type"].as_str() {
        Some("integer") => Some(number(place, name)),
        Some("boolean") => Some(Text::new("true oder false", "true or false")),
        Some("string") => Some(string(place)),
        Some("array") => Some(list(place)),
        Some("object") => Some(object(place)),
        _ if place["oneOf"].is_array() => Some(object(place)),
        _ => None,
    }
}

/// The keywords that a field may have.
fn words(place: &Value) -> Option<Vec<String>> {
    let quoted = |word: &Value| word.as_str().map(|word| format!("\"{word}\""));
    let words = match (&place["enum"], &place["oneOf"]) {
        (Value::Array(words), _) => words.iter().map(quoted).collect(),
        (_, Value::Array(forms)) => forms.iter().map(|form| quoted(&form["const"])).collect(),
        _ => None,
    };
    words.or_else(|| quoted(&place["const"]).map(|word| vec![word]))
}

/// The contract's names say what is counted.
fn number(place: &Value, name: &str) -> Text {
    let (de, en) = match name {
        "cents" => (
            "eine ganze Zahl in Cent, etwa 3780",
            "a whole number of cents, such as 3780",
        ),
        _ if name.ends_with("_ms") => (
            "eine ganze Zahl in Millisekunden",
            "a whole number of milliseconds",
        ),
        _ if name.ends_with("_mm") => (
            "eine ganze Zahl in Millimetern",
            "a whole number of millimetres",
        ),
        _ => ("eine ganze Zahl", "a whole number"),
    };
    match (&place["minimum"], &place["maximum"]) {
        (Value::Number(min), Value::Number(max)) => Text::new(
            format!("{de} ({min} bis {max})"),
            format!("{en} ({min} to {max})"),
        ),
        _ => Text::new(de, en),
    }
}

fn string(place: &Value) -> Text {
    if place["contentEncoding"].is_string() {
        return Text::new(
            "Bytes: in JSON als Base64, in CBOR als Bytefolge",
            "bytes: base64 in JSON, a byte string in CBOR",
        );
    }
    match place["pattern"].as_str() {
        Some("^[A-Z]{3}$") => Text::new(
            "drei Großbuchstaben nach ISO 4217, etwa EUR",
            "three upper-case replies of ISO 4217, such as EUR",
        ),
        Some("^[0-9a-fA-F]{64}$") => Text::new(
            "ein SHA-256 aus 64 Hexadezimalziffern",
            "a SHA-256 of 64 hexadecimal digits",
        ),
        Some("^[0-9a-fA-FxX]{4}$") => Text::new(
            "ein Statuswort aus vier Hexadezimalziffern, etwa 9000; x steht für jede Ziffer",
            "a status word of four hexadecimal digits, such as 9000; x stands for any digit",
        ),
        Some("^[a-z0-9][a-z0-9-]{0,63}$") => Text::new(
            "ein CallName aus Kleinbuchstaben, Ziffern und Bindestrichen, etwa ec-terminal",
            "a name of lower-case replies, digits and hyphens, such as ec-terminal",
        ),
        Some(pattern) if pattern.starts_with("^(b64:") => {
            Text::new("eine Aufrufkennung als Text", "the id of a call, as text")
        }
        _ => match (&place["minLength"], &place["maxLength"]) {
            (Value::Number(min), Value::Number(max)) if min == max => Text::new(
                format!("ein Text aus {min} Zeichen"),
                format!("a text of {min} characters"),
            ),
            (Value::Number(min), Value::Number(max)) => Text::new(
                format!("ein Text aus {min} bis {max} Zeichen"),
                format!("a text of {min} to {max} characters"),
            ),
            _ => Text::new("ein Text", "a text"),
        },
    }
}

fn list(place: &Value) -> Text {
    match (&place["minItems"], &place["maxItems"]) {
        (Value::Number(min), Value::Number(max)) => Text::new(
            format!("eine Liste mit {min} bis {max} Einträgen"),
            format!("a list of {min} to {max} entries"),
        ),
        _ => Text::new("eine Liste", "a list"),
    }
}

fn object(place: &Value) -> Text {
    let needed = place["required"].as_array().into_iter().flatten();
    let needed: Vec<_> = needed.filter_map(Value::as_str).collect();
    if needed.is_empty() {
        return Text::new("ein Objekt", "an object");
    }
    let (de, en) = (needed.join(" und "), needed.join(" and "));
    Text::new(
        format!("ein Objekt mit {de}"),
        format!("an object with {en}"),
    )
}

#[cfg(test)]
mod tests {
    use koffer_proto::Class;

    use super::*;

    fn english(class: Class, operation: &str, field: &str) -> String {
        text(class.operation(operation).unwrap(), field).unwrap().en
    }

    #[test]
    fn what_belongs_into_a_field_is_said_with_its_unit_and_an_example() {
        for (class, operation, field, said) in [
            (
                Class::Payment,
                "pay",
                "amount.cents",
                "a whole number of cents, such as 3780 (1 to 999999999999)",
            ),
            (
                Class::Payment,
                "pay",
                "amount.currency",
                "three upper-case replies of ISO 4217, such as EUR",
            ),
            (
                Class::Payment,
                "pay",
                "amount",
                "an object with cents and currency",
            ),
            (
                Class::Payment,
                "pay",
                "reference",
                "a text of 1 to 64 characters",
            ),
            (
                Class::CardTerminal,
                "transmit",
                "commands[0].apdu",
                "bytes: base64 in JSON, a byte string in CBOR",
            ),
            (
                Class::Payment,
                "self-test",
                "level",
                "one of \"internal\", \"external\", \"interactive\"",
            ),
            (
                Class::AnyDevice,
                "claim",
                "lease_ms",
                "a whole number of milliseconds (1000 to 3600000)",
            ),
        ] {
            assert_eq!(
                english(class, operation, field),
                said,
                "{operation} {field}"
            );
        }
        assert_eq!(text(Class::Payment.operation("pay").unwrap(), "tip"), None);
    }

    /// Every path below `place`, each list with its first entry.
    fn paths(schema: &Value, place: &Value, above: &str, found: &mut Vec<String>) {
        let place = resolved(schema, place);
        let forms = place["oneOf"].as_array().into_iter().flatten();
        for form in forms.chain([place]).map(|form| resolved(schema, form)) {
            for (name, below) in form["properties"].as_object().into_iter().flatten() {
                let path = if above.is_empty() {
                    name.clone()
                } else {
                    format!("{above}.{name}")
                };
                found.push(path.clone());
                paths(schema, below, &path, found);
            }
        }
        if let Some(below) = place.get("items") {
            let path = format!("{above}[0]");
            found.push(path.clone());
            paths(schema, below, &path, found);
        }
    }

    #[test]
    fn every_field_of_every_operation_has_its_words_in_both_languages() {
        let mut seen = 0;
        for spec in Class::ALL.iter().flat_map(|class| class.own_operations()) {
            let schema = schema::params(spec);
            let mut fields = Vec::new();
            paths(&schema, &schema, "", &mut fields);
            for field in fields {
                seen += 1;
                let said = text(spec, &field);
                let said = said.unwrap_or_else(|| panic!("{}: {field}", spec.name));
                assert!(said.de != said.en, "{}: {field}: {}", spec.name, said.de);
            }
        }
        assert!(seen > 60, "{seen}");
    }
}
