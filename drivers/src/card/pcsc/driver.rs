//! The driver: contact with a reader, the card session across calls, and card presence.

use async_trait::async_trait;
use koffer_proto::{
    CallId, Capabilities, CardTerminalCapabilities, ClientId, EventKind, Identity, Reason, Request,
    Response,
    class::{any_device, card_terminal},
};
use pcsc::Disposition;
use tokio::time::{sleep, timeout};

use super::{
    PcscConfig,
    endings::{Halt, Loss},
    features::Features,
    monitor::{CardPresence, Monitor, Service, Sight},
    record::Mark,
    timing,
    worker::{Looked, Worker},
};
use crate::{
    Call, Driver, Fault, Finished, Interrupted, Opened, Reconciled, Report, Reports,
    card::iso7816::CardCapabilities,
};

mod files;
mod line;
mod pad;
mod reconcile;
mod service;
mod session;
mod transmit;

/// One reader.
struct Pcsc {
    config: PcscConfig,
    monitor: Option<Monitor>,
    reader: Option<Attached>,
    session: Option<Session>,
    /// The last call that broke off in this life, and how.
    broken_off: Option<(CallId, ClientId, Loss)>,
    /// What was reported last; a change since then is told when watching begins again.
    seen: CardPresence,
    reported: Vec<Reason>,
}

/// The reader that was found.
struct Attached {
    name: String,
    worker: Worker,
    looked: Looked,
}

/// A card that is held across calls.
#[derive(Debug, Clone)]
struct Session {
    card: CardCapabilities,
    features: Features,
    /// The reader's count of insertions and removals when the card was taken.
    changes: u32,
    atr: Vec<u8>,
    /// By what it is known again, where it shows that.
    mark: Option<Mark>,
}

/// A driver for the reader of this configuration. It does nothing before it is opened.
pub fn driver(config: PcscConfig) -> Box<dyn Driver> {
    Box::new(Pcsc {
        config,
        monitor: None,
        reader: None,
        session: None,
        broken_off: None,
        seen: CardPresence::default(),
        reported: Vec::new(),
    })
}

impl Pcsc {
    /// The reader's name for now, once the monitor has listed it.
    async fn find(&self, monitor: &Monitor) -> Result<(String, CardPresence), Loss> {
        let mut sight = monitor.sight();
        let fitting = |sight: &Sight| {
            let mut readers = sight.readers.iter();
            readers
                .find(|(name, _)| self.config.reader.fits(name))
                .map(|(name, presence)| (name.clone(), *presence))
        };
        let found = sight.wait_for(|sight| fitting(sight).is_some());
        if let Ok(Ok(sight)) = timeout(timing::FIRST_LIST, found).await
            && let Some(found) = fitting(&sight)
        {
            return Ok(found);
        }
        Err(match monitor.sight().borrow().service {
            Service::Up => Loss::Reader,
            Service::Unknown | Service::Down(_) => Loss::Service,
        })
    }

    async fn attach(&mut self) -> Result<CardPresence, Loss> {
        let monitor = self.monitor.get_or_insert_with(Monitor::shared).clone();
        if monitor.is_silent() {
            return Err(Loss::Service);
        }
        let (name, presence) = self.find(&monitor).await?;
        if monitor.is_stuck(&name) {
            return Err(Loss::Hung);
        }
        let worker = Worker::start(&name).map_err(|_| Loss::Service)?;
        let looked = match worker.look(timing::CONNECT).await.map_err(Loss::from) {
            Ok(looked) => looked,
            Err(Loss::Hung) => {
                monitor.note_stuck(&name, worker.alive());
                return Err(Loss::Hung);
            }
            Err(loss @ (Loss::Service | Loss::Reader)) => return Err(loss),
            // Another program may hold the reader: it is there, and says more when it is free.
            Err(_) => Looked::default(),
        };
        self.reader = Some(Attached {
            name,
            worker,
            looked,
        });
        Ok(presence)
    }

    fn identity(&self) -> Identity {
        let Some(reader) = &self.reader else {
            return Identity::default();
        };
        Identity {
            vendor: reader.looked.vendor.clone(),
            model: Some(reader.looked.model.as_ref().unwrap_or(&reader.name).clone()),
            serial: reader.looked.serial.clone(),
            firmware: reader.looked.firmware.clone(),
        }
    }

    fn reasons(presence: CardPresence) -> Vec<Reason> {
        // No card is no fault; a card that says nothing needs a person.
        let mute = presence.present && presence.mute;
        let reason = Reason::new(
            "card-mute",
            "Die Karte im Leser antwortet nicht. Prüfen Sie, ob sie richtig herum steckt.",
            "The card in the reader does not answer. Check that it is inserted the right way.",
        );
        mute.then_some(reason).into_iter().collect()
    }

    /// Tells what changed since the last report, one report at a time: what is not told when this
    /// is dropped is told next time.
    async fn report(&mut self, now: CardPresence, reports: &Reports) {
        loop {
            let seen = self.seen;
            // A removal and an insertion count two: a card that was quickly swapped shows so.
            let swapped = now.changes.wrapping_sub(seen.changes) > 1;
            let (event, next) = match (seen.present, now.present) {
                (true, false) => (EventKind::CardRemoved, now),
                (true, true) if swapped => {
                    let gone = CardPresence {
                        present: false,
                        mute: false,
                        changes: now.changes.wrapping_sub(1),
                    };
                    (EventKind::CardRemoved, gone)
                }
                (false, true) => (EventKind::CardInserted, now),
                _ => break,
            };
            if event == EventKind::CardRemoved {
                self.let_go_of_card();
            }
            if reports.send(Report::Event(event)).await.is_err() {
                return;
            }
            self.seen = next;
        }
        self.seen = now;
        let reasons = Self::reasons(now);
        if reasons != self.reported && reports.send(Report::Reasons(reasons.clone())).await.is_ok()
        {
            self.reported = reasons;
        }
    }

    async fn answer(&mut self, request: Request, call: &Call) -> Result<Response, Halt> {
        use any_device::{Request as Any, Response as AnyDone};
        use card_terminal::{Request as Card, Response as Done};
        Ok(match request {
            Request::CardTerminal(Card::Connect(params)) => {
                Done::Connect(self.connect(&params, call).await?).into()
            }
            Request::CardTerminal(Card::Transmit(params)) => {
                Done::Transmit(self.transmit(&params, call).await?).into()
            }
            Request::CardTerminal(Card::Read(params)) => {
                Done::Read(self.read(&params, call).await?).into()
            }
            Request::CardTerminal(Card::Write(params)) => {
                Done::Write(self.write(params, call).await?).into()
            }
            Request::CardTerminal(Card::VerifyPin(params)) => {
                Done::VerifyPin(self.verify_pin(&params.pin, call).await?).into()
            }
            Request::CardTerminal(Card::ChangePin(params)) => {
                Done::ChangePin(self.change_pin(&params.pin, call).await?).into()
            }
            Request::CardTerminal(Card::Pace(params)) => {
                Done::Pace(self.pace(&params, call).await?).into()
            }
            Request::CardTerminal(Card::Disconnect(params)) => {
                Done::Disconnect(self.disconnect(&params, call).await?).into()
            }
            Request::AnyDevice(Any::SelfTest(params)) => {
                AnyDone::SelfTest(self.self_test(params.level, call).await?).into()
            }
            Request::AnyDevice(Any::Identify(_)) => {
                AnyDone::Identify(self.identify().await?).into()
            }
            Request::AnyDevice(Any::Reset(_)) => AnyDone::Reset(self.reset(call).await?).into(),
            other => return Err(service::unsupported(&other, call.lang).into()),
        })
    }
}

#[async_trait]
impl Driver for Pcsc {
    async fn open(&mut self) -> Result<Opened, Fault> {
        self.close().await;
        let presence = self.attach().await.map_err(|loss| {
            let text = loss.text();
            let fault = loss.fault();
            fault.unwrap_or_else(|| Fault::new(loss.keyword(), text.de, text.en))
        })?;
        self.seen = presence;
        self.reported = Self::reasons(presence);
        let features = self
            .reader
            .as_ref()
            .map(|reader| reader.looked.features)
            .unwrap_or_default();
        Ok(Opened {
            identity: self.identity(),
            capabilities: Some(Capabilities::CardTerminal(CardTerminalCapabilities {
                verify_pin: features.verify_pin.is_some(),
                change_pin: features.modify_pin.is_some(),
                pace: features.pace.is_some(),
            })),
            reasons: self.reported.clone(),
        })
    }

    async fn run(&mut self, request: Request, call: &mut Call) -> Finished {
        self.answer(request, call).await.into()
    }

    async fn watch(&mut self, reports: &Reports) -> Fault {
        let gone = |loss: Loss| {
            let text = loss.text();
            Fault::new(loss.keyword(), text.de, text.en)
        };
        let (Some(monitor), Some(name)) = (
            self.monitor.clone(),
            self.reader.as_ref().map(|reader| reader.name.clone()),
        ) else {
            return gone(Loss::Reader);
        };
        let mut sight = monitor.sight();
        loop {
            let now = {
                let sight = sight.borrow_and_update();
                match (&sight.service, sight.readers.get(&name)) {
                    (Service::Down(_), _) => Err(Loss::Service),
                    (Service::Up, None) => Err(Loss::Reader),
                    (_, presence) => Ok(presence.copied()),
                }
            };
            match now {
                Ok(Some(presence)) => self.report(presence, reports).await,
                Ok(None) => {}
                Err(loss) => return gone(loss),
            }
            tokio::select! {
                changed = sight.changed() => if changed.is_err() { return gone(Loss::Service) },
                () = sleep(timing::MONITOR_LOOK) => if monitor.is_silent() { return gone(Loss::Service) },
            }
        }
    }

    async fn reconcile(&mut self, interrupted: &Interrupted) -> Reconciled {
        self.ask_back(interrupted).await
    }

    async fn close(&mut self) {
        if let Some(reader) = &self.reader
            && self.session.take().is_some()
        {
            let reset = reader
                .worker
                .disconnect(Disposition::ResetCard, timing::READER_ANSWER);
            if reset.await == Err(super::worker::Unanswered::Hung) {
                self.give_up_reader();
            }
        }
        // The thread ends with its channel.
        self.reader = None;
    }
}
