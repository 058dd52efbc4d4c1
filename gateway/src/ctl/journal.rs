//! `kofferctl journal`: reads the file itself, without broker and gateway.

use std::path::PathBuf;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use koffer_proto::{CallId, Lang};
use serde_json::{Value, json};

use super::args::JournalWanted;
use super::draw::{self, moment, table};
use super::exit::Exit;
use super::screen::{Paint, Screen, harmless};
use super::texts;
use super::trouble::Trouble;
use crate::config::state_directory;
use crate::journal::{
    FILE, SetAside, Trouble as JournalTrouble,
    audit::{Audit, Filter, JournalCall, JournalStep},
    set_aside,
};

const DONE: Exit = Exit::Status(koffer_proto::Status::Ok);

/// Shows the journal, or sets it aside.
pub(super) fn run(
    wanted: JournalWanted,
    call: Option<CallId>,
    screen: &Screen,
) -> Result<Exit, Trouble> {
    let file = wanted.file.unwrap_or_else(usual_file);
    if wanted.set_aside {
        return set_it_aside(&file, screen);
    }
    let audit = Audit::open(&file)?;
    let in_detail = call.is_some();
    let filter = Filter {
        client: wanted.client,
        call,
        device: wanted.device,
        operation: wanted.operation,
        since: wanted.since,
        until: wanted.until,
        open: wanted.open,
        unknown: wanted.unknown,
    };
    let zone = TimeZone::system();
    if wanted.csv {
        screen.line(&comma_separated(HEAD))?;
        audit.calls(&filter, |call| {
            Ok::<_, Trouble>(screen.line(&comma_separated(fields(&call)))?)
        })?;
    } else if screen.is_json() {
        audit.calls(&filter, |call| {
            let steps = audit.steps(&call)?;
            Ok::<_, Trouble>(screen.json("journal-call", as_json(&call, &steps))?)
        })?;
    } else if in_detail {
        let mut found = false;
        audit.calls(&filter, |call| {
            found = true;
            let steps = audit.steps(&call)?;
            Ok::<_, Trouble>(screen.text(&detail(
                &call,
                &steps,
                screen.lang(),
                &zone,
                screen.paint(),
            ))?)
        })?;
        if !found {
            screen.note(&texts::journal_nothing());
        }
    } else {
        let mut calls = Vec::new();
        audit.calls(&filter, |call| {
            calls.push(call);
            Ok::<_, Trouble>(())
        })?;
        if calls.is_empty() {
            screen.note(&texts::journal_nothing());
        } else {
            screen.text(&list(&calls, screen.lang(), &zone))?;
        }
    }
    Ok(DONE)
}

fn usual_file() -> PathBuf {
    state_directory(std::env::var_os("STATE_DIRECTORY").as_deref()).join(FILE)
}

fn set_it_aside(file: &std::path::Path, screen: &Screen) -> Result<Exit, Trouble> {
    match set_aside(file, Timestamp::now())? {
        SetAside::InOrder => screen.note(&texts::journal_in_order(&file.display())),
        SetAside::Moved(aside) => {
            screen.alarm(&texts::journal_set_aside(&aside.display()));
        }
    }
    Ok(DONE)
}

/// Reads a moment as people write it: a day, a day and a time on the clock on the wall, or a
/// moment of RFC 3339.
pub(super) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    parse_moment_in(text, &TimeZone::system())
}

fn parse_moment_in(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    text.parse::<DateTime>()
        .and_then(|civil| civil.to_zoned(zone.clone()))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| "write 2026-03-02, 2026-03-02T08:15 or 2026-03-02T08:15:30Z".to_owned())
}

/// How a call stands, in a word or two: its status and effect, or how far it came.
fn standing(call: &JournalCall, lang: Lang) -> String {
    match (&call.status, &call.effect, call.started_at) {
        (Some(status), Some(effect), _) => match call.resolved_at {
            Some(_) => format!("{status}/{effect}, {}", texts::journal_resolved().get(lang)),
            None => format!("{status}/{effect}"),
        },
        (_, _, Some(_)) => texts::journal_begun().get(lang).to_owned(),
        (_, _, None) => texts::journal_accepted().get(lang).to_owned(),
    }
}

fn list(calls: &[JournalCall], lang: Lang, zone: &TimeZone) -> String {
    let head = [
        texts::time(),
        texts::client(),
        texts::call(),
        texts::device(),
        texts::operation(),
        texts::phase(),
    ];
    let rows = calls.iter().map(|call| {
        [
            moment(&call.accepted_at.to_string(), zone),
            call.client.clone(),
            call.call.clone(),
            call.device.as_ref().unwrap_or(&call.target).clone(),
            call.operation.clone(),
            standing(call, lang),
        ]
    });
    table(head.map(|word| word.get(lang).to_owned()), rows.collect())
}

fn detail(
    call: &JournalCall,
    steps: &[JournalStep],
    lang: Lang,
    zone: &TimeZone,
    paint: Paint,
) -> String {
    let at = |time: Timestamp| moment(&time.to_string(), zone);
    let title = format!("{} {}: {}", call.client, call.call, standing(call, lang));
    let mut lines = vec![paint.bold(&harmless(&title))];
    let facts = [
        (
            texts::operation(),
            format!("{} {}", call.class, call.operation),
        ),
        (texts::journal_target(), call.target.clone()),
        (texts::device(), call.device.clone().unwrap_or_default()),
        (texts::journal_accepted_at(), at(call.accepted_at)),
        (texts::deadline(), at(call.deadline)),
        (texts::journal_digest(), call.digest.clone()),
        (texts::journal_number(), call.no.to_string()),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        lines.push(format!("{:<12} {}", name.get(lang), harmless(value)));
    }
    for step in steps {
        let mut words = vec![at(step.at), step.step.clone()];
        words.extend(step.device.clone());
        words.extend(step.name.clone());
        lines.push(harmless(&words.join("  ")));
        if let Some(content) = &step.content {
            let tree = draw::tree(content, lang);
            lines.extend(tree.lines().map(|line| format!("    {line}")));
        }
    }
    lines.join("\n") + "\n"
}

fn as_json(call: &JournalCall, steps: &[JournalStep]) -> Value {
    let mut value = json!(call);
    value["steps"] = json!(steps);
    value
}

const HEAD: [&str; 16] = [
    "no",
    "client",
    "call",
    "target",
    "device",
    "class",
    "operation",
    "digest",
    "lang",
    "accepted_at",
    "deadline",
    "started_at",
    "ended_at",
    "status",
    "effect",
    "resolved_at",
];

/// The values under [`HEAD`]; nothing for what is not known.
fn fields(call: &JournalCall) -> [String; 16] {
    let value = json!(call);
    HEAD.map(|name| match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// A line of CSV (RFC 4180). What a spreadsheet would take for a formula is made text.
fn comma_separated<T: AsRef<str>>(fields: [T; 16]) -> String {
    let cells = fields.map(|field| {
        let field = field.as_ref();
        let formula = if field.starts_with(['=', '+', '-', '@']) {
            "'"
        } else {
            ""
        };
        if formula.is_empty() && !field.contains(['"', ',', '\r', '\n']) {
            field.to_owned()
        } else {
            format!("\"{formula}{}\"", field.replace('"', "\"\""))
        }
    });
    cells.join(",")
}

impl From<JournalTrouble> for Trouble {
    fn from(trouble: JournalTrouble) -> Self {
        Self::Journal(trouble.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> JournalCall {
        let at: Timestamp = "2026-03-02T08:15:30Z".parse().unwrap();
        JournalCall {
            no: 17,
            client: "ws-1".to_owned(),
            call: "=1+1".to_owned(),
            target: "till".to_owned(),
            device: Some("ec-terminal".to_owned()),
            class: "payment".to_owned(),
            operation: "pay".to_owned(),
            digest: "ab".to_owned(),
            lang: "de".to_owned(),
            accepted_at: at,
            deadline: at,
            started_at: Some(at),
            ended_at: Some(at),
            status: Some("outcome-unknown".to_owned()),
            effect: Some("unknown".to_owned()),
            resolved_at: None,
        }
    }

    #[test]
    fn a_moment_is_written_as_people_and_programs_do() {
        let berlin = TimeZone::fixed(jiff::tz::offset(1));
        for (text, moment) in [
            ("2026-03-02", "2026-03-01T23:00:00Z"),
            ("2026-03-02T08:15", "2026-03-02T07:15:00Z"),
            ("2026-03-02 08:15:30", "2026-03-02T07:15:30Z"),
            ("2026-03-02T08:15:30Z", "2026-03-02T08:15:30Z"),
        ] {
            let read = parse_moment_in(text, &berlin).unwrap();
            assert_eq!(read.to_string(), moment, "{text}");
        }
        for text in ["", "yesterday", "02.03.2026", "2026-13-01"] {
            assert!(parse_moment_in(text, &berlin).is_err(), "{text}");
        }
    }

    #[test]
    fn people_see_how_a_call_stands() {
        let mut call = call();
        assert_eq!(standing(&call, Lang::De), "outcome-unknown/unknown");
        call.resolved_at = call.ended_at;
        assert_eq!(
            standing(&call, Lang::De),
            "outcome-unknown/unknown, geklärt"
        );
        (call.status, call.effect) = (None, None);
        assert_eq!(standing(&call, Lang::En), "begun, not ended");
        call.started_at = None;
        assert_eq!(standing(&call, Lang::En), "accepted");
    }

    #[test]
    fn a_list_and_a_call_in_detail_are_for_people() {
        let call = call();
        assert_eq!(
            list(std::slice::from_ref(&call), Lang::De, &TimeZone::UTC),
            "\
ZEIT                 VON   AUFRUF  GERÄT        VORGANG  STAND
2026-03-02 08:15:30  ws-1  =1+1    ec-terminal  pay      outcome-unknown/unknown"
        );
        let step = JournalStep {
            at: call.accepted_at,
            step: "milestone".to_owned(),
            device: Some("ec-terminal".to_owned()),
            name: Some("status\x1b[2J".to_owned()),
            content: Some(json!({"receipt": "231"})),
        };
        assert_eq!(
            detail(&call, &[step], Lang::En, &TimeZone::UTC, Paint(false)),
            "\
ws-1 =1+1: outcome-unknown/unknown
Operation    payment pay
Called       till
Device       ec-terminal
Accepted     2026-03-02 08:15:30
Deadline     2026-03-02 08:15:30
SHA-256      ab
Number       17
2026-03-02 08:15:30  milestone  ec-terminal  status\u{fffd}[2J
    receipt: 231
"
        );
    }

    #[test]
    fn csv_quotes_what_it_must_and_carries_no_formula() {
        let mut call = call();
        call.target = "a,\"b\"".to_owned();
        assert_eq!(
            comma_separated(fields(&call)),
            "17,ws-1,\"'=1+1\",\"a,\"\"b\"\"\",ec-terminal,payment,pay,ab,de,2026-03-02T08:15:30Z,\
             2026-03-02T08:15:30Z,2026-03-02T08:15:30Z,2026-03-02T08:15:30Z,outcome-unknown,unknown,"
        );
        let value = json!(call);
        let names: Vec<_> = value.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), HEAD.len());
        assert!(HEAD.iter().all(|name| value.get(name).is_some()));
    }
}
