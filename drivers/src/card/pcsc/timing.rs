//! Every bound of the driver, with its reason.

use std::time::Duration;

/// One wait for reader states: added readers get lost on pcsc-lite 1.9.9 while a wait is on.
pub(super) const MONITOR_WAIT: Duration = Duration::from_secs(1);
/// First pause before the service is tried again; doubled up to the last.
pub(super) const SERVICE_PAUSE: Duration = Duration::from_millis(100);
/// Last pause before the service is tried again.
pub(super) const SERVICE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// pcsc-lite before 2.5.0 takes no more states in one wait, the plug-and-play entry among them.
pub(super) const MAX_STATES: usize = 16;
/// The monitor is taken for stuck when it was silent for so long: waits, and pauses, end sooner.
pub(super) const MONITOR_SILENCE: Duration = Duration::from_secs(10);
/// Looks at the readers until two in a row agree; a reader that never rests is taken as it is.
pub(super) const LOOKS: usize = 8;
/// How often a watching driver looks whether the monitor lives.
pub(super) const MONITOR_LOOK: Duration = Duration::from_secs(3);
/// For the monitor's first list, and for a reader that was just plugged.
pub(super) const FIRST_LIST: Duration = Duration::from_secs(2);
/// For connecting: powering a card takes up to two seconds, another application's transaction
/// longer.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// For what a reader answers without a card.
pub(super) const READER_ANSWER: Duration = Duration::from_secs(5);
/// For one APDU: cards that make keys ask for more time, but not for this much.
pub(super) const APDU: Duration = Duration::from_secs(45);
/// For an answer that is on its way when the call is to end: longer, and the reader is stuck.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(2);
/// For the service to notice that a card is gone: it looks every 400 ms.
pub(super) const NOTICED: Duration = Duration::from_millis(600);
/// Between two questions to it.
pub(super) const NOTICE_PAUSE: Duration = Duration::from_millis(50);
/// The longest time a person has at the pad, for each entry.
pub(super) const PAD_SECONDS: u8 = 30;
/// The least time that makes sense at the pad.
pub(super) const PAD_SECONDS_MIN: u8 = 5;
/// What the reader needs beyond the person's time.
pub(super) const PAD_GRACE: Duration = Duration::from_secs(5);
/// For a PACE run: the protocol itself takes seconds, typing the rest.
pub(super) const PACE: Duration = Duration::from_secs(100);
/// For a card to show itself and to answer after a restart: a service that was just started powers
/// it in that time, and one that just lost a client refuses the next for a moment (measured:
/// `SecurityViolation` of pcsc-lite 1.9.9). Who takes longer to insert a card finds a reader that
/// works, and a question that is open.
pub(super) const CARD_BACK: Duration = Duration::from_secs(3);
/// Before a card that did not answer is read once more.
pub(super) const CARD_PAUSE: Duration = Duration::from_millis(100);
/// For reading a card to compare, all in all.
pub(super) const COMPARE: Duration = Duration::from_mins(1);
