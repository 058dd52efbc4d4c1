//! From a configured device to its driver.

use std::sync::Arc;

use koffer_drivers::DriverConfig;
use koffer_proto::{DeviceId, GatewayId};

use crate::registry::DeviceSpec;

/// How a device of this gateway is driven.
pub(crate) fn spec(gateway: &GatewayId, id: DeviceId, driver: Arc<dyn DriverConfig>) -> DeviceSpec {
    let gateway = gateway.clone();
    let factory = driver.factory();
    DeviceSpec {
        id,
        class: factory.class,
        driver: factory.name,
        connection: driver.connection(),
        make: Arc::new(move || driver.driver(&gateway)),
    }
}
