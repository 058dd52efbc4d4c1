//! How the journal stays small: what is old goes, what is not settled stays. Both bounds hold for
//! each client by itself, and where room is short, whoever has the most gives some.

use std::collections::HashMap;

use jiff::Timestamp;
use koffer_proto::{CallId, ClientId};
use rusqlite::{Connection, params};

use super::{CallName, Deleted};
use super::{
    KEPT_FOR,
    place::{PAGE, Place},
    record,
    schema::UNSETTLED,
};

/// Calls that go in one transaction: a few milliseconds, between two commits of calls.
const AT_ONCE: u64 = 500;

/// Free pages that stay in the file for what comes next: 1 MiB.
const SPARE: u64 = 256;

/// From this share of its bound on the file is full enough that calls must go before their time, in percent.
const FULL: u64 = 90;

/// From this share on no new call is accepted: what has begun must still find room, in percent.
const CROWDED: u64 = 95;

/// The file may hold one call for so many bytes of its bound. Payments take more; this bounds what
/// the gateway's memory of the file's calls can grow to, to less than a twentieth of the file.
const BYTES_PER_CALL: u64 = 2048;

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Calls that went.
    pub(super) deleted: Vec<Deleted>,
    /// Whose calls went before their time, because the file was full.
    pub(super) forced: Option<ClientId>,
}

/// Deletes calls that are beyond both bounds and, if the file is nearly full, the oldest ones of
/// the client that has the most. Call it again as long as it deletes any.
pub(super) fn sweep(
    connection: &mut Connection,
    place: &Place,
    now: Timestamp,
) -> rusqlite::Result<Swept> {
    let cutoff = now.checked_sub(place.keep.max(KEPT_FOR));
    let cutoff = cutoff.unwrap_or(Timestamp::MIN).as_microsecond();
    let counts = counts(connection)?;
    let mut swept = Swept::default();
    for (client, count) in &counts {
        let room = AT_ONCE - swept.deleted.len() as u64;
        let too_many = count.saturating_sub(place.calls_kept).min(room);
        swept
            .deleted
            .extend(delete(connection, client, cutoff, too_many)?);
    }
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    if swept.deleted.is_empty() && is_full(connection, place, all)? {
        let share = all / (counts.len() as u64).max(1);
        for (client, count) in &counts {
            // Down to what each would have, and never one by one.
            let give = count.saturating_sub(share).max(count / 16);
            swept.deleted = delete(connection, client, i64::MAX, give.clamp(1, AT_ONCE))?;
            if !swept.deleted.is_empty() {
                swept.forced = client.parse().ok();
                break;
            }
        }
    }
    let free = number(connection, "PRAGMA freelist_count")?;
    if free > SPARE {
        let back = free - SPARE;
        connection.execute_batch(&format!("PRAGMA incremental_vacuum({back})"))?;
    }
    Ok(swept)
}

/// How many calls each client has; whoever has the most first. Counted here, because SQLite would
/// sort them all for it.
fn counts(connection: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut select = connection.prepare_cached("SELECT client FROM calls")?;
    let mut rows = select.query([])?;
    let mut counts = HashMap::<String, u64>::new();
    while let Some(row) = rows.next()? {
        let client = row.get_ref(0)?.as_str()?;
        match counts.get_mut(client) {
            Some(count) => *count += 1,
            None => {
                counts.insert(client.to_owned(), 1);
            }
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by(|(a, has_a), (b, has_b)| has_b.cmp(has_a).then_with(|| a.cmp(b)));
    Ok(counts)
}

/// Deletes the oldest calls of `client` that are settled and were accepted before `cutoff`. The last
/// one of all stays: numbers count on from it.
fn delete(
    connection: &Connection,
    client: &str,
    cutoff: i64,
    at_most: u64,
) -> rusqlite::Result<Vec<Deleted>> {
    if at_most == 0 {
        return Ok(Vec::new());
    }
    let mut delete = connection.prepare_cached(&format!(
        "DELETE FROM calls WHERE no IN
         (SELECT no FROM calls WHERE client = ?1 AND accepted_at < ?2 AND NOT {UNSETTLED}
          AND no < (SELECT max(no) FROM calls) ORDER BY no LIMIT ?3)
         RETURNING no, client, call"
    ))?;
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let deleted = delete.query_map(params![client, cutoff, at_most], |row| {
        let (client, call): (ClientId, CallId) = (record::parsed(row, 1)?, record::parsed(row, 2)?);
        Ok(Deleted {
            name: CallName::of(&client, &call),
            no: record::call_no(row.get(0)?),
        })
    })?;
    deleted.collect()
}

fn is_full(connection: &Connection, place: &Place, calls: u64) -> rusqlite::Result<bool> {
    let bound = place.max_bytes / BYTES_PER_CALL * FULL / 100;
    Ok(calls > bound || used(connection)? * PAGE * 100 > place.max_bytes * FULL)
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
