//! What a reader can do by itself, and the structures it takes for that (PC/SC Workgroup part 10,
//! 2.2 to 2.6: feature list, PIN verification and modification, PACE). Pure.

use koffer_proto::{
    Lang,
    class::card_terminal::{PacePassword, PinFormat, PinReference},
};

use crate::card::iso7816::Command;

/// FEATURE_VERIFY_PIN_DIRECT.
const VERIFY_PIN_DIRECT: u8 = 0x06;
/// FEATURE_MODIFY_PIN_DIRECT.
const MODIFY_PIN_DIRECT: u8 = 0x07;
/// FEATURE_EXECUTE_PACE.
const EXECUTE_PACE: u8 = 0x20;
/// Entry is over when the person presses the confirmation key.
const CONFIRMATION_KEY: u8 = 0x02;
/// EstablishPACEChannel.
const ESTABLISH_PACE: u8 = 0x02;

/// The control codes of a reader's features; `None` where it has not the feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// A PIN is typed on the pad and verified.
    pub verify_pin: Option<u32>,
    /// Two PINs are typed on the pad and exchanged.
    pub modify_pin: Option<u32>,
    /// The reader runs PACE.
    pub pace: Option<u32>,
}

impl Features {
    /// Reads the answer to GET_FEATURE_REQUEST: tag, length 4, control code. Anything else in it
    /// is passed over, and what is cut is not read.
    pub fn parse(mut list: &[u8]) -> Self {
        let mut features = Self::default();
        while let [tag, length, rest @ ..] = list {
            let Some((value, more)) = rest.split_at_checked(usize::from(*length)) else {
                break;
            };
            if let Ok(code) = <[u8; 4]>::try_from(value) {
                let code = Some(u32::from_be_bytes(code));
                match *tag {
                    VERIFY_PIN_DIRECT => features.verify_pin = code,
                    MODIFY_PIN_DIRECT => features.modify_pin = code,
                    EXECUTE_PACE => features.pace = code,
                    _ => {}
                }
            }
            list = more;
        }
        features
    }
}

/// How a PIN lies in its command, as the pad is told.
struct Placed {
    format: u8,
    block: u8,
    length: u8,
    /// The block, before the pad writes into it.
    template: Vec<u8>,
}

fn placed(pin: &PinReference) -> Placed {
    match pin.format {
        // Byte units, left-justified, ASCII; the block is as long as the PIN.
        PinFormat::Ascii => Placed {
            format: 0x82,
            block: 0,
            length: 0,
            template: Vec::new(),
        },
        // Byte units, left-justified, BCD, in a block padded with F.
        PinFormat::Bcd => {
            let bytes = pin.max_length.get().div_ceil(2).min(8);
            Placed {
                format: 0x81,
                block: bytes,
                length: 0,
                template: vec![0xFF; usize::from(bytes)],
            }
        }
        // BCD from the second byte of an 8-byte block; the length lies in bits 4 to 7 of the first.
        PinFormat::Iso9564Format2 => Placed {
            format: 0x89,
            block: 0x48,
            length: 0x04,
            template: vec![0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        },
    }
}

/// The language identifier that pads take (USB-IF).
fn language(lang: Lang) -> [u8; 2] {
    match lang {
        Lang::De => 0x0407_u16,
        Lang::En => 0x0409,
    }
    .to_le_bytes()
}

/// The command that the pad completes; with an Lc of zero where the pad decides the length.
fn template(ins: u8, pin: &PinReference, block: Vec<u8>) -> Vec<u8> {
    let command = Command::new(0, ins, 0, pin.reference).with_data(block);
    let mut bytes = command.encode();
    if command.data.is_empty() {
        bytes.push(0);
    }
    bytes
}

fn with_template(mut structure: Vec<u8>, template: &[u8]) -> Vec<u8> {
    let length = u32::try_from(template.len()).unwrap_or(u32::MAX);
    structure.extend(length.to_le_bytes());
    structure.extend(template);
    structure
}

/// PIN_VERIFY_STRUCTURE: VERIFY with what is typed within `seconds`.
pub fn verify_structure(pin: &PinReference, seconds: u8, lang: Lang) -> Vec<u8> {
    let place = placed(pin);
    let [low, high] = language(lang);
    let structure = vec![
        seconds,
        seconds,
        place.format,
        place.block,
        place.length,
        pin.max_length.get(),
        pin.min_length.get(),
        CONFIRMATION_KEY,
        1,
        low,
        high,
        0,
        0,
        0,
        0,
    ];
    with_template(structure, &template(0x20, pin, place.template))
}

/// PIN_MODIFY_STRUCTURE: CHANGE REFERENCE DATA with the old PIN and, twice, the new one.
pub fn modify_structure(pin: &PinReference, seconds: u8, lang: Lang) -> Vec<u8> {
    let place = placed(pin);
    let [low, high] = language(lang);
    // Padded blocks lie one behind the other; unpadded ones are put together by the pad.
    let new_at = u8::try_from(place.template.len()).unwrap_or(0);
    let blocks = [&place.template[..], &place.template].concat();
    let structure = vec![
        seconds,
        seconds,
        place.format,
        place.block,
        place.length,
        0,
        new_at,
        pin.max_length.get(),
        pin.min_length.get(),
        // The old one is asked for, and the new one twice.
        0x03,
        CONFIRMATION_KEY,
        3,
        low,
        high,
        0,
        1,
        2,
        0,
        0,
        0,
    ];
    with_template(structure, &template(0x24, pin, blocks))
}

/// What PACE needs that a field of the structure cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is too long for the reader")]
pub struct TooLong(pub &'static str);

/// The input of EstablishPACEChannel. Without `secret` the reader asks for it on its pad.
pub fn pace_input(
    password: PacePassword,
    chat: &[u8],
    secret: &[u8],
    certificate_description: &[u8],
) -> Result<Vec<u8>, TooLong> {
    let id = match password {
        PacePassword::Mrz => 1,
        PacePassword::Can => 2,
        PacePassword::Pin => 3,
        PacePassword::Puk => 4,
    };
    let mut data = vec![id];
    for (field, value) in [("chat", chat), ("can", secret)] {
        data.push(u8::try_from(value.len()).map_err(|_| TooLong(field))?);
        data.extend(value);
    }
    let too_long = TooLong("certificate_description");
    let length = u16::try_from(certificate_description.len()).map_err(|_| too_long)?;
    data.extend(length.to_le_bytes());
    data.extend(certificate_description);
    let length = u16::try_from(data.len()).map_err(|_| too_long)?;
    Ok([&[ESTABLISH_PACE][..], &length.to_le_bytes(), &data].concat())
}

/// The output of EstablishPACEChannel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaceOutput {
    /// How it ended.
    pub result: PaceResult,
    /// The status word of MSE:Set AT; absent where the card was not asked.
    pub status_word: Option<u16>,
    /// EF.CardAccess.
    pub card_access: Vec<u8>,
    /// The certification authority reference.
    pub car: Vec<u8>,
    /// The previous one.
    pub previous_car: Vec<u8>,
    /// ID_ICC.
    pub id_icc: Vec<u8>,
}

/// How PACE ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaceResult {
    /// The channel stands.
    Established,
    /// The person pressed the abort key.
    Aborted,
    /// Nobody typed.
    TimedOut,
    /// There is no card.
    NoCard,
    /// The card said no, with this status word (63Cx: wrong secret, x tries left).
    Refused(u16),
    /// Any other code.
    Failed(u32),
}

impl From<u32> for PaceResult {
    fn from(code: u32) -> Self {
        match code {
            0 => Self::Established,
            0xF020_0001 => Self::Aborted,
            0xF020_0002 => Self::TimedOut,
            0xF010_0002 => Self::NoCard,
            // F0xx SW1 SW2: what the card answered in the step xx of the protocol.
            0xF000_0000..=0xF00F_FFFF if code & 0xF000 != 0 => {
                let [_, _, high, low] = code.to_be_bytes();
                Self::Refused(u16::from_be_bytes([high, low]))
            }
            _ => Self::Failed(code),
        }
    }
}

/// An answer that ends before its result code, or whose fields are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader's answer to PACE is cut")]
pub struct CutOutput;

impl PaceOutput {
    /// Reads the answer. Where PACE failed, the fields may be missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, CutOutput> {
        let (code, rest) = bytes.split_first_chunk::<4>().ok_or(CutOutput)?;
        let mut output = Self {
            result: u32::from_le_bytes(*code).into(),
            status_word: None,
            card_access: Vec::new(),
            car: Vec::new(),
            previous_car: Vec::new(),
            id_icc: Vec::new(),
        };
        match output.fill(rest) {
            None if output.result == PaceResult::Established => Err(CutOutput),
            Some(()) | None => Ok(output),
        }
    }

    fn fill(&mut self, rest: &[u8]) -> Option<()> {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let rest = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
        let (word, rest) = rest.split_first_chunk::<2>()?;
        self.status_word = Some(u16::from_be_bytes(*word));
        let (card_access, rest) = long_field(rest)?;
        self.card_access = card_access.to_vec();
        // Readers of the first generation end here.
        if rest.is_empty() {
            return Some(());
        }
        let (car, rest) = short_field(rest)?;
        let (previous_car, rest) = short_field(rest)?;
        let (id_icc, _) = long_field(rest)?;
        self.car = car.to_vec();
        self.previous_car = previous_car.to_vec();
        self.id_icc = id_icc.to_vec();
        Some(())
    }
}

fn short_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn long_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use koffer_proto::class::card_terminal::PinLength;
    use proptest::prelude::*;

    use super::*;

    fn pin(format: PinFormat) -> PinReference {
        PinReference {
            reference: 0x81,
            format,
            min_length: PinLength::try_from(6).unwrap(),
            max_length: PinLength::try_from(8).unwrap(),
        }
    }

    #[test]
    fn features_are_found_by_their_tags() {
        let list = [
            0x12, 1, 0, 0x06, 4, 0x42, 0x33, 0, 6, 0x20, 4, 0x42, 0x33, 0, 0x20, 0x07, 4, 1,
        ];
        let features = Features {
            verify_pin: Some(0x4233_0006),
            modify_pin: None,
            pace: Some(0x4233_0020),
        };
        assert_eq!(Features::parse(&list), features);
        assert_eq!(Features::parse(&[]), Features::default());
    }

    #[test]
    fn the_pad_is_told_where_the_pin_goes() {
        assert_eq!(
            verify_structure(&pin(PinFormat::Iso9564Format2), 30, Lang::De),
            [
                &[30, 30, 0x89, 0x48, 4, 8, 6, 2, 1, 7, 4, 0, 0, 0, 0][..],
                &[13, 0, 0, 0],
                &[
                    0, 0x20, 0, 0x81, 8, 0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF
                ],
            ]
            .concat()
        );
        assert_eq!(
            verify_structure(&pin(PinFormat::Ascii), 20, Lang::En),
            [
                &[20, 20, 0x82, 0, 0, 8, 6, 2, 1, 9, 4, 0, 0, 0, 0][..],
                &[5, 0, 0, 0],
                &[0, 0x20, 0, 0x81, 0],
            ]
            .concat()
        );
        assert_eq!(
            modify_structure(&pin(PinFormat::Bcd), 20, Lang::De),
            [
                &[
                    20, 20, 0x81, 4, 0, 0, 4, 8, 6, 3, 2, 3, 7, 4, 0, 1, 2, 0, 0, 0
                ][..],
                &[13, 0, 0, 0],
                &[0, 0x24, 0, 0x81, 8, 255, 255, 255, 255, 255, 255, 255, 255],
            ]
            .concat()
        );
    }

    #[test]
    fn pace_is_asked_for_and_its_answer_read() {
        assert_eq!(
            pace_input(PacePassword::Can, &[0x7F], b"123456", &[9]).unwrap(),
            [&[2, 13, 0, 2, 1, 0x7F, 6][..], b"123456", &[1, 0, 9]].concat()
        );
        let output = [
            &[0; 4][..],
            &[13, 0, 0x90, 0, 2, 0, 0x31, 0, 1, b'C', 0, 2, 0, 5, 6],
        ]
        .concat();
        assert_eq!(
            PaceOutput::parse(&output),
            Ok(PaceOutput {
                result: PaceResult::Established,
                status_word: Some(0x9000),
                card_access: vec![0x31, 0],
                car: vec![b'C'],
                previous_car: vec![],
                id_icc: vec![5, 6],
            })
        );
        let code = |code: u32| PaceOutput::parse(&code.to_le_bytes()).unwrap().result;
        assert_eq!(code(0xF020_0001), PaceResult::Aborted);
        assert_eq!(code(0xF006_63C2), PaceResult::Refused(0x63C2));
        assert_eq!(code(0xF010_0002), PaceResult::NoCard);
        assert_eq!(code(0xE000_0001), PaceResult::Failed(0xE000_0001));
        assert_eq!(PaceOutput::parse(&[0, 0, 0, 0, 4, 0]), Err(CutOutput));
    }

    proptest! {
        #[test]
        fn any_answer_of_a_reader_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Features::parse(&bytes);
            let _ = PaceOutput::parse(&bytes);
        }
    }
}
