//! One life of a driver: opened, asked one thing after the other, closed. It runs in a task of its
//! own, so that a driver that hangs or panics takes nothing else along.

use std::time::Duration;

use koffer_drivers::{
    Call, Contact, Driver, Fault, Finished, Interrupted, Opened, Reconciled, Report,
};
use koffer_proto::{DeviceId, Request};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// What a driver says while it is neither opened nor asked; it is told promptly.
const SAID: usize = 16;

/// What is asked of a life.
pub(super) enum Order {
    Run {
        request: Request,
        call: Call,
        finished: oneshot::Sender<Finished>,
    },
    Settle {
        interrupted: Interrupted,
        settled: oneshot::Sender<Reconciled>,
    },
}

/// What a life says by itself.
pub(super) enum Said {
    Opened(Opened),
    Report(Report),
    Lost(Fault),
}

/// The task of one life; ends with its owner.
pub(super) struct Life {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) said: mpsc::Receiver<Said>,
    pub(super) task: JoinHandle<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Life {
    pub(super) fn begin(driver: Box<dyn Driver>) -> Self {
        let (orders, queue) = mpsc::channel(1);
        let (said, hears) = mpsc::channel(SAID);
        Self {
            orders,
            said: hears,
            task: tokio::spawn(life(driver, queue, said)),
        }
    }

    /// Closes the device in an orderly way, within bounds.
    pub(super) async fn let_go(mut self, device: &DeviceId, patience: Duration) {
        let (gone, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.orders, gone));
        if timeout(patience, &mut self.task).await.is_err() {
            tracing::warn!(%device, "the driver did not let go of the device");
        }
    }
}

async fn life(
    mut driver: Box<dyn Driver>,
    mut orders: mpsc::Receiver<Order>,
    said: mpsc::Sender<Said>,
) {
    match driver.open().await {
        Ok(opened) => {
            if said.send(Said::Opened(opened)).await.is_err() {
                return driver.close().await;
            }
        }
        Err(fault) => {
            driver.close().await;
            let _ = said.send(Said::Lost(fault)).await;
            return;
        }
    }
    let (reports, mut reported) = mpsc::channel(SAID);
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let (request, mut call, finished) = match order {
                    None => return driver.close().await,
                    Some(Order::Run { request, call, finished }) => (request, call, finished),
                    Some(Order::Settle { interrupted, settled }) => {
                        let reconciled = driver.reconcile(&interrupted).await;
                        let lost = matches!(reconciled, Reconciled::Lost(_));
                        let _ = settled.send(reconciled);
                        if lost {
                            return driver.close().await;
                        }
                        continue;
                    }
                };
                let result = driver.run(request, &mut call).await;
                let lost = result.contact != Contact::Kept;
                // First the outcome, then the end of the call: who sees the end finds the outcome.
                let _ = finished.send(result);
                drop(call);
                if lost {
                    return driver.close().await;
                }
            }
            Some(report) = reported.recv() => {
                let _ = said.send(Said::Report(report)).await;
            }
            fault = driver.watch(&reports) => {
                driver.close().await;
                let _ = said.send(Said::Lost(fault)).await;
                return;
            }
        }
    }
}
