//! What can be wrong with a journal, and what a person can do.

use std::{
    io,
    path::{Path, PathBuf},
};

use koffer_drivers::NotStored;
use koffer_proto::{CallId, Reason, Text};
use rusqlite::{Error, ErrorCode};

use super::{NotRead, texts};

/// A disk with less room than this is full: SQLite writes a page and its frame at the least.
const LEAST: u64 = 64 * 1024;

/// What is wrong with a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Its folder is not there.
    Missing(PathBuf),
    /// It may not be written.
    ReadOnly(PathBuf),
    /// The disk has no room.
    DiskFull(PathBuf),
    /// It has reached `[journal] max_mib`.
    BoundReached(PathBuf),
    /// It is no journal, or no longer one.
    Damaged(PathBuf, String),
    /// A newer version wrote it.
    TooNew(PathBuf, i64),
    /// Another process has it.
    InUse(PathBuf),
    /// Reading or writing failed.
    Failed(PathBuf, String),
    /// What was before has not been read yet.
    NotRead(PathBuf),
    /// One entry is larger than any should be.
    TooLarge(usize),
    /// The journal does not know the call.
    NoSuchCall,
    /// The journal has a call under this number already: the dispatcher counts wrongly.
    Repeated(CallId),
    /// Too much waits for the writer.
    Behind,
    /// The writer is gone: the gateway goes down.
    Closed,
}

impl Trouble {
    /// What SQLite's `error` means for the file at `path`.
    pub(super) fn of(error: &Error, path: &Path) -> Self {
        let file = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) if has_room(path, LEAST) => Self::BoundReached(file),
            Some(ErrorCode::DiskFull) => Self::DiskFull(file),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if !has_room(path, LEAST) => {
                Self::DiskFull(file)
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly(file),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(file, error.to_string())
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse(file),
            _ => Self::Failed(file, error.to_string()),
        }
    }

    /// What the system's `error` means for the file at `path`.
    pub(super) fn of_io(error: &io::Error, path: &Path) -> Self {
        let file = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(file),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly(file)
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(file),
            _ => Self::Failed(file, error.to_string()),
        }
    }

    /// Whether the connection is of no more use and must be opened anew.
    pub(super) fn is_of_the_file(&self) -> bool {
        matches!(
            self,
            Self::Damaged(..) | Self::Failed(..) | Self::ReadOnly(..) | Self::Missing(..)
        )
    }

    /// Whether there may be room again in a moment, for the same entry in the same file.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::BoundReached(_))
    }

    /// The keyword, stable across languages.
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Missing(_) => "journal-missing",
            Self::ReadOnly(_) => "journal-read-only",
            Self::DiskFull(_) | Self::BoundReached(_) => "journal-full",
            Self::Damaged(..) => "journal-damaged",
            Self::TooNew(..) => "journal-too-new",
            Self::InUse(_) => "journal-in-use",
            Self::NotRead(_) => "journal-not-read",
            Self::Failed(..)
            | Self::TooLarge(_)
            | Self::NoSuchCall
            | Self::Repeated(_)
            | Self::Behind
            | Self::Closed => "journal-failed",
        }
    }

    /// What happened, and what a person can do.
    pub fn text(&self) -> Text {
        let (de, en) = match self {
            Self::Missing(at) => texts::missing(&at.display()),
            Self::ReadOnly(at) => texts::read_only(&at.display()),
            Self::DiskFull(at) => texts::disk_full(&at.display()),
            Self::BoundReached(at) => texts::bound_reached(&at.display()),
            Self::Damaged(at, what) => texts::damaged(&at.display(), what),
            Self::TooNew(at, version) => texts::too_new(&at.display(), version),
            Self::InUse(at) => texts::in_use(&at.display()),
            Self::Failed(at, what) => texts::failed(&at.display(), what),
            Self::NotRead(at) => texts::not_read(&at.display()),
            Self::TooLarge(bytes) => texts::too_large(bytes),
            Self::NoSuchCall => texts::no_such_call(),
            Self::Repeated(call) => texts::repeated(call),
            Self::Behind => texts::behind(),
            Self::Closed => texts::closed(),
        };
        Text::new(de, en)
    }

    /// The same as a reason of a state.
    pub fn reason(&self) -> Reason {
        let Text { de, en } = self.text();
        Reason::new(self.keyword(), de, en)
    }
}

/// Whether the disk with `path` has room for so many bytes. Where that cannot be told, the disk is
/// not what is full.
pub(super) fn has_room(path: &Path, bytes: u64) -> bool {
    let folder = path.parent().unwrap_or(path);
    nix::sys::statvfs::statvfs(folder).map_or(true, |disk| {
        disk.blocks_available().saturating_mul(disk.fragment_size()) >= bytes
    })
}

impl From<Trouble> for NotStored {
    fn from(trouble: Trouble) -> Self {
        Self(trouble.text())
    }
}

impl From<Trouble> for NotRead {
    fn from(trouble: Trouble) -> Self {
        Self(trouble.text())
    }
}
