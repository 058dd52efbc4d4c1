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
    Gateway;
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
