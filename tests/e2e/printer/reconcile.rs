//! The gateway dies at every point of a print; a driver that knows nothing but the call's record
//! asks the printer, and what it says is compared with the tray.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use koffer_drivers::{Interrupted, Reconciled, Stop, printer::ipp::IppConfig};
use koffer_proto::{
    Effect, Outcome, Response, Status,
    class::document_printer::{self, Printed},
};
use koffer_tests::proxy::{Plan, Proxy};
use tokio::task::JoinSet;

use super::{
    Office, PAGE,
    cuts::{PRINTERS, open, plans},
    runner::{Death, PATIENCE, Record, Step, print, print_of},
    sheets,
};

/// One in so many bytes; the rest of the driver's bytes are cut in `cuts`.
const STRIDE: usize = 5;

fn settled(reconciled: &Reconciled) -> (Status, Effect) {
    match reconciled {
        Reconciled::Settled(Outcome::Ok(_)) => (Status::Ok, Effect::Done),
        Reconciled::Settled(Outcome::Failed(failure)) => (failure.status(), failure.effect()),
        other => panic!("not settled: {other:?}"),
    }
}

fn undecided(reconciled: &Reconciled) -> &str {
    match reconciled {
        Reconciled::Undecided(reason) => &reason.keyword,
        other => panic!("not undecided: {other:?}"),
    }
}

fn completed(reconciled: &Reconciled) -> (Option<&str>, Option<u64>) {
    match reconciled {
        Reconciled::Settled(Outcome::Failed(failure)) => {
            (failure.detail.cause.as_deref(), failure.detail.completed)
        }
        other => panic!("not failed: {other:?}"),
    }
}

fn told_printed(reconciled: &Reconciled) -> Printed {
    match reconciled {
        Reconciled::Settled(Outcome::Ok(Response::DocumentPrinter(
            document_printer::Response::Print(printed),
        ))) => printed.clone(),
        other => panic!("not printed: {other:?}"),
    }
}

/// Whether what is said agrees with what lies in the tray of it.
fn agrees(reconciled: &Reconciled, tray: &[Vec<u8>]) -> bool {
    match (reconciled, tray) {
        (Reconciled::Settled(Outcome::Ok(_)), [content]) => content == PAGE,
        (Reconciled::Settled(Outcome::Ok(_)) | Reconciled::Lost(_) | Reconciled::NotYet(_), _) => {
            false
        }
        (Reconciled::Settled(Outcome::Failed(failure)), printed) => match failure.effect() {
            Effect::None => printed.is_empty(),
            Effect::Partial | Effect::Done => printed.len() == 1,
            Effect::Unknown => false,
        },
        (Reconciled::Undecided(_), printed) => printed.len() <= 1,
    }
}

/// Whether nobody could know: the document was on its way, and the printer had not yet said that
/// it has it. Until then the printer's `completed` says nothing of the document's length.
fn is_beyond_knowing(interrupted: &Interrupted) -> bool {
    let milestones = interrupted.milestones.iter();
    milestones.map(|m| m.step.as_ref()).eq(["created"])
}

/// Prints at this printer until the gateway dies.
async fn killed_at(office: &Office, id: &str, death: Death) -> Record {
    let record = Record::dying(death);
    let device = office.device().await;
    let running = device.begin_with(id, print(print_of(PAGE)), PATIENCE, record.clone());
    record.death().await;
    running.kill().await;
    record
}

/// A print whose gateway died when the printer had said that it has the document.
async fn delivered(office: &Office) -> Interrupted {
    let last = Death {
        entry: 3,
        stored: true,
    };
    let record = killed_at(office, "a", last).await;
    record.interrupted("a").expect("the effect may have begun")
}

#[tokio::test]
async fn a_print_killed_at_any_entry_of_its_record_is_known_afterwards() {
    for (entry, stored, expected) in [
        (0, false, None),
        (0, true, None),
        (1, false, None),
        (1, true, None),
        (2, false, None),
        // Before the first byte of the document.
        (2, true, Some((Status::Cancelled, Effect::None))),
        (3, true, Some((Status::Ok, Effect::Done))),
    ] {
        let office = Office::open().await;
        let record = killed_at(&office, "a", Death { entry, stored }).await;
        let mut device = office.device().await;
        let interrupted = record.interrupted("a");
        assert_eq!(interrupted.is_some(), expected.is_some(), "{entry}");
        if let (Some(interrupted), Some(expected)) = (interrupted, expected) {
            let said = device.reconcile(&interrupted).await;
            assert_eq!(settled(&said), expected, "{entry} {said:?}");
            assert!(agrees(&said, &office.tray()), "{said:?}");
            // Asked again, it says the same, and nothing more is printed.
            assert_eq!(device.reconcile(&interrupted).await, said);
            assert!(agrees(&said, &office.tray()), "{said:?}");
        } else {
            assert_eq!(office.tray(), Vec::<Vec<u8>>::new());
        }
        // Nothing is left in the way of the next.
        let before = office.tray().len();
        let (_, ended) = device.run("b", print(print_of(PAGE))).await;
        assert_eq!(ended.told(), (Status::Ok, Effect::Done));
        assert_eq!(office.tray().len(), before + 1);
    }
}

#[tokio::test]
async fn a_document_of_which_the_printer_did_not_say_that_it_has_it_is_in_doubt() {
    let office = Office::open().await;
    let unsaid = Death {
        entry: 3,
        stored: false,
    };
    let record = killed_at(&office, "a", unsaid).await;
    let interrupted = record.interrupted("a").expect("it began");
    assert!(is_beyond_knowing(&interrupted));
    // While it prints it would be cancelled and told by its sheets.
    office.until_completed("a").await;
    let said = office.device().await.reconcile(&interrupted).await;
    assert_eq!(undecided(&said), "connection-lost");
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn a_print_that_goes_on_without_the_gateway_is_waited_for() {
    let office = Office::open().await;
    office.set("pages", "2");
    office.set("hold-1", "");
    let interrupted = delivered(&office).await;
    let mut device = office.device().await;
    let waiting = tokio::spawn(async move { device.reconcile(&interrupted).await });
    office.until_processing("a").await;
    assert!(!waiting.is_finished());
    office.clear("hold-1");
    let said = waiting.await.expect("it is answered");
    let printed = told_printed(&said);
    assert_eq!((printed.job, printed.sheets), (1, Some(2)));
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn a_print_whose_time_was_up_is_ended_and_told_by_its_sheets() {
    let office = Office::open().await;
    office.set("pages", "3");
    office.set("hold-1", "");
    let mut interrupted = delivered(&office).await;
    interrupted.accepted_at -= interrupted.operation.max_duration;
    let mut device = office.device().await;
    let waiting = tokio::spawn(async move { device.reconcile(&interrupted).await });
    office.until_cancelling("a").await;
    office.set("stop", "");
    office.clear("hold-1");
    let said = waiting.await.expect("it is answered");
    assert_eq!(settled(&said), (Status::TimedOut, Effect::Partial));
    assert_eq!(completed(&said), (Some("deadline"), Some(1)));
}

#[tokio::test]
async fn a_print_that_was_being_cancelled_is_told_as_cancelled_by_its_caller() {
    let office = Office::open().await;
    office.set("pages", "3");
    office.set("hold-2", "");
    let device = office.device().await;
    let mut running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    running.until(sheets(2)).await;
    running.steering.stop(Stop::Cancelled);
    office.until_cancelling("a").await;
    let record = running.kill().await;
    office.set("stop", "");
    office.clear("hold-2");
    let interrupted = record.interrupted("a").expect("it began");
    let said = office.device().await.reconcile(&interrupted).await;
    assert_eq!(settled(&said), (Status::Cancelled, Effect::Partial));
    assert_eq!(completed(&said), (Some("cancelled-by-caller"), Some(2)));
}

#[tokio::test]
async fn what_an_engine_printed_before_it_failed_is_told() {
    let office = Office::open().await;
    office.set("fail", "");
    let interrupted = delivered(&office).await;
    let said = office.device().await.reconcile(&interrupted).await;
    assert_eq!(settled(&said), (Status::DeviceFault, Effect::Partial));
    assert_eq!(completed(&said), (Some("aborted-by-printer"), Some(1)));

    // The same of a printer that counts nothing: only the tray tells.
    let office = Office::open().await;
    office.set("fail", "");
    office.set("uncounted", "");
    let interrupted = delivered(&office).await;
    let said = office.device().await.reconcile(&interrupted).await;
    assert_eq!(undecided(&said), "aborted-by-printer");
}

#[tokio::test]
async fn a_printer_that_restarted_knows_nothing_and_nothing_is_printed_again() {
    let mut office = Office::open().await;
    office.set("pages", "2");
    office.set("hold-1", "");
    let device = office.device().await;
    let mut running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    running.until(sheets(1)).await;
    let record = running.kill().await;
    let interrupted = record.interrupted("a").expect("it began");
    office.printer.kill().expect("SIGKILL");
    office.printer.restart().await.expect("it comes back");
    // A job of that name and number, and somebody else's: to take it for ours would be to say
    // that nothing was printed.
    office.create_job("somebody", "koffer/ws-1/a").await;
    office.cancel_job(1).await;
    let mut device = office.device().await;
    let said = device.reconcile(&interrupted).await;
    let keyword = undecided(&said);
    assert!(
        ["printer-restarted", "job-history-gone"].contains(&keyword),
        "{keyword}"
    );
    // Up for longer than clocks differ: it is known for a restart.
    let mut earlier = interrupted.clone();
    for milestone in &mut earlier.milestones {
        if let Some(boot) = milestone.facts.get_mut("printer-boot") {
            let then: i64 = boot.parse().expect("seconds");
            *boot = (then - 60).to_string();
        }
    }
    let said = device.reconcile(&earlier).await;
    assert_eq!(undecided(&said), "printer-restarted");
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn another_printer_at_the_address_is_not_asked() {
    let (office, other) = (Office::open().await, Office::open().await);
    let interrupted = delivered(&office).await;
    let said = other.device().await.reconcile(&interrupted).await;
    assert_eq!(undecided(&said), "another-printer");
}

#[tokio::test]
async fn a_printer_that_goes_away_over_the_question_is_asked_again_later() {
    let mut office = Office::open().await;
    office.set("hold-0", "");
    let interrupted = delivered(&office).await;
    let mut device = office.device().await;
    let asked = interrupted.clone();
    let waiting = tokio::spawn(async move { device.reconcile(&asked).await });
    office.until_processing("a").await;
    office.printer.kill().expect("SIGKILL");
    let said = waiting.await.expect("it is answered");
    assert!(matches!(said, Reconciled::Lost(_)), "{said:?}");
    office.printer.restart().await.expect("it comes back");
    let said = office.device().await.reconcile(&interrupted).await;
    assert!(matches!(said, Reconciled::Undecided(_)), "{said:?}");
}

/// What one killed print was said to be.
#[derive(Debug)]
struct Seen {
    id: String,
    plan: Plan,
    said: Option<Reconciled>,
    beyond_knowing: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_print_killed_at_any_byte_is_told_as_what_lies_in_the_tray_or_could_not_be_known() {
    let plans = plans().await.into_iter().step_by(STRIDE);
    let plans = plans.map(|plan| Plan { held: true, ..plan });
    let plans: Arc<Vec<_>> = Arc::new(plans.collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..PRINTERS {
        workers.spawn(work(plans.clone(), next.clone()));
    }
    let mut verdicts = BTreeMap::new();
    while let Some(seen) = workers.join_next().await {
        for (seen, in_tray) in seen.expect("a printer is tried") {
            let verdict = match &seen.said {
                None => "never begun".to_owned(),
                Some(Reconciled::Undecided(reason)) => {
                    assert!(seen.beyond_knowing, "{seen:?}");
                    format!("undecided: {}, {in_tray} in the tray", reason.keyword)
                }
                Some(settled_as) => format!("settled: {:?}", settled(settled_as)),
            };
            *verdicts.entry(verdict).or_insert(0_u32) += 1;
        }
    }
    println!("{} deaths: {verdicts:#?}", plans.len());
    for expected in ["never begun", "settled: (Ok, Done)"] {
        assert!(verdicts.contains_key(expected), "{verdicts:?}");
    }
}

/// Kills prints at a printer of its own, then compares with the tray.
async fn work(plans: Arc<Vec<Plan>>, next: Arc<AtomicUsize>) -> Vec<(Seen, &'static str)> {
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
        let id = format!("dead{number}x");
        proxy.arm(Some(plan));
        let mut running = device.begin(&id, print(print_of(PAGE)), PATIENCE);
        let held = tokio::select! {
            () = proxy.happened() => true,
            () = running.ended() => false,
        };
        proxy.arm(None);
        if !held {
            // It took fewer looks than the one that was measured.
            let (back, ended) = running.end().await;
            assert_eq!(ended.told(), (Status::Ok, Effect::Done));
            device = back;
            continue;
        }
        let record = running.kill().await;
        device = open(&config).await;
        let interrupted = record.interrupted(&id);
        let beyond_knowing = interrupted.as_ref().is_some_and(is_beyond_knowing);
        let said = match &interrupted {
            Some(interrupted) => Some(device.reconcile(interrupted).await),
            None => None,
        };
        assert!(record.steps().contains(&Step::Started) == said.is_some());
        all.push(Seen {
            id,
            plan,
            said,
            beyond_knowing,
        });
    }
    // Whatever was still under way has come out when the printer takes another one.
    let (_, ended) = device.run("last", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    let tray = office.printer.printed().expect("the tray");
    let compared = all.into_iter().map(|seen| {
        let of_it = tray.iter().filter(|(name, _)| name.contains(&seen.id));
        let of_it: Vec<_> = of_it.map(|(_, content)| content.clone()).collect();
        let agrees = match &seen.said {
            Some(said) => agrees(said, &of_it),
            None => of_it.is_empty(),
        };
        let Seen { id, plan, said, .. } = &seen;
        assert!(
            agrees,
            "{id} {plan:?}: {said:?}, and in the tray: {of_it:?}"
        );
        let in_tray = match of_it.first() {
            None => "nothing",
            Some(content) if content == PAGE => "all of it",
            Some(_) => "a part",
        };
        (seen, in_tray)
    });
    compared.collect()
}
