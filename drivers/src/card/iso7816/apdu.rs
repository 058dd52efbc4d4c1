//! Command and response APDUs (ISO/IEC 7816-3, 12.1: the four cases, short and extended).

use std::fmt;

use super::StatusWord;

/// The most data and the longest answer of a short APDU: 255 and 256 bytes.
pub const MAX_SHORT: u32 = 256;
/// The longest answer of an extended APDU.
pub const MAX_EXTENDED: u32 = 65_536;

/// Whether lengths take one byte or three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Length {
    /// One byte where it fits, else three.
    #[default]
    Short,
    /// Always the extended form.
    Extended,
}

/// A command APDU. `Debug` shows its header only: bodies never reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// The data field, at most 65,535 bytes.
    pub data: Vec<u8>,
    /// How many bytes of answer are expected, 1 to 65,536; `None` for none.
    pub le: Option<u32>,
    /// The form of its lengths.
    pub length: Length,
}

/// Bytes that are no command APDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedCommand {
    /// Fewer than the four bytes of the header.
    #[error("a command APDU has at least four bytes, not {0}")]
    Header(usize),
    /// The bytes after the header are not what Lc and Le say.
    #[error("Lc and Le do not fit the {0} bytes after the header")]
    Body(usize),
}

/// Bytes that are no response APDU: the status word is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an answer of {0} bytes has no status word")]
pub struct MalformedResponse(pub usize);

impl Command {
    /// A command without data that expects no answer.
    pub fn new(cla: u8, ins: u8, p1: u8, p2: u8) -> Self {
        Self {
            cla,
            ins,
            p1,
            p2,
            data: Vec::new(),
            le: None,
            length: Length::Short,
        }
    }

    /// The same with a data field.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = data.into();
        self
    }

    /// The same with an expected length, brought to 1 … 65,536.
    #[must_use]
    pub fn expecting(mut self, le: u32) -> Self {
        self.le = Some(le.clamp(1, MAX_EXTENDED));
        self
    }

    /// Reads one command, all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedCommand> {
        let [cla, ins, p1, p2, body @ ..] = bytes else {
            return Err(MalformedCommand::Header(bytes.len()));
        };
        let command = Self::new(*cla, *ins, *p1, *p2);
        let wrong = MalformedCommand::Body(body.len());
        let short_le = |le: u8| if le == 0 { 256 } else { u32::from(le) };
        let long = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        let long_le = |le: u16| if le == 0 { MAX_EXTENDED } else { u32::from(le) };
        match body {
            [] => Ok(command),
            [le] => Ok(command.expecting(short_le(*le))),
            [0, high, low] => Ok(Self {
                length: Length::Extended,
                ..command.expecting(long_le(long(*high, *low)))
            }),
            [0, high, low, rest @ ..] => {
                let lc = usize::from(long(*high, *low));
                let (data, le) = rest.split_at_checked(lc).ok_or(wrong)?;
                let command = Self {
                    length: Length::Extended,
                    ..command.with_data(data)
                };
                match le {
                    _ if lc == 0 => Err(wrong),
                    [] => Ok(command),
                    [high, low] => Ok(command.expecting(long_le(long(*high, *low)))),
                    _ => Err(wrong),
                }
            }
            [0, ..] => Err(wrong),
            [lc, rest @ ..] => {
                let (data, le) = rest.split_at_checked(usize::from(*lc)).ok_or(wrong)?;
                let command = command.with_data(data);
                match le {
                    [] => Ok(command),
                    [le] => Ok(command.expecting(short_le(*le))),
                    _ => Err(wrong),
                }
            }
        }
    }

    /// The command as it goes to the card. Data beyond 65,535 bytes is cut: no APDU holds more.
    pub fn encode(&self) -> Vec<u8> {
        let data = &self.data[..self.data.len().min(0xFFFF)];
        let le = self.le.map(|le| le.clamp(1, MAX_EXTENDED));
        let extended = (self.length == Length::Extended && (le.is_some() || !data.is_empty()))
            || data.len() > 255
            || le.is_some_and(|le| le > MAX_SHORT);
        let mut bytes = vec![self.cla, self.ins, self.p1, self.p2];
        if extended {
            bytes.push(0);
        }
        // 256 and 65,536 stand as zero: the low bytes of the number say just that.
        let put = |bytes: &mut Vec<u8>, number: u32| {
            let [_, _, high, low] = number.to_be_bytes();
            if extended {
                bytes.push(high);
            }
            bytes.push(low);
        };
        if !data.is_empty() {
            put(&mut bytes, u32::try_from(data.len()).unwrap_or(0xFFFF));
            bytes.extend_from_slice(data);
        }
        if let Some(le) = le {
            put(&mut bytes, le);
        }
        bytes
    }

    /// Whether the class is an interindustry one, whose bits mean the same for every card.
    pub fn is_interindustry(&self) -> bool {
        self.cla & 0x80 == 0
    }

    /// Whether the class announces secure messaging; a proprietary class announces nothing.
    pub fn is_secured(&self) -> bool {
        match self.cla {
            0x00..=0x3F => self.cla & 0x0C != 0,
            0x40..=0x7F => self.cla & 0x20 != 0,
            _ => false,
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Command({:02x} {:02x} {:02x} {:02x}, {} bytes)",
            self.cla,
            self.ins,
            self.p1,
            self.p2,
            self.data.len()
        )
    }
}

/// A response APDU. `Debug` shows its status word only.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The data without the status word.
    pub data: Vec<u8>,
    /// The status word.
    pub status_word: StatusWord,
}

impl Response {
    /// Reads one answer, all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedResponse> {
        let Some((data, &[high, low])) = bytes.split_last_chunk::<2>() else {
            return Err(MalformedResponse(bytes.len()));
        };
        Ok(Self {
            data: data.to_vec(),
            status_word: StatusWord(u16::from_be_bytes([high, low])),
        })
    }

    /// The answer as a card gives it.
    pub fn encode(&self) -> Vec<u8> {
        [&self.data[..], &self.status_word.0.to_be_bytes()].concat()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status_word, bytes) = (self.status_word, self.data.len());
        write!(f, "Response({status_word}, {bytes} bytes)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_seven_forms_of_a_command() {
        let base = Command::new(0, 0xA4, 4, 0);
        let extended = |command: Command| Command {
            length: Length::Extended,
            ..command
        };
        for (bytes, command) in [
            (&[0, 0xA4, 4, 0][..], base.clone()),
            (&[0, 0xA4, 4, 0, 0], base.clone().expecting(256)),
            (&[0, 0xA4, 4, 0, 2, 1, 2], base.clone().with_data([1, 2])),
            (
                &[0, 0xA4, 4, 0, 1, 7, 9],
                base.clone().with_data([7]).expecting(9),
            ),
            (
                &[0, 0xA4, 4, 0, 0, 0, 0],
                extended(base.clone().expecting(65_536)),
            ),
            (
                &[0, 0xA4, 4, 0, 0, 0, 1, 7],
                extended(base.clone().with_data([7])),
            ),
            (
                &[0, 0xA4, 4, 0, 0, 0, 1, 7, 1, 0],
                extended(base.with_data([7]).expecting(256)),
            ),
        ] {
            assert_eq!(Command::parse(bytes), Ok(command.clone()), "{bytes:02x?}");
            assert_eq!(command.encode(), bytes);
        }
    }

    #[test]
    fn lengths_that_contradict_the_bytes_are_refused() {
        for bytes in [
            &[][..],
            &[0, 0xA4, 4],
            &[0, 0xA4, 4, 0, 2, 1],
            &[0, 0xA4, 4, 0, 1, 1, 0, 0],
            &[0, 0xA4, 4, 0, 0, 1],
            &[0, 0xA4, 4, 0, 0, 0, 0, 1],
            &[0, 0xA4, 4, 0, 0, 0, 2, 1],
        ] {
            assert!(Command::parse(bytes).is_err(), "{bytes:02x?}");
        }
        assert!(Response::parse(&[0x90]).is_err());
    }

    #[test]
    fn no_body_reaches_a_log() {
        let command = Command::new(0, 0x20, 0, 1).with_data(*b"1234");
        assert_eq!(format!("{command:?}"), "Command(00 20 00 01, 4 bytes)");
    }

    proptest! {
        #[test]
        fn what_can_be_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(command) = Command::parse(&bytes) {
                prop_assert_eq!(command.encode(), bytes);
            }
        }

        #[test]
        fn what_is_written_can_be_read(
            header in any::<[u8; 4]>(),
            data in proptest::collection::vec(any::<u8>(), 0..600),
            le in proptest::option::of(1_u32..=65_536),
        ) {
            let [cla, ins, p1, p2] = header;
            let command = Command { le, ..Command::new(cla, ins, p1, p2).with_data(data) };
            let read = Command::parse(&command.encode()).unwrap();
            prop_assert_eq!((&read.data, read.le), (&command.data, command.le));
        }

        #[test]
        fn an_answer_survives(bytes in proptest::collection::vec(any::<u8>(), 2..300)) {
            prop_assert_eq!(Response::parse(&bytes).unwrap().encode(), bytes);
        }
    }
}
