//! The journal as an office sees it: what a payment leaves there, and what happens without one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

use std::{fs, path::Path};

use koffer_fixtures::zvt::Event;
use koffer_gateway::journal::{
    FILE, Trouble,
    audit::{Audit, Filter, JournalCall, JournalStep},
};
use koffer_tests::office::{Broker, Office, quick_tcp};
use serde_json::{Value, json};

fn payment() -> Value {
    json!({"amount": {"cents": 3780, "currency": "EUR"}})
}

/// Everything in the journal, read while the gateway has it.
fn journal(office: &Office) -> Vec<(JournalCall, Vec<JournalStep>)> {
    #[derive(Debug)]
    struct Stopped;
    impl From<Trouble> for Stopped {
        fn from(trouble: Trouble) -> Self {
            panic!("{}", trouble.text().en)
        }
    }
    let audit = Audit::open(&office.folder().join(FILE)).unwrap_or_else(|trouble| {
        panic!("{}", trouble.text().en);
    });
    let mut calls = Vec::new();
    audit
        .calls(&Filter::default(), |call| {
            let steps = audit.steps(&call).map_err(Stopped::from)?;
            calls.push((call, steps));
            Ok::<_, Stopped>(())
        })
        .unwrap();
    calls
}

#[tokio::test]
async fn a_payment_is_on_record_step_by_step_and_numbers_go_on_after_a_restart() {
    let mut office = Office::open(Broker::Embedded, &["ec-terminal"], quick_tcp).await;
    let app = office.workstation("ws-1").await;
    app.until_state("ec-terminal", &["ready"]).await;
    let paid = app.ask("any-till", "pay", &payment(), 60).await;
    assert_eq!(paid["status"], "ok", "{paid}");
    let looked = app.ask("ec-terminal", "status", &json!({}), 60).await;
    assert_eq!(looked["status"], "ok");

    let calls = journal(&office);
    let [(call, steps)] = &calls[..] else {
        panic!("a look at the terminal is on record: {calls:?}");
    };
    let told: Vec<_> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(told, ["armed", "started", "milestone", "finished"]);
    assert_eq!(
        (call.target.as_str(), call.device.as_deref()),
        ("any-till", Some("ec-terminal"))
    );
    assert_eq!(
        (call.status.as_deref(), call.effect.as_deref()),
        (Some("ok"), Some("done"))
    );
    assert_eq!(steps[3].content.as_ref(), Some(&paid), "as it was answered");
    let times: Vec<_> = steps.iter().map(|step| step.at).collect();
    assert!(
        times.is_sorted() && call.accepted_at <= times[0],
        "{times:?}"
    );

    drop(app);
    office.restart().await;
    let app = office.workstation("ws-2").await;
    app.until_state("ec-terminal", &["ready"]).await;
    let paid = app.ask("ec-terminal", "pay", &payment(), 60).await;
    assert_eq!(paid["status"], "ok", "{paid}");
    let calls = journal(&office);
    assert_eq!(calls.len(), 2);
    assert!(calls[1].0.no > calls[0].0.no);
    office.close().await;
}

#[tokio::test]
async fn without_a_journal_the_gateway_serves_what_has_no_effect_and_says_why_nothing_else() {
    let no_journal = b"no database at all ".repeat(500);
    let damaged = no_journal.clone();
    let office = Office::open(
        Broker::Embedded,
        &["ec-terminal"],
        move |device, ledger: &Path| {
            fs::write(ledger.with_file_name(FILE), &damaged).unwrap();
            quick_tcp(device, ledger)
        },
    )
    .await;
    let app = office.workstation("ws-1").await;
    app.until_state("ec-terminal", &["ready"]).await;
    let refused = app.ask("ec-terminal", "pay", &payment(), 60).await;
    assert_eq!(
        (&refused["status"], &refused["effect"]),
        (&json!("unavailable"), &json!("none"))
    );
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("--set-aside"), "the remedy: {message}");
    let looked = app.ask("ec-terminal", "status", &json!({}), 60).await;
    assert_eq!(looked["status"], "ok", "{looked}");
    let technician = office.workstation("tech-1").await;
    let diagnosis = technician.ask("gateway", "diagnose", &json!({}), 60).await;
    let health = &diagnosis["result"]["health"];
    assert_eq!(
        health["journal_reason"]["keyword"], "journal-damaged",
        "{diagnosis}"
    );
    assert_eq!(health.get("journal_bytes"), None);

    let ledger = office
        .terminal("ec-terminal")
        .control
        .ledger()
        .await
        .unwrap();
    assert_eq!(ledger.list(Event::Booked).len(), 0);
    let file = office.folder().join(FILE);
    assert_eq!(fs::read(file).unwrap(), no_journal, "left as it is");
    office.close().await;
}
