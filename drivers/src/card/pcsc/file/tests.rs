use proptest::prelude::*;

use super::*;
use crate::card::iso7816::Length;

/// A card with one file, as the standard describes it.
struct Card {
    file: Vec<u8>,
    chained: Vec<u8>,
    updates: Vec<(usize, usize)>,
    extended: bool,
    parameters: bool,
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
            0xA4 if command.p2 == 0x04 && !self.parameters => say(&[], 0x6A86),
            0xA4 if command.p2 == 0x04 => {
                let [high, low] = u16::try_from(self.file.len()).unwrap().to_be_bytes();
                say(&[0x62, 4, 0x80, 2, high, low], 0x9000)
            }
            0xA4 => say(&[], 0x9000),
            0xB0 if at >= self.file.len() => say(&[], 0x6B00),
            0xB0 => {
                let end = at + command.le.unwrap_or(0) as usize;
                let word = if end > self.file.len() {
                    0x6282
                } else {
                    0x9000
                };
                say(&self.file[at..end.min(self.file.len())], word)
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
) -> Result<Vec<u8>, Refusal> {
    let mut read = Read::new(address(), Span { offset, length }, reach);
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
        let mut write = Write::new(address(), u16::try_from(offset).unwrap(), new.clone(), reach);
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
        let mut write = Write::new(address(), 0, new.clone(), Reach::Short);
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
        let mut write = Write::new(address(), 0, new, reach);
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
fn a_file_that_is_too_short_or_missing_is_left_alone() {
    let mut card = Card::holding(&[1, 2, 3]);
    let mut write = Write::new(address(), 1, vec![9; 5], Reach::Short);
    card.talk(&mut write);
    assert_eq!(write.verdict(), Verdict::TooShort(2));
    assert!(card.updates.is_empty());
    assert_eq!(
        read(&mut card, 7, None, Reach::Short),
        Err(Refusal {
            step: "read",
            status_word: StatusWord::OUTSIDE_FILE
        })
    );
}
