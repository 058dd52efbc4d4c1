//! What is to happen, all of it from the seed: which orders in which lane, which of them are
//! delivered twice or late, and which events come after how many of them. What the seed does not
//! decide is the timing of threads, processes and the network.

use std::fmt;

use fastrand::Rng;
use koffer_proto::Sha256;
use serde::Serialize;

/// Terminals and printers, each.
pub(crate) const DEVICES: usize = 4;
/// Who calls.
pub(crate) const CLIENTS: usize = 8;
/// Clerks who wait at one device at a time.
const CLERKS_PER_DEVICE: usize = 2;

/// Orders between two events: at least, and fewer than.
const BETWEEN: std::ops::Range<u32> = 8..34;
/// Of a hundred orders: delivered twice at once, the second time from another screen of the same
/// client, and again when it is long over.
const TWICE: u32 = 12;
const FROM_ELSEWHERE: u32 = 8;
const LATE: u32 = 15;

/// What a citizen came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    Payment,
    Print,
}

/// How the first publication of a call comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Delivery {
    Once,
    Twice,
    FromElsewhere,
}

/// One order: to be done exactly once, however often it is asked for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Order {
    pub(crate) work: Work,
    /// Its number among those of its kind, from 0, in no order.
    pub(crate) number: u32,
    pub(crate) delivery: Delivery,
    /// Delivered again once so many more orders are done.
    pub(crate) late: Option<u32>,
}

/// A clerk's orders at one device, one after the other.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Lane {
    /// Index of the client.
    pub(crate) client: usize,
    /// Index of the device among those of its kind.
    pub(crate) device: usize,
    pub(crate) orders: Vec<Order>,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mishap {
    /// The gateway is away for so long, and killed once more so long after its start.
    KillGateway {
        away_ms: u64,
        starting_ms: Option<u64>,
    },
    KillBroker {
        away_ms: u64,
    },
    KillGatewayAndBroker,
    KillTerminal {
        number: usize,
        away_ms: u64,
    },
    KillPrinter {
        number: usize,
        away_ms: u64,
    },
    CutClients,
    CutGateway,
    CutTerminal(usize),
    CutPrinter(usize),
    /// The journal's disk is full but for so many KiB, for so long; perhaps the gateway dies
    /// meanwhile.
    FullDisk {
        but_kib: u32,
        for_ms: u64,
        and_kill: bool,
    },
    /// From here on the gateway works with the other broker.
    ChangeBroker,
}

/// A mishap, and when it comes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Event {
    /// After so many orders are done.
    pub(crate) after: u32,
    /// And a moment, so that it hits anywhere.
    pub(crate) moment_ms: u64,
    pub(crate) mishap: Mishap,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Schedule {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) events: Vec<Event>,
}

impl Schedule {
    pub(crate) fn of(seed: u64, payments: u32, prints: u32) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut lanes: Vec<_> = [Work::Payment, Work::Print]
            .into_iter()
            .flat_map(|work| {
                let count = match work {
                    Work::Payment => payments,
                    Work::Print => prints,
                };
                lanes_of(work, count, &mut rng)
            })
            .collect();
        for (n, lane) in lanes.iter_mut().enumerate() {
            lane.client = n % CLIENTS;
        }
        Self {
            lanes,
            events: events(payments + prints, &mut rng),
        }
    }

    /// How many orders there are.
    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.orders.len()).sum()
    }

    /// What two runs of the same seed have in common.
    pub(crate) fn digest(&self) -> Sha256 {
        Sha256::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Payment => "pay",
            Self::Print => "print",
        })
    }
}

fn lanes_of(work: Work, count: u32, rng: &mut Rng) -> Vec<Lane> {
    let mut numbers: Vec<_> = (0..count).collect();
    rng.shuffle(&mut numbers);
    let mut lanes: Vec<_> = (0..DEVICES * CLERKS_PER_DEVICE)
        .map(|n| Lane {
            client: 0,
            device: n % DEVICES,
            orders: Vec::new(),
        })
        .collect();
    let clerks = lanes.len();
    for (n, number) in numbers.into_iter().enumerate() {
        let delivery = match rng.u32(..100) {
            n if n < TWICE => Delivery::Twice,
            n if n < TWICE + FROM_ELSEWHERE => Delivery::FromElsewhere,
            _ => Delivery::Once,
        };
        let late = (rng.u32(..100) < LATE).then(|| rng.u32(1..400));
        if let Some(lane) = lanes.get_mut(n % clerks) {
            lane.orders.push(Order {
                work,
                number,
                delivery,
                late,
            });
        }
    }
    lanes
}

fn events(orders: u32, rng: &mut Rng) -> Vec<Event> {
    // The other broker has its share, somewhere in the middle.
    let away = orders * 11 / 20;
    let back = orders * 4 / 5;
    let mut changes = vec![back, away];
    let mut events = Vec::new();
    let mut after = rng.u32(BETWEEN);
    while after < orders {
        let change = changes.pop_if(|at| *at <= after).is_some();
        let mishap = if change {
            Mishap::ChangeBroker
        } else {
            mishap(rng)
        };
        events.push(Event {
            after,
            moment_ms: rng.u64(..300),
            mishap,
        });
        after += rng.u32(BETWEEN);
    }
    events
}

fn mishap(rng: &mut Rng) -> Mishap {
    let number = rng.usize(..DEVICES);
    // Mostly back at once, sometimes only after clerks have asked again.
    let away_ms = match rng.u32(..10) {
        0..6 => 0,
        6..9 => rng.u64(..1_500),
        _ => rng.u64(1_500..6_000),
    };
    match rng.u32(..100) {
        0..26 => Mishap::KillGateway {
            away_ms,
            // It listens a tenth of a second after its start.
            starting_ms: (rng.u32(..4) == 0).then(|| rng.u64(..200)),
        },
        26..36 => Mishap::KillBroker { away_ms },
        36..41 => Mishap::KillGatewayAndBroker,
        41..56 => Mishap::KillTerminal { number, away_ms },
        56..64 => Mishap::KillPrinter { number, away_ms },
        64..74 => Mishap::CutClients,
        74..80 => Mishap::CutGateway,
        80..88 => Mishap::CutTerminal(number),
        88..94 => Mishap::CutPrinter(number),
        _ => Mishap::FullDisk {
            // No room at all, or a little below the least that new calls need (4 MiB).
            but_kib: rng.choice([0, 64, 3 * 1024]).unwrap_or_default(),
            for_ms: rng.u64(300..2_000),
            and_kill: rng.bool(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_run_and_another_is_another() {
        let one = Schedule::of(42, 200, 200);
        assert_eq!(one.digest(), Schedule::of(42, 200, 200).digest());
        assert_ne!(one.digest(), Schedule::of(43, 200, 200).digest());
        assert_eq!(one.len(), 400);
    }

    #[test]
    fn a_full_run_has_every_mishap_and_every_order_once() {
        let run = Schedule::of(7, 2_000, 2_000);
        for wanted in 0..11 {
            let kind = |mishap: &Mishap| match mishap {
                Mishap::KillGateway { .. } => 0,
                Mishap::KillBroker { .. } => 1,
                Mishap::KillGatewayAndBroker => 2,
                Mishap::KillTerminal { .. } => 3,
                Mishap::KillPrinter { .. } => 4,
                Mishap::CutClients => 5,
                Mishap::CutGateway => 6,
                Mishap::CutTerminal(_) => 7,
                Mishap::CutPrinter(_) => 8,
                Mishap::FullDisk { .. } => 9,
                Mishap::ChangeBroker => 10,
            };
            assert!(
                run.events.iter().any(|event| kind(&event.mishap) == wanted),
                "{wanted}"
            );
        }
        for work in [Work::Payment, Work::Print] {
            let orders = run.lanes.iter().flat_map(|lane| &lane.orders);
            let mut numbers: Vec<_> = orders
                .filter(|order| order.work == work)
                .map(|order| order.number)
                .collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
        }
    }
}
