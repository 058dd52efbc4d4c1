//! What `kofferd --check` says about a configuration that is in order.

use std::fmt::Write as _;

use koffer_proto::Lang;

use super::{Config, MqttConfig};

impl Config {
    /// A few lines for a technician: what this gateway is, and what it serves. No passwords.
    pub fn summary(&self, lang: Lang) -> String {
        let broker = match (&self.mqtt, lang) {
            (MqttConfig::Embedded(own), Lang::De) => format!("eingebaut, {}", own.listen),
            (MqttConfig::Embedded(own), Lang::En) => format!("embedded, {}", own.listen),
            (MqttConfig::External(other), Lang::De) => format!("extern, {}", other.address),
            (MqttConfig::External(other), Lang::En) => format!("external, {}", other.address),
        };
        let clients: Vec<_> = self.clients.keys().map(ToString::to_string).collect();
        let devices: Vec<_> = self
            .devices
            .values()
            .map(|device| {
                let driver = &device.driver;
                format!(
                    "{} ({}, {})",
                    device.id,
                    driver.factory().name,
                    driver.address()
                )
            })
            .collect();
        let roles: Vec<_> = self
            .roles
            .iter()
            .map(|(role, devices)| {
                let devices: Vec<_> = devices.iter().map(ToString::to_string).collect();
                format!("{role} = {}", devices.join(" > "))
            })
            .collect();
        let by_rules: Vec<_> = self
            .rules
            .iter()
            .filter_map(|rule| {
                let (name, driver) = rule.served()?;
                Some(format!(
                    "{name} ({}, {})",
                    driver.factory().name,
                    rule.origin
                ))
            })
            .collect();
        let labels = match lang {
            Lang::De => ["Gateway", "Broker", "Clients", "Geräte", "Rollen", "Regeln"],
            Lang::En => ["gateway", "broker", "clients", "devices", "roles", "rules"],
        };
        let values = [
            self.gateway.id.to_string(),
            broker,
            clients.join(", "),
            devices.join(", "),
            roles.join(", "),
            by_rules.join(", "),
        ];
        let mut summary = String::new();
        for (label, value) in labels.into_iter().zip(values) {
            let value = if value.is_empty() { "-" } else { &value };
            // Writing to a String cannot fail.
            let _ = writeln!(summary, "{label:<8} {value}");
        }
        summary
    }
}
