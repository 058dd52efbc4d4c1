//! What moves money: at most one command of its kind per call, and never the same one twice.

use std::collections::BTreeMap;

use koffer_proto::{
    Detail, Failure, Lang, Response, Status,
    class::payment::{self, PayParams, RefundParams, ReverseParams, Transaction},
};

use super::{
    super::{
        booking,
        codec::{
            amount::Amount,
            bcd::{Bcd, EUR, NO_RECEIPT},
            bmp::Bmp,
            charset::Charset,
            command::Command,
            fields::Fields,
        },
        exchange::Audience,
        outcome::{self, Halt, pick},
        session::{self, Session, Trouble},
        transaction::{Ended, Ending, Kind, plan::Once},
    },
    Zvt,
    readiness::Purpose,
};
use crate::{Call, Evidence};

/// A command that ended well.
struct Did {
    ended: Ended,
    charset: Charset,
}

/// What a command asks for.
struct Order {
    command: Command,
    amount: Option<Amount>,
    needs_result: bool,
}

impl Zvt {
    pub(super) async fn pay(
        &mut self,
        params: &PayParams,
        call: &Call,
    ) -> Result<payment::Response, Halt> {
        let (amount, currency) = self.money(params.amount, call.lang)?;
        let command = Command::pay(amount, currency);
        let order = Order {
            command,
            amount: Some(amount),
            needs_result: true,
        };
        let booked = self.book(order, call, payment::Response::Pay).await?;
        Ok(payment::Response::Pay(booked))
    }

    pub(super) async fn reverse(
        &mut self,
        params: &ReverseParams,
        call: &Call,
    ) -> Result<payment::Response, Halt> {
        let number = params.receipt.get();
        if self.config.profile.reverse_only_last
            && self.memory.receipt.is_some_and(|last| last != number)
        {
            return Err(Halt::refused(not_the_last(call.lang)));
        }
        let amount = match params.amount {
            Some(amount) => Some(self.money(amount, call.lang)?.0),
            None => None,
        };
        // A receipt number has four digits: it always fits.
        let receipt = Bcd::from_value(number.into()).unwrap_or(NO_RECEIPT);
        let command = Command::reverse(self.config.password.field(), receipt);
        let order = Order {
            command,
            amount,
            needs_result: true,
        };
        let booked = self.book(order, call, payment::Response::Reverse).await?;
        Ok(payment::Response::Reverse(booked))
    }

    pub(super) async fn refund(
        &mut self,
        params: &RefundParams,
        call: &Call,
    ) -> Result<payment::Response, Halt> {
        let (amount, currency) = self.money(params.amount, call.lang)?;
        let fields = Fields(vec![Bmp::Amount(amount), Bmp::Currency(currency)]);
        let command = Command::Refund(self.config.password.field(), fields);
        let order = Order {
            command,
            amount: Some(amount),
            needs_result: true,
        };
        let booked = self.book(order, call, payment::Response::Refund).await?;
        Ok(payment::Response::Refund(booked))
    }

    pub(super) async fn end_of_day(&mut self, call: &Call) -> Result<payment::Response, Halt> {
        let command = Command::EndOfDay(self.config.password.field(), Fields::default());
        let order = Order {
            command,
            amount: None,
            needs_result: false,
        };
        let session = self.ready(call, Purpose::Closing).await?;
        let terminal = session.terminal.or(self.memory.terminal);
        let currency = self.config.currency;
        let closing = |ended: &Ended| {
            let fields = ended.information.clone().unwrap_or_default();
            let receipts = ended.receipts.clone();
            payment::Response::EndOfDay(booking::closing(&fields, terminal, currency, receipts))
        };
        match self
            .once(session, order, call, |did| closing(&did.ended))
            .await
        {
            Ok(did) => Ok(closing(&did.ended)),
            Err(halt) if halt.fault.is_none() => Err(self.why_not_closed(halt, call).await),
            Err(halt) => Err(halt),
        }
    }

    /// The amount and currency as the terminal takes them.
    fn money(
        &self,
        amount: koffer_proto::Amount,
        lang: Lang,
    ) -> Result<(Amount, super::super::codec::bcd::Currency), Halt> {
        let currency = self
            .config
            .currency_code()
            .filter(|_| amount.currency == self.config.currency);
        let cents = Amount::from_minor(amount.cents.get());
        if let (Some(cents), Some(currency)) = (cents, currency) {
            return Ok((cents, currency));
        }
        let own = self.config.currency;
        let message = pick(
            lang,
            format!("Dieses Terminal bucht nur in {own}."),
            format!("This terminal books {own} only."),
        );
        let field = Some("amount.currency".to_owned());
        let detail = Detail {
            field,
            ..Detail::default()
        };
        let failure = Failure::without_effect(Status::Unsupported, message).with(detail);
        Err(Halt::refused(failure))
    }

    /// Runs an order that ends with a booking.
    async fn book(
        &mut self,
        order: Order,
        call: &Call,
        answer: fn(Transaction) -> payment::Response,
    ) -> Result<Transaction, Halt> {
        let session = self.ready(call, Purpose::Booking).await?;
        let terminal = session.terminal.or(self.memory.terminal);
        let currency = self.config.currency;
        let booking = |did: &Did| {
            let fields = did.ended.information.clone().unwrap_or_default();
            let receipts = did.ended.receipts.clone();
            booking::transaction(&fields, terminal, currency, did.charset, receipts)
        };
        let did = self
            .once(session, order, call, |did| answer(booking(did)))
            .await?;
        let booked = booking(&did);
        self.memory.receipt = Some(booked.receipt)
            .filter(|number| *number > 0)
            .or(self.memory.receipt);
        self.memory.trace = Some(booked.trace)
            .filter(|number| *number > 0)
            .or(self.memory.trace);
        Ok(booked)
    }

    /// Runs a command that must not happen twice. Where its end got lost, what the terminal had
    /// said by then goes with the failure.
    async fn once(
        &mut self,
        mut session: Session,
        order: Order,
        call: &Call,
        answer: impl Fn(&Did) -> payment::Response,
    ) -> Result<Did, Halt> {
        let lang = call.lang;
        let halt = |trouble: Trouble| trouble.halt(lang);
        let currency = self.config.currency_code().unwrap_or(EUR);
        let terminal = session.terminal.or(self.memory.terminal);
        let kind = Kind::Once(Box::new(Once {
            baseline: self.baseline(),
            terminal,
            amount: order.amount,
            currency,
            needs_result: order.needs_result,
        }));
        let plan = session
            .plan(&order.command, &self.config, kind)
            .map_err(halt)?;
        let charset = session.charset;
        let done = session.exchange(plan, Audience::Call(call)).await;
        self.put_back(session);
        let did = Did {
            ended: done.ended,
            charset,
        };
        if did.ended.ending == Ending::Completed {
            return Ok(did);
        }
        if let Ending::Aborted(code) | Ending::Declined(code) = did.ended.ending
            && let Some(reason) = outcome::reason_after(code)
        {
            self.memory.reasons = vec![reason];
        }
        let approved = did
            .ended
            .information
            .as_ref()
            .is_some_and(|f| f.result() == Some(0));
        let evidence = approved.then(|| Response::Payment(answer(&did)));
        Err(outcome::halted(&did.ended, true, lang, evidence.as_ref()))
    }

    /// What was seen of the terminal last, for comparison after a crash.
    fn baseline(&self) -> Evidence {
        let memory = &self.memory;
        let mut facts = BTreeMap::new();
        let mut note = |key, value: Option<String>| {
            if let Some(value) = value {
                facts.insert(key, value);
            }
        };
        note("terminal", memory.terminal.map(|id| id.to_string()));
        note("receipt", memory.receipt.map(|number| number.to_string()));
        note("trace", memory.trace.map(|number| number.to_string()));
        Evidence {
            step: "baseline",
            facts,
        }
    }

    /// Adds to a closing that was refused which pre-authorisations stand in its way, if any do.
    async fn why_not_closed(&mut self, mut halt: Halt, call: &Call) -> Halt {
        let Some(receipt) = self.open_reservation(call).await else {
            return halt;
        };
        let more = pick(
            call.lang,
            format!(
                " Am Terminal ist noch eine Vorautorisierung offen (Beleg {receipt}); sie muss dort \
                 gebucht oder storniert werden."
            ),
            format!(
                " A pre-authorisation is still open at the terminal (receipt {receipt}); it must be \
                 booked or reversed there."
            ),
        );
        halt.failure.message.push_str(&more);
        halt.failure.detail.cause = Some("open-pre-authorisation".to_owned());
        halt
    }

    /// The receipt number of an open pre-authorisation, where the terminal tells of one.
    async fn open_reservation(&mut self, call: &Call) -> Option<u16> {
        let audience = Audience::Call(call);
        let mut session = self.contact(audience).await.ok()?;
        let kind = Kind::Harmless {
            repeats_result: false,
        };
        let plan = session
            .plan(&session::open_reservations(), &self.config, kind)
            .ok()?;
        let done = session.exchange(plan, audience).await;
        self.put_back(session);
        let told = done
            .ended
            .information
            .as_ref()
            .and_then(booking::receipt_number);
        told.filter(|number| *number > 0)
    }
}

fn not_the_last(lang: Lang) -> Failure {
    let message = pick(
        lang,
        "Dieses Terminal storniert nur den letzten Vorgang. Ältere Zahlungen mit einer Gutschrift erstatten.",
        "This terminal reverses its last transaction only. Give older payments back by a refund.",
    );
    let detail = Detail {
        field: Some("receipt".to_owned()),
        ..Detail::default()
    };
    Failure::without_effect(Status::Unsupported, message).with(detail)
}
