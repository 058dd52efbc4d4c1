//! Tables, and the moments in them.

use comfy_table::{Table, presets};
use jiff::{Timestamp, tz::TimeZone};
use koffer_proto::{Lang, Text};

use crate::ctl::screen::harmless;

/// A table without borders; its last column may be as long as it likes.
pub(in crate::ctl) fn table<const N: usize>(head: [String; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.map(|word| word.to_uppercase()));
    for row in rows {
        table.add_row(row.map(|cell| harmless(&cell)));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

/// What is known of these, in the language of the person.
pub(in crate::ctl) fn known(
    rows: impl IntoIterator<Item = (Text, Option<String>)>,
    lang: Lang,
) -> String {
    let rows = rows.into_iter().map(|(name, value)| {
        let values: Vec<String> = value.into_iter().collect();
        (name.get(lang).to_owned(), values)
    });
    fields(&rows.collect::<Vec<_>>())
}

/// Names and what belongs to each, a line for each value; a name without values is left out.
pub(in crate::ctl) fn fields<N: AsRef<str>>(rows: &[(N, Vec<String>)]) -> String {
    let rows = rows.iter().filter(|(_, values)| !values.is_empty());
    let rows: Vec<_> = rows.map(|(name, values)| (name.as_ref(), values)).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let lines = rows.iter().flat_map(|(name, values)| {
        let names = std::iter::once(*name).chain(std::iter::repeat(""));
        let lines = names.zip(values.iter());
        lines.map(|(name, value)| format!("{name:<width$}  {}", harmless(value)))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A time on the wire (RFC 3339, UTC) as the clock on the wall shows it; what is no time stays.
pub(in crate::ctl) fn moment(text: &str, zone: &TimeZone) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_cannot_steer_the_terminal() {
        let head = ["Gerät", "Zustand"].map(str::to_owned);
        let rows = vec![
            ["ec-terminal", "ready"].map(str::to_owned),
            ["a4", "fa\x1bult"].map(str::to_owned),
        ];
        assert_eq!(
            table(head, rows),
            "GERÄT        ZUSTAND\nec-terminal  ready\na4           fa\u{fffd}ult"
        );
    }

    #[test]
    fn names_and_values_are_aligned_and_what_has_no_value_is_left_out() {
        let rows = [
            ("Zustand", vec!["fa\x1bult".to_owned()]),
            ("Adresse der Druckerei", Vec::new()),
            ("Gerät", vec!["a".to_owned(), "b".to_owned()]),
        ];
        assert_eq!(
            fields(&rows),
            "Zustand  fa\u{fffd}ult\nGerät    a\n         b"
        );
    }

    #[test]
    fn a_moment_is_local_and_what_is_none_stays() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(moment("2026-03-02T08:15:30Z", &zone), "2026-03-02 09:15:30");
        assert_eq!(moment("yesterday", &zone), "yesterday");
    }
}
