//! Batteries and mains as Linux shows them: a folder for each in `/sys/class/power_supply`
//! (`Documentation/ABI/testing/sysfs-class-power`).

mod factory;
mod sensor;
pub mod supplies;

pub use factory::{FACTORY, SysfsConfig};
