//! A simulated ZVT payment terminal, on TCP or on a pseudo-terminal.
//!
//! [`Terminal::start`] runs one inside a test; the program `sim-zvt` runs the same code as a
//! process that can be killed. Both are steered through the control channel ([`TerminalControl`]).
//! What the terminal does with money is in its [`Ledger`], which a test compares with what the
//! gateway said.
//!
//! Source: VdTH, ZVT-Protokoll PA00P015 rev. 13.08 and PA00P016. Where makes differ, a [`Profile`]
//! says which one this is.

mod administration;
mod books;
mod by_hand;
mod cardholder;
mod conversation;
mod fault;
mod fault_list;
mod ledger;
mod line;
mod machine;
mod payment;
mod port;
mod profile;
mod pty;
mod receipts;
mod remote;
mod shared;
mod terminal;
mod wire;
mod wrong;

pub use by_hand::ByHand;
pub use cardholder::{Card, Cardholder, Pin};
pub use fault::{CommandName, Cut, Direction, Fault, How, Kind, Per, Step, Wrong};
pub use fault_list::{Bytes, Consumed};
pub use ledger::{Entry, Event, Ledger, LedgerError};
pub use machine::DIED;
pub use port::{Address, Plug};
pub use profile::{MissingAck, Profile, RepeatStatus, Reverses};
pub use remote::{FaultReport, TerminalControl, Until};
pub use shared::{ByteCounts, Phase, Status};
pub use terminal::{StartError, Terminal, TerminalConfig};
