//! What the record of a call costs that must not happen twice: a `transmit` to a card that answers
//! at once, against a `read` of as many bytes from the same card, which leaves no record, and
//! against what the disk below the journal takes to sync a page. Then 32 clients at the same time:
//! how many commits they need.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    Outcome,
    apdu::batch,
    caller::Asked,
    calls::{Fleet, JSON, checked, encoded, start_gateway, until_ready},
    echo::{CARDS, FILES},
    figures::{median, percentile, rounded},
    summary::Wanted,
    testbed::{GATEWAY, Kind, Testbed},
};

/// What is written before each sync of the probe: a page.
const PAGE: [u8; 4096] = [0x5a; 4096];

/// Syncs of the probe in one round.
const SYNCS: usize = 200;

/// Who calls at the same time.
const CLIENTS: usize = 32;

/// What the record costs; medians of the rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recorded {
    /// A page appended to a file beside the journal, and fsync.
    pub(crate) fsync_p50_us: f64,
    pub(crate) no_effect_p50_us: f64,
    pub(crate) once_p50_us: f64,
    /// What a call that must not happen twice takes longer than one without effect, in fsyncs.
    pub(crate) fsync_ratio: f64,
    pub(crate) commits_per_call: f64,
    /// With 32 clients that call eight cards.
    pub(crate) commits_per_call_at_32: f64,
    pub(crate) per_second_at_32: f64,
}

/// Measures over mosquitto, in JSON.
pub(crate) async fn measure(wanted: &Wanted) -> Outcome<Recorded> {
    let bed = Testbed::new(Kind::Mosquitto)?;
    let read = asked(
        0,
        "read",
        encoded(
            JSON,
            &format!("{{\"file\":{{\"path\":\"{}\"}}}}", FILES[0].0),
        ),
    );
    let transmit = batch(JSON)?;
    let once = |client: usize| asked(client, "transmit", transmit.clone());

    let gateway = start_gateway(&bed)?;
    until_ready(&bed).await?;
    let mut fleet = Fleet::connect(bed.port, GATEWAY, 1).await?;
    let bytes = checked(&mut fleet.0[0], &read).await?;
    let bytes_once = checked(&mut fleet.0[0], &once(0)).await?;
    fleet.run(&read, bytes, wanted.warm_up()).await?;
    let mut warm = fleet.run(&once(0), bytes_once, wanted.warm_up()).await?;
    let (mut syncs, mut without, mut with) = (vec![], vec![], vec![]);
    for _ in 0..wanted.rounds {
        syncs.push(fsyncs(bed.disk.path())?);
        without.push(fleet.run(&read, bytes, wanted.round()).await?.p50_us);
        let round = fleet.run(&once(0), bytes_once, wanted.round()).await?;
        with.push(round.p50_us);
        warm.calls += round.calls;
    }
    gateway.end()?;
    let alone = commits(&bed)?;
    let ratios = with
        .iter()
        .zip(&without)
        .zip(&syncs)
        .map(|((with, without), sync)| (with - without) / sync);
    let fsync_ratio = rounded(median(ratios));

    // A broker of its own: the first one still shows the cards as ready that the other gateway had.
    let bed = Testbed::new(Kind::Mosquitto)?;
    let gateway = start_gateway(&bed)?;
    until_ready(&bed).await?;
    let mut fleet = Fleet::connect(bed.port, GATEWAY, CLIENTS).await?;
    let crowd = fleet.run_each(once, bytes_once, wanted.round() * 4).await?;
    gateway.end()?;
    let together = commits(&bed)?;
    Ok(Recorded {
        fsync_p50_us: rounded(median(syncs)),
        no_effect_p50_us: rounded(median(without)),
        once_p50_us: rounded(median(with)),
        fsync_ratio,
        // One more was made to see whether it works.
        commits_per_call: per_call(alone, warm.calls + 1),
        commits_per_call_at_32: per_call(together, crowd.calls),
        per_second_at_32: rounded(crowd.per_second),
    })
}

/// Each client has a card, as far as there are enough.
fn asked(client: usize, operation: &str, payload: bytes::Bytes) -> Asked {
    Asked {
        gateway: GATEWAY,
        what: format!("{}/{operation}", CARDS[client % CARDS.len()]),
        payload,
        content_type: JSON,
    }
}

/// The median of some syncs of a page at the end of a file in this folder, in microseconds.
fn fsyncs(folder: &Path) -> Outcome<f64> {
    let path = folder.join("fsync-probe");
    let mut file = File::create(&path)?;
    let mut took: Vec<Duration> = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_all()?;
        took.push(began.elapsed());
    }
    fs::remove_file(path)?;
    took.sort_unstable();
    percentile(&took, 50).ok_or_else(|| "no sync was made".into())
}

/// What the gateway on this bed said at its end of how often its journal committed.
fn commits(bed: &Testbed) -> Outcome<u64> {
    let log = fs::read_to_string(bed.folder.path().join("log"))?;
    let told = log.lines().find_map(|line| line.split_once("commits="));
    let number = told.and_then(|(_, rest)| rest.split_whitespace().next());
    let number =
        number.ok_or("the gateway's log does not say how many commits its journal made")?;
    Ok(number.parse()?)
}

fn per_call(commits: u64, calls: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand calls")]
    let share = commits as f64 / calls as f64;
    rounded(share)
}
