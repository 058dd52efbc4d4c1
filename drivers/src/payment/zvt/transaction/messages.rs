//! What the terminal says, and how it is answered.

use std::time::Duration;

use koffer_proto::class::payment::Receipt;

use super::{
    Abort, Action, Ending, Kind, Loss, Phase, Transaction,
    verdict::{self, Refusal},
};
use crate::card_number::mask_text;
use crate::payment::zvt::{
    codec::{
        apdu::{Apdu, Control},
        bcd::Bcd,
        bmp::Fault,
        charset::Text,
        command::{Command, DecodeError, NACK_PROCESSING_ERROR, NACK_UNKNOWN, control},
        completion::Completion,
        fields::Fields,
        opaque::Opaque,
        receipt::Block,
        result::ResultCode,
        status::IntermediateStatus,
        tlv::{Tag, Tlv},
    },
    evidence, timing,
};

/// Characters of the terminal's own words at most: a sentence, not a book.
const MAX_WORDS: usize = 200;

impl Transaction {
    pub(super) fn received(&mut self, now: Duration, apdu: Apdu) -> Vec<Action> {
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
            // Some show what they do before they say that they do it. To acknowledge it commits nothing.
            Ok(Command::IntermediateStatus { .. }) if self.is_once() => {
                vec![answer(&Command::Ack)]
            }
            // Nothing else may stand between the command and its answer.
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
                // Its own work may take longer than our question; the terminal says how long.
                if let (Some(minutes), Some(limit), false) = (minutes, self.limit, self.is_once()) {
                    let own = (now + Duration::from_secs(minutes * 60)).min(timing::OWN_WORK);
                    if self.abort == Abort::No && !self.heard_stop() {
                        self.limit = Some(limit.max(own));
                    }
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
            Command::Completion(completion) => self.completion(completion, &Command::Ack),
            Command::Abort { result, fields, .. } => {
                self.hear(&fields);
                if !self.is_once() {
                    self.seen = Some(fields);
                }
                self.aborted(result, &Command::Ack)
            }
            Command::Ack | Command::Nack(..) => self.answer_to_abort(now, &command),
            // This machine has its time from elsewhere; the terminal need not know.
            Command::Unknown(apdu) if apdu.control() == control::TERMINAL_CLOCK => {
                self.alive(now);
                vec![answer(&Command::Ack)]
            }
            _ => vec![answer(&nack(NACK_UNKNOWN))],
        }
    }

    /// Keeps what the terminal says of its refusal, in the order of how plainly it is meant.
    fn hear(&mut self, fields: &Fields) {
        let container = fields.tlv().unwrap_or_default();
        let error = container.find(Tag::ERROR_TEXT).map(Tlv::text);
        let texts = [
            fields.additional().into_iter().collect(),
            error.into_iter().collect(),
            container.display_lines(),
        ];
        let readable = |text: &Text| {
            let text = text.decode(self.plan.charset);
            text.replace(char::is_control, " ").trim().to_owned()
        };
        let said = texts.iter().map(|lines: &Vec<Text>| {
            let lines: Vec<_> = lines.iter().map(readable).collect();
            lines.join(" ").trim().to_owned()
        });
        if let Some(said) = said.into_iter().find(|said| !said.is_empty()) {
            self.words = mask_text(&said).chars().take(MAX_WORDS).collect();
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
        if fields.result().is_some_and(|code| code != 0) {
            self.hear(&fields);
        }
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
            Ok(verdict::Judged::More) => {
                self.verdict.add(&fields, once);
                vec![answer(&Command::Ack)]
            }
            Ok(verdict::Judged::New) => {
                self.phase = Phase::Result;
                let evidence = evidence::status_information(&fields);
                self.storing = Some(fields);
                vec![Action::Store(evidence)]
            }
            Err(refusal) => self.refuse(now, refusal, NACK_PROCESSING_ERROR),
        }
    }

    pub(super) fn refuse(&mut self, now: Duration, refusal: Refusal, code: u8) -> Vec<Action> {
        self.verdict.refuse(refusal);
        self.alive(now);
        vec![answer(&nack(code))]
    }

    /// 06 0F.
    fn completion(&mut self, completion: Completion, reply: &Command) -> Vec<Action> {
        let answers_enquiry = matches!(completion, Completion::Status { .. });
        // Of two questions at once this one answers the other (chapter 2.56): not the end of ours.
        if answers_enquiry && !self.plan.is_enquiry {
            return vec![answer(&Command::Ack)];
        }
        let mut actions = vec![answer(reply)];
        actions.extend(self.receipts.finish(self.signed).map(Action::Deliver));
        let result = match &completion {
            Completion::Fields(fields) => fields.result().map(ResultCode),
            Completion::Status { .. } => None,
        };
        let failed = result.filter(|code| code.is_failure());
        let ending = match &self.plan.kind {
            // What is repeated may be a booking that was declined: its code is not this command's.
            Kind::Harmless {
                repeats_result: false,
            } if !self.plan.is_enquiry => failed.map_or(Ending::Completed, Ending::Aborted),
            Kind::Harmless { .. } => Ending::Completed,
            Kind::Once(once) => self.verdict.at_completion(once.needs_result, result),
        };
        self.end_with(ending, Some(completion));
        actions
    }

    /// 06 1E.
    fn aborted(&mut self, result: ResultCode, reply: &Command) -> Vec<Action> {
        let mut actions = vec![answer(reply)];
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
        kind: Control,
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
                self.completion(Completion::Fields(Fields::default()), &nack(code))
            }
            (control::ABORT, Some(result)) if unknown_field => {
                self.aborted(ResultCode(result), &nack(code))
            }
            // An empty one says that it is over, and not why.
            (control::ABORT, None) => self.aborted(ResultCode::OK, &Command::Ack),
            (control::COMPLETION | control::ABORT, _) => {
                self.end(Ending::Unknown(Loss::Unexpected));
                vec![answer(&nack(code))]
            }
            // An empty one: it works on, and says nothing of it.
            (control::INTERMEDIATE_STATUS, None) => {
                self.alive(now);
                vec![answer(&Command::Ack)]
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
    Command::Nack(code, Opaque::default())
}

pub(super) fn answer(command: &Command) -> Action {
    // Neither 80 00 nor 84 xx has a body, so both can always be written.
    let apdu = command.encode().ok();
    let empty = || Apdu::new(command.control(), Vec::new());
    Action::Answer(
        apdu.or_else(empty)
            .unwrap_or_else(|| unreachable!("an empty body fits")),
    )
}
