//! Every wait of the driver, and why it is that long. All of them run on tokio's clock.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Until a connection stands, TLS included: printers wake from sleep in that time.
pub(super) const CONNECT: Duration = Duration::from_secs(8);

/// From a question to its whole answer. Printers answer from memory, some of them slowly.
pub(super) const ANSWER: Duration = Duration::from_secs(15);

/// Making contact, all in all: the supervisor gives a driver a minute.
pub(super) const OPEN: Duration = Duration::from_secs(45);

/// How long a printer that takes connections and answers nothing is waited for before anything is
/// printed: some take most of a minute to wake up.
pub(super) const WAKE: Duration = Duration::from_mins(1);

/// The first look at a job that was just sent, and the longest pause between two looks: a clerk
/// wants to know within a second, and a printer's small processor has work to do.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(100);
/// The longest pause between two looks at a running job.
pub(super) const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// Between two tries of Create-Job at a printer that prints something else.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(700);

/// Before a job that was cancelled in doubt is looked at once more: the printer may just have
/// been about to begin with what had arrived.
pub(super) const SECOND_LOOK: Duration = Duration::from_millis(300);

/// How long a count must stand still before it is believed of a job that is over: a page on its
/// way takes that long, and printers that count late do so in that time.
pub(super) const LATE_COUNT: Duration = Duration::from_secs(3);

/// The same where the printer says that it is still about to stop (`processing-to-stop-point`).
/// Some never take that back.
pub(super) const STOP_POINT: Duration = Duration::from_secs(8);

/// How long a job may stand over its own document: nobody can mend that, and a printer that goes
/// on after all does so in that time.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long the answer to a document may be late when the job is over. Some printers answer when
/// the last page is out, or later.
pub(super) const LATE_ANSWER: Duration = Duration::from_secs(30);

/// From the wish to stop to the end of the call: a page that is on its way comes out, then the
/// printer says how many there were. Well before the supervisor gives up (75 s).
pub(super) const SETTLE: Duration = Duration::from_secs(14);

/// How long a printer may be out of reach before a call gives up on what is in doubt, or on a
/// document that is half sent. A printer that restarts takes longer, and has forgotten its jobs.
pub(super) const OUT_OF_REACH: Duration = Duration::from_secs(20);

/// From a question to its answer while a job is followed: the next look asks again.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// How long to look for a job whose Create-Job was not answered. Nothing depends on it: without
/// a document it prints nothing, and the next contact cleans it up.
pub(super) const ORPHAN: Duration = Duration::from_secs(4);

/// What an interrupted print still gets when its time was up while the gateway was away: some
/// pages, no more, because a form that comes out hours later is taken for somebody else's.
pub(super) const LAST_PAGE: Duration = Duration::from_secs(12);

/// Between two looks at an idle printer, at least: paper that runs out is seen within 11 s.
const WATCH: Duration = Duration::from_secs(9);
/// How much that varies, so that the printers of an office are not asked in step.
const JITTER_MS: u64 = 2_000;

/// Looks that may fail in a row before contact counts as lost: one packet is not a fault.
pub(super) const MISSED_LOOKS: u32 = 2;
/// Between a look that failed and the next.
pub(super) const MISSED_PAUSE: Duration = Duration::from_secs(1);

/// The pause before the next look at an idle printer.
pub(super) fn next_watch() -> Duration {
    let random = RandomState::new().build_hasher().finish();
    WATCH + Duration::from_millis(random % JITTER_MS)
}
