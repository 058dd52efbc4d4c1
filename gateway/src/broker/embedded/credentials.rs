//! Passwords of the embedded broker's clients.

use crate::Secret;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// How a client's password is known.
#[derive(Debug, Clone)]
pub enum Password {
    /// In clear text, from a file only the daemon can read. Fit for the long random secrets that
    /// the set-up makes: comparing costs nothing, so a burst of reconnects does not either.
    Clear(Secret),
    /// As an Argon2 hash in PHC format (`$argon2id$…`), for passwords that people choose. Each
    /// check takes some 20 MiB of memory and tens of milliseconds.
    Argon2(String),
}

/// The digest is what is compared: equal length, and no byte of the secret decides the time it takes.
#[derive(Debug, Clone)]
enum Known {
    Digest([u8; 32]),
    Argon2(String),
}

/// The outcome of a quick look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    Right,
    Wrong,
    /// Has to be computed with this hash, away from the runtime's threads.
    Expensive(String),
}

/// The known clients and their passwords.
#[derive(Debug, Clone)]
pub(super) struct Credentials(HashMap<String, Known>);

impl Credentials {
    pub(super) fn new(clients: impl IntoIterator<Item = (String, Password)>) -> Self {
        let known = |password| match password {
            Password::Clear(secret) => Known::Digest(digest(secret.reveal().as_bytes())),
            Password::Argon2(hash) => Known::Argon2(hash),
        };
        Self(
            clients
                .into_iter()
                .map(|(name, password)| (name, known(password)))
                .collect(),
        )
    }

    pub(super) fn check(&self, name: &str, password: &[u8]) -> Check {
        let offered = digest(password);
        match self.0.get(name) {
            Some(Known::Digest(digest)) if same(digest, &offered) => Check::Right,
            Some(Known::Argon2(hash)) => Check::Expensive(hash.clone()),
            Some(Known::Digest(_)) | None => Check::Wrong,
        }
    }
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Looks at every byte whatever the first difference.
fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter()
        .zip(right)
        .fold(0, |difference, (left, right)| difference | (left ^ right))
        == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_of_the_right_client_opens() {
        let credentials = Credentials::new([
            ("ws-1".to_owned(), Password::Clear(Secret::new("one"))),
            ("ws-2".to_owned(), Password::Clear(Secret::new("two"))),
            (
                "ws-3".to_owned(),
                Password::Argon2("$argon2id$x".to_owned()),
            ),
        ]);
        assert_eq!(credentials.check("ws-1", b"one"), Check::Right);
        for (name, password) in [("ws-1", "two"), ("ws-1", ""), ("ws-9", "one"), ("", "")] {
            assert_eq!(
                credentials.check(name, password.as_bytes()),
                Check::Wrong,
                "{name}"
            );
        }
        assert_eq!(
            credentials.check("ws-3", b"x"),
            Check::Expensive("$argon2id$x".to_owned())
        );
    }

    #[test]
    fn no_password_shows_in_debug_output() {
        let password = Password::Clear(Secret::new("hunter2"));
        assert!(!format!("{password:?}").contains("hunter2"));
    }
}
