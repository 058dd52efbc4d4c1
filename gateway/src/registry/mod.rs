//! Devices by id, each with an actor of its own under a supervisor.

mod description;
mod driver_task;
mod reasons;
mod supervisor;
#[cfg(test)]
mod tests;
mod warnings;

use std::sync::Arc;

use koffer_drivers::Driver;
use koffer_proto::{Class, Connection, DeviceId, Reason};
use tokio::sync::watch;

pub use supervisor::supervise;

/// How a device is driven: everything a supervisor needs to start its driver.
#[derive(Clone)]
pub struct DeviceSpec {
    /// Its name.
    pub id: DeviceId,
    /// Its class.
    pub class: Class,
    /// The driver's name, e.g. `zvt`.
    pub driver: &'static str,
    /// How it is connected.
    pub connection: Connection,
    /// Makes the driver of a new driver.
    pub make: Arc<dyn Fn() -> Box<dyn Driver> + Send + Sync>,
}

/// What is plugged in where a device belongs.
#[derive(Clone)]
pub enum Plug {
    /// This.
    In(DeviceSpec),
    /// Nothing since just now: it may be back in a moment.
    Pulled,
    /// Nothing, and why.
    Out(Reason),
}

impl Plug {
    /// A device that is always there.
    pub fn fixed(spec: DeviceSpec) -> watch::Receiver<Self> {
        watch::channel(Self::In(spec)).1
    }
}
