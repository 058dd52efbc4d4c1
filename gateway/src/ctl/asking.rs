//! One call, from its publish to its completion: lost lines, restarted gateways, Ctrl-C, deadlines.

use std::time::Duration;

use koffer_proto::{ClientId, EffectKind, ReplyTopic, Root, Topic};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::asked::Asked;
use super::draw::Progress;
use super::line::{self, Heard, Line, RETAINED_PATIENCE};
use super::profile::Profile;
use super::reading::{self, text};
use super::screen::Screen;
use super::texts;
use super::trouble::Trouble;
use crate::bus::{Message, Sent};

/// After a line is back, what changed meanwhile is delivered first; only then it can be said
/// whether the call may be sent again.
const SETTLE: Duration = Duration::from_secs(1);

/// How a call ended: the completion, or what came in its place and cannot be read.
#[derive(Debug)]
pub(super) enum Ended {
    Completed(Value),
    Unreadable,
}

/// Makes the call and waits for its completion.
pub(super) async fn ask(
    profile: &Profile,
    root: &Root,
    asked: &Asked,
    grace: Duration,
    screen: &Screen,
    progress: &mut Progress,
) -> Result<Ended, Trouble> {
    let place = place(&profile.user, root)?;
    let filters = vec![
        format!("{}/#", place.as_str()),
        root.topic(&Topic::Status),
        root.topic(&Topic::Health),
    ];
    let line = Line::open(profile, filters).await?;
    let now = Instant::now();
    let mut asking = Asking {
        profile,
        root,
        asked,
        screen,
        progress,
        line,
        gateway: Gateway::default(),
        place,
        deadline: now + asked.timeout,
        cancelled: false,
        last_seq: 0,
    };
    let ended = asking.run(grace).await;
    asking.line.close().await;
    ended
}

/// Where the answers go: below the client's own replies, and no other kofferctl's.
fn place(user: &ClientId, root: &Root) -> Result<ReplyTopic, Trouble> {
    let random = getrandom::u64().map_err(|error| Trouble::Usage(texts::random(&error)))?;
    let text = format!("{root}/reply/{user}/kofferctl-{random:016x}");
    ReplyTopic::parse(root, user, &text).map_err(|error| Trouble::Usage(texts::unsendable(&error)))
}

struct Asking<'a> {
    profile: &'a Profile,
    root: &'a Root,
    asked: &'a Asked,
    screen: &'a Screen,
    progress: &'a mut Progress,
    line: Line,
    gateway: Gateway,
    place: ReplyTopic,
    deadline: Instant,
    cancelled: bool,
    last_seq: u64,
}

/// What is known of the gateway.
#[derive(Debug, Default)]
struct Gateway {
    status: Option<Value>,
    /// When the gateway had started that the call was sent to.
    asked_start: Option<String>,
    /// Its journal is on disk: it remembers calls across a restart.
    durable: bool,
}

/// Whether a call may be sent again.
#[derive(Debug, PartialEq, Eq)]
enum Again {
    Yes,
    /// Not while the gateway is not there.
    Later,
    /// The gateway may have forgotten it, and it must not happen twice.
    Never,
}

impl Gateway {
    fn start(&self) -> String {
        let status = self.status.as_ref();
        status.map_or_else(String::new, |status| text(status, "started_at").to_owned())
    }

    fn presence(&self) -> (bool, String) {
        let online = self.status.as_ref().is_some_and(line::is_online);
        (online, self.start())
    }

    fn restarted(&self) -> bool {
        let sent_to = self.asked_start.as_deref();
        sent_to.is_some_and(|start| start != self.start())
    }

    fn again(&self, once: bool) -> Again {
        match &self.status {
            Some(status) if line::is_online(status) => {
                if self.restarted() && once && !self.durable {
                    Again::Never
                } else {
                    Again::Yes
                }
            }
            _ => Again::Later,
        }
    }

    fn health(&mut self, health: &Value) {
        self.durable = health.get("journal_bytes").is_some();
    }
}

impl Asking<'_> {
    async fn run(&mut self, grace: Duration) -> Result<Ended, Trouble> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        self.find_gateway().await?;
        let mut sent = Some(self.publish(self.asked, "call")?);
        self.gateway.asked_start = Some(self.gateway.start());
        let give_up = self.deadline + grace;
        // When to see whether the call may be sent again.
        let mut again_at = None;
        loop {
            tokio::select! {
                heard = self.line.next() => match heard {
                    Heard::Down(reason) => self.screen.note(&texts::line_down(&reason)),
                    Heard::Up { session_present } => {
                        self.screen.note(&texts::line_up());
                        if !session_present {
                            // Another start of the broker, perhaps of the gateway around it:
                            // nothing is sent again before its status has come anew.
                            self.gateway.status = None;
                        }
                        again_at = Some(Instant::now() + SETTLE);
                    }
                    Heard::Said(message, duplicate) => {
                        let was = self.gateway.presence();
                        if let Some(ended) = self.said(&message, duplicate) {
                            return Ok(ended);
                        }
                        if self.gateway.presence() != was {
                            again_at = Some(Instant::now() + SETTLE);
                        }
                    }
                },
                fate = fate(&mut sent) => {
                    sent = None;
                    if let Err(error) = fate {
                        let topic = self.topic(self.asked);
                        match line::not_sent(&error, self.profile, &topic) {
                            Some(trouble) => return Err(trouble),
                            None => self.screen.note(&texts::maybe_sent()),
                        }
                    }
                }
                () = at(again_at) => {
                    again_at = None;
                    // What is still queued the bus sends by itself.
                    if sent.is_none() {
                        sent = self.ask_again()?;
                    }
                }
                _ = interrupt.recv() => self.interrupted()?,
                () = sleep_until(give_up) => return Err(self.gave_up()),
            }
        }
    }

    /// Waits for the gateway's retained status: nothing is sent to a gateway that is not there.
    async fn find_gateway(&mut self) -> Result<(), Trouble> {
        let until = Instant::now() + RETAINED_PATIENCE;
        let address = &self.profile.address;
        let name = self.root.gateway();
        while self.gateway.status.is_none() {
            match timeout_at(until, self.line.next()).await {
                Ok(Heard::Said(message, _)) => self.document(&message),
                Ok(Heard::Up { .. } | Heard::Down(_)) => {}
                Err(_) => return Err(Trouble::NoGateway(texts::gateway_absent(name, address))),
            }
        }
        match &self.gateway.status {
            Some(status) if line::is_online(status) => Ok(()),
            _ => Err(Trouble::NoGateway(texts::gateway_offline(name, address))),
        }
    }

    fn topic(&self, asked: &Asked) -> String {
        self.root.topic(&Topic::Call {
            client: self.profile.user.clone(),
            target: asked.target.clone(),
            operation: asked.operation.clone(),
        })
    }

    fn publish(&self, asked: &Asked, path: &str) -> Result<Sent, Trouble> {
        let mut message = Message::new(self.topic(asked), asked.payload.clone());
        let properties = &mut message.properties;
        properties.response_topic = Some(format!("{}/{path}", self.place.as_str()));
        properties.correlation_data = Some(asked.id.as_bytes().to_vec().into());
        let left = if path == "call" {
            self.deadline.saturating_duration_since(Instant::now())
        } else {
            asked.timeout
        };
        // Rounded up: `--timeout 1s` is one second, not none.
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        properties.message_expiry = Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX));
        properties.content_type = Some(asked.encoding.as_str().to_owned());
        let lang = self.screen.lang().as_str().to_owned();
        properties.user.push(("lang".to_owned(), lang));
        if let Some(claim) = &asked.claim {
            properties.user.push(("claim".to_owned(), claim.clone()));
        }
        self.line.bus.publish(message).map_err(Trouble::refused)
    }

    /// A message on the line; the completion ends the call.
    fn said(&mut self, message: &Message, duplicate: bool) -> Option<Ended> {
        let Some(path) = message.topic.strip_prefix(self.place.as_str()) else {
            self.document(message);
            return None;
        };
        match path {
            "/call/progress" => self.advanced(message, duplicate),
            "/cancel" => self.cancel_answered(message),
            "/call" if self.is_ours(message) => {
                let completion = reading::value(message).filter(Value::is_object);
                return Some(completion.map_or(Ended::Unreadable, Ended::Completed));
            }
            _ => {}
        }
        None
    }

    fn is_ours(&self, message: &Message) -> bool {
        message.properties.correlation_data.as_deref() == Some(self.asked.id.as_bytes())
    }

    fn document(&mut self, message: &Message) {
        let Some(value) = reading::value(message) else {
            return;
        };
        match self.root.parse(&message.topic) {
            Ok(Topic::Health) => self.gateway.health(&value),
            Ok(Topic::Status) => {
                let online = line::is_online(&value);
                let was = self.gateway.status.replace(value);
                let was_online = was.as_ref().is_some_and(line::is_online);
                if self.gateway.asked_start.is_some() && was_online && !online {
                    self.screen.note(&texts::gateway_left());
                }
            }
            _ => {}
        }
    }

    fn advanced(&mut self, message: &Message, duplicate: bool) {
        let Some(value) = reading::value(message) else {
            return;
        };
        let seq = value.get("seq").and_then(Value::as_u64).unwrap_or_default();
        if duplicate && seq <= self.last_seq {
            return;
        }
        self.last_seq = seq;
        // A stdout that takes nothing must not keep us from the completion.
        self.progress.show(value, self.screen).ok();
    }

    fn cancel_answered(&self, message: &Message) {
        let answer = reading::value(message).unwrap_or_default();
        let verdict = answer.pointer("/result/verdict").and_then(Value::as_str);
        self.screen.note(&match verdict {
            Some("cancelled") => texts::cancel_heard(),
            Some("too-late") => texts::cancel_too_late(),
            Some("unknown") => texts::cancel_unknown(),
            _ => texts::cancel_failed(&text(&answer, "message")),
        });
    }

    /// Sends the same call again, where that is safe and still worth it.
    fn ask_again(&mut self) -> Result<Option<Sent>, Trouble> {
        // Past its deadline the call could only be begun in vain.
        if Instant::now() >= self.deadline {
            return Ok(None);
        }
        match self.gateway.again(self.asked.is_once()) {
            Again::Later => Ok(None),
            Again::Never => {
                self.screen.alarm(&texts::not_asked_again());
                Ok(None)
            }
            Again::Yes => {
                self.screen.note(&texts::asked_again(&self.asked.id));
                self.gateway.asked_start = Some(self.gateway.start());
                self.publish(self.asked, "call").map(Some)
            }
        }
    }

    fn interrupted(&mut self) -> Result<(), Trouble> {
        if self.cancelled || self.asked.effect == EffectKind::None {
            return Err(Trouble::Left(if self.asked.effect == EffectKind::None {
                texts::left()
            } else {
                texts::left_open(&self.asked.id)
            }));
        }
        self.cancelled = true;
        self.screen.note(&texts::cancelling());
        // Its answer tells; a lost one is as good as a second Ctrl-C away.
        self.publish(&self.asked.cancelling()?, "cancel").map(drop)
    }

    fn gave_up(&self) -> Trouble {
        let id = &self.asked.id;
        Trouble::NoCompletion(match (self.asked.is_once(), self.gateway.again(true)) {
            (true, Again::Never) => texts::no_completion_forgotten(id),
            (true, _) => texts::no_completion_once(id),
            (false, _) => texts::no_completion(id),
        })
    }
}

async fn fate(sent: &mut Option<Sent>) -> Result<(), crate::bus::NotSent> {
    match sent {
        Some(sent) => sent.await,
        None => std::future::pending().await,
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gateway(status: &str, started_at: &str, durable: bool) -> Gateway {
        Gateway {
            status: Some(json!({"status": status, "started_at": started_at})),
            asked_start: Some("monday".to_owned()),
            durable,
        }
    }

    #[test]
    fn a_once_call_is_not_sent_again_to_a_gateway_that_may_have_forgotten_it() {
        let again = |gateway: &Gateway| gateway.again(true);
        assert_eq!(again(&gateway("online", "monday", false)), Again::Yes);
        assert_eq!(again(&gateway("online", "tuesday", false)), Again::Never);
        assert_eq!(again(&gateway("online", "tuesday", true)), Again::Yes);
        assert_eq!(again(&gateway("offline", "monday", true)), Again::Later);
        assert_eq!(again(&Gateway::default()), Again::Later);
        assert_eq!(gateway("online", "tuesday", false).again(false), Again::Yes);
    }

    #[test]
    fn a_journal_on_disk_is_known_by_its_size_in_the_health_document() {
        let mut gateway = Gateway::default();
        gateway.health(&json!({"journal_bytes": 0}));
        assert!(gateway.durable);
        gateway.health(&json!({}));
        assert!(!gateway.durable);
    }
}
