//! Receipts, put together from the lines and blocks that a terminal sends.

use koffer_proto::class::payment::{Align, Receipt, ReceiptCopy, ReceiptLine};

use crate::card_number::mask_text;

use super::codec::{
    charset::{Charset, Text},
    receipt::{Attribute, Block, ReceiptType},
    tlv::{Container, Tag},
};

/// Lines of one receipt at most; a terminal that sends more has lost its mind, not its paper.
const MAX_LINES: usize = 2_000;

/// Receipts of one command at most.
const MAX_RECEIPTS: usize = 20;

/// Puts receipts together.
#[derive(Debug)]
pub(super) struct Collector {
    charset: Charset,
    administration: bool,
    current: Option<Draft>,
    whole: Vec<Receipt>,
}

#[derive(Debug, Default)]
struct Draft {
    kind: Option<ReceiptType>,
    lines: Vec<ReceiptLine>,
}

impl Collector {
    /// `administration`: the command is no payment, so neither are its receipts.
    pub(super) fn new(charset: Charset, administration: bool) -> Self {
        Self {
            charset,
            administration,
            current: None,
            whole: Vec::new(),
        }
    }

    /// Takes a 06 D1; gives the receipt that it completes.
    pub(super) fn line(
        &mut self,
        attribute: Attribute,
        text: &Text,
        signed: bool,
    ) -> Option<Receipt> {
        if attribute == Attribute::FEED {
            let lines = text.bytes().first().copied().unwrap_or(1).min(9);
            (0..lines).for_each(|_| self.push(Attribute::default(), ""));
            return None;
        }
        let (printed, kind) = split_line(text.bytes());
        let other = kind.is_some()
            && (self.current.as_ref()).is_some_and(|d| d.kind.is_some() && d.kind != kind);
        let before = if other { self.finish(signed) } else { None };
        if kind.is_some() {
            self.current.get_or_insert_default().kind = kind;
        }
        let text = self.charset.decode(printed);
        if !attribute.ends_receipt() {
            self.push(attribute, &text);
            return before;
        }
        if !text.is_empty() {
            self.push(Attribute::default(), &text);
        }
        self.finish(signed)
    }

    /// Takes a 06 D3; gives the receipts that it completes: the one before it, if this is another
    /// one, and this one, if it ends with the block.
    pub(super) fn block(&mut self, block: &Block, signed: bool) -> Vec<Receipt> {
        let another = self.current.as_ref().is_some_and(
            |draft| matches!((draft.kind, block.receipt), (Some(old), Some(new)) if old != new),
        );
        let mut whole = Vec::new();
        if another {
            whole.extend(self.finish(signed));
        }
        for line in &block.lines {
            self.push(line.attribute, &line.text.decode(self.charset));
        }
        if block.receipt.is_some() {
            self.current.get_or_insert_default().kind = block.receipt;
        }
        if block.is_last {
            whole.extend(self.finish(signed));
        }
        whole
    }

    /// Ends the receipt in hand; `None` if there is none.
    pub(super) fn finish(&mut self, signed: bool) -> Option<Receipt> {
        let draft = self.current.take()?;
        if draft.lines.iter().all(|line| line.text.trim().is_empty())
            || self.whole.len() >= MAX_RECEIPTS
        {
            return None;
        }
        let copy = self.copy_of(&draft);
        let receipt = Receipt {
            copy,
            signature_required: signed && copy == ReceiptCopy::Merchant,
            lines: draft.lines,
        };
        self.whole.push(receipt.clone());
        Some(receipt)
    }

    /// All receipts so far, in order.
    pub(super) fn whole(&self) -> &[Receipt] {
        &self.whole
    }

    fn push(&mut self, attribute: Attribute, text: &str) {
        let draft = self.current.get_or_insert_default();
        if draft.lines.len() >= MAX_LINES {
            return;
        }
        let indent = usize::from(if attribute.is_centred() {
            0
        } else {
            attribute.indent()
        });
        draft.lines.push(ReceiptLine {
            text: format!("{:indent$}{}", "", mask_text(text)),
            align: if attribute.is_centred() {
                Align::Centre
            } else {
                Align::Left
            },
            double_width: attribute.is_wide(),
            double_height: attribute.is_high(),
        });
    }

    /// Whose copy it is. 06 D3 says so; of 06 D1 only the words on it do. Where nothing tells,
    /// the first of two is the merchant's, as terminals print it first to have it signed.
    fn copy_of(&self, draft: &Draft) -> ReceiptCopy {
        match draft.kind {
            Some(ReceiptType::Merchant) => return ReceiptCopy::Merchant,
            Some(ReceiptType::Customer) => return ReceiptCopy::Customer,
            Some(ReceiptType::Administration) => return ReceiptCopy::Administration,
            None if self.administration => return ReceiptCopy::Administration,
            None => {}
        }
        let names = |words: &[&str]| {
            draft.lines.iter().any(|line| {
                let letters: String = line
                    .text
                    .chars()
                    .filter(|c| c.is_alphabetic())
                    .flat_map(char::to_lowercase)
                    .collect();
                words.iter().any(|word| letters.contains(word))
            })
        };
        let has = |copy| self.whole.iter().any(|receipt| receipt.copy == copy);
        if names(&[
            "kundenbeleg",
            "kundenkopie",
            "customercopy",
            "customerreceipt",
        ]) {
            ReceiptCopy::Customer
        } else if names(&[
            "händlerbeleg",
            "haendlerbeleg",
            "handlerbeleg",
            "merchantcopy",
            "merchantreceipt",
        ]) || !has(ReceiptCopy::Merchant)
        {
            ReceiptCopy::Merchant
        } else {
            ReceiptCopy::Customer
        }
    }
}

/// The text of a 06 D1 and whose copy it belongs to: some terminals say that in a container
/// behind the text.
fn split_line(bytes: &[u8]) -> (&[u8], Option<ReceiptType>) {
    let found = (0..bytes.len()).find_map(|at| {
        let (text, rest) = bytes.split_at(at);
        let [0x06, len, content @ ..] = rest else {
            return None;
        };
        let container = (content.len() == usize::from(*len))
            .then(|| Container::decode(content).ok())
            .flatten()?;
        let code = container.find(Tag::RECEIPT_TYPE)?.value().first()?;
        Some((text, ReceiptType::from_code(*code)))
    });
    found.unwrap_or((bytes, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text::new(text, Charset::Cp437)
    }

    #[test]
    fn lines_become_two_receipts_by_the_words_on_them() {
        let mut collector = Collector::new(Charset::Cp437, false);
        let mut whole = Vec::new();
        for (attribute, line) in [
            (0x40, "K-U-N-D-E-N-B-E-L-E-G"),
            (0x02, "Betrag EUR 37,80"),
            (0x30, "Zahlung erfolgt"),
            (0x81, ""),
            (0x00, "Händlerbeleg"),
            (0xFF, "\u{2}"),
            (0x00, "4111 1111 1111 1111"),
            (0x81, "Danke"),
        ] {
            whole.extend(collector.line(Attribute(attribute), &text(line), true));
        }
        assert_eq!(whole, collector.whole());
        let [customer, merchant] = whole.as_slice() else {
            panic!("two receipts were sent")
        };
        assert_eq!(customer.copy, ReceiptCopy::Customer);
        assert!(!customer.signature_required && merchant.signature_required);
        assert_eq!(customer.lines[0].align, Align::Centre);
        assert_eq!(customer.lines[1].text, "  Betrag EUR 37,80");
        assert!(customer.lines[2].double_width && customer.lines[2].double_height);
        let texts: Vec<_> = merchant.lines.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(
            texts,
            ["Händlerbeleg", "", "", "**** **** **** 1111", "Danke"]
        );
    }

    #[test]
    fn a_container_behind_a_printed_line_says_whose_it_is_and_is_not_printed() {
        let mut collector = Collector::new(Charset::Cp437, false);
        let line =
            |text: &str, copy: char| self::text(&format!("{text}\u{6}\u{4}\u{1f}\u{7}\u{1}{copy}"));
        for copy in ['\u{1}', '\u{2}'] {
            collector.line(Attribute(0), &line("Summe", copy), false);
            collector.line(Attribute::LAST, &line("", copy), false);
        }
        let whole: Vec<_> = (collector.whole().iter())
            .map(|receipt| {
                (
                    receipt.copy,
                    receipt.lines.len(),
                    receipt.lines[0].text.as_str(),
                )
            })
            .collect();
        assert_eq!(
            whole,
            [
                (ReceiptCopy::Merchant, 1, "Summe"),
                (ReceiptCopy::Customer, 1, "Summe")
            ]
        );
    }

    #[test]
    fn blocks_are_told_apart_by_their_type_even_without_an_end() {
        let block = |receipt, line: &str, is_last| Block {
            receipt: Some(receipt),
            lines: vec![super::super::codec::receipt::Line {
                attribute: Attribute(0),
                text: text(line),
            }],
            is_last,
        };
        let mut collector = Collector::new(Charset::Cp437, false);
        assert!(
            collector
                .block(&block(ReceiptType::Merchant, "a", false), false)
                .is_empty()
        );
        let first = collector.block(&block(ReceiptType::Customer, "b", false), false);
        assert_eq!(first[0].copy, ReceiptCopy::Merchant);
        let last = collector.finish(false).unwrap();
        assert_eq!(
            (last.copy, last.lines[0].text.as_str()),
            (ReceiptCopy::Customer, "b")
        );
    }

    #[test]
    fn a_receipt_without_a_word_of_whose_it_is_goes_to_the_merchant_first() {
        let mut collector = Collector::new(Charset::Cp437, false);
        let copies: Vec<_> = (0..2)
            .filter_map(|_| {
                collector.line(Attribute(0), &text("Summe"), false);
                collector.line(Attribute::LAST, &text(""), false)
            })
            .map(|receipt| receipt.copy)
            .collect();
        assert_eq!(copies, [ReceiptCopy::Merchant, ReceiptCopy::Customer]);
    }
}
