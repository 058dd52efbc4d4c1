//! Rules files: how something that is plugged in becomes a device. TOML with one `[[rule]]` each;
//! the first rule that fits decides.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use config::{Map, Value, ValueKind};
use koffer_drivers::{
    Context, PluggedConfig,
    factory::{READER_NAME, RULE_DRIVER},
};
use koffer_proto::{DeviceId, Text, class::gateway::Attachment};

use super::devices::Devices;
use koffer_settings::{
    Choice, Finding, Key, Layers, NamePattern, Origin, Parsed, Preset, Report, Reported, Section,
    Switch, Table, text, toml_files,
};

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Where it stands.
    pub origin: Origin,
    /// What it fits.
    pub wanted: Wanted,
    /// What becomes of that.
    pub then: Then,
}

/// What becomes of what a rule fits.
#[derive(Debug, Clone)]
pub enum Then {
    /// It is this device.
    Serve(Template, Arc<dyn PluggedConfig>),
    /// Nothing, and nobody needs to look at it.
    Ignore,
}

impl Rule {
    /// The name it gives and the driver, where it gives one.
    pub fn served(&self) -> Option<(&Template, &dyn PluggedConfig)> {
        match &self.then {
            Then::Serve(name, driver) => Some((name, driver.as_ref())),
            Then::Ignore => None,
        }
    }
}

/// What a rule fits: everything that is written must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How it is attached.
    pub by: Attachment,
    /// USB vendor id, four hexadecimal digits in lower case.
    pub vid: Option<String>,
    /// USB product id, likewise.
    pub pid: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The socket it is in.
    pub port: Option<String>,
    /// The USB interface of an adapter with several lines.
    pub interface: Option<String>,
    /// The PC/SC reader's name.
    pub reader: Option<NamePattern>,
}

/// A device's name, in which `{port}`, `{serial}` and `{interface}` stand for those of what is
/// found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template(String);

/// What may stand in a template.
const PLACES: [&str; 3] = ["{port}", "{serial}", "{interface}"];

impl Template {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, where it is the same for everything that is found.
    pub fn fixed(&self) -> Option<DeviceId> {
        self.0.parse().ok()
    }

    /// The name of something; `Err` with the place that it has nothing for.
    pub(crate) fn fill<'a>(
        &self,
        mut with: impl FnMut(&str) -> Option<&'a str>,
    ) -> Result<Option<DeviceId>, &'static str> {
        let mut name = self.0.clone();
        for place in PLACES.into_iter().filter(|place| self.0.contains(place)) {
            let filling = with(place.trim_matches(['{', '}'])).ok_or(place)?;
            name = name.replace(place, &segment(filling));
        }
        Ok(name.parse().ok())
    }

    /// Whether something could get this name.
    pub(super) fn may_become(&self, name: &str) -> bool {
        let Some(start) = self.0.find('{') else {
            return self.0 == name;
        };
        let end = self.0.rfind('}').map_or(self.0.len(), |end| end + 1);
        let (before, after) = (&self.0[..start], &self.0[end..]);
        name.strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|middle| !middle.is_empty())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a topic can carry of a socket or a serial number.
fn segment(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    text.chars().map(plain).collect()
}

static NAME: Key<Parsed<Template>> = Key {
    name: "name",
    form: Parsed {
        de: "ein Name aus Kleinbuchstaben, Ziffern und Bindestrichen, auch mit {port}, {serial} oder {interface}",
        en: "a name of lower-case letters, digits and hyphens, also with {port}, {serial} or {interface}",
        parse: template,
    },
    preset: Preset::Optional,
    example: r#"name = "ec-terminal""#,
    about: "The device's name in topics. A fixed name serves one thing at a time, and has its place from the start. \
            With `{port}`, `{serial}` or `{interface}` each thing gets a name of its own: `till-{port}` is `till-1-1-4` \
            for what is in the socket 1-1.4.",
};

static IGNORE: Key<Switch> = Key {
    name: "ignore",
    form: Switch,
    preset: Preset::Value("false"),
    example: "ignore = true",
    about: "In place of `name` and `driver`: what fits is left alone, and `kofferctl devices --unbound` says so.",
};

pub(super) static SECTION: Section = Section {
    path: "[rule]",
    about: "One table per rule. The first rule that fits decides, in the order of the files' names and within a file \
            from top to bottom. Beside these keys stand those of the driver.",
    keys: &[&NAME, &RULE_DRIVER, &IGNORE],
    tables: &["match"],
};

static BY: Key<Choice<Attachment>> = Key {
    name: "by",
    form: Choice(&[
        (Attachment::Serial.as_str(), Attachment::Serial),
        (Attachment::Usb.as_str(), Attachment::Usb),
        (Attachment::Pcsc.as_str(), Attachment::Pcsc),
    ]),
    preset: Preset::Required,
    example: r#"by = "serial""#,
    about: "How it is attached: as a serial line (also one of a USB adapter), as a USB device, as a reader of the PC/SC service.",
};

static VID: Key<Parsed<String>> = Key {
    name: "vid",
    form: HEX_ID,
    preset: Preset::Optional,
    example: r#"vid = "0403""#,
    about: "The USB vendor id.",
};

static PID: Key<Parsed<String>> = Key {
    name: "pid",
    form: HEX_ID,
    preset: Preset::Optional,
    example: r#"pid = "6001""#,
    about: "The USB product id.",
};

static SERIAL: Key<Parsed<String>> = Key {
    name: "serial",
    form: WORD,
    preset: Preset::Optional,
    example: r#"serial = "A50285BI""#,
    about: "Its serial number, to the letter. Many adapters have none.",
};

static PORT: Key<Parsed<String>> = Key {
    name: "port",
    form: WORD,
    preset: Preset::Optional,
    example: r#"port = "1-1.4""#,
    about: "The socket it is in, as `kofferctl devices --unbound` shows it: USB bus, then the sockets of the hubs.",
};

static INTERFACE: Key<Parsed<String>> = Key {
    name: "interface",
    form: WORD,
    preset: Preset::Optional,
    example: r#"interface = "00""#,
    about: "Which line of an adapter that has several; serial lines only.",
};

static READER: Key<Parsed<NamePattern>> = Key {
    name: "reader",
    form: READER_NAME,
    preset: Preset::Optional,
    example: r#"reader = "*cyberJack*""#,
    about: "The PC/SC reader's name; `*` stands for anything, case does not matter. Readers only.",
};

pub(super) static MATCH: Section = Section {
    path: "rule.match",
    about: "What the rule fits: everything that is written must hold, and beside `by` at least one key is.",
    keys: &[&BY, &VID, &PID, &SERIAL, &PORT, &INTERFACE, &READER],
    tables: &[],
};

const HEX_ID: Parsed<String> = Parsed {
    de: "vier Hexadezimalziffern in Anführungszeichen",
    en: "four hexadecimal digits in quotes",
    parse: hex_id,
};

const WORD: Parsed<String> = Parsed {
    de: "ein Text aus 1 bis 128 Zeichen",
    en: "a text of 1 to 128 characters",
    parse: word,
};

fn hex_id(text: &str) -> Result<String, Text> {
    if text.len() == 4 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(text!(
            "»{text}« ist keine USB-Kennung",
            "\"{text}\" is no USB id"
        ))
    }
}

fn word(text: &str) -> Result<String, Text> {
    if (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(text!(
            "das ist leer, zu lang oder enthält Steuerzeichen",
            "this is empty, too long or contains control characters"
        ))
    }
}

fn template(text: &str) -> Result<Template, Text> {
    let template = Template(text.to_owned());
    match template.fill(|_| Some("x")) {
        Ok(Some(name)) if !name.is_gateway() => Ok(template),
        _ => Err(text!(
            "»{text}« kann kein Gerät heißen",
            "\"{text}\" can be no device's name"
        )),
    }
}

/// The rules in `places`, in the order in which they are tried.
pub(super) fn read(
    places: &[PathBuf],
    credentials: Option<&OsString>,
    report: &Report,
) -> Result<Vec<Rule>, Reported> {
    let read: Vec<_> = files(places, report)
        .iter()
        .flat_map(|path| read_file(path, credentials, report))
        .collect();
    read.into_iter().collect()
}

/// The files in `places` by their names; one hides those of its name in later places.
fn files(places: &[PathBuf], report: &Report) -> Vec<PathBuf> {
    let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for place in places {
        let found = if place.extension() == Some(OsStr::new("toml")) {
            vec![place.clone()]
        } else {
            toml_files(place, report)
        };
        for path in found {
            let name = path.file_name().unwrap_or_default().to_owned();
            files.entry(name).or_insert(path);
        }
    }
    files.into_values().collect()
}

fn read_file(
    path: &Path,
    credentials: Option<&OsString>,
    report: &Report,
) -> Vec<Result<Rule, Reported>> {
    static FILE: Section = Section {
        path: "",
        about: "",
        keys: &[],
        tables: &["rule"],
    };
    let Some(layers) = Layers::alone(path, report, numbered) else {
        return vec![Err(Report::already())];
    };
    let root = Table::root(&layers, report);
    root.only(&FILE);
    let rules = root.table("rule");
    if rules
        .names()
        .iter()
        .any(|name| name.parse::<usize>().is_err())
    {
        return vec![Err(root.mistake(
            "rule",
            text!("muss eine Liste sein", "must be a list"),
            text!(
                "Jede Regel mit [[rule]] beginnen, in zwei eckigen Klammern.",
                "Begin each rule with [[rule]], in double square brackets."
            ),
        ))];
    }
    let mut numbers = rules.names();
    numbers.sort_by_key(|number| number.parse::<usize>().unwrap_or_default());
    numbers
        .into_iter()
        .map(|number| rule(&rules.table(number), credentials))
        .collect()
}

/// The list of rules as a table of numbers, so that a mistake can say which one it is in.
fn numbered(mut file: Map<String, Value>) -> Map<String, Value> {
    if let Some(rules) = file.get_mut("rule")
        && let ValueKind::Array(list) = &mut rules.kind
    {
        let rules_by_number = std::mem::take(list).into_iter().enumerate();
        let table: Map<String, Value> = rules_by_number
            .map(|(index, rule)| ((index + 1).to_string(), rule))
            .collect();
        rules.kind = ValueKind::Table(table);
    }
    file
}

fn rule(table: &Table<'_>, credentials: Option<&OsString>) -> Result<Rule, Reported> {
    let wanted = wanted(&table.table("match"));
    let then = then(table, wanted.as_ref().ok(), credentials);
    Ok(Rule {
        origin: table.origin(""),
        wanted: wanted?,
        then: then?,
    })
}

fn then(
    table: &Table<'_>,
    wanted: Option<&Wanted>,
    credentials: Option<&OsString>,
) -> Result<Then, Reported> {
    if table.get(&IGNORE)? {
        static IGNORED: Section = Section {
            path: "",
            about: "",
            keys: &[&IGNORE],
            tables: &["match"],
        };
        table.only(&IGNORED);
        return Ok(Then::Ignore);
    }
    let name = table.find(&NAME);
    let driver = table.get(&RULE_DRIVER);
    let name = name.and_then(|name| {
        name.ok_or_else(|| {
            table.missing(
                NAME.name,
                text!(
                    "Einen Namen schreiben, oder ignore = true.",
                    "Write a name, or ignore = true."
                ),
            )
        })
    });
    let driver = driver.and_then(|driver| {
        let shown = name
            .as_ref()
            .map_or("device", Template::as_str)
            .replace(['{', '}'], "");
        // The form of the key gives none that serves nothing.
        let plugged = driver.plugged.as_ref().ok_or_else(Report::already)?;
        let sections = std::iter::once(&SECTION).chain(plugged.section);
        table.only_of(&sections.collect::<Vec<_>>());
        let context = Context {
            name: &shown,
            credentials,
        };
        let (needs, config) = (plugged.by, (plugged.rule)(table, &context));
        match wanted {
            Some(wanted) if wanted.by != needs => Err(wrong_line(table, needs)),
            _ => config,
        }
    });
    Ok(Then::Serve(name?, driver?))
}

fn wrong_line(table: &Table<'_>, needs: Attachment) -> Reported {
    let needs = needs.as_str();
    table.mistake(
        RULE_DRIVER.name,
        text!(
            "dieser Treiber bedient, was mit by = \"{needs}\" gefunden wird",
            "this driver serves what is found with by = \"{needs}\""
        ),
        text!(
            "In match by = \"{needs}\" schreiben, oder einen anderen Treiber nennen.",
            "Write by = \"{needs}\" in match, or name another driver."
        ),
    )
}

fn wanted(table: &Table<'_>) -> Result<Wanted, Reported> {
    table.only(&MATCH);
    let by = table.get(&BY);
    let vid = table.find(&VID);
    let pid = table.find(&PID);
    let serial = table.find(&SERIAL);
    let port = table.find(&PORT);
    let interface = table.find(&INTERFACE);
    let reader = table.find(&READER);
    let by = by?;
    let foreign: &[&str] = match by {
        Attachment::Serial => &["reader"],
        Attachment::Usb => &["reader", "interface"],
        _ => &["vid", "pid", "serial", "port", "interface"],
    };
    for key in foreign.iter().filter(|key| table.has(key)) {
        let by = by.as_str();
        table.mistake(
            key,
            text!(
                "das gibt es mit by = \"{by}\" nicht",
                "there is no such thing with by = \"{by}\""
            ),
            text!("Die Zeile entfernen.", "Remove the line."),
        );
    }
    if table.names().len() < 2 {
        return Err(table.mistake(
            "",
            text!(
                "so passt die Regel auf alles, was so angeschlossen ist",
                "like this the rule fits everything that is attached so"
            ),
            text!(
                "Mindestens eines von vid, pid, serial, port, interface oder reader schreiben.",
                "Write at least one of vid, pid, serial, port, interface or reader."
            ),
        ));
    }
    Ok(Wanted {
        by,
        vid: vid?,
        pid: pid?,
        serial: serial?,
        port: port?,
        interface: interface?,
        reader: reader?,
    })
}

/// Reports every rule whose device has the name of a configured one, or another class than the
/// same name has in an earlier rule.
pub(super) fn refuse_taken_names(rules: &[Rule], devices: &Devices<'_>, report: &Report) {
    let mut named: BTreeMap<DeviceId, &Rule> = BTreeMap::new();
    for rule in rules {
        let Some((template, driver)) = rule.served() else {
            continue;
        };
        let Some(name) = template.fixed() else {
            continue;
        };
        let mistake = |what| {
            report.mistake(Finding {
                origin: rule.origin.clone(),
                key: "rule.name".to_owned(),
                what,
                remedy: text!("Einen anderen Namen wählen.", "Choose another name."),
            })
        };
        if devices.contains_key(name.as_str()) {
            mistake(text!(
                "»{name}« steht schon als [devices.{name}] in der Konfiguration",
                "\"{name}\" is in the configuration already, as [devices.{name}]"
            ));
        }
        let class = driver.factory().class;
        match named.get(&name).and_then(|earlier| earlier.served()) {
            Some((_, other)) if other.factory().class != class => {
                let other = other.factory().class;
                mistake(text!(
                    "»{name}« hat in einer früheren Regel die Klasse {other}, hier {class}",
                    "\"{name}\" has the class {other} in an earlier rule, {class} here"
                ));
            }
            _ => {
                named.entry(name).or_insert(rule);
            }
        }
    }
}
