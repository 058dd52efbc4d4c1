//! The way to a broker and to the gateway that is meant.

use koffer_tests::mosquitto::free_port;

use super::*;

#[tokio::test]
async fn nothing_is_sent_to_a_gateway_that_is_not_there() {
    let (broker, mut gateway, home) = office().await;
    let wrong = [&PAY[..], &["--gateway", "case-8"]].concat();
    let absent = ended(kofferctl(&broker, home.path(), &wrong)).await;
    assert_eq!(absent.code, Some(5));
    assert!(absent.err.contains("case-8"), "{}", absent.err);
    gateway.status("offline", STARTED).await;
    let offline = ended(kofferctl(&broker, home.path(), &PAY)).await;
    assert_eq!(offline.code, Some(5));
    assert!(offline.err.contains("offline"), "{}", offline.err);
    assert!(!gateway.has_call());
}

#[tokio::test]
async fn errors_of_the_broker_name_place_user_and_remedy() {
    let (broker, mut gateway, home) = office().await;
    let address = format!("127.0.0.1:{}", broker.port());
    let mut command = kofferctl(&broker, home.path(), &PAY);
    command.env("KOFFERCTL_PASSWORD", "wrong");
    let refused = ended(command).await;
    assert_eq!(refused.code, Some(4));
    for words in [&address, "ws-1", "--password-file"] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    let nowhere = format!("127.0.0.1:{}", free_port());
    let mut command = kofferctl(&broker, home.path(), &PAY);
    command.env("KOFFERCTL_ADDRESS", &nowhere);
    let unreachable = ended(command).await;
    assert_eq!(unreachable.code, Some(3));
    assert!(unreachable.err.contains(&nowhere), "{}", unreachable.err);

    let mut command = kofferctl(&broker, home.path(), &PAY);
    command
        .env("KOFFERCTL_USER", "monitor")
        .env("KOFFERCTL_PASSWORD", "secret-three");
    let forbidden = ended(command).await;
    assert_eq!(forbidden.code, Some(4), "{forbidden:?}");
    assert!(
        forbidden.err.contains("call/monitor/ec-terminal/pay"),
        "{}",
        forbidden.err
    );
    assert!(!gateway.has_call());
}

#[tokio::test]
async fn the_only_gateway_is_found_where_the_broker_shows_it() {
    let (broker, mut gateway, home) = office().await;
    let unnamed = |words: &[&str]| {
        let mut command = kofferctl(&broker, home.path(), words);
        command.env_remove("KOFFERCTL_GATEWAY");
        command
    };
    let running = Running::start(unnamed(&["calls"]));
    let call = gateway.call().await;
    assert_eq!(call.what(), "gateway/calls");
    gateway
        .complete(&call, &json!({"status": "ok", "result": {"calls": []}}))
        .await;
    assert_eq!(running.ended().await.code, Some(0));

    let mut other = Message::new("koffer/1/case-8/status", r#"{"status": "online"}"#).retained();
    other.properties.content_type = Some("application/json".to_owned());
    gateway.say(other).await;
    let several = ended(unnamed(&["calls"])).await;
    assert_eq!(several.code, Some(5));
    assert!(several.err.contains("case-7, case-8"), "{}", several.err);
}

#[tokio::test]
async fn the_embedded_broker_wants_the_gateway_named_and_serves_the_rest() {
    let broker = Broker::embedded().await;
    let mut gateway = Gateway::online(&broker).await;
    let home = tempfile::tempdir().unwrap();
    let mut command = kofferctl(&broker, home.path(), &["calls"]);
    command.env_remove("KOFFERCTL_GATEWAY");
    let unnamed = ended(command).await;
    assert_eq!(unnamed.code, Some(5));
    assert!(unnamed.err.contains("--gateway"), "{}", unnamed.err);

    let running = Running::start(kofferctl(&broker, home.path(), &PAY));
    let call = gateway.call().await;
    gateway.complete(&call, &paid()).await;
    assert_eq!(running.ended().await.code, Some(0));

    gateway
        .retain("dev/ec/state", &json!({"state": "ready"}))
        .await;
    let mut command = kofferctl(&broker, home.path(), &["watch"]);
    command
        .env("KOFFERCTL_USER", "monitor")
        .env("KOFFERCTL_PASSWORD", "secret-three");
    let mut running = Running::start(command);
    running.says("may not read events").await;
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let news: Value = serde_json::from_str(&running.line().await).unwrap();
        kinds.push(news["kind"].as_str().unwrap().to_owned());
    }
    kinds.sort();
    assert_eq!(kinds, ["state", "status"]);
    running.interrupt();
    assert_eq!(running.ended().await.code, Some(0));
    broker.stop().await;
}
