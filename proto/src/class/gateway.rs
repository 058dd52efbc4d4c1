//! The gateway as a device: lists, cancels, signals and resolves calls, and answers diagnostics.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::empty;
use crate::{
    CallId, Class, ClientId, DeviceId, EffectKind, Health, Reason, Segment, bound::bounded_text,
    operation::operations,
};

operations! {
    Gateway, locked_while_unresolved: false, content: |_| 0;
    /// Lists the calls that wait or run; a workstation sees its own.
    Calls(CallsParams) -> Calls = "calls", None, 10 s;
    /// Cancels a call; a workstation its own.
    Cancel(CancelParams) -> Cancelled = "cancel", None, 60 s;
    /// Steers a running call.
    Signal(SignalParams) -> Signalled = "signal", None, 10 s;
    /// Says what became of a call whose outcome is unknown.
    Resolve(ResolveParams) -> Resolved = "resolve", None, 10 s;
    /// Tells the gateway's vital signs and versions.
    Diagnose(DiagnoseParams) -> Diagnosis = "diagnose", None, 10 s;
    /// Gives the JSON Schema of an operation's parameters and result.
    Schema(SchemaParams) -> OperationSchema = "schema", None, 10 s;
    /// Lists what is attached to the gateway, which device uses it, or why none does.
    Attached(AttachedParams) -> Attached = "attached", None, 10 s;
}

empty! {
    /// Parameters of `calls`.
    CallsParams;
    /// Parameters of `diagnose`.
    DiagnoseParams;
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallPhase {
    /// Waits for its turn.
    Queued,
    /// Runs on the device.
    Running,
    /// Runs, and its effect may have begun.
    EffectBegun,
}

/// One open call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenCall {
    /// Who called.
    pub client: ClientId,
    /// The call id as text.
    pub call: CallId,
    /// The device it went to.
    pub device: DeviceId,
    /// What was asked.
    pub operation: Segment,
    /// What it does to the world.
    pub effect: EffectKind,
    /// Where it stands.
    pub phase: CallPhase,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it ends at the latest.
    pub deadline: Timestamp,
}

/// Result of `calls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Calls {
    /// In the order they were accepted.
    pub calls: Vec<OpenCall>,
    /// Calls whose outcome only a person can tell; a workstation sees its own, and those it may
    /// resolve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<Unresolved>,
    /// Who has reserved which device; a workstation sees its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<HeldClaim>,
}

/// A claim that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldClaim {
    /// The device that is reserved.
    pub device: DeviceId,
    /// Who holds it.
    pub client: ClientId,
    /// When it ends unless it is renewed.
    pub until: Timestamp,
}

/// Parameters of `cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelParams {
    /// The call id as text.
    pub call: CallId,
    /// Whose call it is; technicians may name another client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
}

/// What came of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CancelVerdict {
    /// The call ended `cancelled`.
    Cancelled,
    /// It can no longer be stopped, or has ended; its completion tells.
    TooLate,
    /// The gateway knows no such call.
    Unknown,
}

/// Result of `cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// What came of it.
    pub verdict: CancelVerdict,
}

/// A command to a running call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignalCommand {
    /// Capture: take what there is and go on.
    Continue,
    /// Capture: throw the attempt away and try again.
    Discard,
    /// Capture: enough, finish with the best.
    Finish,
    /// Signature: accept it.
    Confirm,
    /// Signature: wipe it and sign again.
    Retry,
}

/// Parameters of `signal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignalParams {
    /// The call id as text.
    pub call: CallId,
    /// What it should do.
    pub command: SignalCommand,
}

/// What came of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignalVerdict {
    /// The running call has it.
    Delivered,
    /// The call does not run, or does not take signals.
    NotExpected,
    /// The gateway knows no such call.
    Unknown,
}

/// Result of `signal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signalled {
    /// What came of it.
    pub verdict: SignalVerdict,
}

/// What a person saw of a call whose outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It happened.
    Done,
    /// It did not happen.
    NotDone,
    /// Some of it happened.
    Partial,
}

bounded_text! {
    /// What a person saw, in their words.
    Observation in 1..=500;
}

/// A call whose outcome only a person can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unresolved {
    /// Whose call it is.
    pub client: ClientId,
    /// The call id as text.
    pub call: CallId,
    /// The device that may have done it.
    pub device: DeviceId,
    /// The operation.
    pub operation: Segment,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// What is not known, and what to look at.
    pub reason: Reason,
}

/// Parameters of `resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolveParams {
    /// The call id as text.
    pub call: CallId,
    /// Whose call it is.
    pub client: ClientId,
    /// What became of it.
    pub finding: Finding,
    /// How the person knows.
    pub observation: Observation,
}

/// Result of `resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// When it was noted.
    pub at: Timestamp,
    /// The device that was waiting for it.
    pub device: DeviceId,
}

/// Result of `diagnose`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The version of `kofferd`.
    pub version: String,
    /// The vital signs now.
    pub health: Health,
    /// How often the broker was lost since the start.
    pub broker_reconnects: u64,
    /// The broker in use: `embedded` or `external`.
    pub broker: String,
    /// Tasks alive inside the daemon: a number that only grows is a defect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
}

/// Parameters of `schema`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaParams {
    /// The class.
    pub class: Class,
    /// The operation's name.
    pub operation: Segment,
}

/// Result of `schema`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationSchema {
    /// JSON Schema of the parameters.
    pub params: serde_json::Value,
    /// JSON Schema of the result.
    pub result: serde_json::Value,
}

/// Parameters of `attached`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttachedParams {
    /// Only what no device uses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unbound: bool,
}

/// How something is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Attachment {
    /// A serial line.
    Serial,
    /// A USB device that shows itself as nothing else.
    Usb,
    /// A reader of the PC/SC service.
    Pcsc,
    /// An address in the configuration.
    Configured,
}

impl Attachment {
    /// The word as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Usb => "usb",
            Self::Pcsc => "pcsc",
            Self::Configured => "configured",
        }
    }
}

/// Something that is attached. What it does not say of itself is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttachedThing {
    /// How it is attached.
    pub by: Attachment,
    /// The device node, the reader's name or the configured address.
    pub name: String,
    /// USB vendor id, four hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vid: Option<String>,
    /// USB product id, four hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// Its serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The socket it is in: USB bus and port path, e.g. `1-1.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The USB interface of an adapter with several lines, e.g. `01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Maker and model, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// USB classes of the device and its interfaces, two hexadecimal digits each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usb_classes: Vec<String>,
    /// The device that uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Why no device uses it, and what a technician can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// Result of `attached`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    /// In a stable order.
    pub attached: Vec<AttachedThing>,
}
