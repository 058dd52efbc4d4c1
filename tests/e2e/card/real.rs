//! Real pcscd, vpcd, a virtual card; opensc-tool and pcsc_scan as independent clients.

use std::time::{Duration, Instant};

use koffer_drivers::{CallUpdate, Contact, Reconciled, Report, Stop};
use koffer_fixtures::card::{
    chip::{Chip, Manners},
    pcscd::Pcscd,
    virtual_card::{Done, Mishap, VirtualCard},
};
use koffer_proto::{Effect, EventKind, ProgressEvent, Status, class::card_terminal::Disposition};

use koffer_tests::pcsc::{alone, other_program, until_present};

use super::runner::{
    AID, Bench, PATIENCE, batch, connect, content, disconnect, read, repeated, transmitted, write,
};

const SLOT: [&str; 2] = ["Virtual PCD 00 00", "Virtual PCD 00 01"];
const ID: u16 = 0x0101;

fn chip(content: &[u8]) -> Chip {
    Chip::new("123456")
        .with_application(&AID)
        .with_file(ID, content)
}

fn pattern(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| u8::try_from(i % 251).unwrap() ^ seed)
        .collect()
}

#[test]
fn any_card_is_read_and_written_and_holds_what_was_sent() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let plain = Manners::default();
        let short = Manners {
            extended: false,
            ..plain
        };
        for (turn, manners) in [
            plain,
            short,
            Manners {
                chaining: false,
                ..short
            },
            Manners {
                waits: true,
                ..short
            },
            Manners {
                exact: true,
                ..short
            },
            Manners {
                parameters: false,
                ..plain
            },
        ]
        .into_iter()
        .enumerate()
        {
            let old = pattern(1, 3_000);
            let mut card = VirtualCard::new(chip(&old).with_manners(manners));
            card.insert(pcscd.ports()[0]).unwrap();
            let mut bench = Bench::open_with_card(SLOT[0]).await;
            assert_eq!(
                content(bench.ask(read("3f00/0101")).await.ok()),
                old,
                "{manners:?}"
            );

            let new = pattern(u8::try_from(turn + 2).unwrap(), 2_100);
            bench.until_connected().await;
            let done = bench.ask(write("0101", 400, &new)).await;
            assert_eq!(done.stored[..2], ["armed", "started"]);
            assert!(done.told.contains(&CallUpdate::EffectBegun));
            done.ok();
            let holds = card.file(ID);
            assert_eq!(holds[400..2_500], new, "{manners:?}");
            assert_eq!(
                (&holds[..400], &holds[2_500..]),
                (&old[..400], &old[2_500..])
            );
            assert_eq!(content(bench.ask(read("0101")).await.ok()), holds);
            bench.close().await;
            card.remove();
            until_present(SLOT[0], false).await;
        }
    });
}

#[test]
fn a_file_beyond_the_15_bit_offsets_is_read_whole_or_not_at_all() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let file = pattern(3, 40_000);
        for odd in [true, false] {
            let manners = Manners {
                odd,
                ..Manners::default()
            };
            let mut card = VirtualCard::new(chip(&file).with_manners(manners));
            card.insert(pcscd.ports()[0]).unwrap();
            let mut bench = Bench::open_with_card(SLOT[0]).await;
            let done = bench.ask(read("0101")).await;
            if odd {
                assert_eq!(content(done.ok()), file);
            } else {
                let incomplete = (Status::DeviceFault, Effect::None, "file-incomplete");
                assert_eq!(done.failed(), incomplete);
            }
            bench.close().await;
            card.remove();
            until_present(SLOT[0], false).await;
        }
    });
}

#[test]
fn a_batch_goes_through_in_order_and_stops_where_it_is_told() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = VirtualCard::new(chip(&pattern(0, 600)));
        card.insert(pcscd.ports()[0]).unwrap();
        let mut bench = Bench::open_with_card(SLOT[0]).await;

        let select: &[u8] = &[0, 0xA4, 0, 0x0C, 2, 1, 1];
        let refused = bench.ask(batch(&[(select, &[])])).await;
        assert_eq!(
            refused.failed(),
            (Status::Unavailable, Effect::None, "not-connected")
        );

        bench.until_connected().await;
        card.take_log();
        let pin: &[u8] = &[0, 0x20, 0, 1, 6, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36];
        let refused = bench.ask(batch(&[(select, &[]), (pin, &[])])).await;
        assert_eq!(
            refused.failed(),
            (Status::Denied, Effect::None, "plain-pin")
        );
        assert_eq!(
            refused.failure().detail.field.as_deref(),
            Some("commands[1].apdu")
        );
        assert!(card.take_log().is_empty() && refused.stored.is_empty());

        let long: &[u8] = &[0, 0xB0, 0, 0, 0, 2, 0];
        let done = bench
            .ask(batch(&[
                (select, &[]),
                (long, &[]),
                (&[0, 0xEE, 0, 0], &["6dxx"]),
                (&[0, 0xB0, 9, 0, 1], &[]),
                (select, &[]),
            ]))
            .await;
        assert_eq!(
            done.stored,
            [
                "armed",
                "started",
                "completed=1 next=00b0",
                "completed=2 next=00ee",
                "completed=3 next=00b0"
            ]
        );
        let advanced = |told: &CallUpdate| {
            matches!(told, CallUpdate::Progress(ProgressEvent::Advanced { .. }))
        };
        let count = done.told.iter().filter(|told| advanced(told)).count();
        assert_eq!(
            count, 3,
            "the fourth was not accepted: the completion tells of it"
        );
        let answer = transmitted(done.ok());
        assert!(!answer.complete);
        let words: Vec<_> = answer
            .responses
            .iter()
            .map(|r| &r.status_word[..])
            .collect();
        assert_eq!(words, ["9000", "9000", "6d00", "6b00"]);
        assert_eq!(answer.responses[1].data.as_bytes(), &pattern(0, 512)[..]);
        assert_eq!(card.take_log().len(), 4);

        // The selection lasts from call to call, until the card is let go of.
        let done = bench.ask(batch(&[(&[0, 0xB0, 0, 0, 1], &[])])).await;
        assert!(transmitted(done.ok()).complete);
        bench.ask(disconnect(Disposition::Reset)).await.ok();
        bench.ask(connect()).await.ok();
        let done = bench.ask(batch(&[(&[0, 0xB0, 0, 0, 1], &["6986"])])).await;
        assert!(transmitted(done.ok()).complete);
    });
}

#[test]
fn a_card_pulled_at_any_command_of_a_write_is_told_as_it_is() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let manners = Manners {
            extended: false,
            chaining: false,
            ..Manners::default()
        };
        let mut card = VirtualCard::new(chip(&pattern(1, 500)).with_manners(manners));
        card.insert(pcscd.ports()[0]).unwrap();
        let mut bench = Bench::open_with_card(SLOT[0]).await;
        bench.until_connected().await;
        card.take_log();
        bench.ask(write("0101", 0, &pattern(2, 500))).await.ok();
        let commands = card.take_log().len();
        assert!(commands >= 7, "{commands}");

        let mut seen = Vec::new();
        for at in 0..commands {
            for done in [Done::Not, Done::Already] {
                let before = card.file(ID);
                let new: Vec<_> = before.iter().map(|byte| !byte).collect();
                bench.until_connected().await;
                card.arm(at, done, Mishap::Pulled);
                let ended = bench.ask(write("0101", 0, &new)).await;
                let (status, effect, _) = ended.failed();
                let holds = card.file(ID);
                let written = holds.iter().zip(&new).take_while(|(a, b)| a == b).count();
                let completed = ended.failure().detail.completed.unwrap_or(0);
                match effect {
                    Effect::None => assert_eq!(written, 0, "at {at}, {done:?}"),
                    Effect::Done => assert_eq!(holds, new, "at {at}, {done:?}"),
                    Effect::Partial => assert_eq!(written as u64, completed),
                    Effect::Unknown => {
                        assert_eq!(status, Status::OutcomeUnknown);
                        assert!(written as u64 >= completed);
                    }
                }
                seen.push(effect);
                assert_eq!(ended.contact, Contact::Kept, "the reader is well");
                card.remove();
                until_present(SLOT[0], false).await;
                card.insert(pcscd.ports()[0]).unwrap();
            }
        }
        for effect in [Effect::None, Effect::Done, Effect::Unknown] {
            assert!(seen.contains(&effect), "{seen:?}");
        }
    });
}

#[test]
fn a_card_pulled_in_a_batch_is_told_as_that_and_its_instruction_once() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = VirtualCard::new(chip(&pattern(1, 600)));
        card.insert(pcscd.ports()[0]).unwrap();
        let mut bench = Bench::open_with_card(SLOT[0]).await;
        let update: &[u8] = &[0, 0xA4, 0, 0x0C, 2, 1, 1];
        for done in [Done::Not, Done::Already] {
            bench.until_connected().await;
            card.arm(2, done, Mishap::Pulled);
            let ended = bench.ask(repeated(update, 4)).await;
            let unknown = (Status::OutcomeUnknown, Effect::Unknown, "card-removed");
            assert_eq!(ended.failed(), unknown);
            let message = &ended.failure().message;
            assert_eq!(
                message,
                "The card was taken out. 2 commands are done; whether the next was done is not \
                 known. Do not repeat it: look at the card."
            );
            let kept = ended.interrupted.expect("the batch had begun");
            let Reconciled::Undecided(reason) = bench.reconcile(&kept).await else {
                panic!("only the card knows");
            };
            let text = reason.text.en;
            assert!(
                text.starts_with("The card was taken out: 2 of 4 commands are done;"),
                "{text}"
            );
            card.remove();
            until_present(SLOT[0], false).await;
            card.insert(pcscd.ports()[0]).unwrap();
        }
    });
}

#[test]
fn a_killed_pcscd_comes_back_without_help() {
    alone(async |home| {
        let mut pcscd = Pcscd::start(&home).unwrap();
        let mut card = VirtualCard::new(chip(&pattern(1, 700)));
        card.insert(pcscd.ports()[0]).unwrap();
        let mut bench = Bench::open_with_card(SLOT[0]).await;
        for _ in 0..2 {
            bench.until_connected().await;
            pcscd.kill();
            let fault = bench.lost().await;
            assert_eq!(fault.reason.keyword, "pcscd-unreachable");
            assert_eq!(bench.try_open().await.unwrap_err(), fault);
            card.remove();
            pcscd.restart().unwrap();
            card.insert(pcscd.ports()[0]).unwrap();
            bench.reopen().await;
            bench.until_connected().await;
            assert_eq!(content(bench.ask(read("0101")).await.ok()), card.file(ID));
        }

        // Killed while the card writes: nobody knows, and nobody tries again.
        let new = pattern(9, 700);
        card.take_log();
        // Two selections, one read; then the update.
        card.arm(3, Done::Already, Mishap::Slow(Duration::from_millis(500)));
        let happening = card.happening();
        let killer = async {
            happening.await;
            pcscd.kill();
        };
        let (ended, ()) = tokio::join!(bench.ask(write("0101", 0, &new)), killer);
        assert_eq!(
            ended.failed(),
            (Status::OutcomeUnknown, Effect::Unknown, "pcscd-unreachable")
        );
        assert_eq!(card.file(ID), new);
        let updates = card
            .take_log()
            .iter()
            .filter(|header| header[1] == 0xD6)
            .count();
        assert_eq!(updates, 1, "nothing twice");
        assert!(matches!(ended.contact, Contact::Lost(_)));
        card.remove();
        pcscd.restart().unwrap();
        card.insert(pcscd.ports()[0]).unwrap();
        bench.reopen().await;
        bench.until_connected().await;
        assert_eq!(content(bench.ask(read("0101")).await.ok()), card.file(ID));
    });
}

#[test]
fn a_frozen_pcscd_is_noticed_and_blocks_nobody() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = VirtualCard::new(chip(&pattern(1, 32)));
        card.insert(pcscd.ports()[0]).unwrap();
        let mut bench = Bench::open_with_card(SLOT[0]).await;
        bench.until_connected().await;
        pcscd.freeze(true).unwrap();
        assert_eq!(bench.lost().await.reason.keyword, "pcscd-unreachable");
        let began = Instant::now();
        let limit = Duration::from_secs(1);
        let ended = bench.ask_within(read("0101"), limit, |_| {}).await;
        assert_eq!(ended.failed().1, Effect::None);
        assert!(began.elapsed() < Duration::from_secs(30));
        bench.try_open().await.unwrap_err();
        pcscd.freeze(false).unwrap();
        bench.reopen().await;
        bench.until_connected().await;
        assert_eq!(content(bench.ask(read("0101")).await.ok()), card.file(ID));
    });
}

#[test]
fn other_programs_see_the_same_card_and_cannot_disturb_a_session() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = VirtualCard::new(chip(&pattern(1, 16)));
        card.insert(pcscd.ports()[0]).unwrap();
        let mut bench = Bench::open_with_card(SLOT[0]).await;

        let list = other_program("opensc-tool", &["-l"]).unwrap();
        assert!(SLOT.iter().all(|slot| list.contains(slot)), "{list}");
        let atr = card.with_chip(|chip| chip.atr());
        let shown: Vec<_> = atr.iter().map(|byte| format!("{byte:02x}")).collect();
        let seen = other_program("opensc-tool", &["-r", "0", "-a"]).unwrap();
        assert!(seen.contains(&shown.join(":")), "{seen}");
        let scanned = other_program(
            "timeout",
            &["--preserve-status", "-s", "INT", "2", "pcsc_scan", "-n"],
        );
        let scanned = scanned.unwrap_or_else(|text| text);
        assert!(
            scanned.contains(&shown.join(" ").to_uppercase()),
            "{scanned}"
        );

        bench.ask(write("0101", 0, b"Musterstadt")).await.ok();
        let dump = other_program(
            "opensc-tool",
            &[
                "-r",
                "0",
                "-s",
                "00:A4:00:0C:02:01:01",
                "-s",
                "00:B0:00:00:0B",
            ],
        )
        .unwrap();
        assert!(dump.contains("Musterstadt"), "{dump}");

        bench.until_connected().await;
        bench
            .ask(batch(&[(&[0, 0xA4, 0, 0x0C, 2, 1, 1], &[])]))
            .await
            .ok();
        other_program("opensc-tool", &["-r", "0", "--reset"]).unwrap_err();
        let done = bench.ask(batch(&[(&[0, 0xB0, 0, 0, 1], &[])])).await;
        assert!(
            transmitted(done.ok()).complete,
            "the selection was not lost"
        );

        // Left to others, the card may be reset by them; the next connection starts anew.
        bench.ask(disconnect(Disposition::Leave)).await.ok();
        other_program("opensc-tool", &["-r", "0", "--reset"]).unwrap();
        bench.until_connected().await;
        let done = bench.ask(batch(&[(&[0, 0xB0, 0, 0, 1], &["6986"])])).await;
        assert!(transmitted(done.ok()).complete);
    });
}

#[test]
fn a_silent_card_stops_its_own_slot_only() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let [mut silent, mut other] = [1, 2].map(|seed| VirtualCard::new(chip(&pattern(seed, 64))));
        silent.insert(pcscd.ports()[0]).unwrap();
        other.insert(pcscd.ports()[1]).unwrap();
        let mut first = Bench::open_with_card(SLOT[0]).await;
        let mut second = Bench::open_with_card(SLOT[1]).await;
        first.until_connected().await;
        second.until_connected().await;

        silent.arm(0, Done::Already, Mishap::Silent);
        let hang = first.ask_within(
            batch(&[(&[0, 0xA4, 0, 0x0C, 2, 1, 1], &[])]),
            Duration::from_secs(1),
            |_| {},
        );
        let busy = async {
            let began = Instant::now();
            let mut reads = 0;
            while began.elapsed() < Duration::from_secs(1) {
                assert_eq!(content(second.ask(read("0101")).await.ok()), other.file(ID));
                reads += 1;
            }
            reads
        };
        let (ended, reads) = tokio::join!(hang, busy);
        assert!(reads > 10, "{reads}");
        assert_eq!(
            ended.failed(),
            (Status::OutcomeUnknown, Effect::Unknown, "reader-stuck")
        );
        assert_eq!(ended.failure().detail.completed, Some(0));
        assert!(matches!(ended.contact, Contact::Lost(_)));
        let fault = first.try_open().await.unwrap_err();
        assert_eq!(fault.reason.keyword, "reader-stuck");
        assert_eq!(content(second.ask(read("0101")).await.ok()), other.file(ID));

        // The card is pulled: the thread comes back, and so does the reader.
        // Only then it is put back: vpcd misses a card that returns before it has seen it go.
        silent.remove();
        first.reopen().await;
        silent.insert(pcscd.ports()[0]).unwrap();
        first.until_connected().await;
        assert_eq!(content(first.ask(read("0101")).await.ok()), silent.file(ID));
    });
}

#[test]
fn cards_are_reported_as_they_come_and_go() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut bench = Bench::open(SLOT[0]).await;
        let none = bench.ask(connect()).await;
        assert_eq!(
            none.failed(),
            (Status::Unavailable, Effect::None, "card-removed")
        );
        let mut card = VirtualCard::new(chip(b"x"));
        for _ in 0..3 {
            card.insert(pcscd.ports()[0]).unwrap();
            assert_eq!(
                bench.watch().await,
                Ok(Report::Event(EventKind::CardInserted))
            );
            bench.until_connected().await;
            card.remove();
            assert_eq!(
                bench.watch().await,
                Ok(Report::Event(EventKind::CardRemoved))
            );
        }
    });
}

#[test]
fn a_batch_that_is_cancelled_says_how_far_it_came() {
    alone(async |home| {
        let pcscd = Pcscd::start(&home).unwrap();
        let mut card = VirtualCard::new(chip(b"x"));
        card.insert(pcscd.ports()[0]).unwrap();
        let mut bench = Bench::open_with_card(SLOT[0]).await;
        bench.until_connected().await;
        let select: &[u8] = &[0, 0xA4, 0, 0x0C, 2, 1, 1];
        card.arm(1, Done::Already, Mishap::Slow(Duration::from_millis(600)));
        let second = card.happening();
        let ended = bench
            .ask_within(repeated(select, 5), PATIENCE, |steering| {
                tokio::spawn(async move {
                    second.await;
                    steering.stop(Stop::Cancelled);
                });
            })
            .await;
        assert_eq!(
            ended.failed(),
            (Status::Cancelled, Effect::Partial, "cancelled-by-caller")
        );
        assert_eq!(ended.failure().detail.completed, Some(2));
    });
}
