//! Receipt lines: 06 D1 one by one, or 06 D3 in one block per receipt.
//!
//! Written to bytes here and not by the codec, which refuses to hold a whole card number.

use koffer_drivers::payment::zvt::codec::apdu::Apdu;
use koffer_drivers::payment::zvt::codec::charset::Charset;
use koffer_drivers::payment::zvt::codec::command::control;
use koffer_drivers::payment::zvt::codec::receipt::{Attribute, ReceiptType};

use super::books::Books;
use super::cardholder::Card;
use super::conversation::{Ended, message};
use super::ledger::{Entry, Event};
use super::profile::Profile;

/// One receipt.
#[derive(Debug, Clone)]
pub(super) struct Receipt {
    kind: ReceiptType,
    lines: Vec<(Attribute, String)>,
}

/// Characters in a line of a terminal's printer.
const WIDTH: usize = 24;

fn spread(left: &str, right: &str) -> String {
    let width = WIDTH.saturating_sub(left.chars().count());
    format!("{left}{right:>width$}")
}

/// `37,80`
fn euros(cents: i64) -> String {
    let minor = cents.unsigned_abs();
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{},{:02}", minor / 100, minor % 100)
}

fn title(entry: &Entry) -> &'static str {
    match entry.event {
        Event::Reversed | Event::AutoReversed => "STORNO",
        Event::Refunded => "GUTSCHRIFT",
        Event::Reserved => "RESERVIERUNG",
        Event::Released => "FREIGABE",
        _ => "KARTENZAHLUNG",
    }
}

fn outcome(entry: &Entry) -> (&'static str, &'static str) {
    match entry.event {
        Event::Declined => ("ZAHLUNG", "ABGELEHNT"),
        Event::Cancelled => ("ZAHLUNG", "ABGEBROCHEN"),
        Event::Reversed | Event::AutoReversed => ("STORNO", "ERFOLGT"),
        Event::Refunded => ("GUTSCHRIFT", "ERFOLGT"),
        Event::Reserved => ("RESERVIERUNG", "ERFOLGT"),
        Event::Released => ("FREIGABE", "ERFOLGT"),
        _ => ("ZAHLUNG", "ERFOLGT"),
    }
}

/// Merchant's and customer's copy of a transaction. `card` is the card in the terminal: a repeated
/// receipt has none and shows no whole number.
pub(super) fn payment(
    profile: &Profile,
    books: &Books,
    entry: &Entry,
    card: Option<&Card>,
) -> Vec<Receipt> {
    [ReceiptType::Merchant, ReceiptType::Customer]
        .map(|kind| copy(profile, books, entry, card, kind))
        .into()
}

fn copy(
    profile: &Profile,
    books: &Books,
    entry: &Entry,
    card: Option<&Card>,
    kind: ReceiptType,
) -> Receipt {
    let plain = Attribute::default();
    let wide = Attribute(0x70);
    let whole = (kind == ReceiptType::Merchant && profile.open_pan_on_merchant_copy)
        .then(|| card.map(|card| card.pan.clone()))
        .flatten();
    let pan = whole.or_else(|| entry.pan.clone()).unwrap_or_default();
    let name = match kind {
        ReceiptType::Merchant => "H\u{e4}ndlerbeleg",
        _ => "Kundenbeleg",
    };
    let (first, second) = outcome(entry);
    let mut lines = vec![
        (Attribute::CENTRED, profile.merchant.clone()),
        (Attribute::CENTRED, name.to_owned()),
        (plain, String::new()),
        (wide, title(entry).to_owned()),
        (plain, entry.card.clone().unwrap_or_default()),
        (wide, spread("EUR", &euros(entry.cents))),
        (
            plain,
            spread("Terminal-ID", &format!("{:08}", profile.terminal_id)),
        ),
        (plain, spread("TA-Nr.", &format!("{:06}", entry.trace))),
        (plain, spread("Beleg-Nr.", &format!("{:04}", entry.receipt))),
    ];
    if let Some(original) = entry.original_trace {
        lines.push((plain, spread("Original TA-Nr.", &format!("{original:06}"))));
    }
    lines.extend([
        (plain, spread("Karte", &pan)),
        (plain, books.printed_time(entry.at)),
        (plain, String::new()),
        (Attribute::CENTRED, first.to_owned()),
        (Attribute::CENTRED, second.to_owned()),
        (plain, "Vielen Dank f\u{fc}r Ihren Besuch".to_owned()),
    ]);
    Receipt { kind, lines }
}

/// The receipt of an administrative command.
pub(super) fn administration(profile: &Profile, title: &str, more: &[(&str, String)]) -> Receipt {
    let plain = Attribute::default();
    let mut lines = vec![
        (Attribute::CENTRED, profile.merchant.clone()),
        (Attribute(0x70), title.to_owned()),
        (
            plain,
            spread("Terminal-ID", &format!("{:08}", profile.terminal_id)),
        ),
    ];
    lines.extend(
        more.iter()
            .map(|(left, right)| (plain, spread(left, right))),
    );
    Receipt {
        kind: ReceiptType::Administration,
        lines,
    }
}

/// The lines of an end of day.
pub(super) fn closing(profile: &Profile, entry: &Entry, count: usize) -> Receipt {
    let more = [
        ("Umsatz EUR", euros(entry.cents)),
        ("Anzahl", count.to_string()),
    ];
    administration(profile, "KASSENSCHNITT", &more)
}

impl Receipt {
    /// The messages that carry it.
    pub(super) fn messages(&self, block: bool, charset: Charset) -> Result<Vec<Apdu>, Ended> {
        if block {
            return Ok(vec![self.block(charset)?]);
        }
        let lines = self.lines.iter().map(|(attribute, text)| {
            let body = [&[attribute.0], charset.encode(text).as_slice()].concat();
            message(control::PRINT_LINE, body)
        });
        let last = message(control::PRINT_LINE, vec![Attribute::LAST.0]);
        lines.chain([last]).collect()
    }

    fn block(&self, charset: Charset) -> Result<Apdu, Ended> {
        let mut texts = Vec::new();
        let mut current = Attribute::default();
        for (attribute, text) in &self.lines {
            if *attribute != current {
                current = *attribute;
                texts.extend(tlv(&[0x09], &[current.0]));
            }
            texts.extend(tlv(&[0x07], &charset.encode(text)));
        }
        texts.extend(tlv(&[0x09], &[Attribute::LAST.0]));
        let content = [
            tlv(&[0x1F, 0x07], &[self.kind.code()]),
            tlv(&[0x25], &texts),
        ]
        .concat();
        message(control::PRINT_BLOCK, tlv(&[0x06], &content))
    }
}

/// Tag, BER length, value; the container in BMP 06 has the same form.
pub(super) fn tlv(tag: &[u8], value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
    let length = match (high, low) {
        (0, 0..=0x7F) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [tag, &length, value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use koffer_drivers::payment::zvt::codec::command::Command;
    use koffer_drivers::payment::zvt::codec::receipt::Block;

    #[test]
    fn a_block_is_what_the_codec_reads_and_lines_end_with_a_cut() {
        let receipt = administration(&Profile::default(), "DIAGNOSE", &[("Stand", "ok".into())]);
        let block = receipt.messages(true, Charset::Utf8).unwrap();
        let Ok(Command::PrintBlock(fields)) = Command::decode(block[0].clone()) else {
            panic!("no block");
        };
        let read = Block::read(&fields);
        assert_eq!(read.receipt, Some(ReceiptType::Administration));
        assert!(read.is_last);
        assert_eq!(read.lines[1].text.decode(Charset::Utf8), "DIAGNOSE");
        let lines = receipt.messages(false, Charset::Cp437).unwrap();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[4].body(), [0x81]);
        assert_eq!(euros(-5), "-0,05");
    }
}
