//! `[devices.<name>]` of a case: what is simulated, and how.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

use crate::card::chip::{Chip, Manners};
use crate::zvt::Profile;

/// The card terminals that one case can have: vpcd has so many slots.
pub(super) const SLOTS: usize = 2;

/// `[devices.<name>]`, told apart by `simulator`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "simulator", rename_all = "kebab-case")]
pub enum DeviceEntry {
    /// `sim-zvt`, a payment terminal.
    Zvt(Box<TerminalEntry>),
    /// `ippeveprinter` of CUPS, a document printer.
    Ippeveprinter(PrinterEntry),
    /// A chip card in a slot of vpcd behind the real pcscd, a card terminal.
    Card(CardEntry),
}

/// A payment terminal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TerminalEntry {
    /// How it is connected.
    pub line: Line,
    /// Its TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Who prints the receipts.
    pub receipts: Receipts,
    /// What kind of terminal it is, and its cardholder.
    pub profile: Profile,
    /// Further keys for kofferd's table of this device, taken as they are.
    pub kofferd: toml::Table,
}

/// A document printer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrinterEntry {
    /// Its TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Sheets in each of its trays when it is switched on, 0 for none; what `ippeveprinter` has by
    /// itself if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheets: Option<u8>,
    /// How long each page takes.
    pub page_ms: u32,
    /// Further keys for kofferd's table of this device, taken as they are.
    pub kofferd: toml::Table,
}

/// A card terminal with its card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CardEntry {
    /// Whether the card is in it at first.
    pub inserted: bool,
    /// The card's PIN.
    pub pin: String,
    /// The identifier of the application to select, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Its files by their identifier, four hexadecimal digits.
    pub files: BTreeMap<String, CardFile>,
    /// How it behaves where ISO 7816 leaves it a choice.
    pub manners: Manners,
    /// Further keys for kofferd's table of this device, taken as they are.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub kofferd: toml::Table,
}

/// A transparent file of a card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CardFile {
    /// How long it is; as long as its text if it is left out. The rest is zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u16>,
    /// What it holds at first.
    pub text: String,
    /// Whether it is updated only after the PIN.
    pub guarded: bool,
}

/// How a terminal is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// Network.
    #[default]
    Tcp,
    /// A pseudo-terminal.
    Serial,
}

/// Who prints receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Receipts {
    /// The caller gets lines.
    #[default]
    App,
    /// The terminal's own printer.
    Terminal,
}

impl Default for CardEntry {
    fn default() -> Self {
        Self {
            inserted: true,
            pin: "123456".to_owned(),
            application: None,
            files: BTreeMap::new(),
            manners: Manners::default(),
            kofferd: toml::Table::new(),
        }
    }
}

impl DeviceEntry {
    /// Its port on 127.0.0.1, where it has one of its own choice.
    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Zvt(terminal) => terminal.port,
            Self::Ippeveprinter(printer) => printer.port,
            Self::Card(_) => 0,
        }
    }

    /// What cannot be, each a field and its remedy.
    pub(super) fn mistakes(&self) -> Vec<String> {
        match self {
            Self::Zvt(terminal) => terminal.mistakes(),
            Self::Ippeveprinter(_) => Vec::new(),
            Self::Card(card) => card.mistakes(),
        }
    }
}

impl TerminalEntry {
    fn mistakes(&self) -> Vec<String> {
        let profile = self.profile.mistakes();
        let mut mistakes: Vec<_> = profile
            .into_iter()
            .map(|mistake| format!("profile.{mistake}"))
            .collect();
        if self.line == Line::Serial && self.port != 0 {
            mistakes.push("port means nothing on a serial line: remove it".to_owned());
        }
        mistakes
    }
}

impl CardEntry {
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if !(4..=12).contains(&self.pin.len()) || !self.pin.bytes().all(|b| b.is_ascii_digit()) {
            mistakes.push("pin: write four to twelve digits".to_owned());
        }
        let application = self.application.as_deref();
        if application.is_some_and(|digits| application_id(digits).is_none()) {
            mistakes.push("application: write 5 to 16 bytes in hexadecimal digits".to_owned());
        }
        for (id, file) in &self.files {
            if file_id(id).is_none() {
                mistakes.push(format!("files.{id}: write four hexadecimal digits"));
            }
            let bytes = file.bytes.map_or(file.text.len(), usize::from);
            if bytes == 0 || bytes < file.text.len() {
                let text = file.text.len();
                mistakes.push(format!(
                    "files.{id}.bytes: write at least 1, and the {text} of its text"
                ));
            }
        }
        mistakes
    }

    /// The card as it is before anybody wrote to it.
    pub(super) fn chip(&self) -> Chip {
        let mut chip = Chip::new(&self.pin).with_manners(self.manners);
        if let Some(application) = self.application.as_deref().and_then(application_id) {
            chip = chip.with_application(&application);
        }
        for (id, file) in &self.files {
            let mut content = file.text.clone().into_bytes();
            content.resize(file.bytes.map_or(content.len(), usize::from), 0);
            let Some(id) = file_id(id) else { continue };
            chip = if file.guarded {
                chip.with_guarded_file(id, content)
            } else {
                chip.with_file(id, content)
            };
        }
        chip
    }
}

/// The bytes of an application identifier (ISO 7816-4, 8.2.1.2).
fn application_id(digits: &str) -> Option<Vec<u8>> {
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    (5..=16).contains(&bytes.len()).then_some(bytes)
}

/// A file identifier in four hexadecimal digits.
fn file_id(digits: &str) -> Option<u16> {
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    bytes.try_into().ok().map(u16::from_be_bytes)
}
