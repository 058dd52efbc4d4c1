//! A client that asks for all the memory there is.

use std::time::Duration;

use koffer_fixtures::zvt::{Address, Terminal, TerminalConfig};
use koffer_gateway::bus::{Bus, Message};
use koffer_tests::{brokers::ROOT, client::Workstation};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::office::{Kofferd, Office};

const MIB: u64 = 1024 * 1024;

/// What is configured for calls and answers.
const MEMORY: u64 = 48 * MIB;

/// What the gateway takes beside that: itself, with its journal and its outbox for documents, and
/// what a call of 2 MiB takes while it is read.
const BESIDE: u64 = 48 * MIB;

/// Address space beyond what is used: stacks, arenas of the allocator, libraries.
const RESERVED: u64 = 512 * MIB;

const LARGEST: usize = 2 * 1024 * 1024;

/// After so many messages of the flood somebody else calls: what waits in the broker stays below
/// what it keeps for a client.
const BETWEEN: usize = 50;

/// One call of the flood.
fn call(id: &str, path: &str, reply: &str, payload: impl Into<Vec<u8>>) -> Message {
    let mut message = Message::new(format!("{ROOT}/call/ws-1/{path}"), payload.into());
    message.properties.response_topic = Some(format!("{ROOT}/reply/ws-1/{reply}"));
    message.properties.correlation_data = Some(id.to_owned().into());
    message.properties.message_expiry = Some(300);
    message.properties.content_type = Some("application/json".to_owned());
    message
}

/// The messages of the flood, each kind one that took memory without bound before.
fn flood() -> impl Iterator<Item = Message> {
    let payment = json!({"amount": {"cents": 3780, "currency": "EUR"}}).to_string();
    let joins = (0..2_000).map(move |n| {
        let reply = format!("{n}/{}", "x".repeat(60_000));
        call("joined", "ec-terminal/pay", &reply, payment.clone())
    });
    let schema = json!({"class": "payment", "operation": "pay"}).to_string();
    let schemas = (0..4_000).map(move |n| {
        call(
            &format!("schema-{n}"),
            "gateway/schema",
            "a",
            schema.clone(),
        )
    });
    let list = format!("[{}1]", "1,".repeat(LARGEST / 2 - 2));
    let lists =
        (0..200).map(move |n| call(&format!("list-{n}"), "ec-terminal/pay", "a", list.clone()));
    let reference = "x".repeat(LARGEST - 200);
    let large = (0..200).map(move |n| {
        let payload = json!({"amount": {"cents": n, "currency": "EUR"}, "unknown": reference});
        call(
            &format!("large-{n}"),
            "ec-terminal/pay",
            "a",
            payload.to_string(),
        )
    });
    joins.chain(schemas).chain(lists).chain(large)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_stays_within_the_configured_memory_and_keeps_nobody_from_being_answered() {
    let office = Office::open();
    let mut config = TerminalConfig::tcp(office.folder().join("ledger"));
    config.profile.cardholder.inserts_after_ms = 250_000;
    let terminal = Terminal::start(config).await.unwrap();
    let Address::Tcp(address) = &terminal.address else {
        unreachable!("a terminal on TCP");
    };
    let more = format!(
        "[limits]\nmax_payload_bytes = {LARGEST}\nmemory_bytes = {MEMORY}\noutbox_bytes = {}\n\
         [devices.ec-terminal]\ndriver = \"zvt\"\naddress = \"tcp://{address}\"\n",
        8 * MIB
    );
    let limit = MEMORY + BESIDE + RESERVED;
    let kofferd = Kofferd::start(&office, &more, Some(limit), |_| {});
    let other = Workstation::connect(office.port(), "ws-2", "secret-two").await;
    other.online().await;
    other.until_state("ec-terminal", &["ready"]).await;

    let (flooder, _heard) = Bus::start(office.bus("ws-1"));
    let (mut sent, mut slowest) = (Vec::new(), Duration::ZERO);
    let nothing: Value = json!({});
    for (n, message) in flood().enumerate() {
        sent.push(flooder.publish(message).unwrap());
        if n % BETWEEN == 0 {
            for sent in sent.drain(..) {
                sent.await.unwrap();
            }
            let start = std::time::Instant::now();
            let answer = timeout(super::SOON, other.ask("gateway", "calls", &nothing, 60)).await;
            let answer =
                answer.unwrap_or_else(|_| panic!("no answer after {n}: {}", kofferd.log()));
            assert_eq!(answer["status"], "ok", "{answer}");
            slowest = slowest.max(start.elapsed());
        }
    }
    let used = kofferd.kib("VmHWM:") * 1024;
    eprintln!(
        "resident {} MiB, address space {} MiB of {} MiB, slowest answer {slowest:?}",
        used / MIB,
        kofferd.kib("VmPeak:") / 1024,
        limit / MIB
    );
    assert!(used < MEMORY + BESIDE, "{} MiB", used / MIB);
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    kofferd.end();
}
