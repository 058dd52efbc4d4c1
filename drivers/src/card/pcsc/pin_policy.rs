//! PINs are typed on the reader's pad, never sent through the gateway: what carries one is refused.

use crate::card::iso7816::{Command, tlv};

/// Whether the command would carry a PIN in the clear: VERIFY, CHANGE REFERENCE DATA and RESET
/// RETRY COUNTER (20, 24, 2C and their BER-TLV twins) with data, also inside an ENVELOPE.
/// Data under secure messaging is not in the clear; without data VERIFY only asks for the tries.
pub(super) fn carries_plain_pin(command: &Command) -> bool {
    match command.ins {
        0x20 | 0x21 | 0x24 | 0x25 | 0x2C | 0x2D => {
            let secured = command.is_secured() && is_secured_data(&command.data);
            !(command.data.is_empty() || secured)
        }
        0xC2 | 0xC3 => Command::parse(&command.data)
            .is_ok_and(|inner| !matches!(inner.ins, 0xC2 | 0xC3) && carries_plain_pin(&inner)),
        _ => false,
    }
}

/// Whether the data is what secure messaging makes of it: objects with a checksum (ISO/IEC
/// 7816-4, 10.2). The class alone proves nothing: a card may take no notice of it.
fn is_secured_data(data: &[u8]) -> bool {
    tlv::objects(data).is_some_and(|objects| objects.iter().any(|object| object.tag == 0x8E))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_in_the_clear_is_recognised_in_every_form() {
        let pin = b"123456";
        for ins in [0x20, 0x21, 0x24, 0x25, 0x2C, 0x2D] {
            for cla in [0x00, 0x01, 0x10, 0x0C, 0x40, 0x60, 0x80, 0x9C] {
                let command = Command::new(cla, ins, 0, 1).with_data(*pin);
                assert!(carries_plain_pin(&command), "{command:?}");
                let inside = Command::new(0, 0xC2, 0, 0).with_data(command.encode());
                assert!(carries_plain_pin(&inside), "{inside:?}");
            }
        }
    }

    #[test]
    fn what_carries_no_plain_pin_passes() {
        let secured = [0x87, 1, 9, 0x8E, 2, 1, 2];
        for command in [
            Command::new(0, 0x20, 0, 1),
            Command::new(0x0C, 0x20, 0, 1).with_data(secured),
            Command::new(0, 0xB0, 0, 0).expecting(256),
            Command::new(0, 0xD6, 0, 0).with_data(*b"123456"),
        ] {
            assert!(!carries_plain_pin(&command), "{command:?}");
        }
    }
}
