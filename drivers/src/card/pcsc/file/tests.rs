use proptest::prelude::*;

use super::*;
use crate::card::iso7816::{Length, tlv};

/// How a card answers READ BINARY beyond 15-bit offsets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Odd {
    /// As the standard says.
    Object,
    /// With the bytes alone.
    Bare,
    /// Not at all.
    Unknown,
}

/// A card with one file, as the standard describes it.
struct Card {
    file: Vec<u8>,
    chained: Vec<u8>,
    updates: Vec<(usize, usize)>,
    extended: bool,
    parameters: bool,
    /// SELECT takes nothing but these: P1, P2, the number of bytes of its data.
    selects: Option<Vec<(u8, u8, usize)>>,
    /// What it says to any other SELECT.
    refuses: u16,
    /// What it makes of the odd READ BINARY.
    odd: Odd,
    /// The size that it says, as a data object; its own where there is none.
    says: Option<Vec<u8>>,
    /// From this position on READ BINARY ends with this.
    dry: Option<(usize, u16)>,
    /// The update of this number fails, after so many of its bytes were written.
    fails: Option<(usize, usize)>,
}

impl Card {
    fn holding(file: &[u8]) -> Self {
        Self {
            file: file.to_vec(),
            chained: Vec::new(),
            updates: Vec::new(),
            extended: true,
            parameters: true,
            selects: None,
            refuses: 0x6A86,
            odd: Odd::Object,
            says: None,
            dry: None,
            fails: None,
        }
    }

    fn answer(&mut self, command: &Command) -> Response {
        let say = |data: &[u8], word| Response {
            data: data.to_vec(),
            status_word: StatusWord(word),
        };
        let at = usize::from(u16::from_be_bytes([command.p1, command.p2]));
        let long = command.le.is_some_and(|le| le > 256) || command.data.len() > 255;
        if (long || command.length == Length::Extended) && !self.extended {
            return say(&[], 0x6700);
        }
        match command.ins {
            0xA4 if self.selects.as_ref().is_some_and(|takes| {
                !takes.contains(&(command.p1, command.p2, command.data.len()))
            }) =>
            {
                say(&[], self.refuses)
            }
            0xB0 if command.p1 & 0x80 != 0 => {
                assert_eq!((command.p1 & 0x1F, command.p2), (1, 0));
                say(&self.file[..1], 0x9000)
            }
            0xA4 if command.p2 == 0x04 && !self.parameters => say(&[], 0x6A86),
            0xA4 if command.p2 == 0x04 => {
                let length = u32::try_from(self.file.len()).unwrap().to_be_bytes();
                let own = [&[0x80, 4][..], &length].concat();
                let says = self.says.clone().unwrap_or(own);
                let template = [0x62, u8::try_from(says.len()).unwrap()];
                say(&[&template[..], &says].concat(), 0x9000)
            }
            0xA4 => say(&[], 0x9000),
            0xB0 => {
                let (data, word) = self.part(at, command.le.unwrap_or(0) as usize);
                say(&data, word)
            }
            0xB1 if self.odd == Odd::Unknown => say(&[], 0x6D00),
            0xB1 => {
                let (offset, _) = tlv::Object::first(&command.data).unwrap();
                let digits = offset.value.iter();
                let at = digits.fold(0, |at, digit| at << 8 | usize::from(*digit));
                assert_eq!((offset.tag, command.p1, command.p2), (0x54, 0, 0));
                let most = command.le.unwrap_or(0) as usize;
                let (data, word) = self.part(at, most - 4);
                let length = data.len().to_be_bytes();
                let head = match data.len() {
                    0 => vec![],
                    1..=127 => vec![0x53, length[7]],
                    128..=255 => vec![0x53, 0x81, length[7]],
                    _ => vec![0x53, 0x82, length[6], length[7]],
                };
                let head = if self.odd == Odd::Bare { vec![] } else { head };
                assert!(head.len() + data.len() <= most);
                say(&[head, data].concat(), word)
            }
            0xD6 => {
                self.chained.extend(&command.data);
                if command.cla & 0x10 != 0 {
                    return say(&[], 0x9000);
                }
                let data = std::mem::take(&mut self.chained);
                // Chained pieces all name the same place.
                let number = self.updates.len();
                self.updates.push((at, data.len()));
                match self.fails {
                    Some((fails, written)) if fails == number => {
                        let written = written.min(data.len());
                        self.file[at..at + written].copy_from_slice(&data[..written]);
                        say(&[], 0x6581)
                    }
                    _ => {
                        self.file[at..at + data.len()].copy_from_slice(&data);
                        say(&[], 0x9000)
                    }
                }
            }
            _ => say(&[], 0x6D00),
        }
    }

    /// So much of the file, and the word to it.
    fn part(&self, at: usize, most: usize) -> (Vec<u8>, u16) {
        let end = match self.dry {
            Some((dry, word)) if at >= dry => return (Vec::new(), word),
            Some((dry, _)) => dry.min(self.file.len()),
            None => self.file.len(),
        };
        match self.file.get(at..end) {
            Some(rest) if !rest.is_empty() && rest.len() < most && self.dry.is_none() => {
                (rest.to_vec(), 0x6282)
            }
            Some(rest) if !rest.is_empty() => (rest[..rest.len().min(most)].to_vec(), 0x9000),
            _ => (Vec::new(), 0x6B00),
        }
    }

    fn talk(&mut self, script: &mut dyn Script) {
        for _ in 0..2_000 {
            let Some(outgoing) = script.next() else {
                return;
            };
            let answer = self.answer(&outgoing.command);
            script.received(&answer);
        }
        panic!("the dialogue has no end");
    }
}

fn address() -> Address {
    Address {
        application: Some(vec![0xA0, 0, 0, 0, 1]),
        path: vec![FileId(0x0101)],
    }
}

fn read(
    card: &mut Card,
    offset: u16,
    length: Option<u32>,
    reach: Reach,
) -> Result<Vec<u8>, Unread> {
    let mut read = Read::new(&address(), Span { offset, length }, reach);
    card.talk(&mut read);
    read.into_content()
}

const REACHES: [Reach; 3] = [Reach::Short, Reach::Chained, Reach::Extended];

proptest! {
    #[test]
    fn a_file_is_read_whole_by_any_card(
        content in proptest::collection::vec(any::<u8>(), 1..3_000),
        extended in any::<bool>(),
        parameters in any::<bool>(),
        reach in prop::sample::select(REACHES.to_vec()),
    ) {
        let mut card = Card { extended, parameters, ..Card::holding(&content) };
        prop_assert_eq!(read(&mut card, 0, None, reach), Ok(content.clone()));
        let half = u16::try_from(content.len() / 2).unwrap();
        prop_assert_eq!(
            read(&mut card, half, Some(1), reach),
            Ok(content[usize::from(half)..][..1].to_vec())
        );
    }

    #[test]
    fn an_update_writes_each_byte_once_and_proves_it(
        before in proptest::collection::vec(any::<u8>(), 1..3_000),
        share in 1_usize..100,
        extended in any::<bool>(),
        reach in prop::sample::select(REACHES.to_vec()),
    ) {
        let new: Vec<_> = before.iter().take((before.len() * share / 100).max(1)).map(|b| !b).collect();
        let offset = before.len() - new.len();
        let mut card = Card { extended, ..Card::holding(&before) };
        let mut write = Write::new(&address(), u16::try_from(offset).unwrap(), new.clone(), reach);
        card.talk(&mut write);
        prop_assert_eq!(write.verdict(), Verdict::Written(None));
        prop_assert_eq!(&card.file[offset..], &new[..]);
        prop_assert_eq!(&card.file[..offset], &before[..offset]);
        let mut next = offset;
        for (at, length) in card.updates {
            prop_assert_eq!(at, next);
            next += length;
        }
    }

    #[test]
    fn a_card_that_fails_in_an_update_is_compared_never_written_again(
        number in 0_usize..4,
        written in 0_usize..300,
    ) {
        let (before, new) = (vec![0; 700], vec![1; 700]);
        let mut card = Card { fails: Some((number, written)), ..Card::holding(&before) };
        let mut write = Write::new(&address(), 0, new.clone(), Reach::Short);
        card.talk(&mut write);
        let updates = card.updates.len();
        prop_assert!(updates <= number + 1);
        let holds = card.file.iter().take_while(|b| **b == 1).count();
        match write.verdict() {
            Verdict::Written(_) => prop_assert_eq!(holds, 700),
            Verdict::Untouched(_) => prop_assert_eq!(holds, 0),
            Verdict::Differs(bytes, Some(_)) => prop_assert_eq!(holds, bytes),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// The dialogue breaks off around any command, the last of which the card may have done; the
    /// same card is then compared.
    #[test]
    fn a_break_anywhere_is_told_as_the_card_holds_it(
        cut in 0_usize..12,
        last_was_done in any::<bool>(),
        reach in prop::sample::select(REACHES.to_vec()),
    ) {
        let (before, new) = (vec![0; 700], vec![1; 700]);
        let mut card = Card::holding(&before);
        let mut write = Write::new(&address(), 0, new, reach);
        for step in 0..=cut {
            let Some(outgoing) = write.next() else { break };
            if step < cut {
                let answer = card.answer(&outgoing.command);
                write.received(&answer);
            } else if last_was_done {
                card.answer(&outgoing.command);
            }
        }
        let updates = card.updates.len();
        prop_assert!(!write.untouched() || updates == 0);
        if !write.untouched() {
            card.chained.clear();
            write.recheck();
            card.talk(&mut write);
            let holds = card.file.iter().take_while(|b| **b == 1).count();
            prop_assert_eq!(card.updates.len(), updates);
            match write.holds() {
                Some(Holds::New) => prop_assert_eq!(holds, 700),
                Some(Holds::Old) => prop_assert_eq!(holds, 0),
                Some(Holds::Some(bytes)) => prop_assert_eq!(holds, bytes),
                None => prop_assert!(false, "the card answers"),
            }
        }
    }
}

#[test]
fn a_file_beyond_the_offsets_of_the_even_instruction_is_read_whole() {
    let bytes = |length: usize| {
        (0..length)
            .map(|i| u8::try_from(i % 251).unwrap())
            .collect::<Vec<_>>()
    };
    for length in [0x8000, 0x8001, 40_000, 70_000] {
        let file = bytes(length);
        for (reach, parameters) in REACHES.iter().flat_map(|r| [(*r, true), (*r, false)]) {
            let mut card = Card {
                parameters,
                ..Card::holding(&file)
            };
            assert_eq!(
                read(&mut card, 0, None, reach),
                Ok(file.clone()),
                "{length} {reach:?}"
            );
            assert_eq!(
                read(&mut card, 0x7FFF, Some(2), reach),
                Ok(file[0x7FFF..(0x8001).min(length)].to_vec())
            );
        }
    }
    // Where the card cannot give the rest, what it gave is no file.
    for (parameters, of) in [(true, Some(40_000)), (false, None)] {
        let mut card = Card {
            odd: Odd::Unknown,
            parameters,
            ..Card::holding(&bytes(40_000))
        };
        assert_eq!(
            read(&mut card, 0, None, Reach::Short).err(),
            Some(Unread::Incomplete(Shortfall::OutOfReach(of)))
        );
    }
    for (parameters, shortfall) in [
        (false, Shortfall::NoEnd(0x8000)),
        (
            true,
            Shortfall::Rest {
                read: 0x8000,
                of: 40_000,
            },
        ),
    ] {
        let mut card = Card {
            odd: Odd::Bare,
            parameters,
            ..Card::holding(&vec![0; 40_000])
        };
        assert_eq!(
            read(&mut card, 0, None, Reach::Short).err(),
            Some(Unread::Incomplete(shortfall))
        );
    }
    let mut endless = Card {
        parameters: false,
        ..Card::holding(&vec![0; (1 << 20) + 2_000])
    };
    assert_eq!(
        read(&mut endless, 0, None, Reach::Extended).err(),
        Some(Unread::Incomplete(Shortfall::TooLong))
    );
}

#[test]
fn a_file_is_selected_in_the_way_that_the_card_takes() {
    const AID: (u8, u8, usize) = (0x04, 0x0C, 5);
    let file = [7; 700];
    let (form, length) = (StatusWord::WRONG_P1_P2.0, StatusWord::WRONG_LENGTH.0);
    for (selects, refuses, short) in [
        // Control parameters, nothing, control information.
        (vec![(4, 4, 5), (0, 4, 2)], form, false),
        (vec![AID, (0, 0x0C, 2)], StatusWord::OUTSIDE_FILE.0, false),
        (vec![AID, (0, 0x0C, 2)], 0x6A80, false),
        (vec![AID, (0, 0x0C, 2)], length, false),
        (vec![(4, 0, 5), (0, 0, 2)], 0x6A81, false),
        // A file, a folder under the current one; the path at once.
        (vec![AID, (2, 0x0C, 2)], form, false),
        (vec![AID, (2, 4, 2)], 0x6A80, false),
        (vec![AID, (1, 0, 2)], form, false),
        (vec![(4, 4, 5), (2, 4, 2)], 0x6A82, false),
        (vec![AID, (9, 0x0C, 2)], form, false),
        (vec![AID], form, true),
    ] {
        let mut card = Card {
            selects: Some(selects.clone()),
            refuses,
            ..Card::holding(&file)
        };
        for reach in REACHES {
            let read = read(&mut card, 0, None, reach);
            assert_eq!(read, Ok(file.to_vec()), "{selects:02x?} {refuses:04x}");
        }
        let mut write = Write::new(&address(), 0, vec![9; 10], Reach::Short);
        card.talk(&mut write);
        let written = write.verdict() == Verdict::Written(None);
        // A short identifier is good enough to read.
        assert_eq!(written, !short, "{selects:02x?}");
    }
}

#[test]
fn a_path_from_the_root_is_selected_by_its_folders_or_at_once() {
    let file = [7; 300];
    let address = Address {
        application: None,
        path: vec![FileId(0x3F00), FileId(0xDF01), FileId(0x0101)],
    };
    let whole = Span {
        offset: 0,
        length: None,
    };
    for selects in [
        vec![(0, 0x0C, 0), (1, 0x0C, 2), (2, 0x0C, 2)],
        vec![(0, 4, 2), (1, 0, 2), (2, 4, 2)],
        vec![(8, 0x0C, 4)],
        vec![(0, 0x0C, 2), (8, 4, 4)],
    ] {
        let mut card = Card {
            selects: Some(selects.clone()),
            ..Card::holding(&file)
        };
        let mut read = Read::new(&address, whole, Reach::Short);
        card.talk(&mut read);
        assert_eq!(read.into_content(), Ok(file.to_vec()), "{selects:02x?}");
    }
}

#[test]
fn a_card_without_the_file_says_so_and_is_asked_for_no_other() {
    for refuses in [0x6A82, 0x6982, 0x6985, 0x6A86, 0x6D00, 0x6E00, 0x6CFF] {
        let mut card = Card {
            selects: Some(vec![(4, 4, 5)]),
            refuses,
            ..Card::holding(&[7; 300])
        };
        let mut write = Write::new(&address(), 0, vec![9; 10], Reach::Short);
        card.talk(&mut write);
        let refusal = Refusal {
            step: "select",
            status_word: StatusWord(refuses),
        };
        assert_eq!(write.verdict(), Verdict::Untouched(refusal));
        let content = read(&mut card, 0, None, Reach::Short);
        // Who takes no SELECT at all may take a short identifier.
        let takes_short = matches!(refuses, 0x6A86 | 0x6D00);
        let expected = if takes_short {
            Ok(vec![7; 300])
        } else {
            Err(Unread::Refused(refusal))
        };
        assert_eq!(content, expected, "{refuses:04x}");
    }
}

#[test]
fn a_read_that_is_shorter_than_the_card_says_is_none() {
    let file = [7; 700];
    let rest = |read, of| Err(Unread::Incomplete(Shortfall::Rest { read, of }));
    let whole = Ok(file.to_vec());
    let exactly = |size: u16| {
        let [high, low] = size.to_be_bytes();
        Some(vec![0x80, 2, high, low])
    };
    let in_all = |size: u16| {
        let [high, low] = size.to_be_bytes();
        Some(vec![0x81, 2, high, low])
    };
    for (says, dry, expected) in [
        (exactly(700), Some((0, 0x9000)), rest(0, 700)),
        (exactly(700), Some((300, 0x9000)), rest(300, 700)),
        (exactly(700), Some((300, 0x6282)), rest(300, 700)),
        (exactly(700), Some((300, 0x6B00)), rest(300, 700)),
        (exactly(2_000), None, rest(700, 2_000)),
        // With structural information the file is shorter; nothing at all is no end of it.
        (in_all(720), None, whole.clone()),
        (in_all(720), Some((300, 0x9000)), rest(300, 720)),
        (in_all(720), Some((0, 0x9000)), rest(0, 720)),
        // A card that says nothing of the size has to say something of the end.
        (Some(vec![]), None, whole.clone()),
        (Some(vec![]), Some((700, 0x9000)), whole),
        (
            Some(vec![]),
            Some((0, 0x9000)),
            Err(Unread::Incomplete(Shortfall::NoEnd(0))),
        ),
    ] {
        let mut card = Card {
            says: says.clone(),
            dry,
            ..Card::holding(&file)
        };
        for reach in REACHES {
            let read = read(&mut card, 0, None, reach);
            assert_eq!(read, expected, "{says:02x?} {dry:?} {reach:?}");
        }
    }
    let mut card = Card {
        dry: Some((300, 0x9000)),
        ..Card::holding(&file)
    };
    assert_eq!(
        read(&mut card, 200, Some(100), Reach::Short),
        Ok(vec![7; 100])
    );
    assert_eq!(
        read(&mut card, 200, Some(101), Reach::Short),
        rest(100, 101)
    );
    let mut empty = Card::holding(&[]);
    assert_eq!(read(&mut empty, 0, None, Reach::Short), Ok(vec![]));
    // Nor is anything written over what could not be read.
    let mut write = Write::new(&address(), 200, vec![9; 200], Reach::Short);
    card.talk(&mut write);
    let shortfall = Shortfall::Rest { read: 100, of: 200 };
    assert_eq!(write.verdict(), Verdict::Unread(shortfall));
    assert!(card.updates.is_empty());
}

proptest! {
    /// Every answer of a card moves a read on, and no part of a file passes for the whole.
    #[test]
    fn whatever_a_card_answers_a_read_ends_and_is_whole(
        answers in proptest::collection::vec(
            (
                prop_oneof![
                    Just(Vec::new()), Just(vec![0x62, 4, 0x80, 2, 1, 0]), Just(vec![0x53, 1, 7]),
                    proptest::collection::vec(any::<u8>(), 0..300),
                ],
                prop_oneof![
                    8 => Just(0x9000), 1 => Just(0x6282), 1 => Just(0x6B00), 1 => Just(0x6A86),
                    1 => Just(0x6700), 1 => Just(0x6D00), 1 => any::<u16>(),
                ],
            ),
            1..60,
        ),
        size in prop::option::of(0_u16..700),
        reach in prop::sample::select(REACHES.to_vec()),
    ) {
        let whole = Span { offset: 0, length: None };
        let mut read = Read::new(&address(), whole, reach);
        let mut said = None;
        let mut answers = answers.into_iter();
        let mut ended = false;
        for _ in 0..200 {
            let Some(outgoing) = read.next() else {
                ended = true;
                break;
            };
            prop_assert!(!outgoing.changes);
            let (mut data, word) = answers.next().unwrap_or((Vec::new(), 0x9000));
            if outgoing.command.ins == 0xA4 {
                let [high, low] = size.unwrap_or_default().to_be_bytes();
                data = if size.is_some() { vec![0x62, 4, 0x80, 2, high, low] } else { Vec::new() };
                said = size;
            } else if outgoing.command.ins == 0xB0 && outgoing.command.p1 & 0x80 != 0 {
                // Selected by its short identifier: of this file nothing is said.
                said = None;
            }
            read.received(&Response { data, status_word: StatusWord(word) });
        }
        prop_assert!(ended, "a card that gives nothing more ends every read");
        if let (Ok(content), Some(size)) = (read.into_content(), said.filter(|size| *size > 0)) {
            prop_assert_eq!(content.len(), usize::from(size));
        }
    }
}

#[test]
fn as_many_bytes_as_a_short_command_reads_are_written_by_a_card_without_extended_lengths() {
    let mut card = Card {
        extended: false,
        ..Card::holding(&[1; 256])
    };
    let mut write = Write::new(&address(), 0, vec![2; 256], Reach::Extended);
    card.talk(&mut write);
    assert_eq!(write.verdict(), Verdict::Written(None));
}

#[test]
fn a_file_that_is_too_short_or_missing_is_left_alone() {
    let mut card = Card::holding(&[1, 2, 3]);
    let mut write = Write::new(&address(), 1, vec![9; 5], Reach::Short);
    card.talk(&mut write);
    assert_eq!(write.verdict(), Verdict::TooShort(2));
    assert!(card.updates.is_empty());
    assert_eq!(
        read(&mut card, 7, None, Reach::Short),
        Err(Unread::Refused(Refusal {
            step: "read",
            status_word: StatusWord::OUTSIDE_FILE
        }))
    );
}
