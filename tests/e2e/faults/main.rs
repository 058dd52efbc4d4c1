//! The fault table: a payment, a reversal and an end-of-day over TCP and over a serial line, with
//! the peer cut at every byte in both directions, garbage, silence, truncation, wrong answers and
//! restarts. Each call ends in exactly one completion whose effect agrees with the terminal's own
//! ledger, and the device is `ready` again by itself.
//!
//! The table is written to `target/faults.md`; `KOFFER_BLESS=1` writes it to `docs/faults.md`, whose
//! rows the test compares with what ran.

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

use case::{Bench, Case, OPERATIONS, Transport};
use koffer_fixtures::zvt::{Cut, Direction, Fault, How, Kind, Per, Step, Wrong};
use koffer_tests::office::{Broker, Office, quick_serial, quick_tcp};
use table::Table;
use tokio::task::JoinSet;

/// Terminals that are tried at the same time.
const TERMINALS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_ends_in_one_completion_that_agrees_with_the_ledger() {
    let mut table = Table::default();
    for transport in [Transport::Tcp, Transport::Serial] {
        let names: Vec<String> = (0..TERMINALS).map(|n| format!("till-{n}")).collect();
        let devices: Vec<&str> = names.iter().map(String::as_str).collect();
        let kind = match transport {
            Transport::Tcp => quick_tcp as fn(&str, &Path) -> _,
            Transport::Serial => quick_serial,
        };
        let office = Arc::new(Office::open(Broker::Embedded, &devices, kind).await);
        let cases = Arc::new(cases(transport, &office).await);
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for device in names {
            let (office, cases, next) = (office.clone(), cases.clone(), next.clone());
            workers.spawn(async move {
                let bench = Bench::new(&office, &device).await;
                let mut seen = Vec::new();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    seen.push((case.clone(), bench.run(case).await));
                }
                bench.finish();
                seen
            });
        }
        while let Some(seen) = workers.join_next().await {
            for (case, observed) in seen.expect("a bench works") {
                table.note(&case, &observed);
            }
        }
    }
    table.check();
}

/// Everything that is tried over one transport.
async fn cases(transport: Transport, office: &Office) -> Vec<Case> {
    let measure = Bench::new(office, "till-0").await;
    let mut cases = Vec::new();
    for operation in OPERATIONS {
        let bytes = measure.bytes_of(operation).await;
        for (direction, count) in [
            (Direction::Sent, bytes.sent),
            (Direction::Received, bytes.received),
        ] {
            for how in [How::Close, How::Reset] {
                // A reset differs from a close for TCP only, and there only in the error.
                let every = if how == How::Close { 1 } else { 16 };
                if how == How::Reset && transport == Transport::Serial {
                    continue;
                }
                cases.extend((0..count).step_by(every).map(|byte| Case {
                    transport,
                    operation,
                    what: table::cut(direction, how),
                    fault: operation.fault(Kind::Cut(Cut {
                        byte,
                        of: direction,
                        per: Per::Transaction,
                        how,
                    })),
                    expiry: 20,
                }));
            }
        }
        let mut other = |what: &'static str, fault: Fault, expiry: u32| {
            cases.push(Case {
                transport,
                operation,
                what,
                fault: operation.during(fault),
                expiry,
            });
        };
        let steps = operation.steps();
        for step in steps {
            other("silence", Fault::new(Kind::Silence).at(*step), 3);
            let garbage = Kind::Garbage {
                bytes: 40,
                seed: 7,
                instead: false,
            };
            other(
                "garbage before the message",
                Fault::new(garbage).at(*step),
                20,
            );
            let garbage = Kind::Garbage {
                bytes: 40,
                seed: 11,
                instead: true,
            };
            other(
                "garbage instead of the message",
                Fault::new(garbage).at(*step),
                20,
            );
            for bytes in [0, 1, 2, 5] {
                other(
                    "message truncated",
                    Fault::new(Kind::Truncate { bytes }).at(*step),
                    20,
                );
            }
            other(
                "message sent twice",
                Fault::new(Kind::Duplicate).at(*step),
                20,
            );
            let restart = Kind::Restart { down_ms: 300 };
            other("terminal restarted", Fault::new(restart).at(*step), 20);
            other(
                "cable pulled",
                Fault::new(Kind::Drop(How::Unplug)).at(*step),
                3,
            );
            other(
                "answered late",
                Fault::new(Kind::Delay { ms: 700 }).at(*step),
                20,
            );
            let command = Kind::WrongAnswer(Wrong::Command);
            other(
                "another message in its place",
                Fault::new(command).at(*step),
                20,
            );
            if transport == Transport::Serial {
                other(
                    "wrong checksum once",
                    Fault::new(Kind::BadCrc).at(*step),
                    20,
                );
                other(
                    "wrong checksum for ever",
                    Fault::new(Kind::BadCrc).at(*step).times(0),
                    20,
                );
            }
        }
        other("busy three times", Fault::new(Kind::Busy).times(3), 20);
        other("busy for ever", Fault::new(Kind::Busy).times(0), 3);
        other("not understood", Fault::new(Kind::Nack { code: 0x83 }), 20);
        other(
            "completion late",
            Fault::new(Kind::LateCompletion { ms: 1_500 }),
            20,
        );
        if operation.is_booked_singly() {
            other(
                "restarted after booking",
                Fault::new(Kind::Restart { down_ms: 300 }),
                20,
            );
            for wrong in [
                Wrong::Amount,
                Wrong::TerminalId,
                Wrong::NoResult,
                Wrong::UnknownField,
            ] {
                let fault = Fault::new(Kind::WrongAnswer(wrong));
                other(table::wrong(wrong), fault.at(Step::Result), 20);
            }
        }
        if transport == Transport::Serial {
            other("frame lost once", Fault::new(Kind::LoseFrame), 20);
            other("frame refused once", Fault::new(Kind::NakFrame), 20);
            other(
                "frame refused for ever",
                Fault::new(Kind::NakFrame).times(0),
                20,
            );
        }
    }
    cases
}
