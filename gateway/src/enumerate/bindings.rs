//! Which attached thing is which device: told what comes and goes, it answers with what changes.
//! No task, no clock: each order of plugging can be tried in a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use koffer_drivers::{DRIVERS, DriverConfig};
use koffer_proto::{
    Class, DeviceId, Reason,
    class::gateway::{AttachedThing, Attachment},
};
use tokio::time::Instant;

use super::{found::Found, reasons};
use crate::config::{DeviceConfig, Rule, Then};

/// A device that is back within this time was never away: hubs and adapters reset by themselves,
/// and a person pushes a loose plug back in.
pub(super) const ABSENT_AFTER: Duration = Duration::from_secs(2);

/// Devices that rules may make from the start to the end: a name with `{serial}` would else let
/// one socket fill the memory and the broker.
const MOST_DEVICES: usize = 256;

/// What changes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// The device is there, and driven so.
    In(DeviceId, Arc<dyn DriverConfig>),
    /// It was pulled out a moment ago.
    Pulled(DeviceId),
    /// It is not there.
    Out(DeviceId),
}

/// Kind and name.
type Key = (&'static str, String);

struct Thing {
    found: Found,
    verdict: Verdict,
}

enum Verdict {
    /// An entry of the configuration uses it.
    Configured(DeviceId),
    /// A rule made it this device.
    Device(DeviceId),
    Unbound(Reason),
}

/// Who has a name.
enum Holder {
    Attached(Key),
    /// It was pulled out and may come back.
    Left(Box<Found>, Instant),
}

/// Everything attached, and what it is.
pub(super) struct Bindings {
    rules: Vec<Rule>,
    configured: Vec<DeviceConfig>,
    things: BTreeMap<Key, Thing>,
    holders: BTreeMap<DeviceId, Holder>,
    /// The devices there have been, and their classes.
    classes: BTreeMap<DeviceId, Class>,
}

impl Bindings {
    pub(super) fn new(rules: Vec<Rule>, configured: Vec<DeviceConfig>) -> Self {
        let mut classes = BTreeMap::new();
        for (name, driver) in rules.iter().filter_map(Rule::served) {
            if let Some(name) = name.fixed() {
                classes.entry(name).or_insert(driver.factory().class);
            }
        }
        Self {
            rules,
            configured,
            things: BTreeMap::new(),
            holders: BTreeMap::new(),
            classes,
        }
    }

    /// Something is attached, or tells more of itself.
    pub(super) fn here(&mut self, now: Instant, found: Found) -> Vec<Change> {
        let key = key(&found);
        let mut changes = Vec::new();
        if let Some(known) = self.things.get(&key) {
            if known.found == found {
                return changes;
            }
            changes = self.gone(now, found.by, &found.name);
        }
        let (verdict, change) = self.judge(&key, &found);
        changes.extend(change);
        self.things.insert(key, Thing { found, verdict });
        changes
    }

    /// Something is no longer attached.
    pub(super) fn gone(&mut self, now: Instant, by: Attachment, name: &str) -> Vec<Change> {
        let key = (by.as_str(), name.to_owned());
        let Some(thing) = self.things.remove(&key) else {
            return Vec::new();
        };
        let Verdict::Device(device) = thing.verdict else {
            return Vec::new();
        };
        let left = Holder::Left(Box::new(thing.found), now + ABSENT_AFTER);
        self.holders.insert(device.clone(), left);
        vec![Change::Pulled(device)]
    }

    /// This is everything of these kinds.
    pub(super) fn all(
        &mut self,
        now: Instant,
        kinds: &[Attachment],
        all: Vec<Found>,
    ) -> Vec<Change> {
        let present: BTreeSet<Key> = all.iter().map(key).collect();
        let missing: Vec<_> = self
            .things
            .iter()
            .filter(|(key, thing)| kinds.contains(&thing.found.by) && !present.contains(key))
            .map(|(_, thing)| (thing.found.by, thing.found.name.clone()))
            .collect();
        let mut changes = Vec::new();
        for (by, name) in missing {
            changes.extend(self.gone(now, by, &name));
        }
        for found in all {
            changes.extend(self.here(now, found));
        }
        changes
    }

    /// When [`Bindings::pass_time`] is due.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let left = self.holders.values().filter_map(|holder| match holder {
            Holder::Left(_, until) => Some(*until),
            Holder::Attached(_) => None,
        });
        left.min()
    }

    /// Who was pulled out and has not come back is absent, and its name free for the next.
    pub(super) fn pass_time(&mut self, now: Instant) -> Vec<Change> {
        let over = |holder: &Holder| matches!(holder, Holder::Left(_, until) if *until <= now);
        let absent: Vec<DeviceId> = self
            .holders
            .iter()
            .filter(|(_, holder)| over(holder))
            .map(|(device, _)| device.clone())
            .collect();
        if absent.is_empty() {
            return Vec::new();
        }
        self.holders.retain(|_, holder| !over(holder));
        let mut changes: Vec<_> = absent.into_iter().map(Change::Out).collect();
        let waiting: Vec<_> = self
            .things
            .iter()
            .filter(|(_, thing)| matches!(thing.verdict, Verdict::Unbound(_)))
            .map(|(key, thing)| (key.clone(), thing.found.clone()))
            .collect();
        for (key, found) in waiting {
            let (verdict, change) = self.judge(&key, &found);
            changes.extend(change);
            if let Some(thing) = self.things.get_mut(&key) {
                thing.verdict = verdict;
            }
        }
        changes
    }

    /// Everything attached, with what the configuration names and nobody finds: network addresses,
    /// lines that are not there.
    pub(super) fn told(&self) -> Vec<AttachedThing> {
        let shown = self
            .things
            .values()
            .filter(|thing| !self.is_shown_as_line(thing));
        let found = shown.map(|thing| {
            let mut told = thing.found.told();
            match &thing.verdict {
                Verdict::Configured(device) | Verdict::Device(device) => {
                    told.device = Some(device.clone());
                }
                Verdict::Unbound(reason) => told.reason = Some(reason.clone()),
            }
            told
        });
        let is_found = |device: &DeviceId| {
            let mut verdicts = self.things.values().map(|thing| &thing.verdict);
            verdicts.any(|verdict| matches!(verdict, Verdict::Configured(found) if found == device))
        };
        let configured = self
            .configured
            .iter()
            .filter(|device| !is_found(&device.id));
        let named = configured.map(|device| AttachedThing {
            device: Some(device.id.clone()),
            ..Found::new(Attachment::Configured, device.driver.address()).told()
        });
        found.chain(named).collect()
    }

    /// A USB adapter's serial lines stand for it.
    fn is_shown_as_line(&self, thing: &Thing) -> bool {
        let lines = self
            .things
            .values()
            .filter(|other| other.found.by == Attachment::Serial);
        thing.found.by == Attachment::Usb
            && thing.found.port.is_some()
            && lines
                .map(|line| &line.found.port)
                .any(|port| *port == thing.found.port)
    }

    fn judge(&mut self, key: &Key, found: &Found) -> (Verdict, Option<Change>) {
        let names = found.names();
        if let Some(device) = self
            .configured
            .iter()
            .find(|device| device.driver.endpoint().is_one_of(&names))
        {
            return (Verdict::Configured(device.id.clone()), None);
        }
        match self.serve(key, found) {
            Ok((device, driver)) => {
                self.holders
                    .insert(device.clone(), Holder::Attached(key.clone()));
                self.classes.insert(device.clone(), driver.factory().class);
                (
                    Verdict::Device(device.clone()),
                    Some(Change::In(device, driver)),
                )
            }
            Err(reason) => (Verdict::Unbound(reason), None),
        }
    }

    /// The device that a rule makes of it.
    fn serve(&self, key: &Key, found: &Found) -> Result<(DeviceId, Arc<dyn DriverConfig>), Reason> {
        let fitting = self.rules.iter().find(|rule| found.fits(&rule.wanted));
        let rule = fitting.ok_or_else(|| unwanted(found))?;
        let Then::Serve(template, driver) = &rule.then else {
            return Err(reasons::ignored(rule));
        };
        let name = template
            .fill(|place| found.place(place))
            .map_err(|place| reasons::no_name(rule, template, Some(place)))?
            .ok_or_else(|| reasons::no_name(rule, template, None))?;
        let taken = |by: &str| Err(reasons::taken(rule, &name, by));
        if let Some(device) = self.configured.iter().find(|device| device.id == name) {
            return taken(&device.driver.address());
        }
        match self.holders.get(&name) {
            Some(Holder::Attached(other)) if other != key => return taken(&other.1),
            Some(Holder::Left(earlier, _)) if !found.is_again(earlier) => {
                return taken(&earlier.name);
            }
            _ => {}
        }
        match self.classes.get(&name) {
            Some(class) if *class != driver.factory().class => return taken(class.as_str()),
            None if self.classes.len() >= MOST_DEVICES => {
                return Err(reasons::too_many(MOST_DEVICES));
            }
            _ => {}
        }
        Ok((name, driver.at(&found.name)))
    }
}

/// Why nobody wants it.
fn unwanted(found: &Found) -> Reason {
    let explain = DRIVERS
        .iter()
        .filter_map(|driver| driver.plugged.as_ref()?.explain);
    let mut explained = explain.filter_map(|explain| explain(&found.usb_classes));
    if let Some(reason) = explained.next() {
        reason
    } else if found.by == Attachment::Serial && found.port.is_none() {
        reasons::only_configured(found)
    } else {
        reasons::no_rule(found)
    }
}

fn key(found: &Found) -> Key {
    (found.by.as_str(), found.name.clone())
}
