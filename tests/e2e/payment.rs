//! One payment, end to end: mosquitto's clients, the daemon, a simulated terminal and its ledger,
//! on the embedded broker and on mosquitto with the shipped configuration.

#![expect(clippy::expect_used, reason = "helpers of a test fail the test")]

use std::time::Duration;

use koffer_fixtures::zvt::{Cardholder, Event, Fault, Kind, Phase, Step, Until};
use koffer_tests::{
    brokers::ROOT,
    office::{BROKERS, Broker, Office, quick_tcp},
    rr::{answer, rr},
};
use serde_json::{Value, json};

const PAYMENT: &str = r#"{"amount": {"cents": 3780, "currency": "EUR"}, "reference": "PA-1"}"#;

async fn office(broker: Broker) -> Office {
    Office::open(broker, &["ec-terminal"], quick_tcp).await
}

/// What makes a publish a call.
fn properties<'a>(reply: &'a str, id: &'a str) -> Vec<&'a str> {
    [
        ["-D", "publish", "response-topic", reply],
        ["-D", "publish", "correlation-data", id],
        ["-D", "publish", "message-expiry-interval", "30"],
        ["-D", "publish", "content-type", "application/json"],
    ]
    .concat()
}

async fn booked(office: &Office) -> Vec<i64> {
    let ledger = office
        .terminal("ec-terminal")
        .control
        .ledger()
        .await
        .expect("a ledger");
    ledger
        .list(Event::Booked)
        .iter()
        .map(|entry| entry.cents)
        .collect()
}

#[tokio::test]
async fn mosquittos_clients_alone_pay_follow_and_list() {
    for broker in BROKERS {
        let office = office(broker).await;
        let user = office.user("ws-1");

        // List devices: the retained documents.
        let filter = format!("{ROOT}/dev/+/state");
        let mut states = user.subscribe(&[&filter], &["-F", "%t %p"]);
        states.until("\"state\":\"ready\"").await;
        let described = format!("{ROOT}/dev/ec-terminal");
        let description = user
            .run("mosquitto_sub", &["-t", &described, "-C", "1", "-W", "10"])
            .await;
        let description = answer(&description);
        assert_eq!(description["class"], "payment", "{broker:?}");
        assert_eq!(description["operations"]["pay"]["effect"], "once");
        assert_eq!(description["driver"], "zvt");

        // Follow the progress of a payment, and get its one completion.
        let progress = format!("{ROOT}/reply/ws-1/till/progress");
        let ready = format!("{ROOT}/status");
        let mut follower = user.subscribe(&[&progress, &ready], &["-F", "%p"]);
        follower.until("online").await;
        let paid = answer(&rr(&user, "ws-1", "ec-terminal/pay", "p1", PAYMENT).await);
        assert_eq!(paid["status"], "ok", "{broker:?}: {paid}");
        assert_eq!(paid["device"], "ec-terminal");
        let result = &paid["result"];
        assert_eq!(result["amount"], json!({"cents": 3780, "currency": "EUR"}));
        assert_eq!(result["recovered"], false);
        let copies: Vec<_> = result["receipts"]
            .as_array()
            .expect("receipts")
            .iter()
            .map(|receipt| receipt["copy"].as_str().expect("a copy"))
            .collect();
        assert!(
            copies.contains(&"customer") && copies.contains(&"merchant"),
            "{copies:?}"
        );
        let pan = result["pan"].as_str().expect("a masked PAN");
        assert!(pan.starts_with("****"), "{pan}");
        let texts = follower.until("\"event\":\"receipt\"").await;
        assert!(
            texts.iter().any(|line| line.contains("insert-card")),
            "{texts:?}"
        );
        assert_eq!(booked(&office).await, [3780]);

        // The same call again is the same payment.
        let again = answer(&rr(&user, "ws-1", "ec-terminal/pay", "p1", PAYMENT).await);
        assert_eq!(again, paid);
        assert_eq!(booked(&office).await, [3780]);
        office.close().await;
    }
}

#[tokio::test]
async fn what_a_workstation_must_not_do_does_not_happen() {
    for broker in BROKERS {
        let office = office(broker).await;
        office
            .workstation("ws-2")
            .await
            .until_state("ec-terminal", &["ready"])
            .await;
        let (one, two) = (office.user("ws-1"), office.user("ws-2"));

        // A retained call: refused, cleared, and not run.
        let topic = format!("{ROOT}/call/ws-1/ec-terminal/pay");
        let own = format!("{ROOT}/reply/ws-1/till");
        let status = format!("{ROOT}/status");
        let mut reader = one.subscribe(&[&own, &status], &["-F", "%p"]);
        reader.until("online").await;
        let retained = properties(&own, "r1");
        let mut args = vec!["-r", "-q", "1", "-t", &topic, "-m", PAYMENT];
        args.extend(&retained);
        one.run("mosquitto_pub", &args).await;
        let refused = reader.line().await.expect("an answer");
        let refused: Value = serde_json::from_str(&refused).expect("JSON");
        assert_eq!(refused["status"], "bad-request", "{broker:?}");
        assert_eq!(refused["detail"]["field"], "retain");

        // A response topic of somebody else: answered nowhere.
        let elsewhere = format!("{ROOT}/reply/ws-2/till");
        let mut spy = two.subscribe(&[&elsewhere, &status], &["-F", "%t %p"]);
        spy.until("online").await;
        let mut misdirected = vec!["-q", "1", "-t", &topic, "-m", PAYMENT];
        let misleading = properties(&elsewhere, "x1");
        misdirected.extend(&misleading);
        one.run("mosquitto_pub", &misdirected).await;

        // Under another's name: the broker withholds it.
        let forged = one
            .publish(&format!("{ROOT}/call/ws-2/ec-terminal/pay"), PAYMENT, &[])
            .await;
        assert!(forged.is_err(), "{broker:?}");

        // A will under another's name, left by a client that dies.
        let will = format!("{ROOT}/call/ws-2/ec-terminal/pay");
        let dying = one.subscribe(
            &[&status],
            &[
                "--will-topic",
                &will,
                "--will-payload",
                PAYMENT,
                "--will-qos",
                "1",
            ],
        );
        dying.kill().await;

        // What is allowed still works, and came after all of that.
        let paid = answer(&rr(&two, "ws-2", "ec-terminal/pay", "p1", PAYMENT).await);
        assert_eq!(paid["status"], "ok");
        let heard = spy.until("\"status\":\"ok\"").await;
        assert!(heard.is_empty(), "{broker:?}: {heard:?}");
        assert_eq!(booked(&office).await, [3780], "{broker:?}");

        // Rights are the second wall.
        let user = office.user("ws-printing");
        let denied = answer(&rr(&user, "ws-printing", "ec-terminal/pay", "d1", PAYMENT).await);
        assert_eq!(
            (&denied["status"], &denied["effect"]),
            (&json!("denied"), &json!("none"))
        );
        office.close().await;
    }
}

#[tokio::test]
async fn a_payment_is_cancelled_while_the_card_is_awaited_and_not_after() {
    for broker in BROKERS {
        let office = office(broker).await;
        let clerk = office.workstation("ws-1").await;
        clerk.until_state("ec-terminal", &["ready"]).await;
        let control = &office.terminal("ec-terminal").control;

        let nobody = Cardholder {
            comes: false,
            ..Cardholder::default()
        };
        control.next(&[nobody]).await.expect("a cardholder");
        let params = json!({"amount": {"cents": 500, "currency": "EUR"}});
        let mut pending = clerk.call("ec-terminal", "pay", &params, 60).await;
        pending.progress(|p| p["code"] == "insert-card").await;
        let cancel = json!({"call": pending.id});
        let verdict = clerk.ask("gateway", "cancel", &cancel, 30).await;
        assert_eq!(
            verdict["result"]["verdict"], "cancelled",
            "{broker:?}: {verdict}"
        );
        let ended = pending.completion().await;
        assert_eq!(
            (&ended["status"], &ended["effect"]),
            (&json!("cancelled"), &json!("none"))
        );
        assert!(booked(&office).await.is_empty());

        clerk.until_state("ec-terminal", &["ready"]).await;
        let paid = clerk.ask("ec-terminal", "pay", &params, 60).await;
        assert_eq!(paid["status"], "ok", "{broker:?}: {paid}");
        assert_eq!(booked(&office).await, [500]);
        let late = clerk
            .ask("gateway", "cancel", &json!({"call": "nobody-knows"}), 30)
            .await;
        assert_eq!(late["result"]["verdict"], "unknown");
        office.close().await;
    }
}

#[tokio::test]
async fn a_payment_outlives_its_broker() {
    let mut office = office(Broker::Mosquitto).await;
    let clerk = office.workstation("ws-1").await;
    clerk.until_state("ec-terminal", &["ready"]).await;
    let slow = Cardholder {
        inserts_after_ms: 1_500,
        ..Cardholder::default()
    };
    let control = office.terminal("ec-terminal").control.clone();
    control.next(&[slow]).await.expect("a cardholder");
    let params = json!({"amount": {"cents": 700, "currency": "EUR"}});
    let mut pending = clerk
        .call_as("lost-1", "ec-terminal", "pay", &params, 60)
        .await;
    pending.progress(|p| p["code"] == "insert-card").await;
    drop(clerk);
    let broker = office.mosquitto.as_mut().expect("mosquitto");
    broker.kill();
    broker.restart();
    let until = Until {
        phase: Some(Phase::Idle),
        entries: Some(2),
        ..Until::default()
    };
    control.wait(until).await.expect("the terminal finishes");

    // The workstation comes back and asks with the same call id.
    let clerk = office.workstation("ws-1").await;
    let mut asked = clerk
        .call_as("lost-1", "ec-terminal", "pay", &params, 60)
        .await;
    assert_eq!(asked.completion().await["status"], "ok");
    assert_eq!(booked(&office).await, [700]);
    let state = clerk.until_state("ec-terminal", &["ready"]).await;
    assert_eq!(
        state["reasons"],
        json!([]),
        "retained documents are there again"
    );
    office.close().await;
}

#[tokio::test]
async fn shutdown_answers_what_runs_and_what_waits() {
    for broker in BROKERS {
        let office = office(broker).await;
        let clerk = office.workstation("ws-1").await;
        clerk.until_state("ec-terminal", &["ready"]).await;
        let control = &office.terminal("ec-terminal").control;
        let nobody = Cardholder {
            comes: false,
            ..Cardholder::default()
        };
        control.next(&[nobody]).await.expect("a cardholder");
        let params = json!({"amount": {"cents": 500, "currency": "EUR"}});
        let mut running = clerk.call("ec-terminal", "pay", &params, 300).await;
        running.progress(|p| p["code"] == "insert-card").await;
        let mut waiting = clerk.call("ec-terminal", "pay", &params, 300).await;
        waiting.progress(|p| p["event"] == "queued").await;
        office.ask_to_end();
        let waited = waiting.completion().await;
        assert_eq!(waited["status"], "unavailable", "{broker:?}: {waited}");
        let stopped = running.completion().await;
        assert_eq!(stopped["effect"], "none", "{broker:?}: {stopped}");
        assert!(booked(&office).await.is_empty());
        office.close().await;
    }
}

#[tokio::test]
async fn a_clock_that_is_not_the_terminal_s_is_told_as_the_gateway_s_state() {
    for broker in BROKERS {
        let office = Office::open(broker, &["ec-terminal"], |device, ledger| {
            let mut terminal = quick_tcp(device, ledger);
            terminal.profile.clock_ahead_h = 40 * 24;
            terminal
        });
        let office = office.await;
        let clerk = office.workstation("ws-1").await;
        clerk.until_state("ec-terminal", &["ready"]).await;
        let params = json!({"amount": {"cents": 500, "currency": "EUR"}});
        let paid = clerk.ask("ec-terminal", "pay", &params, 60).await;
        assert_eq!(paid["status"], "ok", "{broker:?}: {paid}");
        let told = |state: &Value| {
            let reasons = state["reasons"].as_array();
            reasons.is_some_and(|all| all.iter().any(|it| it["keyword"] == "clock-differs"))
        };
        let state = clerk.until("gateway", told).await;
        assert_eq!(state["state"], "degraded", "{broker:?}");
        office.close().await;
    }
}

#[tokio::test]
async fn the_day_of_a_till() {
    for broker in BROKERS {
        let office = office(broker).await;
        let clerk = office.workstation("ws-1").await;
        clerk.until_state("ec-terminal", &["ready"]).await;
        let euro = |cents: u64| json!({"amount": {"cents": cents, "currency": "EUR"}});

        let paid = clerk.ask("ec-terminal", "pay", &euro(1010), 60).await;
        assert_eq!(paid["status"], "ok", "{paid}");
        let refund = clerk.ask("ec-terminal", "refund", &euro(250), 60).await;
        assert_eq!(refund["status"], "ok", "{refund}");
        let wrong = clerk.ask("ec-terminal", "pay", &euro(2000), 60).await;
        assert_eq!(wrong["status"], "ok", "{wrong}");
        let receipt = json!({"receipt": wrong["result"]["receipt"]});
        let reversed = clerk.ask("ec-terminal", "reverse", &receipt, 60).await;
        assert_eq!(reversed["status"], "ok", "{reversed}");

        let control = &office.terminal("ec-terminal").control;
        let broke = Cardholder {
            host_result: 0x51,
            ..Cardholder::default()
        };
        control.next(&[broke]).await.expect("a cardholder");
        let declined = clerk.ask("ec-terminal", "pay", &euro(99), 60).await;
        assert_eq!(
            (&declined["status"], &declined["effect"]),
            (&json!("declined"), &json!("none"))
        );
        let message = declined["message"].as_str().expect("a sentence");
        assert!(!message.is_empty());

        for operation in ["status", "receipt", "diagnose"] {
            let answer = clerk.ask("ec-terminal", operation, &json!({}), 60).await;
            assert_eq!(answer["status"], "ok", "{operation}: {answer}");
        }
        let closed = clerk.ask("ec-terminal", "end-of-day", &json!({}), 60).await;
        assert_eq!(closed["status"], "ok", "{closed}");
        assert_eq!(closed["result"]["total"]["cents"], 1010 - 250, "{closed}");

        let technician = office.workstation("tech-1").await;
        let level = json!({"level": "internal"});
        let tested = technician.ask("ec-terminal", "self-test", &level, 60).await;
        assert_eq!(tested["result"]["passed"], true, "{tested}");
        let identified = technician
            .ask("ec-terminal", "identify", &json!({}), 60)
            .await;
        for field in ["model", "serial", "firmware"] {
            let (told, known) = (&tested["result"][field], &identified["result"][field]);
            assert_eq!(told, known, "{field}");
        }
        let address = &tested["result"]["address"];
        let is_local = address
            .as_str()
            .is_some_and(|at| at.starts_with("127.0.0.1:"));
        assert!(is_local, "{tested}");
        let steps = tested["result"]["steps"].as_array().expect("steps");
        for step in steps.iter().filter(|step| step["outcome"] != "skipped") {
            assert!(step["duration_ms"].is_u64(), "{step}");
        }
        let listed = technician.ask("gateway", "diagnose", &json!({}), 60).await;
        let last = &listed["result"]["health"]["devices"]["ec-terminal"]["self_test"];
        assert_eq!(last["outcome"], "passed", "{listed}");
        let denied = clerk.ask("ec-terminal", "self-test", &level, 60).await;
        assert_eq!(denied["status"], "denied");
        let reset = technician.ask("ec-terminal", "reset", &json!({}), 60).await;
        assert_eq!(reset["status"], "ok", "{reset}");
        clerk.until_state("ec-terminal", &["ready"]).await;
        office.close().await;
    }
}

#[tokio::test]
async fn a_role_works_on_when_one_terminal_fails() {
    let office = Office::open(Broker::Embedded, &["till-1", "till-2"], quick_tcp).await;
    let clerk = office.workstation("ws-1").await;
    for device in ["till-1", "till-2"] {
        clerk.until_state(device, &["ready"]).await;
    }
    let params = json!({"amount": {"cents": 500, "currency": "EUR"}});
    let first = clerk.ask("any-till", "pay", &params, 60).await;
    assert_eq!(first["device"], "till-1", "{first}");

    // The first one dies in the middle: what began there stays there.
    let control = &office.terminal("till-1").control;
    let dies = Fault::new(Kind::Restart { down_ms: 60_000 }).at(Step::Booked);
    control.faults(&[dies]).await.expect("a fault");
    let second = clerk.ask("any-till", "pay", &params, 20).await;
    assert_eq!(
        (&second["device"], &second["effect"]),
        (&json!("till-1"), &json!("unknown"))
    );
    clerk.until_state("till-1", &["fault"]).await;
    let third = clerk.ask("any-till", "pay", &params, 60).await;
    assert_eq!(
        (&third["device"], &third["status"]),
        (&json!("till-2"), &json!("ok"))
    );
    office.close().await;
}

#[tokio::test]
async fn the_gateway_is_offline_when_it_is_gone() {
    for broker in BROKERS {
        let office = office(broker).await;
        let status = format!("{ROOT}/status");
        let mut watcher = office.user("monitor").subscribe(&[&status], &["-F", "%p"]);
        watcher.until("\"online\"").await;
        let ended = tokio::spawn(office.close());
        tokio::time::timeout(Duration::from_mins(1), watcher.until("\"offline\""))
            .await
            .expect("says goodbye");
        ended.await.expect("ends");
    }
}
