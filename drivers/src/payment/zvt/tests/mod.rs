//! The driver against scripted terminals.

mod cuts;
mod garbage;
mod happy;
mod idle;
mod refusals;
mod script;
mod serial;
mod stopping;
