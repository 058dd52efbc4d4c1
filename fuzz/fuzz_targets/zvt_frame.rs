//! Any serial stream is survived; every frame found re-encodes to a frame that reads the same, and
//! after any garbage a reset decoder reads the next frame.
#![no_main]

use koffer_drivers::payment::zvt::codec::frame::{Decoder, Event, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    let mut decoder = Decoder::default();
    let events = decoder.feed(stream);
    decoder.reset();
    for event in events {
        if let Event::Frame(apdu) = event {
            assert_eq!(decoder.feed(&encode(&apdu)), [Event::Frame(apdu)]);
        }
    }
});
