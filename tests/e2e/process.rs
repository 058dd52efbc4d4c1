//! `kofferd` as a process of its own, with mosquitto: what only a process can show.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

mod flood;
mod office;

use std::{os::unix::net::UnixDatagram, time::Duration};

use koffer_tests::client::Workstation;
use office::{Kofferd, Office};
use serde_json::json;
use tokio::time::timeout;

/// What answers at once has answered by then.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_systemd_that_reads_nothing_holds_up_no_call() {
    let office = Office::open();
    let path = office.folder().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    let kofferd = Kofferd::start(&office, "", None, |command| {
        // A beat each millisecond: the socket is full at once.
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "2000");
    });
    let app = Workstation::connect(office.port(), "ws-1", "secret-one").await;
    app.online().await;
    for _ in 0..100 {
        let nothing = json!({});
        let answer = app.ask("gateway", "calls", &nothing, 20);
        let answer = timeout(SOON, answer).await.unwrap();
        assert_eq!(answer["status"], "ok", "{answer}");
    }
    let mut first = [0; 64];
    systemd.set_nonblocking(true).unwrap();
    let mut beats = 0;
    while systemd.recv(&mut first).is_ok() {
        beats += 1;
    }
    assert!(beats > 5, "the socket was full: {beats}");
    kofferd.end();
}
