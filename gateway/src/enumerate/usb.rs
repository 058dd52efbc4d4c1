//! What USB devices say in their descriptors, through libusb in a context of our own. When a
//! device has just been plugged in, the kernel does not show its interfaces in sysfs yet.

use std::collections::{BTreeMap, BTreeSet};

use rusb::{Context, Device, UsbContext};

/// Reads descriptors. A machine without USB has none, which is no error.
#[derive(Default)]
pub(super) struct Descriptors {
    context: Option<Context>,
    told: bool,
}

impl Descriptors {
    /// The classes of each device and its interfaces, by USB bus and port path.
    pub(super) fn classes(&mut self) -> BTreeMap<String, Vec<u8>> {
        if self.context.is_none() {
            // Tried anew each time: a controller may be plugged in, too.
            match Context::new() {
                Ok(context) => self.context = Some(context),
                Err(error) if !self.told => {
                    self.told = true;
                    tracing::info!(%error, "no USB here");
                }
                Err(_) => {}
            }
        }
        let devices = self
            .context
            .as_ref()
            .and_then(|context| context.devices().ok());
        let Some(devices) = devices else {
            return BTreeMap::new();
        };
        devices
            .iter()
            .filter_map(|device| Some((port(&device)?, classes(&device))))
            .collect()
    }
}

/// As the kernel names it: `1-1.4`. Root hubs have none.
fn port(device: &Device<Context>) -> Option<String> {
    let numbers = device.port_numbers().ok()?;
    let path: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    (!path.is_empty()).then(|| format!("{}-{}", device.bus_number(), path.join(".")))
}

fn classes(device: &Device<Context>) -> Vec<u8> {
    let mut classes = BTreeSet::new();
    if let Ok(descriptor) = device.device_descriptor() {
        classes.insert(descriptor.class_code());
    }
    if let Ok(configuration) = device.active_config_descriptor() {
        for interface in configuration.interfaces() {
            classes.extend(interface.descriptors().map(|setting| setting.class_code()));
        }
    }
    // Class 0: see the interfaces.
    classes.remove(&0);
    classes.into_iter().collect()
}
