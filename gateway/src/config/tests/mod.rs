//! What the configuration promises, tried on files on disk.

mod connections;
mod documents;
mod layering;
mod mistakes;
mod no_panic;
mod passwords;
mod rules;

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use koffer_proto::Lang;
use tempfile::TempDir;

use super::{Config, Finding, Mistakes};

/// A folder with `kofferd.toml`, its drop-ins and password files.
struct Case {
    folder: TempDir,
    environment: Vec<(OsString, OsString)>,
}

impl Case {
    fn new(toml: &str) -> Self {
        let case = Self {
            folder: TempDir::new().unwrap(),
            environment: Vec::new(),
        };
        case.file("kofferd.toml", toml, 0o600);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn env(&mut self, variable: &str, value: &str) -> &mut Self {
        self.environment.push((variable.into(), value.into()));
        self
    }

    fn load(&self) -> Result<(Config, Vec<Finding>), Mistakes> {
        Config::load(&self.path("kofferd.toml"), self.environment.clone())
    }

    /// The configuration, without regard to warnings.
    fn config(&self) -> Config {
        self.load()
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
            .0
    }

    /// The warnings of a configuration in order, in English.
    fn warnings(&self) -> Vec<String> {
        let (_, warnings) = self.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
        self.lines(&warnings, Lang::En)
    }

    /// The mistakes, in English.
    fn mistakes(&self) -> Vec<String> {
        self.lines(&self.load().unwrap_err().mistakes, Lang::En)
    }

    /// `file:line: key: what | remedy`, without the folder.
    fn lines(&self, findings: &[Finding], lang: Lang) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        findings
            .iter()
            .map(|finding| finding.in_lang(lang).replace(&folder, ""))
            .map(|text| {
                text.replace("\n    Remedy: ", " | ")
                    .replace("\n    Abhilfe: ", " | ")
            })
            .collect()
    }
}

/// The project's folder.
fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The least that a configuration needs, with one client and one device.
const SMALL: &str = r#"
[gateway]
id = "case-7"
[clients.ws-1]
role = "workstation"
password = "geheim-1"
allow = ["payment"]
[devices.ec-terminal]
driver = "zvt"
address = "tcp://127.0.0.1:20007"
"#;
