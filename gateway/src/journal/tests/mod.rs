//! What the journal promises, tried on files on disk.

mod contents;
mod crashes;
mod cuts;
mod io_errors;
mod promises;
mod retention;
mod troubles;

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;
use koffer_drivers::Evidence;
use koffer_proto::{
    Class, Completion, ContentType, Effect, Failure, Lang, Outcome, Response, Sha256, Status,
    class::payment,
};
use tempfile::TempDir;

use super::{Durable, FILE, Journal, Place, Snapshot};
use crate::{
    examples,
    journal::{AcceptedCall, AnswerTo, CallNo},
};

/// A folder with a journal.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn place(&self) -> Place {
        place(self.0.path())
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join(FILE)
    }

    /// A journal as a gateway has it that has just started, and what it was told.
    async fn start(&self) -> (Durable, Snapshot) {
        let journal = Durable::start(self.place()).unwrap();
        let memory = journal.snapshot().await.unwrap();
        (journal, memory)
    }
}

fn place(directory: &Path) -> Place {
    Place {
        directory: directory.to_owned(),
        calls_kept: 100_000,
        keep: Duration::from_hours(24),
        max_bytes: 64 * 1024 * 1024,
    }
}

/// A payment by `ws-1` at the role `any-till`.
fn payment(no: u64) -> AcceptedCall {
    // As the file has it.
    let accepted_at = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap();
    AcceptedCall {
        no: CallNo(no),
        client: "ws-1".parse().unwrap(),
        call: format!("call-{no}").parse().unwrap(),
        target: "any-till".parse().unwrap(),
        operation: Class::Payment.operation("pay").unwrap(),
        digest: Sha256::of(&no.to_be_bytes()),
        answer_to: AnswerTo {
            topic: "koffer/1/case-7/reply/ws-1/till".to_owned(),
            encoding: ContentType::Json,
            lang: Lang::De,
        },
        accepted_at,
        deadline: accepted_at + Duration::from_mins(1),
    }
}

/// The contract's example of an operation's result.
fn example(class: Class, operation: &str) -> Response {
    let json = examples::named(&format!("{class}.{operation}.result")).to_string();
    Response::decode(class, operation, ContentType::Json, json.as_bytes())
        .unwrap()
        .unwrap()
}

fn paid() -> Completion<Response> {
    Completion::ok("till-1".parse().unwrap(), example(Class::Payment, "pay"))
}

fn unknown() -> Completion<Response> {
    let failure = Failure::outcome_unknown("Kontakt verloren");
    Completion::failed("till-1".parse().unwrap(), failure)
}

/// What is answered once a person has said that it was done.
fn found_done() -> Completion<Response> {
    let failure = Failure::unfinished(Status::DeviceFault, Effect::Done, "Beleg gefunden");
    Completion::failed("till-1".parse().unwrap(), failure)
}

fn failed(status: Status) -> Completion<Response> {
    let failure = Failure::without_effect(status, "nein");
    Completion::failed("till-1".parse().unwrap(), failure)
}

fn evidence(step: &'static str, value: &str) -> Evidence {
    Evidence::new(step, [("receipt", value.to_owned())])
}

/// Runs a payment on `till-1` as far as its effect could have begun.
async fn begin(journal: &Durable, no: u64) {
    journal.accepted(&payment(no)).await.unwrap();
    let effects = journal.effects(CallNo(no), &"till-1".parse().unwrap());
    effects.armed(evidence("baseline", "230")).await.unwrap();
    effects.started().await.unwrap();
}

/// A payment that is done.
async fn pay(journal: &Durable, no: u64) {
    begin(journal, no).await;
    journal.finished(CallNo(no), &paid()).await.unwrap();
}

/// The receipt number of a completion.
fn receipt(completion: &Completion<Response>) -> u16 {
    match &completion.outcome {
        Outcome::Ok(Response::Payment(payment::Response::Pay(paid))) => paid.receipt.unwrap(),
        other => panic!("no payment: {other:?}"),
    }
}
