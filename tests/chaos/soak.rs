//! `chaos soak`: sixteen clients pay, print, ask and cancel without a pause, nothing is killed, and
//! what the gateway takes of the machine is written down.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use koffer_fixtures::case::{Case, CaseFile, CaseOptions};
use koffer_gateway::journal::FILE;
use serde::Serialize;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep},
};

use crate::{
    Outcome,
    office::print_params,
    sample::{Sample, slope},
    schedule::DEVICES,
    station::{Answers, Question, Station},
    world::{client, printer, till},
};

/// As many as a large office has.
const CLIENTS: usize = 16;
/// The least that can be configured, so that the bound is met.
const JOURNAL_MIB: u32 = 16;
/// Calls that are known again by their id: their bound is met within a minute, so that what still
/// grows then grows for ever.
const CALLS_KEPT: u32 = 4_000;
/// Between two looks at the process.
const LOOK: Duration = Duration::from_secs(10);
/// What is opened with the first calls is open before it is counted.
const WARM_UP: Duration = Duration::from_secs(15);
/// Connections of the last calls end within that time.
const REST: Duration = Duration::from_secs(5);
/// No answer takes longer; a call without one is lost.
const PATIENCE: Duration = Duration::from_secs(90);
/// Descriptors may differ by so many between two rests: a look at an idle printer or terminal, and
/// the journal's reader, come and go by themselves.
const COME_AND_GO: usize = DEVICES;

/// The last line.
#[derive(Debug, Serialize)]
pub(crate) struct Soaked {
    minutes: f64,
    clients: usize,
    calls: u64,
    rss_slope_kib_per_min: f64,
    rss_start_mib: f64,
    rss_end_mib: f64,
    descriptors_start: usize,
    descriptors_end: usize,
    journal_mib_max: f64,
    journal_bound_mib: u32,
    /// Of the write-ahead log beside it.
    journal_log_mib_max: f64,
    threads_end: u64,
    /// Calls without an answer.
    lost: u64,
    /// Calls that were answered `ok`, and those that were not: cancelled, or refused.
    ok: u64,
    other: u64,
}

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    lost: AtomicU64,
    ok: AtomicU64,
}

impl Soaked {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0
            && self.descriptors_end <= self.descriptors_start + COME_AND_GO
            && self.journal_mib_max <= f64::from(self.journal_bound_mib)
    }
}

/// Loads a gateway for so many minutes.
pub(crate) async fn soak(minutes: f64) -> Outcome<Soaked> {
    let folder = tempfile::Builder::new().prefix("koffer-soak-").tempdir()?;
    let case = raise(folder.path()).await?;
    let pid = case.kofferd_pid().ok_or("kofferd does not run")?;
    let look = || Sample::of(pid, &folder.path().join("state").join(FILE));
    let answers = Arc::new(Answers::default());
    let mut stations = Vec::new();
    for n in 0..CLIENTS {
        let name = client(n);
        let access = case.clients.get(&name).ok_or("no such client")?;
        let password = access.password()?;
        let port = case.broker.port();
        stations.push(Arc::new(Station::connect(
            port, &name, &password, "a", &answers,
        )));
    }
    let counts = Arc::new(Counts::default());
    load(&stations, &answers, &counts, WARM_UP).await?;
    sleep(REST).await;
    let start = look()?;

    let time = Duration::try_from_secs_f64(minutes * 60.0)?;
    let began = Instant::now();
    let mut samples = Vec::new();
    let sampling = async {
        let mut ticks = interval(LOOK);
        loop {
            ticks.tick().await;
            let sample = look()?;
            println!("{:>5} s  {sample}", began.elapsed().as_secs());
            samples.push((began.elapsed(), sample));
        }
    };
    let stopped: Outcome<()> = tokio::select! {
        loaded = load(&stations, &answers, &counts, time) => loaded,
        stopped = sampling => stopped,
    };
    stopped?;
    sleep(REST).await;
    let end = look()?;
    case.stop().await;

    let largest = |of: fn(&Sample) -> f64| {
        let all = samples.iter().map(|(_, sample)| sample);
        all.chain([&start, &end]).map(of).fold(0.0, f64::max)
    };
    let half = samples.get(samples.len() / 2..).unwrap_or_default();
    let rss: Vec<_> = half
        .iter()
        .map(|(at, sample)| (at.as_secs_f64() / 60.0, sample.rss_kib))
        .collect();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (calls, lost, ok) = (count(&counts.calls), count(&counts.lost), count(&counts.ok));
    Ok(Soaked {
        minutes,
        clients: CLIENTS,
        calls,
        rss_slope_kib_per_min: slope(&rss).map_or(f64::NAN, rounded),
        rss_start_mib: rounded(start.rss_kib / 1024.0),
        rss_end_mib: rounded(end.rss_kib / 1024.0),
        descriptors_start: start.descriptors,
        descriptors_end: end.descriptors,
        journal_mib_max: rounded(largest(|sample| sample.journal_mib)),
        journal_bound_mib: JOURNAL_MIB,
        journal_log_mib_max: rounded(largest(|sample| sample.log_mib)),
        threads_end: end.threads,
        lost,
        ok,
        other: calls - lost - ok,
    })
}

async fn raise(folder: &Path) -> Outcome<Case> {
    let mut text = format!(
        "[case]\ngateway = \"case-7\"\nbroker = \"mosquitto\"\n[kofferd.journal]\nmax_mib = {JOURNAL_MIB}\n\
         [kofferd.limits]\ncalls_kept = {CALLS_KEPT}\n[clients]\n"
    );
    for n in 0..CLIENTS {
        let rights = r#"role = "workstation", allow = ["payment", "document-printer"]"#;
        writeln!(text, "{} = {{ {rights} }}", client(n))?;
    }
    for n in 0..DEVICES {
        // A cardholder who is there at once, so that the gateway has the most to do.
        write!(
            text,
            "[devices.{}]\nsimulator = \"zvt\"\n[devices.{}.profile]\nterminal_id = {}\n\
             cardholder = {{ inserts_after_ms = 5, pin_after_ms = 0, host_after_ms = 0, removes_after_ms = 0 }}\n\
             [devices.{}]\nsimulator = \"ippeveprinter\"\n",
            till(n),
            till(n),
            68_000_123 + n,
            printer(n)
        )?;
    }
    let file = CaseFile::parse(&text, Path::new("the case of the soak"))?;
    let options = CaseOptions {
        dir: Some(folder.to_owned()),
        ..CaseOptions::default()
    };
    let case = Case::raise(&file, options).await?;
    for printer in case.printers.values() {
        printer.home.set("pages", "1")?;
    }
    Ok(case)
}

/// Every client makes one call after the other for so long, and has an answer to the last.
async fn load(
    stations: &[Arc<Station>],
    answers: &Arc<Answers>,
    counts: &Arc<Counts>,
    time: Duration,
) -> Outcome<()> {
    let until = Instant::now() + time;
    let mut clients = JoinSet::new();
    for (n, station) in stations.iter().cloned().enumerate() {
        let (answers, counts) = (answers.clone(), counts.clone());
        clients.spawn(async move {
            let mut rng = Rng::with_seed(n as u64);
            while Instant::now() < until {
                one_call(&station, &answers, &counts, &mut rng).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client?;
    }
    Ok(())
}

async fn one_call(station: &Station, answers: &Answers, counts: &Counts, rng: &mut Rng) {
    let id = format!("{:016x}", rng.u64(..));
    let device = rng.usize(..DEVICES);
    let amount = json!({"amount": {"cents": rng.u32(1..100_000), "currency": "EUR"}});
    let nothing = json!({});
    let (target, operation, params) = match rng.u32(..100) {
        0..45 => (till(device), "pay", amount.clone()),
        45..70 => (printer(device), "print", print_params(&id)),
        70..80 => (till(device), "status", nothing),
        80..88 => (printer(device), "status", nothing),
        _ => {
            cancelled(station, answers, counts, &id, &till(device), &amount).await;
            return;
        }
    };
    let question = Question {
        id: &id,
        target: &target,
        operation,
        params: &params,
    };
    counts.count(station.ask(answers, &question, PATIENCE).await.as_ref());
}

/// A payment, and at once the wish to cancel it.
async fn cancelled(
    station: &Station,
    answers: &Answers,
    counts: &Counts,
    id: &str,
    target: &str,
    params: &serde_json::Value,
) {
    let payment = Question {
        id,
        target,
        operation: "pay",
        params,
    };
    let wish = json!({"call": id});
    let wish = Question {
        id: &format!("{id}-cancel"),
        target: "gateway",
        operation: "cancel",
        params: &wish,
    };
    let (paid, cancelled) = tokio::join!(
        station.ask(answers, &payment, PATIENCE),
        station.ask(answers, &wish, PATIENCE)
    );
    counts.count(paid.as_ref());
    counts.count(cancelled.as_ref());
}

impl Counts {
    fn count(&self, answer: Option<&serde_json::Value>) {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        add(&self.calls);
        match answer {
            None => add(&self.lost),
            Some(answer) if answer.get("status") == Some(&json!("ok")) => add(&self.ok),
            Some(_) => return,
        };
    }
}

/// To two places: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
