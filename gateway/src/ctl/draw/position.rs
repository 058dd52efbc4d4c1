//! What a position receiver answered.

use koffer_proto::{Lang, Text};
use serde_json::Value;

use super::table::known;
use super::view::View;
use crate::ctl::reading::text;
use crate::ctl::screen::harmless;

pub(super) static VIEW: View = View {
    result: |operation, result, lang| {
        let is_status = operation == "status" && result.get("fix").is_some();
        is_status.then(|| status(result, lang))
    },
    done: |_, _| None,
};

fn status(result: &Value, lang: Lang) -> String {
    let fix = match text(result, "fix") {
        "none" => Text::new("keine", "none"),
        "two-d" => Text::new("ohne Höhe", "without height"),
        "three-d" => Text::new("mit Höhe", "with height"),
        other => Text::new(harmless(other), harmless(other)),
    };
    let number = |field: &str| result.get("place")?.get(field)?.as_f64();
    let place = number("latitude").zip(number("longitude"));
    let metres = |field| number(field).map(|metres| format!("{metres:.0} m"));
    let satellites = result.get("satellites").and_then(Value::as_u64);
    let rows = [
        (
            Text::new("Position", "position"),
            Some(fix.get(lang).to_owned()),
        ),
        (
            Text::new("Breite, Länge", "latitude, longitude"),
            place.map(|(latitude, longitude)| format!("{latitude:.5}, {longitude:.5}")),
        ),
        (Text::new("Höhe", "height"), metres("height_m")),
        (Text::new("Genauigkeit", "accuracy"), metres("accuracy_m")),
        (
            Text::new("Satelliten", "satellites"),
            satellites.map(|used| used.to_string()),
        ),
    ];
    known(rows, lang)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_told_in_degrees_and_metres() {
        let told = json!({"fix": "three-d", "satellites": 8,
            "place": {"latitude": 52.52, "longitude": 13.405, "height_m": 78.5}});
        let shown = (VIEW.result)("status", &told, Lang::De).unwrap();
        for part in ["mit Höhe", "52.52000, 13.40500", "8"] {
            assert!(shown.contains(part), "{shown}");
        }
        let power = json!({"source": "mains", "low": false});
        assert_eq!((VIEW.result)("status", &power, Lang::De), None);
    }
}
