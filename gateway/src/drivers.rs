//! From a configured device to its driver.

use std::sync::Arc;

use koffer_drivers::payment::zvt;

use crate::{
    config::{DeviceConfig, DriverConfig},
    registry::DeviceSpec,
};

/// How a configured device is driven.
pub(crate) fn spec(device: &DeviceConfig) -> DeviceSpec {
    match &device.driver {
        DriverConfig::Zvt(config) => {
            let config = config.clone();
            DeviceSpec {
                id: device.id.clone(),
                class: device.driver.class(),
                driver: device.driver.name(),
                connection: zvt::connection(&config),
                make: Arc::new(move || zvt::driver(config.clone())),
            }
        }
    }
}
