//! What a reader says of its features and of PACE: anything is read or refused.

#![no_main]

use koffer_drivers::card::pcsc::features::{Features, PaceOutput};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Features::parse(bytes);
    let _ = PaceOutput::parse(bytes);
});
