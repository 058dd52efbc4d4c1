//! What must never be in the journal: card numbers, and the content of confidential answers.
//!
//! Drivers mask what they tell, and the dispatcher hands over no confidential content. This is the
//! second wall, and what it holds back it says in the log.

use koffer_drivers::{Evidence, card_number::mask_text};
use koffer_proto::{
    Completion, Detail, Effect, Failure, Lang, OperationSpec, Outcome, Response, Sha256, Status,
    Text,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Resolution, trouble::Trouble};

/// The largest an entry may be: many times a payment with all its receipts.
const MAX_ENTRY: usize = 1024 * 1024;

/// Evidence as JSON: what names something as it is, everything else without card numbers.
pub(super) fn facts(evidence: &Evidence) -> Result<String, Trouble> {
    let mut facts = plain(&evidence.facts);
    masked(&mut facts);
    if let Value::Object(facts) = &mut facts {
        let ids = evidence.ids.iter();
        facts.extend(ids.map(|(name, id)| (name.to_string(), id.as_str().into())));
    }
    checked(&facts)
}

/// A completion as JSON: the name of its device as it is, everything else without card numbers.
pub(super) fn completion(completion: &Completion<Response>) -> Result<String, Trouble> {
    let mut kept = plain(completion);
    let device = kept.get("device").cloned();
    masked(&mut kept);
    if let (Some(device), Some(place)) = (device, kept.get_mut("device")) {
        *place = device;
    }
    checked(&kept)
}

/// A resolution as JSON: what was observed without card numbers.
pub(super) fn resolution(resolution: &Resolution) -> Result<String, Trouble> {
    let mut observation = plain(&resolution.observation);
    masked(&mut observation);
    checked(&json!({
        "by": resolution.by,
        "finding": resolution.finding,
        "observation": observation,
    }))
}

/// Evidence and completions are plain data: nothing in them can fail to become JSON.
fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn masked(value: &mut Value) {
    if mask(value) {
        tracing::warn!("a card number was masked on its way into the journal");
    }
}

fn checked(json: &Value) -> Result<String, Trouble> {
    let text = json.to_string();
    if text.len() > MAX_ENTRY {
        return Err(Trouble::TooLarge(text.len()));
    }
    Ok(text)
}

/// Masks every card number in the texts of `value`; says whether there was one.
fn mask(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            // A digest may hold digits that happen to look like a card number.
            if Sha256::try_from(text.clone()).is_ok() {
                return false;
            }
            let masked = mask_text(text);
            let found = masked != *text;
            *text = masked;
            found
        }
        Value::Array(values) => values
            .iter_mut()
            .fold(false, |any, value| mask(value) | any),
        Value::Object(fields) => fields
            .values_mut()
            .fold(false, |any, value| mask(value) | any),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The completion as it may be kept: of a confidential answer, what became of the effect.
pub(super) fn keepable(
    completion: Completion<Response>,
    spec: &OperationSpec,
    lang: Lang,
) -> Completion<Response> {
    if !spec.confidential {
        return completion;
    }
    let outcome = match completion.outcome {
        Outcome::Ok(_) => {
            tracing::warn!(
                operation = spec.name,
                "the content of a confidential answer was held back from the journal"
            );
            let text = Text::new(
                "Der Aufruf wurde ausgeführt; seine Antwort war vertraulich und wurde nicht gespeichert.",
                "The call was carried out; its answer was confidential and was not stored.",
            );
            let failure = Failure::unfinished(Status::DeviceFault, Effect::Done, text.get(lang));
            Outcome::Failed(failure)
        }
        Outcome::Failed(failure) => {
            let detail = Detail {
                evidence: None,
                ..(*failure.detail).clone()
            };
            Outcome::Failed(failure.with(detail))
        }
    };
    Completion {
        device: completion.device,
        outcome,
        ignored: completion.ignored,
    }
}
