//! Why something is no device, and why a device is not there.

use koffer_proto::{DeviceId, Reason};

use super::found::Found;
use crate::config::{Rule, Template};

/// Nothing that is attached is this device.
pub(super) fn not_attached() -> Reason {
    Reason::new(
        "not-attached",
        "Nicht angeschlossen. Kabel prüfen; „kofferctl devices --unbound“ zeigt, was angeschlossen ist und keine Regel hat.",
        "Not attached. Check the cable; kofferctl devices --unbound shows what is attached and has no rule.",
    )
}

pub(super) fn no_rule(found: &Found) -> Reason {
    let mut keys = vec![format!("by = \"{}\"", found.by.as_str())];
    for (key, value) in [
        ("vid", &found.vid),
        ("pid", &found.pid),
        ("serial", &found.serial),
    ] {
        keys.extend(value.as_ref().map(|value| format!("{key} = {value:?}")));
    }
    if found.serial.is_none() {
        let port = found.port.as_ref();
        keys.extend(port.map(|port| format!("port = {port:?}")));
    }
    if found.port.is_none() {
        keys.push(format!("reader = {:?}", found.name));
    }
    let line = format!("match = {{ {} }}", keys.join(", "));
    Reason::new(
        "no-rule",
        format!("Keine Regel passt. Eine schreiben (docs/rules.md): {line}"),
        format!("No rule fits. Write one (docs/rules.md): {line}"),
    )
}

/// Nothing tells it from others of its kind, so no rule can.
pub(super) fn only_configured(found: &Found) -> Reason {
    let node = &found.name;
    Reason::new(
        "configure-it",
        format!(
            "Eine eingebaute serielle Schnittstelle. Ist ein Gerät daran angeschlossen, als [devices.NAME] mit address = \"serial://{node}\" eintragen."
        ),
        format!(
            "A built-in serial port. If a device is connected to it, configure it as [devices.NAME] with address = \"serial://{node}\"."
        ),
    )
}

pub(super) fn ignored(rule: &Rule) -> Reason {
    let at = &rule.origin;
    Reason::new(
        "ignored",
        format!("Die Regel in {at} schließt es aus (ignore)."),
        format!("The rule in {at} excludes it (ignore)."),
    )
}

pub(super) fn taken(rule: &Rule, name: &DeviceId, by: &str) -> Reason {
    let at = &rule.origin;
    Reason::new(
        "rule-taken",
        format!(
            "Die Regel in {at} passt, aber {name} ist schon {by}. Mit port oder serial in match unterscheiden, oder {{port}} im Namen verwenden."
        ),
        format!(
            "The rule in {at} fits, but {name} is already {by}. Tell them apart by port or serial in match, or use {{port}} in the name."
        ),
    )
}

pub(super) fn no_name(rule: &Rule, template: &Template, place: Option<&str>) -> Reason {
    let at = &rule.origin;
    match place {
        Some(place) => Reason::new(
            "no-name",
            format!(
                "Die Regel in {at} nennt es {template}, aber es hat kein {place}. Einen anderen Namen schreiben."
            ),
            format!(
                "The rule in {at} calls it {template}, but it has no {place}. Write another name."
            ),
        ),
        None => Reason::new(
            "no-name",
            format!(
                "Die Regel in {at} nennt es {template}; daraus wird kein Name von höchstens 64 Zeichen. Einen anderen Namen schreiben."
            ),
            format!(
                "The rule in {at} calls it {template}; that makes no name of at most 64 characters. Write another name."
            ),
        ),
    }
}

pub(super) fn too_many(most: usize) -> Reason {
    Reason::new(
        "too-many",
        format!(
            "Seit dem Start hatten die Regeln schon {most} Geräte. kofferd neu starten, damit alte vergessen werden."
        ),
        format!(
            "Since the start the rules had {most} devices already. Restart kofferd, so that it forgets old ones."
        ),
    )
}
