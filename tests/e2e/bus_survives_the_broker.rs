//! Whatever the bus reported as sent arrived, while a real broker is stalled, killed and cut off.
//!
//! Three faults, chosen by a seeded dice, twenty rounds, with publishes in flight all the time:
//! - *stall*: mosquitto is stopped (SIGSTOP) and goes on (SIGCONT);
//! - *kill*: mosquitto is stopped, then killed (SIGKILL) and started again; it has no persistence,
//!   so it knows nothing of us any more (session present = 0);
//! - *cut*: the TCP connection between bus and broker is cut in a relay, in the middle of whatever
//!   is under way; the broker lives and still has our session (session present = 1).
//!
//! The witness is `mosquitto_sub`, connected directly to the broker.
//!
//! What a killed mosquitto loses is not ours to answer for, so the set-up takes care that it has
//! nothing to lose. mosquitto 2.0 writes a QoS 1 message to the subscribers' sockets before it
//! answers the publisher with PUBACK, provided that the subscriber is there and no limit makes it
//! queue: hence no limit on messages in flight here, and on the witness's side the largest Receive
//! Maximum; what is in the witness's socket survives the broker. And between its start and the
//! return of the witness a new broker would acknowledge messages that nobody hears: hence every
//! message is retained under a topic of its own, and no kill happens before the witness has proved,
//! by printing a sentinel, that it is back and has been given what is retained.
//!
//! So the claim is: reported as sent, therefore acknowledged by a broker that had delivered it or
//! kept it. It is not that mosquitto keeps its promises over a power cut.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

use koffer_gateway::bus::{
    Address, Bus, Disconnection, Incoming, Message, Qos, Settings, Subscription,
};
use koffer_tests::mosquitto::{Mosquitto, PATIENCE, Subscriber, User};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const ROUNDS: u64 = 20;
const SEED: u64 = 0x6b6f_6666_6572;
/// Messages published but not yet reported: more than fit in flight, so that some always queue.
const OUTSTANDING: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    Stall,
    Kill,
    Cut,
}

/// SplitMix64: the same faults on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Passes bytes between the bus and the broker until told to cut.
struct Relay {
    port: u16,
    cuts: watch::Sender<u64>,
}

impl Relay {
    async fn start(broker_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a relay port");
        let port = listener.local_addr().expect("bound").port();
        let (cuts, cut) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cut = cut.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut broker) = TcpStream::connect(("127.0.0.1", broker_port)).await
                    else {
                        return;
                    };
                    broker.set_nodelay(true).ok();
                    client.set_nodelay(true).ok();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut broker) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port, cuts }
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// Publishes numbered messages until told to stop, and notes which were reported as sent.
async fn publish_all_the_time(
    bus: Bus,
    reported: Arc<Mutex<BTreeSet<u64>>>,
    stop: watch::Receiver<bool>,
) -> u64 {
    let places = Arc::new(Semaphore::new(OUTSTANDING));
    let mut reports = JoinSet::new();
    let mut number = 0;
    while !*stop.borrow() {
        let place = Arc::clone(&places).acquire_owned().await.expect("open");
        let message = Message::new(format!("out/{number}"), number.to_string()).retained();
        let sent = bus
            .publish(message)
            .expect("the outbox has room for all outstanding");
        let reported = Arc::clone(&reported);
        reports.spawn(async move {
            sent.await
                .expect("no message is refused, expires or is given up here");
            reported.lock().expect("unpoisoned").insert(number);
            drop(place);
        });
        number += 1;
        if number % 8 == 0 {
            // Leave the two processors to the others: this is a flow, not a flood.
            sleep(Duration::from_millis(2)).await;
        }
    }
    timeout(PATIENCE, async {
        while reports
            .join_next()
            .await
            .transpose()
            .expect("a report")
            .is_some()
        {}
    })
    .await
    .expect("every message is reported in the end");
    number
}

/// Reads the witness's lines: message numbers into a set, sentinels to the channel.
async fn witness(
    mut subscriber: Subscriber,
    seen: Arc<Mutex<HashSet<u64>>>,
    sentinels: mpsc::UnboundedSender<String>,
) {
    while let Ok(Some(line)) = timeout(PATIENCE, subscriber.line()).await {
        match line.parse() {
            Ok(number) => drop(seen.lock().expect("unpoisoned").insert(number)),
            Err(_) => drop(sentinels.send(line)),
        }
    }
}

/// Proves that the witness is subscribed and has read all that is retained or was published before.
async fn witness_is_back(user: &User, name: &str, sentinels: &mut mpsc::UnboundedReceiver<String>) {
    // Retained, so that it does not matter who comes first; "out/~" sorts with all others.
    user.publish("out/sentinel", name, &["-r"])
        .await
        .expect("the sentinel is published");
    timeout(PATIENCE, async {
        while sentinels.recv().await.expect("the witness lives") != name {}
    })
    .await
    .expect("the witness comes back");
}

/// Waits until a call published by another client reaches the bus: it has its subscription again.
async fn call_arrives(user: &User, name: &str, incoming: &mut mpsc::Receiver<Incoming>) {
    timeout(PATIENCE, async {
        loop {
            // While the bus is not subscribed the broker forgets it: ask again.
            user.publish("in/call", name, &[])
                .await
                .expect("the call is published");
            let answer = timeout(Duration::from_millis(200), async {
                loop {
                    match incoming.recv().await.expect("the bus lives") {
                        Incoming::Message(received) => {
                            let hit = received.message.payload == name.as_bytes();
                            received.ack.send();
                            if hit {
                                break;
                            }
                        }
                        Incoming::Disconnected {
                            reason: Disconnection::SubscriptionRefused { .. },
                        } => {
                            panic!("subscription refused")
                        }
                        Incoming::Connected { .. } | Incoming::Disconnected { .. } => {}
                    }
                }
            });
            if answer.await.is_ok() {
                return;
            }
        }
    })
    .await
    .expect("calls arrive again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_reported_as_sent_arrived() {
    let mut broker = Mosquitto::with_config(
        "allow_anonymous true\npersistence false\nset_tcp_nodelay true\n\
         max_inflight_messages 0\nmax_queued_messages 0\n",
    );
    let relay = Relay::start(broker.port()).await;
    let user = User::anonymous(broker.port());

    let seen = Arc::new(Mutex::new(HashSet::new()));
    let (sentinel_sender, mut sentinels) = mpsc::unbounded_channel();
    let options = [
        "-c",
        "-i",
        "witness",
        "-x",
        "3600",
        "-D",
        "connect",
        "receive-maximum",
        "65535",
    ];
    let subscriber = user.subscribe(&["out/#"], &options);
    tokio::spawn(witness(subscriber, Arc::clone(&seen), sentinel_sender));
    witness_is_back(&user, "start", &mut sentinels).await;

    let address = Address::Tcp {
        host: "127.0.0.1".into(),
        port: relay.port,
    };
    let mut settings = Settings::new(address, "kofferd");
    settings.keep_alive = Duration::from_secs(5);
    settings.subscriptions = vec![Subscription {
        filter: "in/#".into(),
        qos: Qos::AtLeastOnce,
    }];
    let (bus, mut incoming) = Bus::start(settings);
    let reported = Arc::new(Mutex::new(BTreeSet::new()));
    let (stop, stopped) = watch::channel(false);
    let flow = tokio::spawn(publish_all_the_time(
        bus.clone(),
        Arc::clone(&reported),
        stopped,
    ));

    let mut dice = Dice(SEED);
    let mut faults = HashSet::new();
    for round in 0..ROUNDS {
        sleep(Duration::from_millis(20 + dice.below(100))).await;
        let fault =
            [Fault::Stall, Fault::Kill, Fault::Cut][usize::try_from(dice.below(3)).expect("small")];
        faults.insert(fault);
        let pause = Duration::from_millis(dice.below(300));
        match fault {
            Fault::Stall => {
                broker.stall();
                sleep(pause).await;
                broker.resume();
            }
            Fault::Kill => {
                broker.stall();
                sleep(pause).await;
                broker.kill();
                broker.restart();
            }
            Fault::Cut => {
                broker.stall();
                sleep(pause).await;
                relay.cut();
                broker.resume();
            }
        }
        let name = format!("round-{round}");
        witness_is_back(&user, &name, &mut sentinels).await;
        call_arrives(&user, &name, &mut incoming).await;
    }
    assert_eq!(faults.len(), 3, "the seed brings every fault");

    stop.send(true).expect("the publisher runs");
    let published = flow.await.expect("the publisher");
    witness_is_back(&user, "end", &mut sentinels).await;
    let closed = bus.close(PATIENCE).await;
    assert_eq!(closed.unsent, 0);

    let reported = reported.lock().expect("unpoisoned").clone();
    assert_eq!(
        reported.len() as u64,
        published,
        "every message was reported in the end"
    );
    let seen = seen.lock().expect("unpoisoned").clone();
    let lost: Vec<_> = reported
        .iter()
        .filter(|number| !seen.contains(number))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {published} reported as sent but lost: {lost:?}",
        lost.len()
    );
    assert!(
        published > 1000,
        "publishes were in flight all the time, not {published}"
    );
}
