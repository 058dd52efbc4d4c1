//! The gateway's own retained documents.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DeviceId, DeviceState, Reason};

/// `<root>/status`: whether the gateway is there. Retained, JSON, and its will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayStatus {
    /// Online or offline.
    pub status: Presence,
    /// The version of `kofferd`.
    pub version: String,
    /// The kernel's boot id: tells a restarted daemon from a restarted machine.
    pub boot_id: String,
    /// When this daemon started.
    pub started_at: Timestamp,
}

/// Whether the gateway is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Takes calls.
    Online,
    /// Gone, or going.
    Offline,
}

/// `<root>/health`: vital signs, every 30 s and on change. Retained, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// When this was measured.
    pub at: Timestamp,
    /// Since the daemon started.
    pub uptime_ms: u64,
    /// Resident memory of the daemon.
    pub rss_bytes: u64,
    /// Messages waiting for the broker's acknowledgement.
    pub outbox: u64,
    /// Calls accepted and not completed.
    pub calls_open: u64,
    /// Completed calls the gateway remembers.
    pub calls_kept: u64,
    /// The journal's size on disk; absent while it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_bytes: Option<u64>,
    /// Why nothing can be put on record, so that no call is taken that must not happen twice;
    /// absent while all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_reason: Option<Reason>,
    /// The way to the outside; absent where no uplink is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uplink: Option<UplinkHealth>,
    /// Per device.
    pub devices: BTreeMap<DeviceId, DeviceHealth>,
}

/// The way to the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UplinkHealth {
    /// Whether the fleet's broker is reached.
    pub connected: bool,
    /// Messages that wait for it.
    pub queued: u64,
}

/// One device's counters since the daemon started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceHealth {
    /// How it is.
    pub state: DeviceState,
    /// Calls waiting for it.
    pub queued: u64,
    /// Calls by how they ended, by status code.
    pub completed: BTreeMap<String, u64>,
    /// How often its driver was started again.
    pub restarts: u64,
}
