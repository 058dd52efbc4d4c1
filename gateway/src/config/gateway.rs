//! `[gateway]`: the gateway itself.

use std::{path::PathBuf, time::Duration};

use koffer_proto::{GatewayId, Text};

use koffer_settings::{Key, List, Millis, Parsed, Preset, Reported, Section, Table, name, text};

/// The gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Its name in every topic.
    pub id: GatewayId,
    /// How long a shutdown waits for running calls.
    pub shutdown_grace: Duration,
    /// How often the health document is published when nothing changes.
    pub health_interval: Duration,
    /// Where the rules lie by which devices are found.
    pub rules: Vec<PathBuf>,
}

static ID: Key<Parsed<GatewayId>> = Key {
    name: "id",
    form: name(),
    preset: Preset::Required,
    example: r#"id = "case-7""#,
    about: "The gateway's name, the third segment of every topic. Unique in the fleet; painted on the case.",
};

static SHUTDOWN_GRACE: Key<Millis> = Key {
    name: "shutdown_grace_ms",
    form: Millis {
        min: 0,
        max: 600_000,
    },
    preset: Preset::Value("60000"),
    example: "shutdown_grace_ms = 60000",
    about: "How long a shutdown lets running calls finish before it answers for them. \
            A card payment usually takes less than a minute. The unit's TimeoutStopSec must be 90 s longer.",
};

static HEALTH_INTERVAL: Key<Millis> = Key {
    name: "health_interval_ms",
    form: Millis {
        min: 1_000,
        max: 3_600_000,
    },
    preset: Preset::Value("30000"),
    example: "health_interval_ms = 30000",
    about: "How often the health document is published when nothing changes. \
            The contract says 30 s; a shorter time costs LTE volume.",
};

static RULES: Key<List<Parsed<PathBuf>>> = Key {
    name: "rules",
    form: List(Parsed {
        de: "ein absoluter Pfad einer Datei oder eines Ordners",
        en: "the absolute path of a file or a folder",
        parse: absolute,
    }),
    preset: Preset::Value("/etc/koffer/rules.d,/usr/lib/koffer/rules.d"),
    example: r#"rules = ["/etc/koffer/rules.d", "/usr/lib/koffer/rules.d"]"#,
    about: "Where the rules lie by which plugged-in devices are found: folders of `*.toml`, or files; docs/rules.md. \
            A file hides those of its name in later folders: so a town replaces what a package brought. \
            A folder that is missing is as good as empty.",
};

fn absolute(text: &str) -> Result<PathBuf, Text> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(text!(
            "»{text}« ist kein absoluter Pfad",
            "\"{text}\" is no absolute path"
        ))
    }
}

pub(super) static SECTION: Section = Section {
    path: "gateway",
    about: "The gateway itself.",
    keys: &[&ID, &SHUTDOWN_GRACE, &HEALTH_INTERVAL, &RULES],
    tables: &[],
};

pub(super) fn read(root: &Table<'_>) -> Result<GatewayConfig, Reported> {
    let table = root.table("gateway");
    table.only(&SECTION);
    let id = table.get(&ID);
    let shutdown_grace = table.get(&SHUTDOWN_GRACE);
    let health_interval = table.get(&HEALTH_INTERVAL);
    let rules = table.get(&RULES);
    Ok(GatewayConfig {
        id: id?,
        shutdown_grace: shutdown_grace?,
        health_interval: health_interval?,
        rules: rules?,
    })
}
