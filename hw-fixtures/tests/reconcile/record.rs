//! A journal that keeps what it promised, and can be where the process dies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use koffer_drivers::{Effects, Evidence, Interrupted, NotStored};
use koffer_proto::{CallId, ClientId, Lang, OperationSpec};
use tokio::sync::Notify;

/// When, seen from the journal's n-th write, the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dies {
    /// Before it is on disk.
    Before(usize),
    /// When it is, and before the driver knows.
    After(usize),
}

/// What outlives the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    kept: Arc<Mutex<Kept>>,
    dies: Option<Dies>,
    /// The disk is full once the effect may have begun.
    full: bool,
    /// Called when the process dies.
    pub(crate) death: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Kept {
    writes: usize,
    baseline: Option<Evidence>,
    started: bool,
    milestones: Vec<Evidence>,
}

impl Record {
    pub(crate) fn dying(dies: Dies) -> Self {
        Self {
            dies: Some(dies),
            ..Self::default()
        }
    }

    pub(crate) fn full() -> Self {
        Self {
            full: true,
            ..Self::default()
        }
    }

    /// Writes that were promised.
    pub(crate) fn writes(&self) -> usize {
        self.kept.lock().unwrap().writes
    }

    /// Whether the effect may have begun.
    pub(crate) fn started(&self) -> bool {
        self.kept.lock().unwrap().started
    }

    /// As the journal hands it to the driver; after a restart the marks of the time are of another
    /// life of the process.
    pub(crate) fn interrupted(
        &self,
        operation: &'static OperationSpec,
        restarted: bool,
    ) -> Interrupted {
        let kept = self.kept.lock().unwrap();
        let (mut baseline, mut milestones) = (kept.baseline.clone(), kept.milestones.clone());
        if restarted {
            let every = baseline.iter_mut().chain(&mut milestones);
            let removed: usize = every
                .filter_map(|evidence| evidence.facts.remove("mark"))
                .count();
            assert!(removed > 0, "nothing kept says when");
        }
        Interrupted {
            id: "7d1f0c7e".parse::<CallId>().unwrap(),
            client: "ws-1".parse::<ClientId>().unwrap(),
            lang: Lang::De,
            operation,
            accepted_at: jiff::Timestamp::UNIX_EPOCH,
            baseline,
            milestones,
            known_for: Duration::ZERO,
        }
    }

    async fn write(&self, keep: impl FnOnce(&mut Kept) + Send) -> Result<(), NotStored> {
        let dead = {
            let mut kept = self.kept.lock().unwrap();
            if self.full && kept.started {
                return Err(NotStored::new("voll", "disk full"));
            }
            kept.writes += 1;
            let before = self.dies == Some(Dies::Before(kept.writes));
            if !before {
                keep(&mut kept);
            }
            before || self.dies == Some(Dies::After(kept.writes))
        };
        if dead {
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Effects for Record {
    async fn armed(&self, baseline: Evidence) -> Result<(), NotStored> {
        self.write(|kept| kept.baseline = Some(baseline)).await
    }

    async fn started(&self) -> Result<(), NotStored> {
        self.write(|kept| kept.started = true).await
    }

    async fn milestone(&self, evidence: Evidence) -> Result<(), NotStored> {
        self.write(|kept| kept.milestones.push(evidence)).await
    }
}
