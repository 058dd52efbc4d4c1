//! koffer's device drivers: typed operations in, progress and one outcome out.
//!
//! One folder per class, one per protocol below it: a pure codec, an actor that owns the port,
//! and what it takes to know after a crash what happened. A driver never sees a topic, a client
//! or an encoding of the contract.

mod call;
pub mod card;
pub mod card_number;
mod driver;
mod ending;
pub mod factory;
pub mod fail_point;
pub mod lines;
mod list;
pub mod payment;
pub mod position;
pub mod power;
pub mod printer;
mod self_test;
pub mod sensor;

pub use call::{
    Call, CallControl, CallUpdate, Effects, Evidence, NotStored, Steering, Stop, Unrecorded, call,
};
pub use driver::{
    Contact, Driver, Fault, Finished, Interrupted, NotYet, Opened, Reconciled, Report, Reports,
};
pub use factory::{
    Context, DriverConfig, DriverFactory, DriverName, Endpoint, Listing, Plugged, PluggedConfig,
};
pub use list::DRIVERS;
