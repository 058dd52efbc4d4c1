//! A scripted IPP printer: the manners of real ones, a few lines each ([`Manners`]), and what came
//! out of it. It shares nothing with the driver, not even the encoding.

mod engine;
mod manners;
mod port;
mod wire;

pub use manners::{Counts, End, Manners, Names, Uptime};
pub use port::ScriptedPrinter;
pub use wire::{Attribute, Operation, Request, Value};
