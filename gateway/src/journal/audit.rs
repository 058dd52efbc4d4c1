//! The journal as technicians and auditors read it: read-only, while `kofferd` runs or not.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use koffer_proto::{CallId, ClientId, Segment};
use rusqlite::{Connection, OpenFlags, Row, types::Value as Sql};
use serde::Serialize;
use serde_json::Value;

use super::{
    place,
    record::timestamp,
    schema::{OF_CALL, UNSETTLED},
    trouble::Trouble,
};

/// Calls that are read in one go: nobody who writes waits for a long list, and the write-ahead
/// log is never held up.
const AT_ONCE: usize = 500;

/// Which calls are wanted; everything that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// Under this call id.
    pub call: Option<CallId>,
    /// On this device, or called under this name.
    pub device: Option<Segment>,
    /// Of this operation.
    pub operation: Option<Segment>,
    /// Accepted then or later.
    pub since: Option<Timestamp>,
    /// Accepted before then.
    pub until: Option<Timestamp>,
    /// Not ended, or with an unknown outcome that nobody has resolved.
    pub open: bool,
    /// Ended with an unknown outcome, resolved or not.
    pub unknown: bool,
}

/// A call as the journal has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JournalCall {
    /// Its number.
    pub no: i64,
    /// Who called.
    pub client: String,
    /// The call id.
    pub call: String,
    /// What was called: a device or a role.
    pub target: String,
    /// The device that did it or tried.
    pub device: Option<String>,
    /// The operation's class.
    pub class: String,
    /// The operation.
    pub operation: String,
    /// SHA-256 of its canonical content.
    pub digest: String,
    /// The language of its texts.
    pub lang: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it should have been over.
    pub deadline: Timestamp,
    /// From when on its effect could have begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its status code.
    pub status: Option<String>,
    /// What became of its effect.
    pub effect: Option<String>,
    /// When a person said what became of it.
    pub resolved_at: Option<Timestamp>,
}

/// One step of a call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JournalStep {
    /// When.
    pub at: Timestamp,
    /// `armed`, `started`, `milestone`, `finished` or `resolved`.
    pub step: String,
    /// On which device.
    pub device: Option<String>,
    /// The driver's name for it, or the status code of the end.
    pub name: Option<String>,
    /// Its facts, the completion, or what the person said.
    pub content: Option<Value>,
}

/// A journal that is only read.
#[derive(Debug)]
pub struct Audit {
    connection: Connection,
    file: PathBuf,
}

impl Audit {
    /// Opens the journal at `file`.
    pub fn open(file: &Path) -> Result<Self, Trouble> {
        fs::File::open(file).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Trouble::Failed(file.to_owned(), error.to_string()),
            _ => Trouble::of_io(&error, file),
        })?;
        let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let trouble = |error: rusqlite::Error| Trouble::of(&error, file);
        let connection = Connection::open_with_flags(file, read).map_err(trouble)?;
        let readable = place::recognise(&connection, file);
        let connection = match readable {
            Ok(()) => connection,
            // Where nothing may be written beside it, a file that nobody has open can be read
            // as one that never changes (sqlite.org/wal.html, "Read-Only Databases").
            Err(_) if !has_log(file) => {
                let uri = format!("file:{}?immutable=1", uri_path(file));
                let flags = read | OpenFlags::SQLITE_OPEN_URI;
                let connection = Connection::open_with_flags(uri, flags).map_err(trouble)?;
                place::recognise(&connection, file)?;
                connection
            }
            Err(trouble) => return Err(trouble),
        };
        Ok(Self {
            connection,
            file: file.to_owned(),
        })
    }

    /// Hands over every call that `filter` wants, the oldest first.
    pub fn calls<E: From<Trouble>>(
        &self,
        filter: &Filter,
        mut take: impl FnMut(JournalCall) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = i64::MIN;
        loop {
            let calls = self
                .some_calls(filter, after)
                .map_err(|e| self.trouble(&e))?;
            let Some(last) = calls.last() else {
                return Ok(());
            };
            after = last.no;
            calls.into_iter().try_for_each(&mut take)?;
        }
    }

    fn some_calls(&self, filter: &Filter, after: i64) -> rusqlite::Result<Vec<JournalCall>> {
        let mut wanted = vec!["no > ?".to_owned()];
        let mut values = vec![Sql::from(after)];
        let mut want = |condition: &str, value: Sql| {
            wanted.push(condition.to_owned());
            values.push(value);
        };
        if let Some(client) = &filter.client {
            want("client = ?", client.to_string().into());
        }
        if let Some(call) = &filter.call {
            want("call = ?", call.to_string().into());
        }
        if let Some(device) = &filter.device {
            want("? IN (device, target)", device.to_string().into());
        }
        if let Some(operation) = &filter.operation {
            want("operation = ?", operation.to_string().into());
        }
        if let Some(since) = filter.since {
            want("accepted_at >= ?", since.as_microsecond().into());
        }
        if let Some(until) = filter.until {
            want("accepted_at < ?", until.as_microsecond().into());
        }
        if filter.open {
            wanted.push(UNSETTLED.to_owned());
        }
        if filter.unknown {
            wanted.push("effect = 'unknown'".to_owned());
        }
        let query = format!(
            "SELECT no, client, call, target, device, class, operation, digest, lang, accepted_at,
                    deadline, started_at, ended_at, status, effect, resolved_at
             FROM calls WHERE {} ORDER BY no LIMIT {AT_ONCE}",
            wanted.join(" AND ")
        );
        let mut select = self.connection.prepare_cached(&query)?;
        select
            .query_map(rusqlite::params_from_iter(values), call)?
            .collect()
    }

    /// The steps of a call, in order.
    pub fn steps(&self, call: &JournalCall) -> Result<Vec<JournalStep>, Trouble> {
        self.steps_of(call.no).map_err(|error| self.trouble(&error))
    }

    fn steps_of(&self, no: i64) -> rusqlite::Result<Vec<JournalStep>> {
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT at, step, device, name, content FROM steps WHERE {OF_CALL} ORDER BY id",
        ))?;
        select
            .query_map([no], |row| {
                let content: Option<String> = row.get(4)?;
                Ok(JournalStep {
                    at: timestamp(row.get(0)?),
                    step: row.get(1)?,
                    device: row.get(2)?,
                    name: row.get(3)?,
                    // What is no JSON is shown as the text it is.
                    content: content
                        .map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))),
                })
            })?
            .collect()
    }

    fn trouble(&self, error: &rusqlite::Error) -> Trouble {
        Trouble::of(error, &self.file)
    }
}

fn call(row: &Row<'_>) -> rusqlite::Result<JournalCall> {
    let time = |column: usize| {
        let micros: rusqlite::Result<Option<i64>> = row.get(column);
        micros.map(|micros| micros.map(timestamp))
    };
    Ok(JournalCall {
        no: row.get(0)?,
        client: row.get(1)?,
        call: row.get(2)?,
        target: row.get(3)?,
        device: row.get(4)?,
        class: row.get(5)?,
        operation: row.get(6)?,
        digest: row.get(7)?,
        lang: row.get(8)?,
        accepted_at: timestamp(row.get(9)?),
        deadline: timestamp(row.get(10)?),
        started_at: time(11)?,
        ended_at: time(12)?,
        status: row.get(13)?,
        effect: row.get(14)?,
        resolved_at: time(15)?,
    })
}

/// Whether something waits in the write-ahead log.
fn has_log(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
}

/// The path in a `file:` URI (sqlite.org/uri.html): what has a meaning there is escaped.
fn uri_path(file: &Path) -> String {
    let text = file.display().to_string();
    text.replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23")
}
