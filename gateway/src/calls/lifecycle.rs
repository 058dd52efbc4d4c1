//! One accepted call and how far it is.

use std::{mem, sync::Arc, time::Instant};

use jiff::Timestamp;
use koffer_drivers::{Steering, Stop};
use koffer_proto::{
    ClaimToken, Completion, DeviceId, EffectKind, Failure, Lang, OperationSpec, Outcome, Request,
    Response, Segment, class::gateway::CallPhase,
};

use super::{
    idempotency::Key,
    incoming::{AckToken, Listener},
    replies::ProgressLog,
};
use crate::room::Held;

/// A call that was accepted and whose end is not told yet.
pub(super) struct ActiveCall {
    pub(super) key: Key,
    pub(super) spec: &'static OperationSpec,
    /// Fields of its payload that nobody reads.
    pub(super) ignored: Vec<String>,
    /// The device or role that was called.
    pub(super) target: Segment,
    pub(super) claim: Option<ClaimToken>,
    /// Devices of the role that turned out to be unable.
    pub(super) tried: Vec<DeviceId>,
    pub(super) device: DeviceId,
    pub(super) accepted_at: Timestamp,
    pub(super) deadline: Instant,
    pub(super) deadline_wall: Timestamp,
    pub(super) listeners: Vec<Listener>,
    /// Memory for its content and its listeners.
    pub(super) held: Vec<Held>,
    pub(super) ack: Option<AckToken>,
    pub(super) progress: ProgressLog,
    pub(super) state: State,
}

/// How far a call is.
pub(super) struct State(Stage);

enum Stage {
    /// The gateway answers it by itself, once the call that it is about has ended.
    AwaitsOther,
    /// What a person says is being stored.
    Resolving,
    /// It waits for its turn.
    Queued {
        request: Request,
        /// The journal has that it was accepted, or need not have it.
        accepted: bool,
    },
    /// Its driver has it.
    Running(Run, Acceptance),
    /// Its driver has ended it. The journal has not answered whether it was accepted.
    Ran(Run, Box<Outcome<Response>>),
    /// The device's own records are read. This is answered if they do not tell in time.
    Settling { fallback: Failure },
    /// How it ended is being stored, and told after that.
    Recording {
        completion: Arc<Completion<Response>>,
        phase: CallPhase,
    },
}

/// A call at its driver.
struct Run {
    steering: Steering,
    /// Another device of the role may have to do it.
    request: Option<Request>,
    effect_begun: bool,
    past_cancelling: bool,
}

/// Whether the journal has that a call was accepted. Meanwhile its driver may prepare: what the
/// driver writes comes after it, so the device is touched by what is on record alone.
enum Acceptance {
    Awaited,
    /// It could not be stored. This is answered once the driver has ended the call.
    Refused(Failure),
    Stored,
}

/// What follows when the journal has answered whether a call was accepted.
pub(super) enum Accepted {
    /// Nothing.
    Nothing,
    /// It may be started when it is its turn.
    Queued,
    /// It was never taken.
    NotTaken(Failure),
    /// Its driver has ended it already.
    Ran(Box<Outcome<Response>>),
}

/// What follows when a driver has ended a call.
pub(super) enum Ran {
    /// Nothing yet.
    Nothing,
    /// It was never taken.
    NotTaken(Failure),
    /// It ended.
    Ended(Box<Outcome<Response>>),
}

/// What cancelling a call does.
pub(super) enum Cancel {
    /// It is too late.
    TooLate,
    /// The call leaves its queue.
    Withdraw,
    /// The call decides how it ends.
    Wait,
}

impl State {
    /// A call that waits for its turn.
    pub(super) fn queued(request: Request) -> Self {
        let accepted = request.spec().effect != EffectKind::Once;
        Self(Stage::Queued { request, accepted })
    }

    /// A call that the gateway answers.
    pub(super) fn awaits_other() -> Self {
        Self(Stage::AwaitsOther)
    }

    /// A call of before a restart.
    pub(super) fn settling(fallback: Failure) -> Self {
        Self(Stage::Settling { fallback })
    }

    /// As the contract has it.
    pub(super) fn phase(&self) -> CallPhase {
        match &self.0 {
            Stage::AwaitsOther | Stage::Queued { .. } => CallPhase::Queued,
            Stage::Running(run, _) | Stage::Ran(run, _) if run.effect_begun => {
                CallPhase::EffectBegun
            }
            Stage::Resolving | Stage::Running(..) | Stage::Ran(..) => CallPhase::Running,
            Stage::Settling { .. } => CallPhase::EffectBegun,
            Stage::Recording { phase, .. } => *phase,
        }
    }

    pub(super) fn is_queued(&self) -> bool {
        matches!(self.0, Stage::Queued { .. })
    }

    pub(super) fn awaits_another_call(&self) -> bool {
        matches!(self.0, Stage::AwaitsOther)
    }

    pub(super) fn is_recording(&self) -> bool {
        matches!(self.0, Stage::Recording { .. })
    }

    /// Whether its end comes by its deadline, if nothing else ends it before.
    pub(super) fn ends_by_deadline(&self) -> bool {
        matches!(
            self.0,
            Stage::AwaitsOther | Stage::Queued { .. } | Stage::Settling { .. }
        )
    }

    /// Whether the journal has that it was accepted.
    pub(super) fn is_accepted(&self) -> bool {
        match &self.0 {
            Stage::Queued { accepted, .. } => *accepted,
            Stage::Running(_, acceptance) => matches!(acceptance, Acceptance::Stored),
            Stage::Ran(..) => false,
            _ => true,
        }
    }

    /// The journal has answered whether it was accepted.
    pub(super) fn accept(&mut self, result: Result<(), Failure>) -> Accepted {
        match (&mut self.0, result) {
            (Stage::Queued { accepted, .. }, Ok(())) => {
                *accepted = true;
                Accepted::Queued
            }
            (Stage::Running(_, acceptance), Ok(())) => {
                *acceptance = Acceptance::Stored;
                Accepted::Nothing
            }
            (Stage::Running(run, acceptance), Err(failure)) => {
                *acceptance = Acceptance::Refused(failure);
                run.steering.stop(Stop::Cancelled);
                Accepted::Nothing
            }
            (Stage::Queued { .. } | Stage::Ran(..), Err(failure)) => Accepted::NotTaken(failure),
            (stage @ Stage::Ran(..), Ok(())) => match mem::replace(stage, Stage::AwaitsOther) {
                Stage::Ran(run, outcome) => {
                    *stage = Stage::Running(run, Acceptance::Stored);
                    Accepted::Ran(outcome)
                }
                before => {
                    *stage = before;
                    Accepted::Nothing
                }
            },
            _ => Accepted::Nothing,
        }
    }

    /// Its driver gets it; `None`: it does not wait. `keep` the request where another device may
    /// have to do it.
    pub(super) fn start(&mut self, steering: Steering, keep: bool) -> Option<Request> {
        let (request, accepted) = match mem::replace(&mut self.0, Stage::AwaitsOther) {
            Stage::Queued { request, accepted } => (request, accepted),
            other => {
                self.0 = other;
                return None;
            }
        };
        let run = Run {
            steering,
            request: keep.then(|| request.clone()),
            effect_begun: false,
            past_cancelling: false,
        };
        let acceptance = if accepted {
            Acceptance::Stored
        } else {
            Acceptance::Awaited
        };
        self.0 = Stage::Running(run, acceptance);
        Some(request)
    }

    /// What stops or signals its driver.
    pub(super) fn steering(&self) -> Option<&Steering> {
        match &self.0 {
            Stage::Running(run, _) => Some(&run.steering),
            _ => None,
        }
    }

    /// Its driver says that its effect has begun.
    pub(super) fn effect_begun(&mut self) {
        if let Stage::Running(run, _) | Stage::Ran(run, _) = &mut self.0 {
            run.effect_begun = true;
        }
    }

    /// Its driver says that it can no longer be cancelled.
    pub(super) fn past_cancelling(&mut self) {
        if let Stage::Running(run, _) | Stage::Ran(run, _) = &mut self.0 {
            run.past_cancelling = true;
        }
    }

    /// Somebody cancels it.
    pub(super) fn cancel(&self) -> Cancel {
        match &self.0 {
            Stage::AwaitsOther | Stage::Resolving | Stage::Settling { .. } => Cancel::TooLate,
            Stage::Running(run, _) | Stage::Ran(run, _) if run.past_cancelling => Cancel::TooLate,
            Stage::Queued { .. } => Cancel::Withdraw,
            Stage::Running(run, _) => {
                run.steering.stop(Stop::Cancelled);
                Cancel::Wait
            }
            Stage::Ran(..) | Stage::Recording { .. } => Cancel::Wait,
        }
    }

    /// Its driver has ended it.
    pub(super) fn ran(&mut self, outcome: Box<Outcome<Response>>) -> Ran {
        match mem::replace(&mut self.0, Stage::AwaitsOther) {
            Stage::Running(run, Acceptance::Awaited) => {
                self.0 = Stage::Ran(run, outcome);
                Ran::Nothing
            }
            // Its driver was told the same when it asked for the record of its start.
            Stage::Running(_, Acceptance::Refused(failure)) => Ran::NotTaken(failure),
            stage @ Stage::Running(_, Acceptance::Stored) => {
                self.0 = stage;
                Ran::Ended(outcome)
            }
            other => {
                self.0 = other;
                Ran::Nothing
            }
        }
    }

    /// Whether another device may do it: its effect could not have begun, and what was asked is
    /// kept.
    pub(super) fn may_move(&self) -> bool {
        matches!(&self.0, Stage::Running(run, Acceptance::Stored)
            if run.request.is_some() && !run.steering.effect_begun())
    }

    /// It waits again, for another device.
    pub(super) fn requeue(&mut self) {
        if let Stage::Running(run, _) = &mut self.0
            && let Some(request) = run.request.take()
        {
            let accepted = true;
            self.0 = Stage::Queued { request, accepted };
        }
    }

    /// Its driver does not know what became of it.
    pub(super) fn settle(&mut self, fallback: Failure) {
        self.0 = Stage::Settling { fallback };
    }

    /// What is answered if the device's records do not tell; `None`: they are not read.
    pub(super) fn fallback(&self) -> Option<&Failure> {
        match &self.0 {
            Stage::Settling { fallback } => Some(fallback),
            _ => None,
        }
    }

    /// What it says of another call is being stored.
    pub(super) fn resolve(&mut self) {
        self.0 = Stage::Resolving;
    }

    /// It has ended, once. Says whether it may have done something on its device.
    pub(super) fn end(&mut self, completion: Arc<Completion<Response>>) -> bool {
        let phase = self.phase();
        self.0 = Stage::Recording { completion, phase };
        phase != CallPhase::Queued
    }

    /// Its end is known better before it was told.
    pub(super) fn correct(&mut self, better: Arc<Completion<Response>>) {
        if let Stage::Recording { completion, .. } = &mut self.0 {
            *completion = better;
        }
    }

    /// How it ended.
    pub(super) fn into_completion(self) -> Option<Arc<Completion<Response>>> {
        match self.0 {
            Stage::Recording { completion, .. } => Some(completion),
            _ => None,
        }
    }
}

impl ActiveCall {
    /// The language of who called first.
    pub(super) fn lang(&self) -> Lang {
        self.listeners
            .first()
            .map(|listener| listener.lang)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use koffer_drivers::Unrecorded;
    use koffer_proto::{Amount, Status, class::payment::PayParams};

    use super::*;

    fn payment() -> State {
        let amount = Amount::euro_cents(5).unwrap();
        State::queued(Request::from(PayParams {
            amount,
            reference: None,
        }))
    }

    fn steering() -> Steering {
        let deadline = std::time::Instant::now().into();
        let (id, client) = ("a".parse().unwrap(), "ws-1".parse().unwrap());
        let (_, control) =
            koffer_drivers::call(id, client, Lang::En, deadline, Box::new(Unrecorded));
        control.steering()
    }

    fn jammed() -> Box<Outcome<Response>> {
        let failure = Failure::without_effect(Status::DeviceFault, "jammed");
        Box::new(Outcome::Failed(failure))
    }

    fn refused() -> Failure {
        Failure::without_effect(Status::Unavailable, "disk full")
    }

    #[test]
    fn what_its_driver_ends_before_it_is_on_record_ends_with_the_journals_answer() {
        for (answer, is_taken) in [(Ok(()), true), (Err(refused()), false)] {
            let mut call = payment();
            assert!(call.start(steering(), false).is_some());
            assert!(matches!(call.ran(jammed()), Ran::Nothing));
            assert!(!call.is_accepted());
            match call.accept(answer) {
                Accepted::Ran(_) => assert!(is_taken),
                Accepted::NotTaken(_) => assert!(!is_taken),
                _ => panic!("it has ended"),
            }
        }
    }

    #[test]
    fn a_call_that_could_not_be_put_on_record_is_stopped_and_never_taken() {
        let mut call = payment();
        call.start(steering(), false);
        assert!(matches!(call.accept(Err(refused())), Accepted::Nothing));
        assert!(matches!(call.ran(jammed()), Ran::NotTaken(_)));
    }

    #[test]
    fn only_a_call_of_a_role_moves_on_and_only_before_its_effect() {
        for is_role in [true, false] {
            let mut call = payment();
            call.accept(Ok(()));
            call.start(steering(), is_role);
            assert_eq!(call.may_move(), is_role);
            call.requeue();
            assert_eq!(call.is_queued(), is_role);
        }
    }

    #[test]
    fn a_call_starts_once() {
        let mut call = payment();
        assert!(call.start(steering(), false).is_some());
        assert!(call.start(steering(), false).is_none());
        assert!(call.steering().is_some(), "it runs on");
    }
}
