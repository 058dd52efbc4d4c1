//! A write to a chip behind the real pcscd: the card pulled before and after every command, silent,
//! refusing, pcscd killed and started again.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use koffer_fixtures::card::{
    chip::{Chip, Manners},
    pcscd::Pcscd,
    virtual_card::{Done, Mishap, VirtualCard},
};
use koffer_proto::Blob;
use koffer_tests::{
    client::Pending,
    counter::Counter,
    fault_table::{Ending, Part, Row, Table},
    mosquitto::PATIENCE,
    office::{Broker, Device, Office},
    pcsc::{alone, insert, pull},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const PART: Part = Part {
    name: "chip",
    title: "Card terminals",
    about: "By `--test e2e device_faults`, against a virtual card in a reader of the real pcscd; each effect \
            was compared with the card's own file. A write of 500 bytes to a card that takes short \
            commands only: selected, read, updated, read back. Where nobody can ask the same card \
            any more, the outcome was `outcome-unknown` until a technician had looked (`gateway/resolve`).",
    operations: &["write"],
    test: "e2e device_faults",
};

const READERS: [&str; 2] = ["Virtual PCD 00 00", "Virtual PCD 00 01"];
const DEVICES: [&str; 2] = ["card-1", "card-2"];
const FILE: u16 = 0x0101;
const LENGTH: usize = 500;
/// A deadline that is never reached, in seconds, and one that is.
const PATIENT: u32 = 60;
const HURRIED: u32 = 2;
/// How long a command takes during which pcscd is killed.
const WHILE_KILLED: Duration = Duration::from_millis(500);

/// What goes wrong at one command.
#[derive(Debug, Clone, Copy)]
struct Case {
    row: &'static str,
    at: usize,
    done: Done,
    mishap: Mishap,
    expiry: u32,
}

type Noted = (Row, Ending, Result<(), String>);

/// One slot and its card.
struct Bench<'a> {
    slot: usize,
    port: u16,
    card: VirtualCard,
    counter: &'a Counter,
    trials: AtomicUsize,
}

#[test]
fn every_write_ends_in_one_completion_that_agrees_with_the_chip() {
    alone(async |home| {
        let mut pcscd = Pcscd::start(&home).expect("pcscd");
        let devices: Vec<_> = DEVICES
            .iter()
            .zip(READERS)
            .map(|(name, reader)| (*name, Device::CardTerminal(reader.to_owned())))
            .collect();
        let office = Office::around(Broker::Embedded, &devices).await;
        let counter = Counter::of(&office).await;
        let mut table = Table::new(PART);
        let mut benches = [0, 1].map(|slot| Bench::new(slot, &pcscd, &counter));
        let mut commands = 0;
        for bench in &mut benches {
            bench.insert().await;
            commands = bench.commands_of_a_write().await;
        }
        assert!(commands >= 7, "{commands}");

        let (even, odd): (Vec<_>, Vec<_>) = cases(commands).partition(|case| case.at % 2 == 0);
        let [first, second] = &mut benches;
        let (even, odd) = tokio::join!(first.run_all(&even), second.run_all(&odd));
        for (row, ending, verdict) in even.into_iter().chain(odd) {
            table.note(row, ending, verdict);
        }
        for at in 0..commands {
            for (row, ending, verdict) in killed_during(&mut pcscd, &mut benches, at).await {
                table.note(row, ending, verdict);
            }
        }
        for (row, ending, verdict) in killed_before(&mut pcscd, &mut benches).await {
            table.note(row, ending, verdict);
        }
        counter.one_completion_each();
        table.check();
        office.close().await;
    });
}

fn cases(commands: usize) -> impl Iterator<Item = Case> {
    let rows = [
        (
            "card pulled before every command",
            Done::Not,
            Mishap::Pulled,
            PATIENT,
        ),
        (
            "card pulled after every command, before its answer",
            Done::Already,
            Mishap::Pulled,
            PATIENT,
        ),
        (
            "every command refused (6581, memory failure)",
            Done::Not,
            Mishap::Says(0x6581),
            PATIENT,
        ),
        (
            "every command done and reported as refused (6581)",
            Done::Already,
            Mishap::Says(0x6581),
            PATIENT,
        ),
        (
            "every command answered late",
            Done::Already,
            Mishap::Slow(Duration::from_millis(300)),
            PATIENT,
        ),
        (
            "card silent from every command on",
            Done::Not,
            Mishap::Silent,
            HURRIED,
        ),
        (
            "card silent after every command",
            Done::Already,
            Mishap::Silent,
            HURRIED,
        ),
    ];
    rows.into_iter().flat_map(move |row| {
        let (row, done, mishap, expiry) = row;
        (0..commands).map(move |at| Case {
            row,
            at,
            done,
            mishap,
            expiry,
        })
    })
}

impl<'a> Bench<'a> {
    fn new(slot: usize, pcscd: &Pcscd, counter: &'a Counter) -> Self {
        let manners = Manners {
            extended: false,
            chaining: false,
            ..Manners::default()
        };
        let chip = Chip::new("123456")
            .with_file(FILE, vec![0x55; LENGTH])
            .with_manners(manners);
        Self {
            slot,
            port: pcscd.ports()[slot],
            card: VirtualCard::new(chip),
            counter,
            trials: AtomicUsize::new(0),
        }
    }

    async fn insert(&mut self) {
        insert(&mut self.card, self.port, READERS[self.slot]).await;
    }

    async fn ready(&self) {
        let clerk = &self.counter.clerk;
        clerk.until_state(DEVICES[self.slot], &["ready"]).await;
    }

    /// What is there, and what the next call writes: nothing of that.
    fn contents(&self) -> (Vec<u8>, Vec<u8>) {
        let holds = self.card.file(FILE);
        let other = holds.iter().map(|byte| !byte).collect();
        (holds, other)
    }

    async fn commands_of_a_write(&self) -> usize {
        self.ready().await;
        self.card.take_log();
        let (_, completion) = self.write(PATIENT).await;
        assert_eq!(completion["status"], "ok", "{completion}");
        self.card.take_log().len()
    }

    /// Writes; the call's id and its completion.
    async fn write(&self, expiry: u32) -> (String, Value) {
        let (id, mut call) = self.begin(expiry).await;
        (id, call.completion().await)
    }

    async fn begin(&self, expiry: u32) -> (String, Pending) {
        let trial = self.trials.fetch_add(1, Ordering::Relaxed);
        let id = format!("slot{}-{trial}", self.slot);
        let content = Blob::from(self.contents().1);
        let params = json!({"file": {"path": "3f00/0101"}, "content": content});
        let device = DEVICES[self.slot];
        let clerk = &self.counter.clerk;
        let call = clerk.call_as(&id, device, "write", &params, expiry).await;
        (id, call)
    }

    /// Waits until the card got the command that was armed, which is before the call ends.
    async fn reached(&self, (id, call): &(String, Pending)) {
        let came = async {
            while self.card.is_armed() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let mut call = call.clone();
        tokio::select! {
            biased;
            () = came => {}
            ended = call.completion() => panic!("{id} ended before its card got the command: {ended}"),
        }
    }

    async fn run_all(&mut self, cases: &[Case]) -> Vec<Noted> {
        let mut noted = Vec::new();
        for case in cases {
            noted.push(self.run(*case).await);
        }
        noted
    }

    async fn run(&mut self, case: Case) -> Noted {
        self.ready().await;
        let (before, new) = self.contents();
        self.card.arm(case.at, case.done, case.mishap);
        let (id, mut call) = self.begin(case.expiry).await;
        if matches!(case.mishap, Mishap::Pulled | Mishap::Silent) {
            // A card that says nothing keeps its reader until it is pulled.
            let mut ended = call.clone();
            tokio::select! {
                _ = call.progress(|p| p["reasons"][0] == "settling") => {}
                _ = ended.completion() => {}
            }
            pull(&mut self.card, READERS[self.slot]).await;
            self.insert().await;
        }
        let completion = call.completion().await;
        let happened = !self.card.disarm();
        let noted = self.judge(case.row, &before, &new, &completion, happened);
        self.ready_again(&id, &before, &new).await;
        noted
    }

    async fn ready_again(&self, id: &str, before: &[u8], new: &[u8]) {
        let holds = self.card.file(FILE);
        let seen = async || match () {
            () if holds == new => "done",
            () if holds == before => "not-done",
            () => "partial",
        };
        self.counter.ready_again(DEVICES[self.slot], id, seen).await;
    }

    /// Compares a completion with what the card holds.
    fn judge(
        &self,
        row: &'static str,
        before: &[u8],
        new: &[u8],
        completion: &Value,
        happened: bool,
    ) -> Noted {
        let holds = self.card.file(FILE);
        let written = holds.iter().zip(new).take_while(|(a, b)| a == b).count();
        // Nothing but what was there and what was sent, in this order.
        let whole = holds[written..] == before[written..];
        let ending = Ending::of(completion);
        let told = completion["detail"]["completed"].as_u64().unwrap_or(0);
        let agrees = match (ending.status.as_str(), ending.effect.as_str()) {
            ("outcome-unknown", "unknown") => written as u64 >= told,
            ("ok", _) | (_, "done") => written == LENGTH,
            (_, "none") => written == 0,
            (_, "partial") => 0 < written && written < LENGTH && written as u64 == told,
            _ => false,
        };
        let verdict = if agrees && whole && happened {
            Ok(())
        } else {
            Err(format!("{completion}; {written} bytes are written"))
        };
        let row = Row {
            operation: "write",
            line: "PC/SC",
            fault: row,
        };
        (row, ending, verdict)
    }
}

/// pcscd is killed while both cards work on their command `at`, and started again.
async fn killed_during(pcscd: &mut Pcscd, benches: &mut [Bench<'_>; 2], at: usize) -> Vec<Noted> {
    for bench in &*benches {
        bench.ready().await;
        bench
            .card
            .arm(at, Done::Already, Mishap::Slow(WHILE_KILLED));
    }
    let held = benches.each_ref().map(Bench::contents);
    let [first, second] = &*benches;
    let calls = [first.begin(PATIENT).await, second.begin(PATIENT).await];
    let (one, other) = (first.reached(&calls[0]), second.reached(&calls[1]));
    let reached = timeout(PATIENCE, async { tokio::join!(one, other) }).await;
    reached.expect("both cards get their command");
    pcscd.kill();
    let row = "pcscd killed during every command, and started again";
    started_again(pcscd, benches, row, held, calls).await
}

/// pcscd is killed before the calls, and started again.
async fn killed_before(pcscd: &mut Pcscd, benches: &mut [Bench<'_>; 2]) -> Vec<Noted> {
    for bench in &*benches {
        bench.ready().await;
    }
    let held = benches.each_ref().map(Bench::contents);
    pcscd.kill();
    let [first, second] = &*benches;
    let mut calls = [first.begin(PATIENT).await, second.begin(PATIENT).await];
    for (_, call) in &mut calls {
        call.completion().await;
    }
    let row = "pcscd killed before the call, and started again";
    started_again(pcscd, benches, row, held, calls).await
}

async fn started_again(
    pcscd: &mut Pcscd,
    benches: &mut [Bench<'_>; 2],
    row: &'static str,
    held: [(Vec<u8>, Vec<u8>); 2],
    calls: [(String, Pending); 2],
) -> Vec<Noted> {
    for bench in benches.iter_mut() {
        bench.card.remove();
    }
    pcscd.restart().expect("pcscd");
    let mut noted = Vec::new();
    for ((bench, (before, new)), (id, mut call)) in benches.iter_mut().zip(held).zip(calls) {
        bench.insert().await;
        let completion = call.completion().await;
        noted.push(bench.judge(row, &before, &new, &completion, true));
        bench.ready_again(&id, &before, &new).await;
    }
    noted
}
