//! What a payment terminal answered.

use koffer_proto::Lang;
use serde_json::Value;

use super::result::word;
use super::table::{known, table};
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
    let plain = |field: &str| {
        let text = match result.get(field)? {
            Value::Null => return None,
            Value::String(text) => harmless(text),
            other => harmless(&other.to_string()),
        };
        Some(text).filter(|text| !text.is_empty())
    };
    let amount = result
        .get("amount")
        .and_then(|amount| typed::written(amount, lang));
    let rows = [
        (texts::amount(), amount),
        (texts::receipt_number(), plain("receipt")),
        (texts::trace(), plain("trace")),
        (texts::terminal(), plain("terminal")),
        (texts::card(), plain("card")),
        (texts::pan(), plain("pan")),
        (texts::authorisation(), plain("authorisation")),
    ];
    known(rows, lang)
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
