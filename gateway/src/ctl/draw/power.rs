//! What a power supply answered.

use koffer_proto::{Lang, Text};
use serde_json::Value;

use super::table::known;
use super::view::View;
use crate::ctl::reading::text;

pub(super) static VIEW: View = View {
    result: |operation, result, lang| {
        let is_status = operation == "status" && result.get("low").is_some();
        is_status.then(|| status(result, lang))
    },
    done: |_, _| None,
};

fn status(result: &Value, lang: Lang) -> String {
    let source = match text(result, "source") {
        "mains" => Text::new("Netz", "mains"),
        "battery" => Text::new("Akku", "battery"),
        _ => Text::new("unbekannt", "unknown"),
    };
    let low = match result.get("low").and_then(Value::as_bool) {
        Some(true) => Text::new("ja", "yes"),
        _ => Text::new("nein", "no"),
    };
    let number = |field: &str| result.get(field).and_then(Value::as_u64);
    let charge = number("charge_percent").map(|percent| format!("{percent} %"));
    let runtime = number("runtime_ms").map(|ms| format!("{} min", ms / 60_000));
    let rows = [
        (
            Text::new("Quelle", "source"),
            Some(source.get(lang).to_owned()),
        ),
        (Text::new("Ladung", "charge"), charge),
        (Text::new("Restzeit", "runtime"), runtime),
        (
            Text::new("Fast leer", "almost empty"),
            Some(low.get(lang).to_owned()),
        ),
    ];
    known(rows, lang)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_battery_is_told_in_words_and_units() {
        let told = json!({"source": "battery", "charge_percent": 60, "runtime_ms": 900_000,
            "low": false});
        let shown = (VIEW.result)("status", &told, Lang::De).unwrap();
        for part in ["Akku", "60 %", "15 min", "nein"] {
            assert!(shown.contains(part), "{shown}");
        }
        assert_eq!(
            (VIEW.result)("status", &json!({"fix": "none"}), Lang::De),
            None
        );
    }
}
