//! `[gateway]`: the gateway itself.

use std::time::Duration;

use koffer_proto::GatewayId;

use super::{
    finding::Reported,
    form::{Millis, Parsed, name},
    key::{Key, Preset, Section},
    table::Table,
};

/// The gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Its name in every topic.
    pub id: GatewayId,
    /// How long a shutdown waits for running calls.
    pub shutdown_grace: Duration,
    /// How often the health document is published when nothing changes.
    pub health_interval: Duration,
}

static ID: Key<Parsed<GatewayId>> = Key {
    name: "id",
    form: name(),
    preset: Preset::Required,
    example: r#"id = "case-7""#,
    about: "The gateway's name, the third segment of every topic. Unique in the fleet; painted on the case.",
};

static SHUTDOWN_GRACE: Key<Millis> = Key {
    name: "shutdown_grace_ms",
    form: Millis {
        min: 0,
        max: 600_000,
    },
    preset: Preset::Value("60000"),
    example: "shutdown_grace_ms = 60000",
    about: "How long a shutdown lets running calls finish before it answers for them. \
            A card payment usually takes less than a minute. The unit's TimeoutStopSec must be 90 s longer.",
};

static HEALTH_INTERVAL: Key<Millis> = Key {
    name: "health_interval_ms",
    form: Millis {
        min: 1_000,
        max: 3_600_000,
    },
    preset: Preset::Value("30000"),
    example: "health_interval_ms = 30000",
    about: "How often the health document is published when nothing changes. \
            The contract says 30 s; a shorter time costs LTE volume.",
};

pub(super) static SECTION: Section = Section {
    path: "gateway",
    about: "The gateway itself.",
    keys: &[&ID, &SHUTDOWN_GRACE, &HEALTH_INTERVAL],
    tables: &[],
};

pub(super) fn read(root: &Table<'_>) -> Result<GatewayConfig, Reported> {
    let table = root.table("gateway");
    table.only(&SECTION);
    let id = table.get(&ID);
    let shutdown_grace = table.get(&SHUTDOWN_GRACE);
    let health_interval = table.get(&HEALTH_INTERVAL);
    Ok(GatewayConfig {
        id: id?,
        shutdown_grace: shutdown_grace?,
        health_interval: health_interval?,
    })
}
