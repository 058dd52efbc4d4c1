//! What a card answered: bytes in hexadecimal digits, as people look at them.

use std::fmt::Write;

use koffer_proto::{Lang, Text};
use serde_json::Value;

use super::view::View;
use crate::ctl::reading::{bytes, text};
use crate::ctl::screen::harmless;
use crate::ctl::{texts, typed};

/// Bytes in a line of a dump.
const IN_A_LINE: usize = 16;

pub(super) static VIEW: View = View {
    result: |operation, value, lang| match operation {
        "connect" | "read" | "transmit" => Some(result(operation, value, lang)),
        // Its sentence says it all.
        "write" => Some(String::new()),
        _ => None,
    },
    done,
};

/// The lines of a result.
fn result(operation: &str, result: &Value, lang: Lang) -> String {
    match operation {
        "connect" => {
            let (atr, protocol) = (texts::atr(), texts::protocol());
            let bytes = typed::written_hex(&bytes(result, "atr"));
            format!(
                "{:<14} {bytes}\n{:<14} {}",
                atr.get(lang),
                protocol.get(lang),
                harmless(text(result, "protocol"))
            )
        }
        "read" => dump(&bytes(result, "content")),
        "transmit" => responses(result)
            .enumerate()
            .map(|(number, response)| {
                let word = harmless(text(response, "status_word"));
                let data = typed::written_hex(&bytes(response, "data"));
                format!("{:>3}  {word}  {data}", number + 1)
                    .trim_end()
                    .to_owned()
            })
            .collect::<Vec<_>>()
            .join("\n"),
        // Their sentence says it all.
        _ => String::new(),
    }
}

/// What there is to say of a card that did as it was told, or did not.
fn done(operation: &str, result: &Value) -> Option<Text> {
    let count = |field: &str| result.get(field).and_then(Value::as_u64);
    match operation {
        "connect" => Some(texts::card_connected()),
        "disconnect" => Some(texts::card_disconnected()),
        "read" => Some(texts::card_read(&bytes(result, "content").len())),
        "write" => Some(texts::card_written(&count("bytes")?)),
        "transmit" => {
            let sent = responses(result).count();
            if result.get("complete") == Some(&Value::Bool(true)) {
                return Some(texts::batch_done(&sent));
            }
            let word = responses(result)
                .last()
                .map(|last| text(last, "status_word"));
            Some(texts::batch_stopped(
                &sent,
                &harmless(word.unwrap_or_default()),
            ))
        }
        _ => None,
    }
}

fn responses(result: &Value) -> impl Iterator<Item = &Value> {
    let responses = result.get("responses").and_then(Value::as_array);
    responses.into_iter().flatten()
}

/// Position, digits, and the characters among them; lines that repeat the one before are one `*`.
fn dump(content: &[u8]) -> String {
    let mut before = None;
    let mut lines = Vec::new();
    for (number, line) in content.chunks(IN_A_LINE).enumerate() {
        if before == Some(line) {
            if lines.last().is_some_and(|last| last != "*") {
                lines.push("*".to_owned());
            }
            continue;
        }
        before = Some(line);
        let mut digits = String::new();
        for byte in line {
            write!(digits, "{byte:02x} ").ok();
        }
        let shown = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        let characters: String = line.iter().map(shown).collect();
        let at = number * IN_A_LINE;
        lines.push(format!("{at:04x}  {digits:<48} {characters}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_shown_as_digits_and_characters() {
        let content = json!({"content": "SGVpZGVzdHJh324gMTcAAQ=="});
        assert_eq!(
            result("read", &content, Lang::De),
            "0000  48 65 69 64 65 73 74 72 61 df 6e 20 31 37 00 01  Heidestra.n 17.."
        );
        let short = json!({"content": "QQ=="});
        let shown = result("read", &short, Lang::De);
        assert_eq!(shown, format!("0000  41 {} A", " ".repeat(45)));
    }

    #[test]
    fn what_repeats_itself_is_shown_once() {
        let mut content = vec![0; 80];
        content[70] = 1;
        let lines = dump(&content);
        let starts: Vec<_> = lines
            .lines()
            .map(|line| line.get(..4).unwrap_or(line))
            .collect();
        assert_eq!(starts, ["0000", "*", "0040"]);
    }

    #[test]
    fn a_batch_is_shown_answer_by_answer_and_says_where_it_stopped() {
        let stopped = json!({"complete": false, "responses": [
            {"data": "", "status_word": "9000"}, {"data": "AQI=", "status_word": "6a82"}]});
        assert_eq!(
            result("transmit", &stopped, Lang::En),
            "  1  9000\n  2  6a82  0102"
        );
        let told = done("transmit", &stopped).unwrap();
        assert!(
            told.en.contains("command 2") && told.en.contains("6a82"),
            "{told:?}"
        );
        let complete =
            json!({"complete": true, "responses": [{"data": "", "status_word": "9000"}]});
        assert!(done("transmit", &complete).unwrap().de.ends_with(": 1"));
    }
}
