//! `[log]`: what is logged, and where to.

use koffer_proto::Text;

use crate::logging::is_filter;
use koffer_settings::{Choice, Key, Parsed, Preset, Reported, Section, Table, text};

/// What is logged, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Directives of `tracing_subscriber::EnvFilter`, e.g. `info,koffer_gateway::bus=debug`.
    pub filter: String,
    /// Where to.
    pub target: LogTarget,
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// To journald where systemd connected stderr to it, else to stderr.
    Auto,
    /// To stderr.
    Stderr,
    /// To journald.
    Journald,
}

static FILTER: Key<Parsed<String>> = Key {
    name: "filter",
    form: Parsed {
        de: r#"ein Filter wie "info" oder "info,koffer_gateway::bus=debug""#,
        en: r#"a filter such as "info" or "info,koffer_gateway::bus=debug""#,
        parse: filter,
    },
    preset: Preset::Value("info"),
    example: r#"filter = "info,koffer_gateway::bus=debug""#,
    about: "What is logged; KOFFER_LOG overrides it for one run. Other crates never log below `warn`: \
            their debug lines hold whole packets, and so payloads.",
};

static TARGET: Key<Choice<LogTarget>> = Key {
    name: "target",
    form: Choice(&[
        ("auto", LogTarget::Auto),
        ("stderr", LogTarget::Stderr),
        ("journald", LogTarget::Journald),
    ]),
    preset: Preset::Value("auto"),
    example: r#"target = "auto""#,
    about: "Where the log goes. `auto`: journald with its fields where systemd connected stderr to \
            it (JOURNAL_STREAM), else lines on stderr.",
};

pub(super) static SECTION: Section = Section {
    path: "log",
    about: "The log: events with fields, never payloads, card numbers or images.",
    keys: &[&FILTER, &TARGET],
    tables: &[],
};

fn filter(text: &str) -> Result<String, Text> {
    if is_filter(text) {
        Ok(text.to_owned())
    } else {
        Err(text!("»{text}« ist kein Filter", "\"{text}\" is no filter"))
    }
}

pub(super) fn read(root: &Table<'_>) -> Result<LogConfig, Reported> {
    let table = root.table("log");
    table.only(&SECTION);
    let filter = table.get(&FILTER);
    let target = table.get(&TARGET);
    Ok(LogConfig {
        filter: filter?,
        target: target?,
    })
}
