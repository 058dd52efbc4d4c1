//! The gateway's client identifier at a broker where all users share them: one that stays the same,
//! so that its session is there after a restart, and that nobody else knows, so that nobody takes
//! it over.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::Secret;

/// The file with the part that nobody knows, beside the journal.
const FILE: &str = "client-id";

/// The identifier of this user's and gateway's session; from `directory`, where it is kept.
///
/// Without a file that can be read or written it is another one at each start: what came for the
/// gateway while it was away is lost then, and nothing else.
pub(crate) fn client_id(
    user: &str,
    gateway: &str,
    directory: &Path,
) -> Result<String, getrandom::Error> {
    let new = Secret::random()?;
    let path = directory.join(FILE);
    let secret = kept(&path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => keep(&path, new.reveal()).and_then(|()| kept(&path)),
        _ => Err(error),
    });
    let secret = secret.unwrap_or_else(|error| {
        tracing::warn!(
            path = %path.display(), %error,
            "no client identifier could be kept; this life of the gateway has one of its own"
        );
        new.reveal().to_owned()
    });
    Ok(format!("{user}-{gateway}-{secret}"))
}

fn kept(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let secret = text.trim_end();
    if secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(secret.to_owned())
    } else {
        let problem = "the file does not hold 32 hexadecimal digits; delete it";
        Err(io::Error::new(io::ErrorKind::InvalidData, problem))
    }
}

fn keep(path: &Path, secret: &str) -> io::Result<()> {
    // Whole or not at all, whatever happens meanwhile.
    let whole = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&whole)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    fs::rename(whole, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn of(directory: &Path) -> String {
        client_id("kofferd", "case-7", directory).unwrap()
    }

    #[test]
    fn it_stays_the_same_and_is_nobody_else_s() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = of(one.path());
        assert!(id.starts_with("kofferd-case-7-") && id.len() == 47, "{id}");
        assert_eq!(of(one.path()), id);
        assert_ne!(of(other.path()), id);
        let mode = fs::metadata(one.path().join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_kept_is_made_up_each_time() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "kofferd").unwrap();
        assert_ne!(of(directory.path()), of(directory.path()));
        let nowhere = directory.path().join("nowhere");
        assert_ne!(of(&nowhere), of(&nowhere));
    }
}
