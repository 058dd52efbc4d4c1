//! What must never be in the journal: card numbers, and the content of confidential answers.
//!
//! Drivers mask what they tell, and the desk hands over no confidential content. This is the
//! second wall, and what it holds back it says in the log.

use koffer_drivers::payment::zvt::codec::pan::mask_text;
use koffer_proto::{
    Completion, Detail, Effect, Failure, Lang, OperationSpec, Outcome, Response, Sha256, Status,
    Text,
};
use serde::Serialize;
use serde_json::Value;

use super::trouble::Trouble;

/// The largest an entry may be: many times a payment with all its receipts.
const MAX_ENTRY: usize = 1024 * 1024;

/// `value` as JSON without card numbers.
pub(super) fn json(value: &impl Serialize) -> Result<String, Trouble> {
    // Evidence and completions are plain data: nothing in them can fail to become JSON.
    let mut json = serde_json::to_value(value).unwrap_or_default();
    if mask(&mut json) {
        tracing::warn!("a card number was masked on its way into the journal");
    }
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
                "Es ist geschehen; die Antwort hatte vertraulichen Inhalt und wurde nicht aufgehoben.",
                "It happened; the answer had confidential content and was not kept.",
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
