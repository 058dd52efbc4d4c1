//! Exit codes: one per status, and one per way of not getting a status.

use koffer_proto::Status;
use serde_json::Value;

use super::reading;

/// How kofferctl ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// A completion with this status.
    Status(Status),
    /// A completion with a status that this version does not know.
    StrangeStatus,
    /// The answer could not be written.
    Output,
    /// The command line or the configuration is wrong.
    Usage,
    /// No connection to the broker.
    Unreachable,
    /// The broker refused the user, the password or the topic.
    NotAllowed,
    /// No gateway, several, or one that is offline.
    NoGateway,
    /// The journal's file cannot be read.
    NoJournal,
    /// A self-test was done, and the device did not pass it.
    NotPassed,
    /// Nothing of the self-test that was asked for could be tried.
    NotTested,
    /// No completion by the deadline and its grace.
    NoCompletion,
    /// Left with Ctrl-C before the completion.
    Left,
}

impl Exit {
    /// The process's exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Status(Status::Ok) => 0,
            Self::Output => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::NotAllowed => 4,
            Self::NoGateway => 5,
            Self::NoCompletion => 6,
            Self::NoJournal => 7,
            Self::NotPassed => 8,
            Self::NotTested => 9,
            Self::Status(Status::BadRequest) => 10,
            Self::Status(Status::Unsupported) => 11,
            Self::Status(Status::Denied) => 12,
            Self::Status(Status::UnknownDevice) => 13,
            Self::Status(Status::Unavailable) => 14,
            Self::Status(Status::Busy) => 15,
            Self::Status(Status::Claimed) => 16,
            Self::Status(Status::Expired) => 17,
            Self::Status(Status::Conflict) => 18,
            Self::Status(Status::Declined) => 20,
            Self::Status(Status::Cancelled) => 21,
            Self::Status(Status::TimedOut) => 22,
            Self::Status(Status::DeviceFault) => 23,
            Self::Status(Status::OutcomeUnknown) => 30,
            Self::StrangeStatus => 31,
            Self::Left => 130,
        }
    }

    /// The exit for a status as it stands on the wire.
    pub(super) fn of_wire(status: &str) -> Self {
        Status::ALL
            .into_iter()
            .find(|known| known.as_str() == status)
            .map_or(Self::StrangeStatus, Self::Status)
    }

    /// The exit for a completion of this operation.
    pub(super) fn of_completion(operation: &str, completion: &Value) -> Self {
        let exit = Self::of_wire(reading::text(completion, "status"));
        if exit != Self::Status(Status::Ok) || operation != "self-test" {
            return exit;
        }
        match completion.get("result").map(reading::tested) {
            Some("failed") => Self::NotPassed,
            Some("skipped") => Self::NotTested,
            _ => exit,
        }
    }

    /// What the code means, for the table in the help and in `docs/kofferctl.md`.
    fn meaning(self) -> &'static str {
        match self {
            Self::Status(Status::Ok) => "ok: done as asked",
            Self::Output => "the answer could not be written to stdout or to its file",
            Self::Usage => "usage: command line, parameters or configuration; nothing was sent",
            Self::Unreachable => "the broker cannot be reached",
            Self::NotAllowed => "the broker refused the user, the password or the topic",
            Self::NoGateway => "no gateway found, several found, or it is offline",
            Self::NoCompletion => "no completion in time: unknown here, ask again with --call ID",
            Self::NoJournal => "the journal's file cannot be read",
            Self::NotPassed => "the self-test was done, and the device did not pass it",
            Self::NotTested => {
                "the self-test has nothing to test at that level: neither passed nor failed"
            }
            Self::Status(Status::BadRequest) => "bad-request: nothing was started",
            Self::Status(Status::Unsupported) => "unsupported: nothing was started",
            Self::Status(Status::Denied) => "denied: nothing was started",
            Self::Status(Status::UnknownDevice) => "unknown-device: nothing was started",
            Self::Status(Status::Unavailable) => "unavailable: nothing was started",
            Self::Status(Status::Busy) => "busy: nothing was started",
            Self::Status(Status::Claimed) => "claimed: nothing was started",
            Self::Status(Status::Expired) => "expired: nothing was started",
            Self::Status(Status::Conflict) => "conflict: nothing was started by this call",
            Self::Status(Status::Declined) => "declined: the device said no, nothing happened",
            Self::Status(Status::Cancelled) => "cancelled: the completion states the effect",
            Self::Status(Status::TimedOut) => "timed-out: the completion states the effect",
            Self::Status(Status::DeviceFault) => "device-fault: the completion states the effect",
            Self::Status(Status::OutcomeUnknown) => {
                "outcome-unknown: it may have happened, do not repeat, resolve"
            }
            Self::StrangeStatus => "a completion this version cannot read: treat as 30",
            Self::Left => "left with a second Ctrl-C: unknown here, ask again with --call ID",
        }
    }

    /// Every way to end, by code.
    fn all() -> Vec<Self> {
        let mut all: Vec<_> = Status::ALL.into_iter().map(Self::Status).collect();
        all.extend([
            Self::StrangeStatus,
            Self::Output,
            Self::Usage,
            Self::Unreachable,
            Self::NotAllowed,
            Self::NoGateway,
            Self::NoCompletion,
            Self::NoJournal,
            Self::NotPassed,
            Self::NotTested,
            Self::Left,
        ]);
        all.sort_by_key(|exit| exit.code());
        all
    }
}

/// The table of exit codes, as the help shows it.
pub(super) fn table() -> String {
    let lines = Exit::all()
        .into_iter()
        .map(|exit| format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    format!("Exit codes:\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_end_has_a_code_of_its_own() {
        let mut codes: Vec<_> = Exit::all().into_iter().map(Exit::code).collect();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert_eq!(codes[0], 0);
    }

    #[test]
    fn the_status_on_the_wire_decides_the_code() {
        assert_eq!(Exit::of_wire("ok").code(), 0);
        assert_eq!(Exit::of_wire("declined").code(), 20);
        assert_eq!(Exit::of_wire("outcome-unknown").code(), 30);
        assert_eq!(Exit::of_wire("from-version-2").code(), 31);
    }

    #[test]
    fn a_self_test_that_was_not_passed_has_a_code_of_its_own() {
        let report = |passed| json!({"status": "ok", "result": {"passed": passed, "steps": []}});
        let code = |operation, completion| Exit::of_completion(operation, &completion).code();
        assert_eq!(code("self-test", report(true)), 0);
        assert_eq!(code("self-test", report(false)), 8);
        let untried = json!({"status": "ok", "result": {"passed": false, "outcome": "skipped"}});
        assert_eq!(code("self-test", untried), 9);
        assert_eq!(code("print", report(false)), 0);
        let refused = json!({"status": "busy", "effect": "none", "message": ""});
        assert_eq!(code("self-test", refused), 15);
    }

    #[test]
    fn the_manual_has_the_table_of_the_code() {
        let manual = include_str!("../../../docs/kofferctl.md");
        let rows: Vec<_> = manual
            .lines()
            .filter(|line| {
                line.strip_prefix("| ")
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            })
            .collect();
        let expected: Vec<_> = Exit::all()
            .into_iter()
            .map(|exit| format!("| {} | {} |", exit.code(), exit.meaning()))
            .collect();
        assert_eq!(rows, expected);
    }
}
