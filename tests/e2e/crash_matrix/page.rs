//! `docs/crash-matrix.md`.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::Path};

use super::{
    Tried,
    crash::{Crash, Observed, effect},
    operation::{Operation, Truth},
    step::NOT_PASSED,
    unknown::UNKNOWABLE,
};

const ABOUT: &str = "\
# The crash matrix

Written by `cargo test -p koffer-tests --test e2e crash_matrix`, which fails where a
run tells another story; `KOFFER_BLESS=1` writes it anew. Do not edit it.

First the call runs without faults, to record its steps: every transition of the journal and
every step of the driver's protocol (`drivers/src/fail_point.rs`). Then, for each step, kofferd runs the
same call and is killed with SIGKILL at that step. It is started again, and the workstation repeats the call
with the same call id, over a new connection. It gets one completion, which is compared with what the
device itself shows: the simulated terminal's own ledger, the tray of a real `ippeveprinter`, the files of
the chip behind a real pcscd. A third repetition gets the same completion and has no effect.

Reconciliation can be interrupted as well. For each path that it takes, kofferd is
killed a second time at each of its steps (`first`, then `second`). `#2` is the second time that the call,
or its reconciliation, passes a step.

In the tables *told* is a completion that agrees with the device: `none`, `done`, or `partial` if
a file or a batch is done in part. *a person* is `outcome-unknown`: the device shows the effect at most
once, and its records cannot tell whether it belongs to this call; the reason stands below the table. The test then
resolves the call as a technician would (`gateway/resolve`), repeats it, gets that outcome, and
uses the device again.

A driver prepares a call while the journal stores that it was accepted. If the gateway is killed meanwhile, either the
call is on record and is answered as not begun, or it is not on record and the repeated call runs.
Here every transition is a commit of its own; in operation the gateway commits transitions that come together at once.
";

/// The completion of a call that was prepared for, and was on record or not.
const EARLY: &str = "`unavailable` (none), or done now: `ok`";

/// Fails where something disagrees with the device, or could not be tried.
pub(crate) fn agree(all: &[Tried], stopped: Vec<String>) {
    let wrong = all.iter().flat_map(disagreements);
    let wrong: Vec<_> = wrong.chain(stopped).collect();
    let count = wrong.len();
    assert!(count == 0, "{count} cases disagree:\n{}", wrong.join("\n"));
}

/// Writes the page to `target/`, and with `KOFFER_BLESS=1` to the repository. Fails where the page
/// differs, or an exception is none.
pub(crate) fn check(all: &[Tried]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = text(all);
    fs::write(root.join("target/crash-matrix.md"), &text).expect("a target folder");
    for listed in UNKNOWABLE {
        for step in listed.steps {
            let is_it = |(crash, _): &(Crash, Observed)| crash.first.is(step);
            let tried = |tried: &Tried| {
                listed.operations.contains(&tried.operation) && tried.rows.iter().any(is_it)
            };
            assert!(all.iter().any(tried), "UNKNOWABLE: {step} is never passed");
        }
    }
    let page = root.join("docs/crash-matrix.md");
    if env::var_os("KOFFER_BLESS").is_some() {
        fs::write(&page, &text).expect("docs/crash-matrix.md");
    }
    let shipped = fs::read_to_string(&page).unwrap_or_default();
    let differ = || {
        let (shipped, now): (BTreeSet<_>, BTreeSet<_>) =
            (shipped.lines().collect(), text.lines().collect());
        let lines = shipped.symmetric_difference(&now).copied();
        lines.collect::<Vec<_>>().join("\n")
    };
    assert!(
        shipped == text,
        "docs/crash-matrix.md tells of something else than target/crash-matrix.md; KOFFER_BLESS=1 writes it \
         anew. Lines that are in one alone:\n{}",
        differ()
    );
}

fn disagreements(tried: &Tried) -> impl Iterator<Item = String> {
    let wrong = tried.rows.iter().filter(|(_, seen)| !seen.wrong.is_empty());
    wrong.map(|(crash, seen)| {
        let (wrong, completion) = (&seen.wrong, &seen.completion);
        format!("{:?} at {crash}: {wrong:?}: {completion}", tried.operation)
    })
}

fn text(all: &[Tried]) -> String {
    let mut text = format!(
        "{ABOUT}\n## In short\n\n| operation | kills | told | a person | done twice | forgotten |\n|---|---|---|---|---|---|\n"
    );
    let mut sums = [0; 5];
    for tried in all {
        let counts = counts(tried);
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
        let _ = writeln!(text, "{}", counted(tried.operation.title(), counts));
    }
    let _ = writeln!(text, "{}", counted("all", sums));
    for tried in all {
        part(&mut text, tried);
    }
    text
}

fn counted(what: &str, counts: [usize; 5]) -> String {
    let counts = counts.map(|count| count.to_string());
    format!("| {what} | {} |", counts.join(" | "))
}

/// Cases; told; left to a person; done twice; told otherwise than it is, or not at all.
fn counts(tried: &Tried) -> [usize; 5] {
    let count = |is: &dyn Fn(&Observed) -> bool| {
        let rows = tried.rows.iter();
        rows.filter(|(_, seen)| is(seen)).count()
    };
    let is_unknown = |seen: &Observed| effect(&seen.completion) == "unknown";
    let is_twice = |seen: &Observed| seen.truth == Truth::Twice;
    let unknown = count(&is_unknown);
    let twice = count(&is_twice);
    let forgotten = count(&|seen| !seen.wrong.is_empty() && !is_twice(seen));
    let all = tried.rows.len();
    [
        all,
        all - unknown - twice - forgotten,
        unknown,
        twice,
        forgotten,
    ]
}

/// An operation's table, and what is to be said about it.
fn part(text: &mut String, tried: &Tried) {
    let operation = tried.operation;
    let _ = write!(
        text,
        "\n## {}\n\n| killed at | what there is | completion | verdict |\n|---|---|---|---|\n",
        operation.title()
    );
    for (crash, seen) in &tried.rows {
        let verdict = verdict(operation, seen);
        let (truth, completion) = if verdict == "told" && tried.early.contains(&crash.first) {
            let (none, all) = (Truth::Nothing.shown(operation), Truth::All.shown(operation));
            (format!("{none}, or {all}"), EARLY.to_owned())
        } else {
            (seen.truth.shown(operation).to_owned(), completion(seen))
        };
        let _ = writeln!(text, "| {crash} | {truth} | {completion} | {verdict} |");
    }
    let exceptions = UNKNOWABLE.iter();
    for listed in exceptions.filter(|listed| listed.operations.contains(&operation)) {
        let why = listed.why;
        let _ = write!(text, "\nA person, because {why}.\n");
    }
    let exceptions = NOT_PASSED.iter();
    for (_, steps, why) in exceptions.filter(|(operations, ..)| operations.contains(&operation)) {
        let steps: Vec<_> = steps.iter().map(|step| format!("`{step}`")).collect();
        let _ = write!(text, "\nNot passed: {}: {why}.\n", steps.join(", "));
    }
}

fn completion(seen: &Observed) -> String {
    let status = seen.completion["status"].as_str().unwrap_or_default();
    match status {
        "ok" => "`ok`".to_owned(),
        _ => format!("`{status}` ({})", effect(&seen.completion)),
    }
}

fn verdict(operation: Operation, seen: &Observed) -> &'static str {
    match effect(&seen.completion) {
        _ if !seen.wrong.is_empty() => "WRONG",
        "unknown" => "a person",
        "none" if operation == Operation::Resolve => "told: nothing waits for a word any more",
        _ => "told",
    }
}
