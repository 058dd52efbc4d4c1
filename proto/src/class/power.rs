//! Power supplies and batteries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::empty;
use crate::operation::operations;

operations! {
    Power, locked_while_unresolved: false, content: |_| 0;
    /// Asks what feeds the case, and for how long.
    Status(StatusParams) -> PowerStatus = "status", None, 30 s;
}

/// What feeds the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerSource {
    /// A socket or the bus's generator.
    Mains,
    /// Its battery.
    Battery,
    /// It does not say.
    Unknown,
}

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PowerStatus {
    /// What feeds the case.
    pub source: PowerSource,
    /// How full the battery is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_percent: Option<u8>,
    /// How long it lasts at this load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_ms: Option<u64>,
    /// Whether it will switch off soon.
    pub low: bool,
}

empty! {
    /// Parameters of `status`.
    StatusParams;
}
