//! `[devices.<name>]` of a case: what is simulated. The only place that knows every simulator; each
//! has a file of its own.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::card_terminal::CardEntry;
use super::printer::PrinterEntry;
use super::terminal::TerminalEntry;

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

impl DeviceEntry {
    /// What every simulator says of itself.
    pub(super) fn simulated(&self) -> &dyn Simulated {
        match self {
            Self::Zvt(entry) => entry.as_ref(),
            Self::Ippeveprinter(entry) => entry,
            Self::Card(entry) => entry,
        }
    }
}

/// What every simulator says of itself.
pub(super) trait Simulated {
    /// Its port on 127.0.0.1, where it has one of its own choice.
    fn port(&self) -> u16 {
        0
    }

    /// What cannot be, each a field and its remedy.
    fn mistakes(&self) -> Vec<String> {
        Vec::new()
    }

    /// kofferd's table of the device that is at `place`: an address, a reader.
    fn configuration(&self, place: &str) -> Vec<(&'static str, Value)>;

    /// Further keys for that table, taken as they are.
    fn more(&self) -> &Table;
}
