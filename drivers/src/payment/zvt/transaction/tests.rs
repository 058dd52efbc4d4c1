//! Every order of events, within reason: the promises of the module's head, held.

use proptest::prelude::*;

use super::*;
use crate::payment::zvt::codec::{amount::Amount, bcd::EUR, charset::Charset};

const POSITIVE: &[u8] = &[
    0x04, 0x0F, 0x09, 0x27, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x37, 0x80,
];
const NEGATIVE: &[u8] = &[0x04, 0x0F, 0x02, 0x27, 0x05];
const WRONG_AMOUNT: &[u8] = &[
    0x04, 0x0F, 0x09, 0x27, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x37, 0x81,
];
const UNKNOWN_FIELD: &[u8] = &[0x04, 0x0F, 0x03, 0x27, 0x00, 0xC9];
const COMPLETION: &[u8] = &[0x06, 0x0F, 0x00];
const ABORTED: &[u8] = &[0x06, 0x1E, 0x01, 0x6C];
const ACK: &[u8] = &[0x80, 0x00, 0x00];
const NACK: &[u8] = &[0x84, 0x83, 0x00];

const MESSAGES: &[&[u8]] = &[
    POSITIVE,
    POSITIVE,
    NEGATIVE,
    WRONG_AMOUNT,
    UNKNOWN_FIELD,
    COMPLETION,
    COMPLETION,
    ABORTED,
    ACK,
    ACK,
    NACK,
    &[0x04, 0xFF, 0x01, 0x0A],
    &[0x06, 0x0F, 0x01, 0x9C],
    &[0x06, 0xD1, 0x02, 0x00, 0x41],
    &[0x0F, 0xA1, 0x00],
];

fn apdu(bytes: &[u8]) -> Apdu {
    Apdu::from_bytes(bytes).unwrap()
}

fn pay() -> Apdu {
    let amount = Amount::from_minor(3780).unwrap();
    Command::pay(amount, EUR).encode().unwrap()
}

fn once(needs_result: bool) -> Plan {
    Plan {
        command: pay(),
        kind: Kind::Once(Box::new(plan::Once {
            baseline: Evidence::new("baseline", []),
            terminal: None,
            amount: needs_result.then(|| Amount::from_minor(3780).unwrap()),
            reverses: None,
            currency: EUR,
            needs_result,
        })),
        abortable: true,
        is_enquiry: false,
        administration: false,
        response_timeout: timing::T4,
        limit: None,
        charset: Charset::Cp437,
    }
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Message(usize),
    Store(bool),
    Timeout,
    Stop,
    Lost,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        8 => (0..MESSAGES.len()).prop_map(Move::Message),
        5 => prop::bool::weighted(0.9).prop_map(Move::Store),
        1 => Just(Move::Timeout),
        1 => Just(Move::Stop),
        1 => Just(Move::Lost),
    ];
    prop::collection::vec(one, 0..40)
}

/// What was seen from outside.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a list of what was seen")]
struct Witness {
    needs_amount: bool,
    sent: usize,
    acked: bool,
    armed: bool,
    begun: bool,
    /// A positive 04 0F was stored and acknowledged.
    committed: bool,
    /// The last thing that came, if it was a 06 0F.
    completed: bool,
    /// 84 xx to the command, 06 1E, or a negative 04 0F.
    denied: bool,
    not_accepted: bool,
    pending: Option<Pending>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Arm,
    Begin,
    Store { positive: bool },
}

impl Witness {
    fn watch(&mut self, actions: &[Action], cause: &Trigger) {
        for action in actions {
            match action {
                Action::Arm(_) => self.pending = Some(Pending::Arm),
                Action::Begin => {
                    assert!(self.armed, "begun before the baseline was stored");
                    self.pending = Some(Pending::Begin);
                }
                Action::Store(evidence) => {
                    let result = evidence.facts.get("result");
                    let positive = result.is_none_or(|code| code == "00");
                    let cents = evidence.facts.get("cents").map(String::as_str);
                    assert!(
                        !positive || !self.needs_amount || cents == Some("3780"),
                        "stored what does not match"
                    );
                    self.pending = Some(Pending::Store { positive });
                }
                Action::Command(command, repeat) => {
                    assert_eq!(*repeat, Repeat::OnNak, "silence repeats no money");
                    if *command == pay() {
                        assert!(self.begun, "sent before that was stored");
                        self.sent += 1;
                    }
                }
                Action::Answer(answer) if *answer == apdu(ACK) => match cause {
                    Trigger::Stored(Some(Pending::Store { positive })) => {
                        self.committed |= positive;
                    }
                    Trigger::Stored(_) => panic!("an acknowledgement of nothing"),
                    Trigger::Message(bytes) if bytes.starts_with(&[0x04, 0x0F]) => {
                        assert!(self.committed, "acknowledged before it was stored");
                        assert_ne!(*bytes, UNKNOWN_FIELD, "acknowledged what nobody can read");
                        assert_ne!(*bytes, NEGATIVE, "acknowledged a contradiction");
                    }
                    Trigger::Message(_) | Trigger::Other => {}
                },
                _ => {}
            }
        }
        assert!(self.sent <= 1, "sent twice");
    }
}

/// What the machine was answering.
enum Trigger {
    Stored(Option<Pending>),
    Message(&'static [u8]),
    Other,
}

fn play(needs_result: bool, moves: &[Move]) -> (Transaction, Witness) {
    let mut machine = Transaction::new(once(needs_result));
    let mut witness = Witness {
        needs_amount: needs_result,
        ..Witness::default()
    };
    let mut now = Duration::ZERO;
    let first = machine.start(now);
    witness.watch(&first, &Trigger::Other);
    for step in moves {
        if machine.is_over() {
            break;
        }
        now += Duration::from_millis(10);
        let (event, cause) = match *step {
            Move::Store(ok) => {
                // The line is not read while something is being stored.
                let Some(pending) = witness.pending.take() else {
                    continue;
                };
                match (ok, pending) {
                    (true, Pending::Arm) => witness.armed = true,
                    (true, Pending::Begin) => witness.begun = true,
                    _ => {}
                }
                let event = if ok { Event::Stored } else { Event::NotStored };
                (event, Trigger::Stored(ok.then_some(pending)))
            }
            Move::Message(which) if witness.pending.is_none() => {
                let bytes = MESSAGES[which];
                witness.completed = bytes == COMPLETION;
                witness.denied |= bytes == ABORTED || bytes == NEGATIVE;
                witness.denied |= !witness.acked && bytes == NACK;
                witness.acked |= bytes == ACK;
                (Event::Received(apdu(bytes)), Trigger::Message(bytes))
            }
            Move::Timeout if witness.pending.is_none() => {
                now = machine
                    .deadline()
                    .expect("something is waited for")
                    .max(now);
                (Event::Timeout, Trigger::Other)
            }
            Move::Stop => (Event::Stop(Stop::Cancelled), Trigger::Other),
            Move::Lost => {
                let broken = if witness.sent == 1 && !witness.acked {
                    witness.not_accepted = true;
                    Broken::NotAccepted
                } else {
                    Broken::Closed
                };
                (Event::Lost(broken), Trigger::Other)
            }
            Move::Message(_) | Move::Timeout => continue,
        };
        let actions = machine.step(now, event);
        witness.watch(&actions, &cause);
    }
    (machine, witness)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_order_of_events_breaks_a_promise(needs_result in any::<bool>(), moves in moves()) {
        let (machine, seen) = play(needs_result, &moves);
        if !machine.is_over() {
            return Ok(());
        }
        let ended = machine.into_ended();
        match ended.ending {
            Ending::Completed => {
                prop_assert!(seen.completed);
                prop_assert!(seen.committed || !needs_result);
            }
            Ending::Unknown(_) => prop_assert_eq!(seen.sent, 1),
            Ending::Refused(_) => prop_assert!(seen.denied && !seen.committed),
            _ => {
                prop_assert!(seen.sent == 0 || seen.denied || seen.not_accepted);
                prop_assert!(!seen.committed, "it was booked before our eyes");
            }
        }
    }

    #[test]
    fn whatever_was_said_silence_and_time_end_it(moves in moves()) {
        let (mut machine, mut seen) = play(true, &moves);
        let mut rounds = 0;
        while !machine.is_over() {
            let event = match seen.pending.take() {
                Some(_) => Event::Stored,
                None => Event::Timeout,
            };
            let now = machine.deadline().unwrap_or_default();
            for action in machine.step(now, event) {
                if matches!(action, Action::Begin | Action::Store(_)) {
                    seen.pending = Some(Pending::Begin);
                }
            }
            rounds += 1;
            prop_assert!(rounds < 10);
        }
    }
}

#[test]
fn the_phases_are_passed_in_their_order() {
    use Phase::{Accepted, Acked, Armed, Card, Completed, Host, Receipts, Result, Sent};

    let mut machine = Transaction::new(once(true));
    let now = Duration::ZERO;
    let mut phases = vec![machine.phase()];
    machine.start(now);
    let message = |bytes: &[u8]| Event::Received(apdu(bytes));
    for event in [
        Event::Stored,
        Event::Stored,
        message(ACK),
        message(&[0x04, 0xFF, 0x01, 0x0A]),
        message(&[0x04, 0xFF, 0x01, 0x04]),
        message(POSITIVE),
        Event::Stored,
        message(COMPLETION),
    ] {
        machine.step(now, event);
        phases.push(machine.phase());
    }
    let expected = [
        Accepted, Armed, Sent, Acked, Card, Host, Result, Receipts, Completed,
    ];
    assert_eq!(phases, expected);
}

#[test]
fn a_machine_that_is_over_does_nothing_more() {
    let mut machine = Transaction::new(once(true));
    machine.start(Duration::ZERO);
    machine.step(Duration::ZERO, Event::Stop(Stop::Cancelled));
    assert!(machine.is_over() && machine.deadline().is_none());
    assert_eq!(machine.step(Duration::ZERO, Event::Stored), []);
    assert_eq!(machine.into_ended().ending, Ending::Stopped);
}
