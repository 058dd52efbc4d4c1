//! Simulated peripherals, each with a fault list and a control channel, and `virtual-case`, which
//! raises a whole case from one TOML file.
//!
//! A simulator shares the codec of its protocol with the driver, never the driver's decisions.

pub mod card;
pub mod case;
pub mod control;
pub mod driven;
pub mod ipp;
pub mod ippeveprinter;
pub mod ports;
pub mod position;
pub mod power;
pub mod zvt;
