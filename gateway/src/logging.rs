//! The log: `tracing` events to journald or stderr.
//!
//! No payload reaches it, by construction:
//! - our events carry fields (`device`, `call`, `client`, sizes, codes), and the types that hold
//!   content or passwords have no `Debug` that shows them;
//! - events of other crates pass only as warnings and errors, whatever the filter says, because
//!   below that libraries print the packets they handle;
//! - records of the `log` crate (rumqttc) are not bridged at all.
//!
//! No place in the code writes more than some lines in a second, whoever makes it.

mod sparing;

use std::{
    ffi::OsStr,
    fmt, fs,
    io::{self, IsTerminal},
    os::{fd::AsFd, unix::fs::MetadataExt},
};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::filter_fn,
    layer::SubscriberExt,
    registry::LookupSpan,
    util::{SubscriberInitExt, TryInitError},
};

pub(crate) use sparing::tell_what_was_left_out;

use crate::config::{LogConfig, LogTarget};

/// The variable that overrides the configured filter for one run.
pub const FILTER_VARIABLE: &str = "KOFFER_LOG";
/// Where systemd says which stream it connected to journald.
pub const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `KOFFER_LOG` is no filter.
    #[error("KOFFER_LOG={0:?} is no filter; write e.g. info or info,koffer_gateway::bus=debug")]
    Filter(String),
    /// journald was asked for and is not there.
    #[error("journald cannot be reached ({0}); write target = \"stderr\" in [log]")]
    Journald(#[source] io::Error),
    /// A log has been started already.
    #[error(transparent)]
    Started(#[from] TryInitError),
}

/// Starts the log of this process.
///
/// `filter` and `journal_stream` are the values of [`FILTER_VARIABLE`] and [`JOURNAL_VARIABLE`].
pub fn start(
    config: &LogConfig,
    filter: Option<&OsStr>,
    journal_stream: Option<&OsStr>,
) -> Result<(), LogError> {
    let filter = filter.map_or_else(
        || config.filter.clone(),
        |filter| filter.to_string_lossy().into_owned(),
    );
    let filter = EnvFilter::try_new(&filter).map_err(|_| LogError::Filter(filter))?;
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_pass))
        .with(sparing::Sparing::default());
    let connected = stderr_is_journal(journal_stream);
    let journald = match config.target {
        LogTarget::Stderr => None,
        LogTarget::Auto if !connected => None,
        // Lines on stderr reach journald too, only without their fields.
        LogTarget::Auto => tracing_journald::layer().ok(),
        LogTarget::Journald => Some(tracing_journald::layer().map_err(LogError::Journald)?),
    };
    match journald {
        Some(journald) => registry
            .with(journald.with_syslog_identifier("kofferd".to_owned()))
            .try_init()?,
        None => registry.with(stderr()).try_init()?,
    }
    Ok(())
}

fn stderr<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .compact()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
}

/// Whether an event or span may reach the log at all; the filter only narrows this.
fn may_pass(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("koffer") || *metadata.level() <= Level::WARN
}

/// Whether `text` is a filter.
pub(crate) fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

/// A file by device and inode, as `JOURNAL_STREAM` names it (systemd.exec(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stream {
    device: u64,
    inode: u64,
}

impl Stream {
    fn parse(text: &str) -> Option<Self> {
        let (device, inode) = text.split_once(':')?;
        Some(Self {
            device: device.parse().ok()?,
            inode: inode.parse().ok()?,
        })
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}

fn stderr_is_journal(journal_stream: Option<&OsStr>) -> bool {
    let announced = journal_stream
        .and_then(OsStr::to_str)
        .and_then(Stream::parse);
    announced.is_some() && announced == stream_of(io::stderr())
}

fn stream_of(file: impl AsFd) -> Option<Stream> {
    let file = fs::File::from(file.as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    Some(Stream {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_journal_is_used_only_where_stderr_is_the_stream_that_systemd_announced() {
        let own = stream_of(io::stderr()).unwrap();
        let other = Stream {
            inode: own.inode + 1,
            ..own
        };
        for (announced, expected) in [
            (Some(own.to_string()), true),
            (Some(other.to_string()), false),
            (Some(String::new()), false),
            (Some("x:y".to_owned()), false),
            (None, false),
        ] {
            let announced = announced.as_deref().map(OsStr::new);
            assert_eq!(stderr_is_journal(announced), expected, "{announced:?}");
        }
    }

    #[test]
    fn a_filter_is_checked_before_it_is_used() {
        assert!(is_filter("info,koffer_gateway::bus=debug"));
        assert!(!is_filter("koffer_gateway=loud"));
    }

    #[test]
    fn other_crates_log_warnings_at_most_whatever_the_filter_says() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&written);
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || Shared(Arc::clone(&writer)));
        let log = tracing_subscriber::registry()
            .with(EnvFilter::new("trace"))
            .with(filter_fn(may_pass))
            .with(layer);
        tracing::subscriber::with_default(log, || {
            tracing::trace!(target: "koffer_gateway::bus", "ours");
            tracing::info!(target: "some_library::packet", "packet");
            tracing::warn!(target: "some_library::packet", "warning");
        });
        let log = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(log.contains("ours") && log.contains("warning"), "{log}");
        assert!(!log.contains(" packet\n"), "{log}");
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
