//! What a payment terminal answered.

use koffer_proto::{Lang, Text};
use serde_json::Value;

use super::result::word;
use super::table::{fields, table};
use super::view::View;
use crate::ctl::reading::{entries, text};
use crate::ctl::screen::harmless;
use crate::ctl::{texts, typed};

pub(super) static VIEW: View = View {
    result: |operation, result, lang| match operation {
        "pay" | "refund" | "reverse" => Some(transaction(result, lang)),
        "end-of-day" => Some(closing(result, lang)),
        _ => None,
    },
    done: |_, _| None,
};

fn transaction(result: &Value, lang: Lang) -> String {
    let plain = |field: &str| match result.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => harmless(text),
        Some(other) => harmless(&other.to_string()),
    };
    let amount = result
        .get("amount")
        .and_then(|amount| typed::written(amount, lang));
    let rows: [(Text, String); 7] = [
        (texts::amount(), amount.unwrap_or_default()),
        (texts::receipt_number(), plain("receipt")),
        (texts::trace(), plain("trace")),
        (texts::terminal(), plain("terminal")),
        (texts::card(), plain("card")),
        (texts::pan(), plain("pan")),
        (texts::authorisation(), plain("authorisation")),
    ];
    let rows = rows.map(|(name, value)| {
        let values = Some(value).filter(|value| !value.is_empty());
        (name.get(lang).to_owned(), values.into_iter().collect())
    });
    fields(&rows)
}

fn closing(result: &Value, lang: Lang) -> String {
    let total = result.get("total");
    let currency = total.map_or("", |total| text(total, "currency"));
    let mut rows: Vec<_> = entries(result, "by_card")
        .map(|card| {
            let cents = card
                .get("cents")
                .and_then(Value::as_i64)
                .unwrap_or_default();
            [
                text(card, "card").to_owned(),
                word(card.get("count"), lang),
                typed::written_cents(cents, currency, lang)
                    .trim_end()
                    .to_owned(),
            ]
        })
        .collect();
    if let Some(total) = total.and_then(|total| typed::written(total, lang)) {
        rows.push([texts::sum().get(lang).to_owned(), String::new(), total]);
    }
    let head = [texts::card(), texts::count(), texts::sum()];
    if rows.is_empty() {
        return String::new();
    }
    table(head.map(|word| word.get(lang).to_owned()), rows)
}
