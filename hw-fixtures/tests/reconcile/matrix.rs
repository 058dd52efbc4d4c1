//! Cut and killed at every byte and at every step.

use std::collections::BTreeMap;

use koffer_drivers::payment::zvt::ReceiptsTo;
use koffer_fixtures::zvt::{Cardholder, MissingAck, Profile, RepeatStatus};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    case::{Case, Found, Meanwhile, OPERATIONS, Operation, Trouble, brisk},
    line::{End, Toward},
    record::Dies,
};

/// Terminals at the same time, of all tests: each waits most of the time for the second look.
static ROOM: Semaphore = Semaphore::const_new(300);

/// Those of them that are between their beginning and the question.
static TURN: Semaphore = Semaphore::const_new(24);

pub(crate) type Counts = BTreeMap<(Operation, Found), usize>;

/// Plays all of them.
pub(crate) async fn play(name: &str, cases: Vec<Case>) -> Counts {
    let begun = std::time::Instant::now();
    let all = cases.len();
    let mut running = JoinSet::new();
    for case in cases {
        running.spawn(async move {
            let _place = ROOM.acquire().await.unwrap();
            (case.operation, case.play(&TURN).await)
        });
    }
    let mut counts = Counts::new();
    while let Some(played) = running.join_next().await {
        *counts.entry(played.unwrap()).or_default() += 1;
    }
    println!("{name}: {all} cases in {:?}", begun.elapsed());
    for ((operation, found), count) in &counts {
        println!("  {operation:?}: {found:?} {count}");
    }
    let slow = counts
        .iter()
        .filter(|((_, found), _)| *found == Found::TooSlow);
    let slow: usize = slow.map(|(_, count)| count).sum();
    assert!(
        slow * 10 <= all,
        "{name}: {slow} of {all} were asked too late to mean anything"
    );
    counts
}

/// What was undecided, and how often.
pub(crate) fn undecided(counts: &Counts) -> BTreeMap<(Operation, &str), usize> {
    counts
        .iter()
        .filter_map(|((operation, found), count)| match found {
            Found::Undecided(keyword) => Some(((*operation, keyword.as_str()), *count)),
            _ => None,
        })
        .collect()
}

fn ends([terminal, driver]: [u64; 2]) -> impl Iterator<Item = End> {
    let all = |toward, bytes| (0..=bytes).map(move |byte| End { toward, byte });
    all(Toward::Terminal, terminal).chain(all(Toward::Driver, driver))
}

fn writes(count: usize) -> impl Iterator<Item = Dies> {
    (1..=count).flat_map(|write| [Dies::Before(write), Dies::After(write)])
}

/// Every byte, cut and killed, and every write of the journal.
async fn everywhere(
    operations: &[Operation],
    profile: &Profile,
    receipts: ReceiptsTo,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in operations {
        let case = |trouble| Case {
            operation: *operation,
            profile: profile.clone(),
            receipts,
            trouble,
            meanwhile: Meanwhile::Nothing,
            serial: false,
        };
        let (bytes, stored) = case(Trouble::None).measure().await;
        cases.extend(ends(bytes).map(Trouble::Cut).map(case));
        cases.extend(ends(bytes).map(Trouble::Killed).map(case));
        cases.extend(writes(stored).map(Trouble::KilledAt).map(case));
        cases.push(case(Trouble::DiskFull));
    }
    cases
}

/// Every write of the journal.
pub(crate) async fn at_the_journal(profile: &Profile, meanwhile: Meanwhile) -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in OPERATIONS {
        let case = |trouble| Case {
            operation,
            profile: profile.clone(),
            receipts: ReceiptsTo::AtTerminal,
            trouble,
            meanwhile,
            serial: false,
        };
        let (_, stored) = case(Trouble::None).measure().await;
        cases.extend(writes(stored).map(Trouble::KilledAt).map(case));
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_reverses_without_an_acknowledgement_leaves_nothing_open() {
    let cases = everywhere(&OPERATIONS, &brisk(), ReceiptsTo::AtTerminal).await;
    let counts = play("reverses", cases).await;
    assert_eq!(undecided(&counts), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_that_come_to_the_app_are_part_of_the_recovered_answer() {
    let profile = brisk();
    let cases = everywhere(&[Operation::Pay], &profile, ReceiptsTo::ToApp).await;
    let counts = play("reverses, receipts to the app", cases).await;
    assert_eq!(undecided(&counts), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_reverses_without_a_trace_leaves_nothing_open() {
    let profile = Profile {
        auto_reversal_leaves_receipt: false,
        continues_alone: false,
        first_receipt: 9_999,
        first_trace: 999_999,
        ..brisk()
    };
    let cases = everywhere(&OPERATIONS, &profile, ReceiptsTo::AtTerminal).await;
    let counts = play("reverses silently", cases).await;
    assert_eq!(undecided(&counts), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decline_is_a_decline() {
    let profile = Profile {
        declined_takes_receipt: true,
        cardholder: Cardholder {
            host_result: 0x64,
            ..brisk().cardholder
        },
        ..brisk()
    };
    let cases = everywhere(&[Operation::Pay], &profile, ReceiptsTo::AtTerminal).await;
    let counts = play("declines", cases).await;
    assert_eq!(undecided(&counts), BTreeMap::new());
}

/// A terminal that keeps what nobody acknowledged shows the same as one at which somebody typed
/// in the same amount meanwhile. While the gateway lives it knows that nobody can have; after a
/// restart only a stored 04 0F tells. A reversal of the last entry cannot be anyone else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_keeps_it_leaves_open_what_was_never_told() {
    let profile = Profile {
        missing_ack: MissingAck::Keeps,
        ..brisk()
    };
    let cases = everywhere(&OPERATIONS, &profile, ReceiptsTo::AtTerminal).await;
    let (killed, cut): (Vec<_>, Vec<_>) = cases
        .into_iter()
        .partition(|case| matches!(case.trouble, Trouble::Killed(_) | Trouble::KilledAt(_)));
    let counts = play("keeps, line cut", cut).await;
    assert_eq!(undecided(&counts), BTreeMap::new());
    let counts = play("keeps, process killed", killed).await;
    let open = undecided(&counts);
    let which: Vec<_> = open.keys().copied().collect();
    assert_eq!(
        which,
        [
            (Operation::Pay, "one-like-it"),
            (Operation::Refund, "one-like-it")
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_and_numbers_that_begin_anew_change_nothing() {
    let wraps = Profile {
        first_receipt: 9_999,
        first_trace: 999_999,
        ..brisk()
    };
    let mut cases = at_the_journal(&wraps, Meanwhile::Nothing).await;
    cases.extend(at_the_journal(&brisk(), Meanwhile::PowerCycle).await);
    cases.extend(at_the_journal(&wraps, Meanwhile::PowerCycle).await);
    let counts = play("wrap and power cuts", cases).await;
    assert_eq!(undecided(&counts), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serial_line_that_outlives_the_process_is_no_different() {
    let mut cases = at_the_journal(&brisk(), Meanwhile::Nothing).await;
    for case in &mut cases {
        case.serial = true;
        case.profile.frame_ack_timeout_ms = 150;
        case.profile.ack_timeout_ms = 300;
    }
    let counts = play("serial", cases).await;
    assert_eq!(undecided(&counts), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_does_not_tell_leaves_every_begun_call_to_a_person() {
    let mute = Profile {
        repeat_status: RepeatStatus::Never,
        tells_turnover: false,
        ..brisk()
    };
    let cases = at_the_journal(&mute, Meanwhile::Nothing).await;
    let counts = play("mute", cases).await;
    let open = undecided(&counts);
    let which: Vec<_> = open.keys().copied().collect();
    assert_eq!(which, OPERATIONS.map(|operation| (operation, "no-records")));
    let settled = |found: &Found| matches!(found, Found::Done | Found::NotDone);
    assert!(!counts.keys().any(|(_, found)| settled(found)));
}
