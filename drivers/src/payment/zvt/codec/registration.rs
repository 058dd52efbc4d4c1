//! 06 00: what the ECR asks of the terminal (chapter 2.1).

use super::EncodeError;
use super::bcd::{Bcd, Currency};
use super::bmp::Password;
use super::command::DecodeError;
use super::fields::Fields;
use super::opaque::Reader;

/// The config byte, table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConfigByte(pub u8);

impl ConfigByte {
    /// The ECR prints receipts of payments.
    pub const PAYMENT_RECEIPTS: Self = Self(0x02);
    /// The ECR prints receipts of administration.
    pub const ADMIN_RECEIPTS: Self = Self(0x04);
    /// The terminal sends 04 FF.
    pub const INTERMEDIATE_STATUS: Self = Self(0x08);
    /// No amount can be entered on the terminal.
    pub const NO_AMOUNT_ENTRY: Self = Self(0x10);
    /// No administration can be started on the terminal.
    pub const NO_ADMIN_START: Self = Self(0x20);
    /// Receipts come as 06 D1 or 06 D3; without it the ECR makes them from 04 0F.
    pub const PRINT_COMMANDS: Self = Self(0x80);

    /// Both sets of flags.
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// Whether all of these flags are set.
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// The status byte (BMP 19) of the completion that answers a registration, table 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RegistrationStatus(pub u8);

impl RegistrationStatus {
    /// 06 93 is needed.
    pub const fn needs_initialisation(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// 06 70 is needed.
    pub const fn needs_diagnosis(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// An OPT action (personalisation) is needed.
    pub const fn needs_opt(self) -> bool {
        self.0 & 0x04 != 0
    }
}

/// A registration. BMP 03 and 06 stand in `fields` and need the currency before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The terminal's password.
    pub password: Password,
    /// What the ECR takes over.
    pub config: ConfigByte,
    /// The only currency the ECR will ask for.
    pub currency: Option<Currency>,
    /// Service byte and TLV container.
    pub fields: Fields,
}

impl Registration {
    pub(super) fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(body);
        let password = reader.array().ok_or(DecodeError::Truncated)?;
        let config = reader.byte().ok_or(DecodeError::Truncated)?;
        let currency = match reader.0 {
            [] => None,
            _ => Some(Bcd::from_bytes(
                reader.array().ok_or(DecodeError::Truncated)?,
            )),
        };
        let fields = Fields::decode(reader.0)?;
        let password = Password(Bcd::from_bytes(password));
        Ok(Self {
            password,
            config: ConfigByte(config),
            currency,
            fields,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.currency.is_none() && !self.fields.0.is_empty() {
            return Err(EncodeError::Missing("currency"));
        }
        out.extend(self.password.0.bytes());
        out.push(self.config.0);
        out.extend(self.currency.iter().flat_map(|currency| currency.bytes()));
        self.fields.encode(out)
    }
}
