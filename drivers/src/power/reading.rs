//! What a battery says of itself, whatever the protocol.

use koffer_proto::{
    EventKind, Reason, Request, Response, Text,
    class::{
        any_device::StepOutcome,
        power::{self, PowerSource, PowerStatus},
    },
};
use koffer_settings::text;

use crate::sensor;

/// One reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// For the caller.
    pub status: PowerStatus,
    /// It says that its battery must be replaced.
    pub replace: bool,
}

impl sensor::Reading for Reading {
    fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.status.low {
            reasons.push(Reason::new(
                "battery-low",
                "Der Akku ist fast leer. Strom anschließen, sonst schaltet sich der Koffer bald ab.",
                "The battery is almost empty. Connect power, or the case switches off soon.",
            ));
        } else if self.status.source == PowerSource::Battery {
            reasons.push(Reason::new(
                "on-battery",
                "Der Koffer läuft auf Akku. Netzkabel und Steckdose prüfen.",
                "The case runs on battery. Check the cable and the socket.",
            ));
        }
        if self.replace {
            reasons.push(Reason::new(
                "battery-replace",
                "Der Akku muss ersetzt werden. Bitte die Technik verständigen.",
                "The battery must be replaced. Call your technician.",
            ));
        }
        reasons
    }

    fn event(&self, now: &Self) -> Option<EventKind> {
        match (self.status.source, now.status.source) {
            (PowerSource::Mains | PowerSource::Unknown, PowerSource::Battery) => {
                Some(EventKind::OnBattery)
            }
            (PowerSource::Battery | PowerSource::Unknown, PowerSource::Mains) => {
                Some(EventKind::OnMains)
            }
            _ => None,
        }
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        match request {
            Request::Power(power::Request::Status(_)) => {
                Some(power::Response::Status(self.status.clone()).into())
            }
            _ => None,
        }
    }

    fn external(&self) -> (&'static str, StepOutcome, Text) {
        let name = "battery";
        if self.replace {
            let text = text!(
                "Der Akku muss ersetzt werden.",
                "The battery must be replaced."
            );
            return (name, StepOutcome::Failed, text);
        }
        match self.status.charge_percent {
            Some(percent) if self.status.low => {
                let text = text!(
                    "Der Akku ist fast leer: {percent} %.",
                    "The battery is almost empty: {percent} %."
                );
                (name, StepOutcome::Failed, text)
            }
            Some(percent) => {
                let text = text!("Akku geladen zu {percent} %.", "Battery at {percent} %.");
                (name, StepOutcome::Passed, text)
            }
            None => {
                let text = text!("Kein Akku gemeldet.", "No battery reported.");
                (name, StepOutcome::Skipped, text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::Reading as _;

    fn reading(source: PowerSource, low: bool, replace: bool) -> Reading {
        Reading {
            status: PowerStatus {
                source,
                charge_percent: Some(40),
                runtime_ms: None,
                low,
            },
            replace,
        }
    }

    #[test]
    fn what_needs_attention_is_said_once() {
        for (source, low, replace, expected) in [
            (PowerSource::Mains, false, false, &[][..]),
            (PowerSource::Battery, false, false, &["on-battery"]),
            (PowerSource::Battery, true, false, &["battery-low"]),
            (PowerSource::Mains, false, true, &["battery-replace"]),
        ] {
            let reasons = reading(source, low, replace).reasons();
            let keywords: Vec<_> = reasons.iter().map(|r| r.keyword.as_str()).collect();
            assert_eq!(keywords, expected);
            assert!(reasons.iter().all(|r| r.text.de != r.text.en));
        }
    }

    #[test]
    fn a_change_of_source_is_an_event() {
        let at = |source| reading(source, false, false);
        let (mains, battery) = (at(PowerSource::Mains), at(PowerSource::Battery));
        assert_eq!(mains.event(&battery), Some(EventKind::OnBattery));
        assert_eq!(battery.event(&mains), Some(EventKind::OnMains));
        assert_eq!(mains.event(&mains), None);
        assert_eq!(battery.event(&at(PowerSource::Unknown)), None);
    }
}
