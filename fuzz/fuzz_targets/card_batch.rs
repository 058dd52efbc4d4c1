//! A batch of commands: it is read to its end, and a PIN in the clear does not pass.

#![no_main]

use koffer_drivers::card::{iso7816::Command, pcsc::pin_policy::check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut commands = Vec::new();
    let mut rest = bytes;
    while let Some((&length, more)) = rest.split_first() {
        let (apdu, more) = more.split_at(more.len().min(length.into()));
        commands.extend(Command::parse(apdu));
        rest = more;
    }
    match check(&commands) {
        Err((index, _)) => assert!(index < commands.len()),
        Ok(()) => {
            let digits = |data: &[u8]| data.len() > 3 && data.iter().all(u8::is_ascii_digit);
            for command in commands {
                assert!(!matches!(command.ins, 0x20 | 0x24 | 0x26 | 0x28 | 0x2C) || !digits(&command.data));
            }
        }
    }
});
