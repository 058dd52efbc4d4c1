//! Tables, and the moments in them.

use comfy_table::{Table, presets};
use jiff::{Timestamp, tz::TimeZone};

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
    fn a_moment_is_local_and_what_is_none_stays() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(moment("2026-03-02T08:15:30Z", &zone), "2026-03-02 09:15:30");
        assert_eq!(moment("yesterday", &zone), "yesterday");
    }
}
