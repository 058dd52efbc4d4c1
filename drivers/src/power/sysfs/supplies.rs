//! What the files of all supplies mean together, without I/O.

use std::collections::BTreeMap;

use koffer_proto::{
    Identity,
    class::power::{PowerSource, PowerStatus},
};

use crate::power::Reading;

/// The files that are read of each supply.
pub const FILES: [&str; 16] = [
    "type",
    "scope",
    "online",
    "present",
    "status",
    "health",
    "capacity",
    "capacity_level",
    "energy_now",
    "power_now",
    "charge_now",
    "current_now",
    "time_to_empty_now",
    "manufacturer",
    "model_name",
    "serial_number",
];

/// One supply: its files that could be read, with what stands in them.
pub type Supply = BTreeMap<&'static str, String>;

/// What the supplies say; `None` where none of them feeds the machine.
pub fn reading(supplies: &[Supply], low_percent: u8) -> Option<(Identity, Reading)> {
    // A mouse has a battery too.
    let of_case = || {
        supplies
            .iter()
            .filter(|supply| text(supply, "scope") != Some("Device"))
    };
    let is_battery = |supply: &&Supply| text(supply, "type") == Some("Battery");
    let batteries: Vec<&Supply> = of_case()
        .filter(is_battery)
        .filter(|battery| number(battery, "present") != Some(0))
        .collect();
    let lines: Vec<&Supply> = of_case().filter(|supply| !is_battery(supply)).collect();
    if batteries.is_empty() && lines.is_empty() {
        return None;
    }
    let source = source(&batteries, &lines);
    let on_battery = source == PowerSource::Battery;
    let charge_percent = charge(&batteries);
    let says_low =
        |battery: &&Supply| matches!(text(battery, "capacity_level"), Some("Critical" | "Low"));
    let all_say_low = !batteries.is_empty() && batteries.iter().all(says_low);
    let below = charge_percent.is_some_and(|percent| percent <= low_percent);
    let replace = batteries.iter().any(|battery| {
        matches!(
            text(battery, "health"),
            Some("Dead" | "Unspecified failure")
        )
    });
    let status = PowerStatus {
        source,
        charge_percent,
        runtime_ms: on_battery.then(|| runtime(&batteries)).flatten(),
        low: on_battery && (all_say_low || below),
    };
    let first = batteries.first().copied();
    let named = |file| {
        first
            .and_then(|battery| text(battery, file))
            .map(str::to_owned)
    };
    let identity = Identity {
        vendor: named("manufacturer"),
        model: named("model_name"),
        serial: named("serial_number"),
        firmware: None,
    };
    Some((identity, Reading { status, replace }))
}

fn source(batteries: &[&Supply], lines: &[&Supply]) -> PowerSource {
    let says = |battery: &&Supply, word| text(battery, "status") == Some(word);
    if lines
        .iter()
        .any(|line| number(line, "online").is_some_and(|online| online > 0))
    {
        PowerSource::Mains
    } else if batteries.iter().any(|battery| says(battery, "Discharging")) {
        PowerSource::Battery
    } else if batteries
        .iter()
        .any(|battery| says(battery, "Charging") || says(battery, "Full"))
    {
        PowerSource::Mains
    } else {
        PowerSource::Unknown
    }
}

/// The mean of all batteries.
fn charge(batteries: &[&Supply]) -> Option<u8> {
    let told = batteries
        .iter()
        .filter_map(|battery| number(battery, "capacity"));
    let told: Vec<u64> = told.filter(|percent| *percent <= 100).collect();
    let sum: u64 = told.iter().sum();
    let mean = sum.checked_div(told.len() as u64)?;
    u8::try_from(mean).ok()
}

/// How long all batteries last together, in milliseconds.
fn runtime(batteries: &[&Supply]) -> Option<u64> {
    let together = |store, flow| -> Option<u64> {
        let sum = |file| {
            batteries
                .iter()
                .filter_map(|battery| number(battery, file))
                .sum()
        };
        let (stored, flowing): (u64, u64) = (sum(store), sum(flow));
        // Micro-watt-hours by microwatts, or the same in ampere: hours.
        stored.checked_mul(3_600_000)?.checked_div(flowing)
    };
    let told = batteries
        .iter()
        .filter_map(|battery| number(battery, "time_to_empty_now"))
        .max();
    told.filter(|seconds| *seconds > 0)
        .and_then(|seconds| seconds.checked_mul(1_000))
        .or_else(|| together("energy_now", "power_now"))
        .or_else(|| together("charge_now", "current_now"))
}

fn text<'a>(supply: &'a Supply, file: &str) -> Option<&'a str> {
    let text = supply.get(file)?.trim();
    (!text.is_empty()).then_some(text)
}

/// A number that a battery can have: some drivers show a current as negative while it flows out.
fn number(supply: &Supply, file: &str) -> Option<u64> {
    let number: i64 = text(supply, file)?.parse().ok()?;
    let number = number.unsigned_abs();
    (number < 1_000_000_000_000).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn supply(files: &[(&'static str, &str)]) -> Supply {
        files
            .iter()
            .map(|(file, text)| (*file, format!("{text}\n")))
            .collect()
    }

    fn mains(online: &str) -> Supply {
        supply(&[("type", "Mains"), ("online", online)])
    }

    fn battery(status: &str, capacity: &str) -> Supply {
        supply(&[
            ("type", "Battery"),
            ("status", status),
            ("capacity", capacity),
        ])
    }

    fn status(supplies: &[Supply]) -> PowerStatus {
        reading(supplies, 10).unwrap().1.status
    }

    #[test]
    fn what_feeds_the_case_is_what_its_supplies_say() {
        let mouse = supply(&[("type", "Battery"), ("scope", "Device"), ("capacity", "3")]);
        for (supplies, source, charge, low) in [
            (
                vec![mains("1"), battery("Charging", "80")],
                PowerSource::Mains,
                Some(80),
                false,
            ),
            (
                vec![mains("0"), battery("Discharging", "80")],
                PowerSource::Battery,
                Some(80),
                false,
            ),
            (
                vec![mains("0"), battery("Discharging", "10")],
                PowerSource::Battery,
                Some(10),
                true,
            ),
            (
                vec![mains("1"), battery("Not charging", "5")],
                PowerSource::Mains,
                Some(5),
                false,
            ),
            (
                vec![battery("Full", "100")],
                PowerSource::Mains,
                Some(100),
                false,
            ),
            (
                vec![battery("Unknown", "50")],
                PowerSource::Unknown,
                Some(50),
                false,
            ),
            (vec![mains("1")], PowerSource::Mains, None, false),
            (vec![mains("0")], PowerSource::Unknown, None, false),
            (
                vec![
                    mouse,
                    mains("0"),
                    battery("Discharging", "20"),
                    battery("Unknown", "100"),
                ],
                PowerSource::Battery,
                Some(60),
                false,
            ),
        ] {
            let status = status(&supplies);
            assert_eq!(status.source, source, "{supplies:?}");
            assert_eq!(status.charge_percent, charge, "{supplies:?}");
            assert_eq!(status.low, low, "{supplies:?}");
        }
        let mouse = supply(&[("type", "Battery"), ("scope", "Device"), ("capacity", "3")]);
        assert_eq!(reading(&[mouse], 10), None);
        assert_eq!(reading(&[], 10), None);
    }

    #[test]
    fn how_long_it_lasts_is_told_or_worked_out() {
        for (files, expected) in [
            (vec![("time_to_empty_now", "600")], Some(600_000)),
            (
                vec![("energy_now", "30000000"), ("power_now", "10000000")],
                Some(10_800_000),
            ),
            (
                vec![("charge_now", "2000000"), ("current_now", "-1000000")],
                Some(7_200_000),
            ),
            (vec![("energy_now", "30000000"), ("power_now", "0")], None),
            (vec![], None),
        ] {
            let mut battery = battery("Discharging", "50");
            battery.extend(files.iter().map(|(file, text)| (*file, (*text).to_owned())));
            assert_eq!(status(&[battery]).runtime_ms, expected, "{files:?}");
        }
        let mut charging = battery("Charging", "50");
        charging.insert("time_to_empty_now", "600".to_owned());
        assert_eq!(status(&[charging]).runtime_ms, None);
    }

    #[test]
    fn a_battery_that_is_dead_is_to_be_replaced() {
        let mut dead = battery("Full", "100");
        dead.insert("health", "Dead".to_owned());
        assert!(reading(&[dead], 10).unwrap().1.replace);
    }

    proptest! {
        #[test]
        fn any_files_are_read(
            values in proptest::collection::vec(
                proptest::collection::vec(
                    prop_oneof![
                        any::<String>(),
                        any::<i64>().prop_map(|number| number.to_string()),
                        Just("Battery".to_owned()),
                        Just("Discharging".to_owned()),
                    ],
                    FILES.len(),
                ),
                0..4,
            )
        ) {
            let supplies: Vec<Supply> = values
                .into_iter()
                .map(|values| FILES.into_iter().zip(values).collect())
                .collect();
            if let Some((_, read)) = reading(&supplies, 10) {
                prop_assert!(read.status.charge_percent.is_none_or(|percent| percent <= 100));
            }
        }
    }
}
