//! What is wrong with a configuration, where, and what to do about it.

use std::{cell::RefCell, fmt, path::PathBuf};

use koffer_proto::{Lang, Text};

/// A sentence in German and English; both literals may capture variables.
#[macro_export]
macro_rules! text {
    ($de:literal, $en:literal $(, $name:ident = $value:expr)* $(,)?) => {
        koffer_proto::Text::new(format!($de $(, $name = $value)*), format!($en $(, $name = $value)*))
    };
}

/// Where something was written. Ordered as a technician reads: files by name and line, then the
/// environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// The line, counted from 1; absent where the file as a whole is meant.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "${variable}"),
        }
    }
}

/// One mistake or one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it was written.
    pub origin: Origin,
    /// The key's path, e.g. `devices.ec-terminal.address`; empty where a file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub what: Text,
    /// What a person can do.
    pub remedy: Text,
}

impl Finding {
    /// `file:line: key: what is wrong` and, on a second line, the remedy.
    pub fn in_lang(&self, lang: Lang) -> String {
        let Self {
            origin,
            key,
            what,
            remedy,
        } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        let (what, remedy) = (what.get(lang), remedy.get(lang));
        let label = match lang {
            Lang::De => "Abhilfe",
            Lang::En => "Remedy",
        };
        format!("{origin}: {key}{colon}{what}\n    {label}: {remedy}")
    }
}

/// Everything that is wrong with a configuration, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// What must be mended, in reading order; at least one.
    pub mistakes: Vec<Finding>,
    /// What works and should be looked at, in reading order.
    pub warnings: Vec<Finding>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            writeln!(f, "{}", mistake.in_lang(Lang::En))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Proof that the reason why there is no value stands in the report.
#[derive(Debug, Clone, Copy)]
pub struct Reported(());

/// Collects findings while a configuration is read.
#[derive(Default)]
pub struct Report {
    mistakes: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
    incomplete: RefCell<Option<Reported>>,
}

impl Report {
    /// Takes in a mistake.
    pub fn mistake(&self, finding: Finding) -> Reported {
        self.mistakes.borrow_mut().push(finding);
        Reported(())
    }

    /// For a value whose place is empty because its mistake was reported while its file was read.
    pub fn already() -> Reported {
        Reported(())
    }

    /// Takes in a warning.
    pub fn warning(&self, finding: Finding) {
        self.warnings.borrow_mut().push(finding);
    }

    /// A source that could not be read, whole or in part: from now on nothing is called missing.
    pub fn unreadable(&self, finding: Finding) -> Reported {
        let reported = self.mistake(finding);
        *self.incomplete.borrow_mut() = Some(reported);
        reported
    }

    /// Whether something may be missing only because its source could not be read.
    pub fn incomplete(&self) -> Option<Reported> {
        *self.incomplete.borrow()
    }

    /// The value, where nothing is wrong, with the warnings.
    pub fn finish<T>(self, value: Result<T, Reported>) -> Result<(T, Vec<Finding>), Mistakes> {
        let in_order = |mut findings: Vec<Finding>| {
            findings.sort_by(|a, b| (&a.origin, &a.key).cmp(&(&b.origin, &b.key)));
            findings
        };
        let warnings = in_order(self.warnings.into_inner());
        let mistakes = in_order(self.mistakes.into_inner());
        match value {
            Ok(value) if mistakes.is_empty() => Ok((value, warnings)),
            _ => Err(Mistakes { mistakes, warnings }),
        }
    }
}
