//! Every library on either broker: what it was told, compared with what the devices show.

use std::collections::BTreeMap;

use koffer_fixtures::{case::Case, zvt::Event};
use koffer_proto::Blob;
use koffer_tests::{
    client::Workstation,
    office::{BROKERS, Broker},
};
use serde_json::{Value, json};

use super::{
    library::{self, LIBRARIES, Library, Transport},
    page, raise, root, settings,
};

/// The chip's file.
const ADDRESS: u16 = 0x0101;

/// What is tried, in the order of the page.
pub(crate) const TRIED: [&str; 6] = ["pay", "progress", "print", "chip", "replay", "refusal"];

/// What was seen of a library on a broker: `Err` says what was wrong.
pub(crate) type Row = BTreeMap<&'static str, Result<(), String>>;

/// What the devices show.
#[derive(Debug, PartialEq)]
struct Effects {
    booked: Vec<i64>,
    printed: Vec<Vec<u8>>,
    chip: Vec<u8>,
    commands: u64,
}

async fn effects(case: &Case) -> Effects {
    let terminal = &case.terminals["ec-terminal"];
    let ledger = terminal.control.ledger().await.expect("a ledger");
    let booked = ledger.list(Event::Booked).into_iter();
    let printed = case.printers["forms-printer-1"].home.printed();
    let chip = &case.card_terminals["card-terminal"];
    Effects {
        booked: booked.map(|entry| entry.cents).collect(),
        printed: printed
            .expect("a tray")
            .into_iter()
            .map(|(_, content)| content)
            .collect(),
        chip: chip.with_card(|card| card.file(ADDRESS)),
        commands: chip.with_card(|card| card.with_chip(|chip| chip.executed())),
    }
}

/// A form of two pages, as large as one with pictures.
fn form(title: &str) -> Blob {
    let path = root().join("hw-fixtures/documents/anschrift.pdf");
    let mut pdf = std::fs::read(path).expect("the form");
    pdf.extend(format!("% {title}\n").bytes());
    pdf.extend((0..250_000_u32).flat_map(u32::to_le_bytes));
    pdf.extend(b"\n%%EOF\n");
    Blob::from(pdf)
}

/// The calls of one clerk. Their ids are the clerk's own, and are kept.
struct Calls {
    cents: i64,
    form: Blob,
    address: String,
    once: Vec<Value>,
    read: Value,
}

impl Calls {
    fn of(clerk: &str, cents: i64) -> Self {
        let form = form(clerk);
        let address = format!("Marktplatz 1, {clerk}");
        let content = Blob::from(address.clone().into_bytes());
        let file = json!({"path": "3f00/0101"});
        let call = |device: &str, operation: &str, params: Value| {
            let id = format!("{clerk}-{operation}");
            json!({"device": device, "operation": operation, "call": id, "params": params})
        };
        let document = json!({
            "format": "application/pdf", "sha256": form.sha256(), "content": form,
        });
        let amount = json!({"cents": cents, "currency": "EUR"});
        let read = json!({"file": file, "length": address.len()});
        Self {
            once: vec![
                call("ec-terminal", "pay", json!({"amount": amount})),
                call("forms-printer", "print", json!({"document": document})),
                call(
                    "card-terminal",
                    "write",
                    json!({"file": file, "content": content}),
                ),
            ],
            read: call("card-terminal", "read", read),
            cents,
            form,
            address,
        }
    }
}

fn check(good: bool, story: impl FnOnce() -> String) -> Result<(), String> {
    if good { Ok(()) } else { Err(story()) }
}

/// Progress is numbered from 1, and what a person reads at the terminal is told.
fn progress(paid: &Value) -> Result<(), String> {
    let told = paid["progress"].as_array().map_or(&[][..], Vec::as_slice);
    let numbered = told.iter().map(|event| event["seq"].as_u64());
    let in_order = numbered.eq((1..).map(Some).take(told.len()));
    let texts = told.iter().any(|event| event["event"] == "terminal-text");
    check(in_order && texts, || paid.to_string())
}

async fn row(case: &Case, library: &Library, clerk: &str, cents: i64) -> Row {
    let broker = match library.transport {
        Transport::Tcp => case.broker.to_string(),
        Transport::WebSocket => format!("ws://{}/mqtt", case.websocket.expect("a port for it")),
    };
    let own = settings(case, broker.clone(), "ws-1");
    let calls = Calls::of(clerk, cents);
    let before = effects(case).await;
    let all: Vec<_> = calls.once.iter().chain([&calls.read]).cloned().collect();
    let told = match library.run(&own, &all).await {
        Ok(told) if told.len() == all.len() => told,
        other => {
            let story = format!("{other:?}");
            return TRIED
                .into_iter()
                .map(|what| (what, Err(story.clone())))
                .collect();
        }
    };
    let after = effects(case).await;
    let is_ok = |place: usize| told[place]["completion"]["status"] == "ok";
    let mut row = Row::new();
    let booked = [&before.booked[..], &[calls.cents]].concat();
    let story = || format!("{:?}: {}", after.booked, told[0]);
    row.insert("pay", check(is_ok(0) && after.booked == booked, story));
    row.insert("progress", progress(&told[0]));
    let new = after
        .printed
        .get(before.printed.len()..)
        .unwrap_or_default();
    let came_out = new == [calls.form.as_bytes()];
    row.insert("print", check(is_ok(1) && came_out, || told[1].to_string()));
    let holds = after.chip.starts_with(calls.address.as_bytes());
    let content = json!(Blob::from(calls.address.into_bytes()));
    let read = told[3]["completion"]["result"]["content"] == content;
    let story = || format!("{} {}", told[2], told[3]);
    row.insert("chip", check(is_ok(2) && holds && read, story));

    // A new process with a new client id, which knows nothing but the call ids.
    let replayed = match library.run(&own, &calls.once).await {
        Ok(again) => {
            let first = told.iter().map(|told| &told["completion"]);
            let same = again.iter().map(|told| &told["completion"]);
            let same = again.len() == calls.once.len() && first.zip(same).all(|(a, b)| a == b);
            let now = effects(case).await;
            check(same && now == after, || format!("{same}: {again:?}"))
        }
        Err(words) => Err(words),
    };
    row.insert("replay", replayed);
    row.insert(
        "refusal",
        refusal(case, library, broker, &calls.once[..1]).await,
    );
    row
}

/// A wrong password is told by every library, and a call that the broker takes from nobody by
/// those that can.
async fn refusal(
    case: &Case,
    library: &Library,
    broker: String,
    calls: &[Value],
) -> Result<(), String> {
    let mut wrong = settings(case, broker.clone(), "ws-1");
    "tech-1".clone_into(&mut wrong[2].1);
    let monitor = settings(case, broker, "fleet-1");
    let tried = [Some(&wrong), library.tells_refusals().then_some(&monitor)];
    for settings in tried.into_iter().flatten() {
        let told = library.run(settings, calls).await;
        let refused = told.as_ref().is_err_and(|words| words.contains("Refused"));
        check(refused, || format!("{settings:?}: {told:?}"))?;
    }
    Ok(())
}

async fn try_all(broker: Broker) -> Vec<(&'static Library, Broker, Row)> {
    let case = raise("demo", broker, "").await;
    let password = case.clients["ws-1"].password().expect("a password");
    let watcher = Workstation::connect(case.broker.port(), "ws-1", &password).await;
    for device in case.file.devices.keys() {
        watcher.until_state(device, &["ready"]).await;
    }
    let mut rows = Vec::new();
    for (number, library) in (1..).zip(&LIBRARIES) {
        let clerk = format!("clerk-{number}");
        rows.push((
            library,
            broker,
            row(&case, library, &clerk, 1000 + number).await,
        ));
    }
    case.stop().await;
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_other_makers_pay_print_and_write_once_with_either_broker() {
    library::prepare();
    let [one, other] = BROKERS.map(try_all);
    let (one, other) = tokio::join!(one, other);
    let rows = [one, other].concat();
    let wrong = rows.iter().flat_map(|(library, broker, row)| {
        let wrong = row
            .iter()
            .filter_map(|(what, seen)| Some((what, seen.as_ref().err()?)));
        wrong.map(move |(what, story)| {
            let transport = library.transport;
            format!("{} {transport:?} {broker:?} {what}: {story}", library.name)
        })
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    page::check(&rows);
}

/// The broker's name on the page.
pub(crate) fn name(broker: Broker) -> &'static str {
    match broker {
        Broker::Embedded => "embedded",
        Broker::Mosquitto => "mosquitto",
    }
}
