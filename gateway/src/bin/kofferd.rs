//! `kofferd`, the device gateway of the mobile town hall.

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use clap::Parser;
use koffer_gateway::{
    config::{Config, DEFAULT_PATH, Finding},
    daemon::{self, Milestone},
    logging,
};
use koffer_proto::Lang;
use sd_notify::NotifyState;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Exit code: see the help.
const CANNOT_START: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  kofferd                                 run with /etc/koffer/kofferd.toml until SIGTERM or SIGINT
  kofferd --check                         is /etc/koffer/kofferd.toml in order?
  kofferd --check --config ./case.toml    is this file, with ./case.toml.d/*.toml?
  KOFFER__DEVICES__EC_TERMINAL__ADDRESS=tcp://192.0.2.7 kofferd --check
                                          with one key overridden ([devices.ec-terminal] address)

Exit codes:
  0  the configuration is in order (there may be warnings); ended as it was asked to
  1  it has mistakes; every one is printed with file, line, key and remedy
  2  the command line has mistakes
  3  it could not start: a port in use, no journald; said on stderr";

/// The device gateway of the mobile town hall: exposes its peripherals over MQTT 5.
#[derive(Parser)]
#[command(name = "kofferd", version, after_help = EXAMPLES)]
struct Options {
    /// The configuration; drop-ins are FILE.d/*.toml in lexical order.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,

    /// Check the configuration, print every mistake or a summary, and end.
    #[arg(long)]
    check: bool,

    /// The language of mistakes and summary: de or en. Otherwise LC_ALL, LC_MESSAGES and LANG
    /// decide, and German where they do not.
    #[arg(long, value_name = "LANG", value_parser = parse_lang)]
    lang: Option<Lang>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let lang = options.lang.unwrap_or_else(environment_lang);
    match Config::load(&options.config, env::vars_os()) {
        Err(mistakes) => {
            print(lang, &mistakes.warnings, &mistakes.mistakes);
            ExitCode::from(1)
        }
        Ok((config, warnings)) => {
            print(lang, &warnings, &[]);
            if options.check {
                summarise(&config, lang)
            } else {
                serve(config)
            }
        }
    }
}

/// Runs until a signal asks it to end. One more signal of the same kind changes nothing: every
/// accepted call is answered first, within the configured bounds.
fn serve(config: Config) -> ExitCode {
    let variable = |name| env::var_os(name);
    let filter = variable(logging::FILTER_VARIABLE);
    let journal = variable(logging::JOURNAL_VARIABLE);
    if let Err(error) = logging::start(&config.log, filter.as_deref(), journal.as_deref()) {
        eprintln!("kofferd: {error}");
        return ExitCode::from(CANNOT_START);
    }
    let ended = daemon::on_two_threads(|beside| supervised_by_systemd(config, beside));
    match ended.map_err(Into::into).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            ExitCode::from(CANNOT_START)
        }
    }
}

async fn supervised_by_systemd(
    config: Config,
    beside: Handle,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let systemd = Systemd::start()?;
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.cancel();
    });
    if let Some(period) = sd_notify::watchdog_enabled() {
        // A runtime whose workers are all blocked misses this, and systemd restarts the daemon.
        let mut beat = tokio::time::interval(period / 2);
        let systemd = systemd.clone();
        tokio::spawn(async move {
            loop {
                beat.tick().await;
                systemd.notify(&[NotifyState::Watchdog]);
            }
        });
    }
    daemon::run_with(
        config,
        Vec::new(),
        &beside,
        stop,
        |milestone| match milestone {
            Milestone::Online => {
                systemd.notify(&[NotifyState::Ready, NotifyState::Status("online")]);
            }
            Milestone::Stopping => systemd.notify(&[NotifyState::Stopping]),
        },
    )
    .await?;
    Ok(())
}

/// What systemd has not taken yet; a beat of the watchdog that finds it full is left out.
const UNTOLD: usize = 16;

/// The way to systemd: a thread of its own, because a socket that nobody reads blocks.
#[derive(Clone)]
struct Systemd(SyncSender<Vec<NotifyState<'static>>>);

impl Systemd {
    fn start() -> io::Result<Self> {
        let (states, untold) = sync_channel::<Vec<NotifyState<'static>>>(UNTOLD);
        thread::Builder::new()
            .name("systemd".to_owned())
            .spawn(move || {
                for states in untold {
                    // Without systemd there is no socket, and nobody to tell.
                    let _ = sd_notify::notify(&states);
                }
            })?;
        Ok(Self(states))
    }

    fn notify(&self, states: &[NotifyState<'static>]) {
        let _ = self.0.try_send(states.to_vec());
    }
}

fn summarise(config: &Config, lang: Lang) -> ExitCode {
    let verdict = match lang {
        Lang::De => "Konfiguration in Ordnung",
        Lang::En => "configuration ok",
    };
    let shown = writeln!(
        io::stdout(),
        "{verdict}\n{}",
        config.summary(lang).trim_end()
    );
    // A closed pipe is the reader's decision; everything else nobody could be told.
    shown.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn print(lang: Lang, warnings: &[Finding], mistakes: &[Finding]) {
    let (warning, mistake, count) = match lang {
        Lang::De => ("Warnung", "Fehler", "Fehler in der Konfiguration"),
        Lang::En => ("warning", "mistake", "mistakes in the configuration"),
    };
    for finding in warnings {
        eprintln!("{warning}: {}", finding.in_lang(lang));
    }
    for finding in mistakes {
        eprintln!("{mistake}: {}", finding.in_lang(lang));
    }
    if !mistakes.is_empty() {
        eprintln!("{} {count}", mistakes.len());
    }
}

fn parse_lang(tag: &str) -> Result<Lang, String> {
    Lang::from_tag(tag).ok_or_else(|| "de or en".to_owned())
}

/// The language of the session, as POSIX orders the variables.
fn environment_lang() -> Lang {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .filter_map(|variable| env::var(variable).ok())
        .find(|value| !value.is_empty())
        .and_then(|value| Lang::from_tag(&value))
        .unwrap_or_default()
}
