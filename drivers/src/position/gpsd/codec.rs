//! The lines of gpsd, without I/O. Fields that are absent or make no sense are left out.

use jiff::Timestamp;
use koffer_proto::{
    Identity,
    class::position::{Fix, Place, PositionStatus},
};
use serde_json::Value;

/// Has gpsd read its receivers for this client, without streaming what they say.
pub const WATCH: &str = r#"?WATCH={"enable":true,"json":false};"#;
/// Asks for the receivers.
pub const DEVICES: &str = "?DEVICES;";
/// Asks for what is known now.
pub const POLL: &str = "?POLL;";

/// One line of gpsd.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Its receivers.
    Devices(Vec<Receiver>),
    /// What is known now.
    Poll(Poll),
    /// It did not understand, and says why.
    Error(String),
    /// Anything else: its version, what it watches.
    Other,
}

/// A receiver that gpsd reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receiver {
    /// The device node.
    pub path: String,
    /// What the receiver says it is.
    pub identity: Identity,
}

/// What is known now, a report for each receiver.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Poll {
    /// Receivers that deliver.
    pub active: u64,
    /// The receiver's node, and what it says.
    pub reports: Vec<(String, PositionStatus)>,
}

/// Reads a line.
pub fn line(text: &str) -> Line {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Line::Other;
    };
    match text_of(&value, "class").as_deref() {
        Some("DEVICES") => Line::Devices(entries(&value, "devices").map(receiver).collect()),
        Some("POLL") => Line::Poll(poll(&value)),
        Some("ERROR") => Line::Error(text_of(&value, "message").unwrap_or_default()),
        _ => Line::Other,
    }
}

fn receiver(value: &Value) -> Receiver {
    Receiver {
        path: text_of(value, "path").unwrap_or_default(),
        identity: Identity {
            vendor: text_of(value, "driver"),
            model: text_of(value, "subtype"),
            serial: None,
            firmware: text_of(value, "subtype1"),
        },
    }
}

fn poll(value: &Value) -> Poll {
    let satellites = |node: &Option<String>| {
        let mut skies = entries(value, "sky").filter(|sky| text_of(sky, "device") == *node);
        let used = skies.find_map(|sky| sky.get("uSat")?.as_u64())?;
        u8::try_from(used).ok()
    };
    let reports = entries(value, "tpv").map(|report| {
        let node = text_of(report, "device");
        let satellites = satellites(&node);
        (node.unwrap_or_default(), status(report, satellites))
    });
    Poll {
        active: value.get("active").and_then(Value::as_u64).unwrap_or(0),
        reports: reports.collect(),
    }
}

fn status(report: &Value, satellites: Option<u8>) -> PositionStatus {
    let fix = match report.get("mode").and_then(Value::as_u64) {
        Some(2) => Fix::TwoD,
        Some(3) => Fix::ThreeD,
        _ => Fix::None,
    };
    let place = place(report, fix);
    let fix = if place.is_some() { fix } else { Fix::None };
    let time = || text_of(report, "time")?.parse::<Timestamp>().ok();
    PositionStatus {
        fix,
        time: place.and_then(|_| time()),
        place,
        satellites,
    }
}

fn place(report: &Value, fix: Fix) -> Option<Place> {
    let number = |name: &str| report.get(name).and_then(Value::as_f64);
    let within = |name, most: f64| number(name).filter(|number| number.abs() <= most);
    if fix == Fix::None {
        return None;
    }
    let height = || number("altHAE").filter(|height| height.abs() < 100_000.0);
    Some(Place {
        latitude: within("lat", 90.0)?,
        longitude: within("lon", 180.0)?,
        height_m: (fix == Fix::ThreeD).then(height).flatten(),
        accuracy_m: number("eph").filter(|radius| (0.0..1e7).contains(radius)),
    })
}

fn entries<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.get(name).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn text_of(value: &Value, name: &str) -> Option<String> {
    let text = value.get(name)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As gpsd 3.22 answers for an NMEA receiver.
    const ANSWER: &str = r#"{"class":"POLL","time":"2026-12-01T00:16:29.257Z","active":1,"tpv":[{"class":"TPV","device":"/dev/pts/1","mode":3,"time":"2026-12-01T12:00:05.000Z","lat":52.52,"lon":13.405,"altHAE":78.5,"altMSL":34.5,"eph":17.1}],"gst":[{"class":"GST","device":"/dev/pts/1"}],"sky":[{"class":"SKY","device":"/dev/pts/1","nSat":4,"uSat":4}]}"#;

    fn one(text: &str) -> PositionStatus {
        match line(text) {
            Line::Poll(poll) => poll.reports[0].1.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_a_fix_with_its_place() {
        let status = one(ANSWER);
        assert_eq!(status.fix, Fix::ThreeD);
        assert_eq!(status.satellites, Some(4));
        assert_eq!(status.time, "2026-12-01T12:00:05Z".parse().ok());
        let place = status.place.unwrap();
        assert_eq!((place.latitude, place.longitude), (52.52, 13.405));
        assert_eq!((place.height_m, place.accuracy_m), (Some(78.5), Some(17.1)));
    }

    #[test]
    fn a_place_that_is_none_is_no_fix() {
        for (from, to) in [
            ("\"mode\":3", "\"mode\":1"),
            ("\"mode\":3", "\"mode\":\"3\""),
            ("\"lat\":52.52", "\"lat\":152.52"),
            ("\"lon\":13.405", "\"lon\":null"),
            ("\"lat\":52.52,", ""),
        ] {
            let status = one(&ANSWER.replace(from, to));
            assert_eq!(status.fix, Fix::None, "{to}");
            assert_eq!((status.place, status.time), (None, None), "{to}");
        }
        let flat = one(&ANSWER.replace("\"mode\":3", "\"mode\":2"));
        assert_eq!(flat.fix, Fix::TwoD);
        assert_eq!(flat.place.unwrap().height_m, None);
    }

    #[test]
    fn other_lines_are_told_apart() {
        let devices = r#"{"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/pts/1","driver":"u-blox","subtype":"SW 1.00"}]}"#;
        let Line::Devices(receivers) = line(devices) else {
            panic!("{devices}");
        };
        assert_eq!(receivers[0].path, "/dev/pts/1");
        assert_eq!(receivers[0].identity.vendor.as_deref(), Some("u-blox"));
        let error = r#"{"class":"ERROR","message":"Unrecognized request"}"#;
        assert_eq!(line(error), Line::Error("Unrecognized request".to_owned()));
        for other in [
            "",
            "{",
            "[]",
            "7",
            r#"{"class":7}"#,
            r#"{"class":"VERSION"}"#,
        ] {
            assert_eq!(line(other), Line::Other, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read(text in any::<String>(), mode in any::<i64>(), lat in any::<f64>()) {
            let _ = line(&text);
            let answer = ANSWER
                .replace("\"mode\":3", &format!("\"mode\":{mode}"))
                .replace("52.52", &format!("{lat:e}"));
            if let Line::Poll(poll) = line(&answer) {
                for (_, status) in poll.reports {
                    let on_earth = status.place.is_none_or(|place| place.latitude.abs() <= 90.0);
                    prop_assert!(on_earth);
                }
            }
        }
    }
}
