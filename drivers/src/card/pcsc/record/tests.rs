use jiff::Timestamp;
use koffer_proto::{Lang, Request, class::card_terminal as card};
use proptest::prelude::*;

use super::{
    super::file::{Reach, Script as _},
    *,
};
use crate::card::iso7816::{FileId, Response, StatusWord};

fn interrupted(baseline: Option<Evidence>, milestones: Vec<Evidence>) -> Interrupted {
    let request = Request::CardTerminal(card::Request::Disconnect(card::DisconnectParams {
        disposition: card::Disposition::Reset,
    }));
    Interrupted {
        id: "a".parse().unwrap(),
        client: "ws-1".parse().unwrap(),
        lang: Lang::De,
        operation: request.spec(),
        accepted_at: Timestamp::UNIX_EPOCH,
        baseline,
        milestones,
        known_for: std::time::Duration::ZERO,
    }
}

fn address() -> Address {
    Address {
        application: Some(vec![0xA0, 0, 0, 0, 0x77]),
        path: vec![FileId(0x3F00), FileId(0x0101)],
    }
}

fn mark(serial: &[u8]) -> Option<Mark> {
    let length = u8::try_from(serial.len()).unwrap();
    Mark::new(&[0x3B], &[&[0x5A, length], serial].concat())
}

/// Writes to a card that holds `old` until so many changing commands were given out; the last of
/// them is executed or not. What the record and the card hold then.
fn cut(old: &[u8], new: &[u8], commands: usize, executed: bool) -> (Interrupted, Vec<u8>) {
    let traces = Traces::new(&address(), 0, mark(b"4711 4712").as_ref()).unwrap();
    let mut write = Write::new(&address(), 0, new.to_vec(), Reach::Short);
    let (mut baseline, mut milestones, mut given) = (None, Vec::new(), 0);
    let mut file = old.to_vec();
    while let Some(outgoing) = write.next() {
        let command = outgoing.command;
        let at = usize::from(u16::from_be_bytes([command.p1, command.p2]));
        let mut data = Vec::new();
        if outgoing.changes {
            given += 1;
            if given == 1 {
                baseline = Some(traces.file(&write));
            } else {
                milestones.push(traces.update(&write));
            }
            if given < commands || executed {
                file[at..at + command.data.len()].copy_from_slice(&command.data);
            }
            if given == commands {
                break;
            }
        } else if command.ins == 0xB0 {
            let end = (at + command.le.unwrap() as usize).min(file.len());
            data = file[at..end].to_vec();
        }
        let status_word = StatusWord::SUCCESS;
        write.received(&Response { data, status_word });
    }
    (interrupted(baseline, milestones), file)
}

#[test]
fn a_card_is_known_by_a_number_that_only_it_has() {
    let one = mark(b"4711 4712");
    assert!(one.is_some() && one != mark(b"4711 4713"));
    for gdo in [
        &[][..],
        &[0x5A],
        &[0x5A, 4, 1, 2, 3],
        &[0x5A, 3, 1, 2, 3],
        &[0x5A, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x5A, 4, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x80, 4, 1, 2, 3, 4],
    ] {
        assert_eq!(Mark::new(&[0x3B], gdo), None, "{gdo:02x?}");
    }
    let (record, _) = cut(&[0; 4], &[1; 4], 1, true);
    let kept = KeptWrite::read(&record).unwrap();
    assert_eq!(kept.is_of(one.as_ref()), Some(true));
    assert_eq!(kept.is_of(mark(b"4711 4713").as_ref()), Some(false));
    assert_eq!(kept.is_of(None), Some(false));
    assert_eq!((kept.address, kept.path.as_str()), (address(), "3f00/0101"));
}

#[test]
fn a_record_holds_nothing_that_was_written_and_no_two_are_alike() {
    let secret = b"Rathausgasse 1";
    let facts = || {
        let (record, _) = cut(&[b'-'; 14], secret, 1, true);
        let baseline = record.baseline.unwrap();
        let mut facts = baseline.facts;
        facts.extend(baseline.ids);
        facts
    };
    let (one, other) = (facts(), facts());
    for name in ["salt", "card", "before", "after", "then"] {
        assert_ne!(one[name], other[name], "{name}");
    }
    let plain = [
        String::from_utf8_lossy(secret).into_owned(),
        hex(secret),
        Sha256::of(secret).to_string(),
    ];
    for value in one.values() {
        assert!(!plain.iter().any(|plain| value.contains(plain)), "{value}");
    }
}

#[test]
fn a_batch_is_known_by_how_far_it_came() {
    let next = Some([0x00, 0xD6]);
    let record = interrupted(Some(batch(3, next)), vec![apdu(1, None), apdu(2, next)]);
    let kept = KeptBatch::read(&record).unwrap();
    assert_eq!((kept.total, kept.through), (3, 2));
    assert_eq!(kept.next.as_deref(), Some("00d6"));
    assert_eq!(KeptWrite::read(&record), None);
    assert_eq!(KeptBatch::read(&interrupted(None, Vec::new())), None);
}

proptest! {
    #[test]
    fn what_a_cut_write_left_is_said_as_it_is(
        old in proptest::collection::vec(0_u8..3, 1..900),
        seed in 0_u8..3,
        commands in 1_usize..5,
        executed: bool,
    ) {
        let new: Vec<_> = old.iter().map(|byte| byte ^ seed).collect();
        let (record, file) = cut(&old, &new, commands, executed);
        let holds = KeptWrite::read(&record).unwrap().holds(&file);
        let same = file.iter().zip(&new).take_while(|(a, b)| a == b).count();
        match holds {
            Some(Holds::New) => prop_assert_eq!(file, new),
            Some(Holds::Old) => prop_assert_eq!(file, old),
            Some(Holds::Some(bytes)) => {
                prop_assert!(file != new && file != old && bytes > 0 && bytes <= same);
            }
            None => prop_assert!(false, "every cut between two commands is known"),
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_never_called_written_or_unchanged(
        strange in proptest::collection::vec(any::<u8>(), 0..40), commands in 1_usize..3,
    ) {
        let (old, new) = ([0; 300], [1; 300]);
        let (record, mut file) = cut(&old, &new, commands, true);
        let end = file.len() - strange.len();
        file[end..].copy_from_slice(&strange);
        let holds = KeptWrite::read(&record).unwrap().holds(&file);
        prop_assert_eq!(holds == Some(Holds::New), file == new);
        prop_assert!(holds != Some(Holds::Old));
    }
}
