//! One payment from the command line: what is asked and told, and how its outcome is learnt whatever
//! happens meanwhile.

use koffer_proto::Status;

use super::*;

#[tokio::test]
async fn a_payment_is_the_call_of_the_contract_and_its_answers_are_passed_on_as_they_are() {
    let (broker, mut gateway, home) = office().await;
    let more = ["--reference", "PA-1", "--claim", "t0ken", "--call", "my-id"];
    let command = kofferctl(&broker, home.path(), &[&PAY[..], &more].concat());
    let running = Running::start(command);
    let call = gateway.call().await;
    assert_eq!(
        call.message.topic,
        format!("{ROOT}/call/ws-1/ec-terminal/pay")
    );
    assert_eq!(
        call.params(),
        json!({"amount": {"cents": 3780, "currency": "EUR"}, "reference": "PA-1"})
    );
    assert_eq!(call.id(), "my-id");
    assert_eq!(
        (call.user("lang"), call.user("claim")),
        (Some("en"), Some("t0ken"))
    );
    let properties = &call.message.properties;
    assert!(
        properties
            .message_expiry
            .is_some_and(|s| (590..=600).contains(&s))
    );
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    assert!(!call.message.retain);

    let text = json!({"seq": 1, "event": "terminal-text", "code": "insert-card", "text": "…"});
    let strange = json!({"seq": 2, "event": "from-version-1-1", "x": [1]});
    gateway.progress(&call, &text).await;
    gateway.progress(&call, &strange).await;
    gateway.complete(&call, &paid()).await;
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected: Vec<_> = [
        ("progress", text),
        ("progress", strange),
        ("completion", paid()),
    ]
    .into_iter()
    .map(|(kind, mut value)| {
        value["kind"] = kind.into();
        value
    })
    .collect();
    assert_eq!(ended.lines(), expected);
    assert!(ended.err.starts_with("Call my-id"), "{}", ended.err);
}

#[tokio::test]
async fn people_see_progress_each_receipt_once_and_whether_money_moved() {
    let (broker, mut gateway, home) = office().await;
    let command = kofferctl(
        &broker,
        home.path(),
        &[&PAY[..], &["--text", "--lang", "de"]].concat(),
    );
    let running = Running::start(command);
    let call = gateway.call().await;
    assert_eq!(call.user("lang"), Some("de"));
    let text = json!({"seq": 1, "event": "terminal-text", "text": "Karte \u{1b}einstecken"});
    gateway.progress(&call, &text).await;
    let drawn = json!({"seq": 2, "event": "receipt", "receipt": receipt("merchant")});
    gateway.progress(&call, &drawn).await;
    gateway.complete(&call, &paid()).await;
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.out,
        "\
· Karte \u{fffd}einstecken
┌─ Händlerbeleg ───────────┐
│      Beispielstadt       │
└──────────────────────────┘
┌─ Kundenbeleg ────────────┐
│      Beispielstadt       │
└──────────────────────────┘
Betrag       37,80 EUR
Beleg        231
Trace-Nr.    1077
Terminal-ID  68000123
Bezahlt: 37,80 EUR, Beleg 231. Zahlung gebucht.
"
    );
}

#[tokio::test]
async fn every_status_has_its_exit_code_also_one_of_a_later_version() {
    let (broker, mut gateway, home) = office().await;
    let codes = [0, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 30];
    let known = Status::ALL.map(Status::as_str).into_iter().zip(codes);
    for (status, code) in known.chain([("from-version-2", 31)]) {
        let command = kofferctl(&broker, home.path(), &["end-of-day", "ec-terminal"]);
        let running = Running::start(command);
        let call = gateway.call().await;
        let completion = json!({"status": status, "effect": "none", "new": {}, "result": {}});
        gateway.complete(&call, &completion).await;
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(code), "{status}: {ended:?}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_loud_even_where_stdout_is_for_a_program() {
    let (broker, mut gateway, home) = office().await;
    let running = Running::start(kofferctl(&broker, home.path(), &PAY));
    let call = gateway.call().await;
    let unknown = json!({"status": "outcome-unknown", "effect": "unknown", "message": "Lost."});
    gateway.complete(&call, &unknown).await;
    let ended = running.ended().await;
    assert_eq!((ended.code, ended.lines().len()), (Some(30), 1));
    assert!(ended.err.contains("DO NOT REPEAT"), "{}", ended.err);
    assert!(ended.err.contains("resolve"), "{}", ended.err);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_counts_as_unknown() {
    let (broker, mut gateway, home) = office().await;
    let running = Running::start(kofferctl(&broker, home.path(), &PAY));
    let call = gateway.call().await;
    gateway.complete(&call, &json!(["no", "object"])).await;
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(31), "{ended:?}");
    assert!(ended.err.contains("NOT KNOWN"), "{}", ended.err);
}

#[tokio::test]
async fn ctrl_c_cancels_and_waits_for_the_outcome() {
    let (broker, mut gateway, home) = office().await;
    let mut running = Running::start(kofferctl(&broker, home.path(), &PAY));
    let call = gateway.call().await;
    running.interrupt();
    let cancel = gateway.call().await;
    assert_eq!(cancel.what(), "gateway/cancel");
    assert_eq!(cancel.params(), json!({"call": call.id()}));
    gateway
        .complete(
            &cancel,
            &json!({"status": "ok", "result": {"verdict": "too-late"}}),
        )
        .await;
    running.says("too late").await;
    gateway.complete(&call, &paid()).await;
    assert_eq!(running.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_second_ctrl_c_leaves_and_says_how_to_ask_again() {
    let (broker, mut gateway, home) = office().await;
    let mut running = Running::start(kofferctl(&broker, home.path(), &PAY));
    let call = gateway.call().await;
    running.interrupt();
    running.says("waiting for the outcome").await;
    gateway.call().await;
    running.interrupt();
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(130));
    assert!(
        ended.err.contains(&format!("--call {}", call.id())),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn without_a_completion_the_outcome_is_unknown_and_the_call_id_is_told() {
    let (broker, mut gateway, home) = office().await;
    let patience = ["--timeout", "1s", "--grace", "1s"];
    let command = kofferctl(&broker, home.path(), &[&PAY[..], &patience].concat());
    let running = Running::start(command);
    let call = gateway.call().await;
    assert_eq!(call.message.properties.message_expiry, Some(1));
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(6));
    assert!(ended.err.contains("NOT KNOWN"), "{}", ended.err);
    assert!(
        ended.err.contains(&format!("--call {}", call.id())),
        "{}",
        ended.err
    );
    assert_eq!(ended.out, "");
}

#[tokio::test]
async fn a_lost_broker_is_outlived_and_the_same_call_asked_again() {
    let (mut broker, mut gateway, home) = office().await;
    let mut running = Running::start(kofferctl(&broker, home.path(), &PAY));
    let first = gateway.call().await;
    let Broker::Mosquitto(mosquitto) = &mut broker else {
        panic!("office has mosquitto");
    };
    mosquitto.kill();
    running.says("Lost the connection").await;
    mosquitto.restart();
    gateway.connected().await;
    running.says("is back").await;
    gateway.status("online", STARTED).await;
    running.says("Sending the same call again").await;
    let second = gateway.call().await;
    assert_eq!(first.id(), second.id());
    assert_eq!(first.message.payload, second.message.payload);
    gateway.complete(&second, &paid()).await;
    assert_eq!(running.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_payment_is_not_sent_again_to_a_gateway_that_may_have_forgotten_it() {
    let (broker, mut gateway, home) = office().await;
    let patience = ["--timeout", "4s", "--grace", "1s"];
    let command = kofferctl(&broker, home.path(), &[&PAY[..], &patience].concat());
    let mut running = Running::start(command);
    gateway.call().await;
    gateway.status("offline", STARTED).await;
    running.says("went offline").await;
    gateway.status("online", "2026-03-02T09:00:00Z").await;
    running.says("NOT sent again").await;
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(6));
    assert!(ended.err.contains("not even with --call"), "{}", ended.err);
    assert!(!gateway.has_call());
}

#[tokio::test]
async fn a_payment_is_asked_again_of_a_gateway_that_keeps_its_journal() {
    let (broker, mut gateway, home) = office().await;
    gateway
        .retain("health", &json!({"journal_bytes": 4096}))
        .await;
    let mut running = Running::start(kofferctl(&broker, home.path(), &PAY));
    let first = gateway.call().await;
    gateway.status("offline", STARTED).await;
    gateway.status("online", "2026-03-02T09:00:00Z").await;
    running.says("Sending the same call again").await;
    let second = gateway.call().await;
    assert_eq!(first.id(), second.id());
    gateway.complete(&second, &paid()).await;
    assert_eq!(running.ended().await.code, Some(0));
}
