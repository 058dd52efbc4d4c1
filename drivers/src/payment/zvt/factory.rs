//! What a technician configures of a payment terminal, on the network or on a serial line.

use std::sync::Arc;

use koffer_proto::{Class, Connection, Currency, GatewayId, Text, class::gateway::Attachment};
use koffer_settings::{
    Choice, Key, Millis, Parsed, PasswordFile, Passwords, Preset, Reported, Secret, Section,
    Switch, Table, Whole, text,
};

use super::{
    Address, Profile, ReceiptsTo, TerminalPassword, ZvtConfig, codec::charset::Charset,
    config::BAUDS, driver,
};
use crate::{
    Context, Driver, DriverConfig, DriverFactory, DriverName, Endpoint, Plugged, PluggedConfig,
    factory::driver_key,
};

/// The driver's entry in the table of drivers.
pub static FACTORY: DriverFactory = DriverFactory {
    name: "zvt",
    class: Class::Payment,
    section: &SECTION,
    configured: |table, context| {
        let endpoint = table.get(&ADDRESS);
        let config = read(endpoint, table, context)?;
        Ok(Arc::new(config))
    },
    address_key: ADDRESS.name,
    plugged: Some(Plugged {
        by: Attachment::Serial,
        section: Some(&RULE),
        rule: |table, context| {
            // The node is the one that the rule finds.
            let line = baud(table).map(|baud| Address::Serial {
                path: String::new(),
                baud,
            });
            Ok(Arc::new(OnLine(read(line, table, context)?)))
        },
        list: None,
        explain: None,
    }),
    // A booking or a closing, and a look at the books (before one, or after a crash).
    fail_points: &[
        "zvt.books-read",
        "zvt.armed",
        "zvt.started",
        "zvt.sent",
        "zvt.acked",
        "zvt.card",
        "zvt.host",
        "zvt.result-received",
        "zvt.result-stored",
        "zvt.result-answered",
        "zvt.receipt",
        "zvt.completed",
    ],
};

impl DriverConfig for ZvtConfig {
    fn factory(&self) -> &'static DriverFactory {
        &FACTORY
    }

    fn address(&self) -> String {
        self.endpoint.url()
    }

    fn endpoint(&self) -> Endpoint {
        match &self.endpoint {
            address @ Address::Tcp { .. } => Endpoint::Network {
                authority: address.to_string(),
                path: String::new(),
            },
            Address::Serial { path, .. } => Endpoint::Path(path.into()),
        }
    }

    fn connection(&self) -> Connection {
        match &self.endpoint {
            address @ Address::Tcp { .. } => Connection::Tcp {
                address: address.to_string(),
            },
            Address::Serial { path, .. } => Connection::Serial { path: path.clone() },
        }
    }

    fn driver(&self, _: &GatewayId) -> Box<dyn Driver> {
        driver(self.clone())
    }
}

/// A terminal on the serial line that a rule finds.
#[derive(Debug)]
struct OnLine(ZvtConfig);

impl PluggedConfig for OnLine {
    fn factory(&self) -> &'static DriverFactory {
        &FACTORY
    }

    fn at(&self, found: &str) -> Arc<dyn DriverConfig> {
        let mut config = self.0.clone();
        if let Address::Serial { path, .. } = &mut config.endpoint {
            found.clone_into(path);
        }
        Arc::new(config)
    }
}

static DRIVER: Key<DriverName> = driver_key(r#"driver = "zvt""#);

static ADDRESS: Key<Parsed<Address>> = Key {
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

static RECEIPTS: Key<Choice<ReceiptsTo>> = Key {
    name: "receipts",
    form: Choice(&[
        ("app", ReceiptsTo::ToApp),
        ("terminal", ReceiptsTo::AtTerminal),
    ]),
    preset: Preset::Value("app"),
    example: r#"receipts = "app""#,
    about: "Who prints the receipts: `app`, they come with the completion as lines; `terminal`, its own printer does.",
};

static CHARSET: Key<Choice<Charset>> = Key {
    name: "charset",
    form: Choice(&[
        ("cp437", Charset::Cp437),
        ("ascii", Charset::Ascii),
        ("latin1", Charset::Latin1),
        ("latin2", Charset::Latin2),
        ("latin9", Charset::Latin9),
        ("utf8", Charset::Utf8),
        ("zvt7", Charset::Zvt7),
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

static SECTION: Section = Section {
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
static RULE: Section = Section {
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

fn address(text: &str) -> Result<Address, Text> {
    text.parse().map_err(|_| {
        text!(
            "»{text}« ist keine Adresse eines Terminals",
            "\"{text}\" is no address of a terminal"
        )
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

fn baud(table: &Table<'_>) -> Result<u32, Reported> {
    let baud = table.get(&BAUD)?;
    let known = u32::try_from(baud).ok().filter(|baud| BAUDS.contains(baud));
    known.ok_or_else(|| {
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
    })
}

fn read(
    endpoint: Result<Address, Reported>,
    table: &Table<'_>,
    context: &Context<'_>,
) -> Result<ZvtConfig, Reported> {
    let passwords = Passwords {
        inline: &PASSWORD,
        file: &PASSWORD_FILE,
        name: context.name,
        credentials: context.credentials,
    };
    let password = passwords.read(table);
    let currency = table.get(&CURRENCY);
    let receipts = table.get(&RECEIPTS);
    let charset = table.get(&CHARSET);
    let response_timeout = table.get(&T4);
    let reverse_only_last = table.get(&REVERSE_ONLY_LAST);
    let shows_books = table.get(&SHOWS_BOOKS);
    let tells_busy = table.get(&TELLS_BUSY);
    let books_within = table.get(&BOOKS_WITHIN);
    Ok(ZvtConfig {
        endpoint: endpoint?,
        password: terminal_password(table, password?)?,
        currency: currency?,
        receipts: receipts?,
        profile: Profile {
            charset: charset?,
            response_timeout: response_timeout?,
            reverse_only_last: reverse_only_last?,
            shows_books: shows_books?,
            tells_busy: tells_busy?,
            books_within: books_within?,
            ..Profile::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::parsed;

    #[test]
    fn a_terminal_needs_its_address_and_has_the_defaults_of_every_manual() {
        let config = parsed(&FACTORY, "address = \"tcp://192.0.2.7\"").unwrap();
        let expected = ZvtConfig {
            endpoint: "tcp://192.0.2.7:20007".parse().unwrap(),
            password: "000000".parse().unwrap(),
            currency: Currency::EUR,
            receipts: ReceiptsTo::ToApp,
            profile: Profile::default(),
        };
        assert_eq!(format!("{config:?}"), format!("{expected:?}"));
        let mistakes = parsed(&FACTORY, "").unwrap_err();
        assert_eq!(mistakes, ["devices.x.address: is missing"]);
    }

    #[test]
    fn a_line_that_a_rule_finds_is_the_terminal_s() {
        let config = parsed(&FACTORY, "address = \"serial:///dev/ttyS7?baud=19200\"").unwrap();
        assert_eq!(config.endpoint(), Endpoint::Path("/dev/ttyS7".into()));
        let line = OnLine(ZvtConfig {
            endpoint: "serial:///dev/none?baud=19200".parse().unwrap(),
            password: "000000".parse().unwrap(),
            currency: Currency::EUR,
            receipts: ReceiptsTo::ToApp,
            profile: Profile::default(),
        });
        assert_eq!(line.at("/dev/ttyS7").address(), config.address());
    }
}
