//! `kofferctl journal`, on the file of a journal that is in use and of one that is not.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use koffer_gateway::journal::{AcceptedCall, AnswerTo, CallNo, Durable, FILE, Journal as _, Place};
use koffer_proto::{Class, Completion, ContentType, Failure, Lang, Sha256, Status};

use super::*;

/// A journal with a payment that was declined, one that has begun, and one whose outcome is not
/// known.
async fn filled(folder: &Path) -> Durable {
    let place = Place {
        directory: folder.to_owned(),
        calls_kept: 100_000,
        keep: Duration::from_hours(24),
        max_bytes: 64 * 1024 * 1024,
    };
    let journal = Durable::start(place).unwrap();
    journal.snapshot().await.unwrap();
    for (no, id) in [(1, "declined"), (2, "begun"), (3, "unknown")] {
        let at: Timestamp = format!("2026-03-0{no}T08:15:30Z").parse().unwrap();
        let call = AcceptedCall {
            no: CallNo(no),
            client: format!("ws-{no}").parse().unwrap(),
            call: id.parse().unwrap(),
            target: "till".parse().unwrap(),
            operation: Class::Payment.operation("pay").unwrap(),
            digest: Sha256::of(id.as_bytes()),
            answer_to: AnswerTo {
                topic: "koffer/1/case-7/reply/ws-1/till".to_owned(),
                encoding: ContentType::Json,
                lang: Lang::De,
            },
            accepted_at: at,
            deadline: at + Duration::from_mins(1),
        };
        journal.accepted(&call).await.unwrap();
        let device = "ec-terminal".parse().unwrap();
        journal.effects(call.no, &device).started().await.unwrap();
        let failure = match id {
            "declined" => Failure::without_effect(Status::Declined, "Karte gesperrt"),
            "unknown" => Failure::outcome_unknown("Kontakt verloren"),
            _ => continue,
        };
        let completion = Completion::failed(device, failure);
        journal.finished(call.no, &completion).await.unwrap();
    }
    journal
}

/// The ids of the calls that `kofferctl journal` lists with `words`.
async fn listed(folder: &Path, words: &[&str]) -> Vec<String> {
    let file = folder.join(FILE);
    let mut all = vec!["journal", "--json", "--file", file.to_str().unwrap()];
    all.extend(words);
    let told = ended(bare(Path::new("/"), &all)).await;
    assert_eq!(told.code, Some(0), "{words:?}: {}", told.err);
    let calls = told
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    calls
        .map(|call: Value| call["call"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_journal_is_shown_filtered_and_exported_while_it_is_in_use_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let journal = filled(folder.path()).await;
    let folder = folder.path();
    for in_use in [true, false] {
        let cases: [(&[&str], &[&str]); 10] = [
            (&[], &["declined", "begun", "unknown"]),
            (&["--client", "ws-2"], &["begun"]),
            (&["--call", "unknown"], &["unknown"]),
            (&["--open"], &["begun", "unknown"]),
            (&["--unknown"], &["unknown"]),
            (&["--since", "2026-03-02"], &["begun", "unknown"]),
            (
                &["--since", "2026-03-01T08:15:31Z", "--until", "2026-03-03"],
                &["begun"],
            ),
            (
                &["--device", "ec-terminal", "--operation", "pay"],
                &["declined", "begun", "unknown"],
            ),
            (&["--device", "till", "--unknown"], &["unknown"]),
            (&["--operation", "print"], &[]),
        ];
        for (words, wanted) in cases {
            assert_eq!(
                listed(folder, words).await,
                wanted,
                "{words:?}, in use: {in_use}"
            );
        }
        if in_use {
            journal.close().await;
        }
    }

    let file = folder.join(FILE);
    let file = file.to_str().unwrap();
    let table = ended(bare(Path::new("/"), &["journal", "--text", "--file", file])).await;
    assert!(table.out.starts_with("TIME "), "{}", table.out);
    assert!(table.out.contains("declined/none") && table.out.contains("begun, not ended"));
    let words = [
        "journal", "--text", "--lang", "de", "--call", "declined", "--file", file,
    ];
    let detail = ended(bare(Path::new("/"), &words)).await;
    assert!(
        detail.out.contains("message: Karte gesperrt"),
        "{}",
        detail.out
    );
    let csv = ended(bare(Path::new("/"), &["journal", "--csv", "--file", file])).await;
    let lines: Vec<_> = csv.out.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("no,client,call,target,device,"));
    assert!(lines[3].starts_with("3,ws-3,unknown,till,ec-terminal,payment,pay,"));
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_what_is_in_order_is_not_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join(FILE);
    let words = [
        "journal",
        "--lang",
        "de",
        "--file",
        missing.to_str().unwrap(),
    ];
    let told = ended(bare(Path::new("/"), &words)).await;
    assert_eq!(told.code, Some(7));
    assert!(told.err.contains("gibt es nicht"), "{}", told.err);

    let journal = filled(folder.path()).await;
    let words = [
        "journal",
        "--set-aside",
        "--file",
        missing.to_str().unwrap(),
    ];
    let told = ended(bare(Path::new("/"), &words)).await;
    assert_eq!(told.code, Some(7), "it is in use: {}", told.err);
    journal.close().await;
    let told = ended(bare(Path::new("/"), &words)).await;
    assert_eq!(told.code, Some(0));
    assert!(told.err.contains("is sound"), "{}", told.err);

    std::fs::write(&missing, b"no database at all ".repeat(500)).unwrap();
    let told = ended(bare(
        Path::new("/"),
        &words[..1]
            .iter()
            .chain(&words[2..])
            .copied()
            .collect::<Vec<_>>(),
    ))
    .await;
    assert_eq!(told.code, Some(7));
    assert!(told.err.contains("damaged"), "{}", told.err);
    let told = ended(bare(Path::new("/"), &words)).await;
    assert_eq!(told.code, Some(0));
    assert!(told.err.contains("journal.damaged-"), "{}", told.err);
    assert!(!missing.exists());
}
