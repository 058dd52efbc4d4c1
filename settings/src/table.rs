//! A table of the merged configuration, read key by key. What is wrong goes into the report.

use config::{Map, Value, ValueKind};
use koffer_proto::Text;

use crate::{
    finding::{Finding, Origin, Report, Reported},
    form::{Form, Given, Refusal},
    key::{Key, Preset, Section, add_line},
    layers::Layers,
    suggestion, text,
};

/// One table, or the absence of one.
pub struct Table<'a> {
    layers: &'a Layers,
    report: &'a Report,
    path: Vec<&'a str>,
    entries: Entries<'a>,
}

#[derive(Clone, Copy)]
enum Entries<'a> {
    Absent,
    Present(&'a Map<String, Value>),
    /// Something else stands there.
    Refused(Reported),
}

impl<'a> Table<'a> {
    /// The whole configuration.
    pub fn root(layers: &'a Layers, report: &'a Report) -> Self {
        let mut root = Self {
            layers,
            report,
            path: Vec::new(),
            entries: Entries::Absent,
        };
        root.entries = root.entries_of(layers.root(), &[]);
        root
    }

    /// The table `name` within this one.
    pub fn table(&self, name: &'a str) -> Table<'a> {
        let mut path = self.path.clone();
        path.push(name);
        let entries = match self.entries {
            Entries::Present(map) => match map.get(name) {
                Some(value) => self.entries_of(value, &path),
                None => Entries::Absent,
            },
            Entries::Absent => Entries::Absent,
            Entries::Refused(reported) => Entries::Refused(reported),
        };
        Table {
            layers: self.layers,
            report: self.report,
            path,
            entries,
        }
    }

    fn entries_of(&self, value: &'a Value, path: &[&str]) -> Entries<'a> {
        if let ValueKind::Table(map) = &value.kind {
            return Entries::Present(map);
        }
        let header = dotted(path);
        Entries::Refused(self.report.mistake(Finding {
            origin: self.layers.origin(path),
            key: header.clone(),
            what: text!("muss eine Tabelle sein", "must be a table"),
            remedy: text!(
                "Als eigenen Abschnitt [{header}] schreiben.",
                "Write it as a section [{header}] of its own."
            ),
        }))
    }

    /// The names that stand in this table, in alphabetical order.
    pub fn names(&self) -> Vec<&'a str> {
        match self.entries {
            Entries::Present(map) => {
                let mut names: Vec<_> = map.keys().map(String::as_str).collect();
                names.sort_unstable();
                names
            }
            Entries::Absent | Entries::Refused(_) => Vec::new(),
        }
    }

    /// Whether something stands under `name`.
    pub fn has(&self, name: &str) -> bool {
        matches!(self.entries, Entries::Present(map) if map.contains_key(name))
    }

    /// Whether this table stands in the configuration.
    pub fn present(&self) -> bool {
        matches!(self.entries, Entries::Present(_))
    }

    /// Reports every key that `section` does not know.
    pub fn only(&self, section: &Section) {
        self.only_of(&[section]);
    }

    /// Reports every key that none of `sections` knows.
    pub fn only_of(&self, sections: &[&Section]) {
        let known: Vec<_> = sections
            .iter()
            .flat_map(|section| section.names())
            .collect();
        for name in self.names() {
            if !known.contains(&name) {
                self.mistake(
                    name,
                    text!("diesen Schlüssel gibt es nicht", "there is no such key"),
                    suggestion::remedy(name, known.iter().copied()),
                );
            }
        }
    }

    /// The value of a key that is required or has a default.
    pub fn get<F: Form>(&self, key: &Key<F>) -> Result<F::Value, Reported> {
        if let Some(value) = self.find(key)? {
            return Ok(value);
        }
        let path = dotted(&self.path);
        let remedy = add_line(&path, key.example);
        Err(self.missing(key.name, remedy))
    }

    /// The value of a key that may be absent; its default, if it has one.
    pub fn find<F: Form>(&self, key: &Key<F>) -> Result<Option<F::Value>, Reported> {
        match (self.read(key.name, &key.form)?, key.preset) {
            (Some(value), _) => Ok(Some(value)),
            (None, Preset::Value(default)) => key
                .form
                .read(Given::Plain(default))
                .map(Some)
                .map_err(|refusals| self.refused(key.name, refusals)),
            (None, Preset::Required | Preset::Optional) => Ok(None),
        }
    }

    /// The value under `name`, in `form`.
    pub fn read<F: Form>(&self, name: &str, form: &F) -> Result<Option<F::Value>, Reported> {
        let map = match self.entries {
            Entries::Present(map) => map,
            Entries::Absent => return Ok(None),
            Entries::Refused(reported) => return Err(reported),
        };
        let Some(value) = map.get(name) else {
            return Ok(None);
        };
        if matches!(value.kind, ValueKind::Nil) {
            return Err(Report::already());
        }
        let given = match (&value.kind, self.origin(name)) {
            (ValueKind::String(text), Origin::Environment { .. }) => Given::Plain(text),
            _ => Given::Typed(value),
        };
        form.read(given)
            .map(Some)
            .map_err(|refusals| self.refused(name, refusals))
    }

    fn refused(&self, name: &str, refusals: Vec<Refusal>) -> Reported {
        let fallback = || Refusal {
            what: text!("ist ungültig", "is invalid"),
            remedy: text!("Den Wert berichtigen.", "Correct the value."),
        };
        let mut refusals = refusals.into_iter();
        let first = refusals.next().unwrap_or_else(fallback);
        let reported = self.mistake(name, first.what, first.remedy);
        for Refusal { what, remedy } in refusals {
            self.mistake(name, what, remedy);
        }
        reported
    }

    /// Reports that `name` is missing, unless a source that may hold it could not be read.
    pub fn missing(&self, name: &str, remedy: Text) -> Reported {
        self.report
            .incomplete()
            .unwrap_or_else(|| self.mistake(name, text!("fehlt", "is missing"), remedy))
    }

    /// Reports a mistake at `name` within this table, at the table itself where it is empty.
    pub fn mistake(&self, name: &str, what: Text, remedy: Text) -> Reported {
        self.report.mistake(self.finding(name, what, remedy))
    }

    /// Reports a warning at `name` within this table, at the table itself where it is empty.
    pub fn warning(&self, name: &str, what: Text, remedy: Text) {
        self.report.warning(self.finding(name, what, remedy));
    }

    fn finding(&self, name: &str, what: Text, remedy: Text) -> Finding {
        Finding {
            origin: self.origin(name),
            key: self.key(name),
            what,
            remedy,
        }
    }

    /// Where `name` was written; where the table was, if `name` is empty or not written.
    pub fn origin(&self, name: &str) -> Origin {
        self.layers.origin(&self.path_to(name))
    }

    /// The dotted path of `name` within this table.
    pub fn key(&self, name: &str) -> String {
        dotted(&self.path_to(name))
    }

    fn path_to<'n>(&'n self, name: &'n str) -> Vec<&'n str> {
        let name = Some(name).filter(|name| !name.is_empty());
        self.path.iter().copied().chain(name).collect()
    }

    /// Whether something may be missing only because its source could not be read.
    pub fn incomplete(&self) -> Option<Reported> {
        self.report.incomplete()
    }
}

/// A path as TOML writes it.
fn dotted(path: &[&str]) -> String {
    let bare = |key: &str| {
        !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let parts: Vec<_> = path
        .iter()
        .map(|key| {
            if bare(key) {
                (*key).to_owned()
            } else {
                format!("{key:?}")
            }
        })
        .collect();
    parts.join(".")
}
