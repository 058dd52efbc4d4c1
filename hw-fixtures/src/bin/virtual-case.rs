//! `virtual-case`: raises a whole case from one TOML file. See hw-fixtures/README.md.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use koffer_fixtures::case::{Case, CaseFile, CaseOptions};
use tokio::signal::unix::{SignalKind, signal};

/// Raises a virtual case: broker, simulated devices and kofferd.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        virtual-case up hw-fixtures/cases/demo.toml\n  \
        virtual-case up hw-fixtures/cases/demo.toml --dir /tmp/case --kofferd target/debug/kofferd\n  \
        virtual-case check hw-fixtures/cases/three-terminals.toml"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Raise the case, print one line of JSON when it is ready, tear it down on Ctrl-C or SIGTERM
    Up {
        /// The case
        case: PathBuf,
        /// Keep configuration, logs, passwords and ledgers here; a case raised here again continues
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// The program kofferd; next to this one by default
        #[arg(long, value_name = "FILE")]
        kofferd: Option<PathBuf>,
        /// Do not wait until the devices are ready
        #[arg(long)]
        no_wait: bool,
    },
    /// Check a case file and name every mistake
    Check {
        /// The case
        case: PathBuf,
    },
}

async fn up(path: &Path, options: CaseOptions) -> Result<(), String> {
    let file = CaseFile::read(path).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut case = tokio::select! {
        raised = Case::raise(&file, options) => raised.map_err(|error| error.to_string())?,
        // Dropped with what it had started so far, which is killed.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let mut out = std::io::stdout();
    let told = writeln!(out, "{}", case.describe()).and_then(|()| out.flush());
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        death = case.death() => Err(format!(
            "{} ended by itself ({}); the end of its log:\n{}",
            death.name, death.status, death.log
        )),
    };
    case.stop().await;
    told.map_err(|error| error.to_string())?;
    ended
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Up {
            case,
            dir,
            kofferd,
            no_wait,
        } => {
            let options = CaseOptions {
                dir,
                kofferd,
                wait_for_devices: !no_wait,
                ..CaseOptions::default()
            };
            up(&case, options).await
        }
        Command::Check { case } => CaseFile::read(&case)
            .map(drop)
            .map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("virtual-case: {why}");
            ExitCode::FAILURE
        }
    }
}
