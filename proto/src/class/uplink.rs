//! Modems and other ways to the outside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::empty;
use crate::operation::operations;

operations! {
    Uplink, locked_while_unresolved: false, content: |_| 0;
    /// Asks for signal, registration and connection.
    Status(StatusParams) -> UplinkStatus = "status", None, 30 s;
}

/// Whether the modem is in a network (3GPP TS 27.007, +CEREG).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "3GPP's own names")]
pub enum Registration {
    NotRegistered,
    Home,
    Searching,
    Denied,
    Roaming,
    Unknown,
}

/// How the SIM is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sim {
    /// Usable.
    Ready,
    /// It wants its PIN.
    PinRequired,
    /// It wants its PUK.
    PukRequired,
    /// There is none.
    Missing,
}

/// Result of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UplinkStatus {
    /// Whether data flows.
    pub connected: bool,
    /// Whether it is in a network.
    pub registration: Registration,
    /// How the SIM is.
    pub sim: Sim,
    /// The network's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The access technology, e.g. `lte`, `5gnr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub technology: Option<String>,
    /// Signal quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_percent: Option<u8>,
    /// Reference signal received power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rsrp_dbm: Option<i16>,
    /// Reference signal received quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rsrq_db: Option<i16>,
}

empty! {
    /// Parameters of `status`.
    StatusParams;
}
