//! Chip card terminals through PC/SC.

mod batch;
pub mod features;
mod file;
mod pin_policy;
