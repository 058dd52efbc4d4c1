//! Calls: admission, policy, deadlines, claims, idempotency, queues and replies.
//!
//! `dispatcher` decides. It is a state machine without clock, channel or task: each input is answered
//! with actions. `dispatcher_task` carries them out. So every interleaving can be tried in a test, and
//! the MQTT loop never waits for a device or a disk.

/// Logs what becomes of a call. A call that only asks is logged at debug level: monitoring asks all
/// day.
macro_rules! note {
    ($spec:expr, $($event:tt)+) => {
        if $spec.effect == koffer_proto::EffectKind::None {
            tracing::debug!($($event)+);
        } else {
            tracing::info!($($event)+);
        }
    };
}

mod admission;
mod bulk;
mod cancellation;
mod claims;
mod decoding;
mod device_queue;
mod devices;
mod dispatcher;
mod dispatcher_task;
mod expected;
mod fair_queue;
mod idempotency;
mod in_doubt;
mod incoming;
mod lifecycle;
mod own_state;
mod policy;
mod recovery;
mod replies;
#[cfg(test)]
mod tests;
mod texts;

pub use bulk::{BulkDepth, BulkSession};
pub use decoding::Undecoded;
pub use device_queue::Condition;
pub use dispatcher::{
    Action, Dispatcher, Input, Job, Limits, Moment, Reconcile, Recorded, Replay, Resolved, Setup,
    Start, StoredStep, SupervisorEvent, Vitals,
};
pub use dispatcher_task::{DispatcherTask, Served, Startup};
pub use incoming::AckToken;
pub use policy::{ClientRole, Policy, Rights};
pub use replies::Reply;
