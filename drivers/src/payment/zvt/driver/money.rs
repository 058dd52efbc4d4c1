//! The commands that must not happen twice.

use koffer_proto::{
    Amount, Detail, Failure, Response, Status,
    class::payment::{self, Closing, PayParams, RefundParams, ReverseParams, Transaction},
};

use tokio::time::timeout;

use super::{Zvt, readiness::Purpose};
use crate::{
    Call,
    payment::zvt::{
        booking,
        codec::{
            amount,
            bcd::{Bcd, Currency},
            bmp::Bmp,
            command::Command,
            fields::Fields,
            result::{Class, ResultCode},
            tlv::{Tag, Tlv},
        },
        evidence::{self, Day, Kind, Order, Shown},
        exchange::Audience,
        link::Broken,
        outcome::{self, Halt, pick},
        session::{self, Condition, Recall, Session, Trouble},
        timing,
        transaction::{
            self, Ended, Ending, Loss,
            plan::{Once, Original},
        },
    },
};

/// One command that must not happen twice.
struct Money {
    kind: Kind,
    command: Command,
    /// What must be booked, where the caller said so.
    amount: Option<amount::Amount>,
    /// The receipt that is to be reversed.
    reverses: Option<u16>,
    needs_result: bool,
    /// The answer that a 04 0F stands for.
    answer: fn(Transaction, &Fields) -> payment::Response,
}

/// What a command that must not happen twice brought.
struct Booked {
    ended: Ended,
    session: Session,
}

impl Zvt {
    pub(super) async fn pay(
        &mut self,
        params: &PayParams,
        call: &Call,
    ) -> Result<Transaction, Halt> {
        let (amount, currency) = self.amount(params.amount, call)?;
        let money = Money {
            kind: Kind::Payment,
            command: Command::pay(amount, currency),
            amount: Some(amount),
            reverses: None,
            needs_result: true,
            answer: |transaction, _| payment::Response::Pay(transaction),
        };
        let booked = self.book(money, call).await?;
        Ok(self.transaction(booked))
    }

    pub(super) async fn reverse(
        &mut self,
        params: &ReverseParams,
        call: &Call,
    ) -> Result<Transaction, Halt> {
        let asked = params.receipt.get();
        let amount = match params.amount {
            Some(amount) => Some(self.amount(amount, call)?.0),
            None => None,
        };
        // A terminal that does not tell of its books is not dialled in vain.
        if !self.config.profile.shows_books {
            self.check_reversal(Some(asked), None, call)?;
        }
        let receipt = Bcd::from_value(asked.into()).unwrap_or_else(|| unreachable!("at most 9999"));
        let money = Money {
            kind: Kind::Reversal,
            command: Command::reverse(self.config.password.field(), receipt),
            amount,
            reverses: Some(asked),
            needs_result: true,
            answer: |transaction, _| payment::Response::Reverse(transaction),
        };
        let booked = self.book(money, call).await?;
        Ok(self.transaction(booked))
    }

    pub(super) async fn refund(
        &mut self,
        params: &RefundParams,
        call: &Call,
    ) -> Result<Transaction, Halt> {
        let (amount, currency) = self.amount(params.amount, call)?;
        let fields = Fields::default()
            .with(Bmp::Amount(amount))
            .with(Bmp::Currency(currency));
        let money = Money {
            kind: Kind::Refund,
            command: Command::Refund(self.config.password.field(), fields),
            amount: Some(amount),
            reverses: None,
            needs_result: true,
            answer: |transaction, _| payment::Response::Refund(transaction),
        };
        let booked = self.book(money, call).await?;
        Ok(self.transaction(booked))
    }

    pub(super) async fn end_of_day(&mut self, call: &Call) -> Result<Closing, Halt> {
        let money = Money {
            kind: Kind::Closing,
            command: Command::EndOfDay(self.config.password.field(), Fields::default()),
            amount: None,
            reverses: None,
            needs_result: false,
            answer: |transaction, fields| {
                let currency = transaction.amount.map(|amount| amount.currency);
                let currency = currency.unwrap_or(koffer_proto::Currency::EUR);
                payment::Response::EndOfDay(booking::closing(
                    fields,
                    fields.terminal_id(),
                    currency,
                    transaction.receipts,
                ))
            },
        };
        let booked = self.book(money, call).await?;
        let Booked { ended, session } = booked;
        let fields = ended.information.unwrap_or_default();
        let terminal = session.terminal.or(self.memory.terminal);
        self.memory
            .reasons
            .retain(|reason| reason.keyword != "end-of-day-required");
        self.put_back(session);
        Ok(booking::closing(
            &fields,
            terminal,
            self.config.currency,
            ended.receipts,
        ))
    }

    /// The amount as it goes over the line; refused where its currency is not the terminal's.
    fn amount(&self, amount: Amount, call: &Call) -> Result<(amount::Amount, Currency), Halt> {
        let wired = amount::Amount::from_minor(amount.cents.get());
        let code = self.config.currency_code();
        match (wired, code) {
            (Some(wired), Some(code)) if amount.currency == self.config.currency => {
                Ok((wired, code))
            }
            _ => {
                let ours = self.config.currency;
                let message = pick(
                    call.lang,
                    format!("Dieses Terminal bucht nur in {ours}."),
                    format!("This terminal books in {ours} only."),
                );
                let detail = Detail {
                    field: Some("amount.currency".to_owned()),
                    ..Detail::default()
                };
                let failure = Failure::without_effect(Status::BadRequest, message);
                Err(Halt::refused(failure.with(detail)))
            }
        }
    }

    fn transaction(&mut self, booked: Booked) -> Transaction {
        let Booked { ended, mut session } = booked;
        let answer = self.as_transaction(&ended, &session);
        self.memory.receipt = answer.receipt;
        let entry = ended.information.as_ref().map(Shown::of);
        session.last = entry.map_or(Recall::Unasked, Recall::Told);
        self.put_back(session);
        answer
    }

    fn as_transaction(&self, ended: &Ended, session: &Session) -> Transaction {
        let fields = ended.information.clone().unwrap_or_default();
        booking::transaction(
            &fields,
            session.terminal.or(self.memory.terminal),
            self.config.currency,
            session.charset,
            ended.receipts.clone(),
        )
    }

    /// Makes the terminal ready, and runs the command once.
    async fn book(&mut self, money: Money, call: &Call) -> Result<Booked, Halt> {
        let (mut session, condition) = self.ready(money.purpose(), call).await?;
        let day = self.day(&money, &mut session, &condition, call).await;
        let day = day.map_err(|trouble| trouble.halt(call.lang))?;
        if let Err(halt) = self.check_reversal(money.reverses, day.last.as_ref(), call) {
            self.put_back(session);
            return Err(halt);
        }
        let order = Order {
            kind: money.kind,
            cents: money.amount.map(amount::Amount::minor),
            reverses: money.reverses,
        };
        let currency = self
            .config
            .currency_code()
            .unwrap_or(crate::payment::zvt::codec::bcd::EUR);
        let once = Once {
            baseline: evidence::baseline(&order, &day),
            terminal: session.terminal,
            amount: money.amount,
            reverses: money.original(day.last.as_ref()),
            currency,
            needs_result: money.needs_result,
        };
        let plan = session.plan(
            &money.command,
            &self.config,
            transaction::Kind::Once(Box::new(once)),
        );
        let plan = plan.map_err(|trouble| trouble.halt(call.lang))?;
        session.last = Recall::Unasked;
        let done = session.exchange(plan, Audience::Call(call)).await;
        let ended = done.ended;
        // A positive 04 0F shows what would have been answered, whatever came after it.
        let shown = ended
            .information
            .as_ref()
            .filter(|fields| fields.result() == Some(0));
        let evidence: Option<Response> = shown
            .map(|fields| (money.answer)(self.as_transaction(&ended, &session), fields).into());
        let Some(failure) = outcome::failure(&ended, true, call.lang, evidence.as_ref()) else {
            return Ok(Booked { ended, session });
        };
        Err(self.not_booked(&money, ended, failure, session, call).await)
    }

    async fn not_booked(
        &mut self,
        money: &Money,
        ended: Ended,
        failure: Failure,
        mut session: Session,
        call: &Call,
    ) -> Halt {
        if let Ending::Nack(code) = ended.ending {
            self.attend_to(ResultCode(code));
        }
        if let Ending::Aborted(code) | Ending::Declined(code) = ended.ending {
            self.attend_to(code);
        }
        let failure = match refusal(&ended) {
            Some(code) if money.kind == Kind::Closing && session.usable => {
                self.open_reservations(code, failure, &mut session, call)
                    .await
            }
            _ => failure,
        };
        if let Ending::Unknown(loss) = &ended.ending {
            keep_loss(loss, ended.refused.as_ref(), call).await;
        }
        let lost = matches!(ended.ending, Ending::Unknown(_) | Ending::NothingSent(_));
        self.put_back(session);
        Halt {
            failure,
            fault: lost.then(|| outcome::fault_of(&ended)),
        }
    }

    /// A result that says more of the terminal than of the card becomes a state of the device.
    fn attend_to(&mut self, code: ResultCode) {
        if let Some(reason) = outcome::reason_after(code) {
            self.memory
                .reasons
                .retain(|old| old.keyword != reason.keyword);
            self.memory.reasons.push(reason);
        }
    }

    /// A closing that the terminal refused: are pre-authorisations open? They are named, not
    /// released: that gives reserved money back, and nobody asked for it.
    async fn open_reservations(
        &mut self,
        code: ResultCode,
        failure: Failure,
        session: &mut Session,
        call: &Call,
    ) -> Failure {
        let Ok(plan) = session.harmless(&session::open_reservations(), &self.config) else {
            return failure;
        };
        let done = session.exchange(plan, Audience::Call(call)).await;
        let numbers = done
            .ended
            .information
            .as_ref()
            .map_or_else(Vec::new, reserved);
        if numbers.is_empty() {
            return failure;
        }
        let list: Vec<_> = numbers
            .iter()
            .map(|number| format!("{number:04}"))
            .collect();
        let list = list.join(", ");
        let message = pick(
            call.lang,
            format!(
                "Der Kassenschnitt ist nicht möglich, solange Reservierungen offen sind (Beleg {list}). \
                 Buchen oder lösen Sie diese am Terminal, dann wiederholen Sie den Kassenschnitt."
            ),
            format!(
                "The day cannot be closed while pre-authorisations are open (receipt {list}). \
                 Book or release them at the terminal, then close the day again."
            ),
        );
        Failure::without_effect(Status::Declined, message).with(Detail {
            device_code: Some(format!("{:02x}", code.0)),
            cause: Some("open-pre-authorisations".to_owned()),
            ..Detail::default()
        })
    }

    /// Refuses a reversal that this terminal cannot do: some reverse their last booking, whatever
    /// receipt was asked for. So the last receipt must be known, from the books or from memory.
    fn check_reversal(
        &self,
        asked: Option<u16>,
        last: Option<&Shown>,
        call: &Call,
    ) -> Result<(), Halt> {
        let last = last.and_then(|last| last.receipt).or(self.memory.receipt);
        if !self.config.profile.reverse_only_last || asked.is_none() || asked == last {
            return Ok(());
        }
        let (cause, message) = if last.is_some() {
            let message = pick(
                call.lang,
                "Dieses Terminal storniert nur seinen letzten Vorgang. Erstatten Sie den Betrag stattdessen.",
                "This terminal reverses only its last transaction. Refund the amount instead.",
            );
            ("only-last-receipt", message)
        } else {
            let message = pick(
                call.lang,
                "Dieses Terminal storniert nur seinen letzten Vorgang, und welcher das war, ist nicht bekannt. \
                 Erstatten Sie den Betrag stattdessen, oder stornieren Sie am Terminal.",
                "This terminal reverses only its last transaction, and it is not known which one that was. \
                 Refund the amount instead, or reverse it at the terminal.",
            );
            ("last-receipt-unknown", message)
        };
        let failure = Failure::without_effect(Status::Unsupported, message).with(Detail {
            field: Some("receipt".to_owned()),
            cause: Some(cause.to_owned()),
            ..Detail::default()
        });
        Err(Halt::refused(failure))
    }

    /// What the terminal shows before it is touched, to compare with after a crash.
    async fn day(
        &self,
        money: &Money,
        session: &mut Session,
        condition: &Condition,
        call: &Call,
    ) -> Result<Day, Trouble> {
        let audience = Audience::Call(call);
        let last = session.last_entry(&self.config, audience).await?;
        let turnover = match money.kind {
            Kind::Closing if self.config.profile.shows_books => {
                session.turnover(&self.config, audience).await?
            }
            _ => None,
        };
        // It answered and hung up: nothing more can be sent, least of all money.
        if !session.usable {
            return Err(Trouble::Line(Loss::Line(Broken::Closed)));
        }
        Ok(Day {
            terminal: session.terminal.map(|id| id.to_string()),
            locked: condition.status.class() == Class::NeedsEndOfDay,
            turnover,
            last,
        })
    }
}

impl Money {
    /// Which booking a reversal is of, where the terminal's last entry shows it.
    fn original(&self, last: Option<&Shown>) -> Option<Original> {
        let last = last.filter(|last| last.is_positive())?;
        let trace = last.trace?.into();
        Some(if self.reverses? == last.receipt? {
            Original::Last(trace)
        } else {
            Original::NotLast(trace)
        })
    }

    fn purpose(&self) -> Purpose {
        match self.kind {
            Kind::Closing => Purpose::Closing,
            Kind::Payment | Kind::Reversal | Kind::Refund => Purpose::Booking,
        }
    }
}

/// Keeps when contact was lost: what the terminal shows soon after can only be ours.
async fn keep_loss(loss: &Loss, refused: Option<&Fields>, call: &Call) {
    let kept = evidence::lost(outcome::loss_keyword(loss), refused);
    let stored = timeout(timing::STORE, call.milestone(kept)).await;
    if !matches!(stored, Ok(Ok(()))) {
        tracing::warn!("the loss of contact was not stored; the call's outcome is harder to find");
    }
}

/// The code with which the terminal said that it cannot do this now.
fn refusal(ended: &Ended) -> Option<ResultCode> {
    let code = match ended.ending {
        Ending::Nack(code) => ResultCode(code),
        Ending::Aborted(code) | Ending::Declined(code) => code,
        _ => return None,
    };
    (code.class() == Class::Rejected).then_some(code)
}

/// Receipt numbers of open pre-authorisations: BMP 87, and list 23 of the container. FFFF says
/// that there are none (chapter 2.10.1).
fn reserved(fields: &Fields) -> Vec<u64> {
    let container = fields.tlv().unwrap_or_default();
    let listed = container
        .find(Tag::OPEN_RESERVATIONS)
        .map_or(&[][..], Tlv::items);
    let listed = listed
        .iter()
        .filter(|item| item.tag() == Tag::RECEIPT)
        .filter_map(|item| <[u8; 2]>::try_from(item.value()).ok())
        .map(Bcd::from_bytes);
    let mut numbers: Vec<_> = fields
        .receipt()
        .into_iter()
        .chain(listed)
        .filter_map(Bcd::value)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
