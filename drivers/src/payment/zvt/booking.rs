//! What a 04 0F says, as the contract words it.

use koffer_proto::{
    Amount, Cents, Currency,
    class::payment::{CardTotal, Closing, ClosingTotal, LastTransaction, Receipt, Transaction},
};

use super::codec::{
    bcd::{Bcd, TerminalId},
    charset::Charset,
    fields::Fields,
    tlv::{Tag, Tlv},
    totals::{CARD_GROUPS, Totals},
};

/// A booked transaction. Zeros are what a terminal sends in the place of a number that it has not.
pub(super) fn transaction(
    fields: &Fields,
    terminal: Option<TerminalId>,
    currency: Currency,
    charset: Charset,
    receipts: Vec<Receipt>,
) -> Transaction {
    let card = fields.card_name().map(|name| name.decode(charset));
    Transaction {
        receipt: receipt_number(fields).filter(|number| *number > 0),
        trace: trace(fields).filter(|number| *number > 0),
        terminal: terminal_name(fields, terminal),
        amount: cents(fields).map(|cents| Amount { cents, currency }),
        card: card.as_deref().map(trimmed).filter(|name| !name.is_empty()),
        pan: fields
            .pan()
            .map(|pan| pan.to_string())
            .filter(|pan| !pan.is_empty()),
        authorisation: fields.authorisation().filter(|code| !code.is_empty()),
        merchant: fields.vu().filter(|number| !number.is_empty()),
        terminal_time: terminal_time(fields),
        recovered: false,
        receipts,
    }
}

/// A closed business day; `fields` are empty where the terminal closed without a 04 0F.
pub(super) fn closing(
    fields: &Fields,
    terminal: Option<TerminalId>,
    currency: Currency,
    receipts: Vec<Receipt>,
) -> Closing {
    Closing {
        trace: trace(fields),
        terminal: terminal_name(fields, terminal),
        total: fields.amount().map(|amount| ClosingTotal {
            cents: signed(amount.minor()),
            currency,
        }),
        by_card: fields.totals().as_ref().map_or_else(Vec::new, by_card),
        receipts,
    }
}

/// The turnover of each kind of card that has one.
pub(super) fn by_card(totals: &Totals) -> Vec<CardTotal> {
    CARD_GROUPS
        .iter()
        .zip(totals.groups)
        .filter(|(_, (count, amount))| *count > 0 || amount.minor() > 0)
        .map(|(card, (count, amount))| CardTotal {
            card: (*card).to_owned(),
            count: count.into(),
            cents: signed(amount.minor()),
        })
        .collect()
}

/// What a terminal remembers of its last transaction.
pub(super) fn last_transaction(fields: &Fields) -> LastTransaction {
    LastTransaction {
        receipt: receipt_number(fields),
        trace: trace(fields),
        cents: cents(fields),
        booked: fields.result() == Some(0),
    }
}

/// BMP 87.
pub(super) fn receipt_number(fields: &Fields) -> Option<u16> {
    fields
        .receipt()
        .and_then(Bcd::value)
        .and_then(|number| u16::try_from(number).ok())
}

/// BMP 0B, or TLV 1F2B where six digits do not suffice.
pub(super) fn trace(fields: &Fields) -> Option<u32> {
    let short = fields.trace().and_then(Bcd::value);
    let container = fields.tlv().unwrap_or_default();
    let long = container
        .find(Tag::LONG_TRACE)
        .map(Tlv::value)
        .and_then(|digits| {
            digits.iter().try_fold(0_u64, |sum, byte| {
                let pair = Bcd::<1>::from_bytes([*byte]).value()?;
                sum.checked_mul(100)?.checked_add(pair)
            })
        });
    let number = short.filter(|number| *number > 0).or(long).or(short);
    number.and_then(|number| u32::try_from(number).ok())
}

fn cents(fields: &Fields) -> Option<Cents> {
    fields
        .amount()
        .and_then(|amount| amount.minor().try_into().ok())
}

fn terminal_name(fields: &Fields, terminal: Option<TerminalId>) -> String {
    let named = fields.terminal_id().or(terminal);
    named.map_or_else(String::new, |id| id.to_string())
}

/// `MM-DDThh:mm:ss`; `None` where a digit is none.
fn terminal_time(fields: &Fields) -> Option<String> {
    let (date, time) = (fields.date()?, fields.time()?);
    date.value().and(time.value())?;
    let ([month, day], [hour, minute, second]) = (date.bytes(), time.bytes());
    Some(format!(
        "{month:02X}-{day:02X}T{hour:02X}:{minute:02X}:{second:02X}"
    ))
}

fn signed(minor: u64) -> i64 {
    i64::try_from(minor).unwrap_or(i64::MAX)
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::zvt::codec::{apdu::Apdu, command::Command};

    fn fields(hex: &str) -> Fields {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
        match Command::decode(Apdu::from_bytes(&bytes).unwrap()) {
            Ok(Command::StatusInformation(fields)) => fields,
            other => panic!("expected 04 0F, got {other:?}"),
        }
    }

    #[test]
    fn a_04_0f_becomes_a_transaction_without_a_card_number() {
        let fields = fields(
            "040F 50 27 00 04 000000003780 49 0978 0B 001077 0C 154501 0D 1122 29 68000123 \
             87 0231 22 F0F8 6726000000004711 3B 3132333400000000 \
             2A 313630303430303820202020202020 8B F1F0 6769726F63617264 2000",
        );
        let it = transaction(&fields, None, Currency::EUR, Charset::Cp437, Vec::new());
        assert_eq!(
            (it.receipt, it.trace, it.terminal.as_str()),
            (Some(231), Some(1077), "68000123")
        );
        assert_eq!(it.amount, Amount::euro_cents(3780).ok());
        assert_eq!(it.pan.as_deref(), Some("************4711"));
        assert_eq!(it.card.as_deref(), Some("girocard"));
        assert_eq!(it.authorisation.as_deref(), Some("1234"));
        assert_eq!(it.merchant.as_deref(), Some("16004008"));
        assert_eq!(it.terminal_time.as_deref(), Some("11-22T15:45:01"));
    }

    #[test]
    fn a_trace_of_more_than_six_digits_is_read_from_the_container() {
        let fields = fields("040F 0F 27 00 0B 000000 06 07 1F2B 04 01234567");
        assert_eq!(trace(&fields), Some(1_234_567));
    }
}
