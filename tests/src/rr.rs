//! Calls as a person makes them: with `mosquitto_rr`.

use std::process::Output;

use serde_json::Value;

use crate::{brokers::ROOT, mosquitto::User};

/// Calls `path` (`<device>/<operation>`) as `client` under this call id, and waits for the
/// completion. An argument has 128 KiB at most; mosquitto 2.0.11 sends nothing of a file (`-f`).
///
/// # Panics
/// When `mosquitto_rr` does not end in time.
pub async fn rr(user: &User, client: &str, path: &str, id: &str, payload: &str) -> Output {
    let topic = format!("{ROOT}/call/{client}/{path}");
    let reply = format!("{ROOT}/reply/{client}/till");
    let correlation = ["-D", "publish", "correlation-data", id];
    let expiry = ["-D", "publish", "message-expiry-interval", "60"];
    let kind = ["-D", "publish", "content-type", "application/json"];
    let mut args = vec![
        "-q", "1", "-t", &topic, "-e", &reply, "-m", payload, "-W", "60",
    ];
    args.extend(correlation.iter().chain(&expiry).chain(&kind));
    user.run("mosquitto_rr", &args).await
}

/// The one JSON document that a client of mosquitto printed.
///
/// # Panics
/// When it printed something else.
pub fn answer(output: &Output) -> Value {
    let words = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no answer: {words} {output:?}"))
}
