//! The gateway dies at every step of a write and of a batch; a driver that knows nothing but the
//! call's record reads the card, and what it says is compared with the chip.

use std::{collections::BTreeMap, future::pending, time::Duration};

use koffer_drivers::{Interrupted, Reconciled};
use koffer_fixtures::card::{
    chip::{Chip, Manners},
    pcscd::Pcscd,
    virtual_card::{Done, Mishap, VirtualCard},
};
use koffer_proto::{
    Effect, Outcome, Response, Sha256,
    class::card_terminal::{self as card, Written},
};
use koffer_tests::pcsc::{alone, until_present};

use super::runner::{AID, Bench, Death, content, read, repeated, write};

const SLOT: &str = "Virtual PCD 00 00";
const ID: u16 = 0x0101;
const EF_GDO: u16 = 0x2F02;
/// Three updates of a card that takes 255 bytes at a time.
const LENGTH: usize = 600;
/// Longer than it takes to die, shorter than anybody waits.
const SLOW: Duration = Duration::from_millis(100);

fn serial(number: u8) -> Vec<u8> {
    vec![0x5A, 6, 0x80, 0x27, 0x60, 0x00, 0x47, number]
}

fn chip(file: &[u8]) -> Chip {
    Chip::new("123456")
        .with_application(&AID)
        .with_file(ID, file)
        .with_manners(Manners {
            extended: false,
            chaining: false,
            ..Manners::default()
        })
}

/// A card that is known by its number.
fn numbered(number: u8, file: &[u8]) -> VirtualCard {
    VirtualCard::new(chip(file).with_file(EF_GDO, serial(number)))
}

fn set_file(card: &VirtualCard, id: u16, file: &[u8]) {
    card.with_chip(|chip| *chip = chip.clone().with_file(id, file));
}

/// What the driver says of a file must be what the chip holds.
fn compare(said: &Reconciled, holds: &[u8], old: &[u8], new: &[u8]) {
    let written = holds.iter().zip(new).take_while(|(a, b)| a == b).count();
    match said {
        Reconciled::Settled(Outcome::Ok(Response::CardTerminal(card::Response::Write(
            Written { bytes, sha256 },
        )))) => {
            assert_eq!(holds, new);
            assert_eq!((*bytes as usize, *sha256), (new.len(), Sha256::of(new)));
        }
        Reconciled::Settled(Outcome::Failed(failure)) => match failure.effect() {
            Effect::None => assert_eq!(holds, old),
            Effect::Partial => {
                assert!(holds != new && holds != old);
                assert_eq!(failure.detail.completed, Some(written as u64));
            }
            effect => panic!("{effect:?}"),
        },
        other => panic!("the same card can be read: {other:?}"),
    }
}

fn named(said: &Reconciled) -> String {
    match said {
        Reconciled::Settled(Outcome::Ok(_)) => "settled: done".to_owned(),
        Reconciled::Settled(Outcome::Failed(failure)) => {
            format!("settled: {}", failure.effect().as_str())
        }
        Reconciled::Undecided(reason) => format!("undecided: {}", reason.keyword),
        Reconciled::Lost(fault) => panic!("{fault}"),
        Reconciled::NotYet(not_yet) => panic!("{not_yet:?}"),
    }
}

fn undecided(said: &Reconciled) -> &str {
    match said {
        Reconciled::Undecided(reason) => &reason.keyword,
        other => panic!("{other:?}"),
    }
}

/// Headers of what changes a card.
fn updates(card: &VirtualCard) -> usize {
    let log = card.take_log();
    log.iter().filter(|header| header[1] == 0xD6).count()
}

/// A write of all of the file that was interrupted at the second piece: the first is there.
async fn interrupted(card: &VirtualCard, new: &[u8]) -> Interrupted {
    let bench = Bench::open_with_card(SLOT).await;
    let kept = bench.die(write("0101", 0, new), Some(Death::Wrote(2)), pending());
    let kept = kept.await.unwrap();
    assert_eq!(card.file(ID)[..255], new[..255]);
    kept
}

#[test]
fn a_write_killed_at_any_step_is_told_as_the_card_holds_it() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = numbered(1, &[0x11; LENGTH]);
        card.insert(pcscd.ports()[0]).unwrap();
        let mut deaths = Vec::new();
        // In a session of the caller's the card is known from its connect.
        for in_session in [false, true] {
            let mut bench = Bench::open_with_card(SLOT).await;
            if in_session {
                bench.until_connected().await;
            }
            card.take_log();
            bench.ask(write("0101", 0, &[0x11; LENGTH])).await.ok();
            let commands = card.take_log().len();
            // Entries of the record: armed, started, and two updates.
            let entries = (0..4).flat_map(|entry| [Death::Writing(entry), Death::Wrote(entry)]);
            let all = entries.map(Ok).chain((0..commands).map(Err));
            deaths.extend(all.map(|death| (in_session, death)));
        }
        let mut verdicts = BTreeMap::new();
        for (turn, (in_session, death)) in deaths.iter().enumerate() {
            let old = card.file(ID);
            let new = vec![u8::try_from(turn).unwrap() + 0x20; LENGTH];
            let mut bench = Bench::open_with_card(SLOT).await;
            if *in_session {
                bench.until_connected().await;
            }
            let happening = match death {
                Ok(_) => None,
                Err(at) => {
                    card.arm(*at, Done::Already, Mishap::Slow(SLOW));
                    Some(card.happening())
                }
            };
            let until = async {
                match happening {
                    Some(happening) => happening.await,
                    None => pending().await,
                }
            };
            let kept = bench.die(write("0101", 0, &new), death.ok(), until).await;
            let verdict = if let Some(kept) = kept {
                let mut bench = Bench::open(SLOT).await;
                card.take_log();
                let said = bench.reconcile(&kept).await;
                compare(&said, &card.file(ID), &old, &new);
                assert_eq!(updates(&card), 0, "it is read, never written");
                // Asked again, it says the same.
                assert_eq!(bench.reconcile(&kept).await, said);
                named(&said)
            } else {
                assert_eq!(card.file(ID), old, "{death:?}");
                "never begun".to_owned()
            };
            *verdicts.entry(verdict).or_insert(0_u32) += 1;
        }
        println!("{} deaths: {verdicts:#?}", deaths.len());
        for expected in [
            "never begun",
            "settled: none",
            "settled: partial",
            "settled: done",
        ] {
            assert!(verdicts.contains_key(expected), "{verdicts:?}");
        }
        // The reader is free for the next.
        let mut bench = Bench::open_with_card(SLOT).await;
        assert_eq!(content(bench.ask(read("0101")).await.ok()), card.file(ID));
    });
}

#[test]
fn a_piece_that_was_torn_is_told_by_what_is_before_it() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = numbered(1, &[0x11; LENGTH]);
        card.insert(pcscd.ports()[0]).unwrap();
        let new = [0x22; LENGTH];
        let kept = interrupted(&card, &new).await;
        let mut torn = card.file(ID);
        torn[255..300].fill(0x22);
        torn[300..330].fill(0xFF);
        set_file(&card, ID, &torn);
        let mut bench = Bench::open(SLOT).await;
        let said = bench.reconcile(&kept).await;
        let Reconciled::Settled(Outcome::Failed(failure)) = &said else {
            panic!("{said:?}");
        };
        assert_eq!(failure.effect(), Effect::Partial);
        assert_eq!(failure.detail.completed, Some(255), "confirmed by the card");

        // What the card confirmed is not there: nothing is proved.
        torn[..10].fill(0x33);
        set_file(&card, ID, &torn);
        assert_eq!(undecided(&bench.reconcile(&kept).await), "file-differs");
        set_file(&card, ID, &[0x11; LENGTH]);
        assert_eq!(undecided(&bench.reconcile(&kept).await), "file-differs");
        // It answers, and the file is gone.
        card.with_chip(|chip| {
            *chip = Chip::new("123456")
                .with_application(&AID)
                .with_file(EF_GDO, serial(1))
                .with_manners(chip.manners);
        });
        assert_eq!(undecided(&bench.reconcile(&kept).await), "file-unreadable");
    });
}

#[test]
fn only_the_card_that_was_written_says_what_became_of_it() {
    alone(async |home| {
        let mut pcscd = Pcscd::start(&home).unwrap();
        let port = pcscd.ports()[0];
        let mut card = numbered(1, &[0x11; LENGTH]);
        card.insert(port).unwrap();
        let new = [0x22; LENGTH];
        let kept = interrupted(&card, &new).await;
        let mut bench = Bench::open(SLOT).await;

        card.remove();
        until_present(SLOT, false).await;
        assert_eq!(undecided(&bench.reconcile(&kept).await), "card-absent");

        // Another card: of the same kind, with what was to be written, with what was there.
        for file in [new, [0x11; LENGTH]] {
            let mut other = numbered(2, &file);
            other.insert(port).unwrap();
            until_present(SLOT, true).await;
            other.take_log();
            assert_eq!(undecided(&bench.reconcile(&kept).await), "another-card");
            let log = other.take_log();
            assert!(log.len() <= 4, "its file is nobody's business: {log:02x?}");
            other.remove();
            until_present(SLOT, false).await;
        }
        // Without a number it is not the one either.
        let mut nameless = VirtualCard::new(chip(&new));
        nameless.insert(port).unwrap();
        until_present(SLOT, true).await;
        assert_eq!(undecided(&bench.reconcile(&kept).await), "another-card");
        nameless.remove();
        until_present(SLOT, false).await;

        // The same card, in a service that restarted.
        drop(bench);
        pcscd.kill();
        pcscd.restart().unwrap();
        card.insert(pcscd.ports()[0]).unwrap();
        let mut bench = Bench::open_with_card(SLOT).await;
        let said = bench.reconcile(&kept).await;
        assert_eq!(named(&said), "settled: partial");
        compare(&said, &card.file(ID), &[0x11; LENGTH], &new);
    });
}

#[test]
fn a_card_without_a_number_is_not_taken_for_the_same() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = VirtualCard::new(chip(&[0x11; LENGTH]));
        card.insert(pcscd.ports()[0]).unwrap();
        let new = [0x22; LENGTH];
        let kept = interrupted(&card, &new).await;
        let mut bench = Bench::open(SLOT).await;
        for (file, hint) in [
            (card.file(ID), "only a part of the new content"),
            (new.to_vec(), "the new content"),
            (vec![0x55; LENGTH], "something else"),
        ] {
            set_file(&card, ID, &file);
            let said = bench.reconcile(&kept).await;
            assert_eq!(undecided(&said), "card-not-recognised");
            let Reconciled::Undecided(reason) = said else {
                panic!("{said:?}");
            };
            assert!(reason.text.en.contains(hint), "{}", reason.text.en);
        }
    });
}

#[test]
fn a_batch_killed_at_any_command_says_how_far_it_came_and_is_not_resumed() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = numbered(1, &[0x11; 16]);
        card.insert(pcscd.ports()[0]).unwrap();
        let select: &[u8] = &[0, 0xA4, 0, 0x0C, 2, 1, 1];
        let count = 4;
        let mut asked = 0;
        for entry in 0..=count {
            for death in [Death::Writing(entry), Death::Wrote(entry)] {
                let mut bench = Bench::open_with_card(SLOT).await;
                bench.until_connected().await;
                card.take_log();
                let batch = repeated(select, count);
                let kept = bench.die(batch, Some(death), pending()).await;
                let sent = card.take_log().len();
                let Some(kept) = kept else {
                    assert_eq!(sent, 0, "{death:?}");
                    continue;
                };
                asked += 1;
                let mut bench = Bench::open(SLOT).await;
                card.take_log();
                let said = bench.reconcile(&kept).await;
                assert_eq!(undecided(&said), "apdus-in-doubt");
                assert_eq!(card.take_log(), [[0; 4]; 0], "nothing is sent");
                let Reconciled::Undecided(reason) = said else {
                    panic!("{said:?}");
                };
                // Confirmed and kept; the one after it may have been sent.
                let through = kept.milestones.len();
                assert!(sent == through || sent == through + 1, "{death:?}");
                let (told, next) = (
                    format!("{through} of {count} commands are done"),
                    format!("command {} (00a4)", through + 1),
                );
                let text = reason.text.en;
                assert!(text.contains(&told) && text.contains(&next), "{text}");
            }
        }
        println!("{asked} batches, all of them undecided: only the card's application knows");
    });
}
