//! `kofferd`, the device gateway of the mobile town hall.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use koffer_gateway::config::{Config, DEFAULT_PATH, Finding};
use koffer_proto::Lang;

const EXAMPLES: &str = "\
Examples:
  kofferd --check                         is /etc/koffer/kofferd.toml in order?
  kofferd --check --config ./case.toml    is this file, with ./case.toml.d/*.toml?
  KOFFER__DEVICES__EC_TERMINAL__ADDRESS=tcp://192.0.2.7 kofferd --check
                                          with one key overridden ([devices.ec-terminal] address)

Exit codes:
  0  the configuration is in order (there may be warnings)
  1  it has mistakes; every one is printed with file, line, key and remedy
  2  the command line has mistakes";

/// The device gateway of the mobile town hall: exposes its peripherals over MQTT 5.
#[derive(Parser)]
#[command(name = "kofferd", version, after_help = EXAMPLES)]
struct Options {
    /// The configuration; drop-ins are FILE.d/*.toml in lexical order.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,

    /// Check the configuration, print every mistake or a summary, and end.
    #[arg(long, required = true)]
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
            summarise(&config, lang)
        }
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
