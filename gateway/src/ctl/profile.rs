//! Who asks, where, and in which language: from the command line, the environment and a file.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use koffer_proto::{ClientId, GatewayId, Lang};
use serde::Deserialize;

use super::args::Options;
use super::texts;
use super::trouble::Trouble;
use crate::{Secret, bus::Address};

/// MQTT without TLS (IANA).
const DEFAULT_PORT: u16 = 1883;

/// Everything a connection needs.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) address: Address,
    pub(super) gateway: Option<GatewayId>,
    pub(super) user: ClientId,
    pub(super) password: Secret,
    /// The password file is readable by others.
    pub(super) exposed: Option<PathBuf>,
}

/// `~/.config/kofferctl.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Configured {
    address: Option<String>,
    gateway: Option<GatewayId>,
    user: Option<ClientId>,
    password_file: Option<PathBuf>,
    lang: Option<String>,
}

impl Configured {
    /// Reads the file that was named, or the usual one if there is one.
    pub(super) fn read(named: Option<&Path>) -> Result<Self, Trouble> {
        let usual = usual_path(
            std::env::var_os("XDG_CONFIG_HOME"),
            std::env::var_os("HOME"),
        );
        let path = match (named, usual) {
            (Some(path), _) => path.to_owned(),
            (None, Some(path)) if path.is_file() => path,
            (None, _) => return Ok(Self::default()),
        };
        let told = |error: &dyn std::fmt::Display| {
            Trouble::Usage(texts::config_file(&path.display(), error))
        };
        config::Config::builder()
            .add_source(
                config::File::from(path.as_path())
                    .format(config::FileFormat::Toml)
                    .required(true),
            )
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| told(&error))
            .and_then(|file: Self| {
                if let Some(lang) = &file.lang {
                    parse_lang(lang).map_err(|error| told(&error))?;
                }
                Ok(file)
            })
    }

    /// The language: the option, the file, or the one of the session.
    pub(super) fn lang(&self, options: &Options) -> Lang {
        let file = || self.lang.as_deref().and_then(Lang::from_tag);
        options
            .lang
            .or_else(file)
            .unwrap_or_else(|| session_lang(|name| std::env::var(name).ok()))
    }

    /// Puts the file under the options.
    pub(super) fn profile(self, options: &Options) -> Result<Profile, Trouble> {
        let address = match (&options.address, &self.address) {
            (Some(address), _) => address.clone(),
            (None, Some(text)) => parse_address(text)
                .map_err(|error| Trouble::Usage(texts::config_value(&"address", &error)))?,
            (None, None) => Address::Tcp {
                host: "127.0.0.1".to_owned(),
                port: DEFAULT_PORT,
            },
        };
        let user = options
            .user
            .clone()
            .or(self.user)
            .ok_or_else(|| Trouble::Usage(texts::no_user()))?;
        let file = options.password_file.clone().or(self.password_file);
        let given = std::env::var("KOFFERCTL_PASSWORD").ok();
        let (password, exposed) = match (&options.password_file, given, file) {
            (None, Some(password), _) => (password, None),
            (_, _, Some(file)) => {
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    Trouble::Usage(texts::password_file(&file.display(), &error))
                })?;
                let exposed = is_exposed(&file).then_some(file);
                (text.trim_end_matches(['\r', '\n']).to_owned(), exposed)
            }
            (_, None, None) | (Some(_), Some(_), None) => (String::new(), None),
        };
        Ok(Profile {
            address,
            gateway: options.gateway.clone().or(self.gateway),
            user,
            password: Secret::new(password),
            exposed,
        })
    }
}

fn usual_path(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let filled = |value: &OsString| !value.is_empty();
    xdg.filter(filled)
        .map(PathBuf::from)
        .or_else(|| {
            home.filter(filled)
                .map(|home| Path::new(&home).join(".config"))
        })
        .map(|config| config.join("kofferctl.toml"))
}

fn is_exposed(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|data| data.permissions().mode() & 0o077 != 0)
}

/// The first of the variables that is set decides (POSIX, chapter 8.2); German unless it says
/// English.
fn session_lang(variable: impl Fn(&str) -> Option<String>) -> Lang {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .and_then(|tag| Lang::from_tag(&tag))
        .unwrap_or_default()
}

/// Reads `host:port`, `host`, `[::1]:port` or `unix:path`.
pub(super) fn parse_address(text: &str) -> Result<Address, String> {
    const FORM: &str = "write an address as host:port, [::1]:port or unix:/path";
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() {
            Err(FORM.to_owned())
        } else {
            Ok(Address::Unix(path.into()))
        };
    }
    if text.contains(['/', ' ']) {
        return Err(FORM.to_owned());
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(FORM)?;
            (host, port.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(FORM.to_owned()),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(FORM.to_owned());
    }
    let port = match port {
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or("the port is a number from 1 to 65535")?,
        None => DEFAULT_PORT,
    };
    Ok(Address::Tcp {
        host: host.to_owned(),
        port,
    })
}

/// Reads `de`, `en` and tags such as `de_DE.UTF-8`.
pub(super) fn parse_lang(tag: &str) -> Result<Lang, String> {
    Lang::from_tag(tag).ok_or_else(|| "the language is de or en".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn an_address_is_host_and_port_or_a_socket() {
        for (text, expected) in [
            ("case-7.local:1884", Some(tcp("case-7.local", 1884))),
            ("case-7.local", Some(tcp("case-7.local", 1883))),
            ("[::1]:1884", Some(tcp("::1", 1884))),
            ("[::1]", Some(tcp("::1", 1883))),
            (
                "unix:/run/koffer/mqtt",
                Some(Address::Unix("/run/koffer/mqtt".into())),
            ),
            ("::1", None),
            ("unix:", None),
            (":1883", None),
            ("host:0", None),
            ("host:99999", None),
            ("mqtt://host", None),
            ("", None),
        ] {
            assert_eq!(parse_address(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_session_s_language_is_the_first_variable_that_is_set_and_else_german() {
        let lang = |set: &[(&str, &str)]| {
            session_lang(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(lang(&[]), Lang::De);
        assert_eq!(lang(&[("LANG", "en_GB.UTF-8")]), Lang::En);
        assert_eq!(lang(&[("LANG", "en_GB"), ("LC_ALL", "de_DE")]), Lang::De);
        assert_eq!(lang(&[("LANG", "en_GB"), ("LC_ALL", "")]), Lang::En);
        assert_eq!(lang(&[("LANG", "C")]), Lang::De);
    }

    #[test]
    fn a_mistake_in_the_file_is_told_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kofferctl.toml");
        for (content, expected) in [
            ("addres = \"x\"", "addres"),
            ("gateway = \"Case 7\"", "name"),
            ("lang = \"fr\"", "de or en"),
            ("user", "kofferctl.toml"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = Configured::read(Some(&path)).unwrap_err();
            let told = error.text().en;
            assert!(told.contains(expected), "{content}: {told}");
        }
        std::fs::write(&path, "user = \"ws-1\"\nlang = \"en\"\n").unwrap();
        let file = Configured::read(Some(&path)).unwrap();
        assert_eq!(file.user.as_ref().map(ClientId::as_str), Some("ws-1"));
        assert!(Configured::read(Some(&directory.path().join("absent.toml"))).is_err());
    }

    #[test]
    fn the_usual_file_is_in_the_user_s_configuration() {
        let path = |xdg: Option<&str>, home: Option<&str>| {
            usual_path(xdg.map(OsString::from), home.map(OsString::from))
        };
        let file = |text: &str| Some(PathBuf::from(text));
        assert_eq!(path(Some("/x"), Some("/h")), file("/x/kofferctl.toml"));
        assert_eq!(
            path(Some(""), Some("/h")),
            file("/h/.config/kofferctl.toml")
        );
        assert_eq!(path(None, None), None);
    }
}
