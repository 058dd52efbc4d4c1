//! The command line.

mod card;
mod print;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;
use koffer_proto::{CallId, Cents, ClientId, Currency, DeviceId, GatewayId, Lang, Segment};

use super::{exit, journal, profile, resolve, typed};
use crate::bus::Address;

pub(super) use card::{Apdu, Card, CardCommand, CardFile};
pub(super) use print::Print;

/// Ask a koffer gateway, and have its devices do things.
///
/// Talks to the gateway through its MQTT broker and the contract, as every app does. On a terminal
/// it shows tables, progress and a final sentence that says whether money moved; otherwise, or with
/// --json, one JSON object per line: progress and completion as on the wire, with a "kind".
#[derive(Debug, Parser)]
#[command(name = "kofferctl", version, after_help = after_help(), max_term_width = 100)]
pub(super) struct Line {
    #[command(flatten)]
    pub(super) options: Options,
    #[command(subcommand)]
    pub(super) command: Command,
}

fn after_help() -> String {
    format!(
        "Examples:
  kofferctl devices
  kofferctl pay ec-terminal 37.80 --reference PA-2026-00417
  kofferctl print forms-printer form.pdf --copies 2
  kofferctl card card-terminal read --path 3f00/0101
  kofferctl call forms-printer status
  kofferctl --address case-7.local:1883 --user technician --password-file ~/.koffer-pw watch

Configuration: ~/.config/kofferctl.toml with address, gateway, user, password_file and lang;
KOFFERCTL_ADDRESS, KOFFERCTL_GATEWAY, KOFFERCTL_USER, KOFFERCTL_PASSWORD_FILE, KOFFERCTL_LANG
and KOFFERCTL_PASSWORD in the environment come before it, options before both.

{}",
        exit::table()
    )
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Options {
    /// Where the broker listens: host:port or unix:path [default: 127.0.0.1:1883]
    #[arg(long, global = true, env = "KOFFERCTL_ADDRESS", value_parser = profile::parse_address)]
    pub(super) address: Option<Address>,
    /// Which gateway; the only one on the broker is found by itself where the broker allows it
    #[arg(long, global = true, env = "KOFFERCTL_GATEWAY")]
    pub(super) gateway: Option<GatewayId>,
    /// Who asks: the user name at the broker, and the client in the contract
    #[arg(long, global = true, env = "KOFFERCTL_USER")]
    pub(super) user: Option<ClientId>,
    /// File with the password; or KOFFERCTL_PASSWORD in the environment
    #[arg(
        long,
        global = true,
        env = "KOFFERCTL_PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub(super) password_file: Option<PathBuf>,
    /// Another configuration file than ~/.config/kofferctl.toml
    #[arg(long, global = true, env = "KOFFERCTL_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Language of the sentences, de or en [default: from LC_ALL, LC_MESSAGES, LANG; else de]
    #[arg(long, global = true, env = "KOFFERCTL_LANG", value_parser = profile::parse_lang)]
    pub(super) lang: Option<Lang>,
    /// One JSON object per line, also on a terminal
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Tables and sentences, also where stdout is no terminal
    #[arg(long, global = true, conflicts_with = "json")]
    pub(super) text: bool,
    /// How long the call may take (90s, 3m) [default: the operation's own maximum]
    #[arg(long, global = true, value_name = "DURATION", value_parser = typed::parse_duration)]
    pub(super) timeout: Option<Duration>,
    /// How long to wait for the completion beyond that
    #[arg(long, global = true, value_name = "DURATION", default_value = "90s",
          value_parser = typed::parse_duration)]
    pub(super) grace: Duration,
    /// Token of a claim on the device
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(super) claim: Option<String>,
    /// The call id: asks for the same call again instead of making a new one
    #[arg(long = "call", global = true, value_name = "ID")]
    pub(super) call_id: Option<CallId>,
}

/// What kofferctl can do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the devices: class, state, since when, model, address, why
    #[command(after_help = "Examples:
  kofferctl devices
  kofferctl devices --unbound
  kofferctl devices --json | jq 'select(.state.state != \"ready\")'")]
    Devices {
        /// Ask the gateway what is plugged in that no device uses, and why
        #[arg(long)]
        unbound: bool,
    },
    /// Show everything of one device: identity, state, roles, claim, calls, counters
    #[command(after_help = "Examples:
  kofferctl device ec-terminal
  kofferctl device ec-terminal --json | jq .health")]
    Device {
        /// The device, or a role: then the device that serves it
        device: Segment,
    },
    /// Follow states, events, status and health until Ctrl-C
    #[command(after_help = "Examples:
  kofferctl watch
  kofferctl watch ec-terminal --lang en")]
    Watch {
        /// Only this device
        device: Option<DeviceId>,
    },
    /// Call any operation of a device, a role or the gateway
    #[command(after_help = "Examples:
  kofferctl call ec-terminal status
  kofferctl call ec-terminal pay '{\"amount\": {\"cents\": 3780, \"currency\": \"EUR\"}}'
  kofferctl call forms-printer print @job.json --cbor
  echo '{\"level\": \"internal\"}' | kofferctl call ec-terminal self-test -")]
    Call {
        /// A device, a role, or \"gateway\"
        device: Segment,
        /// The operation; see: kofferctl devices --json, docs/contract/operations.md
        operation: Segment,
        /// The parameters: JSON, @file or - for stdin [default: none]
        #[arg(value_name = "JSON|@FILE|-")]
        params: Option<String>,
        /// Send and receive CBOR instead of JSON
        #[arg(long)]
        cbor: bool,
    },
    /// Take a card payment
    #[command(after_help = "Examples:
  kofferctl pay ec-terminal 37.80
  kofferctl pay ec-terminal 37,80 --reference PA-2026-00417 --timeout 3m

If no answer came, ask again under the same call id, never under a new one:
  kofferctl pay ec-terminal 37.80 --call 3f9c2a7be1d04c55")]
    Pay(Money),
    /// Give money back to a card
    #[command(after_help = "Example:
  kofferctl refund ec-terminal 12.50 --reference PA-2026-00417")]
    Refund(Money),
    /// Take back a payment of the running business day, whole
    #[command(after_help = "Examples:
  kofferctl reverse ec-terminal 231
  kofferctl reverse ec-terminal 231 --amount 37.80")]
    Reverse {
        /// The payment terminal, or a role
        device: Segment,
        /// The payment's receipt number
        receipt: u16,
        /// The payment's amount: the answer is checked against it
        #[arg(long, value_parser = typed::parse_hundredths)]
        amount: Option<Cents>,
        /// ISO 4217
        #[arg(long, default_value = "EUR", value_parser = typed::parse_currency)]
        currency: Currency,
    },
    /// Close the terminal's business day
    #[command(after_help = "Example:
  kofferctl end-of-day ec-terminal")]
    EndOfDay {
        /// The payment terminal, or a role
        device: Segment,
    },
    /// Print a document
    #[command(after_help = "Examples:
  kofferctl print forms-printer form.pdf
  kofferctl print forms-printer form.pdf --copies 2 --sides long-edge --media iso_a4_210x297mm
  ps2pdf form.ps - | kofferctl print forms-printer -

If no answer came, ask again under the same call id, never under a new one:
  kofferctl print forms-printer form.pdf --call 3f9c2a7be1d04c55")]
    Print(Print),
    /// Read, write and talk to a chip card
    #[command(after_help = "Examples:
  kofferctl card card-terminal read --path 3f00/0101
  kofferctl card card-terminal read --aid a00000007701 --file-id 0101 --to address.bin
  kofferctl card card-terminal write --path 3f00/0101 --offset 4 c0ffee
  kofferctl card card-terminal write --path 3f00/0101 --from address.bin

Several calls to one card: reserve the terminal, keep the card, let go of both.
  kofferctl claim card-terminal                        # answers TOKEN
  kofferctl card card-terminal connect --claim TOKEN
  kofferctl card card-terminal transmit 00a4000c020101 00b0000000=9000,6282 --claim TOKEN
  kofferctl card card-terminal disconnect --claim TOKEN
  kofferctl release card-terminal TOKEN")]
    Card(Card),
    /// Ask a device how it is
    #[command(after_help = "Example:
  kofferctl status ec-terminal")]
    Status {
        /// The device, or a role
        device: Segment,
    },
    /// Repeat the receipt of the terminal's last transaction
    #[command(after_help = "Example:
  kofferctl receipt ec-terminal")]
    Receipt {
        /// The payment terminal, or a role
        device: Segment,
    },
    /// Cancel a call
    #[command(after_help = "Examples:
  kofferctl cancel 3f9c2a7be1d04c55
  kofferctl cancel 7d1f0c7e --client ws-1")]
    Cancel {
        /// The call id
        id: CallId,
        /// Whose call; technicians may name another client
        #[arg(long)]
        client: Option<ClientId>,
    },
    /// List the calls that wait or run
    #[command(after_help = "Example:
  kofferctl calls")]
    Calls,
    /// Say what became of a call whose outcome is unknown; asks for what is left out
    #[command(after_help = "Examples:
  kofferctl resolve                              # shows what waits, and asks
  kofferctl resolve 3f9c2a7be1d04c55 --finding done --saw 'Receipt 231 on the terminal'")]
    Resolve(resolve::Wanted),
    /// Reserve a device
    #[command(after_help = "Examples:
  kofferctl claim ec-terminal --lease 5m
  kofferctl claim ec-terminal --claim TOKEN      # renews it
  kofferctl claim ec-terminal --take-over        # technicians only, and noted")]
    Claim {
        /// The device
        device: Segment,
        /// How long it holds without renewal, 1s to 1h
        #[arg(long, default_value = "60s", value_parser = typed::parse_duration)]
        lease: Duration,
        /// Take it from whoever holds it
        #[arg(long)]
        take_over: bool,
    },
    /// End a reservation
    #[command(after_help = "Example:
  kofferctl release ec-terminal TOKEN")]
    Release {
        /// The device
        device: Segment,
        /// The token that claim answered
        token: String,
    },
    /// Steer a running call
    #[command(after_help = "Example:
  kofferctl signal 3f9c2a7be1d04c55 finish")]
    Signal {
        /// The call id
        id: CallId,
        /// What it should do
        command: Steer,
    },
    /// Have a device test itself
    #[command(after_help = "Examples:
  kofferctl self-test ec-terminal
  kofferctl self-test ec-terminal external")]
    SelfTest {
        /// The device
        device: Segment,
        /// How deep
        #[arg(default_value = "internal")]
        level: Level,
    },
    /// Bring a device back to its initial state
    #[command(after_help = "Example:
  kofferctl reset ec-terminal")]
    Reset {
        /// The device
        device: Segment,
    },
    /// Show the gateway's vital signs and versions
    #[command(after_help = "Example:
  kofferctl diagnose")]
    Diagnose,
    /// Show the JSON Schema of an operation's parameters and result
    #[command(after_help = "Example:
  kofferctl schema payment pay")]
    Schema {
        /// The class, e.g. payment
        class: Segment,
        /// The operation
        operation: Segment,
    },
    /// Show the journal of calls that must not happen twice: reads the file, needs no gateway
    #[command(after_help = "Examples:
  kofferctl journal --open
  kofferctl journal --device ec-terminal --since 2026-03-02 --until 2026-03-03
  kofferctl journal --call 3f9c2a7be1d04c55      # with every step
  kofferctl journal --csv > calls.csv
  kofferctl journal --json | jq 'select(.effect == \"unknown\")'

Run it as root or as the user koffer. --set-aside is for a damaged journal after a look at it:
it is renamed, and kofferd begins a new one (docs/journal.md).")]
    Journal(JournalWanted),
    /// Write the completions of a shell to stdout
    #[command(after_help = "Example:
  kofferctl completions bash > /etc/bash_completion.d/kofferctl")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// What of the journal.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(super) struct JournalWanted {
    /// The file [default: journal.db in $STATE_DIRECTORY or /var/lib/koffer]
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Of this client
    #[arg(long)]
    pub(super) client: Option<ClientId>,
    /// On this device, or called under this name
    #[arg(long)]
    pub(super) device: Option<Segment>,
    /// Of this operation
    #[arg(long)]
    pub(super) operation: Option<Segment>,
    /// Accepted then or later: 2026-03-02, 2026-03-02T08:15, 2026-03-02T08:15:30Z
    #[arg(long, value_name = "TIME", value_parser = journal::parse_moment)]
    pub(super) since: Option<Timestamp>,
    /// Accepted before then
    #[arg(long, value_name = "TIME", value_parser = journal::parse_moment)]
    pub(super) until: Option<Timestamp>,
    /// Not ended, or with an unknown outcome that nobody has resolved
    #[arg(long)]
    pub(super) open: bool,
    /// With an unknown outcome, resolved or not
    #[arg(long)]
    pub(super) unknown: bool,
    /// Comma-separated values, one line per call
    #[arg(long, conflicts_with = "json")]
    pub(super) csv: bool,
    /// Set a damaged journal aside: renamed, never deleted
    #[arg(long, conflicts_with_all = ["client", "device", "operation", "since", "until", "open", "unknown", "csv"])]
    pub(super) set_aside: bool,
}

/// A payment or a refund.
#[derive(Debug, Args)]
pub(super) struct Money {
    /// The payment terminal, or a role
    pub(super) device: Segment,
    /// How much: 37, 37.80 or 37,80
    #[arg(value_parser = typed::parse_hundredths)]
    pub(super) amount: Cents,
    /// ISO 4217
    #[arg(long, default_value = "EUR", value_parser = typed::parse_currency)]
    pub(super) currency: Currency,
    /// Your own reference: a file number, an order
    #[arg(long)]
    pub(super) reference: Option<String>,
}

/// How deep a self-test goes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Level {
    /// The device and its connection
    Internal,
    /// What lies behind it: a payment host, a network
    External,
    /// With a person's help
    Interactive,
}

/// A command to a running call.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Steer {
    /// Capture: take what there is and go on
    Continue,
    /// Capture: throw the attempt away and try again
    Discard,
    /// Capture: enough, finish with the best
    Finish,
    /// Signature: accept it
    Confirm,
    /// Signature: wipe it and sign again
    Retry,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let mut line = Line::command();
        line.build();
        line.clone().debug_assert();
        for command in line.get_subcommands().filter(|c| c.get_name() != "help") {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains(&format!("kofferctl {}", command.get_name()))
                    || help.contains(&format!("| kofferctl {}", command.get_name())),
                "{}",
                command.get_name()
            );
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }

    #[test]
    fn options_may_follow_the_command() {
        let line = Line::try_parse_from([
            "kofferctl",
            "pay",
            "ec",
            "37,80",
            "--gateway",
            "case-7",
            "--call",
            "x1",
            "--json",
        ])
        .unwrap();
        assert!(line.options.json);
        assert_eq!(
            line.options.call_id.map(|id| id.to_string()).as_deref(),
            Some("x1")
        );
        assert!(Line::try_parse_from(["kofferctl", "pay", "ec", "37.805"]).is_err());
        assert!(Line::try_parse_from(["kofferctl", "calls", "--password", "x"]).is_err());
    }
}
