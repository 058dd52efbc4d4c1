//! What the gateway costs. One program that is the measuring client, the gateway with a card that
//! costs nothing, the bare responder and the bare card program, each in a process of its own.
//!
//! Method and figures: `docs/performance.md`.

mod apdu;
mod bare;
mod bulk;
mod caller;
mod calls;
mod direct_card;
mod echo;
mod figures;
mod goals;
mod idle;
mod machine;
mod once;
mod page;
mod start;
mod summary;
mod testbed;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Whatever goes wrong ends the run with its sentence.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures what the gateway costs.
#[derive(Parser)]
#[command(name = "koffer-bench", version)]
struct Options {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Runs every measurement and writes the summary.
    Run(summary::Wanted),
    /// Writes the figures of the last run into docs/performance.md.
    Page(page::Options),
    /// The gateway, with cards of this program's own beside the configured devices.
    Gateway {
        /// Its configuration.
        config: PathBuf,
    },
    /// The bare responder: what a call costs without a gateway.
    Bare(bare::Options),
    /// The bare card program: for each line with a number, so many APDUs.
    Card {
        /// The reader's name.
        reader: String,
    },
}

fn main() -> ExitCode {
    let done = match Options::parse().role {
        Role::Run(wanted) => summary::run(&wanted),
        Role::Page(options) => page::write(&options),
        Role::Gateway { config } => echo::gateway(&config),
        Role::Bare(options) => bare::respond(&options),
        Role::Card { reader } => direct_card::serve(&reader),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("koffer-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
