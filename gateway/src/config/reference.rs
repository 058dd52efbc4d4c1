//! The reference of every key, in Markdown, from the keys themselves.

use std::fmt::Write as _;

use super::{
    RULE_SECTIONS, SECTIONS,
    key::{Listed, Preset, Section},
};

/// Every section with its keys, as it stands in `docs/configuration.md`.
pub fn reference() -> String {
    SECTIONS.iter().copied().map(section).collect()
}

/// The same of rules files, as it stands in `docs/rules.md`.
pub fn rules_reference() -> String {
    RULE_SECTIONS.iter().copied().map(section).collect()
}

fn section(section: &Section) -> String {
    let mut text = format!(
        "### `[{}]`\n\n{}\n\n| key | value | default | what and why |\n|---|---|---|---|\n",
        section.path, section.about
    );
    for key in section.keys {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", row(*key));
    }
    text.push_str("\n```toml\n");
    for key in section.keys {
        let _ = writeln!(text, "{}", key.example());
    }
    text.push_str("```\n\n");
    text
}

fn row(key: &dyn Listed) -> String {
    let default = match key.preset() {
        Preset::Required => "required".to_owned(),
        Preset::Optional => "none".to_owned(),
        Preset::Value("") => "`[]`".to_owned(),
        Preset::Value(value) => format!("`{value}`"),
    };
    format!(
        "| `{}` | {} | {default} | {} |",
        key.name(),
        cell(&key.expected().en),
        cell(key.about()),
    )
}

fn cell(text: &str) -> String {
    let escaped = text.replace('|', "\\|").replace('<', "&lt;");
    escaped.split_whitespace().collect::<Vec<_>>().join(" ")
}
