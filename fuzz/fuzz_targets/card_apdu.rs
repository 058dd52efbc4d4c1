//! Commands, answers, data objects and answers to reset: anything is read or refused, and what is
//! read is written the same.

#![no_main]

use koffer_drivers::card::iso7816::{CardCapabilities, Command, Exchange, Response, tlv};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = tlv::objects(bytes);
    let _ = tlv::file_size(bytes);
    let _ = CardCapabilities::of_atr(bytes);
    if let Ok(response) = Response::parse(bytes) {
        assert_eq!(response.encode(), bytes);
    }
    if let Ok(command) = Command::parse(bytes) {
        assert_eq!(command.encode(), bytes);
        let (mut exchange, sent) = Exchange::begin(command);
        assert_eq!(sent, bytes);
        for answer in bytes.chunks(3) {
            let _ = exchange.received(answer, |_| false);
        }
    }
});
