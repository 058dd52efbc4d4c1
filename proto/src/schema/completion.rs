//! The schema of a completion. The types hold together which effect may come with which status;
//! the schema says the same.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{Completion, Detail, DeviceId, Effect, Status};

impl<R: JsonSchema> JsonSchema for Completion<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("Completion_of_{}", R::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let result = generator.subschema_for::<R>();
        let done = done(generator, &result);
        json_schema!({ "oneOf": [done, failure(generator)] })
    }
}

/// A completion that says `ok` and brings `result`.
pub(super) fn done(generator: &mut SchemaGenerator, result: &Schema) -> Schema {
    json_schema!({
        "type": "object",
        "title": "Done",
        "properties": {
            "status": words::<Status>(generator, |word| *word == *Status::Ok.as_str()),
            "device": device(generator),
            "result": result,
            "ignored": ignored(),
        },
        "required": ["status", "result"],
    })
}

/// A completion that says anything else.
pub(super) fn failure(generator: &mut SchemaGenerator) -> Schema {
    // Statuses that may state the same effects stand together, in the order of the contract.
    let mut groups: Vec<(Vec<Effect>, Vec<Status>)> = Vec::new();
    for status in Status::ALL
        .into_iter()
        .filter(|status| *status != Status::Ok)
    {
        let mut effects = Effect::ALL.to_vec();
        effects.retain(|effect| status.allows(*effect));
        match groups.iter_mut().find(|(allowed, _)| *allowed == effects) {
            Some((_, statuses)) => statuses.push(status),
            None => groups.push((effects, vec![status])),
        }
    }
    let groups: Vec<_> = groups
        .into_iter()
        .map(|(effects, statuses)| {
            json!({
                "properties": {
                    "status": words::<Status>(generator, |word| {
                        statuses.iter().any(|status| *word == *status.as_str())
                    }),
                    "effect": words::<Effect>(generator, |word| {
                        effects.iter().any(|effect| *word == *effect.as_str())
                    }),
                },
            })
        })
        .collect();
    json_schema!({
        "type": "object",
        "title": "Not done, or not known",
        "properties": {
            "status": { "type": "string" },
            "effect": { "type": "string" },
            "device": device(generator),
            "message": {
                "type": "string",
                "description": "In the caller's language: what happened, and what to do.",
            },
            "detail": generator.subschema_for::<Detail>(),
            "ignored": ignored(),
        },
        "required": ["status", "effect", "message"],
        "oneOf": groups,
    })
}

fn ignored() -> Value {
    json!({
        "type": "array",
        "items": { "type": "string" },
        "description": "Fields of the call that nobody reads, such as a misspelt `refrence`: they had no \
                        effect. Absent where there are none.",
    })
}

fn device(generator: &mut SchemaGenerator) -> Value {
    // Wrapped, so that the description stands beside no `$ref` in drafts that pass it over.
    json!({
        "allOf": [generator.subschema_for::<DeviceId>()],
        "description": "The device that did it or tried; absent where none was reached.",
    })
}

/// The schema of the keywords of `T` that `fits` picks, each with its description.
fn words<T: JsonSchema>(generator: &mut SchemaGenerator, fits: impl Fn(&Value) -> bool) -> Value {
    let schema = T::json_schema(generator).to_value();
    let mut words: Vec<_> = schema["oneOf"].as_array().cloned().unwrap_or_default();
    words.retain(|word| fits(&word["const"]));
    match <[Value; 1]>::try_from(words) {
        Ok([only]) => only,
        Err(words) => json!({ "oneOf": words }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_stands_in_the_schema_once_with_its_meaning() {
        let mut generator = SchemaGenerator::default();
        let schema = Completion::<Value>::json_schema(&mut generator).to_value();
        let text = schema.to_string();
        for status in Status::ALL {
            let word = format!("\"const\":\"{status}\"");
            assert_eq!(text.matches(&word).count(), 1, "{status}");
        }
    }
}
