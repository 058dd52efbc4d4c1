//! Power supplies and batteries.

pub mod nut;
mod reading;
pub mod sysfs;

pub use reading::Reading;
