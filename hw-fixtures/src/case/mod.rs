//! A whole case from one TOML file: broker, simulators and kofferd, each a process of its own that
//! can be killed, raised in order and torn down in reverse.
//!
//! The program `virtual-case` and the end-to-end tests use the same code.

mod access;
mod file;
mod gateway;
mod mosquitto;
mod process;
mod raised;
mod ready;
mod start;

pub use access::ClientAccess;
pub use file::{
    BrokerKind, CaseFile, CaseFileError, CaseSection, ClientEntry, ClientRole, DeviceEntry, Line,
    Receipts, Simulator,
};
pub use process::Death;
pub use raised::{Case, CaseError, CaseOptions, CaseTerminal};
