//! What people see of a call: progress as it comes, receipts as receipts, and the end in a sentence.

mod card;
mod completion;
mod payment;
mod position;
mod power;
mod receipt;
mod result;
mod table;
mod view;

use std::io;

use koffer_proto::Lang;
use serde_json::Value;

use super::reading::text;
use super::screen::{Screen, harmless};
use super::texts;

pub(super) use completion::{Said, Tone, completion};
pub(super) use result::{calls, flat, tree, unresolved};
pub(super) use table::{fields, moment, table};

/// The progress of one call: remembers which receipts were drawn.
#[derive(Debug, Default)]
pub(super) struct Progress {
    receipts: Vec<Value>,
}

impl Progress {
    /// Shows one progress message. Receipts are drawn, what has no form for people is passed over.
    pub(super) fn show(&mut self, value: Value, screen: &Screen) -> io::Result<()> {
        if screen.is_json() {
            return screen.json("progress", value);
        }
        if text(&value, "event") == "receipt" {
            return match value.get("receipt") {
                Some(receipt) => self.draw(receipt, screen),
                None => Ok(()),
            };
        }
        match event(&value, screen.lang()) {
            Some(line) => screen.text(&format!("{} {line}", screen.paint().faint("·"))),
            None => Ok(()),
        }
    }

    /// Draws the receipts of a result that were not drawn before.
    pub(super) fn rest(&mut self, result: &Value, screen: &Screen) -> io::Result<()> {
        let receipts = result.get("receipts").and_then(Value::as_array);
        for receipt in receipts.into_iter().flatten() {
            if !self.receipts.contains(receipt) {
                self.draw(receipt, screen)?;
            }
        }
        Ok(())
    }

    fn draw(&mut self, receipt: &Value, screen: &Screen) -> io::Result<()> {
        self.receipts.push(receipt.clone());
        screen.text(&receipt::receipt(receipt, screen.lang(), screen.paint()))
    }
}

/// One progress event in a few words; `None` where there is nothing to tell.
fn event(value: &Value, lang: Lang) -> Option<String> {
    let number = |field: &str| value.get(field).and_then(Value::as_u64).unwrap_or_default();
    let words = match text(value, "event") {
        "queued" => texts::queued(&number("ahead")),
        "started" => texts::started(),
        "sheets-completed" => texts::sheets(&number("sheets")),
        "advanced" => texts::advanced(&number("completed"), &number("total")),
        "attempt" => texts::attempt(&number("number"), &number("of")),
        "finger-placed" => texts::finger_placed(),
        "finger-removed" => texts::finger_removed(),
        "pen-down" => texts::pen_down(),
        "page" => texts::page(&number("number")),
        "feeder-empty" => texts::feeder_empty(),
        "preview" | "strokes" => return None,
        "self-test" => {
            let step = value.get("step")?;
            let outcome = texts::step_outcome(text(step, "outcome"));
            let outcome = outcome.get(lang);
            let told = format!(
                "{}: {outcome}  {}",
                text(step, "name"),
                text(step, "message")
            );
            return Some(harmless(told.trim_end()));
        }
        // Those that bring their sentence along, and those of a later version.
        other => {
            let sentence = text(value, "text");
            let told = if sentence.is_empty() { other } else { sentence };
            return (!told.is_empty()).then(|| harmless(told));
        }
    };
    Some(words.get(lang).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_told_in_a_few_words_and_unknown_events_by_their_name() {
        for (value, expected) in [
            (
                json!({"event": "queued", "ahead": 2}),
                Some("in der Warteschlange; davor: 2"),
            ),
            (
                json!({"event": "terminal-text", "code": "insert-card", "text": "Karte einstecken"}),
                Some("Karte einstecken"),
            ),
            (
                json!({"event": "self-test", "step":
                    {"name": "host", "outcome": "passed", "message": "erreicht"}}),
                Some("host: bestanden  erreicht"),
            ),
            (
                json!({"event": "from-version-1-1", "x": 1}),
                Some("from-version-1-1"),
            ),
            (json!({"event": "strokes", "points": []}), None),
            (json!({"no": "event"}), None),
            (json!({"event": 7}), None),
        ] {
            assert_eq!(event(&value, Lang::De).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn every_event_of_the_contract_is_told_or_passed_over_on_purpose() {
        let mut seen = 0;
        for (name, value) in crate::examples::all() {
            if !name.starts_with("envelope.progress.") || name.contains(".receipt") {
                continue;
            }
            seen += 1;
            let silent = matches!(text(&value, "event"), "preview" | "strokes");
            for lang in [Lang::De, Lang::En] {
                assert_eq!(event(&value, lang).is_none(), silent, "{name}");
            }
        }
        assert!(seen > 10);
    }
}
