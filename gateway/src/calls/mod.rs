//! Calls: admission, identity, policy, deadlines, claims, idempotency, turns and answers.
//!
//! `desk` decides and does nothing: a state machine without clock, channel or task, told what
//! happens and answering with what to do. `clerk` does it. So every interleaving can be tried
//! in a test, and the MQTT loop never waits for a device or a disk.

/// Logs what becomes of a call: who only asks how a device is, and asks all day, leaves no trace
/// unless it is looked for.
macro_rules! note {
    ($spec:expr, $($event:tt)+) => {
        if $spec.effect == koffer_proto::EffectKind::None {
            tracing::debug!($($event)+);
        } else {
            tracing::info!($($event)+);
        }
    };
}

mod answers;
mod aside;
mod book;
mod claims;
mod clerk;
mod desk;
mod doubt;
mod expected;
mod gateway_device;
mod incoming;
mod kept;
mod own_state;
mod policy;
mod queue;
mod running;
mod station;
mod taking;
#[cfg(test)]
mod tests;
mod texts;

pub use answers::Letter;
pub use aside::{Aside, AsideDepth};
pub use clerk::{Clerk, Served, Startup};
pub use desk::{
    Action, AnswerTo, Asked, CallNo, Desk, Input, Job, Journalled, Limits, Moment, News, Recorded,
    Resolved, Settle, Setup, Start, StoredStep,
};
pub use gateway_device::Vitals;
pub use incoming::Ticket;
pub use kept::{Deleted, Kept, Name};
pub use policy::{ClientRole, Policy, Rights};
pub use station::Condition;
pub use taking::Undecoded;
