//! One command from its first byte to its end, as a machine without I/O and without a clock.
//!
//! Events go in, actions come out, and the caller says what time it is; so every order of messages,
//! timeouts, losses and wishes to stop can be played through in a test. Phases are named as in
//! the safety rules: Accepted -> Armed -> Sent -> Acked -> Card | Host -> Result -> Receipts ->
//! Completed | Declined | Unknown.
//!
//! What it guarantees for a command that must not happen twice:
//! - it is emitted once, after `Arm` and `Begin` were stored, and never again;
//! - a 04 0F is acknowledged only after `Store` was stored, and refused with 84 66 otherwise;
//! - it ends [`Ending::Completed`] only if 06 0F came after an acknowledged, matching, positive
//!   04 0F (a closing: or without any 04 0F);
//! - it ends without effect only if nothing was sent, or the terminal itself said no: 84 xx to the
//!   command, 06 1E, or a 04 0F with a result other than 00 followed by either end;
//! - everything else ends [`Ending::Unknown`].
//!
//! Source: PA00P015 chapters 2.2, 2.24 (abort), 3.2-3.7.

use std::time::Duration;

use koffer_proto::class::payment::Receipt;

use self::{
    messages::answer,
    verdict::{Refusal, Verdict},
};
use super::{
    codec::{
        apdu::Apdu,
        charset::Text,
        command::{Command, NACK_PROCESSING_ERROR},
        completion::Completion,
        fields::Fields,
        status::IntermediateStatus,
    },
    link::{Broken, Repeat},
    receipts::Collector,
    timing,
};
use crate::{Evidence, Stop};

mod ending;
mod messages;
pub(super) mod plan;
pub(super) mod verdict;

pub(super) use ending::{Ended, Ending, Loss};
pub(super) use plan::{Kind, Plan};

/// Where the command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was done yet.
    Accepted,
    /// What the terminal showed before is stored.
    Armed,
    /// The command is on the line.
    Sent,
    /// The terminal took it.
    Acked,
    /// It waits for card or cardholder.
    Card,
    /// It waits for the payment host.
    Host,
    /// A 04 0F is being stored.
    Result,
    /// The 04 0F was acknowledged; receipts and the completion follow.
    Receipts,
    /// Done.
    Completed,
    /// Certainly not done.
    Declined,
    /// Nobody knows.
    Unknown,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// The last [`Action::Arm`], [`Action::Begin`] or [`Action::Store`] is on disk.
    Stored,
    /// It could not be stored.
    NotStored,
    /// [`Action::Command`] was written as far as the line can tell.
    Written,
    /// The terminal sent this.
    Received(Apdu),
    /// The [`Transaction::deadline`] passed.
    Timeout,
    /// The line broke.
    Lost(Broken),
    /// The call should end.
    Stop(Stop),
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Store what the terminal shows before it is touched.
    Arm(Evidence),
    /// Store that the effect may begin.
    Begin,
    /// Store what must be known after a crash.
    Store(Evidence),
    /// Send the command, or 06 B0. Followed by [`Event::Written`].
    Command(Apdu, Repeat),
    /// Answer the terminal's last message.
    Answer(Apdu),
    /// Tell the caller what the terminal shows.
    Show(IntermediateStatus, Vec<Text>),
    /// Tell the caller of a whole receipt.
    Deliver(Receipt),
    /// Tell whoever asks that it is too late to cancel.
    PastCancelling,
}

/// Why 06 B0 was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The call should end.
    Stop(Stop),
    /// The terminal was silent for T4.
    Silence,
}

/// How far an abort got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abort {
    /// Not asked for.
    No,
    /// Not asked for yet: the command itself must be acknowledged first.
    Wanted,
    /// 06 B0 is on its way.
    Asked,
    /// The terminal took it, which is not "cancelled".
    Heard,
    /// The terminal said that it is too late.
    TooLate,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Transaction {
    plan: Plan,
    phase: Phase,
    verdict: Verdict,
    cause: Option<Cause>,
    abort: Abort,
    /// The terminal's last sign of life, and how long to wait for the next.
    since: Duration,
    patience: Duration,
    /// When all ends, whatever the terminal sends.
    limit: Option<Duration>,
    /// A 04 0F that is being stored.
    storing: Option<Fields>,
    /// The last 04 0F, believed or not.
    seen: Option<Fields>,
    /// The cardholder signs.
    signed: bool,
    /// The terminal's own words where it said no.
    words: String,
    receipts: Collector,
    ended: Option<(Ending, Option<Completion>)>,
}

impl Transaction {
    /// A command that has not begun.
    pub(super) fn new(plan: Plan) -> Self {
        let receipts = Collector::new(plan.charset, plan.administration);
        Self {
            plan,
            phase: Phase::Accepted,
            verdict: Verdict::None,
            cause: None,
            abort: Abort::No,
            since: Duration::ZERO,
            patience: timing::T3,
            limit: None,
            storing: None,
            seen: None,
            signed: false,
            words: String::new(),
            receipts,
            ended: None,
        }
    }

    /// The first actions. Times count from any fixed instant.
    pub(super) fn start(&mut self, now: Duration) -> Vec<Action> {
        match &self.plan.kind {
            Kind::Once(once) => vec![Action::Arm(once.baseline.clone())],
            Kind::Harmless { .. } => self.send(now),
        }
    }

    /// Takes one event; gives what is to be done.
    pub(super) fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        if self.ended.is_some() {
            return Vec::new();
        }
        match event {
            Event::Stored => self.stored(now),
            Event::NotStored => self.not_stored(now),
            Event::Written => {
                self.since = now;
                Vec::new()
            }
            Event::Received(apdu) => self.received(now, apdu),
            Event::Timeout => self.timed_out(now),
            Event::Lost(broken) => self.lost(broken),
            Event::Stop(stop) => self.stop(now, stop),
        }
    }

    /// When to give [`Event::Timeout`]; `None` while nothing is waited for.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let waits = self.ended.is_none()
            && !matches!(self.phase, Phase::Accepted | Phase::Armed | Phase::Result);
        let silence = self.since + self.patience;
        waits.then(|| self.limit.map_or(silence, |limit| limit.min(silence)))
    }

    /// Whether a wish to stop was heard.
    pub(super) fn heard_stop(&self) -> bool {
        matches!(self.cause, Some(Cause::Stop(_)))
    }

    /// Where it stands.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it is over; then [`Transaction::into_ended`].
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// How it ended.
    pub(super) fn into_ended(self) -> Ended {
        let (ending, completion) = self
            .ended
            .unwrap_or((Ending::Unknown(Loss::Unexpected), None));
        let is_refused_booking = matches!(
            self.verdict,
            Verdict::Refused(Refusal::WrongAmount | Refusal::NotStored)
        );
        Ended {
            ending,
            // What came too late is not why it ended.
            cause: self.cause.filter(|_| self.abort != Abort::TooLate),
            refused: self.seen.clone().filter(|_| is_refused_booking),
            information: self.verdict.positive().cloned().or(self.seen),
            completion,
            words: self.words,
            receipts: self.receipts.whole().to_vec(),
        }
    }

    /// Whether it must not happen twice.
    pub(super) fn is_once(&self) -> bool {
        matches!(self.plan.kind, Kind::Once(_))
    }

    fn is_running(&self) -> bool {
        matches!(
            self.phase,
            Phase::Acked | Phase::Card | Phase::Host | Phase::Receipts
        )
    }

    fn send(&mut self, now: Duration) -> Vec<Action> {
        self.phase = Phase::Sent;
        let patience = if self.is_once() {
            timing::LATE_ANSWER
        } else {
            timing::T3
        };
        self.wait(now, patience);
        self.limit = self.plan.limit.map(|limit| now + limit);
        let repeat = if self.is_once() {
            Repeat::OnNak
        } else {
            Repeat::OnNakOrSilence
        };
        vec![Action::Command(self.plan.command.clone(), repeat)]
    }

    fn wait(&mut self, now: Duration, patience: Duration) {
        self.since = now;
        self.patience = patience;
    }

    /// A sign of life: the next one may take as long again.
    fn alive(&mut self, now: Duration) {
        let patience = match self.abort {
            Abort::Asked | Abort::Heard => timing::ABORT_SILENCE,
            _ => self.plan.response_timeout,
        };
        self.wait(now, patience);
    }

    fn end(&mut self, ending: Ending) {
        self.end_with(ending, None);
    }

    fn end_with(&mut self, ending: Ending, completion: Option<Completion>) {
        self.phase = match ending {
            Ending::Completed => Phase::Completed,
            Ending::Unknown(_) => Phase::Unknown,
            _ => Phase::Declined,
        };
        self.ended = Some((ending, completion));
    }

    fn stored(&mut self, now: Duration) -> Vec<Action> {
        match (self.phase, self.storing.take()) {
            (Phase::Accepted, _) => {
                self.phase = Phase::Armed;
                vec![Action::Begin]
            }
            (Phase::Armed, _) => self.send(now),
            (Phase::Result, Some(fields)) => {
                self.phase = Phase::Receipts;
                let mut actions = vec![answer(&Command::Ack)];
                self.verdict = Verdict::of(fields);
                if self.verdict.positive().is_some() {
                    actions.push(Action::PastCancelling);
                    self.too_late(now);
                } else if self.abort == Abort::Wanted {
                    self.limit_from(now);
                }
                self.alive(now);
                actions
            }
            _ => Vec::new(),
        }
    }

    fn not_stored(&mut self, now: Duration) -> Vec<Action> {
        match self.phase {
            Phase::Accepted | Phase::Armed => {
                self.end(Ending::NotStored);
                Vec::new()
            }
            Phase::Result => {
                self.phase = Phase::Receipts;
                self.storing = None;
                self.refuse(now, Refusal::NotStored, NACK_PROCESSING_ERROR)
            }
            _ => Vec::new(),
        }
    }

    fn lost(&mut self, broken: Broken) -> Vec<Action> {
        let ending = match (self.phase, broken) {
            // In Sent, every writing of the command was answered with NAK: it was never accepted.
            (Phase::Accepted | Phase::Armed, broken)
            | (Phase::Sent, broken @ Broken::NotAccepted) => Ending::NothingSent(broken),
            (_, broken) => Ending::Unknown(Loss::Line(broken)),
        };
        self.end(ending);
        Vec::new()
    }

    fn timed_out(&mut self, now: Duration) -> Vec<Action> {
        let out_of_time = self.limit.is_some_and(|limit| now >= limit);
        let may_ask = self.is_running()
            && self.abort == Abort::No
            && self.plan.abortable
            && self.verdict.positive().is_none();
        if may_ask && !out_of_time {
            return self.ask_to_abort(now, Cause::Silence);
        }
        self.end(Ending::Unknown(Loss::Silence));
        Vec::new()
    }

    fn stop(&mut self, now: Duration, stop: Stop) -> Vec<Action> {
        if self.heard_stop() {
            return Vec::new();
        }
        match self.phase {
            Phase::Accepted | Phase::Armed => {
                self.cause = Some(Cause::Stop(stop));
                self.end(Ending::Stopped);
                return Vec::new();
            }
            _ if !self.plan.abortable => {
                self.cause = Some(Cause::Stop(stop));
                return Vec::new();
            }
            _ => {}
        }
        match self.abort {
            Abort::No if self.verdict.positive().is_some() => {
                self.cause = Some(Cause::Stop(stop));
                self.too_late(now);
                Vec::new()
            }
            Abort::No if self.is_running() => self.ask_to_abort(now, Cause::Stop(stop)),
            Abort::No => {
                self.cause = Some(Cause::Stop(stop));
                self.abort = Abort::Wanted;
                Vec::new()
            }
            // It was asked for because of silence; now there is a better reason.
            _ => {
                self.cause = Some(Cause::Stop(stop));
                self.limit_from(now);
                Vec::new()
            }
        }
    }

    fn ask_to_abort(&mut self, now: Duration, cause: Cause) -> Vec<Action> {
        self.cause = Some(cause);
        self.abort = Abort::Asked;
        self.limit_from(now);
        self.wait(now, timing::ABORT_SILENCE);
        let abort = Command::AbortRequest(Fields::default()).encode();
        abort
            .map(|apdu| Action::Command(apdu, Repeat::OnNak))
            .into_iter()
            .collect()
    }

    /// It is being decided or decided: the completion tells.
    fn too_late(&mut self, now: Duration) {
        if self.cause.is_some() {
            self.abort = Abort::TooLate;
            self.limit_from(now);
            self.wait(now, self.plan.response_timeout);
        }
    }

    fn limit_from(&mut self, now: Duration) {
        let limit = now + timing::SETTLE;
        self.limit = Some(self.limit.map_or(limit, |earlier| earlier.min(limit)));
    }
}

#[cfg(test)]
mod tests;
