//! Every wait of the driver, and why it is that long.
//!
//! T1 to T4 are those of PA00P016 (transport) and PA00P015 chapter 2; the rest bounds what the
//! specification leaves open. All of them run on tokio's clock, so tests pause it.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Serial: between two bytes of a frame. Then the frame is dropped; the peer repeats it.
pub(super) const T1: Duration = Duration::from_millis(200);

/// Serial: from the end of our frame to its ACK or NAK.
pub(super) const T2: Duration = Duration::from_secs(5);

/// Serial: how often one frame is written again, at most.
pub(super) const FRAME_REPEATS: u32 = 2;

/// From a command to its 80 00 or 84 xx.
pub(super) const T3: Duration = Duration::from_secs(5);

/// From a command that must not happen twice to its 80 00 or 84 xx. T3 is what the book allows; a
/// terminal that is late has perhaps begun, and whoever hangs up on it knows nothing any more.
pub(super) const LATE_ANSWER: Duration = Duration::from_secs(10);

/// To the terminal's next message; 04 FF may set another.
pub(super) const T4: Duration = Duration::from_mins(3);

/// TCP: from one piece of an APDU to the next. T1 would be wrong there: TCP cuts a message
/// anywhere and a lost packet alone costs more than 200 ms. A stream that stands still inside an
/// APDU for as long as the peer may take to answer (T3) has no sense left: it is given up.
pub(super) const PIECE: Duration = T3;

/// TCP and serial: until the kernel took what we send. It only waits where the peer has stopped
/// reading, and it would not wait for us longer than T3 either.
pub(super) const WRITE: Duration = T3;

/// The terminal's silence after 06 B0. It may first ask for the card to be removed, with 04 FF,
/// and then it is not silent.
pub(super) const ABORT_SILENCE: Duration = Duration::from_secs(15);

/// From the wish to stop to the end of the call, whatever the terminal sends: a host answers or
/// gives up within 60 s. Without this limit a terminal that says "please wait" holds a call for ever.
pub(super) const SETTLE: Duration = Duration::from_mins(1);

/// A registration or a status enquiry from beginning to end: the terminal answers from memory.
pub(super) const SHORT_COMMAND: Duration = Duration::from_secs(10);

/// The longest that a question waits for work of the terminal's own, such as its nightly closing,
/// as long as the terminal keeps saying that it needs more time (04 FF with T4).
pub(super) const OWN_WORK: Duration = Duration::from_mins(30);

/// The last entry, with its receipt, or the day's turnover: from memory as well, and some hundred
/// bytes, which take a second on the slowest line.
pub(super) const LEAF: Duration = Duration::from_secs(15);

/// Between the two looks that must show the same before an interrupted call is decided: a command
/// that was still on its way has arrived by then and shows as "busy".
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(1);

/// For the terminal to come to rest when an interrupted call is looked after; it may be asking for
/// a card or for the bank. Then contact counts as lost, and it is asked again later.
pub(super) const REST: Duration = Duration::from_mins(2);

/// Between two looks at books that may still change, while what is found is ours ([`BY_HAND`]).
pub(super) const NEXT_LOOK: Duration = Duration::from_millis(500);

/// The same, later: what the clerk waits for is mostly over by then.
pub(super) const LATER_LOOK: Duration = Duration::from_secs(5);

/// What a payment typed in at the terminal takes at least: it must have ended ours, somebody
/// must have seen that, typed the amount and presented a card. What is found within this time
/// of our losing contact is ours.
pub(super) const BY_HAND: Duration = Duration::from_secs(10);

/// Until a TCP connection stands.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// Connections that are tried for one call: a terminal that has just closed the last one refuses
/// the next for a moment.
pub(super) const CONNECT_TRIES: u32 = 3;

/// Between two tries to connect.
pub(super) const CONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Between two questions whether the terminal is still busy.
pub(super) const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Making contact, all in all: three connections and the two short commands. The supervisor waits
/// for no more than a minute.
pub(super) const OPEN: Duration = Duration::from_secs(40);

/// The journal's time to store. The terminal waits T3 for our 80 00; what is not stored by then
/// is refused with 84 66 while it still listens.
pub(super) const STORE: Duration = Duration::from_secs(4);

/// The caller's time to take a piece of progress. The terminal must not wait for the broker.
pub(super) const TELL: Duration = Duration::from_millis(500);

/// Between two looks at an idle terminal: often enough for a clerk to see trouble before a
/// citizen does, seldom enough not to light up the display all the time.
const PROBE_EARLIEST: Duration = Duration::from_secs(25);

/// Added to [`PROBE_EARLIEST`] at random, up to this many milliseconds, so that the terminals of a
/// case do not answer all at once.
const PROBE_JITTER_MS: u64 = 10_000;

/// When to look the next time.
pub(super) fn next_probe() -> Duration {
    let random = RandomState::new().build_hasher().finish();
    PROBE_EARLIEST + Duration::from_millis(random % PROBE_JITTER_MS)
}
