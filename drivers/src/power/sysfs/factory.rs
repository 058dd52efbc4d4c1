//! What a technician configures of the machine's own supplies.

use std::{path::PathBuf, sync::Arc};

use koffer_proto::{Class, Connection, GatewayId};
use koffer_settings::{Key, Parsed, Preset, Section, Whole, absolute_path};

use super::sensor::Supplies;
use crate::{
    Driver, DriverConfig, DriverFactory, DriverName, Endpoint, factory::driver_key,
    sensor::SensorDriver,
};

/// The driver's entry in the table of drivers.
pub static FACTORY: DriverFactory = DriverFactory {
    name: "sysfs",
    class: Class::Power,
    section: &SECTION,
    configured: |table, _| {
        let folder = table.get(&FOLDER);
        let low_percent = table.get(&LOW_PERCENT)?;
        Ok(Arc::new(SysfsConfig {
            folder: folder?,
            // Its form has no more than 100.
            low_percent: u8::try_from(low_percent).unwrap_or(u8::MAX),
        }))
    },
    address_key: FOLDER.name,
    plugged: None,
    fail_points: &[],
};

/// The supplies of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysfsConfig {
    /// Where the kernel shows them.
    pub folder: PathBuf,
    /// From here down the battery is almost empty.
    pub low_percent: u8,
}

impl DriverConfig for SysfsConfig {
    fn factory(&self) -> &'static DriverFactory {
        &FACTORY
    }

    fn address(&self) -> String {
        self.folder.display().to_string()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Path(self.folder.clone())
    }

    fn connection(&self) -> Connection {
        Connection::Internal
    }

    fn driver(&self, _: &GatewayId) -> Box<dyn Driver> {
        Box::new(SensorDriver::new(Supplies::new(self.clone())))
    }
}

static DRIVER: Key<DriverName> = driver_key(r#"driver = "sysfs""#);

static FOLDER: Key<Parsed<PathBuf>> = Key {
    name: "folder",
    form: absolute_path(),
    preset: Preset::Value("/sys/class/power_supply"),
    example: r#"folder = "/sys/class/power_supply""#,
    about: "Where Linux shows mains and batteries; another one only on a machine that mounts it elsewhere.",
};

static LOW_PERCENT: Key<Whole> = Key {
    name: "low_percent",
    form: Whole { min: 1, max: 100 },
    preset: Preset::Value("10"),
    example: "low_percent = 10",
    about: "From this charge down the battery counts as almost empty, where it does not say so earlier itself.",
};

static SECTION: Section = Section {
    path: r#"devices.<name>, driver = "sysfs""#,
    about: "The batteries and the mains of this machine, as Linux shows them; class `power`.",
    keys: &[&DRIVER, &FOLDER, &LOW_PERCENT],
    tables: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::parsed;

    #[test]
    fn nothing_needs_to_be_written() {
        let config = parsed(&FACTORY, "").unwrap();
        assert_eq!(config.address(), "/sys/class/power_supply");
        let mistakes = parsed(&FACTORY, "folder = \"sys\"\nlow_percent = 0").unwrap_err();
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    }
}
