//! The end of a call in plain language: what happened, and whether money moved.

use jiff::tz::TimeZone;
use koffer_proto::{Lang, Status, Text};
use serde_json::Value;

use super::{result, view};
use crate::ctl::asked::Asked;
use crate::ctl::reading::{self, text};
use crate::ctl::screen::harmless;
use crate::ctl::{texts, typed};

/// What there is to say of a completion.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Said {
    /// The result's lines; empty where there are none.
    pub(in crate::ctl) result: String,
    /// The sentences.
    pub(in crate::ctl) sentences: Vec<String>,
    /// How to say them.
    pub(in crate::ctl) tone: Tone,
}

/// How a call ended for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ctl) enum Tone {
    /// As wished.
    Good,
    /// Not as wished, and it is known what happened.
    Bad,
    /// Nobody knows what happened, and it must not happen twice.
    Alarm,
}

/// What an operation does to the world, in the words for it.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Money,
    Closing,
    Paper,
    Chip,
    /// Anything else that must not happen twice.
    Other,
    /// It asks, or may happen again.
    Harmless,
}

impl Deed {
    fn of(asked: &Asked) -> Self {
        match asked.operation.as_str() {
            _ if !asked.is_once() => Self::Harmless,
            "pay" | "refund" | "reverse" => Self::Money,
            "end-of-day" => Self::Closing,
            "print" => Self::Paper,
            "write" => Self::Chip,
            _ => Self::Other,
        }
    }

    /// What became of it; nothing where there is nothing to say.
    fn effect(self, effect: &str) -> Option<Text> {
        Some(match (self, effect) {
            (Self::Money, "none") => texts::money_none(),
            (Self::Money, "done") => texts::money_done(),
            (Self::Money, "partial") => texts::money_partial(),
            (Self::Money, _) => texts::money_unknown(),
            (Self::Closing, "none") => texts::closing_none(),
            (Self::Closing, "done") => texts::closing_done(),
            (Self::Closing, "partial") => texts::closing_partial(),
            (Self::Closing, _) => texts::closing_unknown(),
            (Self::Paper, "none") => texts::paper_none(),
            (Self::Paper, "done") => texts::paper_done(),
            (Self::Paper, "partial") => texts::paper_partial(),
            (Self::Paper, _) => texts::paper_unknown(),
            (Self::Chip, "none") => texts::chip_none(),
            (Self::Chip, "done") => texts::chip_done(),
            (Self::Chip, "partial") => texts::chip_partial(),
            (Self::Chip, _) => texts::chip_unknown(),
            (Self::Other | Self::Harmless, "none") => texts::deed_none(),
            (Self::Other | Self::Harmless, "partial") => texts::deed_partial(),
            (Self::Other, "done") => texts::deed_done(),
            (Self::Other, _) => texts::deed_unknown(),
            (Self::Harmless, _) => return None,
        })
    }
}

/// Puts a completion into words.
pub(in crate::ctl) fn completion(
    asked: &Asked,
    client: &str,
    completion: &Value,
    lang: Lang,
    zone: &TimeZone,
) -> Said {
    let deed = Deed::of(asked);
    let result = completion.get("result").unwrap_or(&Value::Null);
    if text(completion, "status") == Status::Ok.as_str() {
        let mut sentences = done(asked, deed, completion, lang, zone);
        sentences.extend(ignored(completion, lang));
        return Said {
            result: match &asked.save_to {
                Some(_) => String::new(),
                None => result::result(asked.operation.as_str(), result, lang, zone),
            },
            sentences,
            tone: Tone::Good,
        };
    }
    // What a later version may leave out counts as unknown.
    let effect = match text(completion, "effect") {
        "" => "unknown",
        effect => effect,
    };
    let certain = matches!(effect, "none" | "done" | "partial");
    let mut sentences = vec![status(text(completion, "status")).get(lang).to_owned()];
    let message = text(completion, "message");
    if !message.is_empty() {
        sentences.push(harmless(message));
    }
    sentences.extend(detail(completion, lang));
    sentences.extend(deed.effect(effect).map(|text| text.get(lang).to_owned()));
    sentences.extend(ignored(completion, lang));
    let alarm = !certain && !matches!(deed, Deed::Harmless);
    if alarm {
        let resolve = texts::resolve(&asked.id, &client);
        sentences.push(resolve.get(lang).to_owned());
    }
    Said {
        result: String::new(),
        sentences,
        tone: if alarm { Tone::Alarm } else { Tone::Bad },
    }
}

/// Which fields of the call had no effect.
fn ignored(completion: &Value, lang: Lang) -> Option<String> {
    let names = completion.get("ignored")?.as_array()?;
    let names: Vec<_> = names
        .iter()
        .filter_map(Value::as_str)
        .map(harmless)
        .collect();
    let said = texts::ignored(&names.join(", "));
    (!names.is_empty()).then(|| said.get(lang).to_owned())
}

fn done(asked: &Asked, deed: Deed, completion: &Value, lang: Lang, zone: &TimeZone) -> Vec<String> {
    let result = completion.get("result").unwrap_or(&Value::Null);
    let verdict = text(result, "verdict");
    let booked = || {
        let amount = typed::written(result.get("amount")?, lang)?;
        let receipt = result.get("receipt")?.as_u64()?;
        Some(match asked.operation.as_str() {
            "refund" => texts::refunded(&amount, &receipt),
            "reverse" => texts::reversed(&amount, &receipt),
            _ => texts::paid(&amount, &receipt),
        })
    };
    let first = match (deed, asked.operation.as_str()) {
        (Deed::Money, _) => booked().unwrap_or_else(texts::money_done),
        (Deed::Paper, _) => printed(completion, result),
        (Deed::Chip | Deed::Other, operation) => view::done(operation, result)
            .or_else(|| deed.effect("done"))
            .unwrap_or_else(texts::status_ok),
        (Deed::Closing, _) => texts::closing_done(),
        (Deed::Harmless, "read") if let Some(path) = &asked.save_to => {
            texts::saved(&path.display())
        }
        (Deed::Harmless, operation) if let Some(text) = view::done(operation, result) => text,
        (Deed::Harmless, "claim") => {
            let until = super::moment(text(result, "until"), zone);
            texts::claim_held(&harmless(text(result, "token")), &until)
        }
        (Deed::Harmless, "release") => texts::released(),
        (Deed::Harmless, "cancel") => match verdict {
            "cancelled" => texts::cancel_heard(),
            "too-late" => texts::cancel_too_late(),
            _ => texts::cancel_unknown(),
        },
        (Deed::Harmless, "signal") => match verdict {
            "delivered" => texts::signal_delivered(),
            "not-expected" => texts::signal_not_expected(),
            _ => texts::signal_unknown(),
        },
        (Deed::Harmless, "calls") if !is_empty(result.get("unresolved")) => {
            let unresolved = result.get("unresolved").and_then(Value::as_array);
            texts::some_unresolved(&unresolved.map_or(0, Vec::len))
        }
        (Deed::Harmless, "calls") if is_empty(result.get("calls")) => texts::no_calls(),
        (Deed::Harmless, "self-test") => match reading::tested(result) {
            "passed" => texts::test_passed(),
            "skipped" => texts::test_skipped(),
            _ => texts::test_failed(),
        },
        // The answer is what was asked for.
        (Deed::Harmless, _) if !is_empty(Some(result)) => return Vec::new(),
        (Deed::Harmless, _) => texts::status_ok(),
    };
    let mut sentences = vec![first.get(lang).to_owned()];
    if result.get("recovered") == Some(&Value::Bool(true)) {
        sentences.push(texts::recovered().get(lang).to_owned());
    }
    sentences
}

/// Which printer did it, how much came out, and how much is proven.
fn printed(completion: &Value, result: &Value) -> Text {
    let device = harmless(text(completion, "device"));
    let sheets = result.get("sheets").and_then(Value::as_u64);
    match (text(result, "proof"), sheets) {
        _ if device.is_empty() => texts::paper_done(),
        ("bytes-sent", _) => texts::printed_unproven(&device),
        (_, Some(sheets)) => texts::printed(&device, &sheets),
        (_, None) => texts::printed_uncounted(&device),
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(entries)) => entries.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    }
}

fn status(status: &str) -> Text {
    let known = Status::ALL
        .into_iter()
        .find(|known| known.as_str() == status);
    match known {
        Some(Status::Ok) => texts::status_ok(),
        Some(Status::BadRequest) => texts::status_bad_request(),
        Some(Status::Unsupported) => texts::status_unsupported(),
        Some(Status::Denied) => texts::status_denied(),
        Some(Status::UnknownDevice) => texts::status_unknown_device(),
        Some(Status::Unavailable) => texts::status_unavailable(),
        Some(Status::Busy) => texts::status_busy(),
        Some(Status::Claimed) => texts::status_claimed(),
        Some(Status::Expired) => texts::status_expired(),
        Some(Status::Conflict) => texts::status_conflict(),
        Some(Status::Declined) => texts::status_declined(),
        Some(Status::Cancelled) => texts::status_cancelled(),
        Some(Status::TimedOut) => texts::status_timed_out(),
        Some(Status::DeviceFault) => texts::status_device_fault(),
        Some(Status::OutcomeUnknown) => texts::status_outcome_unknown(),
        None => texts::status_strange(&harmless(status)),
    }
}

fn detail(completion: &Value, lang: Lang) -> Vec<String> {
    let Some(detail) = completion.get("detail") else {
        return Vec::new();
    };
    let named = |field: &str| Some(harmless(text(detail, field))).filter(|text| !text.is_empty());
    let number = |field: &str| detail.get(field).and_then(Value::as_u64);
    [
        named("field").map(|name| texts::field(&name)),
        named("device_code").map(|code| texts::device_code(&code)),
        named("claimed_by").map(|client| texts::claimed_by(&client)),
        number("completed").map(|count| texts::completed(&count)),
        number("retry_after_ms").map(|ms| texts::retry_after(&ms.div_ceil(1000))),
    ]
    .into_iter()
    .flatten()
    .map(|text| text.get(lang).to_owned())
    .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::ctl::args::Line;

    fn said(words: &[&str], value: &Value, lang: Lang) -> Said {
        let words = ["kofferctl"].iter().chain(words).chain(&["--call", "c1"]);
        let line = Line::try_parse_from(words).unwrap();
        let asked = Asked::from_command(line.command, &line.options)
            .unwrap()
            .unwrap();
        completion(&asked, "ws-1", value, lang, &TimeZone::UTC)
    }

    #[test]
    fn a_payment_s_end_says_whether_money_moved() {
        let pay = ["pay", "ec", "37.80"];
        let ok = json!({"status": "ok", "device": "ec", "result":
            {"receipt": 231, "amount": {"cents": 3780, "currency": "EUR"}, "recovered": true}});
        let told = said(&pay, &ok, Lang::De);
        assert_eq!(
            told.sentences,
            [
                "Bezahlt: 37,80 EUR, Beleg 231. Zahlung gebucht.",
                "Das Ergebnis wurde nach einer Unterbrechung vom Gerät gelesen."
            ]
        );
        let misspelt = json!({"status": "ok", "device": "ec", "ignored": ["refrence", "a\u{1b}[2J"],
            "result": {"receipt": 231, "amount": {"cents": 3780, "currency": "EUR"}}});
        assert_eq!(
            said(&pay, &misspelt, Lang::En).sentences[1],
            "Unknown fields had no effect: refrence, a\u{fffd}[2J. Check their spelling."
        );
        let declined = json!({"status": "declined", "effect": "none", "message": "Card declined.",
            "detail": {"device_code": "6c"}});
        let told = said(&pay, &declined, Lang::En);
        assert_eq!(
            told.sentences,
            [
                "Declined.",
                "Card declined.",
                "The device's code: 6c",
                "Nothing was booked."
            ]
        );
        assert_eq!(told.tone, Tone::Bad);
    }

    #[test]
    fn an_unknown_outcome_is_loud_and_says_what_to_do() {
        for (status, effect) in [
            ("outcome-unknown", "unknown"),
            ("timed-out", "unknown"),
            ("from-version-2", "perhaps"),
        ] {
            let value = json!({"status": status, "effect": effect});
            for (lang, loud) in [(Lang::De, "NICHT WIEDERHOLEN"), (Lang::En, "DO NOT REPEAT")] {
                let told = said(&["refund", "ec", "5"], &value, lang);
                assert_eq!(told.tone, Tone::Alarm, "{status}");
                let text = told.sentences.join("\n");
                assert!(text.contains(loud), "{text}");
                assert!(
                    text.contains("kofferctl resolve c1 --client ws-1"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn every_status_with_every_effect_is_told_in_both_languages() {
        for status in Status::ALL {
            for effect in koffer_proto::Effect::ALL {
                let value = json!({"status": status.as_str(), "effect": effect.as_str()});
                for words in [
                    &["pay", "ec", "1"][..],
                    &["end-of-day", "ec"],
                    &["call", "a4", "print"],
                    &["call", "card", "write"],
                    &["call", "card", "transmit"],
                    &["status", "ec"],
                ] {
                    let [de, en] = [Lang::De, Lang::En].map(|lang| said(words, &value, lang));
                    assert!(!de.sentences.is_empty(), "{words:?} {status} {effect}");
                    assert_ne!(de.sentences, en.sentences, "{words:?} {status} {effect}");
                }
            }
        }
    }

    #[test]
    fn a_print_s_end_names_the_printer_and_how_much_is_proven() {
        let done = |result: Value| json!({"status": "ok", "device": "a4-2", "result": result});
        for (result, expected) in [
            (
                json!({"job": 1, "sheets": 2, "proof": "ipp-completed"}),
                "Printed on a4-2, sheets: 2.",
            ),
            (
                json!({"job": 1, "proof": "ipp-completed"}),
                "Printed on a4-2.",
            ),
            (
                json!({"job": 1, "proof": "bytes-sent"}),
                "a4-2 accepted the whole document and does not report whether it was printed.",
            ),
        ] {
            let told = said(&["call", "a4", "print"], &done(result), Lang::En);
            assert_eq!(told.sentences, [expected]);
            assert_eq!(told.result, "");
        }
    }

    #[test]
    fn a_card_s_end_says_what_is_on_the_chip() {
        let ok = |result: Value| json!({"status": "ok", "device": "c1", "result": result});
        let write = ["card", "c1", "write", "--path", "0101", "00"];
        let written = said(&write, &ok(json!({"bytes": 27, "sha256": "…"})), Lang::De);
        assert_eq!(
            written.sentences,
            ["27 Byte geschrieben und zurückgelesen."]
        );
        let partial =
            json!({"status": "device-fault", "effect": "partial", "detail": {"completed": 9}});
        let told = said(&write, &partial, Lang::De).sentences.join(" ");
        assert!(
            told.ends_with("Die Karte ist nur teilweise beschrieben."),
            "{told}"
        );
        let read = ["card", "c1", "read", "--path", "0101", "--to", "a.bin"];
        let kept = said(&read, &ok(json!({"content": "AA=="})), Lang::De);
        assert_eq!(kept.sentences, ["Gespeichert: a.bin"]);
        assert_eq!(kept.result, "");
    }

    #[test]
    fn verdicts_and_claims_are_sentences() {
        let ok = |result: Value| json!({"status": "ok", "result": result});
        for (words, result, expected) in [
            (
                &["cancel", "x"][..],
                json!({"verdict": "too-late"}),
                "too late",
            ),
            (
                &["signal", "x", "finish"],
                json!({"verdict": "delivered"}),
                "received the signal",
            ),
            (
                &["calls"],
                json!({"calls": []}),
                "No calls queued or running",
            ),
            (
                &["calls"],
                json!({"calls": [], "unresolved": [{"client": "ws-1"}]}),
                "DO NOT REPEAT: the outcome of 1 call(s)",
            ),
            (
                &["self-test", "ec", "internal"],
                json!({"passed": false}),
                "NOT pass",
            ),
            (
                &["self-test", "ec", "external"],
                json!({"passed": false, "outcome": "skipped"}),
                "Nothing was tested",
            ),
            (
                &["claim", "ec"],
                json!({"token": "t0ken", "until": "2026-03-02T08:15:30Z"}),
                "until 2026-03-02 08:15:30. Further calls with: --claim t0ken",
            ),
        ] {
            let text = said(words, &ok(result), Lang::En).sentences.join("\n");
            assert!(text.contains(expected), "{text}");
        }
    }
}
