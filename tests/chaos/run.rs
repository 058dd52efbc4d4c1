//! A run: everything begins, the events come, everything ends, and the books are compared.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Outcome,
    audit::{Books, Findings, audit},
    export,
    office::Office,
    report::Report,
    schedule::{CLIENTS, Event, Schedule},
    station::{Answers, Station},
    world::{TECHNICIAN, World, client},
};

/// Between two lines that say how far it is.
const TELL: Duration = Duration::from_secs(15);

/// The whole run. The folder with logs and books is kept where something was found.
pub(crate) async fn run(seed: u64, schedule: &Schedule) -> Outcome<Report> {
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("koffer-chaos-").tempdir()?;
    let mut world = World::raise(folder.path()).await?;
    let password = |name: &str| -> Outcome<String> {
        let access = world.case.clients.get(name).ok_or("no such client")?;
        Ok(access.password()?)
    };
    let passwords: Vec<_> = (0..CLIENTS)
        .map(|n| password(&client(n)))
        .collect::<Outcome<_>>()?;
    let answers = Arc::new(Answers::default());
    let port = world.port();
    let technician = Station::connect(port, TECHNICIAN, &password(TECHNICIAN)?, "a", &answers);
    let office = Arc::new(Office::open(
        port,
        &passwords,
        &answers,
        world.truth.clone(),
    ));
    println!("{:>5} s  the case is up", began.elapsed().as_secs());

    let (mailbox, late) = mpsc::unbounded_channel();
    let mut clerks = JoinSet::new();
    for lane in schedule.lanes.clone() {
        let (office, mailbox) = (office.clone(), mailbox.clone());
        clerks.spawn(async move { office.serve(&lane, mailbox).await });
    }
    drop(mailbox);
    let people = async {
        let serving = async {
            while let Some(lane) = clerks.join_next().await {
                lane??;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        };
        let (served, delivered) = tokio::join!(serving, office.deliver_late(late));
        served?;
        delivered
    };
    let working = async {
        let done = office.done.subscribe();
        let suffered = mishaps(&mut world, &schedule.events, done, began);
        let (delivered, suffered) = tokio::join!(people, suffered);
        suffered?;
        delivered
    };
    let delivered_late = tokio::select! {
        delivered = working => delivered?,
        stopped = office.look_after(&technician) => return Err(stopped.err().unwrap_or_else(|| "the technician went home".into())),
        () = tell(office.done.subscribe(), schedule.len(), began) => 0,
    };

    world.case.stop_kofferd().await;
    let journal = export::journal(&world.journal()).await?;
    let mut report = audit(&Findings {
        calls: &office.calls(),
        answers: &answers.all(),
        given_up: &office.given_up(),
        books: &Books::read(&world.truth)?,
        journal: &journal,
        incidents: &world.incidents,
    });
    (report.kills, report.delivered_late) = (world.kills, delivered_late);
    (report.seed, report.seconds) = (seed, began.elapsed().as_secs());
    if !report.is_clean() {
        std::fs::copy(world.journal(), folder.path().join("journal.db"))?;
        std::fs::write(
            folder.path().join("incidents.json"),
            serde_json::to_vec_pretty(&world.incidents)?,
        )?;
        let kept = folder.keep();
        report
            .story
            .push(format!("logs and books: {}", kept.display()));
    }
    world.case.stop().await;
    Ok(report)
}

/// The events, one after the other.
async fn mishaps(
    world: &mut World,
    events: &[Event],
    mut done: watch::Receiver<u32>,
    began: Instant,
) -> Outcome<()> {
    for event in events {
        done.wait_for(|done| *done >= event.after).await?;
        sleep(Duration::from_millis(event.moment_ms)).await;
        let since = began.elapsed().as_secs();
        let suffered = world.suffer(event.mishap).await;
        suffered.map_err(|error| {
            format!("after {} orders, {:?}: {error}", event.after, event.mishap)
        })?;
        println!(
            "{since:>5} s  after {:>4} orders: {:?}",
            event.after, event.mishap
        );
    }
    Ok(())
}

/// Says now and then how far it is.
async fn tell(done: watch::Receiver<u32>, of: usize, began: Instant) {
    loop {
        sleep(TELL).await;
        let done = *done.borrow();
        println!(
            "{:>5} s  {done} of {of} orders are done",
            began.elapsed().as_secs()
        );
    }
}
