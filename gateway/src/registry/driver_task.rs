//! The task that runs a driver: it opens the device, carries out one command after the other, and closes
//! it. A driver that hangs or panics takes nothing else along.

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

/// Reports that wait; the supervisor takes them promptly.
const EVENTS: usize = 16;

/// What is asked of a driver.
pub(super) enum DriverCommand {
    Run {
        request: Request,
        call: Call,
        finished: oneshot::Sender<Finished>,
    },
    Reconcile {
        interrupted: Interrupted,
        settled: oneshot::Sender<Reconciled>,
    },
}

/// What the driver reports by itself.
pub(super) enum DriverEvent {
    Opened(Opened),
    Report(Report),
    Lost(Fault),
}

/// A handle to the task, which ends with its owner.
pub(super) struct DriverTask {
    pub(super) commands: mpsc::Sender<DriverCommand>,
    pub(super) events: mpsc::Receiver<DriverEvent>,
    pub(super) task: JoinHandle<()>,
}

impl Drop for DriverTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl DriverTask {
    pub(super) fn begin(driver: Box<dyn Driver>) -> Self {
        let (commands, queue) = mpsc::channel(1);
        let (events, reports) = mpsc::channel(EVENTS);
        Self {
            commands,
            events: reports,
            task: tokio::spawn(run(driver, queue, events)),
        }
    }

    /// Closes the device in an orderly way, within bounds.
    pub(super) async fn let_go(mut self, device: &DeviceId, patience: Duration) {
        let (gone, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.commands, gone));
        if timeout(patience, &mut self.task).await.is_err() {
            tracing::warn!(%device, "the driver did not let go of the device");
        }
    }
}

async fn run(
    mut driver: Box<dyn Driver>,
    mut commands: mpsc::Receiver<DriverCommand>,
    events: mpsc::Sender<DriverEvent>,
) {
    match driver.open().await {
        Ok(opened) => {
            if events.send(DriverEvent::Opened(opened)).await.is_err() {
                return driver.close().await;
            }
        }
        Err(fault) => {
            driver.close().await;
            let _ = events.send(DriverEvent::Lost(fault)).await;
            return;
        }
    }
    let (reports, mut reported) = mpsc::channel(EVENTS);
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => {
                let (request, mut call, finished) = match command {
                    None => return driver.close().await,
                    Some(DriverCommand::Run { request, call, finished }) => (request, call, finished),
                    Some(DriverCommand::Reconcile { interrupted, settled }) => {
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
                let _ = events.send(DriverEvent::Report(report)).await;
            }
            fault = driver.watch(&reports) => {
                driver.close().await;
                let _ = events.send(DriverEvent::Lost(fault)).await;
                return;
            }
        }
    }
}
