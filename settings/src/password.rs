//! Passwords: where they may stand, who may read them, and that nothing shows them.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use koffer_proto::Text;

use crate::{
    finding::{Origin, Reported},
    form::Parsed,
    key::{Key, Preset},
    secret::Secret,
    table::Table,
    text,
};

/// The longest password: MQTT allows 65,535 bytes, nobody types more than this.
const MAX_PASSWORD_BYTES: usize = 1024;
/// Where passwords lie when systemd hands none over, and what the unit loads from there.
pub const SECRETS_FOLDER: &str = "/etc/koffer/secrets";
/// Names a credential of the unit instead of a path.
const CREDENTIAL: &str = "credential:";
/// `LoadCredential=secrets:/etc/koffer/secrets` prefixes every file of the folder with its id.
const CREDENTIAL_PREFIX: &str = "secrets_";

/// The file a password stands in.
#[derive(Clone)]
pub enum PasswordFile {
    /// Its path.
    Path(PathBuf),
    /// The name of a credential of the unit.
    Credential(String),
}

impl PasswordFile {
    /// The form of `password_file`.
    pub const FORM: Parsed<Self> = Parsed {
        de: "ein absoluter Pfad, oder credential:NAME",
        en: "an absolute path, or credential:NAME",
        parse: Self::parse,
    };

    fn parse(text: &str) -> Result<Self, Text> {
        let plain = |name: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !name.is_empty() && !name.starts_with('.') && name.chars().all(fits)
        };
        match text.strip_prefix(CREDENTIAL) {
            Some(name) if plain(name) => Ok(Self::Credential(name.to_owned())),
            None if text.starts_with('/') => Ok(Self::Path(PathBuf::from(text))),
            _ => Err(text!(
                "»{text}« ist kein absoluter Pfad",
                "\"{text}\" is no absolute path"
            )),
        }
    }
}

/// The form of a password written into the configuration itself.
pub const INLINE: Parsed<Secret> = Parsed {
    de: "ein Passwort aus 1 bis 1024 Zeichen ohne Steuerzeichen",
    en: "a password of 1 to 1024 characters without control characters",
    parse: password_of,
};

fn password_of(text: &str) -> Result<Secret, Text> {
    if text.is_empty() {
        Err(text!("das Passwort ist leer", "the password is empty"))
    } else if text.len() > MAX_PASSWORD_BYTES || text.chars().any(char::is_control) {
        Err(text!(
            "das Passwort ist zu lang oder enthält Steuerzeichen",
            "the password is too long or contains control characters"
        ))
    } else {
        Ok(Secret::new(text))
    }
}

/// The pair of keys of a password, and where systemd put what it loaded.
pub struct Passwords<'a> {
    /// The key of the password itself.
    pub inline: &'a Key<Parsed<Secret>>,
    /// The key of the file that holds it.
    pub file: &'a Key<Parsed<PasswordFile>>,
    /// The credential's name to propose.
    pub name: &'a str,
    /// Where systemd put what it loaded.
    pub credentials: Option<&'a OsString>,
}

impl Passwords<'_> {
    /// The password of `table`, from either key.
    pub fn read(&self, table: &Table<'_>) -> Result<Option<Secret>, Reported> {
        let (inline, file) = (self.inline.name, self.file.name);
        let both = table.has(inline) && table.has(file);
        if both {
            table.mistake(
                inline,
                text!(
                    "{inline} und {file} stehen beide da",
                    "both {inline} and {file} are written"
                ),
                text!("{inline} entfernen.", "Remove {inline}."),
            );
        }
        let secret = table.find(self.inline);
        let path = table.find(self.file);
        if let Ok(Some(secret)) = &secret
            && table.has(inline)
            && !both
            && !self.is_default(secret)
        {
            self.warn_of_inline(table)?;
        }
        match path? {
            Some(path) => self.file_content(table, &path).map(Some),
            None => secret,
        }
    }

    /// The line to write instead of a password.
    pub fn line(&self) -> String {
        format!("{} = \"{CREDENTIAL}{}\"", self.file.name, self.name)
    }

    /// A default is in every manual: nothing to guard.
    fn is_default(&self, secret: &Secret) -> bool {
        matches!(self.inline.preset, Preset::Value(default) if default == secret.reveal())
    }

    fn warn_of_inline(&self, table: &Table<'_>) -> Result<(), Reported> {
        let name = self.inline.name;
        let remedy = {
            let line = self.line();
            let path = format!("{SECRETS_FOLDER}/{}", self.name);
            text!(
                "In die Datei {path} legen, die nur root liest, und schreiben: {line}",
                "Put it into the file {path} that only root reads, and write: {line}"
            )
        };
        if let Some(path) = world_readable(table, name) {
            return Err(table.mistake(
                name,
                text!(
                    "das Passwort steht in einer Datei, die jeder lesen kann",
                    "the password stands in a file that everybody can read"
                ),
                {
                    let path = path.display();
                    let Text { de, en } = remedy;
                    text!(
                        "{de} (Oder: chmod o-rwx {path})",
                        "{en} (Or: chmod o-rwx {path})"
                    )
                },
            ));
        }
        table.warning(
            name,
            text!(
                "das Passwort steht in der Konfiguration selbst; wer sie liest, kennt es",
                "the password stands in the configuration itself; whoever reads that knows it"
            ),
            remedy,
        );
        Ok(())
    }

    fn file_content(&self, table: &Table<'_>, file: &PasswordFile) -> Result<Secret, Reported> {
        let name = self.file.name;
        let (path, guarded) = match file {
            PasswordFile::Path(path) => (path.clone(), false),
            PasswordFile::Credential(id) => match self.credentials {
                Some(folder) => {
                    let id = format!("{CREDENTIAL_PREFIX}{id}");
                    (Path::new(folder).join(id), true)
                }
                None => (Path::new(SECRETS_FOLDER).join(id), false),
            },
        };
        let shown = path.display();
        let read = fs::File::open(&path).and_then(|file| {
            let mode = file.metadata()?.permissions().mode();
            let mut bytes = Vec::new();
            // Room for the line's end.
            file.take(MAX_PASSWORD_BYTES as u64 + 2)
                .read_to_end(&mut bytes)?;
            Ok((mode, bytes))
        });
        let (mode, bytes) = read.map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => text!(
                    "Als root prüfen, oder dem Benutzer koffer das Lesen erlauben: chown koffer {shown}",
                    "Check as root, or let the user koffer read it: chown koffer {shown}"
                ),
                _ => text!(
                    "Das Passwort dort ablegen: install -m 600 /dev/stdin {shown}",
                    "Put the password there: install -m 600 /dev/stdin {shown}"
                ),
            };
            table.mistake(
                name,
                text!(
                    "die Passwortdatei {shown} ist nicht lesbar ({error})",
                    "the password file {shown} cannot be read ({error})"
                ),
                remedy,
            )
        })?;
        // A credential's group bits are the mask of an access list that names the service alone.
        if !guarded && mode & 0o007 != 0 {
            return Err(table.mistake(
                name,
                text!(
                    "die Passwortdatei {shown} steht jedem offen",
                    "the password file {shown} is open to everybody"
                ),
                text!("chmod 600 {shown}", "chmod 600 {shown}"),
            ));
        }
        if !guarded && mode & 0o070 != 0 {
            table.warning(
                name,
                text!(
                    "die Passwortdatei {shown} steht einer ganzen Gruppe offen",
                    "the password file {shown} is open to a whole group"
                ),
                text!("chmod 600 {shown}", "chmod 600 {shown}"),
            );
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            text!(
                "das Passwort ist nicht in UTF-8 geschrieben",
                "the password is not written in UTF-8"
            )
        });
        text.and_then(|text| {
            let line = text.strip_suffix('\n').unwrap_or(&text);
            (self.inline.form.parse)(line.strip_suffix('\r').unwrap_or(line))
        })
        .map_err(|what| {
            let Text { de, en } = what;
            table.mistake(
                name,
                text!("{shown}: {de}", "{shown}: {en}"),
                text!(
                    "Genau eine Zeile mit dem Passwort in {shown} schreiben.",
                    "Write exactly one line with the password into {shown}."
                ),
            )
        })
    }
}

/// The file that `name` stands in, where everybody can read it.
fn world_readable(table: &Table<'_>, name: &str) -> Option<PathBuf> {
    let Origin::File { path, .. } = table.origin(name) else {
        return None;
    };
    let mode = fs::metadata(&path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then_some(path)
}

/// Where systemd put the unit's credentials.
pub fn credentials_folder(
    environment: &std::collections::BTreeMap<OsString, OsString>,
) -> Option<&OsString> {
    environment.get(OsStr::new("CREDENTIALS_DIRECTORY"))
}
