//! The serial frame: `10 02 APDU 10 03 CRClo CRChi`, acknowledged by one byte (PA00P016).
//!
//! A 10 inside the APDU is doubled; the doubling counts for neither length nor checksum. The
//! checksum bytes are sent as they are. The specification names CRC-XModem, but terminals send
//! CRC-16/KERMIT over the APDU and the closing 03; the vectors below are from real terminals.

use super::apdu::{Apdu, MAX_BODY};
use super::opaque::Opaque;

const DLE: u8 = 0x10;
const STX: u8 = 0x02;
const ETX: u8 = 0x03;
/// The frame arrived whole.
pub const ACK: u8 = 0x06;
/// The frame is to be sent again, at most twice.
pub const NAK: u8 = 0x15;

/// Control field, longest form of the length, body.
const MAX_CONTENT: usize = 5 + MAX_BODY;

/// What the line brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A frame with a good checksum and exactly one APDU: answer [`ACK`].
    Frame(Apdu),
    /// The peer has our frame.
    Ack,
    /// The peer wants our frame again.
    Nak,
    /// A whole frame with a wrong checksum: answer [`NAK`].
    BadCrc,
    /// A good checksum around something that is not one APDU: answer [`NAK`].
    NotAnApdu,
    /// A frame that was interrupted, or longer than any APDU. Nothing to answer.
    Broken,
    /// A byte outside any frame. Nothing to answer.
    Noise(u8),
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Idle,
    Escape,
    Content,
    ContentEscape,
    CrcLow,
    CrcHigh(u8),
}

/// Finds frames in a serial stream; resynchronises on the next `10 02` after any garbage.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    content: Vec<u8>,
}

impl Decoder {
    /// Takes one byte; gives what it brings to an end.
    pub fn push(&mut self, byte: u8) -> Option<Event> {
        use State::{Content, ContentEscape, CrcHigh, CrcLow, Escape, Idle};
        let (next, event) = match (self.state, byte) {
            (Idle, ACK) => (Idle, Some(Event::Ack)),
            (Idle, NAK) => (Idle, Some(Event::Nak)),
            (Idle, DLE) => (Escape, None),
            (Escape, STX) => (Content, None),
            // A doubled 10 is the tail of a lost frame; the second may open the next one.
            (Escape, DLE) => (Escape, Some(Event::Noise(DLE))),
            (Idle | Escape, other) => (Idle, Some(Event::Noise(other))),
            (Content, DLE) => (ContentEscape, None),
            (ContentEscape, ETX) => (CrcLow, None),
            (ContentEscape, STX) => {
                self.reset();
                (Content, Some(Event::Broken))
            }
            (Content, byte) | (ContentEscape, byte @ DLE) if self.content.len() < MAX_CONTENT => {
                self.content.push(byte);
                (Content, None)
            }
            (Content | ContentEscape, _) => (Idle, Some(Event::Broken)),
            (CrcLow, low) => (CrcHigh(low), None),
            (CrcHigh(low), high) => (Idle, Some(self.judge(u16::from_le_bytes([low, high])))),
        };
        if matches!(next, Idle) {
            self.reset();
        }
        self.state = next;
        event
    }

    /// Takes what a read returned; gives what happened, in order.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        bytes.iter().filter_map(|byte| self.push(*byte)).collect()
    }

    /// Whether a frame has begun and T1 must run.
    pub fn is_partial(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Drops an unfinished frame (T1 ran out).
    pub fn reset(&mut self) {
        self.state = State::Idle;
        drop(Opaque::from(std::mem::take(&mut self.content)));
    }

    fn judge(&self, received: u16) -> Event {
        if checksum(&self.content) == received {
            Apdu::from_bytes(&self.content).map_or(Event::NotAnApdu, Event::Frame)
        } else {
            Event::BadCrc
        }
    }
}

/// The frame around an APDU.
pub fn encode(apdu: &Apdu) -> Vec<u8> {
    let content = apdu.to_bytes();
    let mut frame = Vec::with_capacity(content.len() + 8);
    frame.extend([DLE, STX]);
    for byte in &content {
        if *byte == DLE {
            frame.push(DLE);
        }
        frame.push(*byte);
    }
    frame.extend([DLE, ETX]);
    frame.extend(checksum(&content).to_le_bytes());
    frame
}

/// CRC-16/KERMIT (reflected 0x1021, start 0) over the content and the closing 03.
fn checksum(content: &[u8]) -> u16 {
    content.iter().chain([&ETX]).fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0x8408
            } else {
                crc >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AUTHORISATION: [u8; 16] = [
        0x10, 0x02, 0x06, 0x01, 0x07, 0x04, 0x00, 0x00, 0x00, 0x00, 0x01, 0x90, 0x10, 0x03, 0x76,
        0x57,
    ];
    const COMPLETION: [u8; 20] = [
        0x10, 0x02, 0x06, 0x0F, 0x0B, 0xF0, 0xF0, 0xF7, 0x32, 0x2E, 0x31, 0x34, 0x2E, 0x31, 0x35,
        0x00, 0x10, 0x03, 0xB1, 0x11,
    ];

    fn one_frame(bytes: &[u8]) -> Apdu {
        match Decoder::default().feed(bytes).as_slice() {
            [Event::Frame(apdu)] => apdu.clone(),
            other => panic!("expected one frame, got {other:?}"),
        }
    }

    #[test]
    fn frames_of_real_terminals_are_read_and_written_alike() {
        for frame in [AUTHORISATION.as_slice(), COMPLETION.as_slice()] {
            assert_eq!(encode(&one_frame(frame)), frame);
        }
    }

    #[test]
    fn ten_euros_ten_is_doubled_and_undoubled() {
        let body = [0x04, 0x00, 0x00, 0x00, 0x00, 0x10, 0x10];
        let apdu = Apdu::from_bytes(&[&[0x06, 0x01, 0x07], body.as_slice()].concat()).unwrap();
        let frame = encode(&apdu);
        assert_eq!(frame[10..16], [0x10, 0x10, 0x10, 0x10, 0x10, 0x03]);
        assert_eq!(one_frame(&frame), apdu);
    }

    #[test]
    fn acknowledgements_count_only_outside_a_frame() {
        let stream = [&[ACK], AUTHORISATION.as_slice(), &[NAK, 0x55]].concat();
        let events = Decoder::default().feed(&stream);
        assert!(matches!(
            events.as_slice(),
            [Event::Ack, Event::Frame(_), Event::Nak, Event::Noise(0x55)]
        ));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for at in 2..AUTHORISATION.len() {
            for bit in 0..8 {
                let mut frame = AUTHORISATION;
                frame[at] ^= 1 << bit;
                let events = Decoder::default().feed(&frame);
                assert!(
                    !events.iter().any(|event| matches!(event, Event::Frame(_))),
                    "{at} {bit}"
                );
            }
        }
    }

    #[test]
    fn a_good_checksum_around_no_apdu_is_not_a_frame() {
        let mut frame = vec![DLE, STX, 0x06, 0x0F, 0x05, DLE, ETX];
        frame.extend(checksum(&[0x06, 0x0F, 0x05]).to_le_bytes());
        assert_eq!(Decoder::default().feed(&frame), [Event::NotAnApdu]);
    }

    #[test]
    fn a_frame_cut_anywhere_does_not_swallow_the_next_one() {
        for cut in 0..COMPLETION.len() {
            let mut decoder = Decoder::default();
            decoder.feed(&COMPLETION[..cut]);
            if decoder.is_partial() {
                decoder.reset();
            }
            assert!(
                matches!(decoder.feed(&AUTHORISATION).as_slice(), [Event::Frame(_)]),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_new_frame_inside_an_unfinished_one_wins() {
        let stream = [&COMPLETION[..9], AUTHORISATION.as_slice()].concat();
        let events = Decoder::default().feed(&stream);
        assert!(matches!(
            events.as_slice(),
            [Event::Broken, Event::Frame(_)]
        ));
    }

    #[test]
    fn an_endless_frame_is_given_up() {
        let mut decoder = Decoder::default();
        decoder.feed(&[DLE, STX]);
        let events = decoder.feed(&vec![0x55; MAX_CONTENT + 1]);
        assert_eq!(events, [Event::Broken]);
    }

    proptest! {
        #[test]
        fn garbage_before_a_frame_never_hides_it(
            mut garbage in proptest::collection::vec(any::<u8>(), 0..40),
            body in proptest::collection::vec(prop_oneof![Just(DLE), any::<u8>()], 0..300),
        ) {
            // Garbage that itself opens a frame costs that frame; T1 or its end resynchronises.
            garbage.retain(|byte| *byte != DLE);
            let apdu = Apdu::new(super::super::apdu::Control(0x04, 0x0F), body).unwrap();
            let mut decoder = Decoder::default();
            decoder.feed(&garbage);
            prop_assert_eq!(decoder.feed(&encode(&apdu)), vec![Event::Frame(apdu)]);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            Decoder::default().feed(&bytes);
        }
    }
}
