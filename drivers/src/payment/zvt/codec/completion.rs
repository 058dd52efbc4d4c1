//! 06 0F: the terminal hands control back (chapters 3.2 and 2.56.5).

use super::EncodeError;
use super::bmp::{self, read_digits};
use super::charset::{Charset, Text};
use super::command::DecodeError;
use super::fields::Fields;
use super::opaque::Reader;
use super::pan;
use super::result::TerminalStatus;

/// The two forms of a completion. The wire does not say which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// Fields, often none: the answer to all commands but the status enquiry.
    Fields(Fields),
    /// The answer to a status enquiry (05 01). While another command runs it belongs to the
    /// enquiry, not to that command.
    Status {
        /// Software version, 7-bit ZVT characters; left out if the service byte asked for that.
        software: Option<Text>,
        /// Ready, or what must be done first.
        status: TerminalStatus,
        /// The TLV container, if the service byte asked for one.
        fields: Fields,
    },
}

impl Completion {
    /// The software version, readable.
    pub fn software(&self) -> Option<String> {
        match self {
            Self::Fields(_) => None,
            Self::Status { software, .. } => {
                software.as_ref().map(|text| text.decode(Charset::Zvt7))
            }
        }
    }

    /// Fields of a completion do not begin with `Fx`, which begins a software version, nor does a
    /// single byte make a field; a status byte is followed by nothing or by a container.
    pub(super) fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let status = match body {
            [0xF0..=0xF9, 0xF0..=0xF9, 0xF0..=0xF9, ..] => {
                let mut reader = Reader(body);
                let len = read_digits::<3>(&mut reader).map_err(|_| DecodeError::Truncated)?;
                let software = reader.take(len).ok_or(DecodeError::Truncated)?;
                Some((Some(pan::masked_text(software)), reader.0))
            }
            [_] => Some((None, body)),
            [first, 0x06, ..] if TerminalStatus(*first).is_listed() || !bmp::is_known(*first) => {
                Some((None, body))
            }
            _ => None,
        };
        let Some((software, rest)) = status else {
            return Ok(Self::Fields(Fields::decode(body)?));
        };
        let (status, rest) = rest.split_first().ok_or(DecodeError::Truncated)?;
        let fields = Fields::decode(rest)?;
        Ok(Self::Status {
            software,
            status: TerminalStatus(*status),
            fields,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Fields(fields) => fields.encode(out)?,
            Self::Status {
                software,
                status,
                fields,
            } => {
                if let Some(software) = software {
                    let len = software.bytes().len();
                    let too_long = EncodeError::TooLong { tag: 0x0F, len };
                    if len > 999 {
                        return Err(too_long);
                    }
                    for unit in [100, 10, 1] {
                        out.push(0xF0 | u8::try_from(len / unit % 10).map_err(|_| too_long)?);
                    }
                    out.extend_from_slice(software.bytes());
                }
                out.push(status.0);
                fields.encode(out)?;
            }
        }
        // Two forms share the wire: what the peer would take for the other one is not sent.
        if Self::decode(out).as_ref() == Ok(self) {
            Ok(())
        } else {
            Err(EncodeError::Ambiguous("this completion"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bmp::Bmp;
    use super::super::tlv::Container;
    use super::*;

    fn body(completion: &Completion) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        completion.encode(&mut out).map(|()| out)
    }

    #[test]
    fn both_forms_are_told_apart() {
        let version = |text: &str| Some(Text::new(text, Charset::Zvt7));
        let status = |software, code, fields: &[Bmp]| Completion::Status {
            software,
            status: TerminalStatus(code),
            fields: Fields(fields.to_vec()),
        };
        let container = Bmp::Tlv(Container::default());
        let initialise = vec![Bmp::Type(0x01), Bmp::Currency(super::super::bcd::EUR)];
        for (bytes, completion) in [
            (&[][..], Completion::Fields(Fields::default())),
            (
                &[
                    0xF0, 0xF0, 0xF7, 0x32, 0x2E, 0x31, 0x34, 0x2E, 0x31, 0x35, 0x00,
                ],
                status(version("2.14.15"), 0x00, &[]),
            ),
            (&[0x9C], status(None, 0x9C, &[])),
            (&[0xF0], status(None, 0xF0, &[])),
            (
                &[0xF0, 0x06, 0x00],
                status(None, 0xF0, std::slice::from_ref(&container)),
            ),
            (
                &[0x64, 0x06, 0x00],
                status(None, 0x64, std::slice::from_ref(&container)),
            ),
            (&[0xF0, 0xF0, 0xF0, 0x51], status(version(""), 0x51, &[])),
            (
                &[0x19, 0x01, 0x49, 0x09, 0x78],
                Completion::Fields(Fields(initialise)),
            ),
            (&[0x06, 0x00], Completion::Fields(Fields(vec![container]))),
        ] {
            assert_eq!(
                Completion::decode(bytes).unwrap(),
                completion,
                "{bytes:02X?}"
            );
            assert_eq!(body(&completion).unwrap(), bytes);
        }
    }

    #[test]
    fn a_completion_that_would_be_misread_is_not_sent() {
        let wait = Completion::Status {
            software: None,
            status: TerminalStatus(0x27),
            fields: Fields(vec![Bmp::Result(0)]),
        };
        assert_eq!(body(&wait), Err(EncodeError::Ambiguous("this completion")));
    }

    #[test]
    fn a_cut_version_is_refused() {
        for cut in 3..11 {
            let bytes = [
                0xF0, 0xF0, 0xF7, 0x32, 0x2E, 0x31, 0x34, 0x2E, 0x31, 0x35, 0x00,
            ];
            assert!(Completion::decode(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
