//! Printers and chip cards through the whole gateway: called with mosquitto's clients, on the
//! embedded broker and on mosquitto with the shipped configuration, and looked at by programs that
//! nobody here wrote.

#![expect(clippy::expect_used, reason = "helpers of a test fail the test")]

mod chip;
mod printing;
mod roles;

use koffer_tests::{brokers::ROOT, mosquitto::User, rr::answer};
use serde_json::Value;

/// A retained document of a device, as `mosquitto_sub` gets it.
async fn retained(user: &User, device: &str) -> Value {
    let topic = format!("{ROOT}/dev/{device}");
    let args = ["-t", &topic, "-C", "1", "-W", "10"];
    answer(&user.run("mosquitto_sub", &args).await)
}
