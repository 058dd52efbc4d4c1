//! Power: NUT's own server with its `dummy-ups` driver, and supplies in umockdev's sysfs.

mod nut;
mod supplies;

pub use nut::NutServer;
pub use supplies::MockedSupplies;
