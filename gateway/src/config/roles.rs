//! `[roles]`: names that stand for the first of some devices that is ready and able.

use std::collections::BTreeMap;

use koffer_proto::{Class, DeviceId, Segment, Text};

use super::named::{Known, Named};
use koffer_settings::{
    Key, List, Parsed, Preset, Reported, Section, Table, name, parse_name, suggestion, text,
};

static ROLE: Key<List<Parsed<DeviceId>>> = Key {
    name: "<role>",
    form: List(name()),
    preset: Preset::Optional,
    example: r#"forms-printer = ["a4-office", "a4-spare"]"#,
    about: "The devices of a role, in the order in which they are tried: a call goes to the first that \
            is ready and able. All of one class.",
};

pub(super) static SECTION: Section = Section {
    path: "roles",
    about: "Roles stand in topics where a device could stand.",
    keys: &[&ROLE],
    tables: &[],
};

pub(super) fn read(
    root: &Table<'_>,
    devices: &Named<'_>,
) -> Result<BTreeMap<Segment, Vec<DeviceId>>, Reported> {
    let table = root.table("roles");
    let roles: Vec<_> = table
        .names()
        .into_iter()
        .map(|name| {
            let id = id(&table, name, devices);
            let members = members(&table, name, devices);
            Ok((id?, members?))
        })
        .collect();
    roles.into_iter().collect()
}

fn id(table: &Table<'_>, name: &str, devices: &Named<'_>) -> Result<Segment, Reported> {
    let rename = text!("Einen anderen Namen wählen.", "Choose another name.");
    let id = parse_name(name).map_err(|what| table.mistake(name, what, rename.clone()))?;
    let taken = if name == DeviceId::GATEWAY {
        text!(
            "»gateway« ist das Gateway selbst",
            "\"gateway\" is the gateway itself"
        )
    } else if !matches!(devices.of(name), Known::Nothing) {
        text!(
            "»{name}« heißt schon ein Gerät",
            "\"{name}\" is already the name of a device"
        )
    } else {
        return Ok(id);
    };
    Err(table.mistake(name, taken, rename))
}

fn members(table: &Table<'_>, role: &str, devices: &Named<'_>) -> Result<Vec<DeviceId>, Reported> {
    let members = table.read(role, &ROLE.form)?.unwrap_or_default();
    let mut faults: Vec<(Text, Text)> = Vec::new();
    if members.is_empty() {
        faults.push((
            text!("diese Rolle hat kein Gerät", "this role has no device"),
            text!(
                "Mindestens ein Gerät nennen, oder die Rolle entfernen.",
                "Name at least one device, or remove the role."
            ),
        ));
    }
    let mut classes = Vec::new();
    for (index, member) in members.iter().enumerate() {
        if members.iter().take(index).any(|earlier| earlier == member) {
            faults.push((
                text!("{member} steht zweimal da", "{member} stands there twice"),
                text!(
                    "Einen der Einträge entfernen.",
                    "Remove one of the entries."
                ),
            ));
            continue;
        }
        match devices.of(member.as_str()) {
            Known::Nothing if table.incomplete().is_some() => {}
            Known::Nothing => faults.push((
                text!(
                    "ein Gerät {member} gibt es nicht",
                    "there is no device {member}"
                ),
                suggestion(member.as_str(), devices.names()),
            )),
            Known::Faulty => {}
            Known::Device(class) => classes.push((member, class)),
        }
    }
    faults.extend(other_classes(&classes));
    let mut reported = Ok(members);
    for (what, remedy) in faults {
        reported = Err(table.mistake(role, what, remedy));
    }
    reported
}

/// What is wrong with devices that are not of the first one's class.
fn other_classes(devices: &[(&DeviceId, Class)]) -> Vec<(Text, Text)> {
    let Some(((first, class), rest)) = devices.split_first() else {
        return Vec::new();
    };
    rest.iter()
        .filter(|(_, other)| other != class)
        .map(|(device, other)| {
            (
                text!(
                    "{device} hat die Klasse {other}, {first} die Klasse {class}",
                    "{device} has the class {other}, {first} the class {class}"
                ),
                text!(
                    "Je Klasse eine eigene Rolle anlegen.",
                    "Make a role of its own per class."
                ),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devices_of_a_role_are_of_one_class() {
        let ids: Vec<DeviceId> = ["a", "b", "c"].map(|id| id.parse().unwrap()).into();
        let with = |classes: [Class; 3]| {
            let devices: Vec<_> = ids.iter().zip(classes).collect();
            let faults = other_classes(&devices);
            faults
                .into_iter()
                .map(|(what, _)| what.en)
                .collect::<Vec<_>>()
        };
        assert_eq!(with([Class::DocumentPrinter; 3]), [""; 0]);
        assert_eq!(
            with([
                Class::DocumentPrinter,
                Class::ReceiptPrinter,
                Class::DocumentPrinter
            ]),
            ["b has the class receipt-printer, a the class document-printer"]
        );
        assert!(other_classes(&[]).is_empty());
    }
}
