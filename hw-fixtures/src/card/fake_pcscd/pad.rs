//! The reader's own features: a PIN pad, and PACE. Reads the structures of PC/SC part 10 by
//! itself: a mistake of the driver's must not be repeated here.

use super::{AtPad, Reader, wire::ReturnCode};

/// SCARD_CTL_CODE(3400).
pub(super) const GET_FEATURES: u32 = 0x4200_0000 + 3_400;
const VERIFY: u32 = 0x4233_0006;
const MODIFY: u32 = 0x4233_0007;
const PACE: u32 = 0x4233_0020;

/// What the pad itself answers.
const TIMED_OUT: [u8; 2] = [0x64, 0x00];
const CANCELLED: [u8; 2] = [0x64, 0x01];
const DIFFER: [u8; 2] = [0x64, 0x02];
const LENGTH: [u8; 2] = [0x64, 0x03];

/// The list of features.
pub(super) fn features() -> Vec<u8> {
    let mut list = vec![0x12, 4, 0x42, 0x33, 0, 0x12];
    for (tag, code) in [(0x06, VERIFY), (0x07, MODIFY), (0x20, PACE)] {
        list.extend([tag, 4]);
        list.extend(code.to_be_bytes());
    }
    list
}

/// Runs one feature.
pub(super) fn run(reader: &mut Reader, code: u32, input: &[u8]) -> Result<Vec<u8>, ReturnCode> {
    if !reader.features {
        return Err(ReturnCode::UNSUPPORTED_FEATURE);
    }
    reader.controls.push(input.to_vec());
    match code {
        VERIFY => Ok(enter(reader, input, 15, 1)),
        MODIFY => Ok(enter(reader, input, 20, 3)),
        PACE => Ok(pace(reader, input)),
        _ => Err(ReturnCode::UNSUPPORTED_FEATURE),
    }
}

fn enter(reader: &mut Reader, input: &[u8], header: usize, entries: usize) -> Vec<u8> {
    let typed = match reader.at_pad.pop_front() {
        Some(AtPad::Types(typed)) => typed,
        Some(AtPad::Cancels) => return CANCELLED.to_vec(),
        Some(AtPad::Leaves) | None => return TIMED_OUT.to_vec(),
    };
    let Some((fields, template)) = input.split_at_checked(header + 4) else {
        return vec![0x6B, 0x80];
    };
    let length = fields[header..].try_into().map_or(0, u32::from_le_bytes);
    if length as usize != template.len() || template.len() < 5 || typed.len() != entries {
        return vec![0x6B, 0x80];
    }
    // wPINMaxExtraDigit: the most, then the fewest digits.
    let limits = if entries == 1 { 5 } else { 7 };
    let (most, fewest) = (usize::from(fields[limits]), usize::from(fields[limits + 1]));
    if typed
        .iter()
        .any(|pin| !(fewest..=most).contains(&pin.len()))
    {
        return LENGTH.to_vec();
    }
    if entries == 3 && typed[1] != typed[2] {
        return DIFFER.to_vec();
    }
    let pins = &typed[..typed.len().min(2)];
    let blocks: Vec<_> = pins
        .iter()
        .map(|pin| block(pin, fields[2], fields[4]))
        .collect();
    let body = blocks.concat();
    let mut apdu = template[..4].to_vec();
    apdu.push(u8::try_from(body.len()).unwrap_or(0));
    apdu.extend(body);
    match &mut reader.chip {
        Some(chip) => chip.answer(&apdu),
        None => TIMED_OUT.to_vec(),
    }
}

/// A PIN as bmFormatString and bmPINLengthFormat want it.
fn block(pin: &str, format: u8, length: u8) -> Vec<u8> {
    if format & 0x03 == 0x02 {
        return pin.as_bytes().to_vec();
    }
    let digit = |c: Option<char>| {
        c.and_then(|c| c.to_digit(10))
            .and_then(|digit| u8::try_from(digit).ok())
            .unwrap_or(0x0F)
    };
    let mut digits = pin.chars();
    let mut block = Vec::new();
    if length & 0x0F == 4 {
        block.push(0x20 | u8::try_from(pin.len()).unwrap_or(0x0F));
    }
    while block.len() < 8 {
        let (high, low) = (digit(digits.next()), digit(digits.next()));
        block.push(high << 4 | low);
    }
    block
}

fn pace(reader: &mut Reader, input: &[u8]) -> Vec<u8> {
    let failed = |code: u32| [&code.to_le_bytes()[..], &[0, 0]].concat();
    let secret = match parse_pace(input) {
        None => return failed(0xE000_0001),
        Some(secret) if !secret.is_empty() => secret,
        Some(_) => match reader.at_pad.pop_front() {
            Some(AtPad::Types(typed)) => typed.concat(),
            Some(AtPad::Cancels) => return failed(0xF020_0001),
            Some(AtPad::Leaves) | None => return failed(0xF020_0002),
        },
    };
    if secret != reader.can {
        return failed(0xF006_63C2);
    }
    let data = [
        &[0x90, 0x00][..],
        &[4, 0, 0x31, 0x02, 0x05, 0x00],
        &[3, b'C', b'A', b'R'],
        &[0],
        &[2, 0, 0x1D, 0x1C],
    ]
    .concat();
    let length = u16::try_from(data.len()).unwrap_or(0).to_le_bytes();
    [&[0; 4][..], &length, &data].concat()
}

/// The secret of EstablishPACEChannel; empty where it is typed.
fn parse_pace(input: &[u8]) -> Option<String> {
    let (&[function, low, high], data) = input.split_first_chunk::<3>()?;
    if function != 2 || usize::from(u16::from_le_bytes([low, high])) != data.len() {
        return None;
    }
    let (_, rest) = data.split_first()?;
    let (chat, rest) = rest.split_first()?;
    let (_, rest) = rest.split_at_checked((*chat).into())?;
    let (secret, rest) = rest.split_first()?;
    let (secret, rest) = rest.split_at_checked((*secret).into())?;
    let (length, description) = rest.split_first_chunk::<2>()?;
    let whole = usize::from(u16::from_le_bytes(*length)) == description.len();
    whole.then(|| String::from_utf8_lossy(secret).into_owned())
}
