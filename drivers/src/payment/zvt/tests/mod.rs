//! The driver against scripted terminals.

mod happy;
mod script;
