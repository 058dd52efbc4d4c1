//! What a 04 0F is worth.

use super::{Ending, Loss, plan::Once};
use crate::payment::zvt::codec::{
    bcd::Bcd,
    bmp::Bmp,
    fields::Fields,
    result::ResultCode,
    tlv::{Container, Tag, Tlv},
};

/// What the terminal's 04 0F said, as far as it was acknowledged.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// None came yet.
    None,
    /// Result 00, stored and acknowledged.
    Positive(Fields),
    /// Another result, stored and acknowledged.
    Negative(ResultCode),
    /// Refused with 84 xx; nothing positive was acknowledged.
    Refused(Refusal),
    /// A second one contradicts the one that was acknowledged.
    Contradicted(Fields),
}

/// Why a 04 0F was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Refusal {
    /// The journal could not store it.
    NotStored,
    /// It could not be read.
    Unreadable,
    /// It has no result (BMP 27).
    NoResult,
    /// Another terminal's (BMP 29).
    WrongTerminal,
    /// Another amount (BMP 04).
    WrongAmount,
    /// A reversal of another booking than the one that was asked for (BMP 37).
    WrongReceipt,
    /// Another currency (BMP 49).
    WrongCurrency,
    /// It says something else than the one before.
    Contradiction,
}

/// A 04 0F that may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// Once it is stored.
    New,
    /// At once: it is the stored one again.
    Again,
    /// At once: it adds to the stored one and contradicts it nowhere.
    More,
}

impl Verdict {
    pub(super) fn of(fields: Fields) -> Self {
        // A closing may come without one; `judge` asked for it where it is needed.
        match fields.result() {
            None | Some(0) => Self::Positive(fields),
            Some(code) => Self::Negative(ResultCode(code)),
        }
    }

    pub(super) fn positive(&self) -> Option<&Fields> {
        match self {
            Self::Positive(fields) | Self::Contradicted(fields) => Some(fields),
            _ => None,
        }
    }

    /// Takes in what a further 04 0F tells beyond the acknowledged one.
    pub(super) fn add(&mut self, more: &Fields, once: &Once) {
        let Self::Positive(stored) = self else {
            return;
        };
        if !once.needs_result {
            // A closing may have one 04 0F per contract: what one says stands for none of the others.
            let of_one = |bmp: &Bmp| matches!(bmp, Bmp::Amount(_) | Bmp::Trace(_) | Bmp::Totals(_));
            return stored.0.retain(|bmp| !of_one(bmp));
        }
        for bmp in &more.0 {
            let kind = std::mem::discriminant(bmp);
            if stored
                .0
                .iter()
                .all(|known| std::mem::discriminant(known) != kind)
            {
                stored.0.push(bmp.clone());
            }
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        *self = match std::mem::replace(self, Self::None) {
            Self::Positive(fields) | Self::Contradicted(fields) => Self::Contradicted(fields),
            _ => Self::Refused(refusal),
        };
    }

    /// What 06 0F means now. One that carries a failure (BMP 27) is an abort by another name.
    pub(super) fn at_completion(&self, needs_result: bool, result: Option<ResultCode>) -> Ending {
        if let Some(code) = result.filter(|code| code.is_failure()) {
            return self.at_abort(code);
        }
        match self {
            Self::Positive(_) => Ending::Completed,
            Self::Negative(code) => Ending::Declined(*code),
            // A code that is no failure says what comes next, not that this was done.
            Self::None if !needs_result && result.is_none_or(|code| code == ResultCode::OK) => {
                Ending::Completed
            }
            // It was told that we did not take it, and completed all the same.
            Self::None | Self::Refused(_) | Self::Contradicted(_) => {
                Ending::Unknown(Loss::Contradiction)
            }
        }
    }

    /// What 06 1E means now.
    pub(super) fn at_abort(&self, code: ResultCode) -> Ending {
        match self {
            Self::None if code != ResultCode::OK => Ending::Aborted(code),
            Self::Negative(result) => Ending::Declined(*result),
            Self::Refused(refusal) => Ending::Refused(*refusal),
            // After "paid" this may mean reversed, or only that a receipt was not printed.
            Self::Positive(_) | Self::Contradicted(_) => Ending::Unknown(Loss::Contradiction),
            // 00 is the code of a success.
            Self::None => Ending::Unknown(Loss::Unexplained),
        }
    }
}

/// Whether a 04 0F may be acknowledged after what came before.
pub(super) fn judge(before: &Verdict, once: &Once, fields: &Fields) -> Result<Judged, Refusal> {
    match before {
        Verdict::Positive(stored) if stored == fields => return Ok(Judged::Again),
        // A further one with more data (PA00P015 chapter 2.2.6), or one per contract at a closing.
        Verdict::Positive(stored)
            if matches!(fields.result(), None | Some(0))
                && (!once.needs_result || is_of_same_entry(stored, fields))
                && contradiction(once, fields).is_none() =>
        {
            return Ok(Judged::More);
        }
        Verdict::Positive(_) | Verdict::Contradicted(_) => return Err(Refusal::Contradiction),
        Verdict::Refused(refusal) => return Err(*refusal),
        Verdict::None | Verdict::Negative(_) => {}
    }
    match fields.result() {
        None if once.needs_result => return Err(Refusal::NoResult),
        None | Some(0) => {}
        Some(_) => return Ok(Judged::New),
    }
    contradiction(once, fields).map_or(Ok(Judged::New), Err)
}

/// Where it says something else than what was asked. What it leaves out contradicts nothing: each
/// field of a 04 0F is optional (PA00P015 chapter 3.1.1).
fn contradiction(once: &Once, fields: &Fields) -> Option<Refusal> {
    let original = fields.original_trace().and_then(Bcd::value);
    if differ(fields.terminal_id(), once.terminal) {
        Some(Refusal::WrongTerminal)
    } else if differ(fields.amount(), once.amount) {
        Some(Refusal::WrongAmount)
    } else if differ(fields.currency(), Some(once.currency)) {
        Some(Refusal::WrongCurrency)
    } else if original.is_some_and(|trace| once.reverses.is_some_and(|it| it.is_not(trace))) {
        Some(Refusal::WrongReceipt)
    } else {
        None
    }
}

/// Whether both can be told of the same booking.
fn is_of_same_entry(one: &Fields, other: &Fields) -> bool {
    !(differ(one.trace(), other.trace())
        || differ(one.receipt(), other.receipt())
        || differ(one.amount(), other.amount())
        || differ(one.original_trace(), other.original_trace())
        || differ(one.terminal_id(), other.terminal_id()))
}

/// Whether both are known and not the same.
fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// Whether the cardholder signs the merchant's receipt (TLV 1F10: 1, and 5-7 beside a PIN). Where
/// 1F10 is missing, the payment type says it (BMP 19: 40 offline, 60 online, 70 with PIN).
pub(super) fn is_signed(fields: &Fields) -> bool {
    let container = fields.tlv().unwrap_or_default();
    let inner = container
        .find(Tag::PAYMENT_TYPE)
        .map_or(&[][..], Tlv::items);
    let inner = Container(inner.to_vec());
    let found = [&container, &inner]
        .into_iter()
        .find_map(|list| list.find(Tag::CARDHOLDER_AUTHENTICATION))
        .and_then(|item| item.value().first().copied());
    match found {
        Some(method) => matches!(method, 1 | 5..=7),
        None => matches!(fields.kind(), Some(0x40 | 0x60)),
    }
}
