//! What is kept, and found again.

use std::{pin::pin, time::Duration};

use futures_util::future::join_all;
use koffer_drivers::NotStored;
use koffer_proto::{
    Class, Completion, DeviceId, EffectKind, Status,
    class::gateway::{Finding, Observation},
};
use rusqlite::Connection;

use super::*;
use crate::journal::{Pending, RecoveryState, Resolution, Trouble, UnsettledCall, schema};

fn device(name: &str) -> DeviceId {
    name.parse().unwrap()
}

fn standings(memory: &Snapshot) -> Vec<(u64, RecoveryState)> {
    let calls = memory.unsettled.iter();
    calls.map(|call| (call.no.0, call.state.clone())).collect()
}

fn resolution(finding: Finding) -> Resolution {
    Resolution {
        by: "tech-1".parse().unwrap(),
        at: jiff::Timestamp::now(),
        finding,
        observation: Observation::try_from("Beleg 231 liegt am Gerät".to_owned()).unwrap(),
    }
}

#[tokio::test]
async fn what_was_told_to_be_kept_is_there_after_a_restart_as_far_as_it_came() {
    let folder = Folder::new();
    let (journal, memory) = folder.start().await;
    assert_eq!(memory, Snapshot::default());
    let waiting = payment(3);
    journal.accepted(&waiting).await.unwrap();
    begin(&journal, 4).await;
    pay(&journal, 7).await;
    begin(&journal, 8).await;
    journal.finished(CallNo(8), &unknown()).await.unwrap();
    begin(&journal, 9).await;
    journal.finished(CallNo(9), &unknown()).await.unwrap();
    journal
        .resolved(CallNo(9), &resolution(Finding::Done), &found_done())
        .await
        .unwrap();
    journal.close().await;

    let (journal, memory) = folder.start().await;
    let till = device("till-1");
    assert_eq!(
        standings(&memory),
        [
            (3, RecoveryState::Waiting),
            (4, RecoveryState::Interrupted(till.clone())),
            (8, RecoveryState::Unknown(till)),
        ]
    );
    assert_eq!(memory.ended.numbers(), [7, 9]);
    assert_eq!(memory.last, CallNo(9));
    assert_eq!(
        memory.unsettled[0],
        UnsettledCall {
            no: CallNo(3),
            client: waiting.client,
            call: waiting.call,
            digest: waiting.digest,
            accepted_at: waiting.accepted_at,
            state: RecoveryState::Waiting,
            pending: Pending {
                operation: waiting.operation,
                target: waiting.target,
                answer_to: waiting.answer_to,
                deadline: waiting.deadline,
            },
        }
    );
    let read = async |no| journal.completion(CallNo(no)).await.unwrap();
    assert_eq!(read(3).await, None);
    assert_eq!(read(4).await, None);
    assert_eq!(read(7).await, Some(paid()));
    assert_eq!(read(8).await, Some(unknown()));
    assert_eq!(read(9).await, Some(found_done()), "as the person said");
    assert_eq!(read(5).await, None, "never heard of");
    assert!(journal.bytes_on_disk().unwrap() > 0);
    assert_eq!(journal.trouble(), None);
}

#[tokio::test]
async fn a_driver_gets_back_what_it_told_on_the_device_on_which_the_effect_could_have_begun() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let call = payment(1);
    journal.accepted(&call).await.unwrap();
    // The role moves on: the first printer was looked at and not touched.
    let first = journal.effects(CallNo(1), &device("printer-1"));
    first.armed(evidence("baseline", "1")).await.unwrap();
    first.milestone(evidence("job", "17")).await.unwrap();
    assert!(journal.interrupted(CallNo(1)).await.unwrap().is_none());
    let second = journal.effects(CallNo(1), &device("printer-2"));
    second.armed(evidence("baseline", "2")).await.unwrap();
    // A job id is told before the document goes.
    second.milestone(evidence("job", "18")).await.unwrap();
    second.started().await.unwrap();
    second.milestone(evidence("sheets", "1")).await.unwrap();
    journal.close().await;

    let (journal, memory) = folder.start().await;
    let interrupted = RecoveryState::Interrupted(device("printer-2"));
    assert_eq!(standings(&memory), [(1, interrupted)]);
    let found = journal.interrupted(CallNo(1)).await.unwrap().unwrap();
    assert_eq!((&found.id, &found.client), (&call.call, &call.client));
    assert_eq!(found.lang, call.answer_to.lang);
    assert_eq!(found.accepted_at, call.accepted_at);
    assert!(std::ptr::eq(found.operation, call.operation));
    assert_eq!(found.baseline, Some(evidence("baseline", "2")));
    assert_eq!(
        found.milestones,
        [evidence("job", "18"), evidence("sheets", "1")]
    );
    assert!(journal.interrupted(CallNo(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_call_that_is_settled_later_ends_again_and_the_last_end_counts() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    begin(&journal, 1).await;
    journal.finished(CallNo(1), &unknown()).await.unwrap();
    journal.finished(CallNo(1), &paid()).await.unwrap();
    let found = journal.completion(CallNo(1)).await.unwrap().unwrap();
    assert_eq!(receipt(&found), 231);
    let memory = journal.snapshot().await.unwrap();
    assert_eq!(
        (standings(&memory), memory.ended.numbers()),
        (vec![], vec![1])
    );
}

#[tokio::test]
async fn the_completion_of_every_operation_is_read_back_as_it_was_written() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let mut no = 0;
    for spec in Class::ALL.iter().flat_map(|class| class.own_operations()) {
        if spec.effect != EffectKind::Once {
            continue;
        }
        no += 1;
        let call = AcceptedCall {
            operation: spec,
            ..payment(no)
        };
        journal.accepted(&call).await.unwrap();
        let whole = Completion::ok(device("d"), example_of(spec));
        journal.finished(CallNo(no), &whole).await.unwrap();
        let read = journal.completion(CallNo(no)).await.unwrap().unwrap();
        if spec.confidential {
            assert_eq!(
                read.effect(),
                whole.effect(),
                "{} {}",
                spec.class,
                spec.name
            );
        } else {
            assert_eq!(read, whole, "{} {}", spec.class, spec.name);
        }
    }
    assert!(no >= 9, "{no}");
}

fn example_of(spec: &koffer_proto::OperationSpec) -> Response {
    example(spec.class, spec.name)
}

#[tokio::test]
async fn no_effect_may_begin_of_a_call_that_was_not_accepted() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let effects = journal.effects(CallNo(5), &device("card-1"));
    effects.armed(evidence("baseline", "1")).await.unwrap();
    let refused = effects.started().await.unwrap_err();
    assert_eq!(refused, NotStored::from(Trouble::NoSuchCall));
    assert!(journal.interrupted(CallNo(5)).await.unwrap().is_none());
    assert_eq!(journal.snapshot().await.unwrap(), Snapshot::default());
    assert!(journal.finished(CallNo(5), &paid()).await.is_err());
}

#[tokio::test]
async fn that_a_call_was_accepted_and_that_it_starts_is_one_commit_if_its_driver_is_quick() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let mut shared = false;
    // They do not share it where this test is held up for longer than the journal waits.
    for no in 1..=100 {
        let call = payment(no);
        let before = journal.commits();
        let accepted = journal.accepted(&call);
        let effects = journal.effects(call.no, &device("till-1"));
        let (accepted, started) = tokio::join!(accepted, effects.started());
        accepted.unwrap();
        started.unwrap();
        shared |= journal.commits() - before == 1;
    }
    assert!(shared);
    // One whose driver has to look at its device first is on record without it.
    let before = journal.commits();
    journal.accepted(&payment(101)).await.unwrap();
    assert_eq!(journal.commits() - before, 1);
}

#[tokio::test]
async fn that_a_call_starts_never_comes_before_it_was_accepted() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let call = payment(1);
    let accepted = journal.accepted(&call);
    let effects = journal.effects(call.no, &device("till-1"));
    effects.started().await.expect("its acceptance came first");
    accepted.await.unwrap();
}

#[tokio::test]
async fn what_is_too_much_at_once_is_refused_and_the_rest_is_kept() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let held = Held::of(&folder);
    // More than may wait, and than the journal has in its hands.
    let calls: Vec<_> = (1..=5_000).map(payment).collect();
    let asked: Vec<_> = calls.iter().map(|call| journal.accepted(call)).collect();
    drop(held);
    let mut kept = Vec::new();
    for (call, told) in calls.iter().zip(join_all(asked).await) {
        match told {
            Ok(()) => kept.push(call.no),
            Err(told) => assert_eq!(told, NotStored::from(Trouble::Behind)),
        }
    }
    assert!(!kept.is_empty() && kept.len() < calls.len());
    let memory = journal.snapshot().await.unwrap();
    let mut remembered: Vec<_> = memory.unsettled.iter().map(|call| call.no).collect();
    remembered.sort_unstable();
    assert_eq!(remembered, kept);
}

#[tokio::test]
async fn nothing_is_accepted_before_it_is_known_what_was() {
    let folder = Folder::new();
    let journal = Durable::start(folder.place()).unwrap();
    let refused = journal.accepted(&payment(1)).await.unwrap_err();
    assert_eq!(
        refused,
        NotStored::from(Trouble::NotRead(folder.file())),
        "{refused}"
    );
    journal.snapshot().await.unwrap();
    journal.accepted(&payment(1)).await.unwrap();
    assert_eq!(journal.trouble(), None);
}

#[tokio::test]
async fn an_entry_that_cannot_be_spoils_nothing_for_those_it_shares_a_commit_with() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    journal.accepted(&payment(1)).await.unwrap();
    let huge = Evidence::new("milestone", [("content", "x".repeat(2 * 1024 * 1024))]);
    let effects = journal.effects(CallNo(1), &device("till-1"));
    let held = Held::of(&folder);
    let (first, second, third, end) = (payment(1), payment(2), payment(3), paid());
    let all = async {
        tokio::join!(
            journal.accepted(&second),
            journal.accepted(&first),
            journal.finished(CallNo(77), &end),
            effects.milestone(huge),
            journal.accepted(&third),
        )
    };
    // Polled last: by then all have asked, and wait for the file.
    let release = async { held.let_go() };
    let ((_, again, unheard_of, too_large, good), ()) = tokio::join!(all, release);
    assert!(again.is_err() && unheard_of.is_err() && too_large.is_err());
    good.unwrap();
    assert_eq!(
        journal.trouble(),
        None,
        "an entry's trouble is not the file's"
    );
    let memory = journal.snapshot().await.unwrap();
    assert_eq!(
        standings(&memory),
        [1, 2, 3].map(|no| (no, RecoveryState::Waiting))
    );
}

/// Keeps the journal from writing, as a technician's tool in a transaction would.
struct Held(Connection);

impl Held {
    fn of(folder: &Folder) -> Self {
        let connection = Connection::open(folder.file()).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }

    fn let_go(&self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

#[tokio::test]
async fn thirty_two_that_write_at_once_share_commits() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let before = journal.commits();
    let held = Held::of(&folder);
    let calls: Vec<_> = (1..=32).map(payment).collect();
    let mut stored = pin!(join_all(calls.iter().map(|call| journal.accepted(call))));
    let unheld = tokio::time::timeout(Duration::ZERO, &mut stored).await;
    assert!(unheld.is_err(), "all have asked, and wait for the file");
    held.let_go();
    for stored in stored.await {
        stored.unwrap();
    }
    // Those that the thread had already taken, and all the others.
    assert!(
        journal.commits() - before <= 2,
        "{}",
        journal.commits() - before
    );
    assert_eq!(journal.snapshot().await.unwrap().unsettled.len(), 32);
}

#[tokio::test]
async fn who_no_longer_waits_does_no_harm() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    let held = Held::of(&folder);
    for no in 1..=20 {
        let call = payment(no);
        let storing = journal.accepted(&call);
        let gave_up = tokio::time::timeout(Duration::ZERO, storing).await;
        assert!(gave_up.is_err(), "the file is held");
    }
    held.let_go();
    journal.accepted(&payment(21)).await.unwrap();
    let kept = journal.snapshot().await.unwrap();
    assert_eq!(
        kept.unsettled.len(),
        21,
        "what was asked for is kept, told or not"
    );
}

#[tokio::test]
async fn an_id_that_was_answered_busy_may_be_used_again_and_its_number_not() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    journal.accepted(&payment(1)).await.unwrap();
    let busy = failed(Status::Busy);
    journal.finished(CallNo(1), &busy).await.unwrap();
    let memory = journal.snapshot().await.unwrap();
    let memory = (memory.unsettled.len(), memory.ended.numbers(), memory.last);
    assert_eq!(memory, (0, vec![], CallNo(1)));
}

#[tokio::test]
async fn a_closed_journal_says_so_and_leaves_one_file_that_is_whole() {
    let folder = Folder::new();
    let (journal, _) = folder.start().await;
    pay(&journal, 1).await;
    journal.close().await;
    let refused = journal.accepted(&payment(2)).await.unwrap_err();
    assert_eq!(refused, NotStored::from(Trouble::Closed));
    journal.close().await;
    let mut names: Vec<_> = std::fs::read_dir(folder.0.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["journal.db", "journal.lock"]);
    assert_eq!(folder.start().await.1.ended.numbers(), [1]);
}

#[test]
fn an_older_file_is_brought_to_this_version_all_or_nothing() {
    let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"];
    let mut file = Connection::open_in_memory().unwrap();
    schema::migrate(&mut file, &steps[..1]).unwrap();
    file.execute_batch("INSERT INTO a VALUES (1)").unwrap();
    let broken = [
        steps[0],
        "ALTER TABLE a ADD COLUMN y",
        "ALTER TABLE missing ADD z",
    ];
    schema::migrate(&mut file, &broken).unwrap_err();
    assert_eq!(schema::version(&file).unwrap(), 1);
    file.prepare("SELECT y FROM a").unwrap_err();
    schema::migrate(&mut file, &steps).unwrap();
    assert_eq!(schema::version(&file).unwrap(), 2);
    schema::migrate(&mut file, &steps).unwrap();
    let row: (i64, Option<i64>) = file
        .query_row("SELECT x, y FROM a", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(row, (1, None));
}
