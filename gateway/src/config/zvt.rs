//! `[devices.<name>]` with `driver = "zvt"`: a payment terminal.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

use koffer_proto::{Currency, Text};

use super::{
    devices::{self, Driver},
    endpoint::HostPort,
    finding::{Reported, text},
    form::{Choice, Millis, Parsed, Switch, Whole},
    key::{Key, Preset, Section},
    secret::{PasswordFile, Passwords},
    table::Table,
};
use koffer_drivers::payment::zvt::TerminalPassword;

use crate::Secret;

/// ZVT over TCP listens here (PA00P016), where the configuration names no port.
const DEFAULT_PORT: u16 = 20007;
/// The speed of ZVT on a serial line (PA00P016), where the configuration names none.
const DEFAULT_BAUD: u32 = 9600;
/// The speeds that terminals offer.
const BAUDS: [u32; 5] = [9600, 19200, 38400, 57600, 115_200];

/// A payment terminal that speaks ZVT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZvtConfig {
    /// Where it is.
    pub address: ZvtAddress,
    /// Its ZVT password: six digits.
    pub password: TerminalPassword,
    /// The currency it books.
    pub currency: Currency,
    /// Who prints the receipts.
    pub receipts: Receipts,
    /// The character set to negotiate.
    pub charset: ZvtCharset,
    /// How long it may stay silent while a command runs (T4).
    pub t4: Duration,
    /// Whether it can reverse its last transaction only.
    pub reverse_only_last: bool,
    /// Whether it may be asked for its last entry and its turnover before it books.
    pub shows_books: bool,
    /// It says that it is busy as long as it can still book.
    pub tells_busy: bool,
    /// The longest time in which it can still book after contact was lost.
    pub books_within: Duration,
}

/// Where a terminal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZvtAddress {
    /// On the network.
    Tcp(HostPort),
    /// On a serial line, 8N2.
    Serial {
        /// The device node, better its stable link under /dev/koffer.
        path: PathBuf,
        /// The line's speed in baud.
        baud: u32,
    },
}

impl ZvtAddress {
    /// What only one device can be connected to.
    pub(super) fn port(&self) -> String {
        match self {
            Self::Tcp(address) => format!("tcp://{address}").to_lowercase(),
            Self::Serial { path, .. } => format!("serial://{}", path.display()),
        }
    }
}

impl fmt::Display for ZvtAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Serial { path, baud } => write!(f, "serial://{}?baud={baud}", path.display()),
        }
    }
}

/// Who prints the receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipts {
    /// They come to the app as lines.
    App,
    /// The terminal's own printer.
    Terminal,
}

/// The character sets that can be asked for (PA00P015, tag 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the name of a standard")]
pub enum ZvtCharset {
    Cp437,
    Ascii,
    Latin1,
    Latin2,
    Latin9,
    Utf8,
    /// ZVT's own 7-bit set of old terminals; cannot be negotiated, only known.
    Zvt7,
}

static DRIVER: Key<Choice<Driver>> = devices::driver(r#"driver = "zvt""#);

static ADDRESS: Key<Parsed<ZvtAddress>> = Key {
    name: "address",
    form: Parsed {
        de: "tcp://host:port (ohne Angabe Port 20007) oder serial:///dev/…?baud=9600",
        en: "tcp://host:port (port 20007 if left out), or serial:///dev/…?baud=9600",
        parse: address,
    },
    preset: Preset::Required,
    example: r#"address = "tcp://192.0.2.7:20007""#,
    about: "Where the terminal is: `tcp://host:port` (20007 if left out; Feig uses 22000), or \
            `serial:///dev/koffer/…?baud=9600` (9600, 19200, 38400, 57600 or 115200; 9600 if left out). \
            ZVT is plain text: keep the terminal on a segment of its own.",
};

static PASSWORD: Key<Parsed<Secret>> = Key {
    name: "password",
    form: Parsed {
        de: "ein Passwort aus sechs Ziffern in Anführungszeichen",
        en: "a password of six digits in quotes",
        parse: password,
    },
    preset: Preset::Value("000000"),
    example: r#"password = "000000""#,
    about: "The terminal's ZVT password, six digits in quotes. 000000 is what terminals are delivered with.",
};

static PASSWORD_FILE: Key<Parsed<PasswordFile>> = Key {
    name: "password_file",
    form: PasswordFile::FORM,
    preset: Preset::Optional,
    example: r#"password_file = "credential:ec-terminal""#,
    about: "A file with that password on one line, where it is not the one of every manual.",
};

static CURRENCY: Key<Choice<Currency>> = Key {
    name: "currency",
    form: Choice(&[("EUR", Currency::EUR)]),
    preset: Preset::Value("EUR"),
    example: r#"currency = "EUR""#,
    about: "The currency the terminal books. Euro only: amounts in another one are refused, not converted.",
};

static RECEIPTS: Key<Choice<Receipts>> = Key {
    name: "receipts",
    form: Choice(&[("app", Receipts::App), ("terminal", Receipts::Terminal)]),
    preset: Preset::Value("app"),
    example: r#"receipts = "app""#,
    about: "Who prints the receipts: `app`, they come with the completion as lines; `terminal`, its own printer does.",
};

static CHARSET: Key<Choice<ZvtCharset>> = Key {
    name: "charset",
    form: Choice(&[
        ("cp437", ZvtCharset::Cp437),
        ("ascii", ZvtCharset::Ascii),
        ("latin1", ZvtCharset::Latin1),
        ("latin2", ZvtCharset::Latin2),
        ("latin9", ZvtCharset::Latin9),
        ("utf8", ZvtCharset::Utf8),
        ("zvt7", ZvtCharset::Zvt7),
    ]),
    preset: Preset::Value("cp437"),
    example: r#"charset = "cp437""#,
    about: "The character set of the terminal's texts. It is asked for at registration and holds unless the \
            terminal names another one. `zvt7` is not asked for: old terminals simply have it.",
};

static T4: Key<Millis> = Key {
    name: "t4_ms",
    form: Millis {
        min: 5_000,
        max: 600_000,
    },
    preset: Preset::Value("180000"),
    example: "t4_ms = 180000",
    about: "How long the terminal may stay silent while a command runs (timer T4; 180 s in PA00P015). \
            Raise it for terminals with a slow line to their host; shorter ends payments in doubt.",
};

static REVERSE_ONLY_LAST: Key<Switch> = Key {
    name: "reverse_only_last",
    form: Switch,
    preset: Preset::Value("false"),
    example: "reverse_only_last = true",
    about: "Whether the terminal can reverse its last transaction only (PAX); others are then refused before anything is sent.",
};

static SHOWS_BOOKS: Key<Switch> = Key {
    name: "shows_books",
    form: Switch,
    preset: Preset::Value("true"),
    example: "shows_books = false",
    about: "Whether the terminal is asked for its last entry and its turnover before it books. `false` for a model \
            that prints a slip each time; most of its interrupted payments must then be looked after by a person.",
};

static TELLS_BUSY: Key<Switch> = Key {
    name: "tells_busy",
    form: Switch,
    preset: Preset::Value("false"),
    example: "tells_busy = true",
    about: "Whether the terminal says that it is busy as long as it can still book: it answers the status enquiry \
            (05 01) with 9C, or refuses commands with 84 9C, from the command until the customer has paid or not. \
            An interrupted payment is then settled as soon as it says that it is ready. `false` where that is not known.",
};

static BOOKS_WITHIN: Key<Millis> = Key {
    name: "books_within_ms",
    form: Millis {
        min: 0,
        max: 600_000,
    },
    preset: Preset::Value("180000"),
    example: "books_within_ms = 180000",
    about: "The longest time in which the terminal can still book a payment after contact was lost, because the customer \
            stands there with a card. \"Nothing was booked\" is said after that time only, unless `tells_busy` is set; \
            what was booked is told at once. Shorter than the terminal's own time limits, it tells customers who pay late \
            that they did not.",
};

pub(super) static SECTION: Section = Section {
    path: r#"devices.<name>, driver = "zvt""#,
    about: "A payment terminal that speaks ZVT; class `payment`.",
    keys: &[
        &DRIVER,
        &ADDRESS,
        &PASSWORD,
        &PASSWORD_FILE,
        &CURRENCY,
        &RECEIPTS,
        &CHARSET,
        &T4,
        &REVERSE_ONLY_LAST,
        &SHOWS_BOOKS,
        &TELLS_BUSY,
        &BOOKS_WITHIN,
    ],
    tables: &[],
};

static BAUD: Key<Whole> = Key {
    name: "baud",
    form: Whole {
        min: 9600,
        max: 115_200,
    },
    preset: Preset::Value("9600"),
    example: "baud = 9600",
    about: "The speed of the line that the rule finds: 9600, 19200, 38400, 57600 or 115200.",
};

/// The keys of a rule with `driver = "zvt"`: those of a configured device, with the speed of the
/// line in the address's place.
pub(super) static RULE: Section = Section {
    path: r#"[rule], driver = "zvt""#,
    about: "A payment terminal on a serial line; class `payment`.",
    keys: &[
        &BAUD,
        &PASSWORD,
        &PASSWORD_FILE,
        &CURRENCY,
        &RECEIPTS,
        &CHARSET,
        &T4,
        &REVERSE_ONLY_LAST,
        &SHOWS_BOOKS,
        &TELLS_BUSY,
        &BOOKS_WITHIN,
    ],
    tables: &[],
};

fn address(text: &str) -> Result<ZvtAddress, Text> {
    let parsed = match text.split_once("://") {
        Some(("tcp", rest)) => HostPort::parse(rest, Some(DEFAULT_PORT)).map(ZvtAddress::Tcp),
        Some(("serial", rest)) => serial(rest),
        _ => None,
    };
    parsed.ok_or_else(|| {
        text!(
            "»{text}« ist keine Adresse eines Terminals",
            "\"{text}\" is no address of a terminal"
        )
    })
}

fn serial(rest: &str) -> Option<ZvtAddress> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let baud = match query {
        "" => DEFAULT_BAUD,
        query => query.strip_prefix("baud=")?.parse().ok()?,
    };
    (path.starts_with('/') && path.len() > 1 && BAUDS.contains(&baud)).then(|| ZvtAddress::Serial {
        path: PathBuf::from(path),
        baud,
    })
}

/// The password as the terminal takes it: what a file holds is checked here.
fn terminal_password(
    table: &Table<'_>,
    secret: Option<Secret>,
) -> Result<TerminalPassword, Reported> {
    // The key has a default, so there always is one.
    let secret = secret.unwrap_or_else(|| Secret::new("000000"));
    secret.reveal().parse().map_err(|_| {
        table.mistake(
            PASSWORD_FILE.name,
            text!(
                "in der Datei steht kein ZVT-Passwort",
                "there is no ZVT password in that file"
            ),
            text!(
                "Sechs Ziffern auf eine Zeile schreiben.",
                "Write six digits on one line."
            ),
        )
    })
}

fn password(text: &str) -> Result<Secret, Text> {
    if text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(Secret::new(text))
    } else {
        Err(text!(
            "ein ZVT-Passwort hat genau sechs Ziffern",
            "a ZVT password has exactly six digits"
        ))
    }
}

pub(super) fn read(
    table: &Table<'_>,
    name: &str,
    credentials: Option<&OsString>,
) -> Result<ZvtConfig, Reported> {
    let address = table.get(&ADDRESS);
    read_at(address, table, name, credentials)
}

/// A rule's terminal; the line's node is the one that the rule finds.
pub(super) fn read_rule(
    table: &Table<'_>,
    name: &str,
    credentials: Option<&OsString>,
) -> Result<ZvtConfig, Reported> {
    read_at(line(table), table, name, credentials)
}

fn line(table: &Table<'_>) -> Result<ZvtAddress, Reported> {
    let baud = table.get(&BAUD)?;
    let known = u32::try_from(baud).ok().filter(|baud| BAUDS.contains(baud));
    let baud = known.ok_or_else(|| {
        table.mistake(
            BAUD.name,
            text!(
                "{baud} Baud bietet kein Terminal",
                "no terminal offers {baud} baud"
            ),
            text!(
                "9600, 19200, 38400, 57600 oder 115200 schreiben.",
                "Write 9600, 19200, 38400, 57600 or 115200."
            ),
        )
    })?;
    Ok(ZvtAddress::Serial {
        path: PathBuf::new(),
        baud,
    })
}

fn read_at(
    address: Result<ZvtAddress, Reported>,
    table: &Table<'_>,
    name: &str,
    credentials: Option<&OsString>,
) -> Result<ZvtConfig, Reported> {
    let passwords = Passwords {
        inline: &PASSWORD,
        file: &PASSWORD_FILE,
        name,
        credentials,
    };
    let password = passwords.read(table);
    let currency = table.get(&CURRENCY);
    let receipts = table.get(&RECEIPTS);
    let charset = table.get(&CHARSET);
    let t4 = table.get(&T4);
    let reverse_only_last = table.get(&REVERSE_ONLY_LAST);
    let shows_books = table.get(&SHOWS_BOOKS);
    let tells_busy = table.get(&TELLS_BUSY);
    let books_within = table.get(&BOOKS_WITHIN);
    Ok(ZvtConfig {
        address: address?,
        password: terminal_password(table, password?)?,
        currency: currency?,
        receipts: receipts?,
        charset: charset?,
        t4: t4?,
        reverse_only_last: reverse_only_last?,
        shows_books: shows_books?,
        tells_busy: tells_busy?,
        books_within: books_within?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_or_a_serial_line() {
        for (text, expected) in [
            ("tcp://127.0.0.1", Some("tcp://127.0.0.1:20007")),
            ("tcp://[::1]:22000", Some("tcp://[::1]:22000")),
            ("serial:///dev/ttyS0", Some("serial:///dev/ttyS0?baud=9600")),
            (
                "serial:///dev/ttyS0?baud=115200",
                Some("serial:///dev/ttyS0?baud=115200"),
            ),
            ("serial:///dev/ttyS0?baud=300", None),
            ("serial:///dev/ttyS0?parity=odd", None),
            ("serial://ttyS0", None),
            ("udp://127.0.0.1:1", None),
            ("127.0.0.1:20007", None),
            ("tcp://", None),
        ] {
            let shown = address(text).ok().map(|address| address.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }
}
