//! One case: a call, the gateway killed at a step, started again, asked again.

use std::fmt;

use koffer_tests::client::Workstation;
use serde_json::{Value, json};

use super::{
    office::{CLERK, DEVICE, Office, TECHNICIAN, answers},
    operation::{Deed, Operation, Truth, works},
    step::Step,
    unknown,
};

/// A deadline that is never reached, in seconds.
const PATIENT: u32 = 60;

/// Where the gateway is killed: while the call runs, and perhaps once more while it finds out what
/// became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) first: Step,
    pub(crate) then: Option<Step>,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        match self.then {
            Some(then) => write!(f, ", then {then}"),
            None => Ok(()),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) truth: Truth,
    pub(crate) completion: Value,
    /// What the gateway that lasted passed until it had answered.
    pub(crate) passed: Vec<Step>,
    /// What disagrees.
    pub(crate) wrong: Vec<String>,
}

/// The steps of a call in peace.
pub(crate) async fn in_peace(office: &mut Office, operation: Operation) -> Vec<Step> {
    let deed = operation.prepare(office).await;
    office.live().await;
    let caller = ready(office, operation, &deed).await;
    let before = office.passed().len();
    let done = caller
        .ask(deed.target, operation.name(), &deed.params, PATIENT)
        .await;
    assert_eq!(done["status"], "ok", "{operation:?}: {done}");
    let truth = deed.truth(operation, office).await;
    assert_eq!(truth, Truth::All, "{operation:?}: {done}");
    let passed = office.passed().split_off(before);
    works(office, &caller).await;
    passed
}

/// Runs one case.
pub(crate) async fn run(office: &mut Office, operation: Operation, crash: Crash) -> Observed {
    let deed = operation.prepare(office).await;
    let call = office.new_call();
    office.live_until(crash.first).await;
    let caller = ready(office, operation, &deed).await;
    let ask = async |caller: &Workstation| {
        caller
            .call_as(&call, deed.target, operation.name(), &deed.params, PATIENT)
            .await
    };
    ask(&caller).await;
    office.died_at(crash.first).await;
    let mut wrong = Vec::new();
    if answers(&caller)[&call] != 0 {
        wrong.push("answered before it was over".to_owned());
    }
    drop(caller);
    if let Some(then) = crash.then {
        office.live_alone_until(then).await;
    }

    office.live().await;
    let caller = office.person(deed.caller).await;
    if operation == Operation::Resolve {
        // A word that was committed is in force; one that was not is yet to be said.
        match crash.first.name {
            "journal.resolved-committed" => office.ready(&caller).await,
            _ => office.in_doubt(&caller).await,
        }
    } else {
        office.settled(&caller).await;
        connected(operation, &caller).await;
    }
    let completion = ask(&caller).await.completion().await;
    let passed = office.passed();
    let truth = deed.truth(operation, office).await;
    wrong.extend(disagreement(operation, crash, &completion, truth));
    let unknown = effect(&completion) == "unknown";
    if unknown {
        wrong.extend(resolve(office, &call, truth).await);
    }
    if operation != Operation::Resolve {
        let told = if unknown {
            truth.effect()
        } else {
            effect(&completion)
        };
        wrong.extend(asked_once_more(office, operation, (&deed, &call), told).await);
        let now = deed.truth(operation, office).await;
        if now != truth {
            wrong.push(format!("asked once more it was done once more: {now:?}"));
        }
    }
    if unknown {
        works(office, &caller).await;
    }
    // Whatever was still to be said would have been said by now.
    if answers(&caller)[&call] != 1 {
        wrong.push(format!("{} completions", answers(&caller)[&call]));
    }
    Observed {
        truth,
        completion,
        passed,
        wrong,
    }
}

/// The caller, before a device that works, or waits for a person's word.
async fn ready(office: &Office, operation: Operation, deed: &Deed) -> Workstation {
    let caller = office.person(deed.caller).await;
    if operation == Operation::Resolve {
        office.in_doubt(&caller).await;
    } else {
        office.settled(&caller).await;
        office.ready(&caller).await;
        connected(operation, &caller).await;
    }
    caller
}

/// A batch goes to a connected card. Connecting is nothing that a crash is tried at: what a lost
/// connection asks of the workstation is to connect again.
async fn connected(operation: Operation, caller: &Workstation) {
    if operation == Operation::Transmit {
        caller.ask(DEVICE, "connect", &json!({}), PATIENT).await;
    }
}

/// What a completion says and is not so, or says not and could.
fn disagreement(
    operation: Operation,
    crash: Crash,
    completion: &Value,
    truth: Truth,
) -> Option<String> {
    let told = effect(completion);
    // A second crash takes away nothing that could be known after the first.
    let knowable = unknown::why(operation, crash.first).is_none();
    match told {
        // Who says again what is in force already is told that nothing waits for a word.
        "none" if operation == Operation::Resolve && completion["status"] == "bad-request" => {
            (truth != Truth::All).then(|| "the word is lost".to_owned())
        }
        "unknown" if truth == Truth::Twice => Some("done twice".to_owned()),
        told if told != "unknown" && told != truth.effect() => {
            Some(format!("the truth is {truth:?}"))
        }
        "unknown" => knowable.then(|| "unknown, and not listed in UNKNOWABLE".to_owned()),
        _ => (!knowable).then(|| "told, and listed in UNKNOWABLE".to_owned()),
    }
}

/// What a completion says of the effect.
pub(crate) fn effect(completion: &Value) -> &str {
    match (completion["status"].as_str(), completion["effect"].as_str()) {
        (Some("ok"), _) => "done",
        (_, Some(effect)) => effect,
        _ => "no effect told",
    }
}

/// A technician looks and says what is there.
async fn resolve(office: &Office, call: &str, truth: Truth) -> Option<String> {
    let technician = office.person(TECHNICIAN).await;
    office.in_doubt(&technician).await;
    let word = json!({
        "client": CLERK, "call": call, "finding": truth.finding(), "observation": "looked",
    });
    let taken = technician.ask("gateway", "resolve", &word, PATIENT).await;
    (taken["status"] != "ok").then(|| format!("resolve: {taken}"))
}

/// Asked once more, `told` is said and no step is passed.
async fn asked_once_more(
    office: &Office,
    operation: Operation,
    (deed, call): (&Deed, &str),
    told: &str,
) -> Option<String> {
    let clerk = office.person(deed.caller).await;
    let before = office.passed().len();
    let again = clerk
        .call_as(call, deed.target, operation.name(), &deed.params, PATIENT)
        .await
        .completion()
        .await;
    let more = office.passed().split_off(before);
    let same = effect(&again) == told && more.is_empty();
    (!same).then(|| format!("asked once more: {again}, {more:?}"))
}
