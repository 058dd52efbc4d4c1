//! The fields of a body and how to ask for them.

use super::EncodeError;
use super::amount::Amount;
use super::bcd::{Bcd, Currency, ReceiptNo, TerminalId, TraceNo};
use super::bmp::{Bmp, FieldError};
use super::charset::Text;
use super::opaque::Reader;
use super::pan::MaskedPan;
use super::tlv::Container;
use super::totals::Totals;

/// The fields of a body, in the order of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(pub Vec<Bmp>);

/// Getters for the first field of a kind.
macro_rules! first {
    ($($(#[$doc:meta])* $name:ident: $variant:ident -> $type:ty;)*) => {
        $($(#[$doc])*
        pub fn $name(&self) -> Option<$type> {
            self.0.iter().find_map(|bmp| match bmp {
                Bmp::$variant(value) => Some(value.clone()),
                _ => None,
            })
        })*
    };
}

impl Fields {
    first! {
        /// BMP 03.
        service: Service -> u8;
        /// BMP 04.
        amount: Amount -> Amount;
        /// BMP 06.
        tlv: Tlv -> Container;
        /// BMP 0B.
        trace: Trace -> TraceNo;
        /// BMP 0C, HHMMSS.
        time: Time -> Bcd<3>;
        /// BMP 0D, MMDD.
        date: Date -> Bcd<2>;
        /// BMP AA, YYMMDD.
        full_date: FullDate -> Bcd<3>;
        /// BMP 19: payment type or status byte.
        kind: Type -> u8;
        /// BMP 22.
        pan: Pan -> MaskedPan;
        /// BMP 27.
        result: Result -> u8;
        /// BMP 29.
        terminal_id: TerminalId -> TerminalId;
        /// BMP 37.
        original_trace: OriginalTrace -> TraceNo;
        /// BMP 3C.
        additional: Additional -> Text;
        /// BMP 49.
        currency: Currency -> Currency;
        /// BMP 87.
        receipt: Receipt -> ReceiptNo;
        /// BMP 88.
        turnover: Turnover -> Bcd<3>;
        /// BMP 8A.
        card_type: CardType -> u8;
        /// BMP 8B.
        card_name: CardName -> Text;
    }

    /// BMP 2A without its padding.
    pub fn vu(&self) -> Option<String> {
        self.0.iter().find_map(|bmp| match bmp {
            Bmp::Vu(bytes) => Some(printable(bytes)),
            _ => None,
        })
    }

    /// BMP 3B without its padding.
    pub fn authorisation(&self) -> Option<String> {
        self.0.iter().find_map(|bmp| match bmp {
            Bmp::Authorisation(bytes) => Some(printable(bytes)),
            _ => None,
        })
    }

    /// BMP 60, if it has the structure of chapter 3.1.3.
    pub fn totals(&self) -> Option<Totals> {
        self.0.iter().find_map(|bmp| match bmp {
            Bmp::Totals(bytes) => Totals::decode(bytes.bytes()),
            _ => None,
        })
    }

    /// Adds a field at the end.
    pub fn with(mut self, bmp: Bmp) -> Self {
        self.0.push(bmp);
        self
    }

    /// Reads all fields of a body.
    pub fn decode(body: &[u8]) -> Result<Self, FieldError> {
        let mut reader = Reader(body);
        let mut fields = Self::default();
        while let Some(tag) = reader.0.first().copied() {
            let here = reader.0;
            match Bmp::read(&mut reader) {
                Ok(bmp) => fields.0.push(bmp),
                Err(fault) => {
                    return Err(FieldError {
                        fault,
                        tag,
                        raw: here.into(),
                        before: fields,
                    });
                }
            }
        }
        Ok(fields)
    }

    /// Writes the fields.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.0.iter().try_for_each(|bmp| bmp.write(out))
    }
}

fn printable(bytes: &[u8]) -> String {
    let text: String = bytes
        .iter()
        .filter(|byte| (0x20..0x7F).contains(*byte))
        .copied()
        .map(char::from)
        .collect();
    text.trim().to_owned()
}
