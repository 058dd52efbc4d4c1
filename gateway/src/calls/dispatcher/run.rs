//! Calls in their queues, at their drivers, and at their end.

use std::sync::Arc;

use koffer_drivers::{CallUpdate, NotStored, Reconciled, Report, Unrecorded};
use koffer_proto::{
    Class, Completion, Detail, DeviceEvent, DeviceId, Effect, EffectKind, Failure, Lang,
    OperationSpec, Outcome, Progress, ProgressEvent, Response, Status,
};

use super::{Action, Dispatcher, Moment, Start, SupervisorEvent};
use crate::{
    calls::{
        device_queue::Condition,
        devices::{busy, claimed},
        idempotency::RetentionClass,
        lifecycle::{Accepted, Ran},
        texts,
    },
    journal::CallNo,
};

impl Dispatcher {
    /// The journal has that the call was accepted, or could not store it.
    pub(super) fn accepted(&mut self, now: Moment, no: CallNo, result: Result<(), NotStored>) {
        self.acknowledge(no);
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        let result = result.map_err(|error| {
            let text = texts::not_stored(&error.0);
            Failure::without_effect(Status::Unavailable, text.get(open.lang()))
        });
        match open.state.accept(result) {
            Accepted::Nothing => {}
            Accepted::Queued => {
                let device = open.device.clone();
                self.dispatch(now, &device);
            }
            Accepted::NotTaken(failure) => {
                self.leave_queue(no);
                self.not_taken(now, no, failure);
            }
            Accepted::Ran(outcome) => self.ran(now, no, outcome),
        }
    }

    /// The call waits for its turn, and gets it at once if it is.
    pub(super) fn take_turn(&mut self, now: Moment, no: CallNo) {
        let Some(open) = self.open.get(&no) else {
            return;
        };
        let device = open.device.clone();
        let reset = open.spec.class == Class::AnyDevice && open.spec.name == "reset";
        let Some(queue) = self.devices.get_mut(&device) else {
            return;
        };
        if reset && !queue.is_usable() && !queue.is_running() {
            return self.start(now, no);
        }
        self.enqueue(now, no);
    }

    /// Refuses a call that could not be put on record. The completion names no device, nothing is
    /// kept, and the call id may be used again, as after every other refusal.
    fn not_taken(&mut self, now: Moment, no: CallNo, failure: Failure) {
        let Some(open) = self.open.remove(&no) else {
            return;
        };
        note!(
            open.spec,
            call = no.0, client = %open.key.0, id = %open.key.1, device = %open.device,
            operation = open.spec.name, status = %failure.status(), "not taken"
        );
        if let Some(queue) = self.devices.get_mut(&open.device) {
            queue.count(failure.status());
        }
        self.idempotency.forget(&open.key);
        let completion = Arc::new(Completion::refused(failure));
        for listener in open.listeners {
            self.answer(listener, completion.clone(), Some(open.spec));
        }
        self.conclude_cancels(now, no, false);
    }

    /// Puts a call into its device's queue, and starts it if it is its turn.
    fn enqueue(&mut self, now: Moment, no: CallNo) {
        let Some(open) = self.open.get(&no) else {
            return;
        };
        let (device, client, lang) = (open.device.clone(), open.key.0.clone(), open.lang());
        let Some(queue) = self.devices.get_mut(&device) else {
            return;
        };
        let idle = queue.is_idle();
        match queue.push(&client, no) {
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

    /// The call does not wait for its turn any more.
    pub(super) fn leave_queue(&mut self, no: CallNo) {
        let device = self.open.get(&no).map(|open| &open.device);
        if let Some(queue) = device.and_then(|device| self.devices.get_mut(device)) {
            queue.withdraw(no);
        }
    }

    pub(super) fn acknowledge(&mut self, no: CallNo) {
        let ack = self.open.get_mut(&no).and_then(|open| open.ack.take());
        self.actions.extend(ack.map(Action::Acknowledge));
    }

    /// Starts the next call of an idle device.
    pub(super) fn dispatch(&mut self, now: Moment, device: &DeviceId) {
        self.ask_device(now, device);
        while let Some(queue) = self.devices.get_mut(device)
            && queue.is_idle()
            && let Some(no) = queue.next()
        {
            let Some(open) = self.open.get(&no) else {
                queue.pop();
                continue;
            };
            let lang = open.lang();
            if let Some(claim) = self.claims.on(device, now.instant)
                && claim.holder != open.key.0
            {
                let failure = claimed(device, claim, now, lang);
                queue.pop();
                match self.another_device(now, no) {
                    Some(other) => self.give_to(now, no, other),
                    None => self.end(now, no, Outcome::Failed(failure)),
                }
                continue;
            }
            let waits = open.spec.effect == EffectKind::Once && queue.awaits_record();
            let not_recorded = queue.not_recorded().filter(|_| waits).cloned();
            let accepted = open.state.is_accepted();
            if waits && !(accepted && not_recorded.is_some()) {
                return;
            }
            queue.pop();
            if let Some(error) = not_recorded {
                let text = texts::not_stored(&error.0);
                let failure = Failure::without_effect(Status::Unavailable, text.get(lang));
                self.end(now, no, Outcome::Failed(failure));
            } else if open.deadline <= now.instant {
                self.expire(now, no);
            } else if let Some(failure) = queue.locked_for(device, open.spec, lang) {
                self.end(now, no, Outcome::Failed(failure));
            } else {
                self.start(now, no);
            }
        }
    }

    /// Gives calls that wait here in the name of a role to another of its devices, if one can
    /// take them now.
    fn pass_on_waiting(&mut self, now: Moment, device: &DeviceId) {
        let Some(queue) = self.devices.get(device) else {
            return;
        };
        if queue.is_usable() && !matches!(queue.condition(), Condition::Blocked(_)) {
            return;
        }
        let others: Vec<_> = queue
            .waiting()
            .filter_map(|no| Some((no, self.another_device(now, no)?)))
            .collect();
        for (no, other) in others {
            if let Some(queue) = self.devices.get_mut(device) {
                queue.withdraw(no);
            }
            self.give_to(now, no, other);
        }
    }

    /// A call that a device turned out to be unable to do goes on to the next device of the
    /// role, if its effect could not have begun.
    fn moves_on(&mut self, now: Moment, no: CallNo, outcome: &Outcome<Response>) -> bool {
        let Some(open) = self.open.get_mut(&no) else {
            return false;
        };
        let unable = matches!(outcome, Outcome::Failed(failure)
            if matches!(
                failure.status(),
                Status::Unavailable | Status::DeviceFault | Status::Unsupported
            ) && failure.effect() == Effect::None);
        let unwanted = self.cancellations.is_wanted(no) || open.deadline <= now.instant;
        if !unable
            || !open.state.may_move()
            || unwanted
            || self.going_down
            || open.spec.effect == EffectKind::None
        {
            return false;
        }
        open.tried.push(open.device.clone());
        let Some(other) = self.another_device(now, no) else {
            return false;
        };
        self.give_to(now, no, other);
        true
    }

    fn give_to(&mut self, now: Moment, no: CallNo, device: DeviceId) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        tracing::info!(call = no.0, from = %open.device, to = %device, "moves on");
        open.device = device;
        open.state.requeue();
        self.enqueue(now, no);
    }

    fn start(&mut self, now: Moment, no: CallNo) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        let lang = open.lang();
        let (client, id) = open.key.clone();
        let effects = match open.spec.effect {
            EffectKind::Once => (self.effects)(no, &open.device),
            _ => Box::new(Unrecorded),
        };
        let (call, control) = koffer_drivers::call(id, client, lang, open.deadline.into(), effects);
        let is_role = self.devices.is_role(open.target.as_str());
        let Some(request) = open.state.start(control.steering(), is_role) else {
            return;
        };
        let device = open.device.clone();
        if let Some(queue) = self.devices.get_mut(&device) {
            queue.run(no, now.instant);
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

    pub(super) fn event(&mut self, now: Moment, device: &DeviceId, event: SupervisorEvent) {
        if let SupervisorEvent::Appeared(class, _) = event {
            self.devices.add(device.clone(), class, now.wall);
            self.in_doubt.appeared(device);
            return;
        }
        let Some(queue) = self.devices.get_mut(device) else {
            return;
        };
        match event {
            SupervisorEvent::Appeared(..) => {}
            SupervisorEvent::Attached => queue.attached(),
            SupervisorEvent::Described(description) => {
                self.actions
                    .push(Action::Describe(device.clone(), description));
            }
            SupervisorEvent::Condition(condition) => {
                queue.set_condition(condition);
                if !queue.is_usable() {
                    self.stop_waiting(device);
                }
                self.pass_on_waiting(now, device);
                self.dispatch(now, device);
            }
            SupervisorEvent::Report(report)
            | SupervisorEvent::CallUpdate(_, CallUpdate::Report(report)) => {
                self.report(now, device, report);
            }
            SupervisorEvent::CallUpdate(no, CallUpdate::Progress(event)) => {
                self.progress(no, event);
            }
            SupervisorEvent::CallUpdate(no, CallUpdate::EffectBegun) => {
                if let Some(open) = self.open.get_mut(&no) {
                    open.state.effect_begun();
                }
            }
            SupervisorEvent::CallUpdate(no, CallUpdate::PastCancelling) => {
                self.past_cancelling(now, no);
            }
            SupervisorEvent::Finished(no, outcome) => {
                queue.finished(no);
                self.ran(now, no, Box::new(outcome));
                self.dispatch(now, device);
            }
            SupervisorEvent::Reconciled(no, reconciled) => {
                if !matches!(reconciled, Reconciled::NotYet(_)) {
                    queue.reconciled(no);
                }
                self.settled(now, no, reconciled);
                self.dispatch(now, device);
            }
        }
    }

    /// What a device says of itself, watched or at work.
    fn report(&mut self, now: Moment, device: &DeviceId, report: Report) {
        let Some(queue) = self.devices.get_mut(device) else {
            return;
        };
        match report {
            Report::Reasons(reasons) if queue.is_usable() => {
                queue.set_condition(Condition::Usable(reasons));
            }
            Report::Blocked(reasons) if queue.is_usable() => {
                queue.set_condition(Condition::Blocked(reasons));
                self.pass_on_waiting(now, device);
            }
            Report::Reasons(_) | Report::Blocked(_) => {}
            Report::Event(event) => {
                let generation = queue.generation();
                let event = DeviceEvent {
                    at: now.wall,
                    generation,
                    event,
                };
                self.actions.push(Action::Event(device.clone(), event));
            }
        }
    }

    /// A driver has ended a call.
    fn ran(&mut self, now: Moment, no: CallNo, outcome: Box<Outcome<Response>>) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        match open.state.ran(outcome) {
            Ran::Nothing => {}
            Ran::NotTaken(failure) => self.not_taken(now, no, failure),
            Ran::Ended(outcome) => {
                if !self.moves_on(now, no, &outcome) {
                    self.finished(now, no, *outcome);
                }
            }
        }
    }

    /// A driver has ended a call. Where it does not know what became of it, the device's own
    /// records are asked before the caller is told.
    fn finished(&mut self, now: Moment, no: CallNo, outcome: Outcome<Response>) {
        match outcome {
            Outcome::Failed(failure) if failure.status() == Status::OutcomeUnknown => {
                self.in_doubt_now(now, no, failure);
            }
            outcome => self.end(now, no, outcome),
        }
    }

    /// A call has ended. Its outcome is stored where it must be, and then published.
    pub(super) fn end(&mut self, now: Moment, no: CallNo, mut outcome: Outcome<Response>) {
        if let Some(open) = self.open.get(&no) {
            let (device, lang) = (open.device.clone(), open.lang());
            self.tested_with(now, &device, &mut outcome, lang);
        }
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        if open.state.is_recording() {
            return;
        }
        // Of a call of before that never began, only the role may be known.
        let is_role = self.devices.is_role(open.device.as_str());
        let completion = Completion {
            device: (!is_role).then(|| open.device.clone()),
            outcome,
            ignored: open.ignored.clone(),
        };
        let completion = Arc::new(completion);
        open.progress.drop_held_back();
        let touched = open.state.end(completion.clone());
        if open.spec.effect == EffectKind::Once {
            let stored = storable(&completion, open.spec, open.lang());
            if touched {
                let device = open.device.clone();
                self.store_end(no, &device, stored);
            } else {
                self.actions.push(Action::StoreFinished(no, stored));
            }
        } else {
            self.deliver(now, no);
        }
    }

    /// Stores how a call ended that may have done something on `device`.
    pub(super) fn store_end(
        &mut self,
        no: CallNo,
        device: &DeviceId,
        completion: Arc<Completion<Response>>,
    ) {
        if let Some(queue) = self.devices.get_mut(device) {
            queue.storing(no);
        }
        self.actions.push(Action::StoreFinished(no, completion));
    }

    /// The end of a call is stored, or could not be. Its completion is published in either case.
    pub(super) fn end_stored(&mut self, now: Moment, no: CallNo, result: Result<(), NotStored>) {
        if let Err(error) = &result {
            tracing::error!(call = no.0, %error, "the outcome could not be stored");
            self.actions.push(Action::AwaitRecord(no));
        }
        self.recorded(now, no, result);
        self.deliver(now, no);
    }

    /// A device whose last end is on record may do the next call.
    pub(super) fn recorded(&mut self, now: Moment, no: CallNo, result: Result<(), NotStored>) {
        if let Some((device, queue)) = self.devices.recording(no) {
            queue.stored(no, result);
            let device = device.clone();
            self.dispatch(now, &device);
        }
    }

    /// Publishes the completion to every listener, and keeps it for repeated calls.
    pub(super) fn deliver(&mut self, now: Moment, no: CallNo) {
        self.acknowledge(no);
        let Some(open) = self.open.remove(&no) else {
            return;
        };
        let Some(completion) = open.state.into_completion() else {
            return;
        };
        let status = completion.status();
        note!(
            open.spec,
            call = no.0, client = %open.key.0, id = %open.key.1, device = %open.device,
            operation = open.spec.name, %status, effect = %completion.effect(), "ended"
        );
        if let Some(queue) = self.devices.get_mut(&open.device) {
            queue.count(status);
        }
        for listener in open.listeners {
            self.answer(listener, completion.clone(), Some(open.spec));
        }
        // What the gateway lists is listed anew, and never kept: a schema takes 40 KiB.
        let asked = open.spec.class == Class::Gateway && open.spec.effect == EffectKind::None;
        if status == Status::Busy || asked {
            self.idempotency.forget(&open.key);
        } else {
            let class = if open.spec.confidential {
                RetentionClass::Confidential
            } else if open.spec.effect == EffectKind::Once {
                RetentionClass::Once
            } else {
                RetentionClass::Others
            };
            self.idempotency
                .end(&open.key, class, completion, now.instant);
        }
        let cancelled = status == Status::Cancelled;
        self.conclude_cancels(now, no, cancelled);
        // What became of it may still be asked of the device.
        self.dispatch(now, &open.device);
    }

    fn expire(&mut self, now: Moment, no: CallNo) {
        let Some(open) = self.open.get(&no) else {
            return;
        };
        let lang = open.lang();
        let failure = Failure::without_effect(Status::Expired, texts::expired().get(lang));
        self.end(now, no, Outcome::Failed(failure));
    }

    /// The gateway itself has brought the call so far. Published if the call takes longer than
    /// [`BRIEF`](super::BRIEF).
    fn reached(&mut self, now: Moment, no: CallNo, event: ProgressEvent) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        if let Some(progress) = open.progress.reached(now.instant, event) {
            self.publish_progress(no, progress);
        }
    }

    /// Publishes what was held back of calls that go on.
    pub(super) fn publish_due_progress(&mut self, now: Moment) {
        let open = self.open.iter_mut();
        let due = open.filter_map(|(no, open)| Some((*no, open.progress.due(now.instant)?)));
        for (no, progress) in due.collect::<Vec<_>>() {
            self.publish_progress(no, progress);
        }
    }

    /// Publishes what the driver says, after what is held back.
    pub(super) fn progress(&mut self, no: CallNo, event: ProgressEvent) {
        let Some(open) = self.open.get_mut(&no) else {
            return;
        };
        let (before, progress) = open.progress.happened(event);
        for progress in before.into_iter().chain([progress]) {
            self.publish_progress(no, progress);
        }
    }

    fn publish_progress(&mut self, no: CallNo, progress: Progress) {
        let Some(open) = self.open.get(&no) else {
            return;
        };
        let progress = Arc::new(progress);
        for listener in open.listeners.clone() {
            let reply = self.replies.progress(listener, progress.clone(), open.spec);
            self.actions.push(Action::Answer(reply));
        }
    }
}

/// What the journal keeps of a completion. What is confidential never reaches a disk.
pub(super) fn storable(
    completion: &Arc<Completion<Response>>,
    spec: &OperationSpec,
    lang: Lang,
) -> Arc<Completion<Response>> {
    if spec.confidential {
        Arc::new(without_content(completion, lang))
    } else {
        completion.clone()
    }
}

/// What is kept on disk of a confidential completion: what became of the effect. A failure says that in
/// sentences, codes and counts; what the device answered is in its evidence alone.
fn without_content(completion: &Completion<Response>, lang: Lang) -> Completion<Response> {
    let failure = match &completion.outcome {
        Outcome::Ok(_) => {
            let text = texts::no_longer_kept();
            Failure::unfinished(Status::DeviceFault, completion.effect(), text.get(lang))
        }
        Outcome::Failed(failure) => failure.clone().with(Detail {
            evidence: None,
            ..(*failure.detail).clone()
        }),
    };
    Completion {
        device: completion.device.clone(),
        outcome: Outcome::Failed(failure),
        ignored: completion.ignored.clone(),
    }
}

#[cfg(test)]
mod tests {
    use koffer_proto::{Blob, class::card_terminal};
    use serde_json::json;

    use super::*;

    fn kept(outcome: Outcome<Response>) -> serde_json::Value {
        let device = Some("card-1".parse().unwrap());
        let completion = Completion {
            device,
            outcome,
            ignored: Vec::new(),
        };
        serde_json::to_value(without_content(&completion, Lang::En)).unwrap()
    }

    #[test]
    fn of_a_confidential_failure_everything_is_kept_but_what_the_device_answered() {
        let failure = Failure::outcome_unknown("2 commands are through. Look at the card.");
        let kept = kept(Outcome::Failed(failure.with(Detail {
            completed: Some(2),
            evidence: Some(json!({"responses": ["6a82"]})),
            ..Detail::default()
        })));
        assert_eq!(
            kept,
            json!({
                "device": "card-1",
                "status": "outcome-unknown",
                "effect": "unknown",
                "message": "2 commands are through. Look at the card.",
                "detail": {"completed": 2},
            })
        );
    }

    #[test]
    fn of_a_confidential_success_it_is_kept_that_it_was_one() {
        let read = card_terminal::Response::Transmit(card_terminal::Transmitted {
            responses: vec![card_terminal::CommandResponse {
                data: Blob::from(b"Erika".to_vec()),
                status_word: "9000".to_owned(),
            }],
            complete: true,
        });
        let kept = kept(Outcome::Ok(Response::CardTerminal(read)));
        assert_eq!(kept["effect"], "done");
        assert!(
            kept.get("result").is_none() && kept.get("detail").is_none(),
            "{kept}"
        );
    }
}
