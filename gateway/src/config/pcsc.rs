//! `[devices.<name>]` with `driver = "pcsc"`: a chip card terminal.

use koffer_drivers::card::pcsc::{PcscConfig, ReaderPattern};
use koffer_proto::Text;

use super::{
    devices::{self, Driver},
    finding::{Reported, text},
    form::{Choice, Parsed},
    key::{Key, Preset, Section},
    table::Table,
};

/// The form of a pattern, in devices and in rules.
pub(super) const PATTERN: Parsed<ReaderPattern> = Parsed {
    de: "der Name eines Kartenlesers, 1 bis 127 Bytes; * steht für Beliebiges",
    en: "the name of a card reader, 1 to 127 bytes; * stands for anything",
    parse: reader,
};

static DRIVER: Key<Choice<Driver>> = devices::driver(r#"driver = "pcsc""#);

pub(super) static READER: Key<Parsed<ReaderPattern>> = Key {
    name: "reader",
    form: PATTERN,
    preset: Preset::Required,
    example: r#"reader = "REINER SCT cyberJack RFID komfort*""#,
    about: "Which reader it is: its whole name as `pcsc_scan -r` lists it, where `*` stands for anything \
            and case does not matter. Names end in a number that changes with the order of plugging, \
            so a `*` mostly ends the pattern; of several readers that fit, the first by name is taken.",
};

pub(super) static SECTION: Section = Section {
    path: r#"devices.<name>, driver = "pcsc""#,
    about: "A chip card terminal that the system's PC/SC service (pcscd) knows; class `card-terminal`.",
    keys: &[&DRIVER, &READER],
    tables: &[],
};

fn reader(text: &str) -> Result<ReaderPattern, Text> {
    text.parse().map_err(|_| {
        text!(
            "»{text}« ist kein Name eines Kartenlesers",
            "\"{text}\" is no name of a card reader"
        )
    })
}

pub(super) fn read(table: &Table<'_>) -> Result<PcscConfig, Reported> {
    let reader = table.get(&READER)?;
    Ok(PcscConfig { reader })
}

/// The reader of this very name; `None` where that is no name.
pub(super) fn exactly(reader: &str) -> Option<PcscConfig> {
    let reader = reader.parse().ok()?;
    Some(PcscConfig { reader })
}

/// Whether every reader that fits one pattern fits the other one too. A `*` of the inner pattern
/// counts as any other character: what covers the pattern as text covers the names it stands for.
pub(super) fn share_a_reader(one: &PcscConfig, other: &PcscConfig) -> bool {
    let covers = |outer: &PcscConfig, inner: &PcscConfig| {
        let inner = inner.reader.to_string();
        outer.reader.fits(&inner)
    };
    covers(one, other) || covers(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_share_a_reader_where_one_covers_the_other() {
        for (one, other, shared) in [
            ("Virtual PCD 00 00", "virtual pcd 00 00", true),
            ("Virtual PCD 00 00", "Virtual PCD 00 01", false),
            ("Virtual*", "Virtual PCD 00 01", true),
            ("REINER*", "REINER*komfort*", true),
            ("REINER*basis*", "REINER*komfort*", false),
        ] {
            let config = |reader: &str| PcscConfig {
                reader: reader.parse().unwrap(),
            };
            let (one, other) = (config(one), config(other));
            assert_eq!(share_a_reader(&one, &other), shared, "{one:?} {other:?}");
            assert_eq!(share_a_reader(&other, &one), shared, "{one:?} {other:?}");
        }
    }
}
