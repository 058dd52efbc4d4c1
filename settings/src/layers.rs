//! The sources of a configuration and the order in which they lie: the file, its drop-ins in
//! lexical order, the environment. The crate `config` lays them over each other; every value
//! carries an origin with file and line.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
};

use config::{ConfigError, Map, Source, Value, ValueKind};

use crate::{
    finding::{Finding, Origin, Report},
    text, toml_text,
};

/// What a variable must begin with to be part of the configuration.
const PREFIX: &str = "KOFFER__";
/// What stands between the parts of a key's path in a variable's name.
const SEPARATOR: &str = "__";
/// No key lies deeper than three tables; the bound keeps a hostile environment from building
/// trees that only recursion could take down again.
const MAX_DEPTH: usize = 8;
/// A configuration of a whole town hall has some kilobytes; this keeps `--config /dev/zero` from
/// filling the memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The crate reads top-level keys as path expressions, in which `a[9999999999]` would allocate
/// an array of that size. So everything lies under this one key, where keys are taken literally.
const ROOT: &str = "koffer";

/// Where each value of a layer came from; a value's `origin()` is an index into this.
#[derive(Default)]
pub(crate) struct Origins(Vec<Origin>);

impl Origins {
    /// A value that remembers where it was written.
    pub(crate) fn value(&mut self, origin: Origin, kind: impl Into<ValueKind>) -> Value {
        let index = self.0.len().to_string();
        self.0.push(origin);
        Value::new(Some(&index), kind)
    }

    fn of(&self, value: &Value) -> Option<&Origin> {
        self.0.get(value.origin()?.parse::<usize>().ok()?)
    }
}

/// All sources, read and laid over each other.
pub struct Layers {
    main: PathBuf,
    merged: Value,
    stack: Vec<Layer>,
    origins: Origins,
}

#[derive(Clone)]
struct Layer(Map<String, Value>);

// Not derived: values may be passwords.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer(…)")
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let table = Value::new(None, self.0.clone());
        Ok(Map::from([(ROOT.to_owned(), table)]))
    }
}

impl Layers {
    /// Reads every source there is; what cannot be read goes into the report. `named` are the
    /// sections whose second part is a name.
    pub fn read(
        path: &Path,
        environment: &BTreeMap<OsString, OsString>,
        named: &[&str],
        report: &Report,
    ) -> Self {
        let mut origins = Origins::default();
        let mut layers = Vec::new();
        for path in std::iter::once(path.to_owned()).chain(drop_ins(path, report)) {
            if let Some(text) = read_text(&path, report) {
                layers.push(Layer(toml_text::parse(&path, &text, &mut origins, report)));
            }
        }
        layers.push(Layer(from_environment(
            environment,
            named,
            &mut origins,
            report,
        )));

        let builder = layers
            .iter()
            .fold(config::Config::builder(), |builder, layer| {
                builder.add_source(layer.clone())
            });
        // Neither our sources nor merging tables can fail; an empty tree is what would remain.
        let merged = builder
            .build()
            .and_then(|config| config.cache.into_table())
            .ok()
            .and_then(|mut root| root.remove(ROOT))
            .unwrap_or_else(|| Value::new(None, Map::<String, Value>::new()));
        Self {
            main: path.to_owned(),
            merged,
            stack: layers,
            origins,
        }
    }

    /// One file that nothing lies over, as `shape` makes it of what stands there; `None` where it
    /// cannot be read.
    pub fn alone(
        path: &Path,
        report: &Report,
        shape: impl FnOnce(Map<String, Value>) -> Map<String, Value>,
    ) -> Option<Self> {
        let text = read_text(path, report)?;
        let mut layers = Self::of_text(path, &text, report);
        if let Some(Layer(map)) = layers.stack.first_mut() {
            *map = shape(std::mem::take(map));
            layers.merged = Value::new(None, map.clone());
        }
        Some(layers)
    }

    /// A text that nothing lies over, as if it stood in the file `path`.
    pub fn of_text(path: &Path, text: &str, report: &Report) -> Self {
        let mut origins = Origins::default();
        let map = toml_text::parse(path, text, &mut origins, report);
        Self {
            main: path.to_owned(),
            merged: Value::new(None, map.clone()),
            stack: vec![Layer(map)],
            origins,
        }
    }

    /// The merged tree.
    pub fn root(&self) -> &Value {
        &self.merged
    }

    /// Where the key at `path` was last written; the main file where nobody wrote it.
    pub fn origin(&self, path: &[&str]) -> Origin {
        let found = self.stack.iter().rev().find_map(|layer| {
            let (first, rest) = path.split_first()?;
            let value =
                rest.iter()
                    .try_fold(layer.0.get(*first)?, |value, key| match &value.kind {
                        ValueKind::Table(table) => table.get(*key),
                        _ => None,
                    })?;
            self.origins.of(value)
        });
        match (found, path) {
            (Some(origin), _) => origin.clone(),
            (None, [parent @ .., _]) => self.origin(parent),
            (None, []) => Origin::File {
                path: self.main.clone(),
                line: None,
            },
        }
    }
}

/// `<file>.d/*.toml` in lexical order; hidden files are somebody's editor at work.
fn drop_ins(main: &Path, report: &Report) -> Vec<PathBuf> {
    let mut folder = main.as_os_str().to_owned();
    folder.push(".d");
    toml_files(&PathBuf::from(folder), report)
}

/// `*.toml` in a folder, in lexical order, without hidden files. A folder that is missing has none.
pub fn toml_files(folder: &Path, report: &Report) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
    });
    match listed {
        Ok(mut paths) => {
            paths.retain(|path| {
                let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
                path.extension() == Some(OsStr::new("toml"))
                    && !path.file_name().is_some_and(hidden)
            });
            paths.sort();
            paths
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            report.unreadable(not_readable(folder, &error));
            Vec::new()
        }
    }
}

fn read_text(path: &Path, report: &Report) -> Option<String> {
    let read = fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let origin = |line| Origin::File {
        path: path.to_owned(),
        line,
    };
    let finding = match read.map(String::from_utf8) {
        Ok(Ok(text)) if text.len() as u64 <= MAX_FILE_BYTES => return Some(text),
        Ok(Ok(_)) => Finding {
            origin: origin(None),
            key: String::new(),
            what: text!(
                "ist größer als 1 MiB und wird nicht gelesen",
                "is larger than 1 MiB and is not read"
            ),
            remedy: text!("Die richtige Datei angeben.", "Name the right file."),
        },
        Ok(Err(error)) => {
            let valid =
                String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let line = valid.matches('\n').count() + 1;
            Finding {
                origin: origin(Some(line)),
                key: String::new(),
                what: text!("ist nicht in UTF-8 geschrieben", "is not written in UTF-8"),
                remedy: text!(
                    "Die Datei im Editor als UTF-8 speichern.",
                    "Save the file as UTF-8 in the editor."
                ),
            }
        }
        Err(error) => not_readable(path, &error),
    };
    report.unreadable(finding);
    None
}

fn not_readable(path: &Path, error: &std::io::Error) -> Finding {
    let shown = path.display();
    let remedy = match error.kind() {
        std::io::ErrorKind::NotFound => text!(
            "Die Datei anlegen (Vorlage: /usr/share/doc/koffer/kofferd.toml) oder mit --config eine andere angeben.",
            "Create the file (template: /usr/share/doc/koffer/kofferd.toml) or name another one with --config."
        ),
        std::io::ErrorKind::PermissionDenied => text!(
            "Dem Benutzer koffer das Lesen erlauben: chgrp koffer {shown}; chmod g+r {shown}",
            "Let the user koffer read it: chgrp koffer {shown}; chmod g+r {shown}"
        ),
        _ => text!(
            "Prüfen, ob {shown} eine lesbare Datei ist: ls -l {shown}",
            "Check that {shown} is a readable file: ls -l {shown}"
        ),
    };
    Finding {
        origin: Origin::File {
            path: path.to_owned(),
            line: None,
        },
        key: String::new(),
        what: text!("ist nicht lesbar ({error})", "cannot be read ({error})"),
        remedy,
    }
}

/// `KOFFER__SECTION__KEY=value`. Letters become lower case; in the names of the sections
/// `named` an underscore becomes a hyphen, because names have hyphens and never underscores, and
/// variables the other way round. Values stay text; the reader makes numbers and lists of them.
fn from_environment(
    environment: &BTreeMap<OsString, OsString>,
    named: &[&str],
    origins: &mut Origins,
    report: &Report,
) -> Map<String, Value> {
    let mut root = Map::new();
    for (variable, value) in environment {
        let shown = variable.to_string_lossy();
        let Some(path) = shown.strip_prefix(PREFIX) else {
            continue;
        };
        let origin = Origin::Environment {
            variable: shown.clone().into_owned(),
        };
        let refuse = |what, remedy| {
            report.mistake(Finding {
                origin: origin.clone(),
                key: String::new(),
                what,
                remedy,
            })
        };
        let mut path: Vec<String> = path
            .to_lowercase()
            .split(SEPARATOR)
            .map(str::to_owned)
            .collect();
        if path.iter().any(String::is_empty) || !(2..=MAX_DEPTH).contains(&path.len()) {
            refuse(
                text!("benennt keinen Schlüssel", "names no key"),
                text!(
                    "KOFFER__ABSCHNITT__SCHLÜSSEL schreiben, z. B. KOFFER__GATEWAY__ID.",
                    "Write KOFFER__SECTION__KEY, e.g. KOFFER__GATEWAY__ID."
                ),
            );
            continue;
        }
        let Some(value) = value.to_str() else {
            refuse(
                text!("enthält kein UTF-8", "does not hold UTF-8"),
                text!("Den Wert in UTF-8 setzen.", "Set the value in UTF-8."),
            );
            continue;
        };
        if let [section, name, ..] = path.as_mut_slice()
            && named.contains(&section.as_str())
        {
            *name = name.replace('_', "-");
        }
        let value = origins.value(origin.clone(), value);
        insert(&mut root, &path, value, &origin, origins);
    }
    root
}

fn insert(
    table: &mut Map<String, Value>,
    path: &[String],
    value: Value,
    origin: &Origin,
    origins: &mut Origins,
) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let inner = table
                .entry(key.clone())
                .or_insert_with(|| origins.value(origin.clone(), Map::<String, Value>::new()));
            if !matches!(inner.kind, ValueKind::Table(_)) {
                *inner = origins.value(origin.clone(), Map::<String, Value>::new());
            }
            if let ValueKind::Table(inner) = &mut inner.kind {
                insert(inner, rest, value, origin, origins);
            }
        }
    }
}
