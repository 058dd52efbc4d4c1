//! A line to the broker: one session of the bus for one command.

use std::collections::VecDeque;
use std::time::Duration;

use koffer_proto::{GatewayId, Root};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::profile::Profile;
use super::reading::{self, text};
use super::texts;
use super::trouble::Trouble;
use crate::bus::{Bus, Disconnection, Incoming, Message, NotSent, Qos, Settings, Subscription};

/// How long the broker keeps replies for us while the line is down.
const SESSION: Duration = Duration::from_mins(1);

/// A broker hands out what is retained within milliseconds; over a mobile link it takes longer.
pub(super) const RETAINED_PATIENCE: Duration = Duration::from_secs(3);

/// When nothing retained has come for so long, nothing more will.
pub(super) const RETAINED_QUIET: Duration = Duration::from_millis(300);

/// To hand over what is queued, and to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is heard on the line.
#[derive(Debug)]
pub(super) enum Heard {
    /// It is up again, with or without what the broker kept for us.
    Up { session_present: bool },
    /// It is down; the bus tries to get it back.
    Down(Disconnection),
    /// A message, and whether it may have come before.
    Said(Message, bool),
}

/// An open line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) bus: Bus,
    inbox: mpsc::Receiver<Incoming>,
    early: VecDeque<Heard>,
}

impl Line {
    /// Connects and subscribes; what is retained under the filters comes first.
    pub(super) async fn open(profile: &Profile, filters: Vec<String>) -> Result<Self, OpenError> {
        let mut settings = Settings::new(profile.address.clone(), client_id(profile)?);
        profile.user.as_str().clone_into(&mut settings.username);
        settings.password = profile.password.clone();
        settings.session_expiry = SESSION;
        settings.wants_retained = true;
        settings.subscriptions = filters
            .into_iter()
            .map(|filter| Subscription {
                filter,
                qos: Qos::AtLeastOnce,
            })
            .collect();
        let (bus, inbox) = Bus::start(settings);
        let mut line = Self {
            bus,
            inbox,
            early: VecDeque::new(),
        };
        let mut early = VecDeque::new();
        loop {
            match line.next().await {
                Heard::Up { .. } => break,
                Heard::Down(reason) => {
                    let user = profile.user.as_str();
                    let trouble = Trouble::connecting(&reason, &profile.address, user);
                    return Err(match reason {
                        Disconnection::SubscriptionRefused { filter, .. } => {
                            OpenError::Filter { filter, trouble }
                        }
                        _ => OpenError::Trouble(trouble),
                    });
                }
                said @ Heard::Said(..) => early.push_back(said),
            }
        }
        line.early = early;
        Ok(line)
    }

    /// The next that is heard; messages are acknowledged with it. Cancel safe.
    pub(super) async fn next(&mut self) -> Heard {
        if let Some(heard) = self.early.pop_front() {
            return heard;
        }
        match self.inbox.recv().await {
            Some(Incoming::Connected {
                session_present, ..
            }) => Heard::Up { session_present },
            Some(Incoming::Disconnected { reason }) => Heard::Down(reason),
            Some(Incoming::Message(received)) => {
                received.ack.send();
                Heard::Said(received.message, received.duplicate)
            }
            // The bus ends only when it is closed.
            None => std::future::pending().await,
        }
    }

    /// Everything retained, as far as it can be told: until nothing has come for a moment.
    pub(super) async fn retained(&mut self) -> Vec<Message> {
        let latest = Instant::now() + RETAINED_PATIENCE;
        let mut messages = Vec::new();
        loop {
            // The first may take its time; the others follow on its heels.
            let until = if messages.is_empty() {
                latest
            } else {
                (Instant::now() + RETAINED_QUIET).min(latest)
            };
            match timeout_at(until, self.next()).await {
                Ok(Heard::Said(message, _)) => messages.push(message),
                Ok(Heard::Up { .. } | Heard::Down(_)) => {}
                Err(_) => return messages,
            }
        }
    }

    /// Hands over what is queued and leaves.
    pub(super) async fn close(self) {
        self.bus.close(FAREWELL).await;
    }
}

/// Why a line could not be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The broker does not grant this filter.
    Filter { filter: String, trouble: Trouble },
    /// Anything else.
    Trouble(Trouble),
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Filter { trouble, .. } | OpenError::Trouble(trouble) => trouble,
        }
    }
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// A session of our own: with the user's plain name it would take over an app's.
fn client_id(profile: &Profile) -> Result<String, Trouble> {
    let random = getrandom::u64().map_err(|error| Trouble::Usage(texts::random(&error)))?;
    Ok(format!("{}-kofferctl-{random:016x}", profile.user))
}

/// The root of the gateway that was named, or of the only one there is.
pub(super) async fn find_gateway(profile: &Profile) -> Result<Root, Trouble> {
    const PREFIX: &str = "koffer/1/";
    const SUFFIX: &str = "/status";
    if let Some(gateway) = &profile.gateway {
        return Ok(Root::new(gateway.clone()));
    }
    let mut line = match Line::open(profile, vec![format!("{PREFIX}+{SUFFIX}")]).await {
        Ok(line) => line,
        Err(OpenError::Filter { .. }) => {
            return Err(Trouble::NoGateway(texts::gateway_unnamed(&profile.address)));
        }
        Err(OpenError::Trouble(trouble)) => return Err(trouble),
    };
    let found: Vec<(GatewayId, bool)> = line
        .retained()
        .await
        .iter()
        .filter_map(|message| {
            let name = message.topic.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
            let status = reading::value(message)?;
            Some((name.parse().ok()?, is_online(&status)))
        })
        .collect();
    line.close().await;
    choose(found).map_err(|names| {
        Trouble::NoGateway(if names.is_empty() {
            texts::gateway_unseen(&profile.address, &profile.user)
        } else {
            texts::gateways(&profile.address, &names.join(", "))
        })
    })
}

/// The only gateway, or the only one online; else the names of all.
fn choose(mut found: Vec<(GatewayId, bool)>) -> Result<Root, Vec<String>> {
    found.sort();
    found.dedup_by(|later, earlier| later.0 == earlier.0);
    let online: Vec<_> = found.iter().filter(|(_, online)| *online).collect();
    match (found.as_slice(), online.as_slice()) {
        ([(only, _)], _) | (_, [(only, _)]) => Ok(Root::new(only.clone())),
        _ => Err(found.iter().map(|(name, _)| name.to_string()).collect()),
    }
}

/// Whether a status document says that its gateway takes calls.
pub(super) fn is_online(status: &Value) -> bool {
    text(status, "status") == "online"
}

/// What a refused or broken publish means; `None` where the call may be on its way all the same.
pub(super) fn not_sent(error: &NotSent, profile: &Profile, topic: &str) -> Option<Trouble> {
    Trouble::not_sent(error, &profile.address, profile.user.as_str(), topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(found: &[(&str, bool)]) -> Result<String, Vec<String>> {
        let found = found
            .iter()
            .map(|(name, online)| (name.parse().unwrap(), *online))
            .collect();
        choose(found).map(|root| root.gateway().to_string())
    }

    #[test]
    fn a_gateway_is_chosen_only_where_there_is_no_doubt() {
        assert_eq!(chosen(&[("case-7", true)]), Ok("case-7".to_owned()));
        assert_eq!(chosen(&[("case-7", false)]), Ok("case-7".to_owned()));
        assert_eq!(
            chosen(&[("case-7", false), ("case-8", true)]),
            Ok("case-8".to_owned())
        );
        assert_eq!(
            chosen(&[("case-8", true), ("case-7", true)]),
            Err(vec!["case-7".to_owned(), "case-8".to_owned()])
        );
        assert_eq!(chosen(&[]), Err(vec![]));
    }
}
