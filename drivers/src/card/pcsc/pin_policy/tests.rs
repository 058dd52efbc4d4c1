use proptest::prelude::*;

use super::*;

const PIN: &[u8] = b"123456";
const PIN_COMMANDS: [u8; 9] = [0x20, 0x21, 0x24, 0x25, 0x26, 0x28, 0x2C, 0x2D, 0x29];
/// A VERIFY with its PIN, as bytes.
const VERIFY: [u8; 9] = [0, 0x20, 0, 1, 4, 0x31, 0x32, 0x33, 0x34];

fn envelope(cla: u8, data: &[u8]) -> Command {
    Command::new(cla, 0xC2, 0, 0).with_data(data)
}

fn objects(data: &[u8]) -> Command {
    Command::new(0, 0xC3, 0, 0).with_data(data)
}

fn secured(cla: u8, ins: u8, data: &[u8]) -> Command {
    Command::new(cla, ins, 0, 1).with_data(data)
}

fn refused(commands: &[Command]) -> Option<(usize, Objection)> {
    check(commands).err()
}

#[test]
fn a_pin_in_the_clear_is_recognised_in_every_form() {
    for ins in PIN_COMMANDS {
        for cla in [0x00, 0x01, 0x10, 0x0C, 0x40, 0x60, 0x80, 0x9C, 0xA0, 0xFF] {
            let command = Command::new(cla, ins, 0, 1).with_data(PIN);
            let plain = Some((0, Objection::PlainPin));
            assert_eq!(
                refused(std::slice::from_ref(&command)),
                plain,
                "{command:?}"
            );
            let inner = command.encode();
            for cla in [0x00, 0x03, 0x80, 0xA0] {
                assert!(refused(&[envelope(cla, &inner)]).is_some(), "{inner:02x?}");
            }
            let performed = [&[0x52, u8::try_from(inner.len()).unwrap()][..], &inner].concat();
            assert!(refused(&[objects(&performed)]).is_some(), "{inner:02x?}");
        }
    }
}

#[test]
fn plain_objects_beside_a_checksum_are_in_the_clear() {
    let checksum = [0x8E, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let cipher = [0x87, 9, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    for plain in [
        &[0x80, 4, 0x31, 0x32, 0x33, 0x34][..],
        &[0x81, 4, 0x31, 0x32, 0x33, 0x34],
        &[0xB0, 6, 0x81, 4, 0x31, 0x32, 0x33, 0x34],
        &[0xB1, 6, 0x81, 4, 0x31, 0x32, 0x33, 0x34],
        &[0xB2, 6, 0x53, 4, 0x31, 0x32, 0x33, 0x34],
        &[0xB3, 6, 0x53, 4, 0x31, 0x32, 0x33, 0x34],
        &[0x53, 4, 0x31, 0x32, 0x33, 0x34],
        &[0x89, 5, 0x31, 0x32, 0x33, 0x34, 0x35],
        &[],
    ] {
        for beside in [&[][..], &cipher] {
            let data = [plain, beside, &checksum].concat();
            let passes = plain.is_empty() && !beside.is_empty();
            for ins in PIN_COMMANDS {
                let command = secured(0x0C, ins, &data);
                assert_eq!(
                    check(std::slice::from_ref(&command)).is_ok(),
                    passes,
                    "{data:02x?}"
                );
                let inner = command.encode();
                assert_eq!(check(&[envelope(0, &inner)]).is_ok(), passes, "{data:02x?}");
            }
        }
    }
    assert!(refused(&[secured(0x0C, 0x20, &cipher)]).is_some());
    // A class that announces nothing.
    let sealed = [&cipher[..], &checksum].concat();
    assert!(refused(&[secured(0x00, 0x20, &sealed)]).is_some());
}

#[test]
fn what_secure_messaging_needs_passes() {
    let sealed = [
        0x87, 9, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0x97, 1, 0, 0x8E, 4, 1, 2, 3, 4,
    ];
    for command in [
        // The tries that are left; the security status taken back.
        Command::new(0, 0x20, 0, 1),
        Command::new(0, 0x20, 0xFF, 1),
        secured(0x0C, 0x20, &sealed),
        secured(0x0C, 0x24, &sealed),
        secured(0x60, 0x2C, &sealed),
        // Auxiliary data verification (BSI TR-03110-3, B.7).
        secured(0x8C, 0x20, &sealed),
        // PACE, chip and terminal authentication, certificates.
        Command::new(0, 0x22, 0xC1, 0xA4).with_data(*b"\x80\x01\x02"),
        Command::new(0x10, 0x86, 0, 0)
            .with_data(*b"\x7c\x00")
            .expecting(256),
        Command::new(0, 0x82, 0, 0)
            .with_data([7; 40])
            .expecting(256),
        Command::new(0x0C, 0x2A, 0, 0xBE).with_data(sealed),
        Command::new(0, 0xB0, 0, 0).expecting(256),
        Command::new(0, 0xD6, 0, 0).with_data(PIN),
        secured(0x0C, 0xC3, &sealed),
        // The reader's: a contactless card's number.
        Command::new(0xFF, 0xCA, 0, 0).expecting(256),
    ] {
        assert_eq!(check(std::slice::from_ref(&command)), Ok(()), "{command:?}");
    }
}

#[test]
fn a_command_in_pieces_is_read_whole() {
    let update = Command::new(0, 0xD6, 0, 0).with_data(vec![7; 600]).encode();
    let (a, rest) = update.split_at(255);
    let (b, c) = rest.split_at(255);
    let other = Command::new(0, 0xB0, 0, 0).expecting(4);
    for (batch, passes) in [
        (
            vec![envelope(0x10, a), envelope(0x10, b), envelope(0, c)],
            true,
        ),
        (
            vec![
                envelope(0, a),
                envelope(0, b),
                envelope(0, c),
                envelope(0, &[]),
            ],
            true,
        ),
        (
            vec![envelope(0, &other.encode()), envelope(0, &other.encode())],
            true,
        ),
        (vec![envelope(0, &[])], true),
        // It does not end, or is parted.
        (vec![envelope(0x10, a), envelope(0x10, b)], false),
        (vec![envelope(0, a), envelope(0, b)], false),
        (
            vec![
                envelope(0x10, a),
                other.clone(),
                envelope(0, &[b, c].concat()),
            ],
            false,
        ),
        (vec![envelope(0x10, a), envelope(0, &[])], false),
        // Its last piece may stand alone; as a whole it updates.
        (
            vec![envelope(0, &[0, 0xD6, 0, 0, 9]), envelope(0, &VERIFY)],
            false,
        ),
        (
            vec![envelope(0x10, &[0, 0xD6, 0, 0, 9]), envelope(0, &VERIFY)],
            false,
        ),
        // The first piece names no instruction.
        (
            vec![envelope(0x10, &update[..1]), envelope(0, &update[1..])],
            false,
        ),
    ] {
        assert_eq!(check(&batch).is_ok(), passes, "{batch:?}");
    }
    for cut in 1..VERIFY.len() {
        let (a, b) = VERIFY.split_at(cut);
        for batch in [
            vec![envelope(0x10, a), envelope(0, b)],
            vec![envelope(0, a), envelope(0, b)],
            vec![envelope(0, a), envelope(0, b), envelope(0, &[])],
            // In two calls: the first must not begin it.
            vec![envelope(0x10, a)],
            vec![envelope(0, a)],
        ] {
            assert!(check(&batch).is_err(), "{batch:?}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_not_sent() {
    let nested = envelope(0, &VERIFY).encode();
    let harmless = Command::new(0, 0xB0, 0, 0).encode();
    let perform = [&[0x52, 11, 0, 0][..], &VERIFY].concat();
    for command in [
        envelope(0, &nested),
        envelope(0, &envelope(0, &harmless).encode()),
        envelope(0, b"\xD1\x04\x82\x02\x83\x81"),
        objects(&[0x81, 4, 0, 0xB0, 0, 0]),
        objects(&[0x52, 3, 0, 0xB0, 0]),
        objects(&[0x52, 4, 0, 0xB0]),
        // A terminal's own commands with a command to perform.
        Command::new(0x20, 0x18, 1, 0).with_data(perform.clone()),
        Command::new(0x80, 0x19, 1, 0).with_data(perform),
        // Transparent exchange, a contactless chip's direct command, a reader's PIN entry.
        Command::new(0xFF, 0xC2, 0, 1).with_data([&[0x95, 9][..], &VERIFY].concat()),
        Command::new(0xFF, 0x00, 0, 0).with_data([&[0xD4, 0x40, 1][..], &VERIFY].concat()),
        Command::new(0xFF, 0x9A, 4, 0x10).with_data(VERIFY),
    ] {
        let objection = Some((0, Objection::Hidden));
        assert_eq!(
            refused(std::slice::from_ref(&command)),
            objection,
            "{command:?}"
        );
    }
    let performed = objects(&[0x52, 4, 0, 0xB0, 0, 0]);
    assert_eq!(check(&[performed]), Ok(()));
}

/// A card that takes a PIN wherever it gets one: in each piece by itself, and in the pieces put
/// together since the last one that it refused.
#[derive(Default)]
struct Card {
    held: Vec<u8>,
    /// Whether a command that is done ends what it holds.
    forgets: bool,
    saw_pin: bool,
}

impl Card {
    fn takes(&mut self, command: &Command) {
        if command.ins != ENVELOPE {
            self.held.clear();
            self.executes(command);
            return;
        }
        self.held.extend(&command.data);
        for reading in [&command.data, &self.held.clone()] {
            if let Ok(inner) = Command::parse(reading) {
                self.executes(&inner);
                if self.forgets && !is_chained(command) {
                    self.held.clear();
                }
            }
        }
    }

    fn executes(&mut self, command: &Command) {
        self.saw_pin |= takes_pin(command) && !command.data.is_empty();
    }
}

/// Commands around a VERIFY in pieces, among harmless ones.
fn command() -> impl Strategy<Value = Command> {
    let bytes = [&[0, 0xD6, 0, 0, 9][..], &VERIFY, &[0, 0xB0, 0, 0]].concat();
    // Before and in the VERIFY's header, at both ends, and around a harmless command.
    let cuts = || prop::sample::select(vec![0, 4, 5, 6, 7, 9, 14, 18]);
    let piece =
        (cuts(), cuts()).prop_map(move |(from, to)| bytes[from.min(to)..to.max(from)].to_vec());
    prop_oneof![
        8 => (prop_oneof![Just(0x00), Just(0x10)], piece).prop_map(|(cla, data)| envelope(cla, &data)),
        1 => Just(Command::new(0, 0xB0, 0, 0)),
        1 => Just(Command::new(0, 0x20, 0, 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_card_gets_a_pin_from_pieces(
        forgets in any::<bool>(),
        calls in proptest::collection::vec(
            (proptest::collection::vec(command(), 1..5), 0_usize..5, any::<bool>()),
            1..4,
        ),
    ) {
        let mut card = Card { forgets, ..Card::default() };
        for (batch, refuses, drops) in calls {
            if check(&batch).is_err() {
                continue;
            }
            for (index, command) in batch.iter().enumerate() {
                card.takes(command);
                if index == refuses {
                    if drops {
                        card.held.clear();
                    }
                    // The caller may accept it, but no piece follows then.
                    if batch.get(index + 1).is_some_and(|next| may_continue(command, next)) {
                        break;
                    }
                }
            }
        }
        prop_assert!(!card.saw_pin);
    }

    #[test]
    fn any_batch_is_read(
        commands in proptest::collection::vec(
            (any::<[u8; 4]>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..6,
        ),
        ins in prop_oneof![Just(0xC2), Just(0xC3), Just(0x20), any::<u8>()],
    ) {
        let commands: Vec<_> = commands
            .into_iter()
            .map(|([cla, _, p1, p2], data)| Command::new(cla, ins, p1, p2).with_data(data))
            .collect();
        if let Err((index, _)) = check(&commands) {
            prop_assert!(index < commands.len());
        }
    }
}
