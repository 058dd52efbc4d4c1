//! What a card says of itself in its answer to reset (ISO/IEC 7816-3, 8.2; 7816-4, 12.1.1).

/// How a card takes long commands, as its historical bytes say; nothing where they say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CardCapabilities {
    /// It takes a long command in pieces (the class's chaining bit).
    pub chaining: bool,
    /// It takes extended lengths.
    pub extended_length: bool,
}

impl CardCapabilities {
    /// Reads an answer to reset; total on any bytes.
    pub fn of_atr(atr: &[u8]) -> Self {
        historical_bytes(atr)
            .and_then(software_functions)
            .map_or_else(Self::default, |third| Self {
                chaining: third & 0x80 != 0,
                extended_length: third & 0x40 != 0,
            })
    }
}

/// The historical bytes: behind the interface bytes that T0, TD1, TD2, … announce.
fn historical_bytes(atr: &[u8]) -> Option<&[u8]> {
    let (&t0, mut rest) = atr.get(1..)?.split_first()?;
    let mut announced = t0;
    loop {
        let bytes = (announced >> 4).count_ones() as usize;
        let (interface, more) = rest.split_at_checked(bytes)?;
        rest = more;
        if announced & 0x80 == 0 {
            break;
        }
        announced = *interface.last()?;
    }
    rest.get(..usize::from(t0 & 0x0F))
}

/// The third byte of the card capabilities in compact TLV (tag 7).
fn software_functions(historical: &[u8]) -> Option<u8> {
    let (category, mut rest) = historical.split_first()?;
    match category {
        0x80 => {}
        // Three status bytes stand at the end.
        0x00 => rest = rest.get(..rest.len().checked_sub(3)?)?,
        _ => return None,
    }
    while let Some((&head, more)) = rest.split_first() {
        let (value, more) = more.split_at_checked(usize::from(head & 0x0F))?;
        if head >> 4 == 7 {
            return value.get(2).copied();
        }
        rest = more;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_card_tells_that_it_takes_long_commands() {
        let says = |third: u8| {
            let atr = [0x3B, 0x85, 0x80, 0x01, 0x80, 0x73, 0, 0, third, 0];
            CardCapabilities::of_atr(&atr)
        };
        assert_eq!(
            says(0xC0),
            CardCapabilities {
                chaining: true,
                extended_length: true
            }
        );
        assert!(says(0x80).chaining && !says(0x80).extended_length);
        assert_eq!(says(0), CardCapabilities::default());
        assert_eq!(
            CardCapabilities::of_atr(&[0x3B, 0x00]),
            CardCapabilities::default()
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(atr in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = CardCapabilities::of_atr(&atr);
        }
    }
}
