//! What is written: one entry per transition of a call. An entry that cannot be is known before
//! its first statement changes anything, so that it spoils nothing for those it shares a commit with.

use jiff::Timestamp;
use koffer_drivers::Evidence;
use koffer_proto::{Completion, DeviceId, Response};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::{AcceptedCall, CallNo};
use super::{
    Resolution, content, record, schema::OF_CALL, transition::Transition, trouble::Trouble,
};

/// One entry.
#[derive(Debug)]
pub(super) enum Entry {
    Accepted(AcceptedCall),
    Step(Step),
    Finished {
        call: CallNo,
        at: Timestamp,
        completion: Completion<Response>,
    },
    Resolved {
        call: CallNo,
        resolution: Resolution,
        completion: Completion<Response>,
    },
}

/// What a driver tells of a call's effect.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) call: CallNo,
    pub(super) device: DeviceId,
    /// What the device showed before, where that is not on record yet.
    pub(super) armed: Option<Armed>,
    pub(super) at: Timestamp,
    pub(super) what: What,
}

/// What a device showed before it was touched, and when.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) at: Timestamp,
    pub(super) baseline: Evidence,
}

/// What it is.
#[derive(Debug)]
pub(super) enum What {
    Started,
    Milestone(Evidence),
}

/// Why an entry was not written.
#[derive(Debug)]
pub(super) enum Failed {
    /// This entry cannot be; others can.
    Entry(Trouble),
    /// Nothing can be written.
    File(rusqlite::Error),
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::Entry(trouble)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

impl Entry {
    /// Whose it is.
    pub(super) fn call(&self) -> CallNo {
        match self {
            Self::Accepted(call) => call.no,
            Self::Step(step) => step.call,
            Self::Finished { call, .. } | Self::Resolved { call, .. } => *call,
        }
    }

    /// What it says of its call, in order.
    pub(super) fn transitions(&self) -> impl Iterator<Item = Transition> {
        let (before, then) = match self {
            Self::Accepted(_) => (None, Transition::Accepted),
            Self::Step(step) => (
                step.armed.as_ref().map(|_| Transition::Armed),
                match step.what {
                    What::Started => Transition::Started,
                    What::Milestone(_) => Transition::Milestone,
                },
            ),
            Self::Finished { .. } => (None, Transition::Finished),
            Self::Resolved { .. } => (None, Transition::Resolved),
        };
        before.into_iter().chain([then])
    }

    /// Writes it, within the transaction that `connection` is in.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), Failed> {
        match self {
            Self::Accepted(call) => accepted(connection, call),
            Self::Step(step) => step.write(connection),
            Self::Finished {
                call,
                at,
                completion,
            } => finished(connection, *call, *at, completion),
            Self::Resolved {
                call,
                resolution,
                completion,
            } => {
                resolved(connection, *call, resolution)?;
                finished(connection, *call, resolution.at, completion)
            }
        }
    }
}

fn accepted(connection: &Connection, call: &AcceptedCall) -> Result<(), Failed> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO calls (no, client, call, target, class, operation, digest, lang,
                            accepted_at, deadline, reply_topic, content_type)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    let inserted = insert.execute(params![
        number(call.no),
        call.client.as_str(),
        call.call.to_string(),
        call.target.as_str(),
        call.operation.class.as_str(),
        call.operation.name,
        call.digest.to_string(),
        record::lang_tag(call.answer_to.lang),
        call.accepted_at.as_microsecond(),
        call.deadline.as_microsecond(),
        call.answer_to.topic,
        call.answer_to.encoding.as_str(),
    ]);
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(Trouble::Repeated(call.call.clone()).into())
        }
        Err(error) => Err(error.into()),
    }
}

impl Step {
    fn write(&self, connection: &Connection) -> Result<(), Failed> {
        let armed = self.armed.as_ref();
        let armed = armed.map(|armed| self.row(armed.at, "armed", Some(&armed.baseline)));
        let armed = armed.transpose()?;
        let row = match &self.what {
            What::Started => self.row(self.at, "started", None),
            What::Milestone(evidence) => self.row(self.at, "milestone", Some(evidence)),
        }?;
        let at = self.at.as_microsecond();
        let started = matches!(self.what, What::Started).then_some(at);
        let mut update = connection.prepare_cached(
            "UPDATE calls SET device = ?2, started_at = coalesce(started_at, ?3) WHERE no = ?1",
        )?;
        let known = update.execute(params![number(self.call), self.device.as_str(), started])?;
        if known == 0 {
            return Err(Trouble::NoSuchCall.into());
        }
        if let Some(armed) = armed {
            armed.insert(connection)?;
        }
        row.insert(connection)
    }

    fn row<'a>(
        &'a self,
        at: Timestamp,
        step: &'static str,
        evidence: Option<&'a Evidence>,
    ) -> Result<Row<'a>, Failed> {
        let facts = evidence.map(content::facts);
        Ok(Row {
            call: self.call,
            at: at.as_microsecond(),
            step,
            device: Some(self.device.as_str()),
            name: evidence.map(|evidence| evidence.step.as_ref()),
            content: facts.transpose()?,
        })
    }
}

fn finished(
    connection: &Connection,
    call: CallNo,
    at: Timestamp,
    completion: &Completion<Response>,
) -> Result<(), Failed> {
    let at = at.as_microsecond();
    let mut find =
        connection.prepare_cached("SELECT class, operation, lang FROM calls WHERE no = ?1")?;
    let found = find.query_row([number(call)], |row| {
        let lang = record::lang(&row.get::<_, String>(2)?);
        Ok((record::operation(row.get_ref(0)?, row.get_ref(1)?)?, lang))
    });
    let (spec, lang) = found.optional()?.ok_or(Trouble::NoSuchCall)?;
    let device = completion.device.as_ref().map(DeviceId::as_str);
    let (status, effect) = (completion.status(), completion.effect());
    let kept = content::completion(&content::keepable(completion.clone(), spec, lang))?;
    let mut update = connection.prepare_cached(
        "UPDATE calls SET ended_at = ?2, status = ?3, effect = ?4, device = coalesce(?5, device)
         WHERE no = ?1",
    )?;
    update.execute(params![
        number(call),
        at,
        status.as_str(),
        effect.as_str(),
        device
    ])?;
    let row = Row {
        call,
        at,
        step: "finished",
        device,
        name: Some(status.as_str()),
        content: Some(kept),
    };
    row.insert(connection)
}

fn resolved(connection: &Connection, call: CallNo, resolution: &Resolution) -> Result<(), Failed> {
    let said = content::resolution(resolution)?;
    let at = resolution.at.as_microsecond();
    let mut update =
        connection.prepare_cached("UPDATE calls SET resolved_at = ?2 WHERE no = ?1")?;
    if update.execute(params![number(call), at])? == 0 {
        return Err(Trouble::NoSuchCall.into());
    }
    let row = Row {
        call,
        at,
        step: "resolved",
        device: None,
        name: None,
        content: Some(said),
    };
    row.insert(connection)
}

/// A row of `steps`.
struct Row<'a> {
    call: CallNo,
    at: i64,
    step: &'static str,
    device: Option<&'a str>,
    name: Option<&'a str>,
    content: Option<String>,
}

impl Row<'_> {
    fn insert(&self, connection: &Connection) -> Result<(), Failed> {
        let mut insert = connection.prepare_cached(&format!(
            "INSERT INTO steps (id, at, step, device, name, content)
             VALUES ((SELECT coalesce(max(id), ?1 << 20) + 1 FROM steps WHERE {OF_CALL}),
                     ?2, ?3, ?4, ?5, ?6)"
        ))?;
        insert.execute(params![
            number(self.call),
            self.at,
            self.step,
            self.device,
            self.name,
            self.content
        ])?;
        Ok(())
    }
}

/// A call's number as SQLite has it. A thousand calls a second reach its end, with room for the
/// number of a step, after 270 years.
pub(super) fn number(call: CallNo) -> i64 {
    i64::try_from(call.0).unwrap_or(i64::MAX)
}
