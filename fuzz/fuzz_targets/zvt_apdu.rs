//! Any TCP stream, cut at a place the fuzzer chooses, gives the same APDUs; each re-encodes to
//! something that reads the same.
#![no_main]

use koffer_drivers::payment::zvt::codec::apdu::{Apdu, Assembler};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, stream) = input;
    let whole = Assembler::default().feed(stream);
    let (head, tail) = stream.split_at(cut.min(stream.len()));
    let mut assembler = Assembler::default();
    let mut parts = assembler.feed(head);
    parts.extend(assembler.feed(tail));
    assert_eq!(whole, parts);
    for apdu in whole {
        assert_eq!(Apdu::from_bytes(&apdu.to_bytes()), Some(apdu));
    }
});
