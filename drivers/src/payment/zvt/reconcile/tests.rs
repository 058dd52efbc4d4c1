//! The decision against a model of terminals: random books, a random call, random hands.

use proptest::prelude::*;

use super::*;

const TERMINAL: &str = "68000123";
/// What the calls are about; the hands type it in as often as another amount.
const ASKED: u64 = 3780;

/// How terminals differ.
#[derive(Debug, Clone, Copy)]
struct Make {
    /// An automatic reversal leaves no receipt, and its number is used again.
    silent: bool,
    /// An automatic reversal has a receipt number of its own.
    own_number: bool,
    /// A decline takes a receipt number and is shown.
    shows_declines: bool,
}

/// What is done at a terminal.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Pay(u64),
    Decline,
    Cancel,
    /// Of the n-th last entry that stands.
    Reverse(usize),
    /// Booked, and taken back for want of an acknowledgement.
    PayInVain(u64),
}

#[derive(Debug, Clone)]
struct Line {
    shown: Shown,
    /// Takes money that nobody gave back.
    stands: bool,
    visible: bool,
}

#[derive(Debug)]
struct Books {
    make: Make,
    lines: Vec<Line>,
    receipt: u16,
    trace: u32,
}

impl Books {
    fn next_trace(&mut self) -> u32 {
        self.trace = self.trace % LAST_TRACE + 1;
        self.trace
    }

    fn next_receipt(&mut self) -> u16 {
        self.receipt = self.receipt % LAST_RECEIPT + 1;
        self.receipt
    }

    fn enter(&mut self, cents: u64, of: Option<u32>, receipt: u16, result: u8) -> usize {
        let trace = self.next_trace();
        let minute = self.lines.len();
        self.lines.push(Line {
            shown: Shown {
                result: Some(result),
                terminal: Some(TERMINAL.to_owned()),
                receipt: Some(receipt),
                trace: Some(trace),
                original_trace: of,
                cents: Some(cents),
                date: Some("1122".to_owned()),
                time: Some(format!("{:02}{:02}00", 8 + minute / 60, minute % 60)),
            },
            stands: result == 0,
            visible: true,
        });
        self.lines.len() - 1
    }

    fn book(&mut self, cents: u64, of: Option<u32>) -> usize {
        let receipt = self.next_receipt();
        self.enter(cents, of, receipt, 0)
    }

    fn decline(&mut self) {
        if self.make.shows_declines {
            let receipt = self.next_receipt();
            self.enter(ASKED, None, receipt, 0x64);
        } else {
            self.next_trace();
        }
    }

    /// Takes back what was not acknowledged.
    fn take_back(&mut self, at: usize) {
        let Shown {
            trace,
            receipt,
            cents,
            ..
        } = self.lines[at].shown.clone();
        self.lines[at].stands = false;
        if self.make.silent {
            self.lines[at].visible = false;
            self.receipt = self.receipt.checked_sub(1).unwrap_or(LAST_RECEIPT);
            self.next_trace();
            return;
        }
        let number = if self.make.own_number {
            self.next_receipt()
        } else {
            receipt.unwrap()
        };
        let reversal = self.enter(cents.unwrap(), trace, number, 0);
        self.lines[reversal].stands = false;
    }

    fn reverse(&mut self, at: usize) -> usize {
        let Shown { trace, cents, .. } = self.lines[at].shown.clone();
        self.lines[at].stands = false;
        let reversal = self.book(cents.unwrap(), trace);
        self.lines[reversal].stands = false;
        reversal
    }

    fn standing(&self, from_the_end: usize) -> Option<usize> {
        let standing = (0..self.lines.len()).rev();
        standing
            .filter(|at| self.lines[*at].stands)
            .nth(from_the_end)
    }

    fn do_one(&mut self, deed: Deed) {
        match deed {
            Deed::Pay(cents) => {
                self.book(cents, None);
            }
            Deed::Decline => self.decline(),
            Deed::Cancel => {
                self.next_trace();
            }
            Deed::Reverse(nth) => {
                if let Some(at) = self.standing(nth) {
                    self.reverse(at);
                }
            }
            Deed::PayInVain(cents) => {
                let at = self.book(cents, None);
                self.take_back(at);
            }
        }
    }

    fn last(&self) -> Option<Shown> {
        let visible = self.lines.iter().rev().find(|line| line.visible);
        visible.map(|line| line.shown.clone())
    }
}

/// What the terminal did with the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    NeverHeard,
    Cancelled,
    Declined,
    Booked,
    TakenBack,
}

#[derive(Debug, Clone)]
struct Story {
    make: Make,
    receipt: u16,
    trace: u32,
    earlier: Vec<Deed>,
    /// A reversal of the n-th last entry that stands, in place of a payment.
    reversal: Option<usize>,
    fate: Fate,
    /// Whether the 04 0F was stored, if there was one.
    told: bool,
    by_hand: Vec<Deed>,
    alone: bool,
}

fn deed() -> impl Strategy<Value = Deed> {
    let cents = prop_oneof![Just(ASKED), Just(1010)];
    prop_oneof![
        4 => cents.clone().prop_map(Deed::Pay),
        1 => Just(Deed::Decline),
        1 => Just(Deed::Cancel),
        2 => (0_usize..3).prop_map(Deed::Reverse),
        1 => cents.prop_map(Deed::PayInVain),
    ]
}

prop_compose! {
    fn make()(silent in any::<bool>(), own_number in any::<bool>(), shows_declines in any::<bool>())
        -> Make
    {
        Make { silent, own_number, shows_declines }
    }
}

prop_compose! {
    fn story()(
        make in make(),
        receipt in prop_oneof![Just(230_u16), 9_995_u16..=9_999],
        trace in prop_oneof![Just(1_076_u32), 999_990_u32..=999_999],
        earlier in proptest::collection::vec(deed(), 0..4),
        reversal in proptest::option::of(0_usize..3),
        fate in prop_oneof![
            Just(Fate::NeverHeard),
            Just(Fate::Cancelled),
            Just(Fate::Declined),
            Just(Fate::Booked),
            Just(Fate::TakenBack),
        ],
        told in any::<bool>(),
        by_hand in prop_oneof![Just(Vec::new()), proptest::collection::vec(deed(), 1..4)],
        alone in any::<bool>(),
    ) -> Story {
        let alone = alone && by_hand.is_empty();
        Story { make, receipt, trace, earlier, reversal, fate, told, by_hand, alone }
    }
}

/// What was kept, what is seen, and whether the call's effect stands in truth.
fn play(story: &Story) -> (Record, Seen, bool) {
    let mut books = Books {
        make: story.make,
        lines: Vec::new(),
        receipt: story.receipt,
        trace: story.trace,
    };
    // The terminal is not new: it has a last entry.
    books.book(500, None);
    for deed in &story.earlier {
        books.do_one(*deed);
    }
    let target = story.reversal.and_then(|nth| books.standing(nth));
    let before = books.last();
    let ours = match (story.fate, target) {
        (Fate::NeverHeard, _) => None,
        (Fate::Cancelled, _) => {
            books.next_trace();
            None
        }
        (Fate::Declined, _) => {
            books.decline();
            None
        }
        (Fate::Booked | Fate::TakenBack, None) => Some(books.book(ASKED, None)),
        (Fate::Booked | Fate::TakenBack, Some(at)) => Some(books.reverse(at)),
    };
    let told = ours
        .filter(|_| story.told)
        .map(|at| books.lines[at].shown.clone());
    if let (Fate::TakenBack, Some(at)) = (story.fate, ours) {
        books.take_back(at);
        if let Some(target) = target {
            books.lines[target].stands = true;
        }
    }
    let asked = match target {
        None => Asked::Booking { cents: Some(ASKED) },
        Some(at) => Asked::Reversal {
            receipt: books.lines[at].shown.receipt,
            cents: None,
        },
    };
    for deed in &story.by_hand {
        books.do_one(*deed);
    }
    let stands = match target {
        // Reversed is reversed.
        Some(at) => !books.lines[at].stands,
        None => ours.is_some_and(|at| books.lines[at].stands),
    };
    let terminal = Some(TERMINAL.to_owned());
    let record = Record {
        asked,
        terminal: terminal.clone(),
        before,
        told,
        refused: None,
    };
    let seen = Seen {
        terminal,
        last: books.last(),
        alone: story.alone,
    };
    (record, seen, stands)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_story_is_told_wrongly(story in story()) {
        let (record, seen, stands) = play(&story);
        match decide(&record, &seen) {
            Verdict::Done => prop_assert!(stands, "{record:?} {seen:?}"),
            Verdict::NotDone(_) => prop_assert!(!stands, "{record:?} {seen:?}"),
            Verdict::Undecided(doubt) => {
                prop_assert!(!story.alone, "could have been known: {doubt:?} {record:?} {seen:?}");
            }
        }
    }

    #[test]
    fn what_was_stored_and_shown_is_certain_whoever_could_have_come(story in story()) {
        let story = Story { by_hand: Vec::new(), alone: false, told: true, ..story };
        let (record, seen, stands) = play(&story);
        let verdict = decide(&record, &seen);
        if matches!(story.fate, Fate::Booked | Fate::TakenBack) {
            let certain = if stands {
                verdict == Verdict::Done
            } else {
                matches!(verdict, Verdict::NotDone(_))
            };
            prop_assert!(certain, "{verdict:?} {record:?} {seen:?}");
        }
    }
}

fn entry(receipt: u16, trace: u32) -> Shown {
    Shown {
        result: Some(0),
        terminal: Some(TERMINAL.to_owned()),
        receipt: Some(receipt),
        trace: Some(trace),
        cents: Some(ASKED),
        ..Shown::default()
    }
}

fn record() -> Record {
    Record {
        asked: Asked::Booking { cents: Some(ASKED) },
        terminal: Some(TERMINAL.to_owned()),
        before: Some(entry(230, 1076)),
        told: None,
        refused: None,
    }
}

fn seen(last: Option<Shown>, alone: bool) -> Seen {
    Seen {
        terminal: Some(TERMINAL.to_owned()),
        last,
        alone,
    }
}

#[test]
fn the_rules_one_by_one() {
    let next = || Some(entry(231, 1077));
    let reversed = Shown {
        original_trace: Some(1077),
        ..entry(231, 1078)
    };
    let declined = Shown {
        result: Some(0x64),
        ..entry(231, 1077)
    };
    let old_reversal = Shown {
        original_trace: Some(900),
        ..entry(231, 1077)
    };
    let told = || Record {
        told: next(),
        ..record()
    };
    let undecided = Verdict::Undecided;
    let not_done = Verdict::NotDone;
    let elsewhere = Shown {
        terminal: Some("68000999".to_owned()),
        ..entry(231, 1077)
    };
    let no_baseline = |told| Record {
        before: None,
        told,
        refused: None,
        ..record()
    };
    let cases = [
        (record(), seen(next(), true), Verdict::Done),
        (record(), seen(next(), false), undecided(Doubt::OneLikeIt)),
        (told(), seen(next(), false), Verdict::Done),
        (
            record(),
            seen(Some(entry(230, 1076)), false),
            not_done(Proof::Unchanged),
        ),
        (
            told(),
            seen(Some(entry(230, 1076)), false),
            not_done(Proof::Unchanged),
        ),
        (
            record(),
            seen(Some(reversed.clone()), false),
            not_done(Proof::TakenBack),
        ),
        (
            told(),
            seen(Some(reversed.clone()), false),
            not_done(Proof::TakenBack),
        ),
        (
            no_baseline(next()),
            seen(Some(reversed), false),
            not_done(Proof::TakenBack),
        ),
        (
            record(),
            seen(Some(declined), false),
            not_done(Proof::Declined(0x64)),
        ),
        (
            record(),
            seen(Some(old_reversal), false),
            not_done(Proof::Overtaken),
        ),
        (
            record(),
            seen(Some(entry(232, 1078)), true),
            undecided(Doubt::Others),
        ),
        (
            told(),
            seen(Some(entry(232, 1078)), false),
            undecided(Doubt::Others),
        ),
        (record(), seen(None, true), undecided(Doubt::RecordsGone)),
        (
            no_baseline(None),
            seen(None, true),
            undecided(Doubt::NoRecord),
        ),
        (
            no_baseline(None),
            seen(next(), true),
            undecided(Doubt::NoBaseline),
        ),
        (no_baseline(next()), seen(next(), false), Verdict::Done),
        (
            told(),
            seen(Some(elsewhere), true),
            undecided(Doubt::OtherTerminal),
        ),
    ];
    for (record, seen, verdict) in cases {
        assert_eq!(decide(&record, &seen), verdict, "{record:?} {seen:?}");
    }
}

#[test]
fn another_amount_is_never_taken_for_ours_nor_for_a_proof() {
    let tipped = Shown {
        cents: Some(ASKED + 200),
        ..entry(231, 1077)
    };
    let verdict = decide(&record(), &seen(Some(tipped), true));
    assert_eq!(verdict, Verdict::Undecided(Doubt::Others));
}

#[test]
fn a_reversal_of_the_last_booking_is_never_taken_for_that_of_an_earlier_one() {
    let reversal = |receipt| Record {
        asked: Asked::Reversal {
            receipt: Some(receipt),
            cents: None,
        },
        before: Some(entry(232, 1078)),
        ..record()
    };
    let takes_back_1078 = Shown {
        original_trace: Some(1078),
        ..entry(233, 1079)
    };
    let seen = seen(Some(takes_back_1078), true);
    let earlier = decide(&reversal(231), &seen);
    assert_eq!(earlier, Verdict::Undecided(Doubt::Others));
    assert_eq!(decide(&reversal(232), &seen), Verdict::Done);
}

#[test]
fn numbers_begin_anew() {
    assert_eq!(steps(Some(9_999), Some(1), 9_999), Some(1));
    assert_eq!(steps(Some(999_999), Some(2), 999_999), Some(2));
    assert_eq!(steps(Some(7), Some(7), 9_999), Some(0));
    // A trace number of more than six digits that is now smaller: another count.
    assert_eq!(steps(Some(1_234_567), Some(3), 999_999), None);
}

#[test]
fn an_entry_without_numbers_is_no_entry_known() {
    let bare = Shown {
        receipt: None,
        trace: None,
        ..entry(1, 1)
    };
    assert!(!bare.is_same_entry(&bare));
    let timed = Shown {
        trace: None,
        date: Some("1122".to_owned()),
        time: Some("154501".to_owned()),
        ..entry(231, 1)
    };
    assert!(timed.is_same_entry(&timed));
}
