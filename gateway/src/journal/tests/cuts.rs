//! Power cuts: the files of a live journal, copied at arbitrary moments and cut at arbitrary
//! points, always open and have every entry whose future had returned.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::task::JoinSet;

use super::*;

/// Copies what a power cut would leave. Files are not copied in one moment as a power cut takes
/// them: the log is copied last, and has everything that went into the file meanwhile, unless it
/// began anew. Then it is copied once more.
fn copy(from: &Path, to: &Path) {
    loop {
        let before = generation(from);
        for name in ["journal.db", "journal.db-wal"] {
            if let Ok(content) = fs::read(from.join(name)) {
                fs::write(to.join(name), content).unwrap();
            }
        }
        if generation(to) == before && generation(from) == before {
            return;
        }
    }
}

/// What the header of the log says, which is another each time the log begins anew.
fn generation(folder: &Path) -> Option<[u8; 32]> {
    let log = fs::read(folder.join("journal.db-wal")).ok()?;
    log.first_chunk().copied()
}

/// Opens a copy and says which calls are in it.
async fn calls_in(folder: &Path) -> Vec<u64> {
    let opened = place(folder).open().unwrap();
    let verdict: String = opened
        .connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    drop(opened);
    let journal = Durable::start(place(folder)).unwrap();
    let memory = journal.snapshot().await.unwrap();
    let next = memory.last.0 + 1;
    journal.accepted(&payment(next)).await.unwrap();
    journal.close().await;
    let mut calls = memory.ended.numbers();
    calls.extend(memory.unsettled.iter().map(|call| call.no.0));
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_a_live_journal_open_and_have_all_that_was_told_before() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let journal = Arc::new(journal);
    let told = Arc::new([const { AtomicU64::new(0) }; 4]);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..4_u64 {
        let (journal, told, stop) = (journal.clone(), told.clone(), stop.clone());
        writers.spawn(async move {
            let mut no = writer;
            while !stop.load(Ordering::Relaxed) {
                no += 4;
                pay(&journal, no).await;
                told[usize::try_from(writer).unwrap()].store(no, Ordering::Release);
            }
        });
    }
    let mut checkpoints = 0;
    let mut size = 0;
    for _ in 0..40 {
        let commits = journal.commits();
        while journal.commits() < commits + 5 {
            tokio::task::yield_now().await;
        }
        let before: Vec<_> = told
            .iter()
            .map(|told| told.load(Ordering::Acquire))
            .collect();
        let cut = tempfile::tempdir().unwrap();
        copy(folder.0.path(), cut.path());
        let now = fs::metadata(cut.path().join("journal.db")).unwrap().len();
        checkpoints += u32::from(now != size);
        size = now;
        let found = calls_in(cut.path()).await;
        for (writer, last) in (0..4_u64).zip(before) {
            let all = (1..)
                .map(|turn| writer + 4 * turn)
                .take_while(|no| *no <= last);
            for no in all {
                assert!(found.contains(&no), "{no} of {last} was told and is lost");
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    assert!(
        checkpoints > 1,
        "the log was never copied into the file meanwhile"
    );
}

#[tokio::test]
async fn a_power_cut_while_the_file_is_made_leaves_one_that_is_made_again() {
    let folder = Folder::new();
    let making = rusqlite::Connection::open(folder.file()).unwrap();
    making
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN; CREATE TABLE calls (x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
             INSERT INTO calls SELECT zeroblob(4000) FROM n",
        )
        .unwrap();
    let cut = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.db-journal"] {
        fs::copy(folder.0.path().join(name), cut.path().join(name)).unwrap();
    }
    assert!(fs::metadata(cut.path().join("journal.db")).unwrap().len() > 0);
    assert_eq!(calls_in(cut.path()).await, [0; 0]);
}

#[tokio::test]
async fn a_log_that_is_cut_or_torn_anywhere_loses_only_what_was_not_synced() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let log = folder.0.path().join("journal.db-wal");
    // How long the log was when each call's future had returned.
    let mut synced = Vec::new();
    for no in 1..=6 {
        pay(&journal, no).await;
        synced.push((no, fs::metadata(&log).unwrap().len()));
    }
    let whole = fs::read(&log).unwrap();
    let file = fs::read(folder.file()).unwrap();
    let last_frames = whole.len() - 8 * (4096 + 24);
    let everywhere = (0..whole.len()).step_by(2719);
    let at_the_end = (last_frames..=whole.len()).step_by(331);
    for (turn, cut) in everywhere.chain(at_the_end).enumerate() {
        let place = tempfile::tempdir().unwrap();
        let mut torn = whole[..cut].to_vec();
        if turn % 2 == 1 {
            // What the disk had there before: an old log, or nothing.
            torn.resize(whole.len(), if turn % 4 == 1 { 0 } else { 0xa5 });
        }
        fs::write(place.path().join("journal.db"), &file).unwrap();
        fs::write(place.path().join("journal.db-wal"), torn).unwrap();
        let found = calls_in(place.path()).await;
        for (no, length) in &synced {
            if *length <= cut as u64 {
                assert!(found.contains(no), "{no}, synced at {length}, cut at {cut}");
            }
        }
    }
}
