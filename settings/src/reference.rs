//! The reference of every key, in Markdown, from the keys themselves.

use std::fmt::Write as _;

use crate::key::{Listed, Preset, Section};

/// These sections with their keys, as they stand in the documentation.
pub fn reference<'a>(sections: impl IntoIterator<Item = &'a Section>) -> String {
    sections.into_iter().map(section).collect()
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
