//! Everything that is generated from these types: the JSON Schema (2020-12) of every operation
//! and envelope, and one AsyncAPI 3 document.
//!
//! Nothing here names an operation, a status or an event: all of it comes from [`Class::ALL`],
//! the tables of operations and the types. `koffer-contract write` puts it under
//! `docs/contract`; the gateway answers `schema` from [`operation`].

mod asyncapi;
mod completion;
mod envelope;
mod message_properties;
mod page;
mod topics;

use std::collections::BTreeMap;

use schemars::{
    Schema, SchemaGenerator,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::{Value, json};

pub use self::{
    asyncapi::asyncapi,
    envelope::{Envelope, envelopes},
};
use crate::{Class, OperationDescription, OperationSpec, class::gateway::OperationSchema};

/// The JSON Schemas of the operation `name` of a device of `class`, as `gateway/schema` answers;
/// `None` where it has none of that name.
pub fn operation(class: Class, name: &str) -> Option<OperationSchema> {
    class.operation(name).map(|spec| OperationSchema {
        params: params(spec),
        result: result(spec),
    })
}

/// The JSON Schema of an operation's parameters: what a caller may send.
pub fn params(spec: &OperationSpec) -> Value {
    let schema = (spec.params)(&mut accepted(SchemaSettings::draft2020_12()));
    let title = format!("{}/{}: parameters", spec.class, spec.name);
    described(schema, spec, &spec.params_urn(), &title)
}

/// The JSON Schema of an operation's result: what a caller will get.
pub fn result(spec: &OperationSpec) -> Value {
    let schema = (spec.result)(&mut sent(SchemaSettings::draft2020_12()));
    let title = format!("{}/{}: result", spec.class, spec.name);
    described(schema, spec, &spec.result_urn(), &title)
}

/// Every generated file: its path below `docs/contract`, and its content. The same types give
/// the same bytes: keys are sorted, and a newline ends the file.
pub fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for spec in operations() {
        let path = format!("schema/{}/{}", spec.class, spec.name);
        files.insert(format!("{path}.params.json"), file(params(spec)));
        files.insert(format!("{path}.result.json"), file(result(spec)));
    }
    for envelope in envelopes() {
        let path = format!("schema/envelope/{}.json", envelope.name);
        files.insert(path, file(envelope.schema));
    }
    files.insert("operations.md".to_owned(), page::operations());
    files.insert("asyncapi.json".to_owned(), file(asyncapi()));
    files
}

/// The text of a file that holds `document`.
pub fn file(mut document: Value) -> String {
    // Without effect unless another crate of the build turns on serde_json's `preserve_order`.
    document.sort_all_objects();
    format!("{document:#}\n")
}

/// Every operation of every class, each once.
fn operations() -> impl Iterator<Item = &'static OperationSpec> {
    Class::ALL.iter().flat_map(|class| class.own_operations())
}

fn described(schema: Schema, spec: &OperationSpec, urn: &str, title: &str) -> Value {
    let description = OperationDescription::from(spec);
    let mut schema = schema.to_value();
    schema["$id"] = json!(urn);
    schema["title"] = json!(title);
    schema["description"] = json!(spec.summary);
    schema["x-koffer-effect"] = json!(description.effect);
    schema["x-koffer-max-duration-ms"] = json!(description.max_duration_ms);
    schema["x-koffer-confidential"] = json!(description.confidential);
    schema
}

/// A generator for what the gateway reads: what has a default may be left out.
fn accepted(settings: SchemaSettings) -> SchemaGenerator {
    let plain = RecursiveTransform(plain as fn(&mut Schema));
    settings
        .for_deserialize()
        .with_transform(plain)
        .into_generator()
}

/// A generator for what the gateway writes: what is always there is required.
fn sent(settings: SchemaSettings) -> SchemaGenerator {
    let plain = RecursiveTransform(plain as fn(&mut Schema));
    settings
        .for_serialize()
        .with_transform(plain)
        .into_generator()
}

/// Says in JSON Schema's own words what schemars says in Rust's: the range of an integer, and
/// that what is absent is left out and never null.
fn plain(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    let format = object.get("format").and_then(Value::as_str);
    let range = match format {
        Some("uint8") => Some((Some(0), Some(i64::from(u8::MAX)))),
        Some("uint16") => Some((Some(0), Some(i64::from(u16::MAX)))),
        Some("uint32") => Some((Some(0), Some(i64::from(u32::MAX)))),
        Some("uint64" | "uint") => Some((Some(0), None)),
        Some("int16") => Some((Some(i64::from(i16::MIN)), Some(i64::from(i16::MAX)))),
        Some("int32") => Some((Some(i64::from(i32::MIN)), Some(i64::from(i32::MAX)))),
        // Beyond 2^53 many readers of JSON cannot tell neighbours apart: no bound is stated.
        Some("int64" | "float" | "double") => Some((None, None)),
        _ => None,
    };
    if let Some((min, max)) = range {
        object.remove("format");
        for (keyword, bound) in [("minimum", min), ("maximum", max)] {
            if let Some(bound) = bound {
                object.entry(keyword).or_insert_with(|| json!(bound));
            }
        }
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::String(description)) = object.get_mut("description") {
        // Doc comments break their lines for the reader of the code.
        *description = description.replace('\n', " ");
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({ "type": "null" }));
        if let [Value::Object(only)] = choices.as_mut_slice() {
            let only = std::mem::take(only);
            object.remove("anyOf");
            for (keyword, value) in only {
                // What is said of the field goes before what is said of its type.
                object.entry(keyword).or_insert(value);
            }
        }
    }
}

/// Applies what [`plain`] does to a schema that was put together by hand.
fn make_plain(schema: &mut Schema) {
    RecursiveTransform(plain as fn(&mut Schema)).transform(schema);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_both_schemas_under_the_urns_of_its_description() {
        for class in Class::ALL {
            for spec in class.operations() {
                let schema = operation(*class, spec.name).unwrap();
                let described = OperationDescription::from(spec);
                assert_eq!(schema.params["$id"], described.schema);
                assert_eq!(schema.result["$id"], spec.result_urn());
                assert_eq!(schema.params["description"], spec.summary);
                assert_eq!(schema.params["x-koffer-effect"], json!(spec.effect));
            }
        }
        assert!(operation(Class::Payment, "explode").is_none());
    }

    #[test]
    fn a_schema_says_what_must_be_there_and_within_which_bounds() {
        let pay = operation(Class::Payment, "pay").unwrap();
        assert_eq!(pay.params["required"], json!(["amount"]));
        let cents = &pay.params["$defs"]["Amount"]["properties"]["cents"];
        assert_eq!(cents["maximum"], 999_999_999_999_u64);
        assert_eq!(pay.result["properties"]["receipt"]["maximum"], 65_535);
        assert_eq!(pay.result["properties"]["card"]["type"], "string");
        let required = pay.result["required"].as_array().unwrap();
        assert!(required.contains(&json!("recovered")));
        assert!(!required.contains(&json!("card")));
    }

    #[test]
    fn no_schema_speaks_of_null_or_of_rust_s_integers() {
        for (path, content) in files() {
            for word in ["\"null\"", "\"uint", "\"int64", "\"int32", "\"double\""] {
                assert!(!content.contains(word), "{path} has {word}");
            }
        }
    }
}
