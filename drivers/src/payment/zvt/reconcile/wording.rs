//! Verdicts in the contract's words.

use std::time::Duration;

use koffer_proto::{Detail, Effect, Failure, Lang, Reason, Status, Text};

use super::{Doubt, Proof};
use crate::payment::zvt::{
    codec::result::ResultCode,
    evidence::{Kind, Order, Shown},
    outcome::{pick, worded},
};

/// An interrupted call that moved nothing.
pub(in super::super) fn not_done(proof: Proof, closing: bool, lang: Lang) -> Failure {
    if let Proof::Declined(code) = proof {
        let code = ResultCode(code);
        let said = worded(lang, code.meaning());
        let advice = worded(lang, code.class().advice());
        let detail = Detail {
            device_code: Some(format!("{:02x}", code.0)),
            cause: Some("declined".to_owned()),
            ..Detail::default()
        };
        let message = format!("{said}. {advice}");
        return Failure::without_effect(Status::Declined, message).with(detail);
    }
    let (cause, de, en) = match proof {
        Proof::Unchanged | Proof::Declined(_) if closing => (
            "not-closed",
            "Der Vorgang wurde unterbrochen. Das Terminal hat den Tag nicht abgeschlossen; der Kassenschnitt kann wiederholt werden.",
            "It was interrupted. The terminal did not close the day; closing it can be repeated.",
        ),
        Proof::Unchanged | Proof::Declined(_) => (
            "not-booked",
            "Der Vorgang wurde unterbrochen. Das Terminal hat nichts gebucht; der Vorgang kann wiederholt werden.",
            "It was interrupted. The terminal booked nothing; it can be done again.",
        ),
        Proof::TakenBack => (
            "taken-back",
            "Der Vorgang wurde unterbrochen. Das Terminal hat gebucht und den Betrag wieder zurückgenommen; der Vorgang kann wiederholt werden.",
            "It was interrupted. The terminal booked it and took it back; it can be done again.",
        ),
        Proof::Overtaken => (
            "not-booked",
            "Der Vorgang wurde unterbrochen. Das Terminal hat seitdem etwas anderes gebucht, diesen Vorgang nicht; er kann wiederholt werden.",
            "It was interrupted. The terminal has booked something else since, and not this; it can be done again.",
        ),
    };
    let detail = Detail {
        cause: Some(cause.to_owned()),
        ..Detail::default()
    };
    Failure::without_effect(Status::DeviceFault, pick(lang, de, en)).with(detail)
}

/// Why an interrupted call is not decided yet, and when it will be at the latest.
pub(in super::super) fn may_still_book(closing: bool, left: Duration) -> Reason {
    let minutes = left.as_secs().div_ceil(60);
    let (within_de, within_en) = match minutes {
        0 | 1 => ("1 Minute".to_owned(), "1 minute".to_owned()),
        more => (format!("{more} Minuten"), format!("{more} minutes")),
    };
    let (de, en) = if closing {
        (
            "Das Terminal hat den Tag bisher nicht abgeschlossen, kann es aber noch tun.",
            "The terminal has not closed the day so far, but can still do so.",
        )
    } else {
        (
            "Das Terminal hat bisher nichts gebucht, kann es aber noch tun: Vielleicht steht der Vorgang noch auf seinem Display.",
            "The terminal has booked nothing so far, but can still do so: its display may still show the transaction.",
        )
    };
    Reason::new(
        "may-still-book",
        format!(
            "{de} Bitte warten und nichts wiederholen; in höchstens {within_de} steht das Ergebnis fest."
        ),
        format!("{en} Please wait and repeat nothing; the result is certain within {within_en}."),
    )
}

/// What is booked is not what was asked for.
pub(in super::super) fn other_amount(
    asked: u64,
    booked: u64,
    receipt: Option<u16>,
    lang: Lang,
) -> Failure {
    let (effect, todo_de, todo_en) = if booked < asked {
        (
            Effect::Partial,
            "Buchen Sie den Rest gesondert, oder stornieren Sie",
            "Book the rest separately, or reverse",
        )
    } else {
        (
            Effect::Done,
            "Erstatten Sie den Unterschied, oder stornieren Sie",
            "Refund the difference, or reverse",
        )
    };
    let (receipt_de, receipt_en) = receipt.map_or_else(
        || ("den Vorgang".to_owned(), "the transaction".to_owned()),
        |number| (format!("Beleg {number:04}"), format!("receipt {number:04}")),
    );
    let (asked, booked) = (decimal(asked), decimal(booked));
    let message = pick(
        lang,
        format!("Das Terminal hat {booked} gebucht, nicht {asked}. {todo_de} {receipt_de}."),
        format!("The terminal booked {booked}, not {asked}. {todo_en} {receipt_en}."),
    );
    let detail = Detail {
        cause: Some("other-amount".to_owned()),
        ..Detail::default()
    };
    Failure::unfinished(Status::DeviceFault, effect, message).with(detail)
}

/// What a person should look at.
pub(in super::super) fn undecided(
    doubt: Doubt,
    order: Option<&Order>,
    before: Option<&Shown>,
    last: Option<&Shown>,
) -> Reason {
    let (keyword, why) = why(doubt);
    let what = order.map_or_else(
        || Text::new("ob der Vorgang gebucht ist.", "whether it is booked."),
        |order| looked_for(order, before),
    );
    let shown = last.map_or_else(|| Text::new("", ""), shows);
    Reason::new(
        keyword,
        format!(
            "{} Nicht wiederholen: Bitte sehen Sie in der Umsatzliste des Terminals nach: {}{} Tragen Sie das Ergebnis ein.",
            why.de, what.de, shown.de
        ),
        format!(
            "{} Do not repeat it: please look at the terminal's list of transactions: {}{} Record the result.",
            why.en, what.en, shown.en
        ),
    )
}

fn why(doubt: Doubt) -> (&'static str, Text) {
    let (keyword, de, en) = match doubt {
        Doubt::OtherTerminal => (
            "other-terminal",
            "Es ist ein anderes Terminal angeschlossen als zuvor.",
            "Another terminal than before is connected.",
        ),
        Doubt::NoRecord => (
            "no-records",
            "Das Terminal meldet seinen letzten Vorgang nicht.",
            "The terminal does not report its last transaction.",
        ),
        Doubt::RecordsGone => (
            "records-gone",
            "Das Terminal hat seinen letzten Vorgang nicht mehr gespeichert; vermutlich wurde inzwischen ein Kassenschnitt durchgeführt.",
            "The terminal no longer holds its last transaction; probably the day was closed meanwhile.",
        ),
        Doubt::NoBaseline => (
            "no-baseline",
            "Das Terminal hat vorher seinen letzten Vorgang nicht gemeldet; ein Vergleich ist nicht möglich.",
            "The terminal did not report its last transaction before, so nothing can be compared.",
        ),
        Doubt::OneLikeIt => (
            "one-like-it",
            "Am Terminal steht ein passender Vorgang. Er kann auch von Hand am Terminal eingegeben worden sein.",
            "The terminal shows a transaction that fits. It can also have been typed in at the terminal.",
        ),
        Doubt::Others => (
            "other-transactions",
            "Am Terminal stehen andere Vorgänge als erwartet.",
            "The terminal shows other transactions than expected.",
        ),
        Doubt::EmptyDay => (
            "empty-day",
            "Vor dem Kassenschnitt war kein Umsatz im Terminal; ein leerer Umsatzspeicher beweist deshalb nichts.",
            "There was no turnover in the terminal before, so an empty memory proves nothing.",
        ),
    };
    (keyword, Text::new(de, en))
}

/// What should stand there if it was done.
fn looked_for(order: &Order, before: Option<&Shown>) -> Text {
    let amount = order.cents.map(decimal).unwrap_or_default();
    let next = before.and_then(|shown| shown.receipt);
    let next = next.map(super::following);
    let (number_de, number_en) = next.map_or_else(Default::default, |number| {
        (
            format!(" (voraussichtlich Beleg {number:04})"),
            format!(" (probably receipt {number:04})"),
        )
    });
    match order.kind {
        Kind::Payment => Text::new(
            format!("ob eine Zahlung über {amount} gebucht ist{number_de}."),
            format!("whether a payment of {amount} is booked{number_en}."),
        ),
        Kind::Refund => Text::new(
            format!("ob eine Gutschrift über {amount} gebucht ist{number_de}."),
            format!("whether a refund of {amount} is booked{number_en}."),
        ),
        Kind::Reversal => {
            let receipt = order.reverses.unwrap_or_default();
            Text::new(
                format!("ob Beleg {receipt:04} storniert ist{number_de}."),
                format!("whether receipt {receipt:04} is reversed{number_en}."),
            )
        }
        Kind::Closing => Text::new(
            "ob der Tag abgeschlossen ist.",
            "whether the day is closed.",
        ),
    }
}

fn shows(last: &Shown) -> Text {
    let (receipt_de, receipt_en) = last.receipt.map_or_else(
        || ("einen Vorgang".to_owned(), "a transaction".to_owned()),
        |number| (format!("Beleg {number:04}"), format!("receipt {number:04}")),
    );
    let amount = last.cents.map(decimal);
    let of_de = amount.as_ref().map(|amount| format!(" über {amount}"));
    let of_en = amount.map(|amount| format!(" of {amount}"));
    Text::new(
        format!(
            " Zuletzt zeigt es {receipt_de}{}.",
            of_de.unwrap_or_default()
        ),
        format!(
            " Its last one is {receipt_en}{}.",
            of_en.unwrap_or_default()
        ),
    )
}

/// In units of the terminal's only currency.
fn decimal(minor: u64) -> String {
    format!("{},{:02}", minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clerk_reads_what_to_look_for_and_what_is_there() {
        let order = Order {
            kind: Kind::Payment,
            cents: Some(3780),
            reverses: None,
        };
        let entry = |receipt| Shown {
            receipt: Some(receipt),
            cents: Some(1010),
            ..Shown::default()
        };
        let reason = undecided(
            Doubt::Others,
            Some(&order),
            Some(&entry(9999)),
            Some(&entry(2)),
        );
        assert_eq!(reason.keyword, "other-transactions");
        assert_eq!(
            reason.text.en,
            "The terminal shows other transactions than expected. Do not repeat it: please look at the terminal's \
             list of transactions: whether a payment of 37,80 is booked (probably receipt 0001). \
             Its last one is receipt 0002 of 10,10. Record the result."
        );
        let order = Order {
            kind: Kind::Reversal,
            cents: None,
            reverses: Some(7),
        };
        let reason = undecided(Doubt::NoRecord, Some(&order), None, None);
        assert!(reason.text.de.contains("ob Beleg 0007 storniert ist."));
    }

    #[test]
    fn what_did_not_happen_has_no_effect_in_every_wording() {
        let proofs = [
            Proof::Unchanged,
            Proof::TakenBack,
            Proof::Declined(0x64),
            Proof::Overtaken,
        ];
        for proof in proofs {
            for lang in [Lang::De, Lang::En] {
                let failure = not_done(proof, false, lang);
                assert_eq!(failure.effect(), koffer_proto::Effect::None);
                assert!(!failure.message.is_empty());
            }
        }
    }
}
