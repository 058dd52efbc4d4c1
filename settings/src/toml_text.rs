//! TOML text into a tree of values that know their line, past errors of syntax.
//!
//! The crate `config` stops at the first error and knows no lines, and `toml`'s own recovery gives
//! up at the first line without a value. So a line that cannot be read is reported, taken out, and
//! the rest is read again: a technician mends a file in one round.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use config::{Map, Value, ValueKind};
use koffer_proto::Text;
use toml::de::{DeTable, DeValue};

use crate::{
    finding::{Finding, Origin, Report},
    layers::Origins,
    text,
};

/// After so many lines it is no TOML file, and reading it again and again would take long.
const MAX_BROKEN_LINES: usize = 50;
/// Heads a table whose own head cannot be read, so that its keys do not fall into the table above.
const BROKEN_HEAD: &str = "broken head in line ";

/// The values of a file. Mistakes of syntax go into the report, each line once.
pub(crate) fn parse(
    path: &Path,
    text: &str,
    origins: &mut Origins,
    report: &Report,
) -> Map<String, Value> {
    let mut lines: Vec<Cow<'_, str>> = text.split('\n').map(Cow::Borrowed).collect();
    let mut broken: Vec<usize> = Vec::new();
    loop {
        let text = lines.join("\n");
        let (table, errors) = DeTable::parse_recoverable(&text);
        let Some(error) = errors.first() else {
            let mut conversion = Conversion {
                path: path.to_owned(),
                text: &text,
                origins,
                report,
            };
            let mut map = conversion.table(table.into_inner(), "");
            map.retain(|key, _| !key.starts_with(BROKEN_HEAD));
            return map;
        };
        let start = error.span().map_or(text.len(), |span| span.start);
        let (number, column) = position(&text, start);
        let Some(line) = lines.get_mut(number - 1) else {
            return Map::new();
        };
        if !broken.contains(&number) && !continues(line, number, &broken) {
            report.unreadable(syntax_error(path, number, column, error.message()));
        }
        if line.trim().is_empty() || broken.len() >= MAX_BROKEN_LINES {
            return Map::new();
        }
        *line = if is_head(line) && !broken.contains(&number) {
            Cow::Owned(format!("[\"{BROKEN_HEAD}{number}\"]"))
        } else {
            Cow::Borrowed("")
        };
        broken.push(number);
    }
}

fn is_head(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

/// Whether a line only goes on with the list or text that an error in the line above broke off.
fn continues(line: &str, number: usize, broken: &[usize]) -> bool {
    broken.contains(&(number - 1)) && !line.contains('=') && !is_head(line)
}

/// Line and column of a byte, both from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or(before);
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

fn syntax_error(path: &Path, line: usize, column: usize, message: &str) -> Finding {
    Finding {
        origin: Origin::File {
            path: path.to_owned(),
            line: Some(line),
        },
        key: String::new(),
        what: text!(
            "kein gültiges TOML, Spalte {column}: {message}",
            "invalid TOML, column {column}: {message}"
        ),
        remedy: text!(
            "Die Zeile berichtigen: Texte in Anführungszeichen, Tabellen in [eckigen Klammern], jeder Schlüssel nur einmal.",
            "Correct the line: texts in quotes, tables in [square brackets], each key only once."
        ),
    }
}

struct Conversion<'a> {
    path: PathBuf,
    text: &'a str,
    origins: &'a mut Origins,
    report: &'a Report,
}

impl Conversion<'_> {
    fn table(&mut self, table: DeTable<'_>, prefix: &str) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, value) in table {
            let line = position(self.text, key.span().start).0;
            let key = key.into_inner().into_owned();
            let path = format!("{prefix}{key}");
            let value = self.value(value.into_inner(), line, &path);
            map.insert(key, value);
        }
        map
    }

    fn value(&mut self, value: DeValue<'_>, line: usize, path: &str) -> Value {
        let origin = Origin::File {
            path: self.path.clone(),
            line: Some(line),
        };
        let kind = match value {
            DeValue::String(text) => ValueKind::String(text.into_owned()),
            DeValue::Boolean(flag) => ValueKind::Boolean(flag),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => ValueKind::I64(number),
                    Err(_) => self.refuse(
                        &origin,
                        path,
                        text!("die Zahl ist zu groß", "the number is too large"),
                        text!(
                            "Eine Zahl unter 2^63 schreiben.",
                            "Write a number below 2^63."
                        ),
                    ),
                }
            }
            DeValue::Float(number) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Datetime(_) => self.refuse(
                &origin,
                path,
                text!(
                    "Datum und Uhrzeit gibt es in dieser Konfiguration nicht",
                    "this configuration has no dates and times"
                ),
                text!(
                    "Als Text in Anführungszeichen schreiben.",
                    "Write it as text in quotes."
                ),
            ),
            DeValue::Array(array) => {
                let items = array
                    .into_iter()
                    .map(|item| {
                        let line = position(self.text, item.span().start).0;
                        self.value(item.into_inner(), line, path)
                    })
                    .collect::<Vec<Value>>();
                ValueKind::Array(items)
            }
            DeValue::Table(table) => ValueKind::Table(self.table(table, &format!("{path}."))),
        };
        self.origins.value(origin, kind)
    }

    /// Nothing stands in the value's place: readers take that as already reported.
    fn refuse(&self, origin: &Origin, key: &str, what: Text, remedy: Text) -> ValueKind {
        self.report.mistake(Finding {
            origin: origin.clone(),
            key: key.to_owned(),
            what,
            remedy,
        });
        ValueKind::Nil
    }
}
