//! A line of gpsd: anything is read, and a place lies on the earth.

#![no_main]

use koffer_drivers::position::gpsd::codec::{Line, line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Line::Poll(poll) = line(text) {
        for (_, status) in poll.reports {
            assert!(status.place.is_none_or(|place| place.latitude.abs() <= 90.0));
            assert!(status.place.is_none_or(|place| place.longitude.abs() <= 180.0));
        }
    }
});
