//! Card numbers: reduced while they are decoded, so that none is ever held.

use std::fmt;

use super::charset::Text;

/// How many digits may be shown.
const SHOWN: usize = 4;
/// A shorter number would be given away by its last four digits.
const SHORTEST_SHOWN: usize = 8;
/// ISO/IEC 7812: a PAN has 13 to 19 digits.
const PAN_LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;
/// What a nibble or character becomes.
const MASK: u8 = b'*';

/// A card number of which only the length and the last four digits are known. Whatever the
/// terminal sent (BMP 22, masked by it or not), this type has no room for more.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaskedPan {
    digits: u8,
    last: [u8; SHOWN],
}

impl MaskedPan {
    /// Reads packed digits: E is a digit the terminal masked, F pads, D ends the number (what
    /// follows is expiry and service data and is not read). Numbers beyond 255 digits are cut.
    pub fn from_packed(packed: &[u8]) -> Self {
        let mut digits = 0_u8;
        let mut last = [MASK; SHOWN];
        let nibbles = packed.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
        for nibble in nibbles.take_while(|nibble| !matches!(nibble, 0x0D | 0x0F)) {
            digits = digits.saturating_add(1);
            last.rotate_left(1);
            last[SHOWN - 1] = if nibble <= 9 { b'0' + nibble } else { MASK };
        }
        if usize::from(digits) < SHORTEST_SHOWN {
            last = [MASK; SHOWN];
        }
        Self { digits, last }
    }

    /// Packed digits, E for those not known, F to fill the last byte.
    pub fn to_packed(self) -> Vec<u8> {
        let text = self.to_string();
        let nibble = |character: u8| {
            if character == MASK {
                0x0E
            } else {
                character & 0x0F
            }
        };
        text.as_bytes()
            .chunks(2)
            .map(|pair| match *pair {
                [high, low] => (nibble(high) << 4) | nibble(low),
                [high] => (nibble(high) << 4) | 0x0F,
                _ => 0xFF,
            })
            .collect()
    }
}

impl fmt::Display for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.digits);
        let shown = if digits < SHORTEST_SHOWN { 0 } else { SHOWN };
        write!(f, "{}", "*".repeat(digits - shown))?;
        self.last
            .iter()
            .take(shown)
            .try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

impl fmt::Debug for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedPan({self})")
    }
}

/// Masks card numbers in receipt text, keeping its width: 13 to 19 digits that pass the Luhn
/// check, alone or in groups with one space or dash between them, become `*` except the last four.
///
/// A run is tried from every group to every group, longest first, so that a receipt number printed
/// before a card number does not hide it. So do numbers in the groups that are printed on cards,
/// whatever stands between them; behind a word for a card, whatever their check digit; and
/// numbers of which the terminal masked a part and shows more. Numbers split over two lines are
/// not found.
pub fn mask_text(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    mask_bytes(&mut bytes);
    // Only ASCII was replaced by ASCII, so this is still UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
}

/// [`mask_text`] for text in any of ZVT's character sets: all of them keep ASCII digits.
pub(super) fn mask_bytes(text: &mut [u8]) {
    // Again until nothing is found: masking may set free a number that shared digits with another.
    while mask_once(text) {}
    mask_as_printed(text);
    mask_the_rest(text);
}

/// How the digits of card numbers are grouped.
const PRINTED: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 4, 4, 1]];
/// A line with one of these tells of a card.
const LABELS: [&[u8]; 3] = [b"PAN", b"KARTE", b"CARD N"];

/// Masks numbers that are grouped as on a card, or stand in one piece behind a word for one.
fn mask_as_printed(text: &mut [u8]) {
    let upper = text.to_ascii_uppercase();
    let said = |label: &[u8]| upper.windows(label.len()).any(|word| word == label);
    let labelled = LABELS.into_iter().any(said);
    let groups = digit_groups(text);
    let mut next = 0;
    while next < groups.len() {
        let printed = PRINTED.into_iter().find_map(|lengths| {
            let found = groups.get(next..next + lengths.len())?;
            let fits = found.iter().zip(lengths);
            let fits = fits
                .clone()
                .all(|((from, to), length)| to - from == *length);
            (fits && found.windows(2).all(|pair| are_apart(text, pair))).then_some(found)
        });
        let alone = groups.get(next..=next).filter(|group| {
            let piece = group.iter().map(|(from, to)| to - from).sum();
            labelled && PAN_LENGTHS.contains(&piece)
        });
        let Some(found) = printed.or(alone) else {
            next += 1;
            continue;
        };
        let places: Vec<_> = found.iter().flat_map(|(from, to)| *from..*to).collect();
        next += found.len();
        if labelled || passes_luhn(text, &places) {
            mask_places(text, &places);
        }
    }
}

/// One or two characters that part the digits of one number.
fn are_apart(text: &[u8], pair: &[(usize, usize)]) -> bool {
    let [(_, end), (start, _)] = pair else {
        return false;
    };
    let between = text.get(*end..*start).unwrap_or_default();
    let parts = |byte: &u8| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'_');
    (1..=2).contains(&between.len()) && between.iter().all(parts)
}

/// The most digits that terminals leave of the beginning of a number.
const BEGINNING: usize = 8;
/// Fewer masked characters make no card number.
const MASKED: usize = 4;

/// Masks what a terminal left of the beginning of a number whose middle it masked.
fn mask_the_rest(text: &mut [u8]) {
    let is_mask = |byte: u8| matches!(byte, b'*' | b'#' | b'x' | b'X');
    let kind = |byte: &u8| (byte.is_ascii_digit(), is_mask(*byte));
    let mut symbols: Vec<usize> = Vec::new();
    let mut runs = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        let gap = symbols.last().map_or(0, |last| at - last - 1);
        let parted = gap > 1 || (gap == 1 && !matches!(byte_at(text, at - 1), b' ' | b'-'));
        if kind(byte) == (false, false) {
            continue;
        }
        if parted {
            runs.push(std::mem::take(&mut symbols));
        }
        symbols.push(at);
    }
    runs.push(symbols);
    for run in runs {
        let masked = |place: &usize| is_mask(byte_at(text, *place));
        let first = run.iter().position(masked);
        let last = run.iter().rposition(masked);
        let (Some(first), Some(last)) = (first, last) else {
            continue;
        };
        let ends = run.len() - last - 1;
        let middle = run[first..=last].iter().all(masked) && last - first + 1 >= MASKED;
        // A number before it may belong to something else: as many groups as a card number has.
        let mut begins = 0;
        for group in groups_before(&run[..first]) {
            if begins + group + (run.len() - first) > *PAN_LENGTHS.end() {
                break;
            }
            begins += group;
        }
        let length = begins + run.len() - first;
        if middle && ends <= SHOWN && begins <= BEGINNING && PAN_LENGTHS.contains(&length) {
            for place in &run[first - begins..first] {
                text[*place] = MASK;
            }
        }
    }
}

/// The lengths of the groups that these places make, the last first.
fn groups_before(places: &[usize]) -> Vec<usize> {
    let groups = places.chunk_by(|one, next| one + 1 == *next);
    groups.rev().map(<[usize]>::len).collect()
}

fn byte_at(text: &[u8], place: usize) -> u8 {
    text.get(place).copied().unwrap_or_default()
}

fn mask_places(text: &mut [u8], places: &[usize]) {
    for place in places.iter().rev().skip(SHOWN) {
        if let Some(byte) = text.get_mut(*place) {
            *byte = MASK;
        }
    }
}

/// Masked text from the wire.
pub(super) fn masked_text(bytes: &[u8]) -> Text {
    let mut bytes = bytes.to_vec();
    mask_bytes(&mut bytes);
    Text::from_bytes(bytes)
}

fn mask_once(text: &mut [u8]) -> bool {
    let groups = digit_groups(text);
    for (first, start) in groups.iter().enumerate() {
        let mut best = None;
        let mut digits = Vec::new();
        let mut previous_end = start.0;
        for group in groups.iter().skip(first) {
            let joined = match text.get(previous_end..group.0) {
                Some([]) => true,
                Some([separator]) => matches!(separator, b' ' | b'-'),
                _ => false,
            };
            if !joined || digits.len() + (group.1 - group.0) > *PAN_LENGTHS.end() {
                break;
            }
            digits.extend(group.0..group.1);
            previous_end = group.1;
            if PAN_LENGTHS.contains(&digits.len()) && passes_luhn(text, &digits) {
                best = Some(digits.clone());
            }
        }
        if let Some(places) = best {
            mask_places(text, &places);
            return true;
        }
    }
    false
}

/// Start and end of every run of digits.
fn digit_groups(text: &[u8]) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for (at, _) in text
        .iter()
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_digit())
    {
        match groups.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => groups.push((at, at + 1)),
        }
    }
    groups
}

fn passes_luhn(text: &[u8], places: &[usize]) -> bool {
    let digits = places
        .iter()
        .rev()
        .filter_map(|place| text.get(*place))
        .map(|byte| byte & 0x0F);
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| {
            let weighted = if at % 2 == 1 { digit * 2 } else { digit };
            u32::from(weighted / 10 + weighted % 10)
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_last_four_digits_survive() {
        for (packed, shown) in [
            (
                vec![0x41, 0x11, 0x11, 0x11, 0x11, 0x11, 0x47, 0x11],
                "************4711",
            ),
            (
                vec![0x55, 0x98, 0x83, 0xEE, 0xEE, 0xEE, 0x80, 0x74],
                "************8074",
            ),
            (
                vec![0x67, 0x26, 0x01, 0x23, 0x45, 0x67, 0x89, 0x01, 0x23, 0x4F],
                "***************1234",
            ),
            (
                vec![0x41, 0x11, 0x11, 0x11, 0xD2, 0x51, 0x22, 0x01],
                "****1111",
            ),
            (vec![0xEE; 8], "****************"),
            (vec![0x01, 0x23, 0x45], "******"),
            (vec![], ""),
        ] {
            let pan = MaskedPan::from_packed(&packed);
            assert_eq!(pan.to_string(), shown);
            assert_eq!(format!("{pan:?}"), format!("MaskedPan({shown})"));
        }
    }

    #[test]
    fn card_numbers_on_receipts_are_masked_and_other_numbers_are_not() {
        for (text, masked) in [
            ("PAN 4111111111111111", "PAN ************1111"),
            ("4111 1111 1111 1111 gültig", "**** **** **** 1111 gültig"),
            ("5500-0055-5555-5559", "****-****-****-5559"),
            (
                "Beleg 0231 4111 1111 1111 1111",
                "Beleg 0231 **** **** **** 1111",
            ),
            ("4111111111111111=2512", "************1111=2512"),
            ("4111111111111112", "4111111111111112"),
            ("VU-Nr. 16004008 TA 001077", "VU-Nr. 16004008 TA 001077"),
            ("4111  1111  1111  1111", "****  ****  ****  1111"),
            ("4111.1111.1111.1111", "****.****.****.1111"),
            ("3782/822463/10005", "****/******/*0005"),
            // No card's groups, and no check digit of one.
            ("411111  1111111111", "411111  1111111111"),
            ("4111  1111  1111  1112", "4111  1111  1111  1112"),
            // Behind a word for a card, whatever its check digit.
            ("Karten-Nr. 4111111111111112", "Karten-Nr. ************1112"),
            ("PAN 4111 1111 1111 1112", "PAN **** **** **** 1112"),
            // The terminal masked a part of it.
            ("672590******4711", "************4711"),
            (
                "Karte 6725 90## #### #### 711",
                "Karte **** **## #### #### 711",
            ),
            ("Beleg 0231 411111XXXXXX1111", "Beleg 0231 ******XXXXXX1111"),
            ("41111111****1111 gültig", "************1111 gültig"),
            ("411111**********", "****************"),
            ("xxxx xxxx xxxx 4711", "xxxx xxxx xxxx 4711"),
            ("**** 68000123 ****", "**** 68000123 ****"),
            ("1077 * 68000123", "1077 * 68000123"),
            ("30.11.2026 20:41 TA 001077", "30.11.2026 20:41 TA 001077"),
            ("Betrag 37,80 EUR", "Betrag 37,80 EUR"),
        ] {
            assert_eq!(mask_text(text), masked);
        }
    }

    proptest! {
        #[test]
        fn a_masked_number_stays_what_it_is(packed in proptest::collection::vec(any::<u8>(), 0..99)) {
            let pan = MaskedPan::from_packed(&packed);
            prop_assert_eq!(MaskedPan::from_packed(&pan.to_packed()), pan);
        }

        #[test]
        fn masking_twice_is_masking_once(text in "[0-9 *#./-]{0,60}") {
            let once = mask_text(&text);
            prop_assert_eq!(once.len(), text.len());
            prop_assert_eq!(mask_text(&once), once);
        }
    }
}
