//! Simulated chip cards and card readers.
//!
//! `chip` is the card, `virtual_card` plugs it into a slot of the real pcscd's vpcd driver,
//! `pcscd` runs that pcscd, and `fake_pcscd` stands in for it where hotplug, pads or faults are
//! needed that vpcd has not.

pub mod chip;
pub mod fake_pcscd;
pub mod pcscd;
pub mod virtual_card;
