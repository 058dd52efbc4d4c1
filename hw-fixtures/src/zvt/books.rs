//! The terminal's memory: everything is in the ledger, nothing beside it.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use koffer_drivers::payment::zvt::codec::amount::Amount;
use koffer_drivers::payment::zvt::codec::apdu::Apdu;
use koffer_drivers::payment::zvt::codec::bcd::{Bcd, EUR};
use koffer_drivers::payment::zvt::codec::bmp::{self, Bmp};
use koffer_drivers::payment::zvt::codec::charset::{Charset, Text};
use koffer_drivers::payment::zvt::codec::command::control;
use koffer_drivers::payment::zvt::codec::fields::Fields;
use koffer_drivers::payment::zvt::codec::totals::Totals;

use super::cardholder::{Card, packed};
use super::conversation::{Ended, message};
use super::ledger::{Entry, Event, Ledger, LedgerError, OpenLedger};
use super::profile::Profile;
use super::shared::Shared;

/// Receipt numbers have four digits and no zero.
const LAST_RECEIPT: u16 = 9_999;
/// Trace numbers have six digits and no zero.
const LAST_TRACE: u32 = 999_999;

/// An entry before it has its numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) cents: i64,
    /// An own number; the next one if it is left out.
    pub(super) receipt: Option<u16>,
    pub(super) original_trace: Option<u32>,
    pub(super) result: Option<u8>,
    pub(super) card: Option<Card>,
    /// Not by the ECR, which is told nothing of it.
    pub(super) by_hand: bool,
}

#[derive(Debug)]
pub(super) struct Books {
    open: OpenLedger,
    shared: Arc<Shared>,
    /// What 06 91 set the clock forward by.
    pub(super) clock: SignedDuration,
}

impl Books {
    /// Opens the ledger. Blocks.
    pub(super) fn open(path: &Path, shared: Arc<Shared>) -> Result<Self, LedgerError> {
        let open = OpenLedger::open(path)?;
        let books = Self {
            open,
            shared,
            clock: SignedDuration::ZERO,
        };
        books.count();
        Ok(books)
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.open.ledger()
    }

    /// Writes and syncs one entry. Blocks the simulator's task for the sync, as a terminal's own
    /// flash does; nothing else runs in it.
    pub(super) fn write(&mut self, event: Event, draft: Draft) -> Result<Entry, Ended> {
        let next_receipt = self.next_receipt();
        let takes_receipt = match event {
            Event::Booked
            | Event::Reversed
            | Event::Refunded
            | Event::Reserved
            | Event::AutoReversed
            | Event::Released => true,
            Event::Declined => self.shared.profile().declined_takes_receipt,
            _ => false,
        };
        let takes_trace = takes_receipt || matches!(event, Event::Declined | Event::Cancelled);
        let entry = Entry {
            seq: 0,
            at: Timestamp::now(),
            event,
            cents: draft.cents,
            receipt: match draft.receipt {
                Some(receipt) => receipt,
                None if takes_receipt => next_receipt,
                None => 0,
            },
            trace: if takes_trace { self.next_trace() } else { 0 },
            original_trace: draft.original_trace,
            result: draft.result,
            pan: draft.card.as_ref().map(Card::shown),
            card_kind: draft.card.as_ref().map(|card| card.kind),
            card: draft.card.map(|card| card.name),
            by_hand: draft.by_hand,
        };
        self.append(entry)
    }

    /// The ECR has the result of this entry.
    pub(super) fn acknowledge(&mut self, entry: &Entry) -> Result<(), Ended> {
        self.append(Entry {
            event: Event::Acknowledged,
            at: Timestamp::now(),
            ..entry.clone()
        })?;
        Ok(())
    }

    fn append(&mut self, entry: Entry) -> Result<Entry, Ended> {
        let appended = self.open.append(entry);
        appended.map_err(|error| Ended::Broken(std::io::Error::other(error)))?;
        self.count();
        let last = self.ledger().entries().last().cloned();
        last.ok_or_else(|| Ended::Broken(std::io::Error::other("the ledger is empty")))
    }

    fn count(&self) {
        let entries = self.ledger().entries().len();
        self.shared.status().send_modify(|status| {
            status.entries = u64::try_from(entries).unwrap_or(u64::MAX);
        });
    }

    /// The number of the last transaction that kept one.
    fn next_receipt(&self) -> u16 {
        let reuses = !self.shared.profile().auto_reversal_leaves_receipt;
        let entries = self.ledger().entries();
        let last = entries.iter().rev().find(|entry| {
            let gone = reuses
                && (entry.event == Event::AutoReversed || self.is_auto_reversed(entry.trace));
            entry.receipt != 0 && entry.event != Event::Acknowledged && !gone
        });
        match last {
            None => self.shared.profile().first_receipt,
            Some(entry) if entry.receipt >= LAST_RECEIPT => 1,
            Some(entry) => entry.receipt + 1,
        }
    }

    fn next_trace(&self) -> u32 {
        let entries = self.ledger().entries();
        let last = entries
            .iter()
            .rev()
            .find(|entry| entry.trace != 0 && entry.event != Event::Acknowledged);
        match last {
            None => self.shared.profile().first_trace,
            Some(entry) if entry.trace >= LAST_TRACE => 1,
            Some(entry) => entry.trace + 1,
        }
    }

    fn is_auto_reversed(&self, trace: u32) -> bool {
        let reversals = self.ledger().list(Event::AutoReversed);
        let mut reversals = reversals.iter();
        reversals.any(|entry| entry.original_trace == Some(trace))
    }

    /// What 06 20 repeats.
    pub(super) fn last_result(&self) -> Option<Entry> {
        let (leaves, clears) = {
            let profile = self.shared.profile();
            (
                profile.auto_reversal_leaves_receipt,
                profile.closing_clears_last,
            )
        };
        let entries = if clears {
            self.period()
        } else {
            self.ledger().entries()
        };
        let last = entries.iter().rev().find(|entry| match entry.event {
            Event::Booked | Event::Reversed | Event::Refunded | Event::Reserved => {
                leaves || !self.is_auto_reversed(entry.trace)
            }
            Event::Released => true,
            Event::AutoReversed => leaves,
            Event::Declined => entry.receipt != 0,
            _ => false,
        });
        last.cloned()
    }

    /// What was told and never acknowledged when the power failed.
    pub(super) fn unacknowledged(&self) -> Option<Entry> {
        let entries = self.ledger().entries();
        let last = entries.iter().rev().find(|entry| entry.trace != 0)?;
        let told = matches!(
            last.event,
            Event::Booked | Event::Reversed | Event::Refunded | Event::Reserved
        );
        (told && !last.by_hand).then(|| last.clone())
    }

    /// The payments, refunds and reversals since the last end of day.
    pub(super) fn period(&self) -> &[Entry] {
        let entries = self.ledger().entries();
        let closed = entries
            .iter()
            .rposition(|entry| entry.event == Event::Closed);
        entries
            .get(closed.map_or(0, |at| at + 1)..)
            .unwrap_or_default()
    }

    /// The booking with this receipt number that 06 30 may reverse.
    pub(super) fn booking(&self, receipt: u16) -> Option<Entry> {
        let found = self.period().iter().rev().find(|entry| {
            entry.receipt == receipt && matches!(entry.event, Event::Booked | Event::Refunded)
        });
        found.cloned()
    }

    /// The pre-authorisations that are neither booked nor released.
    pub(super) fn reservations(&self) -> Vec<Entry> {
        let entries = self.ledger().entries();
        let open = entries.iter().filter(|entry| {
            entry.event == Event::Reserved
                && !entries
                    .iter()
                    .any(|other| other.original_trace == Some(entry.trace))
        });
        open.cloned().collect()
    }

    /// The terminal's date and time.
    fn local(&self, at: Timestamp) -> jiff::Zoned {
        let ahead = SignedDuration::from_hours(self.shared.profile().clock_ahead_h);
        let at = at.checked_add(self.clock + ahead).unwrap_or(at);
        at.to_zoned(jiff::tz::TimeZone::system())
    }

    /// For a receipt: `22.11.2026 14:05`.
    pub(super) fn printed_time(&self, at: Timestamp) -> String {
        self.local(at).strftime("%d.%m.%Y %H:%M").to_string()
    }

    /// BMP 0C and 0D of a moment.
    fn time_fields(&self, at: Timestamp) -> Vec<Bmp> {
        let local = self.local(at);
        let two = |number: i8| u64::try_from(number).unwrap_or(0);
        let time = two(local.hour()) * 10_000 + two(local.minute()) * 100 + two(local.second());
        let date = two(local.month()) * 100 + two(local.day());
        let mut fields = Vec::new();
        fields.extend(Bcd::from_value(time).map(Bmp::Time));
        fields.extend(Bcd::from_value(date).map(Bmp::Date));
        fields
    }

    /// 04 0F for an entry.
    pub(super) fn status_information(&self, entry: &Entry) -> Result<Apdu, Ended> {
        let profile = self.shared.profile().clone();
        let mut fields = vec![Bmp::Result(entry.result.unwrap_or(0))];
        fields.extend(amount(entry.cents).map(Bmp::Amount));
        fields.push(Bmp::Currency(EUR));
        fields.extend(self.time_fields(entry.at));
        fields.extend(Bcd::from_value(entry.trace.into()).map(Bmp::Trace));
        if reverses(entry.event) {
            let original = entry.original_trace.map(u64::from);
            fields.extend(original.and_then(Bcd::from_value).map(Bmp::OriginalTrace));
        }
        fields.extend(Bcd::from_value(entry.receipt.into()).map(Bmp::Receipt));
        fields.extend(identity(&profile));
        fields.push(Bmp::Type(0x70));
        if entry.result.is_none() {
            fields.push(Bmp::Authorisation(*b"12345678"));
        }
        fields.extend(entry.card_kind.map(Bmp::CardType));
        if let Some(name) = &entry.card {
            let name = Text::new(&format!("{name}\0"), Charset::Cp437);
            fields.push(Bmp::CardName(name));
        }
        let mut body = encoded(&fields)?;
        if let Some(pan) = &entry.pan {
            // The codec keeps four digits of a number; a terminal shows the first six as well.
            let written = bmp::put(0x22, &packed(pan), &mut body);
            written.map_err(|error| Ended::Broken(std::io::Error::other(error)))?;
        }
        message(control::STATUS_INFORMATION, body)
    }

    /// 04 0F of an end of day: sum and totals of the period.
    pub(super) fn closing_information(&self, cents: i64) -> Result<Apdu, Ended> {
        let profile = self.shared.profile().clone();
        let mut fields = vec![Bmp::Result(0)];
        fields.extend(amount(cents.max(0)).map(Bmp::Amount));
        fields.push(Bmp::Currency(EUR));
        fields.extend(self.time_fields(Timestamp::now()));
        fields.extend(identity(&profile));
        fields.extend(self.totals().map(|totals| totals.to_bmp()));
        message(control::STATUS_INFORMATION, encoded(&fields)?)
    }

    /// Sum of the period in minor units: what an end of day transmits.
    pub(super) fn period_sum(&self) -> i64 {
        Ledger::from_entries(self.period().to_vec()).sum()
    }

    /// BMP 60: turnover that stands, all in the group of the cards used.
    fn totals(&self) -> Option<Totals> {
        let none = Amount::from_minor(0)?;
        let mut groups = [(0_u8, none); 7];
        let period = Ledger::from_entries(self.period().to_vec());
        let mut numbers = Vec::new();
        for entry in period.entries() {
            let standing = period.standing(entry.trace).filter(|cents| *cents > 0);
            if entry.event != Event::Booked || standing.is_none() {
                continue;
            }
            numbers.push(entry.receipt);
            let group = groups.get_mut(card_group(entry.card_kind))?;
            let cents = u64::try_from(standing?).ok()?;
            *group = (
                group.0.saturating_add(1),
                Amount::from_minor(group.1.minor() + cents)?,
            );
        }
        let number = |receipt: Option<&u16>| Bcd::from_value(receipt.map_or(0, |r| (*r).into()));
        Some(Totals {
            first: number(numbers.first())?,
            last: number(numbers.last())?,
            groups,
        })
    }
}

/// Place in BMP 60 of a card of the ZVT card table.
fn card_group(kind: Option<u8>) -> usize {
    match kind {
        Some(0x05) => 0,
        Some(0x06) => 2,
        Some(0x08) => 3,
        Some(0x0A) => 4,
        Some(0x0C) => 5,
        Some(0x0E) => 1,
        _ => 6,
    }
}

/// Takes money back, so that 04 0F names the original.
fn reverses(event: Event) -> bool {
    matches!(
        event,
        Event::Reversed | Event::AutoReversed | Event::Released
    )
}

fn amount(cents: i64) -> Option<Amount> {
    Amount::from_minor(cents.unsigned_abs())
}

/// BMP 29 and 2A.
fn identity(profile: &Profile) -> Vec<Bmp> {
    let mut vu = [b' '; 15];
    for (place, byte) in vu.iter_mut().zip(profile.vu.bytes()) {
        *place = byte;
    }
    let mut fields = vec![Bmp::Vu(vu)];
    fields.extend(Bcd::from_value(profile.terminal_id.into()).map(Bmp::TerminalId));
    fields
}

pub(super) fn encoded(fields: &[Bmp]) -> Result<Vec<u8>, Ended> {
    let mut body = Vec::new();
    let written = Fields(fields.to_vec()).encode(&mut body);
    written.map_err(|error| Ended::Broken(std::io::Error::other(error)))?;
    Ok(body)
}
