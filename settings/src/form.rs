//! The forms a value can have: how it is read, and how it is described to a person.

use std::{path::PathBuf, time::Duration};

use config::{Value, ValueKind};
use koffer_proto::Text;

use crate::{suggestion, text};

/// A value as it was written.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    /// In TOML.
    Typed(&'a Value),
    /// As plain text: in the environment, or a default of ours.
    Plain(&'a str),
}

impl<'a> Given<'a> {
    /// The text, where it is one.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Typed(value) => match &value.kind {
                ValueKind::String(text) => Some(text),
                _ => None,
            },
        }
    }

    fn kind(self) -> Text {
        let (de, en) = match self {
            Self::Plain(_) => ("ein Text", "text"),
            Self::Typed(value) => match value.kind {
                ValueKind::String(_) => ("ein Text", "text"),
                ValueKind::Boolean(_) => ("true/false", "true/false"),
                ValueKind::Float(_) => ("eine Kommazahl", "a decimal number"),
                ValueKind::Table(_) => ("eine Tabelle", "a table"),
                ValueKind::Array(_) => ("eine Liste", "a list"),
                ValueKind::Nil => ("nichts", "nothing"),
                _ => ("eine ganze Zahl", "a whole number"),
            },
        };
        Text::new(de, en)
    }
}

/// Why a value was not taken.
pub struct Refusal {
    /// What is wrong with it.
    pub what: Text,
    /// What a person can do.
    pub remedy: Text,
}

/// How a value is read.
pub trait Form: Sync {
    /// What is read.
    type Value;

    /// What the value must be, to stand after "write".
    fn expected(&self) -> Text;

    /// Reads it, or says everything that is wrong with it.
    fn read(&self, given: Given<'_>) -> Result<Self::Value, Vec<Refusal>>;

    /// The refusal of a value of another type. Never shows the value: it may be a password.
    fn wrong_type(&self, given: Given<'_>) -> Vec<Refusal> {
        let (kind, expected) = (given.kind(), self.expected());
        vec![Refusal {
            what: Text::new(
                format!("hier steht {}", kind.de),
                format!("this is {}", kind.en),
            ),
            remedy: write(&expected),
        }]
    }
}

fn write(expected: &Text) -> Text {
    let Text { de, en } = expected;
    text!("Erwartet: {de}.", "Expected: {en}.")
}

/// A whole number within bounds.
pub struct Whole {
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Form for Whole {
    type Value = u64;

    fn expected(&self) -> Text {
        let Self { min, max } = self;
        text!(
            "eine ganze Zahl von {min} bis {max}",
            "a whole number from {min} to {max}"
        )
    }

    fn read(&self, given: Given<'_>) -> Result<u64, Vec<Refusal>> {
        let number = match given {
            Given::Plain(text) => text.trim().parse::<i64>().ok(),
            Given::Typed(value) => match value.kind {
                ValueKind::I64(number) => Some(number),
                _ => None,
            },
        };
        let number = number.ok_or_else(|| self.wrong_type(given))?;
        u64::try_from(number)
            .ok()
            .filter(|number| (self.min..=self.max).contains(number))
            .ok_or_else(|| {
                vec![Refusal {
                    what: text!(
                        "{number} liegt außerhalb der Grenzen",
                        "{number} is out of bounds"
                    ),
                    remedy: write(&self.expected()),
                }]
            })
    }
}

/// A duration in whole milliseconds within bounds.
pub struct Millis {
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Form for Millis {
    type Value = Duration;

    fn expected(&self) -> Text {
        let Self { min, max } = self;
        text!(
            "Millisekunden, eine ganze Zahl von {min} bis {max}",
            "milliseconds, a whole number from {min} to {max}"
        )
    }

    fn read(&self, given: Given<'_>) -> Result<Duration, Vec<Refusal>> {
        let Self { min, max } = *self;
        let number = Whole { min, max }.read(given);
        number.map(Duration::from_millis).map_err(|mut refusals| {
            for refusal in &mut refusals {
                refusal.remedy = write(&self.expected());
            }
            refusals
        })
    }
}

/// `true` or `false`.
pub struct Switch;

impl Form for Switch {
    type Value = bool;

    fn expected(&self) -> Text {
        text!("true oder false", "true or false")
    }

    fn read(&self, given: Given<'_>) -> Result<bool, Vec<Refusal>> {
        match given {
            Given::Plain("true") => Ok(true),
            Given::Plain("false") => Ok(false),
            Given::Typed(Value {
                kind: ValueKind::Boolean(flag),
                ..
            }) => Ok(*flag),
            _ => Err(self.wrong_type(given)),
        }
    }
}

/// One of some words.
pub struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + Sync> Form for Choice<T> {
    type Value = T;

    fn expected(&self) -> Text {
        words(self.0.iter().map(|(word, _)| *word))
    }

    fn read(&self, given: Given<'_>) -> Result<T, Vec<Refusal>> {
        let word = given.text().ok_or_else(|| self.wrong_type(given))?;
        choose(word, self.0)
    }
}

/// What one of these words is, to stand after "write".
pub fn words<'a>(known: impl IntoIterator<Item = &'a str>) -> Text {
    let known = known.into_iter().map(|word| format!("\"{word}\""));
    let words = known.collect::<Vec<_>>().join(", ");
    text!("eines von {words}", "one of {words}")
}

/// What `word` stands for among `known`, or the nearest word as a remedy.
pub fn choose<T: Copy>(word: &str, known: &[(&str, T)]) -> Result<T, Vec<Refusal>> {
    let found = known.iter().find(|(known, _)| *known == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        vec![Refusal {
            what: text!("»{word}« gibt es hier nicht", "there is no \"{word}\" here"),
            remedy: suggestion::remedy(word, known.iter().map(|(known, _)| *known)),
        }]
    })
}

/// A text with a meaning. `parse` says what is wrong; for secrets without showing them.
pub struct Parsed<T> {
    /// What it must be, in German.
    pub de: &'static str,
    /// The same in English.
    pub en: &'static str,
    /// Reads it, or says what is wrong.
    pub parse: fn(&str) -> Result<T, Text>,
}

impl<T> Form for Parsed<T> {
    type Value = T;

    fn expected(&self) -> Text {
        Text::new(self.de, self.en)
    }

    fn read(&self, given: Given<'_>) -> Result<T, Vec<Refusal>> {
        let text = given.text().ok_or_else(|| self.wrong_type(given))?;
        (self.parse)(text).map_err(|what| {
            vec![Refusal {
                what,
                remedy: write(&self.expected()),
            }]
        })
    }
}

/// A list, in TOML `["a", "b"]`, as plain text `a,b`.
pub struct List<F>(pub F);

impl<F: Form> Form for List<F> {
    type Value = Vec<F::Value>;

    fn expected(&self) -> Text {
        let Text { de, en } = self.0.expected();
        text!("eine Liste; jeder Eintrag {de}", "a list; each entry {en}")
    }

    fn read(&self, given: Given<'_>) -> Result<Self::Value, Vec<Refusal>> {
        let items: Vec<_> = match given {
            Given::Plain(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| self.0.read(Given::Plain(item)))
                .collect(),
            Given::Typed(value) => match &value.kind {
                // Nothing stands where a mistake has been reported already.
                ValueKind::Array(items) => items
                    .iter()
                    .filter(|item| !matches!(item.kind, ValueKind::Nil))
                    .map(|item| self.0.read(Given::Typed(item)))
                    .collect(),
                _ => return Err(self.wrong_type(given)),
            },
        };
        let mut values = Vec::new();
        let mut refusals = Vec::new();
        for item in items {
            match item {
                Ok(value) => values.push(value),
                Err(refused) => refusals.extend(refused),
            }
        }
        if refusals.is_empty() {
            Ok(values)
        } else {
            Err(refusals)
        }
    }
}

/// The form of a name: one topic segment.
pub const fn name<T>() -> Parsed<T>
where
    T: std::str::FromStr<Err = koffer_proto::NameError>,
{
    Parsed {
        de: "ein Name aus Kleinbuchstaben, Ziffern und Bindestrichen, höchstens 64 Zeichen, vorn kein Bindestrich",
        en: "a name of lower-case letters, digits and hyphens, at most 64 characters, no hyphen first",
        parse: parse_name,
    }
}

/// A name from text.
pub fn parse_name<T>(text: &str) -> Result<T, Text>
where
    T: std::str::FromStr<Err = koffer_proto::NameError>,
{
    text.parse().map_err(|_| {
        text!(
            "»{text}« ist kein gültiger Name",
            "\"{text}\" is not a valid name"
        )
    })
}

/// The form of an absolute path.
pub const fn absolute_path() -> Parsed<PathBuf> {
    Parsed {
        de: "ein absoluter Pfad",
        en: "an absolute path",
        parse: |text| {
            let path = PathBuf::from(text);
            if path.is_absolute() {
                Ok(path)
            } else {
                Err(text!(
                    "»{text}« ist kein absoluter Pfad",
                    "\"{text}\" is no absolute path"
                ))
            }
        },
    }
}
