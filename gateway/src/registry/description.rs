//! The retained description of a device.

use std::collections::BTreeMap;

use koffer_drivers::Opened;
use koffer_proto::{Description, OperationDescription};

use super::DeviceSpec;

/// What `spec` is, as found by `opened`.
pub(super) fn description(spec: &DeviceSpec, opened: &Opened) -> Description {
    Description {
        class: spec.class,
        driver: spec.driver.to_owned(),
        identity: opened.identity.clone(),
        connection: spec.connection.clone(),
        operations: spec
            .class
            .operations()
            .map(|operation| {
                (
                    operation.name.to_owned(),
                    OperationDescription::from(operation),
                )
            })
            .collect(),
        roles: BTreeMap::new(),
        capabilities: opened.capabilities.clone(),
    }
}
