//! Messages that say something wrong.

use koffer_drivers::payment::zvt::codec::amount::Amount;
use koffer_drivers::payment::zvt::codec::apdu::Apdu;
use koffer_drivers::payment::zvt::codec::bcd::Bcd;
use koffer_drivers::payment::zvt::codec::bmp::Bmp;
use koffer_drivers::payment::zvt::codec::command::{Command, control};
use koffer_drivers::payment::zvt::codec::fields::Fields;

use super::fault::Wrong;

/// Not in the table of bitmaps.
const NO_SUCH_FIELD: [u8; 3] = [0xC9, 0x01, 0x02];

/// The message with the fault in it; unchanged where the fault means nothing.
pub(super) fn spoil(apdu: Apdu, wrong: Wrong) -> Apdu {
    let spoilt = match wrong {
        Wrong::Command if apdu.control() == control::COMPLETION => {
            Apdu::new(control::INTERMEDIATE_STATUS, vec![0x0E])
        }
        Wrong::Command => Apdu::new(control::COMPLETION, Vec::new()),
        Wrong::UnknownField => {
            let body = [NO_SUCH_FIELD.as_slice(), apdu.body()].concat();
            Apdu::new(apdu.control(), body)
        }
        _ => match Command::decode(apdu.clone()) {
            Ok(Command::StatusInformation(fields)) => {
                let fields = fields
                    .0
                    .into_iter()
                    .filter_map(|bmp| spoil_field(bmp, wrong));
                Command::StatusInformation(Fields(fields.collect()))
                    .encode()
                    .ok()
            }
            _ => None,
        },
    };
    spoilt.unwrap_or(apdu)
}

fn spoil_field(bmp: Bmp, wrong: Wrong) -> Option<Bmp> {
    Some(match (bmp, wrong) {
        (Bmp::Amount(amount), Wrong::Amount) => {
            Bmp::Amount(Amount::from_minor(amount.minor() + 1).unwrap_or(amount))
        }
        (Bmp::TerminalId(id), Wrong::TerminalId) => Bmp::TerminalId(next(id)),
        (Bmp::Receipt(receipt), Wrong::Receipt) => Bmp::Receipt(next(receipt)),
        (Bmp::Trace(trace), Wrong::Trace) => Bmp::Trace(next(trace)),
        (Bmp::Result(_), Wrong::NoResult) => return None,
        (bmp, _) => bmp,
    })
}

/// One more, or zero after the last.
fn next<const N: usize>(number: Bcd<N>) -> Bcd<N> {
    let next = number.value().and_then(|value| Bcd::from_value(value + 1));
    next.unwrap_or(Bcd::from_bytes([0; N]))
}
