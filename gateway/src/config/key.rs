//! Keys and sections: what a configuration may contain, once, for the reader, for the messages
//! and for the reference in `docs/configuration.md`.

use koffer_proto::Text;

use super::{finding::text, form::Form};

/// What holds where a key is not written.
#[derive(Clone, Copy)]
pub(super) enum Preset {
    /// It must be written.
    Required,
    /// Nothing.
    Optional,
    /// This, as it would stand in the environment.
    Value(&'static str),
}

/// One key.
pub(super) struct Key<F: 'static> {
    /// Its name in the table.
    pub(super) name: &'static str,
    /// How its value is read.
    pub(super) form: F,
    /// What holds where it is not written.
    pub(super) preset: Preset,
    /// A line as somebody could write it, in TOML.
    pub(super) example: &'static str,
    /// What it does, and why the default and the bounds are what they are.
    pub(super) about: &'static str,
}

/// A key, whatever its form.
pub(super) trait Listed: Sync {
    fn name(&self) -> &'static str;
    fn preset(&self) -> Preset;
    fn expected(&self) -> Text;
    fn example(&self) -> &'static str;
    fn about(&self) -> &'static str;
    /// Whether the default is a value that somebody could have written.
    #[cfg(test)]
    fn default_is_valid(&self) -> bool;
    /// Whether the example's value would be read.
    #[cfg(test)]
    fn example_is_valid(&self, value: &config::Value) -> bool;
}

impl<F: Form> Listed for Key<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn preset(&self) -> Preset {
        self.preset
    }

    fn expected(&self) -> Text {
        self.form.expected()
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn about(&self) -> &'static str {
        self.about
    }

    #[cfg(test)]
    fn default_is_valid(&self) -> bool {
        match self.preset {
            Preset::Value(text) => self.form.read(super::form::Given::Plain(text)).is_ok(),
            Preset::Required | Preset::Optional => true,
        }
    }

    #[cfg(test)]
    fn example_is_valid(&self, value: &config::Value) -> bool {
        self.form.read(super::form::Given::Typed(value)).is_ok()
    }
}

/// One table of the configuration.
pub(super) struct Section {
    /// Its path as people write it, e.g. `clients.<name>`.
    pub(super) path: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
    /// Its keys, in the order of the reference.
    pub(super) keys: &'static [&'static dyn Listed],
    /// The tables within it.
    pub(super) tables: &'static [&'static str],
}

impl Section {
    /// Every name that may stand in the table.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        let keys = self.keys.iter().map(|key| key.name());
        keys.chain(self.tables.iter().copied())
    }
}

/// The remedy for a key that must be written.
pub(super) fn add_line(path: &str, example: &str) -> Text {
    text!(
        "In der Tabelle [{path}] ergänzen: {example}",
        "Add to the table [{path}]: {example}"
    )
}
