//! A driver at a simulator or a real service, without a gateway: what it answers and reports.

use std::time::Duration;

use koffer_drivers::{Contact, Driver, DriverConfig, Fault, Opened, Report, Unrecorded, call};
use koffer_proto::{GatewayId, Lang, Outcome, Request, Response};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

/// Longer than any of these drivers takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// One driver, opened again after each loss of contact.
pub struct Driven {
    driver: Box<dyn Driver>,
}

impl Driven {
    /// The driver of this configuration, not yet opened.
    pub fn new(config: &dyn DriverConfig, gateway: &GatewayId) -> Self {
        Self {
            driver: config.driver(gateway),
        }
    }

    /// Makes contact.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(&mut self) -> Result<Opened, Fault> {
        self.driver.open().await
    }

    /// Makes contact, again and again for half a minute.
    ///
    /// # Errors
    /// Why there still is none.
    pub async fn open_soon(&mut self) -> Result<Opened, Fault> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.open().await {
                Err(_) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                opened => return opened,
            }
        }
    }

    /// Runs one call, in German.
    ///
    /// # Panics
    /// When its id is none; it is.
    pub async fn ask(&mut self, request: impl Into<Request>) -> (Outcome<Response>, Contact) {
        let (Ok(id), Ok(client)) = ("0c1e".parse(), "ws-1".parse()) else {
            unreachable!("both are names");
        };
        let deadline = Instant::now() + PATIENCE;
        let (mut call, mut control) = call(id, client, Lang::De, deadline, Box::new(Unrecorded));
        let listen = async { while control.told.recv().await.is_some() {} };
        tokio::select! {
            finished = self.driver.run(request.into(), &mut call) => {
                (finished.outcome, finished.contact)
            }
            () = listen => unreachable!("the call tells until it is over"),
        }
    }

    /// Watches until something is reported that is `wanted`, and says everything until then;
    /// `Err` with the fault that ends it.
    ///
    /// # Errors
    /// When contact is lost, or when nothing of that kind is reported in time.
    pub async fn watch_until(
        &mut self,
        wanted: impl Fn(&Report) -> bool,
    ) -> Result<Vec<Report>, Option<Fault>> {
        let (reports, mut heard) = mpsc::channel(8);
        let mut all = Vec::new();
        let listen = async {
            while let Some(report) = heard.recv().await {
                let found = wanted(&report);
                all.push(report);
                if found {
                    break;
                }
            }
        };
        let watched = timeout(PATIENCE, async {
            tokio::select! {
                fault = self.driver.watch(&reports) => Err(Some(fault)),
                () = listen => Ok(()),
            }
        });
        watched.await.unwrap_or(Err(None)).map(|()| all)
    }
}
