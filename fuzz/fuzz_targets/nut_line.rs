//! A line of NUT's server: anything is read, and a charge stays within 100 percent.

#![no_main]

use koffer_drivers::power::nut::codec::{Line, Variables, line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut variables = Variables::default();
    for text in text.lines() {
        if let Line::Variable(name, value) = line(text) {
            variables.set(&name, &value);
        }
    }
    if let Some((_, reading)) = variables.reading() {
        assert!(
            reading
                .status
                .charge_percent
                .is_none_or(|percent| percent <= 100)
        );
    }
});
