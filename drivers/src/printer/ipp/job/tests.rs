//! Looks at scripted printers, and what follows.

use proptest::prelude::*;

use super::*;

fn job(state: JobState) -> JobView {
    JobView {
        id: 1,
        name: None,
        user: None,
        state,
        reasons: vec![],
        impressions_total: None,
        impressions: None,
        sheets: None,
        begun: None,
        documents: None,
    }
}

fn counted(state: JobState, impressions: u32) -> JobView {
    JobView {
        impressions: Some(impressions),
        begun: Some(true),
        ..job(state)
    }
}

fn untouched(state: JobState) -> JobView {
    JobView {
        begun: Some(false),
        impressions: Some(0),
        ..job(state)
    }
}

fn follow(delivery: Delivery) -> Follow {
    Follow::new(delivery, Sides::OneSided, false)
}

fn stopped(delivery: Delivery, stop: Stop) -> Follow {
    let mut follow = follow(delivery);
    follow.stop(stop);
    follow
}

fn end(follow: &mut Follow, job: &JobView) -> Ending {
    match follow.learn(Learnt::Job(job)) {
        Step::End(ending) => ending,
        step => panic!("{step:?} after {job:?}"),
    }
}

fn unfinished(cause: Cause, printed: Printed) -> Ending {
    Ending::Unfinished { cause, printed }
}

#[test]
fn an_accepted_document_is_waited_for_until_it_is_completed() {
    let mut follow = follow(Delivery::Accepted);
    for state in [
        JobState::Pending,
        JobState::PendingHeld,
        JobState::Processing,
        JobState::ProcessingStopped,
    ] {
        assert_eq!(follow.learn(Learnt::Job(&job(state))), Step::Wait);
    }
    let ending = end(&mut follow, &counted(JobState::Completed, 3));
    assert_eq!(ending, Ending::Completed { sheets: Some(3) });
}

#[test]
fn completed_says_nothing_of_a_document_that_may_have_been_cut() {
    let ending = end(
        &mut follow(Delivery::InDoubt),
        &counted(JobState::Completed, 3),
    );
    assert_eq!(ending, Ending::Unknown(Doubt::CutDocument));
}

#[test]
fn a_document_in_doubt_is_cancelled_and_nothing_is_believed_only_twice() {
    let mut follow = follow(Delivery::InDoubt);
    let held = untouched(JobState::PendingHeld);
    assert_eq!(follow.learn(Learnt::Job(&held)), Step::Cancel);
    let cancelled = untouched(JobState::Canceled);
    assert_eq!(follow.learn(Learnt::Job(&cancelled)), Step::LookTwice);
    // It was about to begin after all.
    assert_eq!(
        follow.learn(Learnt::Job(&job(JobState::Processing))),
        Step::Wait
    );
    assert_eq!(follow.learn(Learnt::Job(&cancelled)), Step::LookTwice);
    let ending = end(&mut follow, &cancelled);
    assert_eq!(ending, unfinished(Cause::NotDelivered, Printed::Nothing));
}

#[test]
fn a_cancelled_job_says_what_came_out() {
    let cause = Cause::Stopped(Stop::Cancelled);
    let total = JobView {
        impressions_total: Some(3),
        ..counted(JobState::Canceled, 3)
    };
    for (shown, printed) in [
        (untouched(JobState::Canceled), Printed::Nothing),
        (counted(JobState::Canceled, 2), Printed::Sheets(2)),
        (total, Printed::All(3)),
        // It began, and this printer never counted anything.
        (counted(JobState::Canceled, 0), Printed::NotCounted),
        (job(JobState::Canceled), Printed::NotCounted),
    ] {
        let mut follow = stopped(Delivery::Accepted, Stop::Cancelled);
        assert_eq!(end(&mut follow, &shown), unfinished(cause, printed));
    }
}

#[test]
fn the_zero_of_a_printer_that_counts_is_nothing() {
    let mut follow = Follow::new(Delivery::Accepted, Sides::OneSided, true);
    let ending = end(&mut follow, &counted(JobState::Aborted, 0));
    assert_eq!(ending, unfinished(Cause::Aborted, Printed::Nothing));
}

#[test]
fn a_cancel_that_comes_too_late_completes() {
    let mut follow = stopped(Delivery::Accepted, Stop::Cancelled);
    assert_eq!(
        follow.learn(Learnt::Job(&job(JobState::Processing))),
        Step::Cancel
    );
    let ending = end(&mut follow, &counted(JobState::Completed, 1));
    assert_eq!(ending, Ending::Completed { sheets: Some(1) });
}

#[test]
fn what_the_printer_has_forgotten_is_not_known() {
    for delivery in [Delivery::Accepted, Delivery::InDoubt, Delivery::Refused] {
        for (learnt, doubt) in [
            (Learnt::Gone, Doubt::Forgotten),
            (Learnt::Restarted, Doubt::Restarted),
        ] {
            let step = follow(delivery).learn(learnt);
            assert_eq!(step, Step::End(Ending::Unknown(doubt)));
        }
    }
}

#[test]
fn sides_of_two_sided_sheets_are_counted_as_sheets() {
    let mut follow = Follow::new(Delivery::Accepted, Sides::TwoSidedLongEdge, false);
    follow.stop(Stop::Deadline);
    let ending = end(&mut follow, &counted(JobState::Canceled, 3));
    let cause = Cause::Stopped(Stop::Deadline);
    assert_eq!(ending, unfinished(cause, Printed::Sheets(2)));
}

#[test]
fn a_job_cancelled_by_somebody_else_is_told_as_that() {
    let ending = end(
        &mut follow(Delivery::Accepted),
        &counted(JobState::Canceled, 1),
    );
    let expected = unfinished(Cause::CancelledElsewhere, Printed::Sheets(1));
    assert_eq!(ending, expected);
}

/// A printer that prints one-sided sheets, with the habits of real ones.
#[derive(Debug, Clone)]
struct Machine {
    /// Sheets of the whole document.
    whole: u32,
    /// Sheets of what arrived; 0: nothing that could be printed.
    arrived: u32,
    counts: Counting,
    /// Sheets that still come out after it was asked to cancel.
    momentum: u32,
    printed: u32,
    state: JobState,
    asked: bool,
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    Honest,
    AlwaysZero,
    Never,
}

impl Machine {
    fn ask_to_cancel(&mut self) {
        self.asked = true;
    }

    fn advance(&mut self, dice: u8) {
        let over = matches!(
            self.state,
            JobState::Completed | JobState::Canceled | JobState::Aborted
        );
        if over {
            return;
        }
        match (self.begun, self.asked) {
            (false, true) => self.state = JobState::Canceled,
            (false, false) if self.arrived > 0 && !dice.is_multiple_of(3) => {
                self.begun = true;
                self.state = JobState::Processing;
            }
            (false, false) => {}
            (true, false) if dice == 255 => self.state = JobState::Aborted,
            (true, true) if self.momentum == 0 => self.state = JobState::Canceled,
            (true, asked) => {
                self.momentum -= u32::from(asked);
                if self.printed < self.arrived {
                    self.printed += 1;
                } else {
                    self.state = JobState::Completed;
                }
            }
        }
    }

    fn view(&self) -> JobView {
        JobView {
            begun: Some(self.begun),
            impressions: match self.counts {
                Counting::Honest => Some(self.printed),
                Counting::AlwaysZero => Some(0),
                Counting::Never => None,
            },
            impressions_total: (self.counts == Counting::Honest).then_some(self.whole),
            ..job(self.state)
        }
    }
}

proptest! {
    #[test]
    fn no_ending_ever_says_what_is_not_true(
        whole in 1_u32..5,
        arrived in 0_u32..5,
        known_to_count in any::<bool>(),
        counts in prop::sample::select(vec![Counting::Honest, Counting::AlwaysZero, Counting::Never]),
        momentum in 0_u32..3,
        accepted in any::<bool>(),
        stop_at in prop::option::of(0_usize..12),
        dice in prop::collection::vec(any::<u8>(), 60),
    ) {
        let arrived = if accepted { whole } else { arrived.min(whole) };
        let mut machine = Machine {
            whole, arrived, counts, momentum, printed: 0,
            state: JobState::Pending, asked: false, begun: false,
        };
        let delivery = if accepted { Delivery::Accepted } else { Delivery::InDoubt };
        // Only a printer that counted before is known to count.
        let known = known_to_count && counts == Counting::Honest;
        let mut follow = Follow::new(delivery, Sides::OneSided, known);
        let mut ended = None;
        for (look, dice) in dice.into_iter().enumerate() {
            machine.advance(dice);
            if stop_at == Some(look) {
                follow.stop(Stop::Cancelled);
            }
            match follow.learn(Learnt::Job(&machine.view())) {
                Step::Cancel => machine.ask_to_cancel(),
                Step::Wait | Step::LookTwice => {}
                Step::End(ending) => {
                    ended = Some(ending);
                    break;
                }
            }
        }
        match ended {
            Some(Ending::Completed { .. }) => prop_assert_eq!(machine.printed, whole),
            Some(Ending::Unfinished { printed: Printed::Nothing, .. }) => {
                prop_assert_eq!(machine.printed, 0);
            }
            Some(Ending::Unfinished { printed: Printed::Sheets(n), .. }) => {
                prop_assert_eq!(machine.printed, n);
                prop_assert!(n > 0);
            }
            Some(Ending::Unfinished { printed: Printed::All(n), .. }) => {
                prop_assert_eq!(machine.printed, n);
                prop_assert_eq!(n, whole);
            }
            // Nothing arrived, nobody stops: an accepted job that never begins is waited for.
            Some(Ending::Unfinished { .. } | Ending::Unknown(_)) | None => {}
        }
    }
}

#[test]
fn a_document_that_an_interrupted_gateway_may_have_cut_is_ended_and_never_called_printed() {
    let interrupted = || Follow::interrupted(Delivery::InDoubt, Sides::OneSided, true, None);
    for state in [JobState::PendingHeld, JobState::Processing] {
        assert_eq!(
            interrupted().learn(Learnt::Job(&untouched(state))),
            Step::Cancel
        );
    }
    // Cancelled when contact was made, before anybody asked.
    let mut follow = interrupted();
    let cancelled = untouched(JobState::Canceled);
    assert_eq!(follow.learn(Learnt::Job(&cancelled)), Step::LookTwice);
    let nothing = unfinished(Cause::Interrupted, Printed::Nothing);
    assert_eq!(end(&mut follow, &cancelled), nothing);
    let whole = counted(JobState::Completed, 1);
    assert_eq!(
        end(&mut interrupted(), &whole),
        Ending::Unknown(Doubt::CutDocument)
    );
    // Accepted, it is waited for.
    let mut accepted = Follow::interrupted(Delivery::Accepted, Sides::OneSided, true, None);
    assert_eq!(
        accepted.learn(Learnt::Job(&untouched(JobState::Pending))),
        Step::Wait
    );
    assert_eq!(
        end(&mut accepted, &whole),
        Ending::Completed { sheets: Some(1) }
    );
}
