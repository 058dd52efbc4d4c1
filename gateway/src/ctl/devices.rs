//! `devices` and `watch`: what the gateway publishes of itself and its devices.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use koffer_proto::{Connection, DeviceId, Lang, Root, Segment, Topic};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::draw::{moment, table};
use super::line::{self, Heard, Line, OpenError};
use super::profile::Profile;
use super::reading::{self, entries, sentence, text};
use super::screen::{Screen, harmless};
use super::texts;
use super::trouble::Trouble;
use crate::bus::Message;

/// What is retained of one device.
#[derive(Debug, Default)]
pub(super) struct Device {
    pub(super) description: Value,
    pub(super) state: Value,
}

impl Device {
    /// Where the gateway reaches it; the kind of connection where this version does not know it.
    pub(super) fn address(&self) -> String {
        let connection = self.description.get("connection").unwrap_or(&Value::Null);
        match Connection::deserialize(connection) {
            Ok(known) => known.address().unwrap_or_default(),
            Err(_) => text(connection, "kind").to_owned(),
        }
    }
}

/// What is retained of a gateway and its devices, by name.
#[derive(Debug, Default)]
pub(super) struct Retained {
    pub(super) health: Value,
    pub(super) devices: BTreeMap<String, Device>,
    pub(super) is_online: bool,
}

impl Retained {
    /// Reads what the gateway has published.
    pub(super) async fn read(profile: &Profile, root: &Root) -> Result<Self, Trouble> {
        let filters = vec![
            root.topic(&Topic::Status),
            root.topic(&Topic::Health),
            format!("{root}/dev/+"),
            format!("{root}/dev/+/state"),
        ];
        let mut line = Line::open(profile, filters).await?;
        let messages = line.retained().await;
        line.close().await;
        Self::of(root, &messages).ok_or_else(|| {
            Trouble::NoGateway(texts::gateway_absent(root.gateway(), &profile.address))
        })
    }

    /// `None`: there is no such gateway.
    fn of(root: &Root, messages: &[Message]) -> Option<Self> {
        let mut status = None;
        let mut retained = Self::default();
        for message in messages {
            // An empty retained message takes a document away.
            let Some(value) = reading::value(message).filter(|_| !message.payload.is_empty())
            else {
                continue;
            };
            match root.parse(&message.topic) {
                Ok(Topic::Status) => status = Some(value),
                Ok(Topic::Health) => retained.health = value,
                Ok(Topic::Device(device)) => retained.device(&device).description = value,
                Ok(Topic::State(device)) => retained.device(&device).state = value,
                _ => {}
            }
        }
        retained.is_online = line::is_online(&status?);
        Some(retained)
    }

    fn device(&mut self, device: &DeviceId) -> &mut Device {
        self.devices.entry(device.to_string()).or_default()
    }

    /// Says that what was shown is the last that is known, where the gateway is offline.
    pub(super) fn must_be_online(
        &self,
        profile: &Profile,
        root: &Root,
        screen: &Screen,
    ) -> Result<(), Trouble> {
        if self.is_online {
            return Ok(());
        }
        screen.note(&texts::stale());
        let text = texts::gateway_offline(root.gateway(), &profile.address);
        Err(Trouble::NoGateway(text))
    }
}

/// Lists the devices.
pub(super) async fn list(profile: &Profile, root: &Root, screen: &Screen) -> Result<(), Trouble> {
    let retained = Retained::read(profile, root).await?;
    for (device, known) in &retained.devices {
        let value = json!({
            "device": device, "address": known.address(),
            "description": known.description, "state": known.state,
        });
        screen.json("device", value)?;
    }
    let lang = screen.lang();
    if retained.devices.is_empty() {
        screen.text(texts::no_devices().get(lang))?;
    } else {
        screen.text(&drawn(&retained.devices, lang, &TimeZone::system()))?;
    }
    retained.must_be_online(profile, root, screen)
}

fn drawn(devices: &BTreeMap<String, Device>, lang: Lang, zone: &TimeZone) -> String {
    let head = [
        texts::device(),
        texts::class(),
        texts::state(),
        texts::since(),
        texts::model(),
        texts::address(),
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
                texts::device_state(text(state, "state"))
                    .get(lang)
                    .to_owned(),
                moment(text(state, "since"), zone),
                model.trim().to_owned(),
                device.address(),
                reasons(state, lang),
            ]
        })
        .collect();
    table(head.map(|word| word.get(lang).to_owned()), rows)
}

/// The sentences of a state's reasons, or their keywords.
fn reasons(state: &Value, lang: Lang) -> String {
    let sentences = entries(state, "reasons").map(|reason| sentence(reason, lang));
    sentences.collect::<Vec<_>>().join(" ")
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
            "state" => {
                let state = texts::device_state(text(value, "state"));
                let words = format!("{}  {}", state.get(lang), reasons(value, lang));
                (text(value, "since"), words)
            }
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
                &json!({"class": "payment", "vendor": "Acme", "model": "T1", "new": {},
                    "connection": {"kind": "tcp", "address": "192.0.2.7:20007"}}),
            ),
            message(
                "dev/a4",
                &json!({"class": "from-version-1-1", "connection": {"kind": "pigeon"}}),
            ),
            Message::new(format!("{}/dev/gone", root()), ""),
            message("something/new", &json!({})),
        ];
        let retained = Retained::of(&root(), &messages).unwrap();
        assert!(retained.is_online);
        assert_eq!(
            drawn(&retained.devices, Lang::De, &TimeZone::UTC),
            "\
GERÄT        KLASSE            ZUSTAND  SEIT                 MODELL   ADRESSE          GRUND
a4           from-version-1-1                                         pigeon
ec-terminal  payment           Störung  2026-03-02 08:15:30  Acme T1  192.0.2.7:20007  \
Kein Kontakt. Kabel prüfen. new-in-1-1"
        );
        let english = drawn(&retained.devices, Lang::En, &TimeZone::UTC);
        assert!(english.contains("  fault  ") && english.contains("No contact."));
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
