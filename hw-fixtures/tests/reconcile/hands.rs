//! Somebody used the terminal, or exchanged it, before the gateway came back.

use std::collections::BTreeSet;

use koffer_fixtures::zvt::{ByHand, MissingAck, Profile};

use crate::{
    case::{Found, Meanwhile, Operation, brisk},
    matrix::{at_the_journal, play, undecided},
};

/// What they do: the same amount, another, nothing that counts, taking something back, closing.
const DEEDS: [&[ByHand]; 11] = [
    &[ByHand::Pay { cents: 3780 }],
    &[ByHand::Pay { cents: 500 }],
    &[ByHand::Refund { cents: 3780 }],
    &[ByHand::Decline { cents: 3780 }],
    &[ByHand::Reverse { receipt: 230 }],
    &[ByHand::Reverse { receipt: 231 }],
    &[
        ByHand::Pay { cents: 3780 },
        ByHand::Reverse { receipt: 231 },
    ],
    &[
        ByHand::Pay { cents: 3780 },
        ByHand::Reverse { receipt: 232 },
    ],
    &[ByHand::Decline { cents: 3780 }, ByHand::Pay { cents: 3780 }],
    &[ByHand::Close],
    &[ByHand::Pay { cents: 3780 }, ByHand::Close],
];

fn makes() -> Vec<Profile> {
    let mut makes = Vec::new();
    for missing_ack in [MissingAck::Reverses, MissingAck::Keeps] {
        for leaves_receipt in [true, false] {
            for clears in [true, false] {
                makes.push(Profile {
                    missing_ack,
                    auto_reversal_leaves_receipt: leaves_receipt,
                    closing_clears_last: clears,
                    declined_takes_receipt: clears,
                    ..brisk()
                });
            }
        }
    }
    makes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_somebody_else_did_is_taken_for_the_call() {
    let mut cases = Vec::new();
    for make in makes() {
        for deeds in DEEDS {
            cases.extend(at_the_journal(&make, Meanwhile::Hands(deeds)).await);
        }
    }
    // Every verdict was held against the ledger; these are the ones that nobody could give.
    let counts = play("by hand", cases).await;
    let reasons: BTreeSet<_> = undecided(&counts).into_keys().map(|(_, why)| why).collect();
    let known = ["one-like-it", "other-transactions", "records-gone"];
    assert_eq!(reasons, BTreeSet::from(known));
    for operation in [Operation::Pay, Operation::Reverse, Operation::Refund] {
        assert!(counts.contains_key(&(operation, Found::Done)));
        assert!(counts.contains_key(&(operation, Found::NotDone)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_terminal_says_nothing_of_the_first_ones_bookings() {
    let cases = at_the_journal(&brisk(), Meanwhile::Exchanged).await;
    let counts = play("exchanged", cases).await;
    let reasons: BTreeSet<_> = undecided(&counts).into_keys().map(|(_, why)| why).collect();
    assert_eq!(reasons, BTreeSet::from(["other-terminal"]));
    let settled = |found: &Found| matches!(found, Found::Done | Found::NotDone);
    assert!(!counts.keys().any(|(_, found)| settled(found)));
}
