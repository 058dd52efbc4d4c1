//! APDUs: class, instruction, length, body (PA00P016; on TCP they follow each other bare).

use std::fmt;

use super::opaque::Opaque;

/// Longest body an APDU can carry.
pub const MAX_BODY: usize = u16::MAX as usize;

/// Class and instruction, the control field of an APDU.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Control(pub u8, pub u8);

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X} {:02X}", self.0, self.1)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One APDU. Its body is not shown by `Debug`: it may hold a PAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apdu {
    control: Control,
    body: Opaque,
}

impl Apdu {
    /// `None` if the body is longer than [`MAX_BODY`].
    pub fn new(control: Control, body: impl Into<Opaque>) -> Option<Self> {
        let body = body.into();
        (body.bytes().len() <= MAX_BODY).then_some(Self { control, body })
    }

    /// Class and instruction.
    pub fn control(&self) -> Control {
        self.control
    }

    /// What follows the length. Not for logs, events or the journal.
    pub fn body(&self) -> &[u8] {
        self.body.bytes()
    }

    /// Reads exactly one APDU; `None` if bytes are missing or left over.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut assembler = Assembler::default();
        let (last, all_but_last) = bytes.split_last()?;
        for byte in all_but_last {
            if assembler.push(*byte).is_some() {
                return None;
            }
        }
        assembler.push(*last)
    }

    /// The bytes on the wire, with the shortest form of the length.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = self.body();
        let mut bytes = Vec::with_capacity(body.len() + 5);
        bytes.extend([self.control.0, self.control.1]);
        match u8::try_from(body.len()) {
            Ok(len) if len != 0xFF => bytes.push(len),
            _ => {
                bytes.push(0xFF);
                // Held by `new`.
                let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
                bytes.extend(len.to_le_bytes());
            }
        }
        bytes.extend_from_slice(body);
        bytes
    }
}

/// Puts APDUs together from a TCP stream that may be cut anywhere.
///
/// Holds at most one unfinished APDU, and only bytes that were received. There is nothing to
/// resynchronise on: when a started APDU stalls (T1) the actor drops it and the connection.
#[derive(Debug, Default)]
pub struct Assembler {
    bytes: Vec<u8>,
}

impl Assembler {
    /// Takes one byte; gives the APDU that it completes.
    pub fn push(&mut self, byte: u8) -> Option<Apdu> {
        self.bytes.push(byte);
        let (head, body) = match *self.bytes.as_slice() {
            [_, _, 0xFF, low, high, ..] => (5, usize::from(u16::from_le_bytes([low, high]))),
            [_, _, len, ..] if len != 0xFF => (3, usize::from(len)),
            _ => return None,
        };
        if self.bytes.len() < head + body {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let control = Control(*bytes.first()?, *bytes.get(1)?);
        bytes.drain(..head);
        Apdu::new(control, bytes)
    }

    /// Takes what a read returned; gives the APDUs that are complete by now.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Apdu> {
        bytes.iter().filter_map(|byte| self.push(*byte)).collect()
    }

    /// Whether an APDU has begun and T1 must run.
    pub fn is_partial(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Drops an unfinished APDU.
    pub fn reset(&mut self) {
        drop(Opaque::from(std::mem::take(&mut self.bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apdus() -> impl Strategy<Value = Vec<Apdu>> {
        let body = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(any::<u8>(), 250..260),
        ];
        let one = (any::<u8>(), any::<u8>(), body)
            .prop_map(|(class, ins, body)| Apdu::new(Control(class, ins), body).unwrap());
        proptest::collection::vec(one, 0..5)
    }

    #[test]
    fn the_length_is_one_byte_or_three() {
        for (len, head) in [
            (0, vec![0x06, 0x0F, 0x00]),
            (254, vec![0x06, 0x0F, 0xFE]),
            (255, vec![0x06, 0x0F, 0xFF, 0xFF, 0x00]),
            (1648, vec![0x06, 0x0F, 0xFF, 0x70, 0x06]),
            (MAX_BODY, vec![0x06, 0x0F, 0xFF, 0xFF, 0xFF]),
        ] {
            let apdu = Apdu::new(Control(0x06, 0x0F), vec![0x55; len]).unwrap();
            let bytes = apdu.to_bytes();
            assert_eq!(bytes[..head.len()], head[..]);
            assert_eq!(Apdu::from_bytes(&bytes), Some(apdu));
        }
        assert_eq!(Apdu::new(Control(6, 15), vec![0; MAX_BODY + 1]), None);
    }

    #[test]
    fn a_long_length_for_a_short_body_is_understood() {
        let apdu = Apdu::from_bytes(&[0x80, 0x00, 0xFF, 0x00, 0x00]).unwrap();
        assert_eq!(apdu.to_bytes(), [0x80, 0x00, 0x00]);
    }

    #[test]
    fn an_unfinished_apdu_is_seen_and_dropped() {
        let mut assembler = Assembler::default();
        assert!(assembler.feed(&[0x04, 0x0F, 0x03, 0x27]).is_empty());
        assert!(assembler.is_partial());
        assembler.reset();
        assert_eq!(assembler.feed(&[0x80, 0x00, 0x00]).len(), 1);
        assert!(!assembler.is_partial());
    }

    proptest! {
        #[test]
        fn any_fragmentation_gives_the_same_apdus(
            apdus in apdus(), cuts in proptest::collection::vec(1_usize..50, 1..30)
        ) {
            let stream: Vec<u8> = apdus.iter().flat_map(Apdu::to_bytes).collect();
            let mut rest = stream.as_slice();
            let mut sizes = cuts.iter().cycle();
            let (mut assembler, mut got) = (Assembler::default(), Vec::new());
            while !rest.is_empty() {
                let (chunk, tail) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                got.extend(assembler.feed(chunk));
                rest = tail;
            }
            prop_assert_eq!(got, apdus);
            prop_assert!(!assembler.is_partial());
        }
    }
}
