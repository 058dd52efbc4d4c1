//! `[journal]`: where calls are put on record, and for how long.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use koffer_proto::Text;

use koffer_settings::{Key, Parsed, Preset, Reported, Section, Table, Whole, text};

/// Where the state lies when systemd does not say.
const STATE_DIRECTORY: &str = "/var/lib/koffer";

/// Where calls are put on record, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// The folder of the file.
    pub directory: PathBuf,
    /// How long ended calls are kept.
    pub keep: Duration,
    /// The largest the file may grow.
    pub max_bytes: u64,
}

static DIRECTORY: Key<Parsed<PathBuf>> = Key {
    name: "directory",
    form: Parsed {
        de: r#"ein absoluter Pfad wie "/var/lib/koffer""#,
        en: r#"an absolute path such as "/var/lib/koffer""#,
        parse: directory,
    },
    preset: Preset::Optional,
    example: r#"directory = "/var/lib/koffer""#,
    about: "The folder with the journal; it must exist and belong to the user koffer. Without this key it is what \
            systemd gives the unit (STATE_DIRECTORY), else /var/lib/koffer. On a disk that outlives the power: \
            never on a tmpfs.",
};

static KEEP_DAYS: Key<Whole> = Key {
    name: "keep_days",
    form: Whole { min: 1, max: 3_650 },
    preset: Preset::Value("90"),
    example: "keep_days = 90",
    about: "How long an ended call is kept. The last calls of each client (limits.calls_kept) are kept however old they \
            are, and what is open or unresolved never goes. 90 days outlast a dispute about a card payment.",
};

static MAX_MIB: Key<Whole> = Key {
    name: "max_mib",
    form: Whole {
        min: 16,
        max: 65_536,
    },
    preset: Preset::Value("1024"),
    example: "max_mib = 1024",
    about: "The largest the journal's file may grow, in MiB; its write-ahead log adds some. When it is nearly full, or \
            holds 512 calls per MiB, the client with the most calls loses its oldest ended ones before their time. A \
            payment takes some 3 KiB: 1 GiB holds 300,000.",
};

pub(super) static SECTION: Section = Section {
    path: "journal",
    about: "Where calls that must not happen twice are put on record before their device is touched (docs/journal.md).",
    keys: &[&DIRECTORY, &KEEP_DAYS, &MAX_MIB],
    tables: &[],
};

fn directory(text: &str) -> Result<PathBuf, Text> {
    let path = Path::new(text);
    if path.is_absolute() {
        Ok(path.to_owned())
    } else {
        Err(text!(
            "»{text}« ist kein absoluter Pfad",
            "\"{text}\" is no absolute path"
        ))
    }
}

pub(super) fn read(
    root: &Table<'_>,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<JournalConfig, Reported> {
    let table = root.table("journal");
    table.only(&SECTION);
    let directory = table.find(&DIRECTORY);
    let keep = table.get(&KEEP_DAYS);
    let max = table.get(&MAX_MIB);
    let given = environment.get(OsStr::new("STATE_DIRECTORY"));
    Ok(JournalConfig {
        directory: directory?.unwrap_or_else(|| state_directory(given.map(OsString::as_os_str))),
        keep: Duration::from_hours(keep? * 24),
        max_bytes: max? * 1024 * 1024,
    })
}

/// Where the state lies: what systemd says (the first folder of `StateDirectory=`), else the
/// usual folder.
pub fn state_directory(given: Option<&OsStr>) -> PathBuf {
    let first = given.and_then(|folders| {
        let folders = folders.to_str()?;
        folders.split(':').find(|folder| !folder.is_empty())
    });
    PathBuf::from(first.unwrap_or(STATE_DIRECTORY))
}
