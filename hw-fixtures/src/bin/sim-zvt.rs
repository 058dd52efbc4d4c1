//! `sim-zvt`: a simulated ZVT payment terminal as a process. See hw-fixtures/README.md.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use koffer_fixtures::control::Endpoint;
use koffer_fixtures::zvt::{Plug, Profile, Terminal, TerminalConfig};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// A simulated ZVT payment terminal.
///
/// Its first line of output is JSON: where the ECR and where tests find it. Ctrl-C ends it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        sim-zvt --tcp 127.0.0.1:20007 --ledger ledger.jsonl\n  \
        sim-zvt --pty --link /tmp/ec-terminal --ledger ledger.jsonl\n  \
        echo '{\"status\": {}}' | nc -N 127.0.0.1 PORT_OF_CONTROL"
)]
struct Arguments {
    /// Address to listen on; port 0 lets the system choose
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        conflicts_with = "pty"
    )]
    tcp: SocketAddr,
    /// A pseudo-terminal in place of TCP
    #[arg(long)]
    pty: bool,
    /// A symbolic link to the pseudo-terminal
    #[arg(long, value_name = "PATH", requires = "pty")]
    link: Option<PathBuf>,
    /// The ledger: made if it is missing, continued if it is there
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// Where the control channel listens
    #[arg(long, value_name = "ADDRESS", default_value = "tcp://127.0.0.1:0")]
    control: Endpoint,
    /// What kind of terminal, and which cardholder: TOML
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

fn read_profile(path: &PathBuf) -> Result<Profile, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let profile = arguments.profile.as_ref().map(read_profile).transpose()?;
    let plug = if arguments.pty {
        Plug::Pty(arguments.link)
    } else {
        Plug::Tcp(arguments.tcp)
    };
    let config = TerminalConfig {
        plug,
        ledger: arguments.ledger.clone(),
        control: arguments.control,
        profile: profile.unwrap_or_default(),
        may_exit: true,
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminal = Terminal::start(config)
        .await
        .map_err(|error| error.to_string())?;
    let ready = json!({
        "address": terminal.address.to_string(),
        "control": terminal.control_endpoint().to_string(),
        "ledger": arguments.ledger,
        "pid": std::process::id(),
    });
    let mut out = std::io::stdout();
    let told = writeln!(out, "{ready}").and_then(|()| out.flush());
    told.map_err(|error| error.to_string())?;
    tokio::select! {
        error = terminal.failed() => return Err(error.to_string()),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    terminal.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sim-zvt: {why}");
            ExitCode::FAILURE
        }
    }
}
