//! Commands that move no money.

use jiff::Timestamp;
use koffer_drivers::payment::zvt::codec::apdu::Control;
use koffer_drivers::payment::zvt::codec::bcd::{Bcd, EUR};
use koffer_drivers::payment::zvt::codec::bmp::Bmp;
use koffer_drivers::payment::zvt::codec::charset::{Charset, Text};
use koffer_drivers::payment::zvt::codec::command::{control, service};
use koffer_drivers::payment::zvt::codec::fields::Fields;
use koffer_drivers::payment::zvt::codec::registration::{ConfigByte, Registration};
use koffer_drivers::payment::zvt::codec::tlv::{Container, Tag, Tlv};

use super::books::{Draft, encoded};
use super::conversation::Ended;
use super::fault::Step;
use super::ledger::Event;
use super::machine::{Machine, Outcome, Registered, terminal_state};
use super::profile::RepeatStatus;
use super::receipts;
use super::shared::Phase;

/// 06 1A: print the system configuration.
const PRINT_CONFIGURATION: Control = Control(0x06, 0x1A);
/// 06 18: reset.
const RESET: Control = Control(0x06, 0x18);

/// Commands the codec has no name for, but terminals have.
pub(super) const fn is_vendor_command(control: Control) -> bool {
    matches!(control, PRINT_CONFIGURATION | RESET)
}

impl Machine {
    /// 06 00.
    pub(super) fn register(&mut self, registration: &Registration) -> Result<Outcome, Ended> {
        if registration
            .currency
            .is_some_and(|currency| currency != EUR)
        {
            return Ok(Outcome::Abort(vec![0x6F, 0x09, 0x78]));
        }
        let container = registration.fields.tlv();
        let (offered, listed) = container
            .as_ref()
            .map_or((Vec::new(), false), offered_charsets);
        let chosen = {
            let profile = self.shared.profile();
            let known = offered.iter().find(|code| profile.charsets.contains(code));
            known.copied()
        };
        self.registered = Some(Registered {
            config: registration.config,
            charset: chosen.and_then(Charset::from_tlv).unwrap_or_default(),
            blocks: container
                .as_ref()
                .is_some_and(|c| c.permitted_commands().contains(&control::PRINT_BLOCK)),
            container: container.is_some(),
        });
        self.told_registered();
        let profile = self.shared.profile().clone();
        let due = u8::from(profile.needs_initialisation) | u8::from(profile.needs_diagnosis) << 1;
        let mut fields = vec![Bmp::Type(due)];
        fields.extend(Bcd::from_value(profile.terminal_id.into()).map(Bmp::TerminalId));
        fields.push(Bmp::Currency(EUR));
        // The set that was agreed to, in the form in which it was offered.
        if let Some(code) = chosen {
            let item = Tlv::primitive(Tag::CHARSET, &[code]);
            let container = if listed {
                Container::default().with_items(Tag::CHARSETS, item.into_iter().collect())
            } else {
                Container::default().with(Tag::CHARSET, &[code])
            };
            fields.push(Bmp::Tlv(container));
        }
        Ok(Outcome::Done(encoded(&fields)?))
    }

    /// 05 01 while nothing else runs.
    pub(super) fn status_enquiry(&self, fields: &Fields) -> Result<Outcome, Ended> {
        let profile = self.shared.profile().clone();
        let asked = fields.service().unwrap_or(0);
        let mut body = Vec::new();
        if asked & service::NO_SOFTWARE_VERSION == 0 {
            let software = Text::new(&profile.software, Charset::Zvt7);
            let length = software.bytes().len();
            for unit in [100, 10, 1] {
                body.push(0xF0 | u8::try_from(length / unit % 10).unwrap_or(0));
            }
            body.extend_from_slice(software.bytes());
        }
        body.push(terminal_state(&profile));
        if asked & service::DETAILS != 0 {
            body.extend(encoded(&[Bmp::Tlv(Container::default())])?);
        }
        Ok(Outcome::Done(body))
    }

    /// 06 20.
    pub(super) async fn repeat(&mut self, fields: &Fields) -> Result<Outcome, Ended> {
        let Some(entry) = self.books.last_result() else {
            return Ok(Outcome::Abort(vec![0x83]));
        };
        let profile = self.shared.profile().clone();
        let asked = fields.service().unwrap_or(0);
        let tells = match profile.repeat_status {
            RepeatStatus::Asked => asked & service::STATUS_INFORMATION != 0,
            RepeatStatus::Always => true,
            RepeatStatus::Never => false,
        };
        if tells {
            self.shared.enter(Phase::Result);
            let apdu = self.books.status_information(&entry)?;
            self.talk.say(Step::Result, apdu).await?;
        }
        if asked & service::NO_RECEIPT == 0 {
            let receipts = receipts::payment(&profile, &self.books, &entry, None);
            self.print(&receipts, ConfigByte::PAYMENT_RECEIPTS).await?;
        }
        Ok(Outcome::Done(Vec::new()))
    }

    /// 06 10.
    pub(super) async fn turnover(&mut self) -> Result<Outcome, Ended> {
        self.shared.enter(Phase::Result);
        let sum = self.books.period_sum();
        let information = self.books.closing_information(sum)?;
        self.talk.say(Step::Result, information).await?;
        Ok(Outcome::Done(Vec::new()))
    }

    /// 06 50.
    pub(super) async fn end_of_day(&mut self) -> Result<Outcome, Ended> {
        if let Some(open) = self.books.reservations().first() {
            // Turnover cannot be closed over an open reservation; its receipt is named.
            let receipt = Bcd::from_value(open.receipt.into()).map(Bmp::Receipt);
            let named = encoded(receipt.as_slice())?;
            return Ok(Outcome::Abort([vec![0x77], named].concat()));
        }
        self.show(0x0F, "Kassenschnitt l\u{e4}uft").await?;
        if let Err(code) = self.host().await? {
            return Ok(Outcome::Abort(vec![code]));
        }
        let sales = self.books.period().iter();
        let count = sales.filter(|entry| entry.event == Event::Booked).count();
        self.talk.pass(Step::Booking).await?;
        // The totals are of the period that the entry ends, so they are made before it.
        let draft = Draft {
            cents: self.books.period_sum(),
            ..Draft::default()
        };
        let information = self.books.closing_information(draft.cents)?;
        let entry = self.books.write(Event::Closed, draft)?;
        self.shared.profile().closing_lock = false;
        self.talk.pass(Step::Booked).await?;
        self.shared.enter(Phase::Result);
        self.talk.say(Step::Result, information).await?;
        self.talk.pass(Step::Acknowledged).await?;
        let profile = self.shared.profile().clone();
        let receipt = receipts::closing(&profile, &entry, count);
        self.print(&[receipt], ConfigByte::ADMIN_RECEIPTS).await?;
        Ok(Outcome::Done(Vec::new()))
    }

    /// 06 70.
    pub(super) async fn diagnose(&mut self) -> Result<Outcome, Ended> {
        self.errand(0xC9, "DIAGNOSE").await?;
        self.shared.profile().needs_diagnosis = false;
        Ok(Outcome::Done(Vec::new()))
    }

    /// 06 93.
    pub(super) async fn initialise(&mut self) -> Result<Outcome, Ended> {
        self.errand(0xCA, "INITIALISIERUNG").await?;
        self.shared.profile().needs_initialisation = false;
        Ok(Outcome::Done(Vec::new()))
    }

    /// A call to the host with a receipt of its own.
    async fn errand(&mut self, status: u8, title: &str) -> Result<(), Ended> {
        self.show(status, title).await?;
        if self.host().await?.is_ok() {
            let profile = self.shared.profile().clone();
            let receipt = receipts::administration(&profile, title, &[("Ergebnis", "OK".into())]);
            self.print(&[receipt], ConfigByte::ADMIN_RECEIPTS).await?;
        }
        Ok(())
    }

    /// 06 91.
    pub(super) fn set_clock(&mut self, fields: &Fields) -> Outcome {
        let set = || {
            let date = i64::try_from(fields.full_date()?.value()?).ok()?;
            let time = i64::try_from(fields.time()?.value()?).ok()?;
            let part = |number: i64, unit: i64| i8::try_from(number / unit % 100).ok();
            let year = i16::try_from(2000 + date / 10_000).ok()?;
            let told = jiff::civil::DateTime::new(
                year,
                part(date, 100)?,
                part(date, 1)?,
                part(time, 10_000)?,
                part(time, 100)?,
                part(time, 1)?,
                0,
            );
            let told = told.ok()?.to_zoned(jiff::tz::TimeZone::system()).ok()?;
            Some(told.timestamp().duration_since(Timestamp::now()))
        };
        let Some(offset) = set() else {
            return Outcome::Abort(vec![0x9A]);
        };
        self.books.clock = offset;
        let mut profile = self.shared.profile();
        profile.needs_time = false;
        if profile.set_time_completes {
            Outcome::Done(Vec::new())
        } else {
            Outcome::Quiet
        }
    }

    /// 06 1A and 06 18.
    pub(super) async fn vendor(&mut self, control: Control) -> Result<Outcome, Ended> {
        let profile = self.shared.profile().clone();
        if control == PRINT_CONFIGURATION {
            let more = [("Software", profile.software.clone())];
            let receipt = receipts::administration(&profile, "KONFIGURATION", &more);
            self.print(&[receipt], ConfigByte::ADMIN_RECEIPTS).await?;
        }
        Ok(Outcome::Done(Vec::new()))
    }

    /// The host answers an administrative command.
    async fn host(&mut self) -> Result<Result<(), u8>, Ended> {
        self.shared.enter(Phase::Host);
        let ms = self.shared.profile().cardholder.host_after_ms;
        self.wait(ms).await
    }
}

/// The character sets in TLV 27, or the bare one in 14, and whether they were in a list.
fn offered_charsets(container: &Container) -> (Vec<u8>, bool) {
    let code = |item: &Tlv| match (item.tag(), item.value()) {
        (Tag::CHARSET, [code]) => Some(*code),
        _ => None,
    };
    match container.find(Tag::CHARSETS) {
        Some(list) => (list.items().iter().filter_map(code).collect(), true),
        None => (
            container
                .find(Tag::CHARSET)
                .and_then(code)
                .into_iter()
                .collect(),
            false,
        ),
    }
}
