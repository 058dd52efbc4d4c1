//! `chaos run`: real processes of a whole case are killed, cut and starved while clerks pay and
//! print, and at the end the devices' own books are compared with the journal and with what the
//! clients were told. See docs/testing.md; scripts/chaos calls it.

#![expect(clippy::print_stdout, reason = "a program that tells what it found")]

mod audit;
mod disk;
mod export;
mod knowable;
mod office;
mod report;
mod run;
mod schedule;
mod station;
mod wire;
mod world;

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// What most of this program may end with: a sentence for who started it.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A seeded run of kills, cuts, duplicates and full disks, and the books compared at its end.
///
/// The last line of its output is JSON. It ends well only if nothing happened twice, nothing was
/// forgotten, and nobody was asked what the books could tell.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Decides orders and events; a new one each time if it is left out
    #[arg(long)]
    seed: Option<u64>,
    /// How many payments
    #[arg(long, default_value_t = 2_000)]
    payments: u32,
    /// How many prints
    #[arg(long, default_value_t = 2_000)]
    prints: u32,
    /// The run fails if it takes longer
    #[arg(long, default_value_t = 40)]
    minutes: u64,
    /// Only shows what the seed decides, as JSON
    #[arg(long)]
    show: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("chaos: {why}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Outcome<ExitCode> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => u64::from(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos()),
    };
    let schedule = schedule::Schedule::of(seed, arguments.payments, arguments.prints);
    if arguments.show {
        println!("{}", serde_json::to_string_pretty(&schedule)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "seed {seed}: {} orders, {} events, schedule {}",
        schedule.len(),
        schedule.events.len(),
        schedule.digest()
    );
    // Before there is a second thread.
    disk::have_own_mounts()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let limit = Duration::from_mins(arguments.minutes);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Whatever ends it, the processes end with the world that is dropped here.
        let report = tokio::select! {
            report = tokio::time::timeout(limit, run::run(seed, &schedule)) => report,
            _ = interrupt.recv() => return Ok(ExitCode::from(130)),
            _ = terminate.recv() => return Ok(ExitCode::from(143)),
        };
        let report =
            report.map_err(|_| format!("not done within {} minutes", arguments.minutes))??;
        print!("{report}");
        println!("{}", serde_json::to_string(&report)?);
        Ok(if report.is_clean() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}
