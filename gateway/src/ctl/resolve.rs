//! `kofferctl resolve`: guides whoever looked at a device through saying what became of a call.

use std::io::{self, BufRead, IsTerminal};

use clap::{Args, ValueEnum};
use koffer_proto::class::gateway::{Finding, Observation, ResolveParams};
use koffer_proto::{CallId, ClientId};
use serde_json::Value;

use super::reading::text;
use super::screen::{Screen, harmless};
use super::texts;
use super::trouble::Trouble;

/// What is known before anybody is asked.
#[derive(Debug, Clone, Args)]
pub(super) struct Wanted {
    /// The call id; without it the calls that wait are shown
    pub(super) id: Option<CallId>,
    /// Whose call; needed where two clients have calls of that id
    #[arg(long)]
    pub(super) client: Option<ClientId>,
    /// What became of it
    #[arg(long, value_enum)]
    pub(super) finding: Option<Found>,
    /// How you know: what the device, the receipt or the tray shows
    #[arg(long, value_name = "TEXT")]
    pub(super) saw: Option<String>,
}

/// What became of a call, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Found {
    /// It happened
    Done,
    /// It did not happen
    NotDone,
    /// Some of it happened
    Partial,
}

impl From<Found> for Finding {
    fn from(found: Found) -> Self {
        match found {
            Found::Done => Self::Done,
            Found::NotDone => Self::NotDone,
            Found::Partial => Self::Partial,
        }
    }
}

/// From what was typed and what the gateway lists to what is sent; `None`: nothing is to be sent.
pub(super) fn complete(
    wanted: Wanted,
    calls: &Value,
    screen: &Screen,
) -> Result<Option<ResolveParams>, Trouble> {
    let none = Vec::new();
    let listed = calls.pointer("/result/unresolved");
    let listed = listed.and_then(Value::as_array).unwrap_or(&none);
    let fits = |call: &&Value| {
        let id = wanted
            .id
            .as_ref()
            .is_none_or(|id| text(call, "call") == id.to_string());
        let of = wanted.client.as_ref();
        id && of.is_none_or(|client| text(call, "client") == client.as_str())
    };
    let waiting: Vec<_> = listed.iter().filter(fits).collect();
    if waiting.is_empty() {
        screen.note(&texts::nothing_unresolved());
        return Ok(None);
    }
    let guide = Guide::new(screen);
    let Some(call) = guide.which(&waiting)? else {
        return Ok(None);
    };
    let Some(finding) = guide.finding(wanted.finding)? else {
        return Ok(None);
    };
    let Some(observation) = guide.observation(wanted.saw)? else {
        return Ok(None);
    };
    let wrong = |error: &dyn std::fmt::Display| Trouble::Usage(texts::option(&"CALL", error));
    Ok(Some(ResolveParams {
        call: text(call, "call").parse().map_err(|error| wrong(&error))?,
        client: text(call, "client")
            .parse()
            .map_err(|error| wrong(&error))?,
        finding: finding.into(),
        observation,
    }))
}

/// Asks where somebody can answer.
struct Guide<'a> {
    screen: &'a Screen,
    can_ask: bool,
}

impl<'a> Guide<'a> {
    fn new(screen: &'a Screen) -> Self {
        let can_ask = io::stdin().is_terminal() && !screen.is_json();
        Self { screen, can_ask }
    }

    /// Shows what waits, and has one chosen.
    fn which<'c>(&self, waiting: &[&'c Value]) -> Result<Option<&'c Value>, Trouble> {
        let lang = self.screen.lang();
        for (number, call) in waiting.iter().enumerate() {
            if self.screen.is_json() {
                self.screen.json("unresolved", (*call).clone())?;
                continue;
            }
            let number = number + 1;
            let (client, id) = (text(call, "client"), text(call, "call"));
            let head = texts::unresolved(
                &number,
                &text(call, "device"),
                &text(call, "operation"),
                &client,
                &id,
                &text(call, "accepted_at"),
            );
            self.screen.line(head.get(lang))?;
            let reason = call.pointer("/reason/text").unwrap_or(&Value::Null);
            let reason = harmless(text(reason, lang.as_str()));
            self.screen.line(&format!("   {reason}"))?;
        }
        match waiting {
            [only] => Ok(Some(only)),
            _ if !self.can_ask => Ok(None),
            _ => {
                let answer = self.ask(texts::which_call(&waiting.len()).get(lang))?;
                let number = answer.parse::<usize>().ok();
                Ok(number.and_then(|n| waiting.get(n.checked_sub(1)?).copied()))
            }
        }
    }

    fn finding(&self, known: Option<Found>) -> Result<Option<Found>, Trouble> {
        if known.is_some() {
            return Ok(known);
        }
        if !self.can_ask {
            self.screen.note(&texts::resolve_needs());
            return Ok(None);
        }
        let answer = self.ask(texts::which_finding().get(self.screen.lang()))?;
        Ok(match &*answer {
            "1" => Some(Found::Done),
            "2" => Some(Found::NotDone),
            "3" => Some(Found::Partial),
            _ => None,
        })
    }

    fn observation(&self, known: Option<String>) -> Result<Option<Observation>, Trouble> {
        let said = match known {
            Some(said) => said,
            None if self.can_ask => self.ask(texts::what_was_seen().get(self.screen.lang()))?,
            None => String::new(),
        };
        if said.is_empty() {
            if !self.can_ask {
                self.screen.note(&texts::resolve_needs());
            }
            return Ok(None);
        }
        Observation::try_from(said)
            .map(Some)
            .map_err(|error| Trouble::Usage(texts::option(&"--saw", &error)))
    }

    fn ask(&self, question: &str) -> Result<String, Trouble> {
        self.screen.line(question)?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    }
}
