//! How the journal stays small: what is old goes, what is not settled stays.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    KEPT_CALLS, KEPT_FOR,
    place::{PAGE, Place},
    schema::UNSETTLED,
};

/// Calls that go in one transaction: a few milliseconds, between two commits of calls.
const AT_ONCE: u64 = 500;

/// Free pages that stay in the file for what comes next: 1 MiB.
const SPARE: u64 = 256;

/// From this share of its bound on the file is full enough that the oldest must go, in percent.
const FULL: u64 = 90;

/// From this share on no new call is accepted: what has begun must still find room, in percent.
const CROWDED: u64 = 95;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Calls that went because they were old.
    pub(super) old: u64,
    /// Calls that went before their time because the file was full.
    pub(super) forced: u64,
}

/// Lets go of calls that are older than both bounds, and of the oldest where the file is nearly
/// full. Call it again while it lets go of any.
pub(super) fn sweep(
    connection: &mut Connection,
    place: &Place,
    now: Timestamp,
) -> rusqlite::Result<Swept> {
    sweep_beyond(connection, place, now, KEPT_CALLS)
}

/// [`sweep`] with another number of calls that are always kept.
pub(super) fn sweep_beyond(
    connection: &mut Connection,
    place: &Place,
    now: Timestamp,
    kept: u64,
) -> rusqlite::Result<Swept> {
    let cutoff = now.checked_sub(place.keep.max(KEPT_FOR));
    let cutoff = cutoff.unwrap_or(Timestamp::MIN).as_microsecond();
    let calls = number(connection, "SELECT count(*) FROM calls")?;
    let old = delete(connection, cutoff, calls.saturating_sub(kept).min(AT_ONCE))?;
    let mut forced = 0;
    if old == 0 && used(connection)? * PAGE * 100 > place.max_bytes * FULL {
        forced = delete(connection, i64::MAX, AT_ONCE)?;
    }
    let free = number(connection, "PRAGMA freelist_count")?;
    if free > SPARE {
        let back = free - SPARE;
        connection.execute_batch(&format!("PRAGMA incremental_vacuum({back})"))?;
    }
    Ok(Swept { old, forced })
}

/// Deletes the oldest calls that are settled and were accepted before `cutoff`. The last one stays:
/// numbers count on from it.
fn delete(connection: &mut Connection, cutoff: i64, at_most: u64) -> rusqlite::Result<u64> {
    if at_most == 0 {
        return Ok(0);
    }
    let mut delete = connection.prepare_cached(&format!(
        "DELETE FROM calls WHERE no IN
         (SELECT no FROM calls WHERE accepted_at < ?1 AND NOT {UNSETTLED}
          AND no < (SELECT max(no) FROM calls) ORDER BY no LIMIT ?2)"
    ))?;
    let deleted = delete.execute(params![cutoff, i64::try_from(at_most).unwrap_or(i64::MAX)])?;
    Ok(deleted as u64)
}

/// Whether the file has no room for a new call and all that follows it.
pub(super) fn is_crowded(connection: &Connection, place: &Place) -> rusqlite::Result<bool> {
    Ok(used(connection)? * PAGE * 100 > place.max_bytes * CROWDED)
}

/// Pages in use.
fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let pages = number(connection, "PRAGMA page_count")?;
    Ok(pages.saturating_sub(number(connection, "PRAGMA freelist_count")?))
}

fn number(connection: &Connection, query: &str) -> rusqlite::Result<u64> {
    let mut select = connection.prepare_cached(query)?;
    let number: i64 = select.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or_default())
}
