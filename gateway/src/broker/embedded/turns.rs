//! Turns of users at the gateway. When messages wait for it at the broker, each user has one more
//! under way and no further: so whoever floods the gateway waits, and nobody else's calls are
//! dropped from a queue that only has room for so many.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use mqtt5::broker::storage::QueueHandle;
use tokio::{sync::Semaphore, time::Instant};

/// Between two looks at the queue.
const LOOK: Duration = Duration::from_millis(5);
/// A gateway that takes nothing for so long is not waited for: clients must not take a broker for
/// dead that only waits.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The turns of one user.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    /// What waits for the gateway.
    queue: QueueHandle,
    own: Arc<Semaphore>,
}

/// The next turn.
pub(super) type Turn = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl Turns {
    pub(super) fn new(queue: QueueHandle) -> Self {
        Self {
            queue,
            own: Arc::new(Semaphore::new(1)),
        }
    }

    /// `None`: nothing waits, and the next message may go at once.
    pub(super) fn wait(&self) -> Option<Turn> {
        if self.queue.is_empty() && self.own.available_permits() > 0 {
            return None;
        }
        let Self { queue, own } = self.clone();
        Some(Box::pin(async move {
            // It is never closed.
            let _own = own.acquire_owned().await;
            let latest = Instant::now() + LONGEST_WAIT;
            while !queue.is_empty() && Instant::now() < latest {
                tokio::time::sleep(LOOK).await;
            }
        }))
    }
}
