//! The lines of `upsd`: what `LIST VAR` answers (RFC 9271, 4.2.5), without I/O.

use koffer_proto::{
    Identity,
    class::power::{PowerSource, PowerStatus},
};

use crate::power::Reading;

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A variable and its value.
    Variable(String, String),
    /// The list begins.
    Begin,
    /// The list is over.
    End,
    /// An error's keyword, e.g. `UNKNOWN-UPS`.
    Error(String),
    /// Anything else, e.g. `OK Goodbye`.
    Other,
}

/// What asks for every variable of a UPS.
pub fn list_variables(ups: &str) -> String {
    format!("LIST VAR {ups}")
}

/// Reads a line.
pub fn line(text: &str) -> Line {
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["VAR", _, name, value] => Line::Variable((*name).to_owned(), (*value).to_owned()),
        ["BEGIN", "LIST", "VAR", ..] => Line::Begin,
        ["END", "LIST", "VAR", ..] => Line::End,
        ["ERR", keyword, ..] => Line::Error((*keyword).to_owned()),
        _ => Line::Other,
    }
}

/// The words of a line: by spaces, or in quotes with `\` before `"` and `\`.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => {
                let escaped = characters.next().unwrap_or('\\');
                word.get_or_insert_default().push(escaped);
            }
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// The variables of a UPS that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    status: String,
    charge: Option<u8>,
    runtime_ms: Option<u64>,
    identity: Identity,
}

impl Variables {
    /// Takes in one variable.
    pub fn set(&mut self, name: &str, value: &str) {
        let text = || Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        // Numbers come as `90` and as `90.0`.
        let number = || {
            let number: Option<f64> = value.trim().parse().ok();
            number.filter(|number| (0.0..1e9).contains(number))
        };
        match name {
            "ups.status" => value.clone_into(&mut self.status),
            "battery.charge" => self.charge = number().and_then(percent),
            "battery.runtime" => self.runtime_ms = number().map(milliseconds),
            "device.mfr" => self.identity.vendor = text(),
            "device.model" => self.identity.model = text(),
            "device.serial" => self.identity.serial = text(),
            "ups.firmware" => self.identity.firmware = text(),
            _ => {}
        }
    }

    fn says(&self, flag: &str) -> bool {
        self.status
            .split_ascii_whitespace()
            .any(|word| word == flag)
    }

    /// What the UPS says; `None` while its driver has not asked it yet.
    pub fn reading(&self) -> Option<(Identity, Reading)> {
        if self.status.trim().is_empty() || self.says("WAIT") {
            return None;
        }
        let source = match (self.says("OL"), self.says("OB")) {
            (_, true) => PowerSource::Battery,
            (true, false) => PowerSource::Mains,
            (false, false) => PowerSource::Unknown,
        };
        let status = PowerStatus {
            source,
            charge_percent: self.charge,
            runtime_ms: self.runtime_ms,
            low: self.says("LB") || self.says("FSD"),
        };
        let replace = self.says("RB");
        Some((self.identity.clone(), Reading { status, replace }))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded before"
)]
fn percent(number: f64) -> Option<u8> {
    (number <= 100.0).then_some(number.round() as u8)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded before"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_read_as_upsd_writes_them() {
        let variable = |name: &str, value: &str| Line::Variable(name.into(), value.into());
        for (text, expected) in [
            (
                r#"VAR case ups.status "OL CHRG""#,
                variable("ups.status", "OL CHRG"),
            ),
            (r#"VAR case a "x \"y\" \\z""#, variable("a", r#"x "y" \z"#)),
            (r#"VAR case a """#, variable("a", "")),
            ("BEGIN LIST VAR case", Line::Begin),
            ("END LIST VAR case", Line::End),
            ("ERR UNKNOWN-UPS", Line::Error("UNKNOWN-UPS".into())),
            ("ERR", Line::Other),
            ("OK Goodbye", Line::Other),
            (r#"VAR case a "unfinished"#, variable("a", "unfinished")),
        ] {
            assert_eq!(line(text), expected, "{text}");
        }
    }

    #[test]
    fn a_status_is_what_its_flags_say() {
        for (status, source, low, replace) in [
            ("OL", PowerSource::Mains, false, false),
            ("OL CHRG", PowerSource::Mains, false, false),
            ("OB DISCHRG LB", PowerSource::Battery, true, false),
            ("OL RB", PowerSource::Mains, false, true),
            ("FSD OB LB", PowerSource::Battery, true, false),
            ("BYPASS", PowerSource::Unknown, false, false),
        ] {
            let mut variables = Variables::default();
            variables.set("ups.status", status);
            variables.set("battery.charge", "90.4");
            variables.set("battery.runtime", "1800");
            let (_, reading) = variables.reading().unwrap();
            assert_eq!(reading.status.source, source, "{status}");
            assert_eq!(reading.status.low, low, "{status}");
            assert_eq!(reading.replace, replace, "{status}");
            assert_eq!(reading.status.charge_percent, Some(90));
            assert_eq!(reading.status.runtime_ms, Some(1_800_000));
        }
        for status in ["", " ", "WAIT"] {
            let mut variables = Variables::default();
            variables.set("ups.status", status);
            assert_eq!(variables.reading(), None, "{status:?}");
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_left_out() {
        for value in ["-1", "101", "NaN", "inf", "1e300", "", "x"] {
            let mut variables = Variables::default();
            variables.set("ups.status", "OL");
            variables.set("battery.charge", value);
            let (_, reading) = variables.reading().unwrap();
            assert_eq!(reading.status.charge_percent, None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_and_a_quoted_value_comes_back(text in any::<String>(), value in "[^\n]{0,80}") {
            let _ = line(&text);
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let read = line(&format!("VAR case name \"{quoted}\""));
            prop_assert_eq!(read, Line::Variable("name".into(), value.clone()));
            let mut variables = Variables::default();
            for name in ["ups.status", "battery.charge", "battery.runtime"] {
                variables.set(name, &value);
            }
            let _ = variables.reading();
        }
    }
}
