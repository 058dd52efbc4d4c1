//! What the journal costs on a disk: an fsync, one entry alone, and 32 at once.
//!
//! `cargo run --release -p koffer-gateway --example journal_commits -- FOLDER`

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a tool for developers that prints figures"
)]

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use koffer_gateway::journal::{AcceptedCall, CallNo, Durable, Journal as _, Place};
use koffer_proto::{Class, Lang, Sha256};
use tokio::task::JoinSet;

const ROUNDS: u64 = 500;
const AT_ONCE: u64 = 32;

fn call(no: u64) -> AcceptedCall {
    let now = Timestamp::now();
    AcceptedCall {
        no: CallNo(no),
        client: "ws-1".parse().unwrap(),
        call: format!("call-{no}").parse().unwrap(),
        target: "till".parse().unwrap(),
        operation: Class::Payment.operation("pay").unwrap(),
        digest: Sha256::of(&no.to_be_bytes()),
        answer_to: koffer_gateway::journal::AnswerTo {
            topic: "koffer/1/case-7/reply/ws-1/till".to_owned(),
            encoding: koffer_proto::ContentType::Json,
            lang: Lang::De,
        },
        accepted_at: now,
        deadline: now + Duration::from_mins(1),
    }
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what:<34} median {:>9.3?}  p99 {:>9.3?}", at(50), at(99));
}

#[tokio::main]
async fn main() {
    let Some(directory) = std::env::args().nth(1).map(PathBuf::from) else {
        println!("usage: journal_commits FOLDER");
        return;
    };
    let probe = directory.join("fsync-probe");
    let mut file = File::create(&probe).unwrap();
    file.write_all(&vec![0; 64 * 4096]).unwrap();
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let from = Instant::now();
        file.write_all_at(&[1; 4096], round % 64 * 4096).unwrap();
        file.sync_data().unwrap();
        times.push(from.elapsed());
    }
    std::fs::remove_file(probe).unwrap();
    told("one page and fdatasync", times);

    let place = Place {
        directory,
        calls_kept: 100_000,
        keep: Duration::from_hours(24),
        max_bytes: 1024 * 1024 * 1024,
    };
    let journal = Arc::new(Durable::start(place).unwrap());
    let mut no = journal.snapshot().await.unwrap().last.0;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        no += 1;
        let from = Instant::now();
        journal.accepted(&call(no)).await.unwrap();
        times.push(from.elapsed());
    }
    told("one entry alone", times);

    let commits = journal.commits();
    let mut times = Vec::new();
    let from = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..AT_ONCE {
        let journal = journal.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            for round in 0..ROUNDS {
                let from = Instant::now();
                let no = no + 1 + round * AT_ONCE + task;
                journal.accepted(&call(no)).await.unwrap();
                times.push(from.elapsed());
            }
            times
        });
    }
    while let Some(more) = tasks.join_next().await {
        times.extend(more.unwrap());
    }
    let took = from.elapsed();
    told("one entry, 32 writing at once", times);
    let entries = ROUNDS * AT_ONCE;
    let commits = journal.commits() - commits;
    println!(
        "{entries} entries in {commits} commits: {:.1} per commit, {:.0} entries a second",
        entries as f64 / commits as f64,
        entries as f64 / took.as_secs_f64()
    );
    let from = Instant::now();
    let memory = journal.snapshot().await.unwrap();
    println!(
        "{} calls remembered in {:.3?}",
        memory.unsettled.len() + memory.ended.len(),
        from.elapsed()
    );
    journal.close().await;
}
