//! `device`: everything that is known of one device.

use jiff::tz::TimeZone;
use koffer_proto::{DeviceId, Lang, Root, Segment, Status};
use serde_json::{Value, json};

use super::args::Options;
use super::asked::Asked;
use super::asking::{self, Ended};
use super::devices::{Device, Retained};
use super::draw::{self, Progress, fields, flat, moment};
use super::exit::Exit;
use super::profile::Profile;
use super::reading::{entries, sentence, text};
use super::screen::Screen;
use super::texts;
use super::trouble::Trouble;

/// Shows one device, or the one that serves a role.
pub(super) async fn show(
    profile: &Profile,
    root: &Root,
    name: &Segment,
    options: &Options,
    screen: &Screen,
) -> Result<Exit, Trouble> {
    let retained = Retained::read(profile, root).await?;
    let roles = Role::all(&retained);
    let Some((name, device)) = find(&retained, &roles, name.as_str()) else {
        let devices = retained.devices.keys().map(String::as_str);
        let names: Vec<_> = devices.chain(roles.iter().map(|role| role.name)).collect();
        screen.note(&texts::unknown_device(name, &names.join(", ")));
        return Ok(Exit::Status(Status::UnknownDevice));
    };
    let calls = if retained.is_online {
        calls(profile, root, options, screen).await
    } else {
        None
    };
    let page = Page {
        name,
        device,
        roles: roles.iter().filter(|role| role.has(name)).collect(),
        health: retained.health.pointer(&format!("/devices/{name}")),
        calls: calls.as_ref(),
    };
    screen.json("device", page.json())?;
    screen.text(&page.drawn(screen.lang(), &TimeZone::system()))?;
    retained
        .must_be_online(profile, root, screen)
        .map(|()| Exit::Status(Status::Ok))
}

/// The device of that name, or the one that serves the role, or would first.
fn find<'a>(
    retained: &'a Retained,
    roles: &[Role<'a>],
    name: &str,
) -> Option<(&'a str, &'a Device)> {
    let role = || roles.iter().find(|role| role.name == name);
    let name = if retained.devices.contains_key(name) {
        name
    } else {
        role().and_then(|role| role.serves.or(role.devices.first().copied()))?
    };
    let found = retained.devices.get_key_value(name)?;
    Some((found.0, found.1))
}

/// What waits, runs and is reserved; `None` where this user may not ask, which is told.
async fn calls(
    profile: &Profile,
    root: &Root,
    options: &Options,
    screen: &Screen,
) -> Option<Value> {
    let ended = async {
        let asked = Asked::gateway("calls", &json!({}))?;
        let mut progress = Progress::default();
        asking::ask(profile, root, &asked, options.grace, screen, &mut progress).await
    };
    let trouble = match ended.await {
        Ok(Ended::Completed(mut completion)) => match completion.get_mut("result") {
            Some(result) => return Some(result.take()),
            None => text(&completion, "message").to_owned(),
        },
        Ok(Ended::Unreadable) => texts::no_answer_to_read().get(screen.lang()).to_owned(),
        Err(trouble) => trouble.text().get(screen.lang()).to_owned(),
    };
    screen.note(&texts::calls_not_read(&trouble));
    None
}

/// A role as the gateway's description has it.
#[derive(Debug)]
struct Role<'a> {
    name: &'a str,
    devices: Vec<&'a str>,
    serves: Option<&'a str>,
    value: &'a Value,
}

impl<'a> Role<'a> {
    fn all(retained: &'a Retained) -> Vec<Self> {
        let gateway = retained.devices.get(DeviceId::GATEWAY);
        let roles = gateway.and_then(|gateway| gateway.description.get("roles"));
        let roles = roles.and_then(Value::as_object).into_iter().flatten();
        roles
            .map(|(name, value)| Self {
                name,
                devices: entries(value, "devices")
                    .filter_map(Value::as_str)
                    .collect(),
                serves: value.get("serves").and_then(Value::as_str),
                value,
            })
            .collect()
    }

    fn has(&self, device: &str) -> bool {
        device == DeviceId::GATEWAY || self.devices.contains(&device)
    }

    /// Who does the role's calls now, and who stands in.
    fn line(&self, device: &str, lang: Lang) -> String {
        let order = self.devices.join(", ");
        let told = match self.serves {
            Some(serves) if serves == device => {
                let after = self.devices.iter().skip_while(|other| **other != device);
                let others: Vec<_> = after.skip(1).copied().collect();
                let others = if others.is_empty() {
                    texts::nobody().get(lang).to_owned()
                } else {
                    others.join(", ")
                };
                texts::role_served_here(&self.name, &others)
            }
            Some(serves) => texts::role_served_by(&self.name, &serves, &order),
            None => texts::role_not_served(&self.name, &order),
        };
        told.get(lang).to_owned()
    }
}

/// Everything of one device.
struct Page<'a> {
    name: &'a str,
    device: &'a Device,
    roles: Vec<&'a Role<'a>>,
    health: Option<&'a Value>,
    calls: Option<&'a Value>,
}

impl Page<'_> {
    /// The entries of this device in what the gateway lists of calls.
    fn listed(&self, field: &'static str) -> impl Iterator<Item = &Value> {
        let entries = self.calls.into_iter().flat_map(move |c| entries(c, field));
        entries.filter(|entry| text(entry, "device") == self.name)
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "device": self.name,
            "address": self.device.address(),
            "description": self.device.description,
            "state": self.device.state,
            "roles": self.roles.iter()
                .map(|role| (role.name.to_owned(), role.value.clone()))
                .collect::<serde_json::Map<_, _>>(),
            "health": self.health,
        });
        if self.calls.is_some() {
            for field in ["calls", "unresolved", "claims"] {
                value[field] = self.listed(field).cloned().collect();
            }
        }
        value
    }

    fn drawn(&self, lang: Lang, zone: &TimeZone) -> String {
        let about = fields(&self.about(lang, zone));
        let calls = draw::calls(self.listed("calls"), lang, zone);
        let unresolved = draw::unresolved(self.listed("unresolved"), lang, zone);
        let parts = [about, calls, unresolved];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("\n\n")
    }

    fn about(&self, lang: Lang, zone: &TimeZone) -> Vec<(String, Vec<String>)> {
        let Device { description, state } = self.device;
        let plain = |value: &str| match value {
            "" => Vec::new(),
            value => vec![value.to_owned()],
        };
        let of = |field: &str| plain(text(description, field));
        let word = texts::device_state(text(state, "state"));
        let since = moment(text(state, "since"), zone);
        let since = texts::state_since(&word.get(lang), &since);
        let reasons = entries(state, "reasons")
            .map(|reason| format!("{}: {}", text(reason, "keyword"), sentence(reason, lang)));
        let operations = description.get("operations").and_then(Value::as_object);
        let operations: Vec<_> = operations.into_iter().flatten().collect();
        let operations: Vec<_> = operations.iter().map(|(name, _)| name.as_str()).collect();
        let rows = [
            (texts::device(), plain(self.name)),
            (texts::class(), of("class")),
            (texts::driver(), of("driver")),
            (texts::address(), plain(&self.device.address())),
            (texts::vendor(), of("vendor")),
            (texts::model(), of("model")),
            (texts::serial_number(), of("serial")),
            (texts::firmware(), of("firmware")),
            (texts::state(), plain(since.get(lang))),
            (texts::reasons(), reasons.collect()),
            (texts::capabilities(), self.capabilities(lang)),
            (texts::operations(), plain(&operations.join(", "))),
            (
                texts::roles(),
                self.roles
                    .iter()
                    .map(|role| role.line(self.name, lang))
                    .collect(),
            ),
            (texts::claim(), self.claim(lang, zone)),
            (texts::queue(), self.queue(lang)),
            (texts::counters(), self.counters(lang)),
            (texts::self_test(), self.self_test(lang, zone)),
        ];
        let rows = rows.into_iter();
        rows.map(|(name, values)| (name.get(lang).to_owned(), values))
            .collect()
    }

    fn capabilities(&self, lang: Lang) -> Vec<String> {
        let of_class = self.device.description.get("capabilities");
        let of_class = of_class.and_then(Value::as_object).into_iter().flatten();
        let capabilities = of_class
            .filter_map(|(_, value)| value.as_object())
            .flatten();
        capabilities
            .map(|(name, value)| (name, flat(value, lang)))
            .filter(|(_, told)| !told.is_empty())
            .map(|(name, told)| format!("{name}: {told}"))
            .collect()
    }

    /// Nothing where it is not known who holds it.
    fn claim(&self, lang: Lang, zone: &TimeZone) -> Vec<String> {
        let held: Vec<_> = self
            .listed("claims")
            .map(|claim| {
                let until = moment(text(claim, "until"), zone);
                let held = texts::claim_of(&text(claim, "client"), &until);
                held.get(lang).to_owned()
            })
            .collect();
        let is_free = held.is_empty()
            && self.calls.is_some()
            && text(&self.device.state, "state") != "claimed";
        if is_free {
            vec![texts::nothing().get(lang).to_owned()]
        } else {
            held
        }
    }

    fn count(&self, field: &str) -> Option<u64> {
        self.health?.get(field)?.as_u64()
    }

    fn queue(&self, lang: Lang) -> Vec<String> {
        let waiting = self.count("queued").map(|count| texts::waiting(&count));
        let waiting = waiting.map(|text| text.get(lang).to_owned());
        waiting.into_iter().collect()
    }

    fn counters(&self, lang: Lang) -> Vec<String> {
        let completed = self.health.and_then(|health| health.get("completed"));
        let completed = completed.and_then(Value::as_object).into_iter().flatten();
        let mut counters: Vec<_> = completed
            .map(|(status, count)| format!("{status}: {count}"))
            .collect();
        let restarts = self.count("restarts");
        let restarts = restarts.map(|count| texts::driver_restarts(&count));
        counters.extend(restarts.map(|text| text.get(lang).to_owned()));
        counters
    }

    fn self_test(&self, lang: Lang, zone: &TimeZone) -> Vec<String> {
        let last = self.health.and_then(|health| health.get("self_test"));
        let last = last.filter(|last| !last.is_null());
        let last = last.map(|last| {
            let outcome = texts::step_outcome(text(last, "outcome"));
            let level = texts::test_level(text(last, "level"));
            let at = moment(text(last, "at"), zone);
            let told = texts::last_self_test(&outcome.get(lang), &level.get(lang), &at);
            told.get(lang).to_owned()
        });
        last.into_iter().collect()
    }
}
