//! In the making.

pub mod config;
pub mod logging;
