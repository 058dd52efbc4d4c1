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

use self::verdict::{Refusal, Verdict};
use super::{
    codec::{
        apdu::Apdu,
        bcd::Bcd,
        bmp::Fault,
        charset::Text,
        command::{Command, DecodeError, NACK_PROCESSING_ERROR, NACK_UNKNOWN, control},
        completion::Completion,
        fields::Fields,
        receipt::Block,
        result::ResultCode,
        status::IntermediateStatus,
    },
    link::{Broken, Repeat},
    receipts::Collector,
    timing,
};
use crate::{Evidence, Stop};

mod ending;
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
        Ended {
            ending,
            cause: self.cause,
            information: self.verdict.positive().cloned().or(self.seen),
            completion,
            receipts: self.receipts.whole().to_vec(),
        }
    }

    fn is_once(&self) -> bool {
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
        self.wait(now, timing::T3);
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
            // Or every writing of the command was answered with NAK: it was never accepted.
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

    fn received(&mut self, now: Duration, apdu: Apdu) -> Vec<Action> {
        match self.phase {
            Phase::Sent => self.first_answer(now, &apdu),
            _ if self.is_running() => self.message(now, apdu),
            _ => Vec::new(),
        }
    }

    /// The answer to the command itself.
    fn first_answer(&mut self, now: Duration, apdu: &Apdu) -> Vec<Action> {
        match Command::decode(apdu.clone()) {
            Ok(command) if command.is_positive() => {
                self.phase = Phase::Acked;
                self.alive(now);
                match self.cause {
                    Some(cause) if self.abort == Abort::Wanted => self.ask_to_abort(now, cause),
                    _ => Vec::new(),
                }
            }
            Ok(Command::Nack(code, _)) => {
                self.end(Ending::Nack(code));
                Vec::new()
            }
            // Nothing may stand between the command and its answer.
            _ if self.is_once() => {
                self.end(Ending::Unknown(Loss::Unexpected));
                Vec::new()
            }
            // A leftover of an earlier command, on a line that does not know connections.
            _ => leftover(apdu),
        }
    }

    /// What the terminal sends while it works.
    fn message(&mut self, now: Duration, apdu: Apdu) -> Vec<Action> {
        let kind = apdu.control();
        let result = apdu.body().first().copied();
        let command = match Command::decode(apdu) {
            Ok(command) => command,
            Err(error) => return self.unreadable(now, kind, result, &error),
        };
        match command {
            Command::IntermediateStatus {
                code,
                timeout,
                fields,
            } => {
                let status = IntermediateStatus(code);
                if self.phase != Phase::Receipts {
                    self.phase = if status.is_past_the_card() {
                        Phase::Host
                    } else {
                        Phase::Card
                    };
                }
                self.alive(now);
                let minutes = timeout.and_then(Bcd::value).filter(|minutes| *minutes > 0);
                if let (Some(minutes), Abort::No | Abort::TooLate) = (minutes, self.abort) {
                    self.patience = Duration::from_secs(minutes * 60);
                }
                let lines = fields.tlv().unwrap_or_default().display_lines();
                vec![answer(&Command::Ack), Action::Show(status, lines)]
            }
            Command::StatusInformation(fields) => self.result(now, fields),
            Command::PrintLine(attribute, text) => {
                self.alive(now);
                let whole = self.receipts.line(attribute, &text, self.signed);
                acknowledged(whole)
            }
            Command::PrintBlock(fields) => {
                self.alive(now);
                let whole = self.receipts.block(&Block::read(&fields), self.signed);
                acknowledged(whole)
            }
            Command::Completion(completion) => self.completion(completion),
            Command::Abort { result, fields, .. } => {
                if !self.is_once() {
                    self.seen = Some(fields);
                }
                self.aborted(result)
            }
            Command::Ack | Command::Nack(..) => self.answer_to_abort(now, &command),
            _ => vec![answer(&nack(NACK_UNKNOWN))],
        }
    }

    fn answer_to_abort(&mut self, now: Duration, command: &Command) -> Vec<Action> {
        match (self.abort, command.is_positive()) {
            (Abort::Asked, true) => {
                self.abort = Abort::Heard;
                self.alive(now);
                Vec::new()
            }
            (Abort::Asked, false) => {
                self.too_late(now);
                vec![Action::PastCancelling]
            }
            // An acknowledgement of nothing changes nothing.
            (_, true) => Vec::new(),
            (_, false) => {
                self.end(Ending::Unknown(Loss::Unexpected));
                Vec::new()
            }
        }
    }

    /// 04 0F.
    fn result(&mut self, now: Duration, fields: Fields) -> Vec<Action> {
        self.alive(now);
        self.signed |= verdict::is_signed(&fields);
        let once = match &self.plan.kind {
            Kind::Once(once) => once,
            Kind::Harmless { repeats_result } => {
                // One with an amount that was not asked for is a payment's: it is not ours to commit.
                let ours = *repeats_result || fields.amount().is_none();
                if ours {
                    self.seen = Some(fields);
                    return vec![answer(&Command::Ack)];
                }
                return vec![answer(&nack(NACK_PROCESSING_ERROR))];
            }
        };
        self.seen = Some(fields.clone());
        match verdict::judge(&self.verdict, once, &fields) {
            Ok(verdict::Judged::Again) => vec![answer(&Command::Ack)],
            Ok(verdict::Judged::New) => {
                self.phase = Phase::Result;
                let evidence = plan::Once::evidence(&fields);
                self.storing = Some(fields);
                vec![Action::Store(evidence)]
            }
            Err(refusal) => self.refuse(now, refusal, NACK_PROCESSING_ERROR),
        }
    }

    fn refuse(&mut self, now: Duration, refusal: Refusal, code: u8) -> Vec<Action> {
        self.verdict.refuse(refusal);
        self.alive(now);
        vec![answer(&nack(code))]
    }

    /// 06 0F.
    fn completion(&mut self, completion: Completion) -> Vec<Action> {
        let answers_enquiry = matches!(completion, Completion::Status { .. });
        // Of two questions at once this one answers the other (chapter 2.56): not the end of ours.
        if answers_enquiry && !self.plan.is_enquiry {
            return vec![answer(&Command::Ack)];
        }
        let mut actions = vec![answer(&Command::Ack)];
        actions.extend(self.receipts.finish(self.signed).map(Action::Deliver));
        let ending = match &self.plan.kind {
            Kind::Harmless { .. } => Ending::Completed,
            Kind::Once(once) => self.verdict.at_completion(once.needs_result),
        };
        self.end_with(ending, Some(completion));
        actions
    }

    /// 06 1E.
    fn aborted(&mut self, result: ResultCode) -> Vec<Action> {
        let mut actions = vec![answer(&Command::Ack)];
        actions.extend(self.receipts.finish(self.signed).map(Action::Deliver));
        let ending = match &self.plan.kind {
            Kind::Harmless { .. } => Ending::Aborted(result),
            Kind::Once(_) => self.verdict.at_abort(result),
        };
        self.end(ending);
        actions
    }

    /// A message whose control field is known and whose body is not.
    fn unreadable(
        &mut self,
        now: Duration,
        kind: super::codec::apdu::Control,
        first_byte: Option<u8>,
        error: &DecodeError,
    ) -> Vec<Action> {
        let unknown_field =
            matches!(error, DecodeError::Field(field) if field.fault == Fault::Unknown);
        let code = if unknown_field {
            NACK_UNKNOWN
        } else {
            NACK_PROCESSING_ERROR
        };
        match (kind, first_byte) {
            (control::STATUS_INFORMATION, _) => self.refuse(now, Refusal::Unreadable, code),
            // That it is over stands in the control field; why, in the first byte.
            (control::COMPLETION, _) if unknown_field => {
                let mut actions = self.completion(Completion::Fields(Fields::default()));
                if let Some(first) = actions.first_mut() {
                    *first = answer(&nack(code));
                }
                actions
            }
            (control::ABORT, Some(result)) if unknown_field => {
                let mut actions = self.aborted(ResultCode(result));
                if let Some(first) = actions.first_mut() {
                    *first = answer(&nack(code));
                }
                actions
            }
            (control::COMPLETION | control::ABORT, _) => {
                self.end(Ending::Unknown(Loss::Unexpected));
                vec![answer(&nack(code))]
            }
            // A text or a line that nobody can read is no reason to give up a payment.
            _ => vec![answer(&nack(code))],
        }
    }
}

fn acknowledged(receipts: impl IntoIterator<Item = Receipt>) -> Vec<Action> {
    std::iter::once(answer(&Command::Ack))
        .chain(receipts.into_iter().map(Action::Deliver))
        .collect()
}

/// Ends what a terminal still wants to say of an earlier command, without committing anything.
fn leftover(apdu: &Apdu) -> Vec<Action> {
    match apdu.control() {
        control::ACK => Vec::new(),
        control::INTERMEDIATE_STATUS
        | control::PRINT_LINE
        | control::PRINT_BLOCK
        | control::COMPLETION
        | control::ABORT => vec![answer(&Command::Ack)],
        control::STATUS_INFORMATION => vec![answer(&nack(NACK_PROCESSING_ERROR))],
        _ => vec![answer(&nack(NACK_UNKNOWN))],
    }
}

fn nack(code: u8) -> Command {
    Command::Nack(code, super::codec::opaque::Opaque::default())
}

fn answer(command: &Command) -> Action {
    // Neither 80 00 nor 84 xx has a body, so both can always be written.
    let apdu = command.encode().ok();
    let empty = || Apdu::new(command.control(), Vec::new());
    Action::Answer(
        apdu.or_else(empty)
            .unwrap_or_else(|| unreachable!("an empty body fits")),
    )
}

#[cfg(test)]
mod tests;
