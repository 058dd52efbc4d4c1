//! The fake pcscd: readers that come and go, pads, PACE, and faults.

use std::{fs, path::Path, time::Duration};

use koffer_drivers::{
    Contact, Report,
    card::pcsc::{Monitor, Service},
};
use koffer_fixtures::card::{
    chip::Chip,
    fake_pcscd::{AtPad, FakePcscd, ReturnCode, Trouble},
};
use koffer_proto::{
    Capabilities, Effect, EventKind, Response, Status,
    class::{
        any_device::{
            self, IdentifyParams, ResetParams, SelfTestLevel, SelfTestParams, StepOutcome,
        },
        card_terminal::{
            self as card, CardAccessNumber, ChangePinParams, PaceParams, PacePassword, PinFormat,
            PinLength, PinReference, VerifyPinParams,
        },
    },
};
use tokio::time::timeout;

use koffer_tests::pcsc::alone;

use super::runner::{
    AID, Bench, PATIENCE, batch, connect, content, read, repeated, socket, transmitted, write,
};

const READER: &str = "Koffer Pad 00 00";
const OTHER: &str = "Koffer Plain 01 00";
const ID: u16 = 0x0101;
const SELECT: &[u8] = &[0, 0xA4, 0, 0x0C, 2, 1, 1];

fn chip(content: &[u8]) -> Chip {
    let chip = Chip::new("123456").with_application(&AID);
    chip.with_file(ID, content)
        .with_guarded_file(0x0102, *b"guarded")
}

/// A service with one reader that can do everything, and a card in it.
fn service(home: &Path) -> FakePcscd {
    let service = FakePcscd::start(&socket(home)).unwrap();
    service.plug(READER, true);
    service.insert(READER, chip(&[1; 600]));
    service
}

fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter(|task| {
            let name = fs::read_to_string(task.as_ref().unwrap().path().join("comm"));
            name.is_ok_and(|name| name.starts_with("pcsc-"))
        })
        .count()
}

#[test]
fn readers_that_come_and_go_leave_nothing_behind() {
    alone(async |home| {
        let mut bench = Bench::closed("Koffer Pad*");
        let fault = bench.try_open().await.unwrap_err();
        assert_eq!(fault.reason.keyword, "pcscd-unreachable");
        let service = FakePcscd::start(&socket(&home)).unwrap();
        let monitor = Monitor::shared();
        let mut sight = monitor.sight();
        let up = sight.wait_for(|sight| sight.service == Service::Up);
        timeout(PATIENCE, up).await.unwrap().unwrap();
        let fault = bench.try_open().await.unwrap_err();
        assert_eq!(fault.reason.keyword, "reader-detached");

        for turn in 0..20 {
            service.plug(READER, true);
            let there = sight.wait_for(|sight| sight.readers.contains_key(READER));
            timeout(PATIENCE, there).await.unwrap().unwrap();
            let opened = bench.try_open().await.unwrap();
            assert_eq!(opened.identity.vendor.as_deref(), Some("koffer"));
            if turn % 2 == 0 {
                service.insert(READER, chip(b"x"));
                assert_eq!(
                    bench.watch().await,
                    Ok(Report::Event(EventKind::CardInserted))
                );
                bench.ask(connect()).await.ok();
            }
            service.unplug(READER);
            assert_eq!(
                bench.watch().await.unwrap_err().reason.keyword,
                "reader-detached"
            );
        }
        bench.close().await;
        drop((monitor, sight));
        let gone = async {
            while threads() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("every thread ends");
    });
}

#[test]
fn a_service_that_restarts_is_found_again() {
    alone(async |home| {
        let service = service(&home);
        let mut bench = Bench::open_with_card(READER).await;
        for _ in 0..3 {
            bench.ask(connect()).await.ok();
            service.stop();
            assert_eq!(
                bench.watch().await.unwrap_err().reason.keyword,
                "pcscd-unreachable"
            );
            let ended = bench.ask(read("0101")).await;
            assert_eq!(ended.failed().1, Effect::None);
            assert!(matches!(ended.contact, Contact::Lost(_)));
            service.start_again().unwrap();
            bench.reopen().await;
            assert_eq!(content(bench.ask(read("0101")).await.ok()), [1; 600]);
        }
    });
}

#[test]
fn a_quick_swap_of_cards_is_not_missed() {
    alone(async |home| {
        let service = service(&home);
        let mut bench = Bench::open_with_card(READER).await;
        bench.ask(connect()).await.ok();
        service.swap(READER, chip(b"another"));
        assert_eq!(
            bench.watch().await,
            Ok(Report::Event(EventKind::CardRemoved))
        );
        assert_eq!(
            bench.watch().await,
            Ok(Report::Event(EventKind::CardInserted))
        );
        let ended = bench.ask(batch(&[(SELECT, &[])])).await;
        assert_eq!(
            ended.failed(),
            (Status::Unavailable, Effect::None, "not-connected")
        );
        // Also where nobody watched meanwhile.
        bench.ask(connect()).await.ok();
        service.swap(READER, chip(b"a third"));
        let ended = bench.ask(batch(&[(SELECT, &[])])).await;
        assert_eq!(
            ended.failed(),
            (Status::DeviceFault, Effect::None, "card-reset")
        );
        assert!(ended.stored.is_empty());
    });
}

#[test]
fn a_list_of_readers_that_comes_late_misleads_nobody() {
    alone(async |home| {
        let service = service(&home);
        let mut bench = Bench::open_with_card(READER).await;
        for _ in 0..3 {
            service.tell_outdated_at_status(READER);
            bench.ask(connect()).await.ok();

            service.tell_outdated(READER);
            let over = async {
                while service.is_outdated() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                biased;
                report = bench.watch() => panic!("{report:?}"),
                over = timeout(PATIENCE, over) => over.expect("both lists are asked for"),
            }
            let ended = bench.ask(batch(&[(SELECT, &[])])).await.ok();
            assert!(transmitted(ended).complete);
        }
    });
}

#[test]
fn trouble_at_any_command_of_a_batch_is_an_unknown_outcome_and_nothing_twice() {
    alone(async |home| {
        let service = service(&home);
        let mut bench = Bench::open_with_card(READER).await;
        let count = 4;
        for at in 0..count {
            for trouble in [
                Trouble::Before(ReturnCode::NOT_TRANSACTED),
                Trouble::After(ReturnCode::NOT_TRANSACTED),
                Trouble::Reset,
                Trouble::Pulled,
            ] {
                if service.with_chip(READER, |_| ()).is_none() {
                    service.insert(READER, chip(&[1; 600]));
                }
                bench.until_connected().await;
                let executed = |chip: &mut Chip| chip.executed();
                let before = service.with_chip(READER, executed).unwrap();
                service.arm(READER, at, trouble);
                let ended = bench.ask(repeated(SELECT, count)).await;
                assert_eq!(
                    ended.failed().0,
                    Status::OutcomeUnknown,
                    "{trouble:?} at {at}"
                );
                assert_eq!(ended.failure().detail.completed, Some(at as u64));
                if trouble == Trouble::Pulled {
                    assert_eq!(ended.failed().2, "card-removed");
                }
                if let Some(after) = service.with_chip(READER, executed) {
                    let done = u64::from(matches!(trouble, Trouble::After(_)));
                    assert_eq!(after - before, at as u64 + done, "{trouble:?} at {at}");
                }
                assert_eq!(ended.contact, Contact::Kept);
                let next = bench.ask(batch(&[(SELECT, &[])])).await;
                assert_eq!(next.failed().2, "not-connected");
            }
        }
    });
}

#[test]
fn trouble_at_any_command_of_a_write_is_told_as_the_card_holds_it() {
    alone(async |home| {
        let service = service(&home);
        service.insert(READER, chip(&[1; 2_500]));
        let mut bench = Bench::open_with_card(READER).await;
        let mut seen = Vec::new();
        for at in 0..12 {
            for trouble in [
                Trouble::Before(ReturnCode::NOT_TRANSACTED),
                Trouble::After(ReturnCode::NOT_TRANSACTED),
                Trouble::Reset,
            ] {
                let file = |chip: &mut Chip| chip.file(ID).to_vec();
                let before = service.with_chip(READER, file).unwrap();
                let new: Vec<_> = before.iter().map(|byte| !byte).collect();
                bench.until_connected().await;
                service.arm(READER, at, trouble);
                let ended = bench.ask(write("0101", 0, &new)).await;
                let holds = service.with_chip(READER, file).unwrap();
                let written = holds.iter().zip(&new).take_while(|(a, b)| a == b).count();
                let effect = match &ended.outcome {
                    koffer_proto::Outcome::Ok(_) => Effect::Done,
                    koffer_proto::Outcome::Failed(failure) => failure.effect(),
                };
                match effect {
                    Effect::None => assert_eq!(holds, before, "{trouble:?} at {at}"),
                    Effect::Done => assert_eq!(holds, new, "{trouble:?} at {at}"),
                    Effect::Partial => {
                        let completed = ended.failure().detail.completed;
                        assert_eq!(completed, Some(written as u64), "{trouble:?} at {at}");
                    }
                    Effect::Unknown => panic!("the same card can be asked: {ended:?}"),
                }
                seen.push(effect);
                service.disarm(READER);
                // Whole again, and whatever did not happen will not.
                service.insert(READER, chip(&holds));
            }
        }
        for effect in [Effect::None, Effect::Done, Effect::Partial] {
            assert!(seen.contains(&effect), "{seen:?}");
        }

        // Pulled in the middle, whatever comes next: it may be another card.
        bench.until_connected().await;
        service.arm(READER, 6, Trouble::Pulled);
        let ended = bench.ask(write("0101", 0, &[7; 2_500])).await;
        assert_eq!(
            ended.failed(),
            (Status::OutcomeUnknown, Effect::Unknown, "card-removed")
        );
    });
}

#[test]
fn what_cannot_be_stored_is_not_sent() {
    alone(async |home| {
        let service = service(&home);
        let mut bench = Bench::open_with_card(READER).await;
        for fails_at in 0..4 {
            bench.until_connected().await;
            let executed = |chip: &mut Chip| chip.executed();
            let before = service.with_chip(READER, executed).unwrap();
            bench.journal_fails_at = Some(fails_at);
            let ended = bench.ask(repeated(SELECT, 4)).await;
            let sent = service.with_chip(READER, executed).unwrap() - before;
            let effect = if sent == 0 {
                Effect::None
            } else {
                Effect::Partial
            };
            assert_eq!(
                ended.failed(),
                (Status::DeviceFault, effect, "journal-failed")
            );
            assert_eq!(sent, (fails_at as u64).saturating_sub(1));
        }
    });
}

#[test]
fn a_reader_that_hangs_is_left_alone_until_it_comes_back() {
    alone(async |home| {
        let service = service(&home);
        service.plug(OTHER, false);
        service.insert(OTHER, chip(b"other"));
        let mut stuck = Bench::open_with_card(READER).await;
        let mut other = Bench::open_with_card(OTHER).await;
        stuck.until_connected().await;
        service.arm(READER, 1, Trouble::Hangs);
        let limit = Duration::from_millis(500);
        let ended = stuck.ask_within(repeated(SELECT, 3), limit, |_| {}).await;
        assert_eq!(
            ended.failed(),
            (Status::OutcomeUnknown, Effect::Unknown, "reader-stuck")
        );
        assert_eq!(ended.failure().detail.completed, Some(1));
        for _ in 0..3 {
            assert_eq!(
                stuck.try_open().await.unwrap_err().reason.keyword,
                "reader-stuck"
            );
            assert_eq!(content(other.ask(read("0101")).await.ok()), b"other");
        }
        service.release();
        stuck.reopen().await;
        stuck.until_connected().await;
        assert!(transmitted(stuck.ask(batch(&[(SELECT, &[])])).await.ok()).complete);
    });
}

fn pin(format: PinFormat) -> PinReference {
    PinReference {
        reference: 1,
        format,
        min_length: PinLength::try_from(6).unwrap(),
        max_length: PinLength::try_from(8).unwrap(),
    }
}

fn typed(pins: &[&str]) -> AtPad {
    AtPad::Types(pins.iter().map(|pin| (*pin).to_owned()).collect())
}

#[test]
fn pins_are_typed_on_the_pad_and_never_pass_the_gateway() {
    alone(async |home| {
        let service = service(&home);
        let mut bench = Bench::open_with_card(READER).await;
        let opened = bench.try_open().await.unwrap();
        let Some(Capabilities::CardTerminal(can)) = opened.capabilities else {
            panic!("{opened:?}")
        };
        assert!(can.verify_pin && can.change_pin && can.pace);
        bench.until_connected().await;
        for format in [PinFormat::Ascii, PinFormat::Iso9564Format2] {
            let verify = || VerifyPinParams { pin: pin(format) };
            service.at_pad(READER, typed(&["123456"]));
            bench.ask(verify()).await.ok();
            for (act, expected) in [
                (typed(&["123"]), (Status::Declined, "pin-length", "6403")),
                (typed(&["654321"]), (Status::Declined, "wrong-pin", "63c2")),
                (
                    AtPad::Cancels,
                    (Status::Cancelled, "cancelled-at-pad", "6401"),
                ),
                (AtPad::Leaves, (Status::TimedOut, "pad-timeout", "6400")),
            ] {
                service.at_pad(READER, act);
                let ended = bench.ask(verify()).await;
                let (status, effect, cause) = ended.failed();
                let code = ended.failure().detail.device_code.as_deref().unwrap();
                assert_eq!((status, cause, code), expected);
                assert_eq!(effect, Effect::None);
            }
        }
        let change = || ChangePinParams {
            pin: pin(PinFormat::Iso9564Format2),
        };
        service.at_pad(READER, typed(&["123456", "111111", "222222"]));
        assert_eq!(
            bench
                .ask_within(change(), PATIENCE * 2, |_| {})
                .await
                .failed()
                .2,
            "pins-differ"
        );
        service.at_pad(READER, typed(&["123456", "87654321", "87654321"]));
        bench.ask_within(change(), PATIENCE * 2, |_| {}).await.ok();
        let now = service.with_chip(READER, |chip| chip.pin().to_owned());
        assert_eq!(now.as_deref(), Some("87654321"));
        for control in service.take_controls(READER) {
            let shown = String::from_utf8_lossy(&control).into_owned();
            assert!(
                !shown.contains("123456") && !shown.contains("8765"),
                "{control:02x?}"
            );
        }
        // The card was verified on the pad: the session may write what is guarded.
        bench.ask(write("0102", 0, b"written")).await.ok();

        for cause in ["wrong-pin", "wrong-pin", "pin-blocked"] {
            service.at_pad(READER, typed(&["000000"]));
            let ended = bench
                .ask(VerifyPinParams {
                    pin: pin(PinFormat::Ascii),
                })
                .await;
            assert_eq!(ended.failed(), (Status::Declined, Effect::None, cause));
        }
        service.at_pad(READER, typed(&["87654321"]));
        service.arm(READER, 0, Trouble::Before(ReturnCode::NOT_TRANSACTED));
        let ended = bench
            .ask(VerifyPinParams {
                pin: pin(PinFormat::Ascii),
            })
            .await;
        assert_eq!(
            ended.failed(),
            (Status::DeviceFault, Effect::Unknown, "card-unresponsive")
        );
    });
}

#[test]
fn pace_runs_in_the_reader() {
    alone(async |home| {
        let service = service(&home);
        service.set_can(READER, "500540");
        let mut bench = Bench::open_with_card(READER).await;
        let pace = |password, can: Option<&str>| PaceParams {
            password,
            can: can.map(|can| CardAccessNumber::try_from(can.to_owned()).unwrap()),
            chat: Some(vec![0x7F, 0x4C, 0].into()),
            certificate_description: Some(vec![0x30, 0].into()),
        };
        let refused = bench.ask(pace(PacePassword::Pin, Some("500540"))).await;
        assert_eq!(refused.failed().0, Status::BadRequest);
        bench.until_connected().await;
        let done = bench
            .ask(pace(PacePassword::Can, Some("500540")))
            .await
            .ok();
        let Response::CardTerminal(card::Response::Pace(done)) = done else {
            panic!("{done:?}")
        };
        assert_eq!(done.status_word, "9000");
        assert_eq!(done.car.as_bytes(), b"CAR");
        assert_eq!(done.id_icc.as_bytes(), [0x1D, 0x1C]);
        service.at_pad(READER, typed(&["500540"]));
        bench.ask(pace(PacePassword::Pin, None)).await.ok();
        for (act, expected) in [
            (
                typed(&["111111"]),
                (Status::Declined, Effect::None, "wrong-pin"),
            ),
            (
                AtPad::Cancels,
                (Status::Cancelled, Effect::None, "cancelled-at-pad"),
            ),
            (
                AtPad::Leaves,
                (Status::TimedOut, Effect::None, "pad-timeout"),
            ),
        ] {
            service.at_pad(READER, act);
            let ended = bench.ask(pace(PacePassword::Pin, None)).await;
            assert_eq!(ended.failed(), expected);
        }
    });
}

#[test]
fn a_plain_reader_says_what_it_has_not() {
    alone(async |home| {
        let service = FakePcscd::start(&socket(&home)).unwrap();
        service.plug(OTHER, false);
        service.insert(OTHER, chip(b"x"));
        let mut bench = Bench::open_with_card(OTHER).await;
        bench.until_connected().await;
        let ended = bench
            .ask(VerifyPinParams {
                pin: pin(PinFormat::Ascii),
            })
            .await;
        assert_eq!(
            ended.failed(),
            (Status::Unsupported, Effect::None, "no-pin-pad")
        );
        bench.ask(ResetParams {}).await.ok();
        bench.ask(IdentifyParams {}).await.ok();
        for (inside, expected) in [(true, StepOutcome::Passed), (false, StepOutcome::Skipped)] {
            if !inside {
                service.remove(OTHER);
            }
            let level = SelfTestLevel::Internal;
            let report = bench.ask(SelfTestParams { level }).await.ok();
            let Response::AnyDevice(any_device::Response::SelfTest(report)) = report else {
                panic!("{report:?}")
            };
            assert!(report.passed);
            assert_eq!(report.steps[1].outcome, expected);
            let tried = expected != StepOutcome::Skipped;
            assert!(report.steps[0].duration_ms.is_some());
            assert_eq!(report.steps[1].duration_ms.is_some(), tried);
            assert!(report.identity.model.is_some());
        }
        // Behind a reader nothing can be tried: that is not passed.
        let level = SelfTestLevel::External;
        let report = bench.ask(SelfTestParams { level }).await.ok();
        let Response::AnyDevice(any_device::Response::SelfTest(report)) = report else {
            panic!("{report:?}")
        };
        assert_eq!(
            (report.passed, report.outcome),
            (false, Some(StepOutcome::Skipped))
        );
    });
}
