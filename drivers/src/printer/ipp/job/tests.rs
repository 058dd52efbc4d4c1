//! Looks at scripted printers, and what follows.

use proptest::prelude::*;

use super::*;

fn job(state: JobState) -> JobView {
    JobView {
        state,
        ..JobView::of(1)
    }
}

fn saying(job: JobView, reasons: &[&str]) -> JobView {
    JobView {
        reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        ..job
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
    Follow::new(delivery, Sides::OneSided, Counting::Unseen)
}

fn counting(counting: Counting) -> Follow {
    Follow::new(Delivery::Accepted, Sides::OneSided, counting)
}

/// One look now.
fn look(follow: &mut Follow, job: &JobView) -> Step {
    follow.learn(Learnt::Job(job), Instant::now())
}

fn stopped(delivery: Delivery, stop: Stop) -> Follow {
    let mut follow = follow(delivery);
    follow.stop(stop);
    follow
}

/// The end of a job that goes on showing this.
fn end(follow: &mut Follow, job: &JobView) -> Ending {
    let now = Instant::now();
    for second in 0..=20 {
        let step = follow.learn(Learnt::Job(job), now + Duration::from_secs(second));
        match step {
            Step::End(ending) => return ending,
            Step::Hold(_) => {}
            step => panic!("{step:?} after {job:?}"),
        }
    }
    panic!("it never ends: {job:?}")
}

fn printed(sheets: u32) -> Ending {
    Ending::Completed {
        sheets: Some(sheets),
        proof: Proof::State,
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
        assert_eq!(look(&mut follow, &job(state)), Step::Wait);
    }
    let ending = end(&mut follow, &counted(JobState::Completed, 3));
    assert_eq!(ending, printed(3));
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
    assert_eq!(look(&mut follow, &held), Step::Cancel);
    let cancelled = untouched(JobState::Canceled);
    assert_eq!(
        look(&mut follow, &cancelled),
        Step::Hold(timing::SECOND_LOOK)
    );
    // It was about to begin after all.
    assert_eq!(look(&mut follow, &job(JobState::Processing)), Step::Wait);
    assert!(matches!(look(&mut follow, &cancelled), Step::Hold(_)));
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
fn a_zero_is_nothing_only_of_a_printer_that_counts_while_it_prints() {
    for (seen, printed) in [
        (Counting::Live, Printed::Nothing),
        (Counting::AtEnd, Printed::NotCounted),
        (Counting::Unseen, Printed::NotCounted),
    ] {
        let ending = end(&mut counting(seen), &counted(JobState::Aborted, 0));
        assert_eq!(ending, unfinished(Cause::Aborted, printed), "{seen:?}");
    }
}

#[test]
fn completed_is_believed_where_nothing_contradicts_it() {
    let completed = |count| counted(JobState::Completed, count);
    let taken = Ending::Completed {
        sheets: None,
        proof: Proof::Taken,
    };
    let unknown = |doubt| Ending::Unknown(doubt);
    for (seen, shown, ending) in [
        (Counting::Unseen, completed(2), printed(2)),
        (
            Counting::Live,
            saying(completed(2), &["job-completed-successfully"]),
            printed(2),
        ),
        // It counts always zero, or prints nothing: nobody can tell.
        (
            Counting::Unseen,
            saying(completed(0), &["job-completed-successfully"]),
            taken,
        ),
        (
            Counting::Unseen,
            saying(completed(2), &["queued-in-device"]),
            Ending::Completed {
                sheets: Some(2),
                proof: Proof::Taken,
            },
        ),
        (
            Counting::AtEnd,
            saying(completed(0), &["job-completed-successfully"]),
            unknown(Doubt::NothingCounted),
        ),
        (
            Counting::Unseen,
            saying(completed(0), &["processing-to-stop-point"]),
            unknown(Doubt::NothingCounted),
        ),
        (
            Counting::Unseen,
            saying(completed(2), &["processing-to-stop-point"]),
            unknown(Doubt::StillStopping),
        ),
        (
            Counting::Unseen,
            JobView {
                impressions_total: Some(3),
                ..completed(2)
            },
            unfinished(Cause::TooFew, Printed::Sheets(2)),
        ),
        (
            Counting::Live,
            saying(completed(0), &["job-canceled-at-device"]),
            unfinished(Cause::CancelledElsewhere, Printed::Nothing),
        ),
        (
            Counting::Unseen,
            saying(completed(1), &["aborted-by-system"]),
            unfinished(Cause::Aborted, Printed::Sheets(1)),
        ),
        (
            Counting::Unseen,
            saying(completed(1), &["job-completed-with-errors"]),
            unfinished(Cause::WithErrors, Printed::Sheets(1)),
        ),
    ] {
        assert_eq!(end(&mut counting(seen), &shown), ending, "{shown:?}");
    }
}

#[test]
fn a_document_that_cannot_be_printed_is_nothing_where_the_count_agrees() {
    let cause = |keyword| Cause::Document(standing::trouble_named(keyword).unwrap());
    let unprintable = cause("document-unprintable-error");
    let unreadable = cause("document-format-error");
    for state in [JobState::Completed, JobState::Aborted] {
        for (seen, count, keyword, ending) in [
            (Counting::Unseen, Some(0), unprintable, Printed::Nothing),
            (Counting::Unseen, Some(1), unprintable, Printed::Sheets(1)),
            (Counting::Unseen, None, unprintable, Printed::NotCounted),
            // It may have gone wrong after the first page, and be counted late.
            (Counting::Unseen, Some(0), unreadable, Printed::NotCounted),
            (Counting::AtEnd, Some(0), unreadable, Printed::NotCounted),
            (Counting::Live, Some(0), unreadable, Printed::Nothing),
        ] {
            let Cause::Document(trouble) = keyword else {
                panic!("{keyword:?}");
            };
            let shown = JobView {
                impressions: count,
                begun: Some(true),
                ..saying(job(state), &["aborted-by-system", trouble.keyword])
            };
            let ended = end(&mut counting(seen), &shown);
            assert_eq!(ended, unfinished(keyword, ending), "{shown:?}");
        }
    }
}

#[test]
fn a_job_that_stands_over_its_document_is_cancelled_after_a_grace() {
    let mut follow = counting(Counting::Live);
    let now = Instant::now();
    let stuck = saying(counted(JobState::Processing, 0), &["document-format-error"]);
    assert_eq!(follow.learn(Learnt::Job(&stuck), now), Step::Wait);
    // It went on after all, and stands again.
    let goes_on = counted(JobState::Processing, 0);
    assert_eq!(look(&mut follow, &goes_on), Step::Wait);
    assert_eq!(follow.learn(Learnt::Job(&stuck), now), Step::Wait);
    let later = now + timing::GRACE;
    assert_eq!(follow.learn(Learnt::Job(&stuck), later), Step::Cancel);
    let cancelled = saying(counted(JobState::Canceled, 0), &["job-canceled-by-user"]);
    let trouble = standing::trouble_named("document-format-error").unwrap();
    let expected = unfinished(Cause::Document(trouble), Printed::Nothing);
    assert_eq!(end(&mut follow, &cancelled), expected);
}

#[test]
fn a_count_that_comes_late_or_goes_on_is_waited_for() {
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    let mut follow = counting(Counting::Unseen);
    for (second, count) in [(0, 0), (2, 1), (4, 2)] {
        let step = follow.learn(
            Learnt::Job(&counted(JobState::Completed, count)),
            at(second),
        );
        assert!(matches!(step, Step::Hold(_)), "{step:?} at {second}");
    }
    let last = counted(JobState::Completed, 2);
    assert_eq!(
        follow.learn(Learnt::Job(&last), at(8)),
        Step::End(printed(2))
    );

    // Cancelled, and the pages on their way still come out.
    let mut follow = stopped(Delivery::Accepted, Stop::Cancelled);
    let draining = |count| {
        saying(
            counted(JobState::Canceled, count),
            &["processing-to-stop-point"],
        )
    };
    for (second, count) in [(0, 6), (1, 7), (2, 8), (6, 8)] {
        let step = follow.learn(Learnt::Job(&draining(count)), at(second));
        assert!(matches!(step, Step::Hold(_)), "{step:?} at {second}");
    }
    let ended = follow.learn(Learnt::Job(&draining(8)), at(10));
    let eight = unfinished(Cause::Stopped(Stop::Cancelled), Printed::Sheets(8));
    assert_eq!(ended, Step::End(eight));
}

#[test]
fn a_job_that_a_printer_without_history_lets_go_of_is_printed_as_far_as_it_says() {
    let left = Left {
        remembers: false,
        blocked: false,
    };
    let taken = Ending::Completed {
        sheets: None,
        proof: Proof::Taken,
    };
    let forgotten = Ending::Unknown(Doubt::Forgotten);
    let seen = |job: JobView, left| {
        let mut follow = counting(Counting::Unseen);
        look(&mut follow, &job);
        follow.learn(Learnt::Gone(left), Instant::now())
    };
    let at_work = || counted(JobState::Processing, 1);
    assert_eq!(seen(at_work(), left), Step::End(taken));
    for other in [
        Left {
            remembers: true,
            ..left
        },
        Left {
            blocked: true,
            ..left
        },
    ] {
        assert_eq!(seen(at_work(), other), Step::End(forgotten), "{other:?}");
    }
    let stopping = saying(at_work(), &["processing-to-stop-point"]);
    assert_eq!(seen(stopping, left), Step::End(forgotten));
    // It showed its end before it went.
    let aborted = unfinished(Cause::Aborted, Printed::Sheets(1));
    let step = seen(counted(JobState::Aborted, 1), left);
    assert_eq!(step, Step::End(aborted));
    // Asked to end, it may have been cancelled.
    let mut follow = stopped(Delivery::Accepted, Stop::Cancelled);
    look(&mut follow, &at_work());
    let step = follow.learn(Learnt::Gone(left), Instant::now());
    assert_eq!(step, Step::End(forgotten));
}

#[test]
fn a_cancel_that_comes_too_late_completes() {
    let mut follow = stopped(Delivery::Accepted, Stop::Cancelled);
    assert_eq!(look(&mut follow, &job(JobState::Processing)), Step::Cancel);
    let ending = end(&mut follow, &counted(JobState::Completed, 1));
    assert_eq!(ending, printed(1));
}

#[test]
fn what_the_printer_has_forgotten_is_not_known() {
    for delivery in [Delivery::Accepted, Delivery::InDoubt, Delivery::Refused] {
        for (learnt, doubt) in [
            (
                Learnt::Gone(Left {
                    remembers: false,
                    blocked: false,
                }),
                Doubt::Forgotten,
            ),
            (Learnt::Restarted, Doubt::Restarted),
        ] {
            let step = follow(delivery).learn(learnt, Instant::now());
            assert_eq!(step, Step::End(Ending::Unknown(doubt)));
        }
    }
}

#[test]
fn sides_of_two_sided_sheets_are_counted_as_sheets() {
    let mut follow = Follow::new(
        Delivery::Accepted,
        Sides::TwoSidedLongEdge,
        Counting::Unseen,
    );
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
    counts: Counts,
    /// Sheets that still come out after it was asked to cancel.
    momentum: u32,
    /// Whether it calls the job cancelled before they are out.
    drains: bool,
    printed: u32,
    state: JobState,
    asked: bool,
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Honest,
    AlwaysZero,
    Never,
    /// Only when the job is completed.
    AtEnd,
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
            if self.drains && self.asked && self.begun && self.momentum > 0 {
                self.momentum -= 1;
                self.printed += u32::from(self.printed < self.arrived);
            }
            return;
        }
        match (self.begun, self.asked) {
            (true, true) if self.drains => self.state = JobState::Canceled,
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
                Counts::Honest => Some(self.printed),
                Counts::AtEnd if self.state == JobState::Completed => Some(self.printed),
                Counts::AlwaysZero | Counts::AtEnd => Some(0),
                Counts::Never => None,
            },
            reasons: if self.drains && self.momentum > 0 {
                vec!["processing-to-stop-point".to_owned()]
            } else {
                vec![]
            },
            impressions_total: (self.counts == Counts::Honest).then_some(self.whole),
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
        counts in prop::sample::select(vec![
            Counts::Honest, Counts::AlwaysZero, Counts::Never, Counts::AtEnd,
        ]),
        momentum in 0_u32..3,
        drains in any::<bool>(),
        accepted in any::<bool>(),
        stop_at in prop::option::of(0_usize..12),
        dice in prop::collection::vec(any::<u8>(), 60),
    ) {
        let arrived = if accepted { whole } else { arrived.min(whole) };
        let mut machine = Machine {
            whole, arrived, counts, momentum, drains, printed: 0,
            state: JobState::Pending, asked: false, begun: false,
        };
        let delivery = if accepted { Delivery::Accepted } else { Delivery::InDoubt };
        // Only a printer that counted before is known to count.
        let known = if known_to_count && counts == Counts::Honest {
            Counting::Live
        } else {
            Counting::Unseen
        };
        let mut follow = Follow::new(delivery, Sides::OneSided, known);
        let began = Instant::now();
        let mut ended = None;
        for (second, (look, dice)) in (0..).zip(dice.into_iter().enumerate()) {
            machine.advance(dice);
            if stop_at == Some(look) {
                follow.stop(Stop::Cancelled);
            }
            let at = began + Duration::from_secs(second);
            match follow.learn(Learnt::Job(&machine.view()), at) {
                Step::Cancel => machine.ask_to_cancel(),
                Step::Wait | Step::Hold(_) => {}
                Step::End(ending) => {
                    ended = Some(ending);
                    break;
                }
            }
        }
        match ended {
            // Without a count `completed` proves no sheet; this machine prints them all the same.
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

fn kept(delivery: Delivery) -> Kept {
    Kept {
        printer_uuid: None,
        boot: None,
        user: None,
        job_name: None,
        shown: None,
        job: Some(1),
        sides: Sides::OneSided,
        delivery,
        stop: None,
        trouble: None,
    }
}

#[test]
fn a_job_cancelled_over_its_document_is_told_as_that_after_a_crash() {
    let trouble = standing::trouble_named("document-format-error").unwrap();
    let kept = Kept {
        trouble: Some(trouble),
        ..kept(Delivery::Accepted)
    };
    let mut follow = Follow::interrupted(&kept, Counting::Live);
    let working = counted(JobState::Processing, 0);
    assert_eq!(look(&mut follow, &working), Step::Cancel);
    let cancelled = saying(counted(JobState::Canceled, 0), &["job-canceled-by-user"]);
    let expected = unfinished(Cause::Document(trouble), Printed::Nothing);
    assert_eq!(end(&mut follow, &cancelled), expected);
}

#[test]
fn a_document_that_an_interrupted_gateway_may_have_cut_is_ended_and_never_called_printed() {
    let interrupted = || Follow::interrupted(&kept(Delivery::InDoubt), Counting::Live);
    for state in [JobState::PendingHeld, JobState::Processing] {
        assert_eq!(look(&mut interrupted(), &untouched(state)), Step::Cancel);
    }
    // Cancelled when contact was made, before anybody asked.
    let mut follow = interrupted();
    let cancelled = untouched(JobState::Canceled);
    assert!(matches!(look(&mut follow, &cancelled), Step::Hold(_)));
    let nothing = unfinished(Cause::Interrupted, Printed::Nothing);
    assert_eq!(end(&mut follow, &cancelled), nothing);
    let whole = counted(JobState::Completed, 1);
    assert_eq!(
        end(&mut interrupted(), &whole),
        Ending::Unknown(Doubt::CutDocument)
    );
    // Accepted, it is waited for.
    let mut accepted = Follow::interrupted(&kept(Delivery::Accepted), Counting::Live);
    let waits = look(&mut accepted, &untouched(JobState::Pending));
    assert_eq!(waits, Step::Wait);
    assert_eq!(end(&mut accepted, &whole), printed(1));
}
