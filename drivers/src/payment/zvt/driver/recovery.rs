//! What became of an interrupted call: the terminal's books are asked, nothing is begun.

use std::time::Duration;

use koffer_proto::{
    Lang, Outcome, Response,
    class::payment::{self, Closing, ClosingTotal},
};
use tokio::time::{Instant, sleep};

use super::Zvt;
use crate::{
    Interrupted, NotYet, Reconciled,
    payment::zvt::{
        ReceiptsTo, booking,
        codec::{command::Command, result::Class},
        evidence::{self, Day, Kind, Order, Shown},
        exchange::Audience,
        reconcile::{self, Asked, Doubt, Proof, Record, Seen, Verdict, closing, wording},
        session::{self, Condition, Leaf, Session, Trouble},
        timing,
    },
};

/// What was kept of the call.
struct Kept {
    order: Order,
    before: Day,
    told: Option<Shown>,
    refused: Option<Shown>,
    /// When the call was last known to have the terminal for itself, by this process's clock.
    attended: Option<Instant>,
}

/// What the terminal's books say twice.
struct Books {
    leaf: Leaf,
    day: Day,
    session: Session,
    /// The terminal says that it does nothing, and is known to say otherwise while it can book.
    at_rest: bool,
    /// When they said so first.
    since: Instant,
}

impl Zvt {
    pub(super) async fn find_out(
        &mut self,
        interrupted: &Interrupted,
    ) -> Result<Reconciled, Trouble> {
        let Some(kept) = Kept::of(interrupted) else {
            let reason = wording::undecided(Doubt::NoBaseline, None, None, None);
            return Ok(Reconciled::Undecided(reason));
        };
        let closes = kept.order.kind == Kind::Closing;
        let books = self.books_at_rest(closes).await?;
        let verdict = if closes {
            closing::decide(&kept.before, &books.day)
        } else {
            reconcile::decide(&kept.record(), &books.seen(kept.is_alone_at(books.since)))
        };
        tracing::info!(call = %interrupted.id, ?verdict, "an interrupted call was looked up");
        let reconciled = match verdict {
            Verdict::NotDone(Proof::Unchanged)
                if let Some(left) = self.may_still_book(interrupted, &books) =>
            {
                Reconciled::NotYet(not_yet(closes, interrupted, left))
            }
            Verdict::Done => self.done(&kept, &books, interrupted.lang),
            Verdict::NotDone(proof) => {
                let failure = wording::not_done(proof, closes, interrupted.lang);
                Reconciled::Settled(Outcome::Failed(failure))
            }
            Verdict::Undecided(doubt) => Reconciled::Undecided(wording::undecided(
                doubt,
                Some(&kept.order),
                kept.before.last.as_ref(),
                books.day.last.as_ref(),
            )),
        };
        self.put_back(books.session);
        Ok(reconciled)
    }

    /// For how long a terminal whose books are as before may still book; `None`: it cannot.
    fn may_still_book(&self, interrupted: &Interrupted, books: &Books) -> Option<Duration> {
        if books.at_rest || evidence::ended_by_terminal(&interrupted.milestones) {
            return None;
        }
        let within = self.config.profile.books_within;
        let left = within.checked_sub(interrupted.known_for);
        left.filter(|left| !left.is_zero())
    }

    /// The books, as an idle terminal shows them twice in a row.
    async fn books_at_rest(&mut self, closes: bool) -> Result<Books, Trouble> {
        let give_up = Instant::now() + timing::REST;
        let mut before: Option<(Day, Instant)> = None;
        while Instant::now() < give_up {
            let mut books = self.books(closes, give_up).await?;
            match before {
                Some((day, since)) if day == books.day => {
                    books.since = since;
                    return Ok(books);
                }
                _ => before = Some((books.day, books.since)),
            }
            self.put_back(books.session);
            sleep(timing::SECOND_LOOK).await;
        }
        Err(Trouble::Busy)
    }

    async fn books(&mut self, closes: bool, give_up: Instant) -> Result<Books, Trouble> {
        let (mut session, condition) = self.idle_terminal(give_up).await?;
        // The receipt comes with it where that prints nothing.
        let command = match self.config.receipts {
            ReceiptsTo::ToApp => session::repeat_receipt(&self.config),
            ReceiptsTo::AtTerminal => Command::repeat_last_result(self.config.password.field()),
        };
        let leaf = session
            .leaf(&command, &self.config, Audience::Nobody)
            .await?;
        let turnover = if closes {
            session.turnover(&self.config, Audience::Nobody).await?
        } else {
            None
        };
        let day = Day {
            terminal: session.terminal.map(|id| id.to_string()),
            locked: condition.status.class() == Class::NeedsEndOfDay,
            turnover,
            last: leaf.fields.as_ref().map(Shown::of),
        };
        Ok(Books {
            leaf,
            day,
            session,
            at_rest: condition.is_told && self.config.profile.tells_busy,
            since: Instant::now(),
        })
    }

    /// A session with a terminal that is doing nothing.
    async fn idle_terminal(&mut self, give_up: Instant) -> Result<(Session, Condition), Trouble> {
        loop {
            let kept = self.session.is_some();
            match self.enquire_once(Audience::Nobody).await {
                Ok((session, condition)) => match condition.status.class() {
                    Class::Busy | Class::NeedsCardRemoved => self.put_back(session),
                    // A new session registers.
                    Class::NeedsRegistration => {}
                    _ => return Ok((session, condition)),
                },
                // Terminals close what is idle; nothing but a question was lost with it.
                Err(Trouble::Line(_)) if kept => continue,
                Err(Trouble::Busy) => {}
                Err(trouble) => return Err(trouble),
            }
            if Instant::now() >= give_up {
                return Err(Trouble::Busy);
            }
            sleep(timing::BUSY_PAUSE).await;
        }
    }

    /// The answer that the call would have had, from what the terminal shows now.
    fn done(&self, kept: &Kept, books: &Books, lang: Lang) -> Reconciled {
        use payment::Response as Paid;
        let fields = books.leaf.fields.clone().unwrap_or_default();
        let mut transaction = booking::transaction(
            &fields,
            books.session.terminal,
            self.config.currency,
            books.session.charset,
            books.leaf.receipts.clone(),
        );
        transaction.recovered = true;
        let booked = transaction.amount.map(|amount| amount.cents.get());
        let receipt = transaction.receipt;
        let response = match kept.order.kind {
            Kind::Payment => Paid::Pay(transaction),
            Kind::Refund => Paid::Refund(transaction),
            Kind::Reversal => Paid::Reverse(transaction),
            Kind::Closing => Paid::EndOfDay(self.closed(kept, books)),
        };
        let response = Response::from(response);
        Reconciled::Settled(match (kept.order.cents, booked) {
            (Some(asked), Some(booked)) if asked != booked => {
                let failure = wording::other_amount(asked, booked, receipt, lang);
                let detail = failure.detail.clone().with_evidence(&response);
                Outcome::Failed(failure.with(detail))
            }
            _ => Outcome::Ok(response),
        })
    }

    /// The closed day: its turnover as it was just before. No terminal repeats a closing's receipt.
    fn closed(&self, kept: &Kept, books: &Books) -> Closing {
        let told = kept.told.as_ref();
        let cents = told.and_then(|told| told.cents);
        Closing {
            trace: told.and_then(|told| told.trace),
            terminal: books.day.terminal.clone().unwrap_or_default(),
            total: cents.and_then(|cents| {
                Some(ClosingTotal {
                    cents: i64::try_from(cents).ok()?,
                    currency: self.config.currency,
                })
            }),
            by_card: kept
                .before
                .turnover
                .as_ref()
                .map_or_else(Vec::new, booking::by_card),
            receipts: Vec::new(),
        }
    }
}

impl Kept {
    /// `None` without a baseline, or where it is of something else.
    fn of(interrupted: &Interrupted) -> Option<Self> {
        let baseline = interrupted.baseline.as_ref()?;
        let (order, before) = evidence::read_baseline(baseline)?;
        let unattended = evidence::unattended(baseline, &interrupted.milestones);
        let attended = unattended.and_then(|time| Instant::now().checked_sub(time));
        Some(Self {
            order,
            before,
            told: evidence::read_status_information(&interrupted.milestones),
            refused: evidence::read_refused(&interrupted.milestones),
            attended,
        })
    }

    /// Whether nobody else can have booked by then.
    fn is_alone_at(&self, then: Instant) -> bool {
        self.attended
            .is_some_and(|attended| then <= attended + timing::BY_HAND)
    }

    fn record(&self) -> Record {
        let cents = self.order.cents;
        let asked = if self.order.kind == Kind::Reversal {
            Asked::Reversal {
                receipt: self.order.reverses,
                cents,
            }
        } else {
            Asked::Booking { cents }
        };
        Record {
            asked,
            terminal: self.before.terminal.clone(),
            before: self.before.last.clone(),
            told: self.told.clone(),
            refused: self.refused.clone(),
        }
    }
}

impl Books {
    fn seen(&self, alone: bool) -> Seen {
        Seen {
            terminal: self.day.terminal.clone(),
            last: self.day.last.clone(),
            alone,
        }
    }
}

/// Ask again: soon while what is found then is ours, and later until nothing can come any more.
fn not_yet(closes: bool, interrupted: &Interrupted, left: Duration) -> NotYet {
    let pause = if interrupted.known_for < timing::BY_HAND {
        timing::NEXT_LOOK
    } else {
        timing::LATER_LOOK
    };
    NotYet {
        reason: wording::may_still_book(closes, left),
        again: pause.min(left),
        within: left,
    }
}
