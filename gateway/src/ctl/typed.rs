//! What people type: amounts of money, durations, bytes.

use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use koffer_proto::class::card_terminal::{FileOffset, FilePath, PinLength, StatusWordPattern};
use koffer_proto::class::document_printer::{Copies, Media};
use koffer_proto::{Blob, Cents, Currency, Lang};
use serde_json::Value;

use super::args::Apdu;

/// Currencies whose minor unit is not the hundredth (ISO 4217, list one): `37.80` would be another
/// amount in them.
const NO_HUNDREDTHS: [&str; 23] = [
    "BHD", "BIF", "CLP", "DJF", "GNF", "IQD", "ISK", "JOD", "JPY", "KMF", "KRW", "KWD", "LYD",
    "OMR", "PYG", "RWF", "TND", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
];

/// Reads `37`, `37.80` or `37,80` as hundredths. One digit or three behind the point are refused:
/// nobody can say what was meant.
pub(super) fn parse_hundredths(text: &str) -> Result<Cents, String> {
    const FORM: &str = "write an amount as 37, 37.80 or 37,80: no signs, no spaces, two decimals";
    let (whole, decimals) = text.split_once(['.', ',']).unwrap_or((text, "00"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() != 2 {
        return Err(FORM.to_owned());
    }
    let hundredths: u64 = format!("{whole}{decimals}")
        .parse()
        .map_err(|_| "the amount is too large".to_owned())?;
    Cents::try_from(hundredths).map_err(|error| format!("the amount in cents: {error}"))
}

/// Reads a currency that counts in hundredths.
pub(super) fn parse_currency(text: &str) -> Result<Currency, String> {
    let currency = Currency::try_from(text.to_owned()).map_err(|error| error.to_string())?;
    if NO_HUNDREDTHS.contains(&currency.as_str()) {
        return Err(format!(
            "{currency} has no hundredths; use: kofferctl call DEVICE pay '{{\"amount\": …}}'"
        ));
    }
    Ok(currency)
}

/// An amount on the wire as the language writes it: `37,80 EUR`, `37.80 EUR`.
pub(super) fn written(amount: &Value, lang: Lang) -> Option<String> {
    let cents = amount.get("cents")?.as_i64()?;
    let currency = amount.get("currency")?.as_str()?;
    Some(written_cents(cents, currency, lang))
}

/// The same for cents and currency; minor units that are no hundredths are shown as they are.
pub(super) fn written_cents(cents: i64, currency: &str, lang: Lang) -> String {
    if NO_HUNDREDTHS.contains(&currency) {
        return format!("{cents} {currency} (minor units)");
    }
    let point = match lang {
        Lang::De => ',',
        Lang::En => '.',
    };
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}{point}{:02} {currency}", cents / 100, cents % 100)
}

/// Reads `90`, `90s`, `3m` or `1h`: whole seconds, at least one.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "write a duration as 90s, 3m or 1h";
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(FORM.to_owned());
    }
    number
        .parse::<u32>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|seconds| *seconds > 0)
        .map(|seconds| Duration::from_secs(seconds.into()))
        .ok_or_else(|| "the duration is zero or too long".to_owned())
}

/// Reads bytes in hexadecimal digits; spaces and colons may stand between them.
pub(super) fn parse_hex(text: &str) -> Result<Blob, String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ':')).collect();
    HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .map(Blob::from)
        .map_err(|error| format!("write bytes as pairs of hexadecimal digits: {error}"))
}

/// Bytes in hexadecimal digits.
pub(super) fn written_hex(bytes: &[u8]) -> String {
    HEXLOWER_PERMISSIVE.encode(bytes)
}

/// Reads an APDU and the status words behind it: `00a4000c020101=9000,6283`.
pub(super) fn parse_apdu(text: &str) -> Result<Apdu, String> {
    let (apdu, accept) = text.split_once('=').unwrap_or((text, ""));
    let words = accept.split(',').filter(|word| !word.is_empty());
    Ok(Apdu {
        apdu: parse_hex(apdu)?,
        accept: words.map(parse_status_word).collect::<Result<_, _>>()?,
    })
}

/// Reads a pattern of status words.
pub(super) fn parse_status_word(text: &str) -> Result<StatusWordPattern, String> {
    StatusWordPattern::try_from(text.trim().to_owned()).map_err(|error| error.to_string())
}

/// Reads a path of file identifiers.
pub(super) fn parse_file_path(text: &str) -> Result<FilePath, String> {
    FilePath::try_from(text.to_owned()).map_err(|error| error.to_string())
}

/// Reads a position or a length in a card's file.
pub(super) fn parse_offset(text: &str) -> Result<FileOffset, String> {
    FileOffset::try_from(number(text)?).map_err(|error| error.to_string())
}

/// Reads a number of PIN digits.
pub(super) fn parse_pin_length(text: &str) -> Result<PinLength, String> {
    PinLength::try_from(number(text)?).map_err(|error| error.to_string())
}

/// Reads a number of copies.
pub(super) fn parse_copies(text: &str) -> Result<Copies, String> {
    Copies::try_from(number(text)?).map_err(|error| error.to_string())
}

/// Reads a PWG media name.
pub(super) fn parse_media(text: &str) -> Result<Media, String> {
    Media::try_from(text.to_owned()).map_err(|error| error.to_string())
}

/// Reads a byte: `129` or `0x81`.
pub(super) fn parse_byte(text: &str) -> Result<u8, String> {
    let byte = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    byte.map_err(|_| "write a byte as 129 or 0x81".to_owned())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a whole number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_as_people_write_it_and_refused_where_it_could_mean_two_things() {
        for (text, cents) in [
            ("37,80", Some(3780)),
            ("37.80", Some(3780)),
            ("37", Some(3700)),
            ("0.01", Some(1)),
            ("0037.80", Some(3780)),
            ("9999999999.99", Some(999_999_999_999)),
            ("37.805", None),
            ("37.8", None),
            ("1.234,56", None),
            ("1.234", None),
            ("37.", None),
            (".80", None),
            ("0", None),
            ("0,00", None),
            ("-37,80", None),
            ("+37", None),
            ("37 ", None),
            ("", None),
            ("37,80 EUR", None),
            ("3e2", None),
            ("10000000000.00", None),
            ("99999999999999999999999", None),
            ("٣٧", None),
        ] {
            assert_eq!(
                parse_hundredths(text).ok().map(Cents::get),
                cents,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_currency_without_hundredths_is_refused() {
        assert!(parse_currency("EUR").is_ok());
        assert!(parse_currency("CHF").is_ok());
        assert!(parse_currency("JPY").is_err());
        assert!(parse_currency("eur").is_err());
    }

    #[test]
    fn an_amount_is_written_as_the_language_does() {
        let amount = serde_json::json!({"cents": 3780, "currency": "EUR"});
        assert_eq!(written(&amount, Lang::De).as_deref(), Some("37,80 EUR"));
        assert_eq!(written(&amount, Lang::En).as_deref(), Some("37.80 EUR"));
        assert_eq!(written_cents(-501, "EUR", Lang::De), "-5,01 EUR");
        assert_eq!(written(&serde_json::json!({}), Lang::De), None);
    }

    #[test]
    fn a_duration_is_whole_seconds_and_never_zero() {
        for (text, seconds) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("3m", Some(180)),
            ("1h", Some(3600)),
            ("0s", None),
            ("1.5s", None),
            ("s", None),
            ("", None),
            ("-1", None),
            ("9999999999h", None),
        ] {
            assert_eq!(
                parse_duration(text).ok().map(|d| d.as_secs()),
                seconds,
                "{text:?}"
            );
        }
    }
}
