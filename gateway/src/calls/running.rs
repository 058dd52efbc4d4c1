//! How a call goes on once it is taken: waiting, running, ending.

use std::sync::Arc;

use koffer_drivers::{NotStored, Report, Told};
use koffer_proto::{
    Class, Completion, DeviceEvent, DeviceId, Effect, EffectKind, Failure, Lang, Outcome, Progress,
    ProgressEvent, Response, Status, class::gateway::CallPhase,
};

use super::{
    answers::{self, Travel},
    book::Shelf,
    desk::{Action, CallNo, Desk, Moment, News, Open, Start},
    station::Condition,
    taking::busy,
    texts,
};

impl Desk {
    /// The call is in the journal, or needs not be: it is acknowledged and waits for its turn.
    pub(super) fn accepted(&mut self, now: Moment, no: CallNo, result: Result<(), NotStored>) {
        self.acknowledge(no);
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        if open.ended.is_some() {
            return;
        }
        let lang = open.lang();
        if let Err(error) = result {
            let text = texts::not_stored(&error.0);
            let failure = Failure::without_effect(Status::Unavailable, text.get(lang));
            return self.end(now, no, Outcome::Failed(failure));
        }
        let (device, client) = (open.device.clone(), open.key.0.clone());
        let reset = open.spec.class == Class::AnyDevice && open.spec.name == "reset";
        let Some(station) = self.stations.get_mut(&device) else {
            return;
        };
        if reset && !station.is_usable() && station.running.is_none() {
            return self.start(now, no);
        }
        let idle = station.is_idle();
        match station.queue.push(&client, no) {
            Ok(0) if idle => {}
            Ok(ahead) => {
                let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
                self.reached(now, no, ProgressEvent::Queued { ahead });
            }
            Err(_) => {
                let failure = busy(&device, lang);
                return self.end(now, no, Outcome::Failed(failure));
            }
        }
        self.dispatch(now, &device);
    }

    pub(super) fn acknowledge(&mut self, no: CallNo) {
        let ticket = self.open.get_mut(&no).and_then(|open| open.ticket.take());
        self.actions.extend(ticket.map(Action::Acknowledge));
    }

    /// Starts the next call of an idle device.
    fn dispatch(&mut self, now: Moment, device: &DeviceId) {
        while let Some(station) = self.stations.get_mut(device)
            && station.is_idle()
            && let Some(no) = station.queue.pop()
        {
            if self
                .open
                .get(&no)
                .is_some_and(|open| open.deadline <= now.instant)
            {
                self.expire(now, no);
            } else {
                self.start(now, no);
            }
        }
    }

    fn start(&mut self, now: Moment, no: CallNo) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        let Some(request) = open.request.take() else {
            return;
        };
        let lang = open.lang();
        let (client, id) = open.key.clone();
        let effects = (self.effects)(no, &open.device);
        let (call, control) = koffer_drivers::call(id, client, lang, open.deadline.into(), effects);
        open.phase = CallPhase::Running;
        open.steering = Some(control.steering());
        let device = open.device.clone();
        if let Some(station) = self.stations.get_mut(&device) {
            station.run(no, now.instant);
        }
        self.reached(now, no, ProgressEvent::Started);
        self.actions.push(Action::Start(Start {
            no,
            device,
            request,
            call,
            control,
        }));
    }

    pub(super) fn news(&mut self, now: Moment, device: &DeviceId, news: News) {
        let Some(station) = self.stations.get_mut(device) else {
            return;
        };
        match news {
            News::Attached => station.generation += 1,
            News::Described(description) => {
                self.actions
                    .push(Action::Describe(device.clone(), description));
            }
            News::Condition(condition) => {
                station.set_condition(condition);
                self.dispatch(now, device);
            }
            News::Report(Report::Reasons(reasons)) => {
                if station.is_usable() {
                    station.set_condition(Condition::Usable(reasons));
                }
            }
            News::Report(Report::Blocked(reasons)) => {
                if station.is_usable() {
                    station.set_condition(Condition::Blocked(reasons));
                }
            }
            News::Report(Report::Event(event)) => {
                let generation = station.generation;
                let event = DeviceEvent {
                    at: now.wall,
                    generation,
                    event,
                };
                self.actions.push(Action::Event(device.clone(), event));
            }
            News::Told(no, Told::Progress(event)) => self.progress(no, event),
            News::Told(no, Told::EffectBegun) => {
                if let Some(open) = self.open.get_mut(&no) {
                    open.phase = CallPhase::EffectBegun;
                }
            }
            News::Told(no, Told::PastCancelling) => self.past_cancelling(now, no),
            News::Finished(no, outcome) => {
                if station.running == Some(no) {
                    station.running = None;
                }
                self.end(now, no, outcome);
                self.dispatch(now, device);
            }
        }
    }

    /// A call has ended: its outcome is stored where it must be, then told.
    pub(super) fn end(&mut self, now: Moment, no: CallNo, outcome: Outcome<Response>) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        if open.ended.is_some() {
            return;
        }
        let completion = Completion {
            device: Some(open.device.clone()),
            outcome,
        };
        let completion = Arc::new(completion);
        open.ended = Some(completion.clone());
        open.untold = None;
        if open.spec.effect == EffectKind::Once {
            self.actions.push(Action::StoreFinished(no, completion));
        } else {
            self.deliver(now, no);
        }
    }

    /// Tells everyone who listens how the call ended, and keeps it for who asks again.
    pub(super) fn deliver(&mut self, now: Moment, no: CallNo) {
        self.acknowledge(no);
        let Some(open) = self.open.remove(&no) else {
            return;
        };
        let lang = open.lang();
        let Some(completion) = open.ended else { return };
        let status = completion.status();
        tracing::info!(
            call = no.0, client = %open.key.0, id = %open.key.1, device = %open.device,
            operation = open.spec.name, %status, effect = %completion.effect(), "ended"
        );
        if let Some(station) = self.stations.get_mut(&open.device) {
            station.count(status);
        }
        for listener in &open.listeners {
            let message = self.completion(listener, &completion, Some(open.spec));
            self.actions.push(Action::Publish(message));
        }
        if status == Status::Busy {
            self.book.forget(&open.key);
        } else {
            let once = open.spec.effect == EffectKind::Once;
            match (open.spec.confidential, once) {
                (true, true) => {
                    let remains = Arc::new(without_content(&completion, lang));
                    let key = open.key.clone();
                    self.book
                        .end_confidential_once(key, completion, remains, now.instant);
                }
                (true, false) => {
                    self.book
                        .end(open.key, Shelf::Confidential, completion, now.instant);
                }
                (false, true) => self
                    .book
                    .end(open.key, Shelf::Once, completion, now.instant),
                (false, false) => self
                    .book
                    .end(open.key, Shelf::Others, completion, now.instant),
            }
        }
        let cancelled = status == Status::Cancelled;
        self.conclude_cancels(now, open.cancelled_by, cancelled);
    }

    fn expire(&mut self, now: Moment, no: CallNo) {
        let Some(open) = self.open.get(&no) else {
            return;
        };
        let lang = open.lang();
        let failure = Failure::without_effect(Status::Expired, texts::expired().get(lang));
        self.end(now, no, Outcome::Failed(failure));
    }

    /// The gateway itself has brought the call so far; told once it turns out to be no brief one.
    fn reached(&mut self, now: Moment, no: CallNo, event: ProgressEvent) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        open.untold = Some(event);
        if open.told_from <= now.instant {
            self.tell_reached(no);
        }
    }

    /// Tells what was kept back of calls that go on.
    pub(super) fn tell_of_long_calls(&mut self, now: Moment) {
        let long = |open: &Open| open.untold.is_some() && open.told_from <= now.instant;
        let due = self.open.iter().filter(|(_, open)| long(open));
        let due: Vec<_> = due.map(|(no, _)| *no).collect();
        for no in due {
            self.tell_reached(no);
        }
    }

    fn tell_reached(&mut self, no: CallNo) {
        let open = self.open.get_mut(&no);
        if let Some(event) = open.and_then(|open| open.untold.take()) {
            self.tell(no, event);
        }
    }

    /// What the driver tells: at once, after what the gateway has not told yet.
    fn progress(&mut self, no: CallNo, event: ProgressEvent) {
        self.tell_reached(no);
        self.tell(no, event);
    }

    fn tell(&mut self, no: CallNo, event: ProgressEvent) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        open.seq += 1;
        let progress = Progress {
            seq: open.seq,
            event,
        };
        let travel = Travel::of(Some(open.spec));
        let messages = open
            .listeners
            .iter()
            .filter_map(|l| answers::progress(l, &progress, travel));
        self.actions.extend(messages.map(Action::Publish));
    }
}

/// What remains of a completion whose content is no longer kept: what became of the effect.
fn without_content(completion: &Completion<Response>, lang: Lang) -> Completion<Response> {
    let text = texts::no_longer_kept();
    let failure = match completion.effect() {
        Effect::Unknown => Failure::outcome_unknown(text.get(lang)),
        effect => Failure::unfinished(Status::DeviceFault, effect, text.get(lang)),
    };
    Completion {
        device: completion.device.clone(),
        outcome: Outcome::Failed(failure),
    }
}
