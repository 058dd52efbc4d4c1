//! Keys and sections: what a configuration may contain, once, for the reader, for the messages
//! and for the reference in `docs/configuration.md`.

use koffer_proto::Text;

use crate::{
    form::{Form, Given},
    text,
};

/// What holds where a key is not written.
#[derive(Clone, Copy)]
pub enum Preset {
    /// It must be written.
    Required,
    /// Nothing.
    Optional,
    /// This, as it would stand in the environment.
    Value(&'static str),
}

/// One key.
pub struct Key<F: 'static> {
    /// Its name in the table.
    pub name: &'static str,
    /// How its value is read.
    pub form: F,
    /// What holds where it is not written.
    pub preset: Preset,
    /// A line as somebody could write it, in TOML.
    pub example: &'static str,
    /// What it does, and why the default and the bounds are what they are.
    pub about: &'static str,
}

/// A key, whatever its form.
pub trait Listed: Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// What holds where it is not written.
    fn preset(&self) -> Preset;
    /// What its value must be, to stand after "write".
    fn expected(&self) -> Text;
    /// A line as somebody could write it, in TOML.
    fn example(&self) -> &'static str;
    /// What it does, and why the default and the bounds are what they are.
    fn about(&self) -> &'static str;
    /// Whether the default is a value that somebody could have written.
    fn default_is_valid(&self) -> bool;
    /// Whether the example's value would be read.
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

    fn default_is_valid(&self) -> bool {
        match self.preset {
            Preset::Value(text) => self.form.read(Given::Plain(text)).is_ok(),
            Preset::Required | Preset::Optional => true,
        }
    }

    fn example_is_valid(&self, value: &config::Value) -> bool {
        self.form.read(Given::Typed(value)).is_ok()
    }
}

/// One table of the configuration.
pub struct Section {
    /// Its path as people write it, e.g. `clients.<name>`.
    pub path: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys, in the order of the reference.
    pub keys: &'static [&'static dyn Listed],
    /// The tables within it.
    pub tables: &'static [&'static str],
}

impl Section {
    /// Every name that may stand in the table.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let keys = self.keys.iter().map(|key| key.name());
        keys.chain(self.tables.iter().copied())
    }
}

/// The remedy for a key that must be written.
pub fn add_line(path: &str, example: &str) -> Text {
    text!(
        "In der Tabelle [{path}] ergänzen: {example}",
        "Add to the table [{path}]: {example}"
    )
}
