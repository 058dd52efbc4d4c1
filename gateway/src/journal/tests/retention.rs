//! What goes, and what never does.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::*;
use crate::journal::{
    place::Opened,
    retention::{Swept, sweep, sweep_beyond},
    schema::{STEPS, migrate},
};

/// A journal with `count` calls, one a second until `now`; every tenth is open, every tenth but
/// one unknown.
fn filled(connection: &Connection, count: i64, now: Timestamp) {
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO calls (no, client, call, target, class, operation, digest, lang, accepted_at,
                            deadline, reply_topic, content_type, ended_at, status, effect)
         SELECT i, 'ws-1', 'c' || i, 'till', 'payment', 'pay', 'd', 'de', {now} - ({count} - i) * 1000000,
                0, 'koffer/1/case-7/reply/ws-1/till', 'application/json', iif(i % 10 = 0, NULL, 1), 'x', iif(i % 10 = 1, 'unknown', 'done') FROM n;
         INSERT INTO steps (id, at, step, content) SELECT (no << 20) + 1, 0, 'finished', hex(zeroblob(1000)) FROM calls;",
        now = now.as_microsecond()
    );
    connection.execute_batch(&fill).unwrap();
}

fn count(connection: &Connection, what: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {what}");
    connection.query_row(&query, [], |row| row.get(0)).unwrap()
}

fn sweep_all(connection: &mut Connection, place: &Place, now: Timestamp, kept: u64) -> Swept {
    let mut all = Swept::default();
    loop {
        let swept = sweep_beyond(connection, place, now, kept).unwrap();
        all.old += swept.old;
        all.forced += swept.forced;
        if swept == Swept::default() {
            return all;
        }
    }
}

#[test]
fn what_is_old_goes_beyond_the_number_that_is_kept_and_never_what_is_not_settled() {
    let folder = Folder::new();
    let Opened { mut connection, .. } = folder.place().open().unwrap();
    let accepted = Timestamp::now();
    filled(&connection, 2_000, accepted);
    let place = folder.place();
    let none = Swept::default();
    let soon = accepted + Duration::from_hours(23);
    assert_eq!(
        sweep_all(&mut connection, &place, soon, 100),
        none,
        "all younger than a day"
    );
    let later = accepted + Duration::from_hours(25);
    assert_eq!(
        sweep_all(&mut connection, &place, later, 2_000),
        none,
        "few enough"
    );
    let swept = sweep_all(&mut connection, &place, later, 1_000);
    assert_eq!((swept.old, swept.forced), (1_000, 0));
    assert_eq!(count(&connection, "calls"), 1_000);
    assert_eq!(
        count(&connection, "steps"),
        1_000,
        "steps go with their call"
    );
    let unsettled = "calls WHERE ended_at IS NULL OR effect = 'unknown'";
    assert_eq!(
        count(&connection, unsettled),
        400,
        "open and unknown ones stay"
    );
    let swept = sweep_all(&mut connection, &place, later, 0);
    assert_eq!((swept.old, count(&connection, "calls")), (600, 400));
}

#[test]
fn a_file_that_is_nearly_full_lets_go_of_the_oldest_and_gives_the_room_back() {
    let folder = Folder::new();
    let place = Place {
        max_bytes: 8 * 1024 * 1024,
        ..folder.place()
    };
    let Opened { mut connection, .. } = place.open().unwrap();
    filled(&connection, 3_550, Timestamp::now());
    let before = place.bytes();
    let swept = sweep_all(&mut connection, &place, Timestamp::now(), 100_000);
    assert!(swept.old == 0 && swept.forced >= 500, "{swept:?}");
    assert_eq!(
        count(&connection, "calls WHERE no <= 100"),
        20,
        "the oldest but the unsettled"
    );
    assert_eq!(
        count(&connection, "calls WHERE no > 2000"),
        1_550,
        "none of the youngest"
    );
    connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    assert!(
        place.bytes() < before.min(place.max_bytes),
        "{before} {}",
        place.bytes()
    );
    assert_eq!(
        sweep(&mut connection, &place, Timestamp::now()).unwrap(),
        Swept::default()
    );
}

#[tokio::test]
async fn the_file_never_outgrows_its_bound_and_goes_on_when_there_is_something_to_let_go_of() {
    let folder = Folder::new();
    let place = Place {
        max_bytes: 512 * 1024,
        ..folder.place()
    };
    let journal = Durable::start(place.clone()).unwrap();
    journal.remembered().await.unwrap();
    let mut accepted = 0;
    let refused = loop {
        match journal.accepted(&payment(accepted + 1)).await {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
        assert!(accepted < 10_000, "nothing bounds it");
    };
    assert!(refused.0.en.contains("max_mib"), "{refused}");
    assert_eq!(journal.trouble().unwrap().keyword, "journal-full");
    assert_eq!(journal.bytes_on_disk(), None);
    assert!(std::fs::metadata(folder.file()).unwrap().len() <= place.max_bytes);
    let memory = journal.remembered().await.unwrap();
    assert_eq!(
        memory.calls.len() as u64,
        accepted,
        "nothing that is open went"
    );

    // What has begun finds room, and leaves some when it has ended.
    for no in 1..=600 {
        let ended = failed(Status::Cancelled);
        journal.finished(CallNo(no), &ended).await.unwrap();
        if no == 1 {
            assert_eq!(journal.trouble().unwrap().keyword, "journal-full");
        }
    }
    for no in 1..=2_000 {
        let no = accepted + no;
        journal.accepted(&payment(no)).await.unwrap();
        let ended = failed(Status::Cancelled);
        journal.finished(CallNo(no), &ended).await.unwrap();
    }
    assert_eq!(journal.trouble(), None);
    assert!(std::fs::metadata(folder.file()).unwrap().len() <= place.max_bytes);
}

#[test]
fn a_hundred_thousand_calls_are_remembered_without_reading_what_they_answered() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection, STEPS).unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100100)
         INSERT INTO calls (no, client, call, target, class, operation, digest, lang, accepted_at,
                            deadline, reply_topic, content_type, ended_at, status, effect)
         SELECT i, 'ws-1', 'c' || i, 'till', 'payment', 'pay', lower(hex(zeroblob(32))), 'de', i, 0,
                'koffer/1/case-7/reply/ws-1/till', 'application/json', iif(i = 7, NULL, 1), 'ok', 'done' FROM n";
    connection.execute_batch(fill).unwrap();
    let memory = crate::journal::record::remembered(&connection, Timestamp::now()).unwrap();
    assert_eq!(
        memory.calls.len(),
        100_001,
        "the last 100,000 and the open one"
    );
    assert_eq!(memory.calls[0].no, CallNo(7));
    assert_eq!(memory.calls[1].no, CallNo(101));
    assert_eq!(memory.last, CallNo(100_100));
}
