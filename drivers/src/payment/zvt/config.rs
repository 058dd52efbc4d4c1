//! What a technician sets for one terminal.

use std::{fmt, str::FromStr, time::Duration};

use koffer_proto::Currency;
use koffer_settings::HostPort;

use super::codec::{
    bcd::{self, Bcd},
    bmp,
    charset::Charset,
};

/// The port that ZVT terminals listen on unless told otherwise (Feig: 22000).
const DEFAULT_PORT: u16 = 20_007;
/// Speed of a serial terminal unless told otherwise (PA00P016).
const DEFAULT_BAUD: u32 = 9_600;
/// The speeds that terminals offer.
pub(super) const BAUDS: [u32; 5] = [9_600, 19_200, 38_400, 57_600, 115_200];

/// One terminal: where it is, how to speak to it, and who prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZvtConfig {
    /// Where it is: `tcp://host:20007` or `serial:///dev/ttyS0?baud=9600`.
    pub endpoint: Address,
    /// The terminal's password, six digits.
    pub password: TerminalPassword,
    /// The only currency that is asked for.
    pub currency: Currency,
    /// Who prints receipts.
    pub receipts: ReceiptsTo,
    /// What is peculiar to the model.
    pub profile: Profile,
}

/// Where a terminal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// In the network.
    Tcp {
        /// Name or address; an IPv6 address without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// On a serial line, 8 data bits, no parity, 2 stop bits.
    Serial {
        /// The device node or its stable link.
        path: String,
        /// Bits per second.
        baud: u32,
    },
}

/// Who prints receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiptsTo {
    /// They come to the app, as lines.
    #[default]
    ToApp,
    /// The terminal's own printer.
    AtTerminal,
}

/// What is peculiar to a terminal model. The default suits a terminal that keeps to the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Offered at registration where it is not CP437; holds unless the terminal names another.
    /// The 7-bit set cannot be offered: a terminal that has it has it.
    pub charset: Charset,
    /// Whether the connection outlives a call. A serial port stays open in any case.
    pub connection: ConnectionUse,
    /// How long to wait for the terminal's next message (T4); 04 FF overrides it.
    pub response_timeout: Duration,
    /// Service byte of the status enquiry, for models that want one.
    pub status_service_byte: Option<u8>,
    /// The model reverses only its last transaction (PAX): others are refused before they are sent.
    pub reverse_only_last: bool,
    /// The model tells its last entry (06 20 with service byte 03) and its turnover (06 10) without
    /// printing them, and is asked before it books or closes. Not for a model that prints each time:
    /// most of its interrupted calls must then be looked after by a person.
    pub shows_books: bool,
    /// The model says that it is busy (05 01 tells 9C, or a command is refused with 84 9C) as long
    /// as it can still book. Then 00 proves that nothing is under way.
    pub tells_busy: bool,
    /// The longest time in which a booking that lost contact can still be made. Where the model
    /// does not tell that it is busy, "not booked" is said after that time only.
    pub books_within: Duration,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            charset: Charset::default(),
            connection: ConnectionUse::default(),
            response_timeout: super::timing::T4,
            status_service_byte: None,
            reverse_only_last: false,
            shows_books: true,
            tells_busy: false,
            books_within: super::timing::T4,
        }
    }
}

/// Whether a TCP connection outlives a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectionUse {
    /// Opened for each call and closed after it: terminals drop idle connections after 1-2 s.
    #[default]
    PerCall,
    /// Kept while the terminal keeps it.
    Kept,
}

/// The terminal's password. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TerminalPassword(bmp::Password);

/// A text is no address of a terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form tcp://host:port or serial:///dev/name?baud=9600")]
pub struct AddressError(String);

/// The password is not six digits. What was given is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a terminal's password has exactly six digits")]
pub struct PasswordError;

impl ZvtConfig {
    /// The currency as terminals number it (ISO 4217 numeric); `None` for one they do not take.
    pub(super) fn currency_code(&self) -> Option<bcd::Currency> {
        let number = match self.currency.as_str() {
            "EUR" => 978,
            "CHF" => 756,
            "CZK" => 203,
            "DKK" => 208,
            "GBP" => 826,
            "PLN" => 985,
            "SEK" => 752,
            "USD" => 840,
            _ => return None,
        };
        Bcd::from_value(number)
    }

    /// Whether the connection stays open between calls.
    pub(super) fn keeps_connection(&self) -> bool {
        matches!(self.endpoint, Address::Serial { .. })
            || self.profile.connection == ConnectionUse::Kept
    }
}

impl TerminalPassword {
    pub(super) fn field(self) -> bmp::Password {
        self.0
    }
}

impl fmt::Debug for TerminalPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<password>")
    }
}

impl FromStr for TerminalPassword {
    type Err = PasswordError;

    fn from_str(digits: &str) -> Result<Self, PasswordError> {
        let six = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse()
            .ok()
            .filter(|_| six)
            .and_then(Bcd::from_value)
            .map(|digits| Self(bmp::Password(digits)))
            .ok_or(PasswordError)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(address: &str) -> Result<Self, AddressError> {
        let parsed = match address.split_once("://") {
            Some(("tcp", rest)) => HostPort::parse(rest, Some(DEFAULT_PORT))
                .map(|HostPort { host, port }| Self::Tcp { host, port }),
            Some(("serial", rest)) => serial(rest),
            _ => None,
        };
        parsed.ok_or_else(|| AddressError(address.to_owned()))
    }
}

fn serial(rest: &str) -> Option<Address> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let baud = match query {
        "" => DEFAULT_BAUD,
        query => query.strip_prefix("baud=")?.parse().ok()?,
    };
    let path = path.to_owned();
    let named = path.starts_with('/') && path.len() > 1;
    (named && BAUDS.contains(&baud)).then_some(Address::Serial { path, baud })
}

impl Address {
    /// As it is written in the configuration.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Tcp { .. } => format!("tcp://{self}"),
            Self::Serial { path, baud } => format!("serial://{path}?baud={baud}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Serial { path, .. } => f.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_or_a_serial_line() {
        for (text, expected) in [
            ("tcp://127.0.0.1", Some("tcp://127.0.0.1:20007")),
            ("tcp://ec-terminal", Some("tcp://ec-terminal:20007")),
            ("tcp://[::1]:22000", Some("tcp://[::1]:22000")),
            ("serial:///dev/ttyS0", Some("serial:///dev/ttyS0?baud=9600")),
            (
                "serial:///dev/ttyUSB0?baud=115200",
                Some("serial:///dev/ttyUSB0?baud=115200"),
            ),
            ("serial:///dev/ttyS0?baud=300", None),
            ("serial:///dev/ttyS0?baud=fast", None),
            ("serial:///dev/ttyS0?speed=9600", None),
            ("serial:///dev/ttyS0?parity=odd", None),
            ("serial://", None),
            ("serial://ttyS0", None),
            ("", None),
            ("udp://127.0.0.1:1", None),
            ("http://host", None),
            ("127.0.0.1:20007", None),
            ("tcp://", None),
            ("tcp://host:0", None),
            ("tcp://host:99999", None),
            ("tcp://[::1", None),
            ("tcp://[::1]x", None),
            ("tcp://user@host:1", None),
        ] {
            let shown = text.parse::<Address>().ok().map(|address| address.url());
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_password_is_six_digits_and_never_shown() {
        let password: TerminalPassword = "012345".parse().unwrap();
        assert_eq!(password.field().0.bytes(), [0x01, 0x23, 0x45]);
        assert_eq!(format!("{password:?}"), "<password>");
        for wrong in ["", "12345", "1234567", "12345a", "+12345"] {
            assert_eq!(wrong.parse::<TerminalPassword>(), Err(PasswordError));
        }
    }
}
