//! What is plugged in, and which device it is: serial lines and USB devices through udev and
//! libusb, card readers through PC/SC, matched by rules files (`config::rules`).
//!
//! One task hears what comes and goes, and lets `bindings` decide; each device that a rule makes
//! has a supervisor, which outlives being unplugged.

mod bindings;
mod found;
mod reasons;
#[cfg(test)]
mod tests;
mod udev;
mod usb;

use std::collections::BTreeMap;

use koffer_drivers::{DRIVERS, Listing};
use koffer_proto::{
    Class, DeviceId, GatewayId,
    class::gateway::{AttachedThing, Attachment},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    calls::{Job, SupervisorEvent},
    config::{DeviceConfig, Rule},
    drivers,
    registry::{Plug, supervise},
};
use bindings::{Bindings, Change};
use found::Found;
use udev::{Seen, Watcher};

/// What was seen and not yet heard: a hub with everything in it comes at once.
const SEEN: usize = 64;

/// The devices that rules make.
pub struct Enumerator {
    gateway: GatewayId,
    bindings: Bindings,
    plugs: BTreeMap<DeviceId, watch::Sender<Plug>>,
    supervisors: JoinSet<()>,
    news: mpsc::Sender<(DeviceId, SupervisorEvent)>,
    stop: CancellationToken,
    told: watch::Sender<Vec<AttachedThing>>,
}

/// A device that has its place from the start.
pub struct Expected {
    /// Its name.
    pub id: DeviceId,
    /// Its class.
    pub class: Class,
    /// Where its calls go.
    pub jobs: mpsc::Sender<Job>,
}

impl Enumerator {
    /// An enumerator that has not looked yet, and the devices whose names the rules already say:
    /// absent until they are found.
    pub fn new(
        gateway: GatewayId,
        rules: Vec<Rule>,
        configured: Vec<DeviceConfig>,
        news: mpsc::Sender<(DeviceId, SupervisorEvent)>,
        stop: CancellationToken,
    ) -> (Self, Vec<Expected>) {
        let mut named = BTreeMap::new();
        for (name, driver) in rules.iter().filter_map(Rule::served) {
            if let Some(name) = name.fixed() {
                named.entry(name).or_insert(driver.factory().class);
            }
        }
        let mut enumerator = Self {
            gateway,
            bindings: Bindings::new(rules, configured),
            plugs: BTreeMap::new(),
            supervisors: JoinSet::new(),
            news,
            stop,
            told: watch::Sender::default(),
        };
        let expected = named
            .into_iter()
            .map(|(id, class)| {
                let place = Plug::Out(reasons::not_attached());
                let (jobs, supervisor) = enumerator.place(&id, place);
                enumerator.supervisors.spawn(supervisor);
                Expected { id, class, jobs }
            })
            .collect();
        enumerator.told.send_replace(enumerator.bindings.told());
        (enumerator, expected)
    }

    /// What is attached, whenever it is asked for.
    pub fn told(&self) -> watch::Receiver<Vec<AttachedThing>> {
        self.told.subscribe()
    }

    /// Looks, until everything ends; returns when every device is let go of.
    pub async fn run(mut self) {
        let (tell, mut seen) = mpsc::channel(SEEN);
        let mut listings = JoinSet::new();
        for plugged in DRIVERS.iter().filter_map(|driver| driver.plugged.as_ref()) {
            if let Some(list) = plugged.list {
                listings.spawn(listen(plugged.by, list(), tell.clone()));
            }
        }
        let watcher = Watcher::start(tell);
        loop {
            let tick = self.bindings.next_tick();
            let changes = tokio::select! {
                () = self.stop.cancelled() => break,
                Some(seen) = seen.recv() => self.see(seen),
                () = sleep_until(tick.unwrap_or_else(Instant::now)), if tick.is_some() => {
                    self.bindings.pass_time(Instant::now())
                }
            };
            for change in changes {
                self.carry_out(change).await;
            }
            self.told.send_replace(self.bindings.told());
        }
        drop(watcher);
        listings.shutdown().await;
        while self.supervisors.join_next().await.is_some() {}
    }

    fn see(&mut self, seen: Seen) -> Vec<Change> {
        let now = Instant::now();
        match seen {
            Seen::Here(found) => self.bindings.here(now, found),
            Seen::Gone(by, name) => self.bindings.gone(now, by, &name),
            Seen::All(kinds, all) => self.bindings.all(now, &kinds, all),
        }
    }

    async fn carry_out(&mut self, change: Change) {
        let (device, plug) = match change {
            Change::In(id, driver) => {
                tracing::info!(device = %id, at = driver.address(), "attached");
                let spec = drivers::spec(&self.gateway, id.clone(), driver);
                if !self.plugs.contains_key(&id) {
                    let class = spec.class;
                    let (jobs, supervisor) = self.place(&id, Plug::In(spec));
                    // First that it is there, then what it tells. Nobody listens any more only
                    // when the daemon ends.
                    let _ = self
                        .news
                        .send((id, SupervisorEvent::Appeared(class, jobs)))
                        .await;
                    self.supervisors.spawn(supervisor);
                    return;
                }
                (id, Plug::In(spec))
            }
            Change::Pulled(id) => {
                tracing::info!(device = %id, "pulled out");
                (id, Plug::Pulled)
            }
            Change::Out(id) => (id, Plug::Out(reasons::not_attached())),
        };
        if let Some(place) = self.plugs.get(&device) {
            place.send_replace(plug);
        }
    }

    /// A place for a device, with a supervisor that lasts, to be spawned.
    fn place(
        &mut self,
        id: &DeviceId,
        plug: Plug,
    ) -> (
        mpsc::Sender<Job>,
        impl Future<Output = ()> + Send + 'static + use<>,
    ) {
        let (place, plugged) = watch::channel(plug);
        self.plugs.insert(id.clone(), place);
        supervise(id.clone(), plugged, self.news.clone(), self.stop.clone())
    }
}

/// Tells what a driver's own service lists, whenever that changes.
async fn listen(by: Attachment, mut listing: Box<dyn Listing>, tell: mpsc::Sender<Seen>) {
    loop {
        let names = listing.next().await;
        let found = names.iter().map(|name| Found::new(by, name)).collect();
        if tell.send(Seen::All(vec![by], found)).await.is_err() {
            return;
        }
    }
}
