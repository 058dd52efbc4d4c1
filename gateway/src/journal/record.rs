//! What is read back: for the dispatcher, and for drivers that reconcile.

use std::{borrow::Cow, collections::BTreeMap, str::FromStr, time::Duration};

use jiff::Timestamp;
use koffer_drivers::{Evidence, Interrupted};
use koffer_proto::{
    Class, Completion, ContentType, DeviceId, Lang, OperationSpec, Outcome, Response, Segment,
    Sha256,
};
use rusqlite::{
    Connection, OptionalExtension as _, Row,
    types::{FromSqlError, Type, ValueRef},
};
use serde_json::Value;

use super::{AnswerTo, CallName, CallNo};
use super::{
    Pending, RecoveryState, Snapshot, UnsettledCall,
    entry::number,
    schema::{OF_CALL, UNSETTLED},
};

type Result<T> = rusqlite::Result<T>;

/// Everything a dispatcher must know.
pub(super) fn snapshot(connection: &Connection) -> Result<Snapshot> {
    let last: Option<i64> =
        connection.query_row("SELECT max(no) FROM calls", [], |row| row.get(0))?;
    let mut select = connection.prepare(&format!(
        "SELECT no, client, call, digest, accepted_at,
                coalesce(device, target), started_at IS NOT NULL, {UNSETTLED}, ended_at IS NOT NULL,
                class, operation, target, reply_topic, content_type, lang, deadline
         FROM calls WHERE coalesce(status, '') <> 'busy' ORDER BY no"
    ))?;
    let mut memory = Snapshot {
        last: call_no(last.unwrap_or_default()),
        ..Snapshot::default()
    };
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let no = call_no(row.get(0)?);
        let (client, call, digest) = (parsed(row, 1)?, parsed(row, 2)?, digest(row, 3)?);
        let (started, unsettled, ended): (bool, bool, bool) =
            (row.get(6)?, row.get(7)?, row.get(8)?);
        if !unsettled {
            memory.ended.add(CallName::of(&client, &call), &digest, no);
            continue;
        }
        let device = || parsed::<Segment>(row, 5).map(DeviceId::from);
        memory.unsettled.push(UnsettledCall {
            no,
            client,
            call,
            digest,
            accepted_at: timestamp(row.get(4)?),
            state: match (ended, started) {
                (true, _) => RecoveryState::Unknown(device()?),
                (false, true) => RecoveryState::Interrupted(device()?),
                (false, false) => RecoveryState::Waiting,
            },
            pending: pending(row)?,
        });
    }
    Ok(memory)
}

/// What it takes to end a call of before.
fn pending(row: &Row<'_>) -> Result<Pending> {
    Ok(Pending {
        operation: operation(row.get_ref(9)?, row.get_ref(10)?)?,
        target: parsed(row, 11)?,
        answer_to: AnswerTo {
            topic: row.get(12)?,
            encoding: parsed_content_type(row, 13)?,
            lang: lang(row.get_ref(14)?.as_str()?),
        },
        deadline: timestamp(row.get(15)?),
    })
}

fn parsed_content_type(row: &Row<'_>, column: usize) -> Result<ContentType> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|()| invalid(column))
}

/// How a call ended: the last end that was stored.
pub(super) fn completion(
    connection: &Connection,
    call: CallNo,
) -> Result<Option<Completion<Response>>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT calls.class, calls.operation, steps.content
         FROM steps JOIN calls ON calls.no = ?1
         WHERE {OF_CALL} AND steps.step = 'finished' ORDER BY steps.id DESC LIMIT 1",
    ))?;
    select
        .query_row([number(call)], |row| {
            let spec = operation(row.get_ref(0)?, row.get_ref(1)?)?;
            let content: String = row.get(2)?;
            read_completion(spec, &content).ok_or_else(|| invalid(2))
        })
        .optional()
}

fn read_completion(spec: &OperationSpec, text: &str) -> Option<Completion<Response>> {
    let wire: Completion<Value> = serde_json::from_str(text).ok()?;
    let outcome = match wire.outcome {
        Outcome::Failed(failure) => Outcome::Failed(failure),
        Outcome::Ok(result) => {
            let result = result.to_string();
            let read =
                Response::decode(spec.class, spec.name, ContentType::Json, result.as_bytes());
            Outcome::Ok(read?.ok()?)
        }
    };
    Some(Completion {
        device: wire.device,
        outcome,
        ignored: wire.ignored,
    })
}

/// What was kept of a call whose effect could have begun, on the device on which it could.
pub(super) fn interrupted(connection: &Connection, call: CallNo) -> Result<Option<Interrupted>> {
    let mut select = connection.prepare_cached(
        "SELECT call, client, lang, class, operation, accepted_at
         FROM calls WHERE no = ?1 AND started_at IS NOT NULL",
    )?;
    let found = select.query_row([number(call)], |row| {
        Ok(Interrupted {
            id: parsed(row, 0)?,
            client: parsed(row, 1)?,
            lang: lang(&row.get::<_, String>(2)?),
            operation: operation(row.get_ref(3)?, row.get_ref(4)?)?,
            accepted_at: timestamp(row.get(5)?),
            baseline: None,
            milestones: Vec::new(),
            known_for: Duration::ZERO,
        })
    });
    let Some(mut interrupted) = found.optional()? else {
        return Ok(None);
    };
    let mut select = connection.prepare_cached(&format!(
        "SELECT steps.step, steps.name, steps.content
         FROM steps JOIN calls ON calls.no = ?1 AND calls.device = steps.device
         WHERE {OF_CALL} AND steps.step IN ('armed', 'milestone') ORDER BY steps.id",
    ))?;
    let mut rows = select.query([number(call)])?;
    while let Some(row) = rows.next()? {
        let content: String = row.get(2)?;
        let facts: BTreeMap<Cow<'static, str>, String> =
            serde_json::from_str(&content).map_err(|_| invalid(2))?;
        let evidence = Evidence {
            step: row.get::<_, String>(1)?.into(),
            facts,
            ids: BTreeMap::new(),
        };
        if row.get_ref(0)?.as_str()? == "armed" {
            interrupted.baseline = Some(evidence);
        } else {
            interrupted.milestones.push(evidence);
        }
    }
    Ok(Some(interrupted))
}

/// The operation that two columns name.
pub(super) fn operation(class: ValueRef<'_>, name: ValueRef<'_>) -> Result<&'static OperationSpec> {
    let (class, name) = (class.as_str()?, name.as_str()?);
    Class::ALL
        .iter()
        .find(|known| known.as_str() == class)
        .and_then(|class| class.operation(name))
        .ok_or_else(|| FromSqlError::InvalidType.into())
}

/// The language as a tag.
pub(super) fn lang_tag(lang: Lang) -> &'static str {
    match lang {
        Lang::De => "de",
        Lang::En => "en",
    }
}

pub(super) fn lang(tag: &str) -> Lang {
    Lang::from_tag(tag).unwrap_or_default()
}

/// A column of microseconds; what no clock shows becomes the end of time.
pub(super) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

pub(super) fn call_no(no: i64) -> CallNo {
    CallNo(u64::try_from(no).unwrap_or_default())
}

pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|_| invalid(column))
}

fn digest(row: &Row<'_>, column: usize) -> Result<Sha256> {
    let text: String = row.get(column)?;
    Sha256::try_from(text).map_err(|_| invalid(column))
}

/// A column that holds what this version would not have written.
fn invalid(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Text,
        "not as this version writes it".into(),
    )
}
