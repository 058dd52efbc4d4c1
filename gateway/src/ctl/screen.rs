//! Where kofferctl writes: JSON lines or text on stdout, sentences to the person on stderr.

use std::io::{self, IsTerminal, Write};

use koffer_proto::{Lang, Text};
use serde_json::{Value, json};

use super::args::Options;

/// The form of stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object per line.
    Json,
    /// Tables and sentences.
    Text,
}

/// Stdout, stderr, and how to write there.
#[derive(Debug)]
pub(super) struct Screen {
    form: Form,
    lang: Lang,
    out: Paint,
    err: Paint,
}

impl Screen {
    /// As the options and the terminal have it.
    pub(super) fn new(options: &Options, lang: Lang) -> Self {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = io::stdout().is_terminal();
        let form = if options.json || !(terminal || options.text) {
            Form::Json
        } else {
            Form::Text
        };
        Self {
            form,
            lang,
            out: Paint(colours && terminal),
            err: Paint(colours && io::stderr().is_terminal()),
        }
    }

    pub(super) fn lang(&self) -> Lang {
        self.lang
    }

    pub(super) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// How stdout is coloured.
    pub(super) fn paint(&self) -> Paint {
        self.out
    }

    /// A JSON line, where stdout has that form.
    pub(super) fn json(&self, kind: &str, value: Value) -> io::Result<()> {
        match self.form {
            Form::Json => write(&json_line(kind, value)),
            Form::Text => Ok(()),
        }
    }

    /// Text, where stdout has that form.
    pub(super) fn text(&self, text: &str) -> io::Result<()> {
        match self.form {
            Form::Text => write(text),
            Form::Json => Ok(()),
        }
    }

    /// A line on stdout, whatever its form.
    #[expect(clippy::unused_self, reason = "stdout is the screen's")]
    pub(super) fn line(&self, line: &str) -> io::Result<()> {
        write(line)
    }

    /// A sentence to the person.
    pub(super) fn note(&self, text: &Text) {
        tell(text.get(self.lang));
    }

    /// A sentence to the person that must not be overlooked.
    pub(super) fn alarm(&self, text: &Text) {
        tell(&self.err.alarm(text.get(self.lang)));
    }
}

fn write(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

fn tell(text: &str) {
    // If it fails, nobody is there to read it.
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// One object on one line: what is on the wire, and its kind.
fn json_line(kind: &str, value: Value) -> String {
    match value {
        Value::Object(mut fields) => {
            fields.insert("kind".to_owned(), kind.into());
            Value::Object(fields)
        }
        other => json!({"kind": kind, "value": other}),
    }
    .to_string()
}

/// Colours, or none (ECMA-48, chapter 8.3.117).
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(super) fn alarm(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The text without control characters: what a device says must not steer the terminal.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_the_wire_and_its_kind() {
        assert_eq!(
            json_line("progress", json!({"seq": 1, "event": "started"})),
            r#"{"event":"started","kind":"progress","seq":1}"#
        );
        assert_eq!(
            json_line("state", Value::Null),
            r#"{"kind":"state","value":null}"#
        );
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(Paint(false).bad("x"), "x");
        assert_eq!(Paint(true).bad("x"), "\x1b[31mx\x1b[0m");
    }

    #[test]
    fn what_a_device_says_cannot_steer_the_terminal() {
        assert_eq!(
            harmless("a\x1b[2Jb\u{9b}c\nd"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d"
        );
    }
}
