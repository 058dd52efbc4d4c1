//! `kofferctl device`: everything of one device.

use koffer_proto::{Capabilities, Class, Connection, Description, Identity, OperationDescription};
use serde_json::{Value, json};

use super::office;
use super::scripted::{Gateway, Running, STARTED, bare, ended, kofferctl};
use koffer_tests::office::{BROKERS, Office, quick_tcp};

const UNTIL: &str = "2026-03-02T08:20:00Z";

/// A case with a printer that serves a role, one that stands in for it, and a terminal.
async fn furnish(gateway: &Gateway) {
    let printer = Description {
        class: Class::DocumentPrinter,
        driver: "ipp".to_owned(),
        identity: Identity {
            vendor: Some("KYOCERA".to_owned()),
            model: Some("P2040dn".to_owned()),
            serial: Some("VCF1234567".to_owned()),
            firmware: Some("2S5_2000".to_owned()),
        },
        connection: Connection::Url {
            url: "ipp://192.0.2.20/ipp/print".to_owned(),
        },
        operations: Class::DocumentPrinter
            .own_operations()
            .iter()
            .map(|spec| (spec.name.to_owned(), OperationDescription::from(spec)))
            .collect(),
        capabilities: serde_json::from_value::<Capabilities>(json!({"document-printer": {
            "formats": ["application/pdf", "image/jpeg"], "media": [], "sides": ["one-sided"],
            "copies_max": 99, "colour": false}}))
        .ok(),
        roles: std::collections::BTreeMap::new(),
    };
    let printer = serde_json::to_value(printer).unwrap();
    let roles = json!({"forms-printer": {"devices": ["a4-1", "a4-2"], "serves": "a4-1"}});
    let health = json!({"devices": {"a4-1": {"state": "degraded", "queued": 2, "restarts": 1,
        "completed": {"ok": 11, "device-fault": 2},
        "self_test": {"at": STARTED, "outcome": "passed", "level": "internal"}}}});
    let state = json!({"state": "degraded", "since": STARTED, "generation": 1, "reasons": [
        {"keyword": "toner-low", "text": {"de": "Toner bestellen.", "en": "Order toner."}},
        {"keyword": "media-low", "text": {"de": "Papier nachlegen.", "en": "Add paper."}}]});
    for (path, value) in [
        ("dev/a4-1", &printer),
        ("dev/a4-1/state", &state),
        ("dev/a4-2", &json!({"class": "document-printer"})),
        ("dev/ec-terminal", &json!({"class": "payment"})),
        ("dev/gateway", &json!({"class": "gateway", "roles": roles})),
        ("health", &health),
    ] {
        gateway.retain(path, value).await;
    }
}

fn listed() -> Value {
    let call = |device: &str, id: &str| {
        json!({"client": "ws-1", "call": id, "device": device, "operation": "print",
            "phase": "running", "deadline": UNTIL})
    };
    json!({"status": "ok", "result": {
        "calls": [call("a4-1", "c1"), call("a4-2", "c2")],
        "unresolved": [{"client": "ws-2", "call": "u1", "device": "a4-1", "operation": "print",
            "accepted_at": STARTED, "reason": {"keyword": "job-unknown", "text":
                {"de": "Im Fach nachsehen.", "en": "Look at the tray."}}}],
        "claims": [{"device": "a4-1", "client": "ws-3", "until": UNTIL},
            {"device": "ec-terminal", "client": "ws-4", "until": UNTIL}],
    }})
}

#[tokio::test]
async fn a_device_is_shown_with_all_that_is_known_of_it() {
    let (broker, mut gateway, home) = office().await;
    furnish(&gateway).await;
    let mut shown = Vec::new();
    // A role stands for the device that serves it.
    for (name, lang) in [("a4-1", "en"), ("forms-printer", "de")] {
        let words = ["device", name, "--text", "--lang", lang];
        let running = Running::start(kofferctl(&broker, home.path(), &words));
        let call = gateway.call().await;
        assert_eq!(call.what(), "gateway/calls");
        gateway.complete(&call, &listed()).await;
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        shown.push(ended.out);
    }
    assert_eq!(
        shown[0],
        "\
Device        a4-1
Class         document-printer
Driver        ipp
Address       ipp://192.0.2.20/ipp/print
Vendor        KYOCERA
Model         P2040dn
Serial        VCF1234567
Firmware      2S5_2000
State         degraded since 2026-03-02 08:00:00
Reason        toner-low: Order toner.
              media-low: Add paper.
Capabilities  colour: no
              copies_max: 99
              formats: application/pdf, image/jpeg
              sides: one-sided
Operations    jobs, print, status
Roles         forms-printer: served by this device; stands in for it: a4-2
Claim         ws-3 until 2026-03-02 08:20:00
Queue         2 waiting
Counters      device-fault: 2
              ok: 11
              driver restarts: 1
Self-test     passed at level internal, 2026-03-02 08:00:00

CLIENT  CALL  DEVICE  OPERATION  PHASE    DEADLINE
ws-1    c1    a4-1    print      running  2026-03-02 08:20:00

CLIENT  CALL  DEVICE  OPERATION  ACCEPTED             OUTCOME UNKNOWN BECAUSE
ws-2    u1    a4-1    print      2026-03-02 08:00:00  Look at the tray.
"
    );
    for words in [
        "Gerät             a4-1\n",
        "Adresse           ipp://192.0.2.20/ipp/print\n",
        "Zustand           eingeschränkt seit 2026-03-02 08:00:00\n",
        "Grund             toner-low: Toner bestellen.\n",
        "Reservierung      ws-3 bis 2026-03-02 08:20:00\n",
        "Selbsttest        bestanden (intern, 2026-03-02 08:00:00)\n",
        "Im Fach nachsehen.",
    ] {
        assert!(shown[1].contains(words), "{words}: {}", shown[1]);
    }
}

#[tokio::test]
async fn a_script_gets_the_documents_of_one_device_as_they_are() {
    let (broker, mut gateway, home) = office().await;
    furnish(&gateway).await;
    let running = Running::start(kofferctl(&broker, home.path(), &["device", "a4-1"]));
    let call = gateway.call().await;
    gateway.complete(&call, &listed()).await;
    let ended = running.ended().await;
    let [shown] = &ended.lines()[..] else {
        panic!("{ended:?}");
    };
    assert_eq!(
        (&shown["kind"], &shown["device"]),
        (&json!("device"), &json!("a4-1"))
    );
    assert_eq!(shown["address"], "ipp://192.0.2.20/ipp/print");
    assert_eq!(shown["description"]["firmware"], "2S5_2000");
    assert_eq!(shown["state"]["reasons"][1]["keyword"], "media-low");
    assert_eq!(shown["roles"]["forms-printer"]["serves"], "a4-1");
    assert_eq!(shown["health"]["completed"]["ok"], 11);
    let result = &listed()["result"];
    for field in ["calls", "unresolved", "claims"] {
        assert_eq!(shown[field], json!([result[field][0]]), "{field}");
    }
}

#[tokio::test]
async fn a_name_that_there_is_not_is_told_with_those_that_there_are() {
    let (broker, mut gateway, home) = office().await;
    furnish(&gateway).await;
    let told = ended(kofferctl(&broker, home.path(), &["device", "a4-3"])).await;
    assert_eq!(told.code, Some(13), "{told:?}");
    let names = "a4-1, a4-2, ec-terminal, gateway, forms-printer";
    assert!(told.err.contains(names), "{}", told.err);
    assert!(!gateway.has_call());
}

#[tokio::test]
async fn who_may_not_ask_or_finds_the_gateway_offline_sees_what_is_retained() {
    let (broker, mut gateway, home) = office().await;
    furnish(&gateway).await;
    let words = ["device", "a4-1", "--text"];
    let running = Running::start(kofferctl(&broker, home.path(), &words));
    let call = gateway.call().await;
    let denied = json!({"status": "denied", "effect": "none", "message": "Not yours."});
    gateway.complete(&call, &denied).await;
    let ended_ = running.ended().await;
    assert_eq!(ended_.code, Some(0), "{ended_:?}");
    assert!(
        ended_.err.contains("are missing here: Not yours."),
        "{ended_:?}"
    );
    assert!(ended_.out.contains("Queue         2 waiting"), "{ended_:?}");
    assert!(!ended_.out.contains("Claim"), "{ended_:?}");
    gateway.status("offline", STARTED).await;
    let offline = ended(kofferctl(&broker, home.path(), &words)).await;
    assert_eq!(offline.code, Some(5), "{offline:?}");
    assert!(offline.out.starts_with("Device        a4-1"), "{offline:?}");
    assert_eq!(offline.err.matches("the last known state").count(), 1);
    assert!(!gateway.has_call());
}

#[tokio::test]
async fn a_real_gateway_is_asked_and_a_monitor_sees_what_is_retained() {
    for broker in BROKERS {
        let office = Office::open(broker, &["ec-terminal"], quick_tcp).await;
        let technician = office.workstation("tech-1").await;
        technician.until_state("ec-terminal", &["ready"]).await;
        let home = tempfile::tempdir().unwrap();
        let as_user = |user: &str, password: &str, words: &[&str]| {
            let mut command = bare(home.path(), words);
            command
                .args(["--address", &format!("127.0.0.1:{}", office.port())])
                .args(["--gateway", "case-7", "--lang", "en", "--user", user])
                .env("KOFFERCTL_PASSWORD", password);
            command
        };
        let claimed = ["claim", "ec-terminal"];
        let claimed = ended(as_user("ws-1", "secret-1", &claimed)).await;
        assert_eq!(claimed.code, Some(0), "{claimed:?}");
        let tested = ["self-test", "ec-terminal", "--text"];
        let tested = ended(as_user("tech-1", "secret-t", &tested)).await;
        assert_eq!(tested.code, Some(16), "{tested:?}");

        let device = ["device", "ec-terminal"];
        let shown = ended(as_user("tech-1", "secret-t", &device)).await;
        let page = shown.lines().pop().unwrap();
        assert_eq!(page["claims"][0]["client"], "ws-1", "{shown:?}");
        assert_eq!(page["state"]["state"], "claimed", "{shown:?}");
        let address = page["address"].as_str().unwrap_or_default();
        assert!(address.starts_with("127.0.0.1:"), "{shown:?}");

        let shown = ended(as_user("monitor", "secret-m", &device)).await;
        let page = shown.lines().pop().unwrap();
        assert_eq!(page["state"]["state"], "claimed", "{shown:?}");
        assert_eq!(page.get("claims"), None, "{shown:?}");
        assert!(shown.err.contains("are missing here"), "{shown:?}");
        office.close().await;
    }
}

#[tokio::test]
async fn a_self_test_of_a_real_terminal_says_how_long_what_and_where() {
    let office = Office::open(BROKERS[0], &["ec-terminal"], quick_tcp).await;
    let technician = office.workstation("tech-1").await;
    technician.until_state("ec-terminal", &["ready"]).await;
    let home = tempfile::tempdir().unwrap();
    for (level, code, words) in [
        (
            "internal",
            0,
            &["Address   127.0.0.1:", " ms  ", "Self-test passed."][..],
        ),
        ("external", 0, &["host ", "Self-test passed."]),
        (
            "interactive",
            9,
            &["card ", "skipped", "Nothing was tested"],
        ),
    ] {
        let mut command = bare(home.path(), &["self-test", "ec-terminal", level, "--text"]);
        command
            .args(["--address", &format!("127.0.0.1:{}", office.port())])
            .args(["--gateway", "case-7", "--lang", "en", "--user", "tech-1"])
            .env("KOFFERCTL_PASSWORD", "secret-t");
        let shown = ended(command).await;
        assert_eq!(shown.code, Some(code), "{shown:?}");
        for word in words {
            assert!(shown.out.contains(word), "{word}: {}", shown.out);
        }
    }
    office.close().await;
}
