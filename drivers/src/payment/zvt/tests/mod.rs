//! The driver against scripted terminals.

mod books;
mod cuts;
mod field;
mod garbage;
mod happy;
mod idle;
mod races;
mod refusals;
mod script;
mod serial;
mod stopping;
