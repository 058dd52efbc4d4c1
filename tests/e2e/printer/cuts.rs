//! One print, cut at every byte in both directions: what is told agrees with the tray.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use koffer_drivers::printer::ipp::IppConfig;
use koffer_proto::{Effect, Status};
use koffer_tests::proxy::{Cut, Plan, Proxy, Way};
use tokio::task::JoinSet;

use super::{
    Office, PAGE,
    runner::{Device, PATIENCE, print, print_of},
};

/// Printers that are tried at the same time. Each mostly waits.
pub(crate) const PRINTERS: usize = 24;

/// What one cut print was told to be.
#[derive(Debug)]
struct Seen {
    id: String,
    plan: Plan,
    told: (Status, Effect),
}

pub(crate) async fn open(config: &IppConfig) -> Device {
    let began = Instant::now();
    loop {
        match Device::open(config).await {
            Ok(device) => return device,
            Err(fault) => {
                let waited = began.elapsed();
                assert!(waited < PATIENCE, "the printer is not found again: {fault}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_print_cut_at_any_byte_is_told_as_what_lies_in_the_tray_and_never_printed_twice() {
    let plans = Arc::new(plans().await);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..PRINTERS {
        workers.spawn(work(plans.clone(), next.clone()));
    }
    let mut endings = BTreeMap::new();
    while let Some(seen) = workers.join_next().await {
        for seen in seen.expect("a printer is tried") {
            let (status, effect) = seen.told;
            *endings.entry((status, effect.as_str())).or_insert(0_u32) += 1;
        }
    }
    println!("{} cuts: {endings:?}", plans.len());
    assert!(endings.contains_key(&(Status::Ok, "done")), "{endings:?}");
}

/// Every byte of one print that is not cut.
pub(crate) async fn plans() -> Vec<Plan> {
    let office = Office::open().await;
    let proxy = Proxy::to(office.printer.port()).await;
    let device = Device::at(&proxy.uri()).await;
    proxy.arm(None);
    let (_, ended) = device.run("whole", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    let (to_printer, from_printer) = proxy.passed();
    let bytes = |way, count| {
        (0..count).map(move |after| Plan {
            way,
            after,
            cut: if after % 2 == 0 {
                Cut::Closed
            } else {
                Cut::Torn
            },
            held: false,
        })
    };
    bytes(Way::ToPrinter, to_printer)
        .chain(bytes(Way::FromPrinter, from_printer))
        .collect()
}

/// Tries plans at a printer of its own, then compares with the tray.
async fn work(plans: Arc<Vec<Plan>>, next: Arc<AtomicUsize>) -> Vec<Seen> {
    let office = Office::open().await;
    let proxy = Proxy::to(office.printer.port()).await;
    let config = IppConfig::new(proxy.uri().parse().expect("a URI"));
    let mut device = open(&config).await;
    let mut all = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(plan) = plans.get(number).copied() else {
            break;
        };
        let id = format!("cut{number}x");
        proxy.arm(Some(plan));
        let (back, ended) = device
            .begin(&id, print(print_of(PAGE)), PATIENCE)
            .end()
            .await;
        let told = ended.told();
        device = if ended.is_in_contact() {
            back
        } else {
            proxy.arm(None);
            open(&config).await
        };
        all.push(Seen { id, plan, told });
    }
    // Whatever was still under way has come out when the printer takes another one.
    proxy.arm(None);
    let (_, ended) = device.run("last", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    let tray = office.printer.printed().expect("the tray");
    for seen in &all {
        let of_it: Vec<_> = tray
            .iter()
            .filter(|(name, _)| name.contains(&seen.id))
            .collect();
        let agrees = match (seen.told, of_it.as_slice()) {
            ((Status::Ok, _), [(_, content)]) => content == PAGE,
            ((_, Effect::None), printed) => printed.is_empty(),
            ((_, Effect::Unknown), printed) => printed.len() <= 1,
            ((_, Effect::Partial | Effect::Done), printed) => printed.len() == 1,
        };
        let Seen { id, plan, told } = seen;
        assert!(
            agrees,
            "{id} {plan:?}: {told:?}, and in the tray: {of_it:?}"
        );
    }
    all
}
