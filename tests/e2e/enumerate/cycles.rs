//! Plugged in and out for a whole day of a mobile office, and over a restart: nothing stays behind.

use std::time::{Duration, Instant};

use super::{
    ONE,
    bed::{Bed, adapter, stranger},
    gateway::{Gateway, Holdings, unbound},
    pay, terminal, until,
};

const CYCLES: u64 = 200;

/// Long enough for absence to be shown; the other cycles are quicker than that.
const EVERY: u64 = 20;

#[tokio::test]
async fn two_hundred_plug_cycles_leave_no_thread_descriptor_task_or_retained_topic_behind() {
    let mut bed = Bed::make().await;
    let gateway = Gateway::on_mosquitto(&bed, ONE).await;
    let _terminal = terminal(gateway.home.path(), "line").await;
    let line = gateway.home.path().join("line");
    let clerk = gateway.workstation().await;
    bed.plug(&adapter("1-1", "ttyUSB0", None, &line)).await;
    let mut generation = until(&clerk, "ec-terminal", "ready", 1).await;
    pay(&clerk, "ec-terminal").await;
    let retained = gateway.retained().await;
    assert_eq!(
        retained,
        [
            "koffer/1/case-7/dev/ec-terminal",
            "koffer/1/case-7/dev/ec-terminal/state",
            "koffer/1/case-7/dev/gateway",
            "koffer/1/case-7/dev/gateway/state"
        ]
    );
    let before = gateway.holdings(&clerk).await;
    let begun = Instant::now();
    for cycle in 1..=CYCLES {
        bed.unplug("1-1").await;
        bed.plug(&stranger("1-4")).await;
        if cycle % EVERY == 0 {
            clerk.until_state("ec-terminal", &["absent"]).await;
        }
        let node = format!("ttyUSB{}", cycle % 3);
        bed.plug(&adapter("1-1", &node, None, &line)).await;
        bed.unplug("1-4").await;
        generation = until(&clerk, "ec-terminal", "ready", generation + 1).await;
        if cycle % EVERY == 0 {
            pay(&clerk, "ec-terminal").await;
        }
    }
    let after = settled(&gateway, &clerk, before).await;
    println!(
        "{CYCLES} cycles in {:?}: {before:?}, then {after:?}",
        begun.elapsed()
    );
    assert!(after.within(before), "{before:?}, then {after:?}");
    assert_eq!(gateway.retained().await, retained);
    assert_eq!(unbound(&clerk).await, []);
    gateway.stop().await;
}

/// What the process holds once threads of the runtime that idle have gone.
async fn settled(
    gateway: &Gateway,
    clerk: &koffer_tests::client::Workstation,
    before: Holdings,
) -> Holdings {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let now = gateway.holdings(clerk).await;
        if now.within(before) || Instant::now() > deadline {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_gateway_that_starts_takes_away_what_is_retained_of_devices_it_has_no_more() {
    let mut bed = Bed::make().await;
    let by_port = ONE.replace("ec-terminal", "till-{port}");
    let mut gateway = Gateway::on_mosquitto(&bed, &(by_port.clone() + ONE)).await;
    let _terminal = terminal(gateway.home.path(), "line").await;
    let line = gateway.home.path().join("line");
    let clerk = gateway.workstation().await;
    bed.plug(&adapter("1-1", "ttyUSB0", None, &line)).await;
    until(&clerk, "till-1-1", "ready", 1).await;
    bed.unplug("1-1").await;
    clerk.until_state("till-1-1", &["absent"]).await;
    let own = [
        "koffer/1/case-7/dev/ec-terminal/state",
        "koffer/1/case-7/dev/gateway",
        "koffer/1/case-7/dev/gateway/state",
    ];
    let retained = gateway.retained().await;
    assert!(
        retained.contains(&"koffer/1/case-7/dev/till-1-1".to_owned()),
        "{retained:?}"
    );

    // The same rules, and the device is not plugged in any more: it is none of this life.
    let topics = "koffer/1/case-7/dev/+/state";
    let user = gateway.user();
    let mut watching = user.subscribe(&[topics], &["-F", "%t=%p"]);
    watching.until("dev/till-1-1/state={").await;
    gateway.restart(&bed, &(by_port + ONE)).await;
    loop {
        let line = watching.line().await.expect("more");
        if line.ends_with("dev/till-1-1/state=") {
            break;
        }
    }
    assert_eq!(gateway.retained().await, own);

    // And rules that are gone altogether.
    gateway.restart(&bed, "").await;
    loop {
        let line = watching.line().await.expect("more");
        if line.ends_with("dev/ec-terminal/state=") {
            break;
        }
    }
    assert_eq!(gateway.retained().await, own[1..]);
    gateway.stop().await;
}
