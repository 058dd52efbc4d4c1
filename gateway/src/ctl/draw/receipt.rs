//! A receipt as it would leave a printer.

use koffer_proto::Lang;
use serde_json::Value;

use crate::ctl::reading::text;
use crate::ctl::screen::{Paint, harmless};
use crate::ctl::texts;

/// Terminals print 24 columns at least (ZVT, print line without width).
const NARROWEST: usize = 24;

/// Draws a receipt with its copy as the title: customer and merchant apart.
pub(super) fn receipt(receipt: &Value, lang: Lang, paint: Paint) -> String {
    let title = match text(receipt, "copy") {
        "customer" => texts::copy_customer(),
        "merchant" => texts::copy_merchant(),
        "administration" => texts::copy_administration(),
        _ => texts::copy_other(),
    };
    let signed = receipt.get("signature_required") == Some(&Value::Bool(true));
    let title = if signed {
        format!("{} – {}", title.get(lang), texts::sign_here().get(lang))
    } else {
        title.get(lang).to_owned()
    };
    let lines: Vec<Line> = receipt
        .get("lines")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(Line::new)
        .collect();
    let width = lines
        .iter()
        .map(|line| width(&line.text))
        .chain([NARROWEST, width(&title) + 2])
        .max()
        .unwrap_or(NARROWEST);

    // The corner stands over the margin, the spaces around the title over the text.
    let rule = "─".repeat(width - self::width(&title) - 1);
    let mut drawn = vec![format!("┌─ {} {rule}┐", paint.bold(&title))];
    for line in &lines {
        let free = width - self::width(&line.text);
        let left = match line.align {
            Align::Left => 0,
            Align::Centre => free / 2,
            Align::Right => free,
        };
        let shown = if line.high {
            paint.bold(&line.text)
        } else {
            line.text.clone()
        };
        let (before, after) = (" ".repeat(left), " ".repeat(free - left));
        drawn.push(format!("│ {before}{shown}{after} │"));
    }
    drawn.push(format!("└─{}─┘", "─".repeat(width)));
    drawn.join("\n")
}

enum Align {
    Left,
    Centre,
    Right,
}

struct Line {
    text: String,
    align: Align,
    high: bool,
}

impl Line {
    fn new(line: &Value) -> Self {
        let flag = |name: &str| line.get(name) == Some(&Value::Bool(true));
        let plain = harmless(text(line, "text"));
        // A wide letter takes two columns.
        let text = if flag("double_width") {
            plain.chars().flat_map(|c| [c, ' ']).collect()
        } else {
            plain
        };
        Self {
            text,
            align: match self::text(line, "align") {
                "centre" => Align::Centre,
                "right" => Align::Right,
                _ => Align::Left,
            },
            high: flag("double_height"),
        }
    }
}

/// Columns on the terminal; receipts have letters of one column only (CP437, Latin 1).
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receipt_looks_like_a_receipt() {
        let value = json!({"copy": "customer", "lines": [
            {"text": "Beispielstadt", "align": "centre", "double_height": true},
            {"text": ""},
            {"text": "37,80 EUR", "align": "right", "double_width": true},
            {"text": "Karte ************4711"},
        ]});
        assert_eq!(
            receipt(&value, Lang::De, Paint(false)),
            "\
┌─ Kundenbeleg ────────────┐
│      Beispielstadt       │
│                          │
│       3 7 , 8 0   E U R  │
│ Karte ************4711   │
└──────────────────────────┘"
        );
    }

    #[test]
    fn a_receipt_to_be_signed_says_so_and_grows_with_its_lines() {
        let value = json!({"copy": "merchant", "signature_required": true, "lines": [
            {"text": "Unterschrift ________________________________"},
        ]});
        assert_eq!(
            receipt(&value, Lang::En, Paint(false)),
            "\
┌─ Merchant receipt – signature required ───────┐
│ Unterschrift ________________________________ │
└───────────────────────────────────────────────┘"
        );
    }

    #[test]
    fn a_receipt_of_another_version_is_drawn_as_far_as_it_goes() {
        let value = json!({"copy": "tax-office", "lines": [{"text": "a\u{1b}b"}, 7]});
        assert_eq!(
            receipt(&value, Lang::De, Paint(false)),
            "\
┌─ Beleg ──────────────────┐
│ a\u{fffd}b                      │
│                          │
└──────────────────────────┘"
        );
        assert!(receipt(&json!(null), Lang::De, Paint(true)).contains("Beleg"));
    }
}
