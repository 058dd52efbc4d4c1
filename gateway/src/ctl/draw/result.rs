//! The result of a call: as a table where it is known, else as it is.

use jiff::tz::TimeZone;
use koffer_proto::{Lang, Text};
use serde_json::Value;

use super::table::{fields, moment, table};
use super::view;
use crate::ctl::reading::{entries, sentence, text};
use crate::ctl::screen::harmless;
use crate::ctl::texts;

/// Longer texts are content: an image, a document.
const LONGEST: usize = 200;

/// The lines of a result; receipts are not among them, they are drawn.
pub(super) fn result(operation: &str, result: &Value, lang: Lang, zone: &TimeZone) -> String {
    if let Some(lines) = view::result(operation, result, lang) {
        return lines;
    }
    match operation {
        "calls" => {
            let parts = [
                calls(entries(result, "calls"), lang, zone),
                unresolved(entries(result, "unresolved"), lang, zone),
                claims(result, lang, zone),
            ];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            parts.collect::<Vec<_>>().join("\n\n")
        }
        "attached" => attached(result, lang),
        "self-test" => self_test(result, lang),
        "schema" => format!("{result:#}"),
        // Their sentence says it all.
        "claim" | "release" | "cancel" | "signal" | "print" => String::new(),
        _ => tree(result, lang),
    }
}

/// Calls that wait or run.
pub(in crate::ctl) fn calls<'a>(
    calls: impl Iterator<Item = &'a Value>,
    lang: Lang,
    zone: &TimeZone,
) -> String {
    let head = [texts::phase(), texts::deadline()];
    calls_with(calls, head, lang, |call| {
        let phase = texts::call_phase(text(call, "phase"));
        [
            phase.get(lang).to_owned(),
            moment(text(call, "deadline"), zone),
        ]
    })
}

/// Calls whose outcome only a person can tell, and what to look at.
pub(in crate::ctl) fn unresolved<'a>(
    calls: impl Iterator<Item = &'a Value>,
    lang: Lang,
    zone: &TimeZone,
) -> String {
    let head = [
        texts::journal_accepted_at(),
        texts::outcome_unknown_because(),
    ];
    calls_with(calls, head, lang, |call| {
        let reason = call.get("reason").unwrap_or(&Value::Null);
        [
            moment(text(call, "accepted_at"), zone),
            sentence(reason, lang).to_owned(),
        ]
    })
}

/// Whose calls, which, where and what, and two columns more.
fn calls_with<'a>(
    calls: impl Iterator<Item = &'a Value>,
    more: [Text; 2],
    lang: Lang,
    last_two: impl Fn(&Value) -> [String; 2],
) -> String {
    let rows: Vec<_> = calls
        .map(|call| {
            let [client, id, device, operation] =
                ["client", "call", "device", "operation"].map(|field| text(call, field).to_owned());
            let [third, last] = last_two(call);
            [client, id, device, operation, third, last]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let [third, last] = more;
    let head = [
        texts::client(),
        texts::call(),
        texts::device(),
        texts::operation(),
        third,
        last,
    ];
    table(head.map(|word| word.get(lang).to_owned()), rows)
}

fn claims(result: &Value, lang: Lang, zone: &TimeZone) -> String {
    let held = entries(result, "claims").map(|claim| {
        let until = moment(text(claim, "until"), zone);
        let held = texts::claim_of(&text(claim, "client"), &until);
        (text(claim, "device"), vec![held.get(lang).to_owned()])
    });
    fields(&held.collect::<Vec<_>>())
}

fn attached(result: &Value, lang: Lang) -> String {
    let rows: Vec<_> = entries(result, "attached")
        .map(|thing| {
            let (vid, pid) = (text(thing, "vid"), text(thing, "pid"));
            let usb = [vid, pid].join(":");
            let port = [text(thing, "port"), text(thing, "interface")].join(" ");
            let why = thing.get("reason").map(|reason| sentence(reason, lang));
            [
                text(thing, "name").to_owned(),
                text(thing, "by").to_owned(),
                if usb == ":" { String::new() } else { usb },
                text(thing, "serial").to_owned(),
                port.trim().to_owned(),
                text(thing, "model").to_owned(),
                why.unwrap_or(text(thing, "device")).to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return texts::nothing_unbound().get(lang).to_owned();
    }
    let head = [
        texts::attached(),
        texts::attached_by(),
        texts::usb_id(),
        texts::serial_number(),
        texts::port(),
        texts::model(),
        texts::device_or_reason(),
    ];
    table(head.map(|word| word.get(lang).to_owned()), rows)
}

fn self_test(result: &Value, lang: Lang) -> String {
    let plain = |field: &str| {
        let value = text(result, field).to_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    let of_device = [
        (texts::vendor(), plain("vendor")),
        (texts::model(), plain("model")),
        (texts::serial_number(), plain("serial")),
        (texts::firmware(), plain("firmware")),
        (texts::address(), plain("address")),
    ];
    let mut about: Vec<_> = of_device
        .into_iter()
        .map(|(name, value)| (name.get(lang).to_owned(), value.into_iter().collect()))
        .collect();
    about.push((
        texts::supplies().get(lang).to_owned(),
        supplies(entries(result, "supplies"), lang),
    ));
    let rows = entries(result, "steps")
        .map(|step| {
            let took = step.get("duration_ms").and_then(Value::as_u64);
            [
                text(step, "name").to_owned(),
                texts::step_outcome(text(step, "outcome"))
                    .get(lang)
                    .to_owned(),
                took.map_or_else(String::new, |took| format!("{took} ms")),
                text(step, "message").to_owned(),
            ]
        })
        .collect();
    let head = [
        texts::step(),
        texts::result(),
        texts::duration(),
        texts::remark(),
    ];
    let steps = table(head.map(|word| word.get(lang).to_owned()), rows);
    let parts = [fields(&about), steps];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n\n")
}

/// What the device can run out of, and how full it is.
fn supplies<'a>(supplies: impl Iterator<Item = &'a Value>, lang: Lang) -> Vec<String> {
    let supplies = supplies.map(|supply| {
        let name = text(supply, "name");
        match supply.get("percent").and_then(Value::as_u64) {
            Some(percent) => format!("{name}: {percent} %"),
            None => format!("{name}: {}", texts::not_told().get(lang)),
        }
    });
    supplies.collect()
}

/// Any value on one line.
pub(in crate::ctl) fn flat(value: &Value, lang: Lang) -> String {
    match value {
        Value::Array(entries) => {
            let entries = entries.iter().map(|entry| flat(entry, lang));
            entries.collect::<Vec<_>>().join(", ")
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| format!("{name} {}", flat(value, lang)));
            fields.collect::<Vec<_>>().join(", ")
        }
        value => word(Some(value), lang),
    }
}

/// Any value as indented lines of names and values, receipts left out.
pub(in crate::ctl) fn tree(value: &Value, lang: Lang) -> String {
    let mut lines = Vec::new();
    branch(value, 0, lang, &mut lines);
    lines.join("\n")
}

fn branch(value: &Value, depth: usize, lang: Lang, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let mut leaf = |name: &str, value: &Value| match value {
        Value::Object(fields) if fields.is_empty() => {}
        Value::Array(entries) if entries.is_empty() => {}
        Value::Object(_) | Value::Array(_) => {
            lines.push(format!("{indent}{}:", harmless(name)));
            branch(value, depth + 1, lang, lines);
        }
        _ => lines.push(format!(
            "{indent}{}: {}",
            harmless(name),
            word(Some(value), lang)
        )),
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "receipts") {
                leaf(name, value);
            }
        }
        Value::Array(entries) => {
            for (number, value) in entries.iter().enumerate() {
                leaf(&(number + 1).to_string(), value);
            }
        }
        other => lines.push(format!("{indent}{}", word(Some(other), lang))),
    }
}

/// A plain value as a word.
pub(super) fn word(value: Option<&Value>, lang: Lang) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::Bool(true)) => texts::yes().get(lang).to_owned(),
        Some(Value::Bool(false)) => texts::no().get(lang).to_owned(),
        Some(Value::String(text)) => {
            let count = text.chars().count();
            if count > LONGEST {
                texts::long_value(&count).get(lang).to_owned()
            } else {
                harmless(text)
            }
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::examples;

    #[test]
    fn a_payment_s_result_is_a_list_of_what_a_clerk_needs() {
        let value = examples::named("payment.pay.result");
        assert_eq!(
            result("pay", &value, Lang::De, &TimeZone::UTC),
            "\
Betrag       37,80 EUR
Beleg        231
Trace-Nr.    1077
Terminal-ID  68000123
Karte        girocard
Kartennr.    ************4711
Genehmigung  482913"
        );
    }

    #[test]
    fn a_closing_s_result_is_a_table_by_card() {
        let value = examples::named("payment.end-of-day.result");
        assert_eq!(
            result("end-of-day", &value, Lang::En, &TimeZone::UTC),
            "\
CARD      COUNT  SUM
girocard  2      -5.00 EUR
Sum              -5.00 EUR"
        );
    }

    #[test]
    fn what_is_attached_is_a_table_with_the_device_or_why_there_is_none() {
        let value = examples::named("gateway.attached.result");
        assert_eq!(
            result("attached", &value, Lang::De, &TimeZone::UTC),
            "\
ANGESCHLOSSEN               ART         VID:PID    SERIENNR.  USB-PORT  MODELL                GERÄT ODER GRUND
/dev/ttyUSB0                serial      0403:6001  A50285BI   1-1.2 00  FTDI FT232R USB UART  ec-terminal
1-1.4                       usb         04b8:0202             1-1.4     EPSON TM-T88V         Keine Regel passt.
REINER SCT cyberJack 00 00  pcsc                                                              Keine Regel passt.
tcp://192.0.2.7:20007       configured                                                        till-2"
        );
        let nothing = examples::named("gateway.attached.result.nothing");
        assert_eq!(
            result("attached", &nothing, Lang::En, &TimeZone::UTC),
            "Everything attached is used by a device."
        );
    }

    #[test]
    fn any_other_result_is_shown_as_it_is_and_content_by_its_length() {
        let value = json!({"ready": true, "code": "00", "nested": {"list": [1, {"a": null}]},
            "image": "x".repeat(300), "empty": {}, "receipts": [1]});
        assert_eq!(
            tree(&value, Lang::De),
            "\
code: 00
image: (300 Zeichen)
nested:
  list:
    1: 1
    2:
      a: 
ready: ja"
        );
    }

    #[test]
    fn every_result_of_the_contract_can_be_shown() {
        for (name, example) in examples::all() {
            let Some((call, _)) = name.split_once(".result") else {
                continue;
            };
            let (_, operation) = call.split_once('.').unwrap();
            for lang in [Lang::De, Lang::En] {
                let shown = result(operation, &example, lang, &TimeZone::UTC);
                assert!(!shown.contains('\x1b'), "{name}");
            }
        }
    }
}
