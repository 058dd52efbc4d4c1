//! Printers.

pub mod ipp;
