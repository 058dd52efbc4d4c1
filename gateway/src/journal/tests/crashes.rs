//! The process dies at each transition: what was told is there, what was not committed is not.

#[cfg(debug_assertions)]
mod killed {
    use std::{os::unix::process::ExitStatusExt as _, process::Command};

    use koffer_drivers::fail_point;
    use koffer_proto::class::gateway::{Finding, Observation};

    use super::super::*;
    use crate::journal::{RecoveryState, Resolution};

    /// Set in the process that dies: the journal's folder.
    const INSIDE: &str = "KOFFER_JOURNAL_TO_DIE_OVER";

    /// The life of a call that ends unknown and is resolved.
    async fn live(folder: &Path) {
        let journal = Durable::start(place(folder)).unwrap();
        journal.snapshot().await.unwrap();
        begin(&journal, 1).await;
        let effects = journal.effects(CallNo(1), &"till-1".parse().unwrap());
        effects.milestone(evidence("result", "231")).await.unwrap();
        journal.finished(CallNo(1), &unknown()).await.unwrap();
        let resolution = Resolution {
            by: "tech-1".parse().unwrap(),
            at: Timestamp::now(),
            finding: Finding::Done,
            observation: Observation::try_from("Beleg".to_owned()).unwrap(),
        };
        let found = found_done();
        let resolved = journal.resolved(CallNo(1), &resolution, &found);
        resolved.await.unwrap();
    }

    #[tokio::test]
    async fn a_process_that_dies_at_a_transition_leaves_what_was_committed() {
        if let Some(folder) = std::env::var_os(INSIDE) {
            return live(Path::new(&folder)).await;
        }
        let test = "journal::tests::crashes::killed::\
                    a_process_that_dies_at_a_transition_leaves_what_was_committed";
        let mut places = 0;
        for point in fail_point::of("journal") {
            places += 1;
            let folder = Folder::new();
            let run = Command::new(std::env::current_exe().unwrap())
                .args([test, "--exact"])
                .env(INSIDE, folder.0.path())
                .env(fail_point::CRASH_AT, point)
                .output()
                .unwrap();
            assert_eq!(run.status.signal(), Some(9), "{point} kills");
            let (journal, memory) = folder.start().await;
            let state = memory.unsettled.first().map(|call| call.state.clone());
            let till = || "till-1".parse().unwrap();
            let expected = match point {
                "journal.accepted-uncommitted" => None,
                "journal.accepted-committed"
                | "journal.armed-uncommitted"
                | "journal.started-uncommitted" => Some(RecoveryState::Waiting),
                // The baseline is committed together with the start.
                "journal.armed-committed"
                | "journal.started-committed"
                | "journal.milestone-uncommitted"
                | "journal.milestone-committed"
                | "journal.finished-uncommitted" => Some(RecoveryState::Interrupted(till())),
                "journal.finished-committed" | "journal.resolved-uncommitted" => {
                    Some(RecoveryState::Unknown(till()))
                }
                "journal.resolved-committed" => {
                    assert_eq!(memory.ended.numbers(), [1]);
                    None
                }
                other => panic!("{other} is new"),
            };
            assert_eq!(state, expected, "{point}");
            let interrupted = journal.interrupted(CallNo(1)).await.unwrap();
            let milestones = interrupted.map(|found| found.milestones.len());
            let told = match point {
                "journal.milestone-committed" => Some(1),
                "journal.armed-committed"
                | "journal.started-committed"
                | "journal.milestone-uncommitted" => Some(0),
                _ => continue,
            };
            assert_eq!(milestones, told, "{point}");
        }
        assert_eq!(places, 2 * crate::journal::Transition::ALL.len());
    }
}
