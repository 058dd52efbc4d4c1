//! In the making.

pub mod card;
