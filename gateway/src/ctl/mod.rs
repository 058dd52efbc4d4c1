//! `kofferctl`: the tool of technicians and app developers.
//!
//! It knows a gateway only by MQTT and the contract, as every app does, and reads leniently: what a
//! later gateway adds is shown and does not break it. `journal` alone reads a file: it is for where
//! the gateway cannot be asked.

mod args;
mod asked;
mod asking;
mod device;
mod devices;
mod draw;
mod exit;
mod journal;
mod line;
mod profile;
mod reading;
mod resolve;
mod saving;
mod screen;
mod texts;
mod trouble;
mod typed;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use jiff::tz::TimeZone;
use koffer_proto::Root;
use serde_json::Value;

use args::{Command, Options};
use asked::Asked;
use asking::Ended;
use draw::{Progress, Said, Tone};
use exit::Exit;
use profile::{Configured, Profile};
use screen::Screen;
use trouble::Trouble;

/// Runs `kofferctl` with the process's arguments.
pub fn main() -> ExitCode {
    let args = args::Line::parse();
    if let Command::Completions { shell } = args.command {
        return completions(shell);
    }
    // The language is settled first, so that even a mistake in the file is told in it.
    let file = Configured::read(args.options.config.as_deref());
    let lang = match &file {
        Ok(file) => file.lang(&args.options),
        Err(_) => Configured::default().lang(&args.options),
    };
    let screen = Screen::new(&args.options, lang);
    if let Command::Journal(wanted) = args.command {
        return finally(journal::run(wanted, args.options.call_id, &screen), &screen);
    }
    let ended = file
        .and_then(|file| file.profile(&args.options))
        .and_then(|profile| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Trouble::Usage(texts::runtime(&error)))?;
            runtime.block_on(run(args.command, &args.options, &profile, &screen))
        });
    finally(ended, &screen)
}

fn finally(ended: Result<Exit, Trouble>, screen: &Screen) -> ExitCode {
    let exit = ended.unwrap_or_else(|trouble| {
        match &trouble {
            Trouble::NoCompletion(text) => screen.alarm(text),
            // The reader of the pipe has what it wanted, as in `kofferctl devices | head -1`.
            Trouble::Output(error) if error.kind() == ErrorKind::BrokenPipe => {}
            trouble => screen.note(&trouble.text()),
        }
        trouble.exit()
    });
    ExitCode::from(exit.code())
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::Line::command(), "kofferctl", &mut script);
    let exit = match std::io::stdout().write_all(&script) {
        Ok(()) => 0,
        Err(_) => Exit::Output.code(),
    };
    ExitCode::from(exit)
}

async fn run(
    command: Command,
    options: &Options,
    profile: &Profile,
    screen: &Screen,
) -> Result<Exit, Trouble> {
    if let Some(file) = &profile.exposed {
        screen.note(&texts::exposed_password(&file.display()));
    }
    let done = Exit::Status(koffer_proto::Status::Ok);
    match command {
        Command::Devices { unbound: false } => {
            let root = line::find_gateway(profile).await?;
            devices::list(profile, &root, screen).await?;
            Ok(done)
        }
        Command::Device { device } => {
            let root = line::find_gateway(profile).await?;
            device::show(profile, &root, &device, options, screen).await
        }
        Command::Watch { device } => {
            let root = line::find_gateway(profile).await?;
            devices::watch(profile, &root, device.as_ref(), screen).await?;
            Ok(done)
        }
        Command::Resolve(wanted) => {
            let root = line::find_gateway(profile).await?;
            let listing = Asked::gateway("calls", &serde_json::json!({}))?;
            let mut progress = Progress::default();
            let listed = asking::ask(
                profile,
                &root,
                &listing,
                options.grace,
                screen,
                &mut progress,
            )
            .await?;
            let Ended::Completed(listed) = listed else {
                screen.alarm(&texts::unreadable(&listing.id));
                return Ok(Exit::StrangeStatus);
            };
            let Some(params) = resolve::complete(wanted, &listed, screen)? else {
                return Ok(done);
            };
            let asked = Asked::gateway("resolve", &params)?;
            call(&asked, &root, options, profile, screen).await
        }
        command => {
            let Some(asked) = Asked::from_command(command, options)? else {
                return Ok(done);
            };
            // First of all: with it the same call can be asked for, whatever comes.
            screen.note(&texts::call_id(&asked.id));
            let root = line::find_gateway(profile).await?;
            call(&asked, &root, options, profile, screen).await
        }
    }
}

async fn call(
    asked: &Asked,
    root: &Root,
    options: &Options,
    profile: &Profile,
    screen: &Screen,
) -> Result<Exit, Trouble> {
    let mut progress = Progress::default();
    let ended = asking::ask(profile, root, asked, options.grace, screen, &mut progress).await?;
    let Ended::Completed(completion) = ended else {
        screen.alarm(&texts::unreadable(&asked.id));
        return Ok(Exit::StrangeStatus);
    };
    let said = draw::completion(
        asked,
        profile.user.as_str(),
        &completion,
        screen.lang(),
        &TimeZone::system(),
    );
    let exit = Exit::of_completion(asked.operation.as_str(), &completion);
    if let (Some(path), Some(result)) = (&asked.save_to, completion.get("result")) {
        saving::save(result, path)?;
    }
    finish(&said, completion, screen, &mut progress)?;
    Ok(exit)
}

/// The completion on stdout: as it is, or in words.
fn finish(
    said: &Said,
    completion: Value,
    screen: &Screen,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let sentences = said.sentences.join("\n");
    if screen.is_json() {
        if said.tone == Tone::Alarm {
            // A script may pass it over; the person at the terminal must not.
            screen.alarm(&koffer_proto::Text::new(sentences.clone(), sentences));
        }
        return Ok(screen.json("completion", completion)?);
    }
    if let Some(result) = completion.get("result") {
        progress.rest(result, screen)?;
    }
    if !said.result.is_empty() {
        screen.text(&said.result)?;
    }
    let paint = screen.paint();
    let painted = match said.tone {
        Tone::Good => paint.good(&sentences),
        Tone::Bad => paint.bad(&sentences),
        Tone::Alarm => paint.alarm(&sentences),
    };
    if !sentences.is_empty() {
        screen.text(&painted)?;
    }
    Ok(())
}
