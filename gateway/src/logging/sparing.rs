//! A bound on the lines that one place in the code may log: whoever can make the gateway write a
//! line must not be able to fill the disk with it.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{Event, Level, Subscriber, callsite::Identifier};
use tracing_subscriber::layer::{Context, Layer};

/// Lines of one place within [`WINDOW`].
const MOST: u32 = 100;
const WINDOW: Duration = Duration::from_secs(10);

/// Lines left out since that was last told.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Leaves out what comes too often. Whoever asks for `debug` or `trace` gets all of it.
#[derive(Debug, Default)]
pub(super) struct Sparing(Mutex<HashMap<Identifier, Place>>);

#[derive(Debug)]
struct Place {
    since: Instant,
    lines: u32,
}

impl<S: Subscriber> Layer<S> for Sparing {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let now = Instant::now();
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(metadata.callsite()).or_insert(Place {
            since: now,
            lines: 0,
        });
        if now.duration_since(place.since) >= WINDOW {
            *place = Place {
                since: now,
                lines: 0,
            };
        }
        place.lines = place.lines.saturating_add(1);
        if place.lines > MOST {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        }
        place.lines <= MOST
    }
}

/// Tells from time to time how many lines were left out, for as long as it is polled.
pub(crate) async fn tell_what_was_left_out() {
    loop {
        tokio::time::sleep(WINDOW).await;
        let lines = LEFT_OUT.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "lines like those before were left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Count(Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn one_place_cannot_fill_the_log_and_takes_nothing_from_others() {
        let count = Count::default();
        let lines = || count.0.swap(0, Ordering::Relaxed);
        let log = tracing_subscriber::registry()
            .with(Sparing::default())
            .with(count.clone());
        tracing::subscriber::with_default(log, || {
            for _ in 0..1000 {
                tracing::warn!("refused");
            }
            assert_eq!(lines(), u64::from(MOST));
            tracing::warn!("another");
            assert_eq!(lines(), 1);
            for _ in 0..1000 {
                tracing::debug!("asked for");
            }
            assert_eq!(lines(), 1000);
        });
        assert!(LEFT_OUT.load(Ordering::Relaxed) >= 900);
    }
}
