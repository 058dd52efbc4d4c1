//! The drivers there are: the only place that knows them all.

use crate::{DriverFactory, card, payment, position, power, printer};

/// Every driver, in the order of the reference.
pub static DRIVERS: &[&DriverFactory] = &[
    &payment::zvt::FACTORY,
    &printer::ipp::FACTORY,
    &card::pcsc::FACTORY,
    &power::sysfs::FACTORY,
    &power::nut::FACTORY,
    &position::gpsd::FACTORY,
];
