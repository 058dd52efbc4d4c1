//! The language in which koffer's configuration is declared and read.
//!
//! A [`Key`] says once what may stand under a name: its [`Form`], its default, an example, its
//! documentation. A [`Section`] lists the keys of a table. The reader ([`Table`]), the messages
//! and the reference pages all come from them, so that a driver declares its keys beside its code.
//!
//! Sources are read by [`Layers`]. What is wrong goes into one [`Report`]: **every mistake at
//! once**, with file and line, key and remedy, in German and English.

mod endpoint;
mod finding;
mod form;
mod key;
mod layers;
mod password;
mod pattern;
mod reference;
mod secret;
mod suggestion;
mod table;
mod toml_text;

pub use endpoint::HostPort;
pub use finding::{Finding, Mistakes, Origin, Report, Reported};
pub use form::{
    Choice, Form, Given, List, Millis, Parsed, Refusal, Switch, Whole, absolute_path, choose, name,
    parse_name, words,
};
pub use key::{Key, Listed, Preset, Section, add_line};
pub use layers::{Layers, toml_files};
pub use password::{INLINE, PasswordFile, Passwords, SECRETS_FOLDER, credentials_folder};
pub use pattern::NamePattern;
pub use reference::reference;
pub use secret::Secret;
pub use suggestion::remedy as suggestion;
pub use table::Table;
