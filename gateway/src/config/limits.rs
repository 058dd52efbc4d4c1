//! `[limits]`: every bound of the gateway, once, with its reason.

use std::time::Duration;

use koffer_settings::{Key, Millis, Preset, Reported, Section, Table, Whole, text};

/// The bounds of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest call or reply.
    pub max_payload_bytes: usize,
    /// Calls of one client that wait for one device.
    pub queue_per_device: usize,
    /// Ended calls of each client that are known again, however old they are.
    pub calls_kept: u64,
    /// How long confidential answers stay in memory.
    pub confidential_kept: Duration,
    /// Messages waiting for the broker.
    pub outbox_messages: usize,
    /// Their bytes together.
    pub outbox_bytes: usize,
    /// Bytes that open calls and answers that wait may take together.
    pub memory_bytes: usize,
}

static MAX_PAYLOAD_BYTES: Key<Whole> = Key {
    name: "max_payload_bytes",
    form: Whole {
        min: 65_536,
        max: 268_000_000,
    },
    preset: Preset::Value("33554432"),
    example: "max_payload_bytes = 33554432",
    about: "The largest call or reply: 32 MiB, as the contract says; announced as Maximum Packet Size. \
            A scanned file or a print job of some hundred pages fits. MQTT itself ends at 256 MiB.",
};

static QUEUE_PER_DEVICE: Key<Whole> = Key {
    name: "queue_per_device",
    form: Whole { min: 1, max: 1_024 },
    preset: Preset::Value("16"),
    example: "queue_per_device = 16",
    about: "Calls of one client that wait for one device; the next one is answered `busy` at once. Others are \
            served in turn with it, and have as many places of their own.",
};

static CALLS_KEPT: Key<Whole> = Key {
    name: "calls_kept",
    form: Whole {
        min: 100,
        max: 1_000_000,
    },
    preset: Preset::Value("100000"),
    example: "calls_kept = 100000",
    about: "Ended calls of each client that must not happen twice and are known again by their id, however \
            old they are: the same call id gets the stored completion again instead of a second effect. They \
            are in the journal, beside all that are younger than its keep_days; in memory a call takes 80 \
            bytes at most.",
};

static CONFIDENTIAL_KEPT: Key<Millis> = Key {
    name: "confidential_kept_ms",
    form: Millis {
        min: 0,
        max: 120_000,
    },
    preset: Preset::Value("120000"),
    example: "confidential_kept_ms = 120000",
    about: "How long answers with biometric or document content stay in memory for a re-request \
            under the same call id, then they are dropped. 120 s is the contract's maximum; 0 keeps none.",
};

static OUTBOX_MESSAGES: Key<Whole> = Key {
    name: "outbox_messages",
    form: Whole {
        min: 64,
        max: 1_000_000,
    },
    preset: Preset::Value("4096"),
    example: "outbox_messages = 4096",
    about: "Messages waiting for the broker or its acknowledgement: the retained state of some \
            twenty devices, and the answers of a few hours without broker.",
};

static OUTBOX_BYTES: Key<Whole> = Key {
    name: "outbox_bytes",
    form: Whole {
        min: 65_536,
        max: 4_294_967_295,
    },
    preset: Preset::Value("134217728"),
    example: "outbox_bytes = 134217728",
    about: "Their bytes together: 128 MiB are four answers of full size. Not below max_payload_bytes.",
};

static MEMORY_BYTES: Key<Whole> = Key {
    name: "memory_bytes",
    form: Whole {
        min: 1_048_576,
        max: 4_294_967_295,
    },
    preset: Preset::Value("536870912"),
    example: "memory_bytes = 536870912",
    about: "What the content of open calls and the answers that wait for the broker may take together: \
            512 MiB. A client may have a quarter of it; with more it is answered `busy`. \
            Not below three times max_payload_bytes. The gateway itself takes some 50 MiB beside it, and \
            some four times the largest call while that is read.",
};

pub(super) static SECTION: Section = Section {
    path: "limits",
    about: "Every queue has a bound, and each bound stands here.",
    keys: &[
        &MAX_PAYLOAD_BYTES,
        &QUEUE_PER_DEVICE,
        &CALLS_KEPT,
        &CONFIDENTIAL_KEPT,
        &OUTBOX_MESSAGES,
        &OUTBOX_BYTES,
        &MEMORY_BYTES,
    ],
    tables: &[],
};

pub(super) fn read(root: &Table<'_>) -> Result<Limits, Reported> {
    let table = root.table("limits");
    table.only(&SECTION);
    let size = |key| {
        let number: Result<u64, Reported> = table.get(key);
        // Every bound above fits into 32 bits.
        number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    };
    let max_payload_bytes = size(&MAX_PAYLOAD_BYTES);
    let queue_per_device = size(&QUEUE_PER_DEVICE);
    let calls_kept = table.get(&CALLS_KEPT);
    let confidential_kept = table.get(&CONFIDENTIAL_KEPT);
    let outbox_messages = size(&OUTBOX_MESSAGES);
    let mut outbox_bytes = size(&OUTBOX_BYTES);
    if let (Ok(payload), Ok(outbox)) = (max_payload_bytes, outbox_bytes)
        && outbox < payload
    {
        outbox_bytes = Err(table.mistake(
            OUTBOX_BYTES.name,
            text!(
                "{outbox} fasst nicht einmal eine Antwort von {payload} Byte",
                "{outbox} does not hold even one answer of {payload} bytes"
            ),
            text!(
                "Mindestens max_payload_bytes ({payload}) schreiben.",
                "Write at least max_payload_bytes ({payload})."
            ),
        ));
    }
    let mut memory_bytes = size(&MEMORY_BYTES);
    if let (Ok(payload), Ok(memory)) = (max_payload_bytes, memory_bytes)
        && memory < payload.saturating_mul(3)
    {
        memory_bytes = Err(table.mistake(
            MEMORY_BYTES.name,
            text!(
                "{memory} fasst keinen Aufruf von {payload} Byte samt Antwort",
                "{memory} does not hold a call of {payload} bytes and its answer"
            ),
            text!(
                "Mindestens das Dreifache von max_payload_bytes ({payload}) schreiben.",
                "Write at least three times max_payload_bytes ({payload})."
            ),
        ));
    }
    Ok(Limits {
        max_payload_bytes: max_payload_bytes?,
        queue_per_device: queue_per_device?,
        calls_kept: calls_kept?,
        confidential_kept: confidential_kept?,
        outbox_messages: outbox_messages?,
        outbox_bytes: outbox_bytes?,
        memory_bytes: memory_bytes?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_payload_bound_is_the_contracts() {
        let Preset::Value(default) = MAX_PAYLOAD_BYTES.preset else {
            panic!("there is a default");
        };
        assert_eq!(default.parse(), Ok(koffer_proto::MAX_PAYLOAD_BYTES));
    }
}
