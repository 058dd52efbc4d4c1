//! What goes, and what never does.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::*;
use crate::journal::{
    place::Opened,
    retention::{Swept, sweep},
    schema::{STEPS, migrate},
};

/// A journal with `count` calls, one a second until `now`; every tenth is open, every tenth but
/// one unknown.
fn filled(connection: &Connection, count: i64, now: Timestamp) {
    filled_from(connection, "ws-1", 0, count, now);
}

/// As [`filled`], by this client, with numbers from `first` on.
fn filled_from(connection: &Connection, client: &str, first: i64, count: i64, now: Timestamp) {
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO calls (no, client, call, target, class, operation, digest, lang, accepted_at,
                            deadline, reply_topic, content_type, ended_at, status, effect)
         SELECT {first} + i, '{client}', 'c' || i, 'till', 'payment', 'pay', 'd', 'de', {now} - ({count} - i) * 1000000,
                0, 'koffer/1/case-7/reply/ws-1/till', 'application/json', iif(i % 10 = 0, NULL, 1), 'x', iif(i % 10 = 1, 'unknown', 'done') FROM n;
         INSERT INTO steps (id, at, step, content) SELECT (no << 20) + 1, 0, 'finished', hex(zeroblob(1000)) FROM calls WHERE no > {first};",
        now = now.as_microsecond()
    );
    connection.execute_batch(&fill).unwrap();
}

fn count(connection: &Connection, what: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {what}");
    connection.query_row(&query, [], |row| row.get(0)).unwrap()
}

/// What went because it was old, and what before its time.
fn sweep_all(connection: &mut Connection, place: &Place, now: Timestamp) -> (usize, usize) {
    let (mut old, mut forced) = (0, 0);
    loop {
        let swept = sweep(connection, place, now).unwrap();
        match (swept.deleted.len(), swept.forced) {
            (0, _) => return (old, forced),
            (some, None) => old += some,
            (some, Some(_)) => forced += some,
        }
    }
}

fn keeping(place: &Place, calls_kept: u64) -> Place {
    Place {
        calls_kept,
        ..place.clone()
    }
}

#[test]
fn what_is_old_goes_beyond_the_number_that_is_kept_and_never_what_is_not_settled() {
    let folder = Folder::new();
    let Opened { mut connection, .. } = folder.place().open().unwrap();
    let accepted = Timestamp::now();
    filled(&connection, 2_000, accepted);
    let place = folder.place();
    let soon = accepted + Duration::from_hours(23);
    assert_eq!(
        sweep_all(&mut connection, &keeping(&place, 100), soon),
        (0, 0),
        "all younger than a day"
    );
    let later = accepted + Duration::from_hours(25);
    let many = keeping(&place, 2_000);
    assert_eq!(
        sweep_all(&mut connection, &many, later),
        (0, 0),
        "few enough"
    );
    let swept = sweep_all(&mut connection, &keeping(&place, 1_000), later);
    assert_eq!(swept, (1_000, 0));
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
    let swept = sweep_all(&mut connection, &keeping(&place, 0), later);
    assert_eq!((swept, count(&connection, "calls")), ((600, 0), 400));
}

#[test]
fn the_calls_of_a_client_are_kept_however_many_others_make() {
    let folder = Folder::new();
    let Opened { mut connection, .. } = folder.place().open().unwrap();
    let accepted = Timestamp::now();
    filled_from(&connection, "ws-2", 0, 50, accepted);
    filled_from(&connection, "ws-1", 50, 5_000, accepted);
    let later = accepted + Duration::from_hours(25);
    let place = keeping(&folder.place(), 100);
    let swept = sweep_all(&mut connection, &place, later);
    assert_eq!(swept, (4_000, 0), "all but the unsettled and 100");
    assert_eq!(count(&connection, "calls WHERE client = 'ws-2'"), 50);
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
    let (old, forced) = sweep_all(&mut connection, &place, Timestamp::now());
    assert!(old == 0 && forced >= 200, "{forced}");
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
    let swept = sweep(&mut connection, &place, Timestamp::now()).unwrap();
    assert_eq!(swept, Swept::default());
}

#[tokio::test]
async fn whoever_fills_the_file_loses_its_own_calls_and_it_is_told_which() {
    let folder = Folder::new();
    let place = Place {
        max_bytes: 256 * 1024,
        ..folder.place()
    };
    let (tell, mut told) = tokio::sync::mpsc::channel(16);
    let journal = Durable::start_telling(place, tell).unwrap();
    journal.snapshot().await.unwrap();
    let of = |client: &str, no| AcceptedCall {
        client: client.parse().unwrap(),
        ..payment(no)
    };
    for no in 1..=10 {
        journal.accepted(&of("ws-2", no)).await.unwrap();
        journal.finished(CallNo(no), &paid()).await.unwrap();
    }
    let mut deleted = Vec::new();
    for no in 11..=400 {
        journal.accepted(&of("ws-1", no)).await.unwrap();
        journal.finished(CallNo(no), &paid()).await.unwrap();
        while let Ok(calls) = told.try_recv() {
            deleted.extend(calls.into_iter().map(|call| call.no.0));
        }
    }
    let kept = journal.snapshot().await.unwrap().ended.numbers();
    while let Ok(calls) = told.try_recv() {
        deleted.extend(calls.into_iter().map(|call| call.no.0));
    }
    assert!(kept.starts_with(&(1..=10).collect::<Vec<_>>()), "{kept:?}");
    assert!(deleted.len() > 100, "{}", deleted.len());
    let mut all = [kept, deleted].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=400), "kept, or told as deleted");
}

#[tokio::test]
async fn nothing_is_deleted_while_it_cannot_be_told() {
    let folder = Folder::new();
    let place = Place {
        max_bytes: 256 * 1024,
        ..folder.place()
    };
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let journal = Durable::start_telling(place, tell).unwrap();
    journal.snapshot().await.unwrap();
    let mut no = 0;
    let refused = loop {
        no += 1;
        match journal.accepted(&payment(no)).await {
            Ok(()) => journal.finished(CallNo(no), &paid()).await.unwrap(),
            Err(refused) => break refused,
        }
        assert!(no < 10_000, "nothing bounds it");
    };
    assert!(refused.0.en.contains("max_mib"), "{refused}");
    let first = told.try_recv().unwrap();
    assert_eq!(first[0].no, CallNo(1));
    journal.accepted(&payment(no)).await.unwrap();
}

#[tokio::test]
async fn the_file_never_outgrows_its_bound_and_goes_on_when_there_is_something_to_let_go_of() {
    let folder = Folder::new();
    let place = Place {
        max_bytes: 512 * 1024,
        ..folder.place()
    };
    let journal = Durable::start(place.clone()).unwrap();
    journal.snapshot().await.unwrap();
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
    let memory = journal.snapshot().await.unwrap();
    assert_eq!(
        memory.unsettled.len() as u64,
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
    let memory = crate::journal::record::snapshot(&connection).unwrap();
    assert_eq!(memory.ended.len(), 100_099, "whatever is on record");
    assert_eq!(memory.unsettled.len(), 1);
    assert_eq!(memory.unsettled[0].no, CallNo(7));
    assert_eq!(memory.last, CallNo(100_100));
}
