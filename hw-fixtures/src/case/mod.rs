//! A whole case from one TOML file: broker, simulators and kofferd, each a process of its own that
//! can be killed, raised in order and torn down in reverse.
//!
//! The program `virtual-case` and the end-to-end tests use the same code.

mod access;
mod card_terminal;
mod device;
mod file;
mod gateway;
mod mosquitto;
mod printer;
mod process;
mod raised;
mod ready;
mod start;
mod terminal;

pub use access::ClientAccess;
pub use card_terminal::{CardEntry, CardFile, CaseCardTerminal};
pub use device::DeviceEntry;
pub use file::{BrokerKind, CaseFile, CaseFileError, CaseSection, ClientEntry, ClientRole};
pub use printer::{CasePrinter, PrinterEntry};
pub use process::Death;
pub use raised::{Case, CaseError, CaseOptions};
pub use terminal::{CaseTerminal, Line, Receipts, TerminalEntry};
