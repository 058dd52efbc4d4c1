//! Where packets begin and end in what a client sends.

/// Follows the fixed headers (MQTT 5, chapter 2.1). What is malformed is the broker's to find.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes of the present packet that have come.
    come: usize,
    /// Its remaining length as far as it is known, and how many bytes of that have come.
    length: usize,
    digits: u32,
    /// The whole of it, once its header is complete.
    whole: Option<usize>,
}

impl Frames {
    /// Takes what has come, up to the end of the present packet. Returns how much that is.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            if let Some(whole) = self.whole {
                let more = (bytes.len() - taken).min(whole - self.come);
                self.come += more;
                taken += more;
            } else {
                self.header(bytes[taken]);
                taken += 1;
            }
            if self.whole == Some(self.come) {
                *self = Self::default();
                break;
            }
        }
        taken
    }

    /// Bytes that have come of the packet that is not whole yet.
    pub(super) fn begun(&self) -> usize {
        self.come
    }

    fn header(&mut self, byte: u8) {
        const MOST_DIGITS: u32 = 4;
        self.come += 1;
        // The first byte is type and flags.
        if self.come > 1 {
            self.length |= usize::from(byte & 0x7f) << (7 * self.digits);
            self.digits += 1;
            if byte & 0x80 == 0 || self.digits == MOST_DIGITS {
                self.whole = Some(self.come + self.length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_without_a_body_is_whole_with_its_header() {
        let mut frames = Frames::default();
        frames.feed(&[0xc0]);
        assert_eq!(frames.begun(), 1);
        assert_eq!(frames.feed(&[0, 0x30]), 1);
        assert_eq!(frames.begun(), 0);
    }

    proptest! {
        #[test]
        fn what_is_begun_is_told_however_the_stream_is_cut(
            bodies in prop::collection::vec(prop_oneof![0..3_usize, 120..140_usize, 16_380..16_390_usize], 1..6),
            cut in 1..5000_usize,
        ) {
            let (mut stream, mut begun) = (Vec::new(), Vec::new());
            for body in bodies {
                let start = stream.len();
                stream.push(0x30);
                let mut length = body;
                while length > 0x7f {
                    stream.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                    length >>= 7;
                }
                stream.push(u8::try_from(length).unwrap());
                stream.resize(stream.len() + body, 0xff);
                begun.extend((1..stream.len() - start).chain([0]));
            }
            let (mut frames, mut fed) = (Frames::default(), 0);
            for mut piece in stream.chunks(cut) {
                while !piece.is_empty() {
                    let taken = frames.feed(piece);
                    piece = &piece[taken..];
                    fed += taken;
                    prop_assert_eq!(frames.begun(), begun[fed - 1]);
                }
            }
        }

        #[test]
        fn no_stream_of_bytes_upsets_it(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..64)) {
            let mut frames = Frames::default();
            for piece in pieces {
                prop_assert!(frames.feed(&piece) <= piece.len());
            }
        }
    }
}
