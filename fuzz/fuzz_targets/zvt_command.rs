//! Any APDU is survived; what decodes can be encoded and then decodes to the same value, and no
//! whole card number is left in it.
#![no_main]

use koffer_drivers::payment::zvt::codec::apdu::{Apdu, Control};
use koffer_drivers::payment::zvt::codec::command::Command;
use koffer_drivers::payment::zvt::codec::receipt::Block;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (class, instruction, body) = input;
    let Some(apdu) = Apdu::new(Control(class, instruction), body) else {
        return;
    };
    let Ok(command) = Command::decode(apdu) else {
        return;
    };
    let again = command.encode().expect("what was decoded can be encoded");
    assert_eq!(Command::decode(again).as_ref(), Ok(&command));
    if let Command::PrintBlock(fields) = &command {
        Block::read(fields);
    }
});
