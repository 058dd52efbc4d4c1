//! `[mqtt]`: the broker, our own or somebody else's.

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf};

use koffer_proto::Text;

use koffer_settings::{
    Choice, HostPort, INLINE, Key, Parsed, PasswordFile, Passwords, Preset, Reported, Secret,
    Section, Table, add_line, text,
};

/// The gateway's own name at the embedded broker, and its default at an external one.
pub const GATEWAY_USERNAME: &str = "kofferd";

/// The broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MqttConfig {
    /// Within the daemon.
    Embedded(EmbeddedBroker),
    /// Another process, such as mosquitto.
    External(ExternalBroker),
}

/// The broker within the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedBroker {
    /// Where it listens for MQTT; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where it listens for MQTT over WebSocket, for browsers.
    pub websocket: Option<SocketAddr>,
}

/// A broker elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalBroker {
    /// Where it listens.
    pub address: BrokerAddress,
    /// The gateway's user name there.
    pub username: String,
    /// Its password there.
    pub password: Secret,
}

/// Where an external broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerAddress {
    /// On TCP.
    Tcp(HostPort),
    /// On a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broker {
    Embedded,
    External,
}

static BROKER: Key<Choice<Broker>> = Key {
    name: "broker",
    form: Choice(&[
        ("embedded", Broker::Embedded),
        ("external", Broker::External),
    ]),
    preset: Preset::Value("embedded"),
    example: r#"broker = "embedded""#,
    about: "Which broker: the one within the daemon, or another process such as mosquitto. \
            Only the chosen one's table is used; the other one is still checked.",
};

static LISTEN: Key<Parsed<SocketAddr>> = Key {
    name: "listen",
    form: SOCKET,
    preset: Preset::Value("127.0.0.1:1883"),
    example: r#"listen = "127.0.0.1:1883""#,
    about: "Where the embedded broker listens for MQTT, without TLS: so on the loopback unless told \
            otherwise. Port 0 lets the system choose one (for tests).",
};

static WEBSOCKET: Key<Parsed<SocketAddr>> = Key {
    name: "websocket",
    form: SOCKET,
    preset: Preset::Optional,
    example: r#"websocket = "127.0.0.1:9001""#,
    about: "Where the embedded broker listens for MQTT over WebSocket, for browsers. Off by default.",
};

const SOCKET: Parsed<SocketAddr> = Parsed {
    de: "IP-Adresse und Port, z. B. 127.0.0.1:1883 oder [::1]:1883",
    en: "an IP address and a port, e.g. 127.0.0.1:1883 or [::1]:1883",
    parse: socket,
};

static ADDRESS: Key<Parsed<BrokerAddress>> = Key {
    name: "address",
    form: Parsed {
        de: "host:port, oder unix:/pfad/zum/socket",
        en: "host:port, or unix:/path/of/the/socket",
        parse: broker_address,
    },
    preset: Preset::Required,
    example: r#"address = "unix:/run/mosquitto/mqtt.sock""#,
    about: "Where the external broker listens. A Unix socket spares TCP's delays and open ports.",
};

static USERNAME: Key<Parsed<String>> = Key {
    name: "username",
    form: Parsed {
        de: "ein Benutzername aus 1 bis 64 druckbaren ASCII-Zeichen ohne / + #",
        en: "a user name of 1 to 64 printable ASCII characters without / + #",
        parse: username,
    },
    preset: Preset::Value(GATEWAY_USERNAME),
    example: r#"username = "kofferd""#,
    about: "The gateway's user name at the external broker; the ACL file that we ship grants `kofferd` what it needs.",
};

static PASSWORD: Key<Parsed<Secret>> = Key {
    name: "password",
    form: INLINE,
    preset: Preset::Optional,
    example: r#"password = "…""#,
    about: "The gateway's password at the external broker. Better in password_file.",
};

static PASSWORD_FILE: Key<Parsed<PasswordFile>> = Key {
    name: "password_file",
    form: PasswordFile::FORM,
    preset: Preset::Optional,
    example: r#"password_file = "credential:kofferd""#,
    about: "A file with that password on one line. `credential:NAME` is /etc/koffer/secrets/NAME, which systemd hands to the daemon alone.",
};

pub(super) static SECTION: Section = Section {
    path: "mqtt",
    about: "The broker.",
    keys: &[&BROKER],
    tables: &["embedded", "external"],
};

pub(super) static EMBEDDED: Section = Section {
    path: "mqtt.embedded",
    about: "The broker within the daemon.",
    keys: &[&LISTEN, &WEBSOCKET],
    tables: &[],
};

pub(super) static EXTERNAL: Section = Section {
    path: "mqtt.external",
    about: "A broker in another process.",
    keys: &[&ADDRESS, &USERNAME, &PASSWORD, &PASSWORD_FILE],
    tables: &[],
};

fn socket(text: &str) -> Result<SocketAddr, Text> {
    text.parse().map_err(|_| {
        text!(
            "»{text}« ist keine IP-Adresse mit Port",
            "\"{text}\" is no IP address with a port"
        )
    })
}

fn broker_address(text: &str) -> Result<BrokerAddress, Text> {
    let address = match text.strip_prefix("unix:") {
        Some(path) => path
            .starts_with('/')
            .then(|| BrokerAddress::Unix(PathBuf::from(path))),
        None => HostPort::parse(text, None).map(BrokerAddress::Tcp),
    };
    address.ok_or_else(|| {
        text!(
            "»{text}« ist keine Adresse eines Brokers",
            "\"{text}\" is no address of a broker"
        )
    })
}

fn username(text: &str) -> Result<String, Text> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"/+#".contains(&b);
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(text!(
            "»{text}« ist kein Benutzername",
            "\"{text}\" is no user name"
        ))
    }
}

/// Which broker it is, for the sections whose rules depend on it.
pub(super) fn broker(table: &Table<'_>) -> Result<Broker, Reported> {
    table.only(&SECTION);
    let broker = table.get(&BROKER)?;
    if broker == Broker::Embedded && !cfg!(feature = "embedded-broker") {
        return Err(table.mistake(
            BROKER.name,
            text!(
                "dieses kofferd ist ohne eingebauten Broker übersetzt",
                "this kofferd is built without the embedded broker"
            ),
            text!(
                "broker = \"external\" schreiben, oder das Paket mit eingebautem Broker installieren.",
                "Write broker = \"external\", or install the package with the embedded broker."
            ),
        ));
    }
    Ok(broker)
}

pub(super) fn read(
    mqtt: &Table<'_>,
    broker: Result<Broker, Reported>,
    credentials: Option<&OsString>,
) -> Result<MqttConfig, Reported> {
    let embedded = {
        let table = mqtt.table("embedded");
        table.only(&EMBEDDED);
        embedded(&table, broker)
    };
    let external = {
        let table = mqtt.table("external");
        table.only(&EXTERNAL);
        let used = matches!(broker, Ok(Broker::External));
        (used || table.present()).then(|| external(&table, credentials))
    };
    match (broker?, external) {
        (Broker::External, Some(external)) => external.map(MqttConfig::External),
        _ => embedded.map(MqttConfig::Embedded),
    }
}

fn embedded(
    table: &Table<'_>,
    broker: Result<Broker, Reported>,
) -> Result<EmbeddedBroker, Reported> {
    let listen = table.get(&LISTEN);
    let websocket = table.find(&WEBSOCKET);
    if matches!(broker, Ok(Broker::Embedded)) {
        let both = [
            (&LISTEN, listen.ok()),
            (&WEBSOCKET, websocket.ok().flatten()),
        ];
        for (key, address) in both {
            if let Some(address) = address
                && !address.ip().is_loopback()
            {
                table.warning(
                    key.name,
                    text!(
                        "auf {address} gehen Passwörter und Aufrufe unverschlüsselt über das Netz",
                        "on {address} passwords and calls cross the network unencrypted"
                    ),
                    text!(
                        "Auf 127.0.0.1 horchen, oder einen externen Broker mit TLS davorsetzen.",
                        "Listen on 127.0.0.1, or put an external broker with TLS in front."
                    ),
                );
            }
        }
    }
    let (listen, websocket) = (listen?, websocket?);
    if websocket == Some(listen) && listen.port() != 0 {
        return Err(table.mistake(
            WEBSOCKET.name,
            text!(
                "{listen} ist schon die Adresse von listen",
                "{listen} is already the address of listen"
            ),
            text!(
                "Einen anderen Port wählen, z. B. 9001.",
                "Choose another port, e.g. 9001."
            ),
        ));
    }
    Ok(EmbeddedBroker { listen, websocket })
}

fn external(table: &Table<'_>, credentials: Option<&OsString>) -> Result<ExternalBroker, Reported> {
    let passwords = Passwords {
        inline: &PASSWORD,
        file: &PASSWORD_FILE,
        name: GATEWAY_USERNAME,
        credentials,
    };
    let address = table.get(&ADDRESS);
    let username = table.get(&USERNAME);
    let password = passwords.read(table).and_then(|password| {
        let remedy = || add_line(EXTERNAL.path, &passwords.line());
        password.ok_or_else(|| table.missing(PASSWORD_FILE.name, remedy()))
    });
    Ok(ExternalBroker {
        address: address?,
        username: username?,
        password: password?,
    })
}
