//! Small calls of one client while another fetches 20 MB at a time from another device.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    Outcome,
    caller::{Asked, Caller},
    calls::{checked, encoded, raise},
    echo::{CARDS, FILES},
    figures::{percentile, rounded},
    summary::Wanted,
    testbed::{BARE, GATEWAY, Kind, Testbed},
};

/// What the small calls met.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Squeezed {
    pub(crate) broker: &'static str,
    /// Who answered both: the gateway, or the bare responder.
    pub(crate) by: &'static str,
    pub(crate) encoding: &'static str,
    pub(crate) small_p50_ms: f64,
    pub(crate) small_p99_ms: f64,
    pub(crate) small_calls: usize,
    /// Results of 20 MB that arrived meanwhile.
    pub(crate) results: usize,
    pub(crate) result_p50_ms: f64,
}

/// Measures on this kind of broker, through the gateway and bare.
pub(crate) async fn measure(kind: Kind, wanted: &Wanted) -> Outcome<Vec<Squeezed>> {
    let bed = Testbed::new(kind)?;
    let (_gateway, _bare, bare_port) = raise(&bed).await?;
    let mut squeezed = Vec::new();
    for content_type in ["application/cbor", "application/json"] {
        let asked = |card: usize, file: usize| Asked {
            gateway: GATEWAY,
            what: format!("{}/read", CARDS[card]),
            payload: encoded(
                content_type,
                &format!("{{\"file\":{{\"path\":\"{}\"}}}}", FILES[file].0),
            ),
            content_type,
        };
        let (small, large) = (asked(0, 0), asked(1, 2));
        let mut one = Caller::connect(bed.port, 1, &[GATEWAY]).await?;
        let mut other = Caller::connect(bed.port, 2, &[GATEWAY]).await?;
        let small_bytes = checked(&mut one, &small).await?;
        let large_bytes = checked(&mut other, &large).await?;
        let figures = squeeze((one, &small), (other, &large), wanted.bulk()).await?;
        squeezed.push(figures.named(kind, "gateway", content_type));

        let bare = |bytes: usize| Asked {
            gateway: BARE,
            what: format!("{}/0-{bytes}", CARDS[0]),
            ..small.clone()
        };
        let one = Caller::connect(bare_port, 1, &[BARE]).await?;
        let other = Caller::connect(bare_port, 2, &[BARE]).await?;
        let (small, large) = (bare(small_bytes), bare(large_bytes));
        let figures = squeeze((one, &small), (other, &large), wanted.bulk()).await?;
        squeezed.push(figures.named(kind, "bare", content_type));
    }
    Ok(squeezed)
}

struct Figures {
    small: Vec<Duration>,
    large: Vec<Duration>,
}

/// Both call one after the other for so long.
async fn squeeze(
    small: (Caller, &Asked),
    large: (Caller, &Asked),
    time: Duration,
) -> Outcome<Figures> {
    let until = Instant::now() + time;
    let call = |(mut caller, asked): (Caller, &Asked)| {
        let asked = asked.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < until {
                took.push(caller.call(&asked).await?.0);
            }
            took.sort_unstable();
            Outcome::Ok(took)
        })
    };
    let (small, large) = (call(small), call(large));
    Ok(Figures {
        small: small.await??,
        large: large.await??,
    })
}

impl Figures {
    fn named(self, kind: Kind, by: &'static str, encoding: &'static str) -> Squeezed {
        let millis = |took: &[Duration], percent| {
            percentile(took, percent).map_or(f64::NAN, |micros| rounded(micros / 1e3))
        };
        Squeezed {
            broker: kind.as_str(),
            by,
            encoding,
            small_p50_ms: millis(&self.small, 50),
            small_p99_ms: millis(&self.small, 99),
            small_calls: self.small.len(),
            results: self.large.len(),
            result_p50_ms: millis(&self.large, 50),
        }
    }
}
