//! The gateway's own retained documents.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    DeviceId, DeviceState, Reason, Status,
    class::any_device::{SelfTestLevel, StepOutcome},
};

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
    /// Over all devices, in fields of their own, so that an exporter needs no line per device.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Box<HealthTotals>>,
    /// Per device.
    pub devices: BTreeMap<DeviceId, DeviceHealth>,
}

/// Counts over all devices; what counts calls counts since the daemon started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthTotals {
    /// Calls that have ended and whose outcome is not known yet: a person or the device has to
    /// tell. Also of before the daemon started.
    pub calls_unresolved: u64,
    /// Calls waiting for a device.
    pub calls_queued: u64,
    /// Calls that ended as asked.
    pub calls_ok: u64,
    /// Calls that ended in any other way.
    pub calls_failed: u64,
    /// Calls that ended, with an outcome that was not known then.
    pub calls_outcome_unknown: u64,
    /// Devices that do their work: ready, busy or claimed.
    pub devices_ready: u64,
    /// Devices that do their work and need attention.
    pub devices_degraded: u64,
    /// Devices that are at fault.
    pub devices_fault: u64,
    /// Devices that are not there, or that are not reached yet.
    pub devices_absent: u64,
    /// How often drivers were started again.
    pub device_restarts: u64,
}

impl HealthTotals {
    /// Counts these devices; whose outcome is not known yet is another count.
    pub fn of<'a>(devices: impl IntoIterator<Item = &'a DeviceHealth>) -> Self {
        let mut totals = Self::default();
        for device in devices {
            totals.calls_queued += device.queued;
            totals.device_restarts += device.restarts;
            for (status, count) in &device.completed {
                let ended = if *status == Status::Ok.as_str() {
                    &mut totals.calls_ok
                } else {
                    &mut totals.calls_failed
                };
                *ended += count;
                if *status == Status::OutcomeUnknown.as_str() {
                    totals.calls_outcome_unknown += count;
                }
            }
            *match device.state {
                DeviceState::Ready | DeviceState::Busy | DeviceState::Claimed => {
                    &mut totals.devices_ready
                }
                DeviceState::Degraded => &mut totals.devices_degraded,
                DeviceState::Fault => &mut totals.devices_fault,
                DeviceState::Absent | DeviceState::Starting => &mut totals.devices_absent,
            } += 1;
        }
        totals
    }
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
    /// Its last self-test; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<LastSelfTest>,
}

/// How the last self-test of a device ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastSelfTest {
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub outcome: StepOutcome,
    /// How deep it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<SelfTestLevel>,
}
