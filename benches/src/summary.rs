//! Every measurement in one run, as `summary.json` and as a table.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use serde::Serialize;

use crate::{
    Outcome,
    apdu::{self, ApduCost},
    bulk::{self, Squeezed},
    calls::{self, Compared},
    figures::rounded,
    goals::GOALS,
    idle::{self, Memory},
    machine::Circumstances,
    once::{self, Recorded},
    start::{self, Started},
    testbed::Kind,
};

/// How thoroughly to measure. What is preset takes some four minutes.
#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// Where the summary goes.
    #[arg(long, default_value = "target/bench/summary.json")]
    pub(crate) summary: PathBuf,
    /// Rounds per case; each is half the gateway's and half the bare responder's.
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// Milliseconds of half a round.
    #[arg(long, default_value_t = 600)]
    round_ms: u64,
    /// Starts of the daemon per broker.
    #[arg(long, default_value_t = 15)]
    pub(crate) starts: usize,
    /// APDUs of half a round.
    #[arg(long, default_value_t = 400)]
    pub(crate) apdus: usize,
    /// Only the first so many kinds of calls on each broker; the first is 64 B, JSON, one client.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pub(crate) cases: usize,
    /// Only these parts: calls, bulk, idle, start, apdu, once.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl Wanted {
    pub(crate) fn round(&self) -> Duration {
        Duration::from_millis(self.round_ms)
    }

    /// Caches, connections and the allocator find their size.
    pub(crate) fn warm_up(&self) -> Duration {
        self.round() / 2
    }

    /// Twenty megabytes take a while: long enough for some dozens of them.
    pub(crate) fn bulk(&self) -> Duration {
        self.round() * 10
    }

    pub(crate) fn rest(&self) -> Duration {
        idle::REST.min(self.round() * 20)
    }

    fn part(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| part == name)
    }
}

/// `summary.json`. First come the figures that have goals, then those that had: see each.
#[derive(Debug, Serialize)]
struct Summary {
    /// 64 B and one client on mosquitto: the worse encoding.
    small_call_p50_ratio: Option<f64>,
    /// As above: the smaller.
    small_call_throughput_ratio: Option<f64>,
    /// 64 B and one client on the embedded broker, against a responder that dials it.
    beside_broker_p50_ratio: Option<f64>,
    /// The worst of the eight cases on mosquitto: 64 B and 256 KiB, JSON and CBOR, 1 and 32 clients.
    call_p50_ratio: Option<f64>,
    /// As above.
    call_p99_ratio: Option<f64>,
    /// As above: the smallest.
    throughput_ratio: Option<f64>,
    idle_rss_mib: Option<f64>,
    idle_rss_external_broker_mib: Option<f64>,
    /// The slower broker's median.
    online_ms: Option<f64>,
    /// The worst of both brokers and encodings.
    small_call_p99_ms_under_bulk: Option<f64>,
    once_commits_per_call_at_32: Option<f64>,
    /// The worse encoding. No goal: it measures a virtual card.
    apdu_p50_ratio: Option<f64>,
    /// What a call that must not happen twice takes longer than one without effect, in fsyncs. No
    /// goal: it measures the disk.
    once_call_fsync_ratio: Option<f64>,
    circumstances: Circumstances,
    calls: Vec<Compared>,
    bulk: Vec<Squeezed>,
    idle: Vec<Memory>,
    start: Vec<Started>,
    apdu: Vec<ApduCost>,
    once: Option<Recorded>,
}

/// Measures, writes and prints.
pub(crate) fn run(wanted: &Wanted) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // In a task, so that the client runs where its connections do.
    runtime.block_on(async {
        let summary = measure(wanted).await?;
        if let Some(folder) = wanted.summary.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(
            &wanted.summary,
            serde_json::to_string_pretty(&summary)? + "\n",
        )?;
        print(&summary, wanted)
    })
}

async fn measure(wanted: &Wanted) -> Outcome<Summary> {
    let circumstances = Circumstances::now();
    let (mut calls, mut bulk) = (Vec::new(), Vec::new());
    let (mut idle, mut start) = (Vec::new(), Vec::new());
    for kind in Kind::BOTH {
        if wanted.part("idle") {
            idle.push(idle::measure(kind, wanted).await?);
        }
        if wanted.part("start") {
            start.push(start::measure(kind, wanted).await?);
        }
        if wanted.part("calls") {
            calls.extend(calls::measure(kind, wanted).await?);
        }
        if wanted.part("bulk") {
            bulk.extend(bulk::measure(kind, wanted).await?);
        }
    }
    let apdu = if wanted.part("apdu") {
        apdu::measure(wanted).await?
    } else {
        Vec::new()
    };
    let once = if wanted.part("once") {
        Some(once::measure(wanted).await?)
    } else {
        None
    };
    let matrix = || {
        let of_the_matrix =
            |case: &&Compared| case.broker == "mosquitto" && case.operation == "read";
        calls.iter().filter(of_the_matrix)
    };
    let small = |broker| {
        let alone = move |case: &&Compared| {
            case.broker == broker
                && case.operation == "read"
                && case.bytes == 64
                && case.clients == 1
        };
        calls.iter().filter(alone)
    };
    let smallest = |figures: &mut dyn Iterator<Item = f64>| figures.min_by(f64::total_cmp);
    let rss = |broker| idle.iter().find(|m| m.broker == broker).map(|m| m.rss_mib);
    let squeezed = bulk.iter().filter(|squeezed| squeezed.by == "gateway");
    Ok(Summary {
        small_call_p50_ratio: largest(small("mosquitto").map(|case| case.p50_ratio)),
        small_call_throughput_ratio: smallest(&mut small("mosquitto").map(|c| c.throughput_ratio)),
        beside_broker_p50_ratio: largest(small("embedded").map(|case| case.p50_ratio)),
        call_p50_ratio: largest(matrix().map(|case| case.p50_ratio)),
        call_p99_ratio: largest(matrix().map(|case| case.p99_ratio)),
        throughput_ratio: smallest(&mut matrix().map(|case| case.throughput_ratio)),
        idle_rss_mib: rss("embedded"),
        idle_rss_external_broker_mib: rss("mosquitto"),
        online_ms: largest(start.iter().map(|started| started.p50_ms)),
        small_call_p99_ms_under_bulk: largest(squeezed.map(|squeezed| squeezed.small_p99_ms)),
        apdu_p50_ratio: largest(apdu.iter().map(|cost| cost.p50_ratio)),
        once_call_fsync_ratio: once.as_ref().map(|once| once.fsync_ratio),
        once_commits_per_call_at_32: once.as_ref().map(|once| once.commits_per_call_at_32),
        circumstances,
        calls,
        bulk,
        idle,
        start,
        apdu,
        once,
    })
}

fn largest(figures: impl Iterator<Item = f64>) -> Option<f64> {
    figures.max_by(f64::total_cmp).map(rounded)
}

fn print(summary: &Summary, wanted: &Wanted) -> Outcome<()> {
    let mut out = io::stdout().lock();
    let at = &summary.circumstances;
    writeln!(
        out,
        "{} · commit {} · {} · {} cores · Linux {} · load before {}\n",
        at.date, at.commit, at.cpu, at.cores, at.kernel, at.load_before
    )?;
    for case in &summary.calls {
        writeln!(
            out,
            "{:9} {:7} {:6} B {:16} {:2} clients  p50 {:8.0} / {:8.0} us = {:5.2}  p99 {:8.0} / {:8.0} us = {:5.2}  {:7.0} / {:7.0} /s = {:4.2}",
            case.broker,
            case.operation,
            case.bytes,
            case.encoding,
            case.clients,
            case.koffer.p50_us,
            case.bare.p50_us,
            case.p50_ratio,
            case.koffer.p99_us,
            case.bare.p99_us,
            case.p99_ratio,
            case.koffer.per_second,
            case.bare.per_second,
            case.throughput_ratio,
        )?;
    }
    for bulk in &summary.bulk {
        writeln!(
            out,
            "{:9} {:7} {:16} beside 20 MB: small p50 {:7.2} ms, p99 {:7.2} ms ({} calls); {} results of 20 MB, p50 {:.0} ms",
            bulk.broker,
            bulk.by,
            bulk.encoding,
            bulk.small_p50_ms,
            bulk.small_p99_ms,
            bulk.small_calls,
            bulk.results,
            bulk.result_p50_ms,
        )?;
    }
    for memory in &summary.idle {
        writeln!(
            out,
            "{:9} idle: {:.1} MiB resident ({:.1} anonymous, {:.1} file), {} threads",
            memory.broker, memory.rss_mib, memory.anonymous_mib, memory.file_mib, memory.threads
        )?;
    }
    for start in &summary.start {
        writeln!(
            out,
            "{:9} online after {:.1} ms (longest of {}: {:.1} ms)",
            start.broker, start.p50_ms, start.starts, start.longest_ms
        )?;
    }
    for cost in &summary.apdu {
        writeln!(
            out,
            "APDU {}: {:.0} us, bare {:.0} + {:.0} us = {:.2}; p99 {:.0} us; not on record ({} APDUs): {:.0} us = {:.2}",
            cost.encoding,
            cost.transmit_p50_us,
            cost.direct_p50_us,
            cost.bare_round_trip_p50_us,
            cost.p50_ratio,
            cost.transmit_p99_us,
            cost.read_apdus,
            cost.read_p50_us,
            cost.read_p50_ratio,
        )?;
    }
    if let Some(once) = &summary.once {
        writeln!(
            out,
            "on record: once {:.0} us, without effect {:.0} us, fsync {:.0} us: {:.2} fsyncs more, {:.2} commits per call; 32 clients: {:.2} commits per call, {:.0} /s",
            once.once_p50_us,
            once.no_effect_p50_us,
            once.fsync_p50_us,
            once.fsync_ratio,
            once.commits_per_call,
            once.commits_per_call_at_32,
            once.per_second_at_32,
        )?;
    }
    writeln!(out, "\n{:32} {:>9}  goal", "", "measured")?;
    let figures = serde_json::to_value(summary)?;
    for goal in GOALS {
        let measured = goal.measured(&figures);
        let measured = measured.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.3}"));
        writeln!(out, "{:32} {measured:>9}  {}", goal.key, goal.words())?;
    }
    writeln!(out, "\n{}", wanted.summary.display())?;
    Ok(())
}
