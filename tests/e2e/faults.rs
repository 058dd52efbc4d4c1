//! The fault table: a payment, a reversal and an end-of-day over TCP and over a serial line, with
//! the peer cut at every byte in both directions (every 16th in `make test`), garbage, silence, truncation, wrong answers and
//! restarts. Each call ends in exactly one completion whose effect agrees with the terminal's own
//! ledger, and the device is `ready` again by itself.
//!
//! The table is written to `target/faults-payment.md`; `KOFFER_BLESS=1` writes it to `docs/faults.md`,
//! whose rows the test compares with what ran.

#![expect(clippy::expect_used, reason = "helpers of a test fail the test")]

mod case;
mod table;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use case::{Bench, Case, OPERATIONS, Operation, Transport};
use koffer_fixtures::zvt::{Cut, Direction, Fault, How, Kind, Per, Step, Wrong};
use koffer_tests::{
    counter::Counter,
    fault_table::Table,
    grid,
    office::{Broker, Office, quick_serial, quick_tcp},
};
use tokio::task::JoinSet;

/// Terminals that are tried at the same time.
const TERMINALS: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_ends_in_one_completion_that_agrees_with_the_ledger() {
    let mut table = Table::new(table::PART);
    for transport in [Transport::Tcp, Transport::Serial] {
        let names: Vec<String> = (0..TERMINALS).map(|n| format!("till-{n}")).collect();
        let devices: Vec<&str> = names.iter().map(String::as_str).collect();
        let kind = match transport {
            Transport::Tcp => quick_tcp as fn(&str, &Path) -> _,
            Transport::Serial => quick_serial,
        };
        let office = Arc::new(Office::open(Broker::Embedded, &devices, kind).await);
        let counter = Arc::new(Counter::of(&office).await);
        let cases = Arc::new(cases(transport, &office, counter.clone()).await);
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for device in names {
            let (office, cases, next) = (office.clone(), cases.clone(), next.clone());
            let counter = counter.clone();
            workers.spawn(async move {
                let bench = Bench::new(&office, &device, counter).await;
                let mut seen = Vec::new();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    seen.push((case.clone(), bench.run(case).await));
                }
                seen
            });
        }
        while let Some(seen) = workers.join_next().await {
            for (case, observed) in seen.expect("a bench works") {
                table::note(&mut table, &case, &observed);
            }
        }
        counter.one_completion_each();
    }
    table.check();
}

/// Everything that is tried over one transport.
async fn cases(transport: Transport, office: &Office, counter: Arc<Counter>) -> Vec<Case> {
    let measure = Bench::new(office, "till-0", counter).await;
    let mut cases = Vec::new();
    for operation in OPERATIONS {
        let bytes = measure.bytes_of(operation).await;
        cases.extend(cuts(transport, operation, Direction::Sent, bytes.sent));
        cases.extend(cuts(
            transport,
            operation,
            Direction::Received,
            bytes.received,
        ));
        for (what, fault, expiry) in at_each_step(transport, operation) {
            cases.push(Case {
                transport,
                operation,
                what,
                fault: operation.during(fault),
                expiry,
            });
        }
        for (what, fault, expiry) in at_its_own_step(transport, operation) {
            cases.push(Case {
                transport,
                operation,
                what,
                fault: operation.during(fault),
                expiry,
            });
        }
    }
    cases
}

/// The peer cut at every byte; between two messages by the rows of each step, too.
fn cuts(
    transport: Transport,
    operation: Operation,
    direction: Direction,
    count: u64,
) -> impl Iterator<Item = Case> {
    // A reset differs from a close for TCP only, and there only in the error.
    let hows: &[(How, usize)] = match transport {
        Transport::Tcp => &[(How::Close, grid::distance(1, 16)), (How::Reset, 16)],
        Transport::Serial => &[(How::Close, grid::distance(1, 16))],
    };
    let hows = hows.to_vec();
    hows.into_iter().flat_map(move |(how, every)| {
        (0..count).step_by(every).map(move |byte| Case {
            transport,
            operation,
            what: table::cut(direction, how),
            fault: operation.fault(Kind::Cut(Cut {
                byte,
                of: direction,
                per: Per::Transaction,
                how,
            })),
            expiry: PATIENT,
        })
    })
}

/// A deadline that is never reached, and one that is, where the terminal says nothing any more.
const PATIENT: u32 = 20;
const HURRIED: u32 = 3;

type Row = (&'static str, Fault, u32);

/// What is tried at each of the terminal's messages.
fn at_each_step(transport: Transport, operation: Operation) -> Vec<Row> {
    let mut rows = Vec::new();
    for step in operation.steps() {
        let mut at = |what, kind, expiry| rows.push((what, Fault::new(kind).at(*step), expiry));
        at("silence", Kind::Silence, HURRIED);
        let before = Kind::Garbage {
            bytes: 40,
            seed: 7,
            instead: false,
        };
        at("garbage before the message", before, PATIENT);
        let instead = Kind::Garbage {
            bytes: 40,
            seed: 11,
            instead: true,
        };
        at("garbage instead of the message", instead, PATIENT);
        for bytes in [0, 1, 2, 5] {
            at("message truncated", Kind::Truncate { bytes }, PATIENT);
        }
        at("message sent twice", Kind::Duplicate, PATIENT);
        at(
            "terminal restarted",
            Kind::Restart { down_ms: 300 },
            PATIENT,
        );
        at("cable pulled", Kind::Drop(How::Unplug), HURRIED);
        at("answered late", Kind::Delay { ms: 700 }, PATIENT);
        at(
            "another message in its place",
            Kind::WrongAnswer(Wrong::Command),
            PATIENT,
        );
        if transport == Transport::Serial {
            at("wrong checksum once", Kind::BadCrc, PATIENT);
            let for_ever = Fault::new(Kind::BadCrc).at(*step).times(0);
            rows.push(("wrong checksum for ever", for_ever, PATIENT));
        }
    }
    rows
}

/// What has one place where it happens.
fn at_its_own_step(transport: Transport, operation: Operation) -> Vec<Row> {
    let mut rows = vec![
        ("busy three times", Fault::new(Kind::Busy).times(3), PATIENT),
        ("busy for ever", Fault::new(Kind::Busy).times(0), HURRIED),
        (
            "not understood",
            Fault::new(Kind::Nack { code: 0x83 }),
            PATIENT,
        ),
        (
            "completion late",
            Fault::new(Kind::LateCompletion { ms: 1_500 }),
            PATIENT,
        ),
    ];
    if operation.is_booked_singly() {
        let restart = Kind::Restart { down_ms: 300 };
        rows.push(("restarted after booking", Fault::new(restart), PATIENT));
        for wrong in [
            Wrong::Amount,
            Wrong::TerminalId,
            Wrong::NoResult,
            Wrong::UnknownField,
        ] {
            let fault = Fault::new(Kind::WrongAnswer(wrong)).at(Step::Result);
            rows.push((table::wrong(wrong), fault, PATIENT));
        }
    }
    if transport == Transport::Serial {
        rows.push(("frame lost once", Fault::new(Kind::LoseFrame), PATIENT));
        rows.push(("frame refused once", Fault::new(Kind::NakFrame), PATIENT));
        rows.push((
            "frame refused for ever",
            Fault::new(Kind::NakFrame).times(0),
            PATIENT,
        ));
    }
    rows
}
