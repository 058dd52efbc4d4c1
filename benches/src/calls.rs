//! Calls without effect: through the gateway, and answered by the bare responder, in turns.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    Outcome,
    caller::{Asked, Caller, until_said},
    echo::{CARDS, FILES},
    figures::{Round, Side, ratio},
    summary::Wanted,
    testbed::{BARE, GATEWAY, Kind, Process, Testbed, this_program},
};

/// What is called, in which encoding, by how many.
#[derive(Debug, Clone, Copy)]
struct Case {
    what: What,
    content_type: &'static str,
    clients: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// `read` of a file of this size. Its content may be personal: the answer goes with QoS 0.
    Read(usize),
    /// `connect`: 20 bytes of ATR, answered with QoS 1.
    Connect,
}

/// How both sides did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Compared {
    pub(crate) broker: &'static str,
    pub(crate) operation: &'static str,
    /// Content of the answer.
    pub(crate) bytes: usize,
    pub(crate) encoding: &'static str,
    pub(crate) clients: usize,
    pub(crate) koffer: Side,
    pub(crate) bare: Side,
    pub(crate) p50_ratio: f64,
    pub(crate) p99_ratio: f64,
    pub(crate) throughput_ratio: f64,
}

pub(crate) const JSON: &str = "application/json";
const CBOR: &str = "application/cbor";

fn cases(kind: Kind) -> Vec<Case> {
    let case = |what, content_type, clients| Case {
        what,
        content_type,
        clients,
    };
    let (small, large) = (What::Read(FILES[0].1), What::Read(FILES[1].1));
    let mut cases = Vec::new();
    for clients in [1, 32] {
        for what in [small, large] {
            for content_type in [JSON, CBOR] {
                cases.push(case(what, content_type, clients));
            }
        }
        cases.push(case(What::Connect, JSON, clients));
    }
    if kind == Kind::Embedded {
        // The way through the gateway is the same: one of each kind shows what the broker adds.
        cases.retain(|case| (case.content_type == CBOR) == (case.what == large));
    }
    cases
}

/// Measures every case on this kind of broker.
pub(crate) async fn measure(kind: Kind, wanted: &Wanted) -> Outcome<Vec<Compared>> {
    let bed = Testbed::new(kind)?;
    let (_gateway, _bare, bare_port) = raise(&bed).await?;
    let mut compared = Vec::new();
    for case in cases(kind).into_iter().take(wanted.cases) {
        compared.push(compare(&bed, bare_port, case, wanted).await?);
    }
    Ok(compared)
}

/// Starts the gateway with its cards and the bare responder; where the latter is reached.
pub(crate) async fn raise(bed: &Testbed) -> Outcome<(Process, Process, u16)> {
    let gateway = start_gateway(bed)?;
    let program = this_program()?;
    let (bare, bare_port) = match bed.kind {
        Kind::Mosquitto => (
            bed.start(&program, &["bare", &bed.port.to_string()])?,
            bed.port,
        ),
        Kind::Embedded => {
            let port = koffer_tests::mosquitto::free_port();
            let args = ["bare", &port.to_string(), "--embedded"];
            (bed.start(&program, &args)?, port)
        }
    };
    until_listening(bare_port).await?;
    until_ready(bed).await?;
    Ok((gateway, bare, bare_port))
}

/// Starts the gateway with its cards.
pub(crate) fn start_gateway(bed: &Testbed) -> Outcome<Process> {
    let config = bed.config("")?;
    bed.start(
        &this_program()?,
        &["gateway", &config.display().to_string()],
    )
}

/// Waits until every card is ready.
pub(crate) async fn until_ready(bed: &Testbed) -> Outcome<()> {
    until_listening(bed.port).await?;
    for card in CARDS {
        let topic = format!("koffer/1/{GATEWAY}/dev/{card}/state");
        until_said(bed.port, &topic, "\"ready\"").await?;
    }
    Ok(())
}

/// Waits until somebody listens on this port of loopback.
pub(crate) async fn until_listening(port: u16) -> Outcome<()> {
    let began = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        if began.elapsed() > Duration::from_secs(10) {
            return Err(format!("nobody listens on port {port}").into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

impl Case {
    fn asked(self) -> Asked {
        let (operation, payload) = match self.what {
            What::Connect => ("connect", "{}".to_owned()),
            What::Read(size) => {
                let path = FILES.iter().find(|(_, bytes)| *bytes == size);
                let path = path.map_or("", |(path, _)| path);
                ("read", format!("{{\"file\":{{\"path\":\"{path}\"}}}}"))
            }
        };
        Asked {
            gateway: GATEWAY,
            what: format!("{}/{operation}", CARDS[0]),
            payload: encoded(self.content_type, &payload),
            content_type: self.content_type,
        }
    }

    /// The same for the bare responder: as many bytes both ways, the same quality of service.
    fn asked_bare(self, answer: usize) -> Asked {
        let qos = u8::from(self.what == What::Connect);
        Asked {
            gateway: BARE,
            what: format!("{}/{qos}-{answer}", CARDS[0]),
            ..self.asked()
        }
    }
}

/// JSON text in the encoding asked for.
pub(crate) fn encoded(content_type: &str, json: &str) -> bytes::Bytes {
    let text = || json.to_owned().into_bytes();
    if content_type == JSON {
        return text().into();
    }
    let value = serde_json::from_str::<serde_json::Value>(json).ok();
    let cbor = value.and_then(|value| koffer_proto::ContentType::Cbor.encode(&value).ok());
    cbor.unwrap_or_else(text).into()
}

/// Makes one call and returns the length of its answer, which must say that all went well.
pub(crate) async fn checked(caller: &mut Caller, asked: &Asked) -> Outcome<usize> {
    let (_, answer) = caller.call(asked).await?;
    let ok: &[u8] = if asked.content_type == JSON {
        b"\"status\":\"ok\""
    } else {
        b"fstatusbok"
    };
    if answer.windows(ok.len()).take(64).any(|window| window == ok) {
        Ok(answer.len())
    } else {
        let told = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into_owned();
        Err(format!("{} was answered {told}", asked.what).into())
    }
}

async fn compare(bed: &Testbed, bare_port: u16, case: Case, wanted: &Wanted) -> Outcome<Compared> {
    let mut ours = Fleet::connect(bed.port, GATEWAY, case.clients).await?;
    let mut theirs = Fleet::connect(bare_port, BARE, case.clients).await?;
    let asked = case.asked();
    let answer = checked(&mut ours.0[0], &asked).await?;
    let asked_bare = case.asked_bare(answer);
    ours.run(&asked, answer, wanted.warm_up()).await?;
    theirs.run(&asked_bare, answer, wanted.warm_up()).await?;
    let (mut our_rounds, mut their_rounds) = (Vec::new(), Vec::new());
    for round in 0..wanted.rounds {
        for ours_first in [round % 2 == 0, round % 2 == 1] {
            if ours_first {
                our_rounds.push(ours.run(&asked, answer, wanted.round()).await?);
            } else {
                their_rounds.push(theirs.run(&asked_bare, answer, wanted.round()).await?);
            }
        }
    }
    Ok(Compared {
        broker: bed.kind.as_str(),
        operation: match case.what {
            What::Read(_) => "read",
            What::Connect => "connect",
        },
        bytes: match case.what {
            What::Read(bytes) => bytes,
            What::Connect => 20,
        },
        encoding: case.content_type,
        clients: case.clients,
        p50_ratio: ratio(&our_rounds, &their_rounds, |round| round.p50_us),
        p99_ratio: ratio(&our_rounds, &their_rounds, |round| round.p99_us),
        throughput_ratio: ratio(&our_rounds, &their_rounds, |round| round.per_second),
        koffer: Side::of(&our_rounds),
        bare: Side::of(&their_rounds),
    })
}

/// So much is shown of an answer that is not the one that was expected.
const SHOWN: usize = 400;

/// Clients that call at the same time, each one call after the other.
pub(crate) struct Fleet(pub(crate) Vec<Caller>);

impl Fleet {
    pub(crate) async fn connect(port: u16, gateway: &str, clients: usize) -> Outcome<Self> {
        let mut callers = Vec::new();
        for _ in 0..clients {
            callers.push(Caller::connect(port, 1, &[gateway]).await?);
        }
        Ok(Self(callers))
    }

    /// Calls for so long; every answer has to be as long as the one that was looked at.
    pub(crate) async fn run(
        &mut self,
        asked: &Asked,
        answer: usize,
        time: Duration,
    ) -> Outcome<Round> {
        self.run_each(|_| asked.clone(), answer, time).await
    }

    /// The same where the clients, counted from 0, call for different things.
    pub(crate) async fn run_each(
        &mut self,
        asked: impl Fn(usize) -> Asked,
        answer: usize,
        time: Duration,
    ) -> Outcome<Round> {
        let began = Instant::now();
        let mut running = JoinSet::new();
        for (client, mut caller) in self.0.drain(..).enumerate() {
            let asked = asked(client);
            running.spawn(async move {
                let mut took = Vec::new();
                while began.elapsed() < time {
                    let (lasted, payload) = caller.call(&asked).await?;
                    if payload.len() != answer {
                        let answer = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN)]);
                        return Err(format!("an answer of another length: {answer}").into());
                    }
                    took.push(lasted);
                }
                Outcome::Ok((caller, took))
            });
        }
        let mut all = Vec::new();
        while let Some(ended) = running.join_next().await {
            let (caller, took) = ended??;
            self.0.push(caller);
            all.extend(took);
        }
        Round::of(all, began.elapsed()).ok_or_else(|| "no call was made".into())
    }
}
