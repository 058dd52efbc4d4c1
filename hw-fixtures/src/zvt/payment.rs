//! Commands that move money: card, PIN, host, ledger, result, receipts.

use koffer_drivers::payment::zvt::codec::bcd::{Bcd, EUR, NO_RECEIPT};
use koffer_drivers::payment::zvt::codec::bmp::Bmp;
use koffer_drivers::payment::zvt::codec::command::{NACK_BUSY, control};
use koffer_drivers::payment::zvt::codec::fields::Fields;
use koffer_drivers::payment::zvt::codec::registration::ConfigByte;

use super::books::{Draft, encoded};
use super::cardholder::{Cardholder, Pin};
use super::conversation::{Ended, Meanwhile, Reply, message};
use super::fault::Step;
use super::ledger::{Entry, Event};
use super::machine::{Machine, Outcome};
use super::profile::{MissingAck, Reverses};
use super::receipts;
use super::shared::Phase;

/// Wrong PINs until a card is refused.
const PIN_ATTEMPTS: usize = 3;
/// The bank's code for a wrong PIN.
const WRONG_PIN: u8 = 0x55;
/// Cancelled by key, by command or by time.
const CANCELLED: u8 = 0x6C;
/// "Reservation failed".
const NO_RESERVATION: u8 = 0xB8;

/// How card and bank answered.
enum Verdict {
    Approved,
    Declined(u8),
    Cancelled(u8),
}

impl Machine {
    /// 06 01.
    pub(super) async fn pay(&mut self, fields: &Fields) -> Result<Outcome, Ended> {
        self.with_card(fields, Event::Booked, true).await
    }

    /// 06 22.
    pub(super) async fn reserve(&mut self, fields: &Fields) -> Result<Outcome, Ended> {
        self.with_card(fields, Event::Reserved, true).await
    }

    /// 06 31. A refund asks for the card, not for its PIN.
    pub(super) async fn refund(&mut self, fields: &Fields) -> Result<Outcome, Ended> {
        self.with_card(fields, Event::Refunded, false).await
    }

    async fn with_card(
        &mut self,
        fields: &Fields,
        event: Event,
        asks_pin: bool,
    ) -> Result<Outcome, Ended> {
        if let Some(refusal) = wrong_currency(fields) {
            return Ok(refusal);
        }
        let Some(amount) = fields.amount().filter(|amount| amount.minor() > 0) else {
            // No amount can be entered on this terminal.
            return Ok(Outcome::Abort(vec![0xC8]));
        };
        let cents = i64::try_from(amount.minor()).unwrap_or(i64::MAX);
        let mut person = self.shared.cardholder();
        if !asks_pin {
            person.pin.clear();
        }
        self.talk.meanwhile = self.meanwhile()?;
        self.talk.abortable = true;
        let verdict = self.ask_card_and_host(&person).await?;
        self.talk.abortable = false;
        let draft = Draft {
            cents,
            card: Some(person.card.clone()),
            ..Draft::default()
        };
        match verdict {
            Verdict::Approved => self.book(event, draft, Some(&person)).await,
            Verdict::Declined(code) => self.decline(draft, code, &person).await,
            Verdict::Cancelled(code) => self.cancel(draft, code).await,
        }
    }

    /// What it says of itself while it waits for the card, where it hides that.
    fn meanwhile(&self) -> Result<Option<Meanwhile>, Ended> {
        let profile = self.shared.profile().clone();
        if !profile.hides_work {
            return Ok(None);
        }
        let last = match self.books.last_result() {
            Some(entry) => vec![
                self.books.status_information(&entry)?,
                message(control::COMPLETION, Vec::new())?,
            ],
            None => vec![message(control::ABORT, vec![0x83])?],
        };
        let mut fields = vec![Bmp::Type(0)];
        fields.extend(Bcd::from_value(profile.terminal_id.into()).map(Bmp::TerminalId));
        fields.push(Bmp::Currency(EUR));
        Ok(Some(Meanwhile {
            registered: message(control::COMPLETION, encoded(&fields)?)?,
            ready: message(control::COMPLETION, vec![0])?,
            last,
        }))
    }

    async fn ask_card_and_host(&mut self, person: &Cardholder) -> Result<Verdict, Ended> {
        let card_timeout = self.shared.profile().card_timeout_ms;
        self.shared.enter(Phase::Card);
        self.show(0x0A, "Bitte Karte einstecken").await?;
        let comes_in = person.inserts_after_ms;
        let comes = person.comes && comes_in <= card_timeout;
        if let Err(code) = self
            .wait(if comes { comes_in } else { card_timeout })
            .await?
        {
            return Ok(Verdict::Cancelled(code));
        }
        if !comes {
            return Ok(Verdict::Cancelled(CANCELLED));
        }
        for (attempt, pin) in person.pin.iter().enumerate() {
            self.shared.enter(Phase::Pin);
            self.show(0x01, "Bitte Geheimzahl eingeben").await?;
            if let Err(code) = self.wait(person.pin_after_ms).await? {
                return Ok(Verdict::Cancelled(code));
            }
            match pin {
                Pin::Ok => break,
                Pin::Cancel => return Ok(Verdict::Cancelled(CANCELLED)),
                Pin::Wrong if attempt + 1 >= PIN_ATTEMPTS => {
                    self.show(0x18, "PIN zu oft falsch").await?;
                    return Ok(Verdict::Declined(WRONG_PIN));
                }
                Pin::Wrong => self.show(0x15, "PIN falsch").await?,
            }
        }
        if person.pin.last() == Some(&Pin::Wrong) {
            return Ok(Verdict::Declined(WRONG_PIN));
        }
        self.shared.enter(Phase::Host);
        self.talk.abortable = false;
        self.show(0x04, "Bitte warten").await?;
        // Nothing can cancel what the bank decides.
        let _not_abortable = self.wait(person.host_after_ms).await?;
        Ok(match person.host_result {
            0 => Verdict::Approved,
            code => Verdict::Declined(code),
        })
    }

    /// Writes the ledger, tells the result, prints: the order that everything depends on.
    async fn book(
        &mut self,
        event: Event,
        draft: Draft,
        person: Option<&Cardholder>,
    ) -> Result<Outcome, Ended> {
        self.talk.pass(Step::Booking).await?;
        let entry = self.books.write(event, draft)?;
        self.talk.pass(Step::Booked).await?;
        if let Err(code) = self.tell(&entry).await? {
            return match self.shared.profile().missing_ack {
                MissingAck::Keeps => Ok(Outcome::Done(Vec::new())),
                MissingAck::Reverses => Ok(Outcome::Abort(vec![code])),
            };
        }
        self.talk.pass(Step::Acknowledged).await?;
        self.show(0x1C, "Zahlung erfolgt").await?;
        let profile = self.shared.profile().clone();
        let card = person.map(|person| &person.card);
        let receipts = receipts::payment(&profile, &self.books, &entry, card);
        self.print(&receipts, ConfigByte::PAYMENT_RECEIPTS).await?;
        self.take_card(person).await?;
        Ok(Outcome::Done(Vec::new()))
    }

    /// 04 0F until it is acknowledged; otherwise the booking is reversed or kept, and the result
    /// code says why.
    async fn tell(&mut self, entry: &Entry) -> Result<Result<(), u8>, Ended> {
        self.shared.enter(Phase::Result);
        let apdu = self.books.status_information(entry)?;
        let mut code = 0x66;
        // 84 9C asks for it again, at most twice.
        for _ in 0..3 {
            match self.talk.say(Step::Result, apdu.clone()).await? {
                Reply::Acked => {
                    self.books.acknowledge(entry)?;
                    return Ok(Ok(()));
                }
                Reply::Nacked(NACK_BUSY) => code = NACK_BUSY,
                Reply::Nacked(other) => {
                    code = other;
                    break;
                }
                Reply::Silent => break,
            }
        }
        if self.shared.profile().missing_ack == MissingAck::Reverses {
            self.show(0x05, "Automatisches Storno").await?;
            self.auto_reverse(entry)?;
        }
        Ok(Err(code))
    }

    /// Takes back what was never acknowledged.
    pub(super) fn auto_reverse(&mut self, entry: &Entry) -> Result<(), Ended> {
        let draft = Draft {
            cents: entry.cents,
            receipt: Some(entry.receipt),
            original_trace: Some(entry.trace),
            ..Draft::default()
        };
        self.books.write(Event::AutoReversed, draft)?;
        Ok(())
    }

    async fn decline(
        &mut self,
        draft: Draft,
        code: u8,
        person: &Cardholder,
    ) -> Result<Outcome, Ended> {
        self.show(0x1D, "Abgelehnt").await?;
        let draft = Draft {
            result: Some(code),
            ..draft
        };
        let entry = self.books.write(Event::Declined, draft)?;
        self.shared.enter(Phase::Result);
        let apdu = self.books.status_information(&entry)?;
        self.talk.say(Step::Result, apdu).await?;
        let profile = self.shared.profile().clone();
        let receipts = receipts::payment(&profile, &self.books, &entry, Some(&person.card));
        self.print(&receipts, ConfigByte::PAYMENT_RECEIPTS).await?;
        self.take_card(Some(person)).await?;
        Ok(Outcome::Abort(vec![code]))
    }

    async fn cancel(&mut self, draft: Draft, code: u8) -> Result<Outcome, Ended> {
        let draft = Draft {
            result: Some(code),
            ..draft
        };
        let entry = self.books.write(Event::Cancelled, draft)?;
        if self.shared.profile().status_before_abort {
            let apdu = self.books.status_information(&entry)?;
            self.talk.say(Step::Result, apdu).await?;
        }
        Ok(Outcome::Abort(vec![code]))
    }

    async fn take_card(&mut self, person: Option<&Cardholder>) -> Result<(), Ended> {
        if let Some(person) = person {
            self.show(0x0B, "Bitte Karte entnehmen").await?;
            let _not_abortable = self.wait(person.removes_after_ms).await?;
        }
        Ok(())
    }

    /// 06 30.
    pub(super) async fn reverse(&mut self, fields: &Fields) -> Result<Outcome, Ended> {
        let number = receipt_number(fields);
        let Some(booking) = number.and_then(|number| self.books.booking(number)) else {
            return Ok(Outcome::Abort(vec![0xB5]));
        };
        if self.books.ledger().standing(booking.trace) != Some(booking.cents) {
            return Ok(Outcome::Abort(vec![0xB4]));
        }
        let last = self.books.last_result().map(|entry| entry.trace);
        let reverses = self.shared.profile().reverses;
        if reverses == Reverses::Last && last != Some(booking.trace) {
            return Ok(Outcome::Abort(vec![0xB5]));
        }
        if fields
            .amount()
            .is_some_and(|amount| cents_of(amount.minor()) != booking.cents)
        {
            return Ok(Outcome::Abort(vec![0xB5]));
        }
        let draft = Draft {
            original_trace: Some(booking.trace),
            ..Draft::default()
        };
        self.follow_up(Event::Reversed, booking.cents, draft).await
    }

    /// 06 25: nothing of the pre-authorisation is taken.
    pub(super) async fn release_all(&mut self, fields: &Fields) -> Result<Outcome, Ended> {
        let Some(reserved) = self.reservation(fields) else {
            return Ok(Outcome::Abort(vec![NO_RESERVATION]));
        };
        let draft = Draft {
            receipt: Some(reserved.receipt),
            original_trace: Some(reserved.trace),
            ..Draft::default()
        };
        self.follow_up(Event::Released, reserved.cents, draft).await
    }

    /// 06 23: the amount is given free, the rest is booked. With receipt FFFF it asks which
    /// pre-authorisation is open.
    pub(super) async fn release_part(&mut self, fields: &Fields) -> Result<Outcome, Ended> {
        if fields.receipt() == Some(NO_RECEIPT) {
            let open = self.books.reservations();
            let number = open.first().and_then(|e| Bcd::from_value(e.receipt.into()));
            let named = encoded(&[Bmp::Receipt(number.unwrap_or(NO_RECEIPT))])?;
            return Ok(Outcome::Abort([vec![NO_RESERVATION], named].concat()));
        }
        let Some(reserved) = self.reservation(fields) else {
            return Ok(Outcome::Abort(vec![NO_RESERVATION]));
        };
        let free = fields.amount().map_or(0, |amount| cents_of(amount.minor()));
        self.settle_reservation(&reserved, reserved.cents - free)
            .await
    }

    /// 06 24: the amount is booked, the rest is given free.
    pub(super) async fn book_total(&mut self, fields: &Fields) -> Result<Outcome, Ended> {
        let Some(reserved) = self.reservation(fields) else {
            return Ok(Outcome::Abort(vec![NO_RESERVATION]));
        };
        let total = fields
            .amount()
            .map_or(reserved.cents, |amount| cents_of(amount.minor()));
        self.settle_reservation(&reserved, total).await
    }

    async fn settle_reservation(&mut self, reserved: &Entry, cents: i64) -> Result<Outcome, Ended> {
        if cents < 0 || cents > reserved.cents {
            return Ok(Outcome::Abort(vec![0xB7]));
        }
        let draft = Draft {
            receipt: Some(reserved.receipt),
            original_trace: Some(reserved.trace),
            ..Draft::default()
        };
        if cents == 0 {
            return self.follow_up(Event::Released, reserved.cents, draft).await;
        }
        self.follow_up(Event::Booked, cents, draft).await
    }

    /// A transaction that needs the host and no card.
    async fn follow_up(
        &mut self,
        event: Event,
        cents: i64,
        draft: Draft,
    ) -> Result<Outcome, Ended> {
        self.shared.enter(Phase::Host);
        let person = self.shared.cardholder();
        self.show(0x04, "Bitte warten").await?;
        let _not_abortable = self.wait(person.host_after_ms).await?;
        let draft = Draft {
            cents,
            card: Some(person.card.clone()),
            ..draft
        };
        match person.host_result {
            0 => self.book(event, draft, None).await,
            code => self.decline(draft, code, &person).await,
        }
    }

    fn reservation(&self, fields: &Fields) -> Option<Entry> {
        let number = receipt_number(fields)?;
        let open = self.books.reservations();
        open.into_iter().find(|entry| entry.receipt == number)
    }
}

fn receipt_number(fields: &Fields) -> Option<u16> {
    let number = fields.receipt()?.value()?;
    u16::try_from(number).ok()
}

fn cents_of(minor: u64) -> i64 {
    i64::try_from(minor).unwrap_or(i64::MAX)
}

fn wrong_currency(fields: &Fields) -> Option<Outcome> {
    let wrong = fields.currency().is_some_and(|currency| currency != EUR);
    wrong.then(|| Outcome::Abort(vec![0x6F, 0x09, 0x78]))
}
