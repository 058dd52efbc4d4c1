//! A thousand calls from eight workstations over three terminals, one of which hangs: the others
//! finish theirs, the hung one answers within bounds, and no call is without its completion. A
//! client that floods the gateway with calls loses nobody else's, on either broker.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use koffer_fixtures::zvt::{Cardholder, Event, Fault, Kind, Step};
use koffer_tests::{
    flood::Flood,
    office::{BROKERS, Broker, Office, quick_tcp},
};
use serde_json::json;

/// Per workstation: calls to each healthy terminal, and to the hung one.
const HEALTHY: usize = 53;
const HUNG: usize = 19;

#[expect(
    clippy::too_many_lines,
    reason = "one day of eight clerks, told in order"
)]
#[tokio::test(flavor = "multi_thread")]
async fn one_hung_terminal_holds_up_nobody_elses_calls() {
    let office = Office::open(Broker::Embedded, &["till-1", "till-2", "hung"], quick_tcp).await;
    let quick = Cardholder {
        inserts_after_ms: 0,
        pin_after_ms: 0,
        host_after_ms: 0,
        removes_after_ms: 0,
        ..Cardholder::default()
    };
    let watcher = office.workstation("tech-1").await;
    for device in ["till-1", "till-2", "hung"] {
        watcher.until_state(device, &["ready"]).await;
        let control = &office.terminal(device).control;
        control
            .set(json!({"cardholder": quick}))
            .await
            .expect("a quick cardholder");
    }
    let silent = Fault::new(Kind::Silence).at(Step::Command).times(0);
    office
        .terminal("hung")
        .control
        .faults(&[silent])
        .await
        .expect("a fault");

    let office = Arc::new(office);
    let mut clerks = tokio::task::JoinSet::new();
    for n in 1..=8 {
        let office = office.clone();
        clerks.spawn(async move {
            let clerk = office.workstation(&format!("ws-{n}")).await;
            let params = json!({"amount": {"cents": 100 + n, "currency": "EUR"}});
            let steady = async |device: &str| {
                let mut statuses = BTreeMap::<String, usize>::new();
                for _ in 0..HEALTHY {
                    let answer = clerk.ask(device, "pay", &params, 120).await;
                    let status = answer["status"].as_str().expect("a status").to_owned();
                    *statuses.entry(status).or_default() += 1;
                }
                statuses
            };
            let impatient = async {
                // All at once, with two seconds each: some run into their deadline, the last find too
                // many of their own client before them, most their time over.
                let mut pending = Vec::new();
                for _ in 0..HUNG {
                    pending.push(clerk.call("hung", "pay", &params, 2).await);
                }
                let mut statuses = BTreeMap::<String, usize>::new();
                for call in &mut pending {
                    let answer = call.completion().await;
                    let status = answer["status"].as_str().expect("a status").to_owned();
                    *statuses.entry(status).or_default() += 1;
                }
                statuses
            };
            let (first, second, hung) = tokio::join!(steady("till-1"), steady("till-2"), impatient);
            let completions = clerk.completions();
            assert!(
                completions.values().all(|c| c.len() == 1),
                "exactly one completion each"
            );
            (first, second, hung, completions.len())
        });
    }
    let mut calls = 0;
    let mut hung = BTreeMap::<String, usize>::new();
    while let Some(done) = clerks.join_next().await {
        let (first, second, of_hung, count) = done.expect("a clerk's day");
        assert_eq!(first, BTreeMap::from([("ok".to_owned(), HEALTHY)]));
        assert_eq!(second, BTreeMap::from([("ok".to_owned(), HEALTHY)]));
        calls += count;
        for (status, count) in of_hung {
            *hung.entry(status).or_default() += count;
        }
    }
    assert_eq!(calls, 1000);
    println!("the hung terminal's {} calls: {hung:?}", 8 * HUNG);
    let allowed = [
        "busy",
        "timed-out",
        "expired",
        "unavailable",
        "outcome-unknown",
        "device-fault",
    ];
    assert!(
        hung.keys().all(|status| allowed.contains(&status.as_str())),
        "{hung:?}"
    );
    assert!(hung.contains_key("busy"), "{hung:?}");
    for device in ["till-1", "till-2"] {
        let ledger = office
            .terminal(device)
            .control
            .ledger()
            .await
            .expect("a ledger");
        assert_eq!(ledger.list(Event::Booked).len(), 8 * HEALTHY, "{device}");
    }
    let ledger = office
        .terminal("hung")
        .control
        .ledger()
        .await
        .expect("a ledger");
    assert!(ledger.list(Event::Booked).is_empty());
    office
        .terminal("hung")
        .control
        .faults(&[])
        .await
        .expect("healthy again");
    watcher.until_state("hung", &["ready"]).await;
}

/// Calls of the client that does not flood.
const CALLS: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_client_loses_no_call_of_another() {
    for broker in BROKERS {
        let office = Office::open(broker, &["till"], quick_tcp).await;
        let other = office.workstation("ws-2").await;
        let flood = Flood::start(office.port(), "ws-1", "secret-1", 30);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = Instant::now();
        for _ in 0..CALLS {
            other.call("gateway", "calls", &json!({}), 60).await;
        }
        let mut answered = 0;
        let mut progress = Instant::now();
        while answered < CALLS && progress.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let completions = other.completions();
            let now = completions.values().filter(|c| !c.is_empty()).count();
            if now > answered {
                (answered, progress) = (now, Instant::now());
            }
        }
        let took = began.elapsed();
        let sent = flood.stop();
        println!("{broker:?}: {answered} of {CALLS} answered in {took:?}, {sent} of the flood");
        assert_eq!(answered, CALLS, "{broker:?}, {sent} of the flood");
        assert!(sent > 2000, "{sent} is no flood");
        office.close().await;
    }
}
