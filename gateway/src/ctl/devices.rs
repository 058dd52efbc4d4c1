//! `devices` and `watch`: what the gateway publishes of itself and its devices.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use koffer_proto::{DeviceId, Lang, Root, Segment, Topic};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::draw::{moment, table};
use super::line::{self, Heard, Line, OpenError};
use super::profile::Profile;
use super::reading::{self, text};
use super::screen::{Screen, harmless};
use super::texts;
use super::trouble::Trouble;
use crate::bus::Message;

/// What is retained of one device.
#[derive(Debug, Default)]
struct Device {
    description: Value,
    state: Value,
}

/// Lists the devices.
pub(super) async fn list(profile: &Profile, root: &Root, screen: &Screen) -> Result<(), Trouble> {
    let filters = vec![
        root.topic(&Topic::Status),
        format!("{root}/dev/+"),
        format!("{root}/dev/+/state"),
    ];
    let mut line = Line::open(profile, filters).await?;
    let messages = line.retained().await;
    line.close().await;
    let (status, devices) = sort(root, &messages);
    let Some(status) = status else {
        let text = texts::gateway_absent(root.gateway(), &profile.address);
        return Err(Trouble::NoGateway(text));
    };
    for (device, known) in &devices {
        let value = json!({
            "device": device, "description": known.description, "state": known.state,
        });
        screen.json("device", value)?;
    }
    let lang = screen.lang();
    if devices.is_empty() {
        screen.text(texts::no_devices().get(lang))?;
    } else {
        screen.text(&drawn(&devices, lang, &TimeZone::system()))?;
    }
    if line::is_online(&status) {
        return Ok(());
    }
    screen.note(&texts::stale());
    let text = texts::gateway_offline(root.gateway(), &profile.address);
    Err(Trouble::NoGateway(text))
}

/// The gateway's status, and the devices by name.
fn sort(root: &Root, messages: &[Message]) -> (Option<Value>, BTreeMap<String, Device>) {
    let mut status = None;
    let mut devices: BTreeMap<String, Device> = BTreeMap::new();
    for message in messages {
        // An empty retained message takes a document away.
        let Some(value) = reading::value(message).filter(|_| !message.payload.is_empty()) else {
            continue;
        };
        match root.parse(&message.topic) {
            Ok(Topic::Status) => status = Some(value),
            Ok(Topic::Device(device)) => {
                devices.entry(device.to_string()).or_default().description = value;
            }
            Ok(Topic::State(device)) => {
                devices.entry(device.to_string()).or_default().state = value;
            }
            _ => {}
        }
    }
    (status, devices)
}

fn drawn(devices: &BTreeMap<String, Device>, lang: Lang, zone: &TimeZone) -> String {
    let head = [
        texts::device(),
        texts::class(),
        texts::state(),
        texts::since(),
        texts::model(),
        texts::reasons(),
    ];
    let rows = devices
        .iter()
        .map(|(name, device)| {
            let Device { description, state } = device;
            let model = [text(description, "vendor"), text(description, "model")].join(" ");
            [
                name.clone(),
                text(description, "class").to_owned(),
                text(state, "state").to_owned(),
                moment(text(state, "since"), zone),
                model.trim().to_owned(),
                reasons(state, lang),
            ]
        })
        .collect();
    table(head.map(|word| word.get(lang).to_owned()), rows)
}

/// The sentences of a state's reasons, or their keywords.
fn reasons(state: &Value, lang: Lang) -> String {
    let reasons = state.get("reasons").and_then(Value::as_array);
    let sentences: Vec<_> = reasons
        .into_iter()
        .flatten()
        .map(|reason| {
            let sentence = reason
                .get("text")
                .map_or("", |sentence| text(sentence, lang.as_str()));
            if sentence.is_empty() {
                text(reason, "keyword")
            } else {
                sentence
            }
        })
        .collect();
    sentences.join(" ")
}

/// Follows what the gateway publishes until Ctrl-C.
pub(super) async fn watch(
    profile: &Profile,
    root: &Root,
    device: Option<&DeviceId>,
    screen: &Screen,
) -> Result<(), Trouble> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let which = device.map_or("+", DeviceId::as_str);
    let mut filters = vec![
        root.topic(&Topic::Status),
        root.topic(&Topic::Health),
        format!("{root}/dev/{which}"),
        format!("{root}/dev/{which}/state"),
    ];
    let events = format!("{root}/dev/{which}/event/+");
    let mut line = match Line::open(profile, [filters.clone(), vec![events.clone()]].concat()).await
    {
        Err(OpenError::Filter { filter, .. }) if filter == events => {
            // A monitor reads states and no events.
            screen.note(&texts::no_events());
            Line::open(profile, std::mem::take(&mut filters)).await?
        }
        opened => opened?,
    };
    let zone = TimeZone::system();
    loop {
        tokio::select! {
            heard = line.next() => match heard {
                Heard::Down(reason) => screen.note(&texts::line_down(&reason)),
                Heard::Up { .. } => screen.note(&texts::line_up()),
                Heard::Said(message, _) => {
                    if let Some(news) = News::new(root, &message) {
                        news.show(screen, &zone)?;
                    }
                }
            },
            _ = interrupt.recv() => break,
        }
    }
    line.close().await;
    Ok(())
}

/// One message of the gateway.
#[derive(Debug, PartialEq)]
struct News {
    kind: &'static str,
    device: Option<DeviceId>,
    event: Option<Segment>,
    value: Value,
}

impl News {
    fn new(root: &Root, message: &Message) -> Option<Self> {
        let (kind, device, event) = match root.parse(&message.topic).ok()? {
            Topic::Status => ("status", None, None),
            Topic::Health => ("health", None, None),
            Topic::Device(device) => ("device", Some(device), None),
            Topic::State(device) => ("state", Some(device), None),
            Topic::Event { device, kind } => ("event", Some(device), Some(kind)),
            Topic::Call { .. } | Topic::Reply(_) => return None,
        };
        if message.payload.is_empty() {
            return Some(Self {
                kind: "removed",
                device,
                event,
                value: json!({"document": kind}),
            });
        }
        Some(Self {
            kind,
            device,
            event,
            value: reading::value(message)?,
        })
    }

    fn show(mut self, screen: &Screen, zone: &TimeZone) -> Result<(), Trouble> {
        screen.text(&self.line(screen.lang(), zone))?;
        if let (Some(device), Some(fields)) = (&self.device, self.value.as_object_mut()) {
            fields.insert("device".to_owned(), device.as_str().into());
        }
        screen.json(self.kind, self.value)?;
        Ok(())
    }

    /// Time, place, kind and words.
    fn line(&self, lang: Lang, zone: &TimeZone) -> String {
        let value = &self.value;
        let number = |field: &str| value.get(field).and_then(Value::as_u64).unwrap_or_default();
        let (time, words) = match self.kind {
            "status" => (
                text(value, "started_at"),
                format!(
                    "{}  kofferd {}",
                    text(value, "status"),
                    text(value, "version")
                ),
            ),
            "health" => {
                let memory = number("rss_bytes") / (1024 * 1024);
                let words = texts::health(&number("calls_open"), &number("outbox"), &memory);
                (text(value, "at"), words.get(lang).to_owned())
            }
            "device" => (
                "",
                ["class", "driver", "vendor", "model", "serial"]
                    .map(|field| text(value, field))
                    .join(" "),
            ),
            "state" => (
                text(value, "since"),
                format!("{}  {}", text(value, "state"), reasons(value, lang)),
            ),
            "event" => {
                let event = self.event.as_ref().map_or("", Segment::as_str);
                (text(value, "at"), event.to_owned())
            }
            _ => ("", texts::gone().get(lang).to_owned()),
        };
        let place = self.device.as_ref().map_or("gateway", DeviceId::as_str);
        let line = format!(
            "{:<19}  {place:<16}  {:<7}  {words}",
            moment(time, zone),
            self.kind
        );
        harmless(line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Root {
        Root::new("case-7".parse().unwrap())
    }

    fn message(topic: &str, value: &Value) -> Message {
        Message::new(format!("{}/{topic}", root()), value.to_string())
    }

    fn state() -> Value {
        json!({"state": "fault", "since": "2026-03-02T08:15:30Z", "generation": 2, "reasons": [
            {"keyword": "offline", "text":
                {"de": "Kein Kontakt. Kabel prüfen.", "en": "No contact. Check the cable."}},
            {"keyword": "new-in-1-1"},
        ]})
    }

    #[test]
    fn devices_are_listed_with_their_reasons_in_the_language_of_the_person() {
        let messages = [
            message("status", &json!({"status": "online"})),
            message("dev/ec-terminal/state", &state()),
            message(
                "dev/ec-terminal",
                &json!({"class": "payment", "vendor": "Acme", "model": "T1", "new": {}}),
            ),
            message("dev/a4", &json!({"class": "from-version-1-1"})),
            Message::new(format!("{}/dev/gone", root()), ""),
            message("something/new", &json!({})),
        ];
        let (status, devices) = sort(&root(), &messages);
        assert!(status.is_some_and(|status| line::is_online(&status)));
        assert_eq!(
            drawn(&devices, Lang::De, &TimeZone::UTC),
            "\
GERÄT        KLASSE            ZUSTAND  SEIT                 MODELL   GRUND
a4           from-version-1-1
ec-terminal  payment           fault    2026-03-02 08:15:30  Acme T1  \
Kein Kontakt. Kabel prüfen. new-in-1-1"
        );
        assert!(drawn(&devices, Lang::En, &TimeZone::UTC).contains("No contact."));
    }

    #[test]
    fn news_are_one_line_each() {
        let line = |message: &Message| {
            News::new(&root(), message).map(|news| news.line(Lang::En, &TimeZone::UTC))
        };
        for (message, expected) in [
            (
                message("dev/ec/state", &state()),
                "2026-03-02 08:15:30  ec                state    fault  \
                 No contact. Check the cable. new-in-1-1",
            ),
            (
                message(
                    "dev/ec/event/card-inserted",
                    &json!({"at": "2026-03-02T08:15:30Z"}),
                ),
                "2026-03-02 08:15:30  ec                event    card-inserted",
            ),
            (
                message("status", &json!({"status": "online", "version": "0.1.0"})),
                "                     gateway           status   online  kofferd 0.1.0",
            ),
            (
                Message::new("koffer/1/case-7/dev/ec", ""),
                "                     ec                removed  removed",
            ),
        ] {
            assert_eq!(line(&message).as_deref(), Some(expected));
        }
        assert_eq!(
            line(&Message::new("koffer/1/case-7/dev/ec/state", "{")),
            None
        );
        assert_eq!(line(&message("reply/ws-1/x", &json!({}))), None);
    }
}
