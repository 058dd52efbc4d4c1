//! The commands koffer speaks, in both directions (chapters 2 and 3).

use super::EncodeError;
use super::amount::Amount;
use super::apdu::{Apdu, Control};
use super::bcd::{Bcd, Currency, ReceiptNo};
use super::bmp::{Bmp, FieldError, Password};
use super::charset::Text;
use super::completion::Completion;
use super::fields::Fields;
use super::opaque::{Opaque, Reader};
use super::pan;
use super::receipt::Attribute;
use super::registration::Registration;
use super::result::ResultCode;
use super::tlv::Container;

/// Control fields, by the names of the specification.
pub mod control {
    use super::Control;

    /// 04 01, from the terminal: its clock, for the ECR to set its own by.
    pub const TERMINAL_CLOCK: Control = Control(0x04, 0x01);
    /// 04 0F.
    pub const STATUS_INFORMATION: Control = Control(0x04, 0x0F);
    /// 04 FF.
    pub const INTERMEDIATE_STATUS: Control = Control(0x04, 0xFF);
    /// 05 01.
    pub const STATUS_ENQUIRY: Control = Control(0x05, 0x01);
    /// 06 00.
    pub const REGISTRATION: Control = Control(0x06, 0x00);
    /// 06 01.
    pub const AUTHORISATION: Control = Control(0x06, 0x01);
    /// 06 02.
    pub const LOG_OFF: Control = Control(0x06, 0x02);
    /// 06 0F.
    pub const COMPLETION: Control = Control(0x06, 0x0F);
    /// 06 10.
    pub const TURNOVER_TOTALS: Control = Control(0x06, 0x10);
    /// 06 1E.
    pub const ABORT: Control = Control(0x06, 0x1E);
    /// 06 20.
    pub const REPEAT_RECEIPT: Control = Control(0x06, 0x20);
    /// 06 22.
    pub const PRE_AUTHORISATION: Control = Control(0x06, 0x22);
    /// 06 23.
    pub const PARTIAL_REVERSAL: Control = Control(0x06, 0x23);
    /// 06 24.
    pub const BOOK_TOTAL: Control = Control(0x06, 0x24);
    /// 06 25.
    pub const PRE_AUTHORISATION_REVERSAL: Control = Control(0x06, 0x25);
    /// 06 30.
    pub const REVERSAL: Control = Control(0x06, 0x30);
    /// 06 31.
    pub const REFUND: Control = Control(0x06, 0x31);
    /// 06 50.
    pub const END_OF_DAY: Control = Control(0x06, 0x50);
    /// 06 70.
    pub const DIAGNOSIS: Control = Control(0x06, 0x70);
    /// 06 91.
    pub const SET_DATE_AND_TIME: Control = Control(0x06, 0x91);
    /// 06 93.
    pub const INITIALISATION: Control = Control(0x06, 0x93);
    /// 06 B0.
    pub const ABORT_REQUEST: Control = Control(0x06, 0xB0);
    /// 06 D1.
    pub const PRINT_LINE: Control = Control(0x06, 0xD1);
    /// 06 D3.
    pub const PRINT_BLOCK: Control = Control(0x06, 0xD3);
    /// 08 30.
    pub const SELECT_LANGUAGE: Control = Control(0x08, 0x30);
    /// 80 00.
    pub const ACK: Control = Control(0x80, 0x00);
    /// Class of all negative acknowledgements.
    pub const NACK_CLASS: u8 = 0x84;
}

/// Bits of the service byte (BMP 03).
pub mod service {
    /// 06 00: the service menu is not on the function key.
    pub const NO_SERVICE_MENU: u8 = 0x01;
    /// 06 00: payment texts in capitals.
    pub const CAPITALS: u8 = 0x02;
    /// 05 01: leave out the software version.
    pub const NO_SOFTWARE_VERSION: u8 = 0x02;
    /// 05 01: more about the state in a TLV container.
    pub const DETAILS: u8 = 0x04;
    /// 06 20: send 04 0F as it was.
    pub const STATUS_INFORMATION: u8 = 0x01;
    /// 06 20: print nothing.
    pub const NO_RECEIPT: u8 = 0x02;
}

/// Why an APDU is not the command it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A part that has a fixed place is missing.
    #[error("the body is too short")]
    Truncated,
    /// A field could not be read; [`super::bmp::Fault::Unknown`] is answered with `84 83`.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Code of `84 83`: this command or field is not known or not possible.
pub const NACK_UNKNOWN: u8 = 0x83;
/// Code of `84 9C`: busy, or "send 04 0F again".
pub const NACK_BUSY: u8 = 0x9C;
/// Code of `84 66`: the ECR could not process it (nothing was stored).
pub const NACK_PROCESSING_ERROR: u8 = 0x66;
/// Code of `84 CC`: the ECR's printer is not ready.
pub const NACK_PRINTER: u8 = 0xCC;

/// One command, or an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// 06 00.
    Registration(Registration),
    /// 06 01. Starts a payment: never sent twice for one call.
    Authorisation(Fields),
    /// 06 02.
    LogOff(Fields),
    /// 06 10. The turnover since the last closing, as a 04 0F; prints and closes nothing.
    TurnoverTotals(Password, Fields),
    /// 06 20.
    RepeatReceipt(Password, Fields),
    /// 06 22. Never sent twice for one call.
    PreAuthorisation(Fields),
    /// 06 23. Also, with receipt FFFF alone, the question for open pre-authorisations.
    PartialReversal(Fields),
    /// 06 24.
    BookTotal(Fields),
    /// 06 25.
    PreAuthorisationReversal(Fields),
    /// 06 30. Never sent twice for one call.
    Reversal(Password, Fields),
    /// 06 31. Never sent twice for one call.
    Refund(Password, Fields),
    /// 06 50.
    EndOfDay(Password, Fields),
    /// 06 70.
    Diagnosis(Fields),
    /// 06 91.
    SetDateAndTime(Password, Fields),
    /// 06 93.
    Initialisation(Password, Fields),
    /// 06 B0. Its 80 00 does not say that anything was cancelled.
    AbortRequest(Fields),
    /// 05 01. Fields need the password before them.
    StatusEnquiry(Option<Password>, Fields),
    /// 08 30: 0 German, 1 English, 2 French, 3 Italian.
    SelectLanguage(u8, Fields),

    /// 04 FF.
    IntermediateStatus {
        /// What the terminal is doing; [`super::status::IntermediateStatus`].
        code: u8,
        /// New T4 in minutes; needed before fields.
        timeout: Option<Bcd<1>>,
        /// The TLV container with a text of the terminal's own.
        fields: Fields,
    },
    /// 04 0F. Its acknowledgement commits the payment: store first, then acknowledge.
    StatusInformation(Fields),
    /// 06 D1. With attribute FF the text is one byte, the number of lines to feed.
    PrintLine(Attribute, Text),
    /// 06 D3; [`super::receipt::Block`].
    PrintBlock(Fields),
    /// 06 0F.
    Completion(Completion),
    /// 06 1E.
    Abort {
        /// Why.
        result: ResultCode,
        /// The terminal's currency, only with result 6F.
        currency: Option<Currency>,
        /// The TLV container; BMP 87 after 06 23.
        fields: Fields,
    },

    /// 80 00. A body (some vendors' file transfer) is not kept.
    Ack,
    /// 84 xx. `84 00` is a positive acknowledgement too.
    Nack(u8, Opaque),
    /// Anything else, untouched.
    Unknown(Apdu),
}

impl Command {
    /// A payment of this amount, the terminal choosing the way (payment type 40).
    pub fn pay(amount: Amount, currency: Currency) -> Self {
        Self::Authorisation(
            Fields::default()
                .with(Bmp::Amount(amount))
                .with(Bmp::Currency(currency))
                .with(Bmp::Type(0x40)),
        )
    }

    /// The reversal of one receipt.
    pub fn reverse(password: Password, receipt: ReceiptNo) -> Self {
        Self::Reversal(password, Fields::default().with(Bmp::Receipt(receipt)))
    }

    /// The last 04 0F again, without printing.
    pub fn repeat_last_result(password: Password) -> Self {
        let service = Bmp::Service(service::STATUS_INFORMATION | service::NO_RECEIPT);
        Self::RepeatReceipt(password, Fields::default().with(service))
    }

    /// Whether this acknowledges positively: 80 00 or 84 00.
    pub fn is_positive(&self) -> bool {
        matches!(self, Self::Ack | Self::Nack(0, _))
    }

    /// The control field.
    pub fn control(&self) -> Control {
        use control as c;
        match self {
            Self::Registration(_) => c::REGISTRATION,
            Self::Authorisation(_) => c::AUTHORISATION,
            Self::LogOff(_) => c::LOG_OFF,
            Self::TurnoverTotals(..) => c::TURNOVER_TOTALS,
            Self::RepeatReceipt(..) => c::REPEAT_RECEIPT,
            Self::PreAuthorisation(_) => c::PRE_AUTHORISATION,
            Self::PartialReversal(_) => c::PARTIAL_REVERSAL,
            Self::BookTotal(_) => c::BOOK_TOTAL,
            Self::PreAuthorisationReversal(_) => c::PRE_AUTHORISATION_REVERSAL,
            Self::Reversal(..) => c::REVERSAL,
            Self::Refund(..) => c::REFUND,
            Self::EndOfDay(..) => c::END_OF_DAY,
            Self::Diagnosis(_) => c::DIAGNOSIS,
            Self::SetDateAndTime(..) => c::SET_DATE_AND_TIME,
            Self::Initialisation(..) => c::INITIALISATION,
            Self::AbortRequest(_) => c::ABORT_REQUEST,
            Self::StatusEnquiry(..) => c::STATUS_ENQUIRY,
            Self::SelectLanguage(..) => c::SELECT_LANGUAGE,
            Self::IntermediateStatus { .. } => c::INTERMEDIATE_STATUS,
            Self::StatusInformation(_) => c::STATUS_INFORMATION,
            Self::PrintLine(..) => c::PRINT_LINE,
            Self::PrintBlock(_) => c::PRINT_BLOCK,
            Self::Completion(_) => c::COMPLETION,
            Self::Abort { .. } => c::ABORT,
            Self::Ack => c::ACK,
            Self::Nack(code, _) => Control(c::NACK_CLASS, *code),
            Self::Unknown(apdu) => apdu.control(),
        }
    }

    /// Reads an APDU. A command outside the list above is [`Command::Unknown`], no error.
    pub fn decode(apdu: Apdu) -> Result<Self, DecodeError> {
        use control as c;
        let body = apdu.body();
        let fields = || Fields::decode(body).map_err(DecodeError::Field);
        Ok(match apdu.control() {
            c::REGISTRATION => Self::Registration(Registration::decode(body)?),
            c::AUTHORISATION => Self::Authorisation(fields()?),
            c::LOG_OFF => Self::LogOff(fields()?),
            c::PRE_AUTHORISATION => Self::PreAuthorisation(fields()?),
            c::PARTIAL_REVERSAL => Self::PartialReversal(fields()?),
            c::BOOK_TOTAL => Self::BookTotal(fields()?),
            c::PRE_AUTHORISATION_REVERSAL => Self::PreAuthorisationReversal(fields()?),
            c::DIAGNOSIS => Self::Diagnosis(fields()?),
            c::ABORT_REQUEST => Self::AbortRequest(fields()?),
            c::STATUS_INFORMATION => Self::StatusInformation(fields()?),
            c::PRINT_BLOCK => Self::PrintBlock(fields()?),
            c::TURNOVER_TOTALS => with_password(body, Self::TurnoverTotals)?,
            c::REPEAT_RECEIPT => with_password(body, Self::RepeatReceipt)?,
            c::REVERSAL => with_password(body, Self::Reversal)?,
            c::REFUND => with_password(body, Self::Refund)?,
            c::END_OF_DAY => with_password(body, Self::EndOfDay)?,
            c::SET_DATE_AND_TIME => with_password(body, Self::SetDateAndTime)?,
            c::INITIALISATION => with_password(body, Self::Initialisation)?,
            c::STATUS_ENQUIRY if body.is_empty() => Self::StatusEnquiry(None, Fields::default()),
            c::STATUS_ENQUIRY => with_password(body, |password, fields| {
                Self::StatusEnquiry(Some(password), fields)
            })?,
            c::SELECT_LANGUAGE => {
                let (language, rest) = body.split_first().ok_or(DecodeError::Truncated)?;
                Self::SelectLanguage(*language, Fields::decode(rest)?)
            }
            c::INTERMEDIATE_STATUS => {
                let mut reader = Reader(body);
                let code = reader.byte().ok_or(DecodeError::Truncated)?;
                let timeout = reader.array().map(Bcd::from_bytes);
                Self::IntermediateStatus {
                    code,
                    timeout,
                    fields: Fields::decode(reader.0)?,
                }
            }
            c::PRINT_LINE => {
                let (attribute, text) = body.split_first().ok_or(DecodeError::Truncated)?;
                Self::PrintLine(Attribute(*attribute), pan::masked_text(text))
            }
            c::COMPLETION => Self::Completion(Completion::decode(body)?),
            c::ABORT => decode_abort(body)?,
            c::ACK => Self::Ack,
            Control(c::NACK_CLASS, code) => Self::Nack(code, body.into()),
            _ => Self::Unknown(apdu),
        })
    }

    /// Writes the APDU.
    pub fn encode(&self) -> Result<Apdu, EncodeError> {
        let mut body = Vec::new();
        match self {
            Self::Registration(registration) => registration.encode(&mut body)?,
            Self::Authorisation(fields)
            | Self::LogOff(fields)
            | Self::PreAuthorisation(fields)
            | Self::PartialReversal(fields)
            | Self::BookTotal(fields)
            | Self::PreAuthorisationReversal(fields)
            | Self::Diagnosis(fields)
            | Self::AbortRequest(fields)
            | Self::StatusInformation(fields)
            | Self::PrintBlock(fields) => fields.encode(&mut body)?,
            Self::TurnoverTotals(password, fields)
            | Self::RepeatReceipt(password, fields)
            | Self::Reversal(password, fields)
            | Self::Refund(password, fields)
            | Self::EndOfDay(password, fields)
            | Self::SetDateAndTime(password, fields)
            | Self::Initialisation(password, fields)
            | Self::StatusEnquiry(Some(password), fields) => {
                body.extend(password.0.bytes());
                fields.encode(&mut body)?;
            }
            Self::StatusEnquiry(None, fields) if fields.0.is_empty() => {}
            Self::StatusEnquiry(None, _) => return Err(EncodeError::Missing("password")),
            Self::SelectLanguage(language, fields) => {
                body.push(*language);
                fields.encode(&mut body)?;
            }
            Self::IntermediateStatus {
                code,
                timeout,
                fields,
            } => {
                if timeout.is_none() && !fields.0.is_empty() {
                    return Err(EncodeError::Missing("timeout"));
                }
                body.push(*code);
                body.extend(timeout.iter().flat_map(|minutes| minutes.bytes()));
                fields.encode(&mut body)?;
            }
            Self::PrintLine(attribute, text) => {
                body.push(attribute.0);
                body.extend_from_slice(text.bytes());
            }
            Self::Completion(completion) => completion.encode(&mut body)?,
            Self::Abort {
                result,
                currency,
                fields,
            } => {
                encode_abort(*result, *currency, fields, &mut body)?;
            }
            Self::Ack => {}
            Self::Nack(_, raw) => body.extend_from_slice(raw.bytes()),
            Self::Unknown(apdu) => return Ok(apdu.clone()),
        }
        let len = body.len();
        Apdu::new(self.control(), body).ok_or(EncodeError::TooLong { tag: 0, len })
    }

    /// The TLV container of any command that has one.
    pub fn tlv(&self) -> Option<Container> {
        match self {
            Self::Registration(registration) => registration.fields.tlv(),
            Self::Authorisation(fields)
            | Self::PreAuthorisation(fields)
            | Self::StatusInformation(fields)
            | Self::PrintBlock(fields)
            | Self::IntermediateStatus { fields, .. }
            | Self::Abort { fields, .. }
            | Self::Completion(Completion::Fields(fields) | Completion::Status { fields, .. }) => {
                fields.tlv()
            }
            _ => None,
        }
    }
}

fn with_password(
    body: &[u8],
    command: impl FnOnce(Password, Fields) -> Command,
) -> Result<Command, DecodeError> {
    let mut reader = Reader(body);
    let password = reader.array().ok_or(DecodeError::Truncated)?;
    Ok(command(
        Password(Bcd::from_bytes(password)),
        Fields::decode(reader.0)?,
    ))
}

/// With result 6F the currency stands without a number before it, unless a field begins there.
fn is_bare_currency(result: ResultCode, next: u8) -> bool {
    result == ResultCode::WRONG_CURRENCY && !matches!(next, 0x06 | 0x49 | 0x87)
}

fn decode_abort(body: &[u8]) -> Result<Command, DecodeError> {
    let mut reader = Reader(body);
    let result = ResultCode(reader.byte().ok_or(DecodeError::Truncated)?);
    let currency = match reader.0.first() {
        Some(next) if is_bare_currency(result, *next) => Some(Bcd::from_bytes(
            reader.array().ok_or(DecodeError::Truncated)?,
        )),
        _ => None,
    };
    Ok(Command::Abort {
        result,
        currency,
        fields: Fields::decode(reader.0)?,
    })
}

fn encode_abort(
    result: ResultCode,
    currency: Option<Currency>,
    fields: &Fields,
    body: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    body.push(result.0);
    body.extend(currency.iter().flat_map(|currency| currency.bytes()));
    fields.encode(body)?;
    let bare = body
        .get(1)
        .is_some_and(|next| is_bare_currency(result, *next));
    if bare == currency.is_some() {
        Ok(())
    } else {
        Err(EncodeError::Ambiguous("this abort"))
    }
}

#[cfg(test)]
mod tests;
