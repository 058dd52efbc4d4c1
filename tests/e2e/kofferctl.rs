//! kofferctl as a process, against a scripted gateway on real brokers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

mod device;
mod finding;
mod journal;
mod payment;
mod scripted;

use koffer_gateway::bus::Message;
use koffer_proto::class::document_printer;
use koffer_proto::{Class, ContentType, Request};
use koffer_tests::brokers::{Broker, ROOT};
use scripted::{Ended, Gateway, Running, STARTED, bare, ended, kofferctl};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const PAY: [&str; 3] = ["pay", "ec-terminal", "37,80"];

async fn office() -> (Broker, Gateway, TempDir) {
    let broker = Broker::mosquitto();
    let gateway = Gateway::online(&broker).await;
    (broker, gateway, tempfile::tempdir().unwrap())
}

fn receipt(copy: &str) -> Value {
    json!({"copy": copy, "lines": [{"text": "Beispielstadt", "align": "centre"}]})
}

fn paid() -> Value {
    json!({"status": "ok", "device": "ec-terminal", "result": {
        "receipt": 231, "trace": 1077, "terminal": "68000123",
        "amount": {"cents": 3780, "currency": "EUR"}, "recovered": false,
        "receipts": [receipt("customer"), receipt("merchant")],
    }})
}

#[tokio::test]
async fn devices_are_listed_from_what_is_retained() {
    let (broker, gateway, home) = office().await;
    let state = json!({"state": "fault", "since": STARTED, "generation": 1, "reasons": [
        {"keyword": "offline", "text": {"de": "Kein Kontakt.", "en": "No contact."}}]});
    gateway.retain("dev/ec-terminal/state", &state).await;
    let description = json!({"class": "payment", "driver": "zvt", "model": "T1",
        "connection": {"kind": "tcp", "address": "192.0.2.7:20007"}});
    gateway.retain("dev/ec-terminal", &description).await;
    let json = ended(kofferctl(&broker, home.path(), &["devices"])).await;
    assert_eq!(json.code, Some(0), "{json:?}");
    assert_eq!(
        json.lines(),
        [json!({
            "kind": "device", "device": "ec-terminal", "address": "192.0.2.7:20007",
            "state": state, "description": description,
        })]
    );
    let text = ended(kofferctl(&broker, home.path(), &["devices", "--text"])).await;
    assert_eq!(
        text.out,
        "DEVICE       CLASS    STATE  SINCE                MODEL  ADDRESS          REASON\n\
         ec-terminal  payment  fault  2026-03-02 08:00:00  T1     192.0.2.7:20007  No contact.\n"
    );
    gateway.status("offline", STARTED).await;
    let offline = ended(kofferctl(&broker, home.path(), &["devices"])).await;
    assert_eq!((offline.code, offline.lines().len()), (Some(5), 1));
}

#[tokio::test]
async fn who_reads_no_further_hears_no_complaint() {
    let (broker, gateway, home) = office().await;
    let state = json!({"state": "ready", "since": STARTED, "generation": 1, "reasons": []});
    gateway.retain("dev/ec-terminal/state", &state).await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = kofferctl(&broker, home.path(), &["devices"]);
    let child = command.stdout(writer).spawn().unwrap();
    drop(command);
    let ended = Ended::from(child.wait_with_output().await.unwrap());
    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""));
}

#[tokio::test]
async fn watch_follows_one_device_until_ctrl_c() {
    let (broker, gateway, home) = office().await;
    let mut running = Running::start(kofferctl(&broker, home.path(), &["watch", "ec"]));
    let status: Value = serde_json::from_str(&running.line().await).unwrap();
    assert_eq!(
        (&status["kind"], &status["status"]),
        (&json!("status"), &json!("online"))
    );
    gateway
        .retain("dev/other/state", &json!({"state": "ready"}))
        .await;
    gateway
        .retain("dev/ec/state", &json!({"state": "busy"}))
        .await;
    let event = json!({"at": STARTED, "generation": 1, "event": "card-inserted"});
    gateway
        .say(Message::new(
            format!("{ROOT}/dev/ec/event/card-inserted"),
            event.to_string(),
        ))
        .await;
    let state: Value = serde_json::from_str(&running.line().await).unwrap();
    assert_eq!(
        state,
        json!({"kind": "state", "device": "ec", "state": "busy"})
    );
    let event: Value = serde_json::from_str(&running.line().await).unwrap();
    assert_eq!(
        (&event["kind"], &event["event"]),
        (&json!("event"), &json!("card-inserted"))
    );
    running.interrupt();
    assert_eq!(running.ended().await.code, Some(0));
}

#[tokio::test]
async fn what_waits_is_shown_and_what_a_person_saw_is_sent() {
    let waits = |call: &str| {
        json!({"client": "ws-1", "call": call, "device": "ec-terminal", "operation": "pay",
            "accepted_at": "2026-03-02T08:15:30Z", "reason": {"keyword": "receipt-unclear",
            "text": {"de": "Beleg 231 ansehen.", "en": "Look at receipt 231."}}})
    };
    let listed = |calls: &[&str]| {
        let unresolved: Vec<_> = calls.iter().map(|call| waits(call)).collect();
        json!({"status": "ok", "result": {"calls": [], "unresolved": unresolved}})
    };
    let (broker, mut gateway, home) = office().await;
    let running = Running::start(kofferctl(&broker, home.path(), &["--text", "calls"]));
    let call = gateway.call().await;
    gateway.complete(&call, &listed(&["a"])).await;
    let shown = running.ended().await;
    assert!(shown.out.contains("Look at receipt 231."), "{shown:?}");
    assert!(!shown.out.contains("No calls queued"), "{shown:?}");

    let words = [
        "--text",
        "resolve",
        "b",
        "--finding",
        "not-done",
        "--saw",
        "No receipt 232.",
    ];
    let running = Running::start(kofferctl(&broker, home.path(), &words));
    let call = gateway.call().await;
    assert_eq!(call.what(), "gateway/calls");
    gateway.complete(&call, &listed(&["a", "b"])).await;
    let call = gateway.call().await;
    assert_eq!(call.what(), "gateway/resolve");
    let said = json!({"client": "ws-1", "call": "b", "finding": "not-done",
        "observation": "No receipt 232."});
    assert_eq!(call.params(), said);
    let at = json!({"at": "2026-03-02T08:20:00Z", "device": "ec-terminal"});
    gateway
        .complete(&call, &json!({"status": "ok", "result": at}))
        .await;
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("Look at receipt 231."), "{ended:?}");

    // Where nobody can be asked, what is missing is told, and nothing is sent.
    for (words, calls, told) in [
        (&["--text", "resolve"][..], &["a", "b"][..], "ws-1, call b"),
        (&["--text", "resolve", "a"], &["a"], "--finding"),
        (
            &["--text", "resolve", "other"],
            &["a"],
            "No call is waiting",
        ),
    ] {
        let running = Running::start(kofferctl(&broker, home.path(), words));
        let call = gateway.call().await;
        gateway.complete(&call, &listed(calls)).await;
        let ended = running.ended().await;
        let all = format!("{}{}", ended.out, ended.err);
        assert!(all.contains(told), "{words:?}: {all}");
        assert!(!gateway.has_call(), "{words:?}");
    }
}

#[tokio::test]
async fn parameters_come_from_a_file_and_go_as_cbor() {
    let (broker, mut gateway, home) = office().await;
    let file = home.path().join("job.json");
    std::fs::write(&file, r#"{"copies": 2}"#).unwrap();
    let params = format!("@{}", file.display());
    let words = ["call", "forms-printer", "print", &params, "--cbor"];
    let running = Running::start(kofferctl(&broker, home.path(), &words));
    let call = gateway.call().await;
    assert_eq!(call.what(), "forms-printer/print");
    assert_eq!(&call.message.payload[..], b"\xa1fcopies\x02");
    gateway
        .complete(&call, &json!({"status": "ok", "result": {"sheets": 2}}))
        .await;
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0));
    let expected = json!({"kind": "completion", "status": "ok", "result": {"sheets": 2}});
    assert_eq!(ended.lines(), [expected]);
}

#[tokio::test]
async fn a_document_is_printed_and_its_sheets_are_told_as_they_come() {
    let (broker, mut gateway, home) = office().await;
    let form = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hw-fixtures/documents/anschrift.pdf");
    // By its content, not by its name.
    let file = home.path().join("form.txt");
    std::fs::copy(&form, &file).unwrap();
    let file = file.display().to_string();
    let words = ["print", "forms-printer", &file, "--copies", "2", "--text"];
    let running = Running::start(kofferctl(&broker, home.path(), &words));
    let call = gateway.call().await;
    assert_eq!(call.what(), "forms-printer/print");
    let request = Request::decode(
        Class::DocumentPrinter,
        "print",
        ContentType::Cbor,
        &call.message.payload,
    );
    let Ok(Request::DocumentPrinter(document_printer::Request::Print(params))) = request else {
        panic!("{request:?}");
    };
    assert!(params.document.content.as_bytes() == std::fs::read(&form).unwrap());
    assert_eq!(params.document.sha256, params.document.content.sha256());
    for sheets in 1..=2 {
        let told = json!({"seq": sheets, "event": "sheets-completed", "sheets": sheets});
        gateway.progress(&call, &told).await;
    }
    let printed = json!({"status": "ok", "device": "forms-printer-2", "result":
        {"job": 1, "sheets": 2, "proof": "ipp-completed"}});
    gateway.complete(&call, &printed).await;
    let ended = running.ended().await;
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (
            Some(0),
            "· sheets printed: 1\n· sheets printed: 2\nPrinted on forms-printer-2, sheets: 2.\n"
        )
    );
}

#[tokio::test]
async fn what_a_card_holds_goes_to_a_file_for_its_owner_alone_and_only_if_its_digest_is_right() {
    let (broker, mut gateway, home) = office().await;
    let file = home.path().join("address.bin");
    let to = file.display().to_string();
    let words = ["card", "card-1", "read", "--path", "3f00/0101", "--to", &to];
    let good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let bad = good.replace('b', "c");
    for (digest, code) in [(bad.as_str(), Some(1)), (good, Some(0))] {
        let running = Running::start(kofferctl(&broker, home.path(), &words));
        let call = gateway.call().await;
        assert_eq!(call.what(), "card-1/read");
        assert_eq!(call.params(), json!({"file": {"path": "3f00/0101"}}));
        let read = json!({"status": "ok", "device": "card-1", "result":
            {"content": "YWJj", "sha256": digest}});
        gateway.complete(&call, &read).await;
        let ended = running.ended().await;
        assert_eq!(ended.code, code, "{ended:?}");
        assert_eq!(file.exists(), code == Some(0));
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"abc");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_configuration_file_says_where_and_who() {
    let (broker, mut gateway, home) = office().await;
    let password = home.path().join("password");
    std::fs::write(&password, "secret-one\n").unwrap();
    std::fs::create_dir(home.path().join(".config")).unwrap();
    let content = format!(
        "address = \"127.0.0.1:{}\"\ngateway = \"case-7\"\nuser = \"ws-1\"\nlang = \"de\"\n\
         password_file = \"{}\"\n",
        broker.port(),
        password.display()
    );
    std::fs::write(home.path().join(".config/kofferctl.toml"), content).unwrap();
    let running = Running::start(bare(home.path(), &["release", "card-1", "t0ken", "--text"]));
    let call = gateway.call().await;
    assert_eq!(call.user("claim"), Some("t0ken"));
    gateway
        .complete(&call, &json!({"status": "ok", "result": {}}))
        .await;
    let ended = running.ended().await;
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "Die Reservierung ist aufgehoben.\n")
    );
    assert!(ended.err.contains("chmod 600"), "{}", ended.err);
}

#[tokio::test]
async fn the_help_has_examples_and_exit_codes_and_needs_no_broker() {
    let help = ended(bare(Path::new("/"), &["--help"])).await;
    assert_eq!(help.code, Some(0));
    for words in [
        "kofferctl pay ec-terminal 37.80",
        "KOFFERCTL_PASSWORD",
        "30  outcome-unknown",
        "end-of-day",
        "completions",
    ] {
        assert!(help.out.contains(words), "{words}: {}", help.out);
    }
    let bash = ended(bare(Path::new("/"), &["completions", "bash"])).await;
    assert_eq!(bash.code, Some(0));
    assert!(bash.out.contains("_kofferctl") && bash.out.contains("end-of-day"));
}

#[tokio::test]
async fn mistakes_on_the_command_line_are_told_before_anything_is_sent() {
    let home = tempfile::tempdir().unwrap();
    for (words, told) in [
        (&["pay", "ec", "37.805"][..], "two decimals"),
        (&["pay", "EC", "1"], "EC"),
        (&["pay", "ec", "1"], "--user"),
        (&["call", "ec", "pay", "{", "--user", "ws-1"], "JSON"),
        (
            &["claim", "ec", "--lease", "2h", "--user", "ws-1"],
            "--lease",
        ),
        (&["calls", "--address", "mqtt://x"], "host:port"),
        (
            &["calls", "--user", "ws-1", "--password-file", "/nowhere"],
            "/nowhere",
        ),
        (&["calls", "--config", "/nowhere.toml"], "/nowhere.toml"),
    ] {
        let ended = ended(bare(home.path(), words)).await;
        assert_eq!(ended.code, Some(2), "{words:?}: {ended:?}");
        assert!(ended.err.contains(told), "{words:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{words:?}");
    }
}
