//! `[clients.<name>]`: who may connect, as what, and what they may call.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
};

use koffer_proto::{Class, ClientId, Text};

use super::mqtt::{Broker, GATEWAY_USERNAME};
use crate::calls::ClientRole;
use koffer_settings::{
    Choice, Form, Given, INLINE, Key, List, Parsed, PasswordFile, Passwords, Preset, Refusal,
    Reported, Secret, Section, Switch, Table, add_line, parse_name, suggestion, text,
};

/// One client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// What it may do.
    pub role: ClientRole,
    /// Its password at the embedded broker; an external broker keeps its own.
    pub password: Option<Secret>,
    /// The classes whose devices it may call.
    pub allow: Allowed,
    /// Whether it may say what became of a call whose outcome is unknown.
    pub resolve: bool,
}

const ROLES: &[(&str, ClientRole)] = &[
    ("workstation", ClientRole::Workstation),
    ("technician", ClientRole::Technician),
    ("monitor", ClientRole::Monitor),
];

/// The classes whose devices a client may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Every class, those that come with later versions included.
    Every,
    /// These.
    Classes(BTreeSet<Class>),
}

impl Allowed {
    /// Whether devices of `class` may be called.
    pub fn permits(&self, class: Class) -> bool {
        match self {
            Self::Every => true,
            Self::Classes(classes) => classes.contains(&class),
        }
    }
}

static ROLE: Key<Choice<ClientRole>> = Key {
    name: "role",
    form: Choice(ROLES),
    preset: Preset::Required,
    example: r#"role = "workstation""#,
    about: "`workstation`: calls on the classes in `allow`. `technician`: also self-tests, take-over \
            of claims and resolve. `monitor`: status, health and state, reads only.",
};

static PASSWORD: Key<Parsed<Secret>> = Key {
    name: "password",
    form: INLINE,
    preset: Preset::Optional,
    example: r#"password = "…""#,
    about: "The client's password at the embedded broker. A warning: whoever reads the configuration \
            knows it; a mistake where everybody can read the file. Better in password_file.",
};

static PASSWORD_FILE: Key<Parsed<PasswordFile>> = Key {
    name: "password_file",
    form: PasswordFile::FORM,
    preset: Preset::Optional,
    example: r#"password_file = "credential:ws-1""#,
    about: "A file with that password on one line, mode 600. `credential:NAME` is \
            /etc/koffer/secrets/NAME, which systemd hands to the daemon alone. \
            One of the two keys is required with the embedded broker; an external one keeps its own passwords.",
};

static ALLOW: Key<List<ClassOrStar>> = Key {
    name: "allow",
    form: List(ClassOrStar),
    preset: Preset::Value(""),
    example: r#"allow = ["payment", "document-printer"]"#,
    about: "The classes whose devices the client may call; `*` for every class. Nothing by default: \
            rights are given, not taken away.",
};

static RESOLVE: Key<Switch> = Key {
    name: "resolve",
    form: Switch,
    preset: Preset::Value("false"),
    example: "resolve = false",
    about: "Whether a workstation may say what became of a call whose outcome is unknown (`resolve`), on \
            devices of the classes in `allow`. Technicians always may. It is journalled who said so.",
};

pub(super) static SECTION: Section = Section {
    path: "clients.<name>",
    about: "One table per client. The name is its MQTT user name and its segment in topics; `kofferd` is the gateway's own.",
    keys: &[&ROLE, &PASSWORD, &PASSWORD_FILE, &ALLOW, &RESOLVE],
    tables: &[],
};

/// One entry of `allow`.
struct ClassOrStar;

impl ClassOrStar {
    fn classes() -> impl Iterator<Item = Class> {
        let own = |class: &Class| !matches!(class, Class::AnyDevice | Class::Gateway);
        Class::ALL.iter().copied().filter(own)
    }
}

impl Form for ClassOrStar {
    type Value = Option<Class>;

    fn expected(&self) -> Text {
        let classes: Vec<_> = Self::classes().map(Class::as_str).collect();
        text!(
            "eine Klasse ({classes}) oder *",
            "a class ({classes}) or *",
            classes = classes.join(", ")
        )
    }

    fn read(&self, given: Given<'_>) -> Result<Self::Value, Vec<Refusal>> {
        let text = given.text().ok_or_else(|| self.wrong_type(given))?;
        if text == "*" {
            return Ok(None);
        }
        let class = Self::classes().find(|class| class.as_str() == text);
        class.map(Some).ok_or_else(|| {
            vec![Refusal {
                what: text!(
                    "eine Klasse »{text}« gibt es nicht",
                    "there is no class \"{text}\""
                ),
                remedy: suggestion(text, Self::classes().map(Class::as_str)),
            }]
        })
    }
}

pub(super) fn read(
    root: &Table<'_>,
    broker: Result<Broker, Reported>,
    credentials: Option<&OsString>,
) -> Result<BTreeMap<ClientId, ClientConfig>, Reported> {
    let clients = root.table("clients");
    let read: Vec<_> = clients
        .names()
        .into_iter()
        .map(|name| {
            let id = id(&clients, name);
            let client = client(&clients.table(name), name, broker, credentials);
            Ok((id?, client?))
        })
        .collect();
    if read.is_empty() && clients.incomplete().is_none() {
        root.warning(
            "clients",
            text!("es gibt keine Clients", "there are no clients"),
            text!(
                "Je Arbeitsplatz eine Tabelle [clients.NAME] anlegen; ohne sie kann niemand aufrufen.",
                "Add a table [clients.NAME] per workstation; without one nobody can call."
            ),
        );
    }
    read.into_iter().collect()
}

fn id(clients: &Table<'_>, name: &str) -> Result<ClientId, Reported> {
    let id = parse_name(name).map_err(|what| {
        clients.mistake(
            name,
            what,
            text!(
                "Kleinbuchstaben, Ziffern und Bindestriche verwenden, z. B. [clients.ws-1].",
                "Use lower-case letters, digits and hyphens, e.g. [clients.ws-1]."
            ),
        )
    })?;
    if name == GATEWAY_USERNAME {
        return Err(clients.mistake(
            name,
            text!(
                "»{name}« ist der Name des Gateways selbst",
                "\"{name}\" is the gateway's own name"
            ),
            text!("Einen anderen Namen wählen.", "Choose another name."),
        ));
    }
    Ok(id)
}

fn client(
    table: &Table<'_>,
    name: &str,
    broker: Result<Broker, Reported>,
    credentials: Option<&OsString>,
) -> Result<ClientConfig, Reported> {
    table.only(&SECTION);
    let passwords = Passwords {
        inline: &PASSWORD,
        file: &PASSWORD_FILE,
        name,
        credentials,
    };
    let role = table.get(&ROLE);
    let password = passwords.read(table).and_then(|password| match password {
        None if matches!(broker, Ok(Broker::Embedded)) => Err(table.missing(
            PASSWORD_FILE.name,
            add_line(&table.key(""), &passwords.line()),
        )),
        password => Ok(password),
    });
    let allow = table.get(&ALLOW).map(allowed);
    let resolve = table.get(&RESOLVE);
    if let (Ok(role), Ok(allow)) = (&role, &allow) {
        check_rights(table, *role, allow)?;
    }
    Ok(ClientConfig {
        role: role?,
        password: password?,
        allow: allow?,
        resolve: resolve?,
    })
}

fn allowed(entries: Vec<Option<Class>>) -> Allowed {
    let classes: Option<BTreeSet<Class>> = entries.into_iter().collect();
    classes.map_or(Allowed::Every, Allowed::Classes)
}

fn check_rights(table: &Table<'_>, role: ClientRole, allow: &Allowed) -> Result<(), Reported> {
    let nothing = matches!(allow, Allowed::Classes(classes) if classes.is_empty());
    match role {
        ClientRole::Monitor if !nothing => Err(table.mistake(
            ALLOW.name,
            text!(
                "ein monitor liest nur und darf nichts aufrufen",
                "a monitor reads only and may call nothing"
            ),
            text!(
                "allow entfernen, oder role = \"workstation\" schreiben.",
                "Remove allow, or write role = \"workstation\"."
            ),
        )),
        ClientRole::Workstation if nothing && table.incomplete().is_none() => {
            table.warning(
                ALLOW.name,
                text!(
                    "dieser Arbeitsplatz darf nichts aufrufen",
                    "this workstation may call nothing"
                ),
                text!(
                    "Die Klassen nennen, z. B. {example}",
                    "Name the classes, e.g. {example}",
                    example = ALLOW.example
                ),
            );
            Ok(())
        }
        _ => Ok(()),
    }
}
