//! The names of devices: those of the configuration, and those that rules give.

use koffer_proto::Class;

use super::{devices::Devices, rules::Rule};

/// What a name stands for.
pub(super) enum Known {
    Nothing,
    /// A device whose table has a mistake.
    Faulty,
    Device(Class),
}

/// All names there can be.
pub(super) struct Named<'a> {
    pub(super) devices: &'a Devices<'a>,
    pub(super) rules: &'a [Rule],
}

impl Named<'_> {
    /// What `name` stands for.
    pub(super) fn of(&self, name: &str) -> Known {
        match self.devices.get(name) {
            Some(Ok(device)) => return Known::Device(device.driver.factory().class),
            Some(Err(_)) => return Known::Faulty,
            None => {}
        }
        let served = self.rules.iter().filter_map(Rule::served);
        served
            .filter(|(template, _)| template.may_become(name))
            .map(|(_, driver)| Known::Device(driver.factory().class))
            .next()
            .unwrap_or(Known::Nothing)
    }

    /// The names as they are written, for suggestions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let served = self.rules.iter().filter_map(Rule::served);
        let given = served.map(|(template, _)| template.as_str());
        self.devices.keys().copied().chain(given)
    }
}
