//! Passwords of a case: made once per directory, kept in files that only their owner reads.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::file::ClientRole;

/// How a client connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAccess {
    /// What it may do.
    pub role: ClientRole,
    /// One line; user name is the client's name.
    pub password_file: PathBuf,
}

impl ClientAccess {
    /// The password. Blocks.
    pub fn password(&self) -> io::Result<String> {
        read_password(&self.password_file)
    }
}

pub(super) fn read_password(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim_end().to_owned())
}

/// The password file of a user; a new password unless there is one from before.
pub(super) fn password_file(dir: &Path, user: &str) -> io::Result<PathBuf> {
    let path = dir.join(user);
    if !path.exists() {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        write_private(&path, &format!("{:032x}\n", u128::from_be_bytes(bytes)))?;
    }
    Ok(path)
}

/// Writes a file that only its owner reads.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // A file from before may have another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
