//! What a transaction is to do, and what its answer must say to be believed.

use std::time::Duration;

use crate::{
    Evidence,
    payment::zvt::codec::{
        amount::Amount,
        apdu::Apdu,
        bcd::{Currency, TerminalId},
        charset::Charset,
    },
};

/// One command and how to treat it.
#[derive(Debug, Clone)]
pub(in super::super) struct Plan {
    /// The command.
    pub(in super::super) command: Apdu,
    /// What it does to the world.
    pub(in super::super) kind: Kind,
    /// Whether 06 B0 may end it.
    pub(in super::super) abortable: bool,
    /// Whether a completion with a terminal status (05 01) is its answer.
    pub(in super::super) is_enquiry: bool,
    /// Whether its receipts are the administration's.
    pub(in super::super) administration: bool,
    /// T4.
    pub(in super::super) response_timeout: Duration,
    /// The longest it may take, whatever the terminal sends; without one the call's deadline and
    /// the wish to stop that comes with it are the limit.
    pub(in super::super) limit: Option<Duration>,
    /// Of receipts.
    pub(in super::super) charset: Charset,
}

/// What a command does to the world.
#[derive(Debug, Clone)]
pub(in super::super) enum Kind {
    /// Nothing that must not happen twice.
    Harmless {
        /// It asks for a 04 0F that commits nothing (06 20, 06 10).
        repeats_result: bool,
    },
    /// Something that must not happen twice.
    Once(Box<Once>),
}

/// What must be known before, and what the answer must say.
#[derive(Debug, Clone)]
pub(in super::super) struct Once {
    /// What the terminal showed before.
    pub(in super::super) baseline: Evidence,
    /// The terminal that was asked, where it is known.
    pub(in super::super) terminal: Option<TerminalId>,
    /// What must be booked; `None` where the terminal alone knows (06 30 without, 06 50).
    pub(in super::super) amount: Option<Amount>,
    /// What a reversal may take back, as far as the terminal's books tell.
    pub(in super::super) reverses: Option<Original>,
    /// In which currency.
    pub(in super::super) currency: Currency,
    /// Whether it is only done if a 04 0F says so. Not so for 06 50, which some terminals end with
    /// 06 0F alone.
    pub(in super::super) needs_result: bool,
}

/// Which booking a reversal is of, by trace number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Original {
    /// The terminal's last booking, which has this one.
    Last(u64),
    /// An earlier one: not the last booking, which has this one.
    NotLast(u64),
}

impl Original {
    /// Whether the booking with this trace number is another one.
    pub(in super::super) fn is_not(self, trace: u64) -> bool {
        match self {
            // A terminal without a number for it sends zeros.
            _ if trace == 0 => false,
            Self::Last(last) => trace != last,
            Self::NotLast(last) => trace == last,
        }
    }
}
