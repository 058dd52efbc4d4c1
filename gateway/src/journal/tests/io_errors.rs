//! Writes that fail in the middle, as on a disk that dies: the kernel takes part of one, and then
//! gives an error that is neither "full" nor "read-only". The process's own limit on the size of
//! files does that (`RLIMIT_FSIZE` with SIGXFSZ ignored), at any byte that is wanted.

use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

/// Set in the process that has the limit: the journal's folder.
const INSIDE: &str = "KOFFER_JOURNAL_ON_A_DYING_DISK";

/// Where in a commit the disk fails: around a frame's header and page, and far behind.
const WITHIN: [u64; 12] = [
    0, 1, 23, 24, 25, 512, 4_095, 4_119, 4_120, 4_121, 6_000, 8_241,
];

fn limit(bytes: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, bytes.min(hard), hard).unwrap();
}

fn log_size(folder: &Path) -> u64 {
    fs::metadata(folder.join("journal.db-wal")).map_or(0, |log| log.len())
}

/// Writes until the disk fails so many bytes further on; what was told is there when it works again.
async fn die(folder: &Path) {
    let journal = Durable::start(place(folder)).unwrap();
    journal.snapshot().await.unwrap();
    let mut no = 1;
    let mut told = Vec::new();
    begin(&journal, no).await;
    told.push(no);
    for within in WITHIN {
        limit(log_size(folder) + within);
        let refused = loop {
            no += 1;
            assert!(no < 10_000, "{within}: nothing fails");
            match journal.accepted(&payment(no)).await {
                Ok(()) => told.push(no),
                Err(refused) => break refused,
            }
        };
        assert_eq!(
            journal.trouble().map(|reason| reason.keyword).as_deref(),
            Some("journal-failed"),
            "{within}: {refused}"
        );
        limit(u64::MAX);
        no += 1;
        journal.accepted(&payment(no)).await.unwrap();
        told.push(no);
        assert_eq!(journal.trouble(), None, "{within}");
        let memory = journal.snapshot().await.unwrap();
        let kept: Vec<_> = memory.unsettled.iter().map(|call| call.no.0).collect();
        assert_eq!(kept, told, "{within}: neither lost nor made up");
    }
    journal.finished(CallNo(1), &paid()).await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_in_the_middle_is_an_answer_and_loses_nothing() {
    if let Some(folder) = std::env::var_os(INSIDE) {
        return die(Path::new(&folder)).await;
    }
    let folder = Folder::new();
    let run = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("journal::tests::io_errors::a_write_that_fails_in_the_middle_is_an_answer_and_loses_nothing")
        .env(INSIDE, folder.0.path())
        .output()
        .unwrap();
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    let (journal, memory) = folder.start().await;
    assert!(memory.unsettled.len() > WITHIN.len());
    let answered = journal.completion(CallNo(1)).await.unwrap().unwrap();
    assert_eq!(receipt(&answered), receipt(&paid()));
}
