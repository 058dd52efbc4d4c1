//! The koffer contract, version 1, in types.
//!
//! Everything a workstation app, a technician or a fleet monitor can see of `kofferd` is
//! defined here and nowhere else: topics, call properties, progress, completions, device
//! documents, and the operations of every device class. The daemon, its tool, the simulators
//! and the tests share this crate; JSON Schema and AsyncAPI are generated from it.
//!
//! This crate does no I/O, starts no thread and depends on no runtime.

mod answer;
mod binary;
mod bound;
mod call;
pub mod class;
mod code;
mod device;
mod encoding;
mod gateway_status;
mod money;
mod name;
mod operation;
mod progress;
pub mod schema;
mod shape;
mod text;
mod topic;

pub use answer::{Completion, Detail, Failure, Outcome};
pub use binary::{Blob, Sha256};
pub use bound::OutOfBounds;
pub use call::{CallId, CallIdError, ClaimToken};
pub use code::{Effect, Status};
pub use device::{
    Capabilities, CardTerminalCapabilities, Connection, Description, DeviceEvent, DeviceState,
    EventKind, Identity, OperationDescription, PaymentCapabilities, PrinterCapabilities, Reason,
    RoleDescription, StateDocument,
};
pub use encoding::{ContentType, DecodeError, EncodeError, Wrong};
pub use gateway_status::{
    DeviceHealth, GatewayStatus, Health, HealthTotals, LastSelfTest, Presence, UplinkHealth,
};
pub use money::{Amount, Cents, Currency};
pub use name::{ClientId, DeviceId, GatewayId, NameError, Segment};
pub use operation::{
    Class, DecodeRequestError, EffectKind, Operation, OperationSpec, Request, Response,
};
pub use progress::{Progress, ProgressEvent};
pub use text::{Lang, Text};
pub use topic::{ReplyTopic, ReplyTopicError, Root, Topic, TopicError};

/// The version segment of every topic. Additions keep it; anything else is a new version beside it.
pub const VERSION: u8 = 1;

/// The largest call or reply payload by default: 32 MiB, announced as Maximum Packet Size.
pub const MAX_PAYLOAD_BYTES: usize = 32 * 1024 * 1024;
