//! The journal as `kofferctl journal --json` exports it.

use std::{collections::BTreeMap, path::Path, process::Stdio};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use crate::Outcome;

/// A call on record.
#[derive(Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) call: String,
    pub(crate) accepted_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) effect: Option<String>,
    pub(crate) resolved_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
}

/// A step of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) at: Timestamp,
    #[serde(rename = "step")]
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    pub(crate) content: Option<Value>,
}

impl Recorded {
    /// The last step of that kind.
    pub(crate) fn step(&self, kind: &str) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.kind == kind)
    }

    /// The driver's milestones, in order.
    pub(crate) fn milestones(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(|step| step.kind == "milestone")
    }

    /// Whether it says that it happened.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.effect.as_deref(), Some("done" | "partial"))
    }
}

impl Step {
    /// A fact that the driver noted.
    pub(crate) fn fact(&self, name: &str) -> Option<&str> {
        self.content.as_ref()?.get(name)?.as_str()
    }
}

/// Every call on record, by call id.
pub(crate) async fn journal(file: &Path) -> Outcome<BTreeMap<String, Recorded>> {
    let program = std::env::current_exe()?.with_file_name("kofferctl");
    let export = Command::new(&program)
        .args(["journal", "--json", "--file"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if !export.status.success() {
        let why = String::from_utf8_lossy(&export.stderr).into_owned();
        return Err(format!("kofferctl journal: {why}").into());
    }
    let mut calls = BTreeMap::new();
    for line in String::from_utf8(export.stdout)?.lines() {
        let recorded: Recorded = serde_json::from_str(line)?;
        let id = recorded.call.clone();
        if calls.insert(id.clone(), recorded).is_some() {
            return Err(format!("{id} is twice in the journal").into());
        }
    }
    Ok(calls)
}
