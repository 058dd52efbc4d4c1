//! What every device can do.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{document_printer::Supply, empty};
use crate::{ClaimToken, Identity, bound::bounded_number, operation::operations};

operations! {
    AnyDevice, locked_while_unresolved: false, content: |_| 0;
    /// Reserves the device for the caller for a while; with the claim's token it renews it.
    Claim(ClaimParams) -> Claimed = "claim", None, 10 s;
    /// Ends the claim whose token the call carries.
    Release(ReleaseParams) -> Released = "release", None, 10 s;
    /// Tests the device.
    SelfTest(SelfTestParams) -> SelfTestReport = "self-test", Repeatable, 300 s;
    /// Reads the device's identity anew and, where the device can, makes it show itself.
    Identify(IdentifyParams) -> Identified = "identify", Repeatable, 30 s;
    /// Brings the device back to its initial state; a running call is not touched.
    Reset(ResetParams) -> ResetDone = "reset", Repeatable, 120 s;
}

bounded_number! {
    /// How long a claim holds without renewal, in milliseconds: one second to one hour.
    LeaseMs(u32) in 1_000..=3_600_000;
}

/// Parameters of `claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimParams {
    /// How long the claim holds without renewal.
    pub lease_ms: LeaseMs,
    /// Takes the claim from whoever holds it; technicians only, and noted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

/// Result of `claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claimed {
    /// Goes into the user property `claim` of the calls that follow.
    pub token: ClaimToken,
    /// When the claim ends unless it is renewed.
    pub until: Timestamp,
}

/// How deep a self-test goes (XFS4IoT and the field's terminals know the same three).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SelfTestLevel {
    /// The device and its connection, without the outside.
    #[default]
    Internal,
    /// What lies behind the device: a payment host, a network.
    External,
    /// With a person's help: insert a test card, look at a page.
    Interactive,
}

/// Parameters of `self-test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelfTestParams {
    /// How deep; internal unless said otherwise.
    #[serde(default)]
    pub level: SelfTestLevel,
}

/// How one step of a self-test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// Not tried, for the reason in the message.
    Skipped,
}

/// One step of a self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelfTestStep {
    /// A keyword, e.g. `connect`, `host`.
    pub name: String,
    /// How it ended.
    pub outcome: StepOutcome,
    /// What was seen and what a person can do, in the caller's language.
    pub message: String,
    /// How long it took; absent where nothing was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Result of `self-test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelfTestReport {
    /// Whether every step that was tried passed, and one of the level asked for was tried.
    pub passed: bool,
    /// The level that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<SelfTestLevel>,
    /// How the test ended as a whole. `skipped`: nothing failed, and of the level that was asked
    /// for nothing could be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StepOutcome>,
    /// The steps in their order.
    pub steps: Vec<SelfTestStep>,
    /// What the device said it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// Where the gateway reaches it: `host:port`, a URL, a device node, a USB port, a reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What it can run out of, where it tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supplies: Vec<Supply>,
}

/// Result of `identify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identified {
    /// What the device says it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// Whether the device showed itself: a lamp, a beep, a text.
    pub signalled: bool,
}

empty! {
    /// Parameters of `release`.
    ReleaseParams;
    /// Result of `release`.
    Released;
    /// Parameters of `identify`.
    IdentifyParams;
    /// Parameters of `reset`.
    ResetParams;
    /// Result of `reset`.
    ResetDone;
}
