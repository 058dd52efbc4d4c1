//! Where the journal lies, and how it is opened: only as what it should be, by one process at a
//! time, and never a new one in the place of one that is broken.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use rusqlite::{Connection, OpenFlags};

use super::{
    schema::{self, APPLICATION, STEPS},
    trouble::Trouble,
};

/// The journal's file in its folder. SQLite keeps `journal.db-wal` and `journal.db-shm` beside it.
pub const FILE: &str = "journal.db";

/// Held by the process that has the journal.
const LOCK: &str = "journal.lock";

/// How long a technician's own SQLite tool may hold the file up.
const BUSY: Duration = Duration::from_secs(2);

/// A page of the file, and of the disk below it.
pub(super) const PAGE: u64 = 4096;

/// The write-ahead log is copied into the file from this size on, and cut to it: 4 MiB.
const LOG_PAGES: u64 = 1024;

/// Where a journal lies, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder. It is never created: a missing one may be a disk that is not mounted.
    pub directory: PathBuf,
    /// How many of its ended calls each client has kept, however old they are.
    pub calls_kept: u64,
    /// How long ended calls are kept beyond those.
    pub keep: Duration,
    /// The largest the file may grow.
    pub max_bytes: u64,
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// It was opened on a full disk: nobody else can look into it, and it should be opened anew
    /// when there is room.
    pub(super) makeshift: bool,
    _lock: Flock<fs::File>,
}

impl Place {
    /// The file.
    pub fn file(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Its size on disk with what waits in the write-ahead log.
    pub(super) fn bytes(&self) -> u64 {
        parts(&self.file())
            .iter()
            .filter_map(|part| fs::metadata(part).ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// Opens the journal, a new one where there is none. Everything in it is checked. On a full
    /// disk what is in it can still be read.
    pub(super) fn open(&self) -> Result<Opened, Trouble> {
        let lock = lock(&self.directory)?;
        match self.connect() {
            Ok(connection) => Ok(Opened {
                connection,
                makeshift: false,
                _lock: lock,
            }),
            Err(Trouble::DiskFull(full)) => {
                let connection = self.connect_on_a_full_disk();
                Ok(Opened {
                    connection: connection.map_err(|_| Trouble::DiskFull(full))?,
                    makeshift: true,
                    _lock: lock,
                })
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// SQLite finds its way in the write-ahead log by `journal.db-shm`, which it makes anew, and
    /// for which a full disk has no room. A connection that has the file for itself keeps that in
    /// its memory instead (sqlite.org/wal.html, "Use of WAL Without Shared-Snapshot").
    fn connect_on_a_full_disk(&self) -> Result<Connection, Trouble> {
        let file = self.file();
        let trouble = |error: rusqlite::Error| Trouble::of(&error, &file);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(trouble)?;
        connection
            .pragma_update(None, "locking_mode", "EXCLUSIVE")
            .map_err(trouble)?;
        recognise(&connection, &file)?;
        let version = schema::version(&connection).map_err(trouble)?;
        if usize::try_from(version) == Ok(STEPS.len()) {
            Ok(connection)
        } else {
            // Nothing is in it yet, or it has to be brought up to date first.
            Err(Trouble::DiskFull(file))
        }
    }

    fn connect(&self) -> Result<Connection, Trouble> {
        let file = self.file();
        create(&file)?;
        let trouble = |error: &rusqlite::Error| Trouble::of(error, &file);
        let looked_at = look_at(&file);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = || Connection::open_with_flags(&file, flags).map_err(|error| trouble(&error));
        let mut connection = match looked_at {
            Ok(()) => connect()?,
            // A power cut while the file was made left what only a writer can take back.
            Err(Trouble::ReadOnly(_)) => {
                let connection = connect()?;
                recognise(&connection, &file)?;
                connection
            }
            Err(trouble) => return Err(trouble),
        };
        let settings = format!(
            "PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = {LOG_PAGES};
             PRAGMA journal_size_limit = {};
             PRAGMA max_page_count = {};
             PRAGMA secure_delete = FAST;",
            LOG_PAGES * PAGE,
            self.max_bytes / PAGE,
        );
        connection
            .execute_batch(&settings)
            .and_then(|()| schema::migrate(&mut connection, STEPS))
            .map_err(|error| trouble(&error))?;
        Ok(connection)
    }
}

/// Checks the file without changing a byte of it, which a connection that may write does even when
/// it is closed.
fn look_at(file: &Path) -> Result<(), Trouble> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(file, flags).map_err(|error| Trouble::of(&error, file))?;
    recognise(&connection, file)
}

/// Refuses what is no journal of this version or an older one, and what is damaged.
pub(super) fn recognise(connection: &Connection, file: &Path) -> Result<(), Trouble> {
    let trouble = |error: rusqlite::Error| Trouble::of(&error, file);
    connection.busy_timeout(BUSY).map_err(trouble)?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let pages: i64 = number("page_count").map_err(trouble)?;
    if pages == 0 {
        return Ok(());
    }
    let application: i64 = number("application_id").map_err(trouble)?;
    let version = schema::version(connection).map_err(trouble)?;
    // A power cut between creating the file and its tables leaves both at zero.
    if application != APPLICATION && (application, version) != (0, 0) {
        let what = format!("application id {application:#x}");
        return Err(Trouble::Damaged(file.to_owned(), what));
    }
    if usize::try_from(version).map_or(true, |version| version > STEPS.len()) {
        return Err(Trouble::TooNew(file.to_owned(), version));
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(trouble)?;
    if verdict == "ok" {
        Ok(())
    } else {
        let what = verdict.lines().collect::<Vec<_>>().join(" ");
        Err(Trouble::Damaged(file.to_owned(), what))
    }
}

fn lock(directory: &Path) -> Result<Flock<fs::File>, Trouble> {
    if !directory.is_dir() {
        return Err(Trouble::Missing(directory.to_owned()));
    }
    let path = directory.join(LOCK);
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false).mode(0o600);
    let file = options
        .open(&path)
        .map_err(|error| Trouble::of_io(&error, &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Trouble::InUse(directory.join(FILE)),
        errno => Trouble::of_io(&io::Error::from(errno), &path),
    })
}

/// An empty file that nobody else may read; SQLite gives its companions the same mode.
fn create(file: &Path) -> Result<(), Trouble> {
    let mut options = OpenOptions::new();
    match options.create_new(true).write(true).mode(0o600).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Trouble::of_io(&error, file)),
    }
}

/// The file and its companions.
fn parts(file: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// What became of a wish to set a journal aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetAside {
    /// It is in order and stays.
    InOrder,
    /// It was damaged and is there now; the next call begins a new one.
    Moved(PathBuf),
}

/// Sets a damaged journal aside: renamed with the time, never deleted. One that is in order stays,
/// and so does one that only cannot be read at the moment.
pub fn set_aside(file: &Path, now: Timestamp) -> Result<SetAside, Trouble> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let _lock = lock(directory)?;
    if !file.is_file() {
        return Err(Trouble::Missing(file.to_owned()));
    }
    match look_at(file) {
        Ok(()) => return Ok(SetAside::InOrder),
        Err(Trouble::Damaged(..)) => {}
        Err(trouble) => return Err(trouble),
    }
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let aside = file.with_extension(format!("damaged-{stamp}.db"));
    // The file last: as long as it stands there, nothing new begins beside an old log.
    for (from, to) in parts(file).iter().zip(parts(&aside)).rev() {
        match fs::rename(from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Trouble::of_io(&error, from)),
        }
    }
    Ok(SetAside::Moved(aside))
}
