//! Nobody speaks as another, reads another's replies, or leaves a will outside its own topics:
//! tried with mosquitto's own clients against the embedded broker and against mosquitto with the
//! configuration we ship.
//!
//! Every attempt is followed by a marker that is allowed to arrive; what has not arrived before the
//! marker never will. Where the brokers differ, [`Broker`] says how, and why that is accepted.

#![expect(clippy::expect_used, reason = "helpers of a test fail the test")]

use koffer_gateway::broker::embedded;
use koffer_tests::brokers::{Broker, ROOT};
use koffer_tests::mosquitto::{Subscriber, User};
use koffer_tests::office::{self, Office};
use std::time::Duration;
/// The gateway's ears: everything under call/, one line each: topic, retain flag, payload.
async fn ears(target: &Broker) -> Subscriber {
    let mut ears = target.user("kofferd").subscribe(
        &[&format!("{ROOT}/call/#")],
        &["--retain-as-published", "-F", "%t %r %p"],
    );
    // The client says nothing when it is subscribed: knock until it hears.
    loop {
        target
            .user("ws-1")
            .publish(&call("ws-1"), "knock", &[])
            .await
            .expect("allowed");
        let knock = Duration::from_millis(200);
        if tokio::time::timeout(knock, ears.until("knock"))
            .await
            .is_ok()
        {
            return ears;
        }
    }
}

/// What the gateway hears of the calls made until now, knocks aside.
async fn heard(target: &Broker, ears: &mut Subscriber, marker: &str) -> Vec<String> {
    target
        .user("ws-1")
        .publish(&call("ws-1"), marker, &[])
        .await
        .expect("allowed");
    let mut heard = ears.until(marker).await;
    heard.retain(|line| !line.ends_with("knock"));
    heard
}

fn call(client: &str) -> String {
    format!("{ROOT}/call/{client}/till/pay")
}

async fn a_client_publishes_only_under_its_own_name(target: &Broker) {
    let mut ears = ears(target).await;
    let forbidden = [
        ("ws-1", call("ws-2")),
        ("ws-1", call("kofferd")),
        ("ws-1", format!("{ROOT}/reply/ws-2/till")),
        ("ws-1", format!("{ROOT}/reply/ws-1/till")),
        ("ws-1", format!("{ROOT}/status")),
        ("ws-1", format!("{ROOT}/dev/till/state")),
        ("ws-1", "elsewhere".to_owned()),
        ("monitor", call("monitor")),
        ("monitor", format!("{ROOT}/status")),
    ];
    for (client, topic) in &forbidden {
        for more in [&[][..], &["-r"]] {
            let refused = target.user(client).publish(topic, "forged", more).await;
            let words = refused.expect_err(topic).to_lowercase();
            assert!(
                words.contains("not authorized"),
                "{client} {topic}: {words}"
            );
        }
    }
    assert_eq!(heard(target, &mut ears, "marker-1").await, [""; 0]);

    // Nothing forged was retained either.
    let everything = format!("{ROOT}/dev/#");
    let status = format!("{ROOT}/status");
    target
        .user("kofferd")
        .publish(&status, "marker-2", &["-r"])
        .await
        .expect("allowed");
    let mut reader = target
        .user("ws-2")
        .subscribe(&[&everything, &status], &["-F", "%t %p"]);
    assert_eq!(reader.until("marker-2").await, [""; 0]);
}

/// Subscribes to `filter` and to the retained status, so that the test sees that it is subscribed;
/// then the gateway publishes `secret` and says goodbye on status. Returns what was read between.
async fn read(target: &Broker, client: &str, filter: &str, secret: &str) -> Vec<String> {
    let gateway = target.user("kofferd");
    let status = format!("{ROOT}/status");
    gateway
        .publish(&status, "ready", &["-r"])
        .await
        .expect("allowed");
    let mut reader = target
        .user(client)
        .subscribe(&[filter, &status], &["-F", "%t %p"]);
    let mut before = reader.until("ready").await;
    gateway
        .publish(secret, "secret", &[])
        .await
        .expect("allowed");
    gateway
        .publish(&status, "done", &[])
        .await
        .expect("allowed");
    before.extend(reader.until("done").await);
    before.retain(|line| line.contains("secret"));
    before
}

async fn a_client_reads_only_its_own_replies_whatever_the_wildcards(target: &Broker) {
    let reply = format!("{ROOT}/reply/ws-2/till");
    let forbidden = [
        ("ws-1", reply.clone()),
        ("ws-1", format!("{ROOT}/reply/ws-2/#")),
        ("ws-1", format!("{ROOT}/reply/+/till")),
        ("ws-1", format!("{ROOT}/reply/#")),
        ("ws-1", format!("{ROOT}/#")),
        ("ws-1", "koffer/#".to_owned()),
        ("ws-1", "#".to_owned()),
        ("ws-1", "+/+/+/reply/ws-2/#".to_owned()),
        ("ws-1", "+/+/+/+/+/+".to_owned()),
        ("ws-1", format!("$share/g/{ROOT}/reply/ws-2/#")),
        ("monitor", reply.clone()),
        ("monitor", format!("{ROOT}/reply/#")),
    ];
    for (client, filter) in &forbidden {
        assert_eq!(
            read(target, client, filter, &reply).await,
            [""; 0],
            "{client} {filter}"
        );
        if target.is_embedded() {
            let alone = target.user(client).subscribe(&[filter], &[]);
            let (_, words) = alone.end().await.expect("mosquitto_sub ends");
            assert!(words.contains("denied"), "{client} {filter}: {words}");
        }
    }
    // The way it is meant works.
    let own = format!("{ROOT}/reply/ws-2/#");
    assert_eq!(
        read(target, "ws-2", &own, &reply).await,
        [format!("{reply} secret")]
    );
}

async fn a_monitor_reads_descriptions_and_states_but_no_events(target: &Broker) {
    let dev = |rest: &str| format!("{ROOT}/dev/{rest}");
    let event = dev("reader/event/mrz-read");
    for filter in [
        event.clone(),
        dev("reader/event/#"),
        dev("#"),
        dev("+/event/+"),
    ] {
        assert_eq!(
            read(target, "monitor", &filter, &event).await,
            [""; 0],
            "{filter}"
        );
    }
    for (filter, topic) in [
        (dev("+"), dev("till")),
        (dev("+/state"), dev("till/state")),
        (dev("till"), dev("till")),
    ] {
        assert_eq!(
            read(target, "monitor", &filter, &topic).await,
            [format!("{topic} secret")]
        );
    }
}

/// Connects with a will, waits until connected or refused, and dies. True when it was connected.
async fn dies_with_will(target: &Broker, client: &str, will: &[&str]) -> bool {
    let status = format!("{ROOT}/status");
    target
        .user("kofferd")
        .publish(&status, "alive", &["-r"])
        .await
        .expect("allowed");
    let mut mourned = target.user(client).subscribe(&[&status], will);
    let connected = mourned.line().await.is_some();
    mourned.kill().await;
    connected
}

async fn a_will_is_held_to_the_rules_of_publishing(target: &Broker) {
    let mut ears = ears(target).await;
    let status = format!("{ROOT}/status");
    let forbidden = [
        call("ws-2"),
        format!("{ROOT}/reply/ws-2/till"),
        status.clone(),
    ];
    for topic in &forbidden {
        for more in [&[][..], &["--will-retain"]] {
            let mut will = vec!["--will-topic", topic, "--will-payload", "forged"];
            will.extend(["--will-qos", "1"].iter().chain(more));
            let connected = dies_with_will(target, "ws-1", &will).await;
            assert!(
                !(connected && target.is_embedded()),
                "refused at CONNECT: {topic}"
            );
        }
    }
    // Its own will works; the broker publishes it when it finds the line dead, so wait for it.
    let own = call("ws-1");
    let release = [
        "--will-topic",
        &own,
        "--will-payload",
        "release",
        "--will-qos",
        "1",
    ];
    assert!(dies_with_will(target, "ws-1", &release).await);
    let mut heard = ears.until("release").await;
    heard.retain(|line| line.contains("forged"));
    assert_eq!(heard, [""; 0]);
    let now = read(target, "ws-2", &format!("{ROOT}/reply/ws-2/#"), &status).await;
    assert_eq!(
        now,
        [format!("{status} secret")],
        "no forged status was retained"
    );

    let retained: Vec<_> = release.iter().copied().chain(["--will-retain"]).collect();
    let connected = dies_with_will(target, "ws-1", &retained).await;
    assert_eq!(connected, !target.is_embedded());
    if connected {
        ears.until(&format!("{own} 1 release")).await;
    }
}

async fn a_retained_call_reaches_the_gateway_as_such(target: &Broker) {
    let mut ears = ears(target).await;
    target
        .user("ws-1")
        .publish(&call("ws-1"), "again", &["-r"])
        .await
        .expect("allowed");
    let heard = heard(target, &mut ears, "marker-3").await;
    assert_eq!(heard, [format!("{} 1 again", call("ws-1"))]);
    // The gateway can clear it.
    target
        .user("kofferd")
        .publish(&call("ws-1"), "", &["-r"])
        .await
        .expect("allowed");
}

async fn nobody_connects_without_the_right_password(target: &Broker) {
    let strangers = [
        User::anonymous(target.port()),
        User::new(target.port(), "ws-1", "wrong"),
        User::new(target.port(), "ws-1", ""),
        User::new(target.port(), "stranger", "secret-one"),
    ];
    for stranger in strangers {
        let refused = stranger.publish(&call("ws-1"), "x", &[]).await;
        refused.expect_err("connection refused");
    }
}

async fn a_client_identifier_is_no_way_into_another_s_session(target: &Broker) {
    // Whatever a client calls itself: libraries invent names, and some have no other choice.
    let long = "x".repeat(300);
    let any = [
        "kofferd",
        "ws-2",
        "ws-1",
        "till-1",
        "mqttjs_1a2b3c4d",
        "a/b",
        "Schalter Süd",
        &long,
    ];
    for client_id in any {
        let outcome = target
            .user("ws-1")
            .publish(&call("ws-1"), "x", &["-i", client_id])
            .await;
        outcome.expect(client_id);
    }

    // A reply waiting for ws-2's session is not given to ws-1 under the same identifier.
    let reply = format!("{ROOT}/reply/ws-2/till");
    let status = format!("{ROOT}/status");
    target
        .user("kofferd")
        .publish(&status, "ready", &["-r"])
        .await
        .expect("allowed");
    let session = ["-c", "-x", "60", "-i", "ws-2-app", "-F", "%t %p"];
    let mut owner = target.user("ws-2").subscribe(&[&reply, &status], &session);
    owner.until("ready").await;
    owner.kill().await;
    target
        .user("kofferd")
        .publish(&reply, "secret", &[])
        .await
        .expect("allowed");
    let mut thief = target.user("ws-1").subscribe(&[&reply, &status], &session);
    let stolen = thief.until("ready").await;
    assert!(
        stolen.iter().all(|line| !line.contains("secret")),
        "{stolen:?}"
    );
    if target.is_embedded() {
        // Nor was it lost: the thief has a session of its own under that identifier.
        let mut owner = target.user("ws-2").subscribe(&[&reply, &status], &session);
        let kept = owner.until("ready").await;
        assert!(kept.iter().any(|line| line.contains("secret")), "{kept:?}");
    }
}

async fn a_plain_request_and_response_client_works(target: &Broker) {
    let mut ears = ears(target).await;
    let topic = call("ws-1");
    let reply = format!("{ROOT}/reply/ws-1/till");
    let client = target.user("ws-1");
    let request = ["-q", "1", "-t", &topic, "-e", &reply, "-m", "please"];
    let answered = async {
        ears.until("please").await;
        target
            .user("kofferd")
            .publish(&reply, "done", &[])
            .await
            .expect("allowed");
    };
    let (output, ()) = tokio::join!(client.run("mosquitto_rr", &request), answered);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "done",
        "{output:?}"
    );
}

async fn all_rules_hold(target: Broker) {
    nobody_connects_without_the_right_password(&target).await;
    a_client_publishes_only_under_its_own_name(&target).await;
    a_client_reads_only_its_own_replies_whatever_the_wildcards(&target).await;
    a_monitor_reads_descriptions_and_states_but_no_events(&target).await;
    a_will_is_held_to_the_rules_of_publishing(&target).await;
    a_retained_call_reaches_the_gateway_as_such(&target).await;
    a_client_identifier_is_no_way_into_another_s_session(&target).await;
    a_plain_request_and_response_client_works(&target).await;
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_broker_keeps_clients_apart() {
    all_rules_hold(Broker::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquitto_with_the_shipped_configuration_keeps_clients_apart() {
    all_rules_hold(Broker::mosquitto()).await;
}

/// The embedded broker: `gateway/tests/front.rs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_over_the_gateway_s_session_on_mosquitto() {
    let office = Office::around(office::Broker::Mosquitto, &[]).await;
    for base in ["kofferd", "kofferd-case-7"] {
        for further in ["", "-aside", "-looks-back"] {
            let client_id = format!("{base}{further}");
            let sent = office
                .user("ws-1")
                .publish(&call("ws-1"), "x", &["-i", &client_id])
                .await;
            sent.expect(&client_id);
        }
    }
    let log = office.mosquitto.as_ref().expect("its broker").log();
    assert!(log.contains("as kofferd-case-7-"), "{log}");
    assert!(!log.contains("already connected"), "{log}");
    office.close().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut settings = embedded::Settings::new("case-7", Vec::new());
    settings.listen = taken.local_addr().expect("bound");
    match embedded::start(settings).await {
        Err(error @ embedded::StartError::AddressInUse(_)) => {
            assert!(
                error
                    .to_string()
                    .contains(&taken.local_addr().expect("bound").to_string())
            );
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the port was taken"),
    }
}
