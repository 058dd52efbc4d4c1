//! What is shown of each class: one file per class, one line here.

use koffer_proto::{Lang, Text};
use serde_json::Value;

use super::{card, payment, position, power};

/// How the answers of one class are shown.
pub(super) struct View {
    /// The lines of an operation's result; `None` where the class has no form for it.
    pub(super) result: fn(&str, &Value, Lang) -> Option<String>,
    /// The sentence for an operation that did as it was told; `None` where a general one will do.
    pub(super) done: fn(&str, &Value) -> Option<Text>,
}

static VIEWS: &[&View] = &[&payment::VIEW, &card::VIEW, &power::VIEW, &position::VIEW];

/// The lines of a result, where a class has a form for it.
pub(super) fn result(operation: &str, result: &Value, lang: Lang) -> Option<String> {
    let mut views = VIEWS.iter();
    views.find_map(|view| (view.result)(operation, result, lang))
}

/// The sentence for what was done, where a class has its own.
pub(super) fn done(operation: &str, result: &Value) -> Option<Text> {
    VIEWS.iter().find_map(|view| (view.done)(operation, result))
}
