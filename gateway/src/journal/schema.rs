//! What is in the file: tables, and how a file of an older version becomes one of this.
//!
//! Times are microseconds since 1970 UTC. Names, digests and ids are text, so that a technician can
//! read them with any SQLite tool. docs/journal.md explains every column.
//!
//! Each index would be one more page to write in every commit. A call is found by its number, and
//! its steps by theirs, which begin with it; who looks for a call by its id reads them all, and that
//! is `kofferctl` or nobody.

use rusqlite::{Connection, TransactionBehavior};

/// In the file's header (`PRAGMA application_id`): "kofJ".
pub(super) const APPLICATION: i64 = 0x6b6f_664a;

/// What leads from each version to the next; the first makes an empty file one of version 1. A
/// step that has been released is never changed.
pub(super) const STEPS: &[&str] = &["
    CREATE TABLE calls (
        no          INTEGER PRIMARY KEY,
        client      TEXT NOT NULL,
        call        TEXT NOT NULL,
        target      TEXT NOT NULL,
        device      TEXT,
        class       TEXT NOT NULL,
        operation   TEXT NOT NULL,
        digest      TEXT NOT NULL,
        lang        TEXT NOT NULL,
        accepted_at INTEGER NOT NULL,
        deadline    INTEGER NOT NULL,
        reply_topic  TEXT NOT NULL,
        content_type TEXT NOT NULL,
        started_at  INTEGER,
        ended_at    INTEGER,
        status      TEXT,
        effect      TEXT,
        resolved_at INTEGER
    ) STRICT;

    CREATE TABLE steps (
        id      INTEGER PRIMARY KEY,
        call    INTEGER GENERATED ALWAYS AS (id >> 20),
        at      INTEGER NOT NULL,
        step    TEXT NOT NULL
                CHECK (step IN ('armed', 'started', 'milestone', 'finished', 'resolved')),
        device  TEXT,
        name    TEXT,
        content TEXT
    ) STRICT;
    CREATE TRIGGER steps_go_with_their_call AFTER DELETE ON calls BEGIN
        DELETE FROM steps WHERE id BETWEEN old.no << 20 AND (old.no << 20) + 0xfffff;
    END;
"];

/// The steps of the call whose number is the first parameter: a million of them have room.
pub(super) const OF_CALL: &str = "steps.id BETWEEN ?1 << 20 AND (?1 << 20) + 0xfffff";

/// Calls whose end or outcome is not known.
pub(super) const UNSETTLED: &str =
    "(ended_at IS NULL OR (effect = 'unknown' AND resolved_at IS NULL))";

/// The version of a file.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a file from its version to the one that `steps` lead to, all or nothing.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let found = usize::try_from(version(connection)?).unwrap_or_default();
    let Some(missing) = steps.get(found..).filter(|missing| !missing.is_empty()) else {
        return Ok(());
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    let version = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}
