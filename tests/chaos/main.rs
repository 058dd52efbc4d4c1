//! `chaos run`: real processes of a whole case are killed, cut and starved while clerks pay and
//! print, and at the end the devices' own books are compared with the journal and with what the
//! clients were told. `chaos soak`: the same devices under load, and what the gateway takes of the
//! machine. See docs/chaos.md; scripts/chaos and scripts/soak call it.

#![expect(clippy::print_stdout, reason = "a program that tells what it found")]

mod audit;
mod disk;
mod export;
mod knowable;
mod office;
mod report;
mod run;
mod sample;
mod schedule;
mod soak;
mod station;
mod wire;
mod world;

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use schedule::Schedule;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// What most of this program may end with: a sentence for who started it.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The gateway among everything that goes wrong, and under load for a long time.
#[derive(Debug, Clone, Copy, Parser)]
#[command(version)]
enum Wanted {
    /// A seeded run of kills, cuts, duplicates and full disks, and the books compared at its end.
    ///
    /// The last line of its output is JSON. It ends well only if nothing happened twice, nothing
    /// was forgotten, and nobody was asked what the books could tell.
    Run {
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
    },
    /// Sixteen clients without a pause: memory, descriptors and the journal's size.
    ///
    /// The last line of its output is JSON. It ends well only if no call was lost, no descriptors
    /// were, and the journal stayed within its bound.
    Soak {
        /// For how long
        #[arg(long, default_value_t = 30.0)]
        minutes: f64,
    },
}

fn main() -> ExitCode {
    match start(Wanted::parse()) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("chaos: {why}");
            ExitCode::FAILURE
        }
    }
}

fn start(wanted: Wanted) -> Outcome<ExitCode> {
    let (seed, payments, prints, minutes) = match wanted {
        Wanted::Soak { minutes } => {
            return until_done(async move {
                let soaked = soak::soak(minutes).await?;
                println!("{}", serde_json::to_string(&soaked)?);
                Ok(soaked.is_clean())
            });
        }
        Wanted::Run {
            seed,
            payments,
            prints,
            minutes,
            show,
        } => {
            let seed = seed.map_or_else(a_seed, Ok)?;
            if show {
                let schedule = Schedule::of(seed, payments, prints);
                println!("{}", serde_json::to_string_pretty(&schedule)?);
                return Ok(ExitCode::SUCCESS);
            }
            (seed, payments, prints, minutes)
        }
    };
    let schedule = Schedule::of(seed, payments, prints);
    println!(
        "seed {seed}: {} orders, {} events, schedule {}",
        schedule.len(),
        schedule.events.len(),
        schedule.digest()
    );
    // Before there is a second thread.
    disk::have_own_mounts()?;
    until_done(async move {
        let limit = Duration::from_mins(minutes);
        let report = timeout(limit, run::run(seed, &schedule)).await;
        let report = report.map_err(|_| format!("not done within {minutes} minutes"))??;
        print!("{report}");
        println!("{}", serde_json::to_string(&report)?);
        Ok(report.is_clean())
    })
}

/// One that is not too long to be typed.
fn a_seed() -> Outcome<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::from(now.subsec_nanos()))
}

/// Runs it to its end, or until somebody wants this process to end: the processes that it started
/// end with what is dropped here.
fn until_done(work: impl Future<Output = Outcome<bool>>) -> Outcome<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            clean = work => Ok(if clean? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
            _ = interrupt.recv() => Ok(ExitCode::from(130)),
            _ = terminate.recv() => Ok(ExitCode::from(143)),
        }
    })
}
