//! The crash matrix: kofferd is killed with SIGKILL at every step of every operation that must not
//! happen twice, and started again. The workstation asks again under its call id and gets one
//! completion, which is compared with what the device itself shows.
//!
//! Which steps there are is not written down here: a call in peace is traced, and the gateway is
//! killed at each step of the trace. `step.rs` says which steps of `fail_point::all` an operation
//! does not pass, and the test fails where the trace disagrees. `unknown.rs` says what cannot be
//! known. The page is `docs/crash-matrix.md`, which `KOFFER_BLESS=1` writes anew.
//!
//! Needs the programs beside the tests, which `cargo test --workspace` builds.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

mod crash;
mod office;
mod operation;
mod page;
mod step;
mod unknown;

use std::{collections::BTreeSet, sync::Arc};

use crash::{Crash, Observed, effect, in_peace, run};
use koffer_drivers::fail_point;
use office::Office;
use operation::Operation;
use step::Step;
use tokio::{sync::Mutex, task::JoinSet};

/// An operation's cases, in the order of its steps.
pub(crate) struct Tried {
    operation: Operation,
    /// Steps at which it may be on record that the call was accepted, or not yet.
    early: Vec<Step>,
    rows: Vec<(Crash, Observed)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_nothing_happens_twice_and_nothing_is_forgotten() {
    let mut running = JoinSet::new();
    for operation in Operation::ALL {
        running.spawn(tried(operation));
    }
    let (mut all, mut stopped) = (Vec::new(), Vec::new());
    while let Some(tried) = running.join_next().await {
        match tried {
            Ok(tried) => all.push(tried),
            Err(panic) => stopped.push(panic.to_string()),
        }
    }
    all.sort_by_key(|tried| tried.operation);
    page::agree(&all, stopped);

    let names = all.iter().flat_map(|tried| &tried.rows);
    let names: BTreeSet<_> = names.map(|(crash, _)| crash.first.name).collect();
    let listed: BTreeSet<_> = fail_point::all().collect();
    assert_eq!(names, listed, "tried on the left, fail_point::all right");
    page::check(&all);
}

/// Kills the gateway at every step of the operation; then once more at every step of finding out,
/// for each way in which that goes.
async fn tried(operation: Operation) -> Tried {
    let mut offices = Vec::new();
    for _ in 0..operation.offices() {
        offices.push(Office::open(operation.broker(), operation.furniture()).await);
    }
    let steps = in_peace(&mut offices[0], operation).await;
    step::agree(operation, &steps);
    let (steps, early) = step::in_order(steps);
    let firsts = steps.iter().map(|&first| Crash { first, then: None });
    let (offices, mut rows) = all_of(offices, operation, firsts.collect()).await;

    let certain = rows
        .iter()
        .filter(|(crash, _)| operation.is_cut_twice() && !early.contains(&crash.first));
    let (_, more) = all_of(offices, operation, seconds(certain)).await;
    rows.extend(more);
    rows.sort_by_key(|(crash, _)| steps.iter().position(|step| *step == crash.first));
    Tried {
        operation,
        early,
        rows,
    }
}

/// A second crash at each step of finding out, after the first crash that led that way.
fn seconds<'a>(rows: impl Iterator<Item = &'a (Crash, Observed)>) -> Vec<Crash> {
    let mut ways: Vec<(&[Step], &str)> = Vec::new();
    let mut seconds = Vec::new();
    for (crash, observed) in rows {
        let way = (&observed.passed[..], effect(&observed.completion));
        // Where nothing was on record the call was made anew, and died like the first.
        let is_anew = observed
            .passed
            .iter()
            .any(|step| step.name.starts_with("journal.accepted"));
        if is_anew || ways.contains(&way) {
            continue;
        }
        ways.push(way);
        // A person's word is not part of it.
        let own = observed.passed.iter();
        let own = own.filter(|step| !step.name.starts_with("journal.resolved"));
        seconds.extend(own.map(|&then| Crash {
            first: crash.first,
            then: Some(then),
        }));
    }
    seconds
}

/// Runs the cases, shared by the offices; the answer is in the order of the cases.
async fn all_of(
    offices: Vec<Office>,
    operation: Operation,
    cases: Vec<Crash>,
) -> (Vec<Office>, Vec<(Crash, Observed)>) {
    let queue = Arc::new(Mutex::new(cases.into_iter().enumerate()));
    let mut workers = JoinSet::new();
    for mut office in offices {
        let queue = queue.clone();
        workers.spawn(async move {
            let mut seen = Vec::new();
            loop {
                let Some((no, case)) = queue.lock().await.next() else {
                    break (office, seen);
                };
                seen.push((no, case, run(&mut office, operation, case).await));
            }
        });
    }
    let (mut offices, mut rows) = (Vec::new(), Vec::new());
    while let Some(worked) = workers.join_next().await {
        let (office, seen) = worked.expect("an office works");
        offices.push(office);
        rows.extend(seen);
    }
    rows.sort_by_key(|(no, ..)| *no);
    let rows = rows.into_iter().map(|(_, case, seen)| (case, seen));
    (offices, rows.collect())
}
