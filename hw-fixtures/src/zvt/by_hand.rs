//! What people do at the terminal itself, without the ECR.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use koffer_drivers::payment::zvt::codec::registration::ConfigByte;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};

use super::books::Draft;
use super::conversation::Ended;
use super::ledger::Event;
use super::machine::{Machine, terminal_state};
use super::shared::Phase;

/// The bank's code for a card that it does not like.
const DECLINED: u8 = 0x64;

/// One thing that somebody does at the keys of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ByHand {
    /// Takes a payment.
    Pay {
        /// Minor units.
        cents: i64,
    },
    /// Tries to, and the bank says no.
    Decline {
        /// Minor units.
        cents: i64,
    },
    /// Gives money back to a card.
    Refund {
        /// Minor units.
        cents: i64,
    },
    /// Reverses a payment of this business day.
    Reverse {
        /// Its receipt number.
        receipt: u16,
    },
    /// Closes the business day.
    Close,
}

type Waiting = VecDeque<(ByHand, oneshot::Sender<bool>)>;

/// Who stands before the terminal and waits until it is free.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    came: Notify,
}

impl Queue {
    /// Whether it was done; waits until the terminal is idle and not an ECR's.
    pub(super) async fn stand(&self, deed: ByHand) -> bool {
        let (done, is_done) = oneshot::channel();
        self.waiting().push_back((deed, done));
        self.came.notify_one();
        is_done.await.unwrap_or(false)
    }

    /// Somebody whose deed still matters.
    fn next(&self) -> Option<(ByHand, oneshot::Sender<bool>)> {
        let mut waiting = self.waiting();
        while let Some((deed, done)) = waiting.pop_front() {
            if !done.is_closed() {
                return Some((deed, done));
            }
        }
        None
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Each change is complete in itself.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn somebody_comes(&self) {
        self.came.notified().await;
    }
}

impl Machine {
    /// Whether the keys of the terminal do anything: an ECR that is connected and registered with
    /// "no amount entry" has it for itself.
    pub(super) fn obeys_hands(&self) -> bool {
        let locked = ConfigByte::NO_AMOUNT_ENTRY;
        let registered = self
            .registered
            .is_some_and(|registered| registered.config.has(locked));
        !(registered && self.talk.is_connected())
    }

    /// Does what the people in the queue came for.
    pub(super) fn serve_hands(&mut self) -> Result<(), Ended> {
        while let Some((deed, done)) = self.shared.hands().next() {
            self.shared.enter(Phase::Working);
            let did = self.do_by_hand(deed)?;
            // Who left did not need to know.
            let _ = done.send(did);
        }
        self.shared.enter(Phase::Idle);
        Ok(())
    }

    fn do_by_hand(&mut self, deed: ByHand) -> Result<bool, Ended> {
        let profile = self.shared.profile().clone();
        let closes = deed == ByHand::Close;
        if !closes && terminal_state(&profile) != 0 {
            return Ok(false);
        }
        let draft = |cents| Draft {
            cents,
            card: Some(profile.cardholder.card.clone()),
            by_hand: true,
            ..Draft::default()
        };
        let (event, draft) = match deed {
            ByHand::Pay { cents } => (Event::Booked, draft(cents)),
            ByHand::Refund { cents } => (Event::Refunded, draft(cents)),
            ByHand::Decline { cents } => {
                let result = Some(DECLINED);
                let draft = draft(cents);
                (Event::Declined, Draft { result, ..draft })
            }
            ByHand::Reverse { receipt } => {
                let ledger = self.books.ledger();
                let booking = self.books.booking(receipt);
                let standing = |trace| ledger.standing(trace).unwrap_or_default() > 0;
                let Some(booking) = booking.filter(|booking| standing(booking.trace)) else {
                    return Ok(false);
                };
                let original_trace = Some(booking.trace);
                let draft = draft(booking.cents);
                let draft = Draft {
                    original_trace,
                    ..draft
                };
                (Event::Reversed, draft)
            }
            ByHand::Close => {
                let cents = self.books.period_sum();
                let card = None;
                self.shared.profile().closing_lock = false;
                (
                    Event::Closed,
                    Draft {
                        card,
                        ..draft(cents)
                    },
                )
            }
        };
        self.books.write(event, draft)?;
        Ok(true)
    }
}
