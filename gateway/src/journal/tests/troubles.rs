//! Journals that cannot be used: every one is an answer, none is a crash, and none is replaced.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

use rusqlite::Connection;

use super::*;
use crate::journal::{
    RecoveryState, SetAside,
    audit::{Audit, Filter},
    set_aside,
};

/// What a gateway would find and answer: the keyword.
async fn answered(place: Place) -> String {
    let journal = Durable::start(place).unwrap();
    let unread = journal.snapshot().await.unwrap_err();
    let refused = journal.accepted(&payment(1)).await.unwrap_err();
    assert_eq!(unread.0, refused.0, "the same reason either way");
    assert!(journal.bytes_on_disk().is_none());
    let reason = journal.trouble().unwrap();
    assert_eq!(reason.text, refused.0);
    reason.keyword
}

#[tokio::test]
async fn a_folder_that_is_missing_is_not_created_and_is_noticed_when_it_comes() {
    let folder = Folder::new();
    let missing = folder.0.path().join("not-mounted");
    assert_eq!(answered(place(&missing)).await, "journal-missing");
    assert!(!missing.exists());
    let journal = Durable::start(place(&missing)).unwrap();
    journal.accepted(&payment(1)).await.unwrap_err();
    fs::create_dir(&missing).unwrap();
    journal.snapshot().await.unwrap();
    journal.accepted(&payment(1)).await.unwrap();
    assert_eq!(journal.trouble(), None);
}

#[tokio::test]
async fn what_is_no_journal_or_a_newer_one_is_left_as_it_is() {
    let folder = Folder::new();
    let no_database = b"this is a letter to the mayor, and no database at all".repeat(100);
    fs::write(folder.file(), &no_database).unwrap();
    assert_eq!(answered(folder.place()).await, "journal-damaged");
    assert_eq!(fs::read(folder.file()).unwrap(), no_database);

    let folder = Folder::new();
    let other = Connection::open(folder.file()).unwrap();
    other
        .execute_batch("CREATE TABLE contacts (name); PRAGMA user_version = 1")
        .unwrap();
    drop(other);
    assert_eq!(answered(folder.place()).await, "journal-damaged");

    let folder = Folder::new();
    folder.start().await.0.close().await;
    let tool = Connection::open(folder.file()).unwrap();
    tool.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(tool);
    assert_eq!(answered(folder.place()).await, "journal-too-new");
}

#[tokio::test]
async fn two_gateways_never_share_a_journal() {
    let folder = Folder::new();
    let (first, _) = folder.start().await;
    pay(&first, 1).await;
    assert_eq!(answered(folder.place()).await, "journal-in-use");
    first.close().await;
    assert_eq!(folder.start().await.1.ended.numbers(), [1]);
}

#[tokio::test]
async fn nobody_else_may_read_it() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    pay(&journal, 1).await;
    for entry in fs::read_dir(folder.0.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn a_damaged_file_is_found_and_is_set_aside_by_a_persons_act_alone() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    for no in 1..=40 {
        pay(&journal, no).await;
    }
    let now = "2026-03-02T08:15:30Z".parse().unwrap();
    let held = set_aside(&folder.file(), now).unwrap_err();
    assert_eq!(held.keyword(), "journal-in-use");
    journal.close().await;
    assert_eq!(set_aside(&folder.file(), now).unwrap(), SetAside::InOrder);

    // A page of a table's tree is gone.
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(folder.file())
        .unwrap();
    let mut header = [0; 16];
    file.read_exact(&mut header).unwrap();
    assert!(header.starts_with(b"SQLite format 3"));
    for page in 3..8_u64 {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
    }
    drop(file);
    let damaged = fs::read(folder.file()).unwrap();
    assert_eq!(answered(folder.place()).await, "journal-damaged");
    assert_eq!(fs::read(folder.file()).unwrap(), damaged, "left as it is");

    let gateway = Durable::start(folder.place()).unwrap();
    gateway.accepted(&payment(1)).await.unwrap_err();
    let SetAside::Moved(aside) = set_aside(&folder.file(), now).unwrap() else {
        panic!("it is damaged");
    };
    assert!(
        aside.ends_with("journal.damaged-20260302T081530Z.db"),
        "{}",
        aside.display()
    );
    assert_eq!(fs::read(aside).unwrap(), damaged, "renamed, not deleted");
    assert_eq!(gateway.snapshot().await.unwrap(), Snapshot::default());
    gateway.accepted(&payment(1)).await.unwrap();
}

/// Set where this binary runs a test again in a name space of its own, where it may mount.
const INSIDE: &str = "KOFFER_JOURNAL_ON_A_SMALL_DISK";

/// Runs the test `name` again with a small disk of its own at the folder that [`INSIDE`] names.
fn on_a_small_disk(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let test = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let script = r#"mount -t tmpfs -o size=16m none "$1" && exec "$2" "$3" --exact --nocapture"#;
    let run = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(INSIDE, folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    let wrong = String::from_utf8_lossy(&run.stderr);
    assert!(
        run.status.success() && told.contains("1 passed"),
        "{told}\n{wrong}"
    );
}

/// Fills the disk but for so many bytes.
fn fill(folder: &Path, left: usize) -> std::path::PathBuf {
    let ballast = folder.join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    let mut chunk = 64 * 1024;
    while chunk > 0 {
        if file.write_all(&vec![1; chunk]).is_err() {
            chunk /= 2;
        }
    }
    let length = file.metadata().unwrap().len();
    file.set_len(length - left as u64).unwrap();
    ballast
}

#[tokio::test]
async fn a_full_disk_is_an_answer_and_room_is_noticed_by_the_next_call() {
    let Some(disk) = std::env::var_os(INSIDE) else {
        return on_a_small_disk("a_full_disk_is_an_answer_and_room_is_noticed_by_the_next_call");
    };
    let disk = Path::new(&disk);
    let journal = Durable::start(place(disk)).unwrap();
    journal.snapshot().await.unwrap();
    let mut no = 0;
    for _ in 0..3 {
        no += 1;
        begin(&journal, no).await;
        let ballast = fill(disk, 1024 * 1024);
        let refused = journal.accepted(&payment(no + 1)).await.unwrap_err();
        let text = &refused.0;
        assert!(
            text.en.contains("is full") && text.de.contains("voll"),
            "{refused}"
        );
        journal.finished(CallNo(no), &unknown()).await.unwrap();
        assert_eq!(journal.trouble().unwrap().keyword, "journal-full");
        fs::remove_file(ballast).unwrap();

        // To the last byte: not even what has begun finds room.
        let ballast = fill(disk, 0);
        let refused = loop {
            if let Err(refused) = journal.finished(CallNo(no), &paid()).await {
                break refused;
            }
        };
        assert!(refused.0.en.contains("is full"), "{refused}");
        fs::remove_file(ballast).unwrap();
        journal.finished(CallNo(no), &paid()).await.unwrap();
        no += 1;
        journal.accepted(&payment(no)).await.unwrap();
        assert_eq!(journal.trouble(), None);
    }
    let memory = journal.snapshot().await.unwrap();
    assert_eq!((memory.ended.len() + memory.unsettled.len()) as u64, no);
    journal.close().await;

    // A gateway that finds the disk full when it starts.
    fs::remove_file(disk.join(crate::journal::FILE)).unwrap();
    let ballast = fill(disk, 0);
    let journal = Durable::start(place(disk)).unwrap();
    let refused = journal.accepted(&payment(1)).await.unwrap_err();
    assert!(refused.0.en.contains("is full"), "{refused}");
    fs::remove_file(ballast).unwrap();
    journal.snapshot().await.unwrap();
    journal.accepted(&payment(1)).await.unwrap();
}

#[tokio::test]
async fn how_a_call_ended_is_put_on_record_as_soon_as_there_is_room() {
    let Some(disk) = std::env::var_os(INSIDE) else {
        return on_a_small_disk("how_a_call_ended_is_put_on_record_as_soon_as_there_is_room");
    };
    let disk = Path::new(&disk);
    let journal = Durable::start(place(disk)).unwrap();
    journal.snapshot().await.unwrap();
    begin(&journal, 1).await;
    let ballast = fill(disk, 0);
    while journal.finished(CallNo(1), &unknown()).await.is_ok() {}
    journal.finished(CallNo(1), &paid()).await.unwrap_err();
    // Who asks again meanwhile is told what the caller was told.
    assert_eq!(journal.completion(CallNo(1)).await.unwrap(), Some(paid()));
    let on_record = journal.on_record(CallNo(1));
    tokio::pin!(on_record);
    let soon = Duration::from_millis(300);
    let early = tokio::time::timeout(soon, &mut on_record).await;
    assert!(early.is_err(), "there is no room yet");
    fs::remove_file(ballast).unwrap();
    tokio::time::timeout(Duration::from_secs(20), on_record)
        .await
        .unwrap();

    // Nobody asks the journal for anything.
    let audit = Audit::open(&disk.join(crate::journal::FILE)).unwrap();
    let is_stored = || {
        let mut stored = false;
        let looked = audit.calls(&Filter::default(), |call| {
            stored |= call.status.as_deref() == Some("ok");
            Ok::<_, crate::journal::Trouble>(())
        });
        looked.unwrap();
        stored
    };
    let stored = async {
        while !is_stored() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), stored)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_before_is_known_also_where_the_disk_is_full_at_the_start() {
    let Some(disk) = std::env::var_os(INSIDE) else {
        return on_a_small_disk(
            "what_was_before_is_known_also_where_the_disk_is_full_at_the_start",
        );
    };
    let disk = Path::new(&disk);
    let journal = Durable::start(place(disk)).unwrap();
    journal.snapshot().await.unwrap();
    pay(&journal, 1).await;
    begin(&journal, 2).await;
    // As a power cut leaves it, with what is still in the log.
    let cut = disk.join("cut");
    fs::create_dir(&cut).unwrap();
    for part in ["journal.db", "journal.db-wal"] {
        fs::copy(disk.join(part), cut.join(part)).unwrap();
    }
    let ballast = fill(disk, 0);

    let journal = Durable::start(place(&cut)).unwrap();
    let memory = journal.snapshot().await.unwrap();
    let till = "till-1".parse().unwrap();
    assert_eq!(memory.unsettled[0].state, RecoveryState::Interrupted(till));
    assert_eq!(
        (memory.unsettled.len(), memory.ended.numbers()),
        (1, vec![1])
    );
    assert_eq!(journal.completion(CallNo(1)).await.unwrap(), Some(paid()));
    assert!(journal.interrupted(CallNo(2)).await.unwrap().is_some());
    let refused = journal.accepted(&payment(3)).await.unwrap_err();
    assert!(refused.0.en.contains("is full"), "{refused}");
    assert_eq!(journal.trouble().unwrap().keyword, "journal-full");

    // With room it goes on, and an auditor may look into it again.
    fs::remove_file(ballast).unwrap();
    journal.accepted(&payment(3)).await.unwrap();
    let audit = Audit::open(&cut.join(crate::journal::FILE)).unwrap();
    let mut read = 0;
    let counted = audit.calls(&Filter::default(), |_| {
        read += 1;
        Ok::<_, crate::journal::Trouble>(())
    });
    counted.unwrap();
    assert_eq!(read, 3);
}

#[tokio::test]
async fn a_disk_that_became_read_only_is_an_answer() {
    let Some(disk) = std::env::var_os(INSIDE) else {
        return on_a_small_disk("a_disk_that_became_read_only_is_an_answer");
    };
    let disk = Path::new(&disk);
    let journal = Durable::start(place(disk)).unwrap();
    journal.snapshot().await.unwrap();
    pay(&journal, 1).await;
    journal.close().await;
    let remount = |how: &str| {
        let mount = Command::new("mount").args(["-o", how]).arg(disk).status();
        assert!(mount.unwrap().success());
    };
    remount("remount,ro");
    assert_eq!(answered(place(disk)).await, "journal-read-only");
    let journal = Durable::start(place(disk)).unwrap();
    journal.accepted(&payment(2)).await.unwrap_err();
    let audit = Audit::open(&disk.join(crate::journal::FILE)).unwrap();
    let mut read = 0;
    let counted = audit.calls(&Filter::default(), |_| {
        read += 1;
        Ok::<_, crate::journal::Trouble>(())
    });
    counted.unwrap();
    assert_eq!(read, 1, "an auditor reads it all the same");
    remount("remount,rw");
    assert_eq!(journal.snapshot().await.unwrap().ended.numbers(), [1]);
    journal.accepted(&payment(2)).await.unwrap();
}
