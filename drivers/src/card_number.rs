//! Card numbers in text: masked, whoever printed them.

/// How many digits may be shown.
const SHOWN: usize = 4;
/// ISO/IEC 7812: a PAN has 13 to 19 digits.
const PAN_LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;
/// What a nibble or character becomes.
const MASK: u8 = b'*';

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
pub(crate) fn mask_bytes(text: &mut [u8]) {
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
        fn masking_twice_is_masking_once(text in "[0-9 *#./-]{0,60}") {
            let once = mask_text(&text);
            prop_assert_eq!(once.len(), text.len());
            prop_assert_eq!(mask_text(&once), once);
        }
    }
}
