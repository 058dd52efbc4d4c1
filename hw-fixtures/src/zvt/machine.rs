//! The terminal itself: waits for commands and carries them out, one after the other.

use std::sync::Arc;
use std::time::Duration;

use koffer_drivers::payment::zvt::codec::apdu::Apdu;
use koffer_drivers::payment::zvt::codec::bmp::Password;
use koffer_drivers::payment::zvt::codec::charset::Charset;
use koffer_drivers::payment::zvt::codec::command::{Command, NACK_BUSY, NACK_UNKNOWN, control};
use koffer_drivers::payment::zvt::codec::registration::ConfigByte;

use super::books::{Books, Draft};
use super::conversation::{Conversation, Ended, Heard, Pause, Reply, message};
use super::fault::{Kind, Step};
use super::ledger::Event;
use super::profile::MissingAck;
use super::receipts::{Receipt, tlv};
use super::shared::{Phase, Shared};

/// What the ECR asked for in 06 00.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registered {
    pub(super) config: ConfigByte,
    pub(super) charset: Charset,
    /// 06 D3 may be sent.
    pub(super) blocks: bool,
    /// Containers may be sent.
    pub(super) container: bool,
}

/// How a command came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 06 0F with this body.
    Done(Vec<u8>),
    /// 06 1E with this body, the result code first.
    Abort(Vec<u8>),
    /// Nothing follows.
    Quiet,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) talk: Conversation,
    pub(super) books: Books,
    pub(super) shared: Arc<Shared>,
    pub(super) registered: Option<Registered>,
    /// The process may end itself; a terminal inside a test restarts instead.
    pub(super) may_exit: bool,
}

/// How long a terminal inside a test is gone when it dies.
const REBIRTH: Duration = Duration::from_millis(50);
/// The exit code of a process that a fault killed.
pub const DIED: i32 = 86;

impl Machine {
    /// Works until its port or its ledger fails.
    pub(super) async fn run(mut self) -> std::io::Error {
        loop {
            let down = match self.serve().await {
                Ended::Restart(down) => down,
                Ended::Die if self.may_exit => std::process::exit(DIED),
                Ended::Die => REBIRTH,
                Ended::Broken(error) => return error,
            };
            self.registered = None;
            self.shared.status().send_modify(|status| {
                status.phase = Phase::Off;
                status.registered = false;
            });
            if let Err(error) = self.talk.power_cycle(down).await {
                return error;
            }
        }
    }

    async fn serve(&mut self) -> Ended {
        if let Err(ended) = self.wake() {
            return ended;
        }
        loop {
            self.shared.enter(Phase::Idle);
            if let Err(ended) = self.serve_one().await {
                return ended;
            }
        }
    }

    /// After power-on: what was booked and never acknowledged is put right.
    fn wake(&mut self) -> Result<(), Ended> {
        self.books.write(Event::Started, Draft::default())?;
        if self.shared.profile().missing_ack == MissingAck::Reverses
            && let Some(entry) = self.books.unacknowledged()
        {
            self.auto_reverse(&entry)?;
        }
        Ok(())
    }

    async fn serve_one(&mut self) -> Result<(), Ended> {
        let idle_drop = self.shared.profile().idle_drop_ms;
        let drops = idle_drop > 0 && self.talk.is_connected() && !self.talk.is_serial();
        let obeys_hands = self.obeys_hands();
        if obeys_hands {
            self.serve_hands()?;
        }
        let shared = Arc::clone(&self.shared);
        let idle = async {
            if drops {
                tokio::time::sleep(Duration::from_millis(idle_drop)).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let heard = tokio::select! {
            biased;
            heard = self.talk.hear() => Some(heard?),
            () = shared.hands().somebody_comes(), if obeys_hands => return Ok(()),
            () = idle => None,
        };
        let Some(heard) = heard else {
            return self.talk.drop_idle().await;
        };
        let Heard::Apdu(apdu) = heard else {
            return Ok(());
        };
        // A late acknowledgement of something given up.
        if matches!(apdu.control().0, 0x80 | 0x84) {
            return Ok(());
        }
        self.shared.enter(Phase::Working);
        self.talk.begin();
        let done = self.command(apdu).await;
        done?;
        self.talk.finish().await
    }

    async fn command(&mut self, apdu: Apdu) -> Result<(), Ended> {
        for kind in self.shared.take_faults(Step::Command, Some(apdu.control())) {
            match kind {
                Kind::Silence => return Ok(()),
                Kind::Busy => return self.talk.answer(Some(NACK_BUSY)).await,
                Kind::Nack { code } => return self.talk.answer(Some(code)).await,
                other => {
                    self.talk.suffer(&other).await?;
                }
            }
        }
        // 84 83 also answers a field that is not in the table.
        let Ok(command) = Command::decode(apdu) else {
            return self.talk.answer(Some(NACK_UNKNOWN)).await;
        };
        let withheld =
            matches!(command, Command::TurnoverTotals(..)) && !self.shared.profile().tells_turnover;
        if withheld || !is_known(&command) {
            return self.talk.answer(Some(NACK_UNKNOWN)).await;
        }
        self.talk.answer(None).await?;
        let outcome = match self.objection(&command) {
            Some(code) => Outcome::Abort(vec![code]),
            None => self.carry_out(command).await?,
        };
        match outcome {
            Outcome::Done(body) => {
                self.end(Step::Completion, message(control::COMPLETION, body)?)
                    .await
            }
            Outcome::Abort(body) => self.end(Step::Abort, message(control::ABORT, body)?).await,
            Outcome::Quiet => Ok(()),
        }
    }

    /// The last message of a command; 84 9C asks for it again.
    async fn end(&mut self, step: Step, apdu: Apdu) -> Result<(), Ended> {
        for _ in 0..3 {
            if self.talk.say(step, apdu.clone()).await? != Reply::Nacked(NACK_BUSY) {
                break;
            }
        }
        Ok(())
    }

    /// The result code with which a command is refused before it begins.
    fn objection(&self, command: &Command) -> Option<u8> {
        let profile = self.shared.profile();
        let password_is_wrong = |given: &Password| {
            let digits = profile.password.parse().ok();
            given.0.value() != digits
        };
        match command {
            Command::Registration(registration) if password_is_wrong(&registration.password) => {
                return Some(0xFE);
            }
            Command::RepeatReceipt(password, _)
            | Command::TurnoverTotals(password, _)
            | Command::Reversal(password, _)
            | Command::Refund(password, _)
            | Command::EndOfDay(password, _)
            | Command::SetDateAndTime(password, _)
            | Command::Initialisation(password, _)
                if password_is_wrong(password) =>
            {
                return Some(0xFE);
            }
            _ => {}
        }
        let always = matches!(
            command,
            Command::Registration(_) | Command::StatusEnquiry(..) | Command::LogOff(_)
        );
        if !always && self.registered.is_none() {
            return Some(0x6B);
        }
        let moves_money = matches!(
            command,
            Command::Authorisation(_)
                | Command::PreAuthorisation(_)
                | Command::Reversal(..)
                | Command::Refund(..)
                | Command::BookTotal(_)
        );
        let state = terminal_state(&profile);
        (moves_money && state != 0).then_some(state)
    }

    async fn carry_out(&mut self, command: Command) -> Result<Outcome, Ended> {
        match command {
            Command::Registration(registration) => self.register(&registration),
            Command::LogOff(_) => {
                self.registered = None;
                self.told_registered();
                Ok(Outcome::Quiet)
            }
            Command::StatusEnquiry(_, fields) => self.status_enquiry(&fields),
            Command::Authorisation(fields) => self.pay(&fields).await,
            Command::PreAuthorisation(fields) => self.reserve(&fields).await,
            Command::PartialReversal(fields) => self.release_part(&fields).await,
            Command::BookTotal(fields) => self.book_total(&fields).await,
            Command::PreAuthorisationReversal(fields) => self.release_all(&fields).await,
            Command::Reversal(_, fields) => self.reverse(&fields).await,
            Command::Refund(_, fields) => self.refund(&fields).await,
            Command::RepeatReceipt(_, fields) => self.repeat(&fields).await,
            Command::TurnoverTotals(..) => self.turnover().await,
            Command::EndOfDay(..) => self.end_of_day().await,
            Command::Diagnosis(_) => self.diagnose().await,
            Command::Initialisation(..) => self.initialise().await,
            Command::SetDateAndTime(_, fields) => Ok(self.set_clock(&fields)),
            Command::SelectLanguage(..) => Ok(Outcome::Done(Vec::new())),
            Command::Unknown(apdu) => self.vendor(apdu.control()).await,
            _ => Ok(Outcome::Quiet),
        }
    }

    pub(super) fn told_registered(&self) {
        let registered = self.registered.is_some();
        let status = self.shared.status();
        status.send_modify(|status| status.registered = registered);
    }

    fn has(&self, flags: ConfigByte) -> bool {
        let registered = self.registered.as_ref();
        registered.is_some_and(|registered| registered.config.has(flags))
    }

    /// 04 FF, if the ECR wants to know.
    pub(super) async fn show(&mut self, code: u8, text: &str) -> Result<(), Ended> {
        if !self.has(ConfigByte::INTERMEDIATE_STATUS) {
            return Ok(());
        }
        let mut body = vec![code];
        let (texts, card_timeout) = {
            let profile = self.shared.profile();
            (profile.display_texts, profile.card_timeout_ms)
        };
        if let Some(registered) = self.registered.filter(|r| r.container && texts) {
            // T4 for the ECR, in minutes, and the text on the display.
            body.push(minutes(card_timeout));
            let line = tlv(&[0x07], &registered.charset.encode(text));
            body.extend(tlv(&[0x06], &tlv(&[0x24], &line)));
        }
        let apdu = message(control::INTERMEDIATE_STATUS, body)?;
        self.talk.say(Step::Status, apdu).await?;
        Ok(())
    }

    /// Sends receipts, if the ECR prints them and wants lines.
    pub(super) async fn print(
        &mut self,
        receipts: &[Receipt],
        whose: ConfigByte,
    ) -> Result<(), Ended> {
        let wanted = whose.with(ConfigByte::PRINT_COMMANDS);
        let Some(registered) = self.registered.filter(|r| r.config.has(wanted)) else {
            return Ok(());
        };
        self.shared.enter(Phase::Receipts);
        let blocks = registered.blocks && self.shared.profile().print_blocks;
        for receipt in receipts {
            for apdu in receipt.messages(blocks, registered.charset)? {
                // 84 CC: the ECR's printer is not ready. A terminal goes on; the receipt is lost.
                self.talk.say(Step::Receipt, apdu).await?;
            }
        }
        Ok(())
    }

    /// Waits for the host, the card or the person; `Err` is the result code of a cancellation.
    pub(super) async fn wait(&mut self, ms: u64) -> Result<Result<(), u8>, Ended> {
        Ok(match self.talk.pause(ms).await? {
            Pause::Elapsed => Ok(()),
            Pause::Aborted => Err(0x6C),
        })
    }
}

/// Which due task the terminal asks for, by the codes of 05 01; 0 if none.
pub(super) const fn terminal_state(profile: &super::profile::Profile) -> u8 {
    if profile.needs_initialisation {
        0x51
    } else if profile.needs_time {
        0x62
    } else if profile.needs_diagnosis {
        0xC2
    } else if profile.closing_lock {
        0xF0
    } else {
        0x00
    }
}

/// T4 in BCD minutes, rounded up with a minute to spare.
fn minutes(ms: u64) -> u8 {
    let minutes = u8::try_from(ms / 60_000 + 2).unwrap_or(99).min(99);
    ((minutes / 10) << 4) | (minutes % 10)
}

/// The commands this terminal has.
fn is_known(command: &Command) -> bool {
    match command {
        Command::Registration(_)
        | Command::Authorisation(_)
        | Command::LogOff(_)
        | Command::RepeatReceipt(..)
        | Command::TurnoverTotals(..)
        | Command::PreAuthorisation(_)
        | Command::PartialReversal(_)
        | Command::BookTotal(_)
        | Command::PreAuthorisationReversal(_)
        | Command::Reversal(..)
        | Command::Refund(..)
        | Command::EndOfDay(..)
        | Command::Diagnosis(_)
        | Command::SetDateAndTime(..)
        | Command::Initialisation(..)
        | Command::StatusEnquiry(..)
        | Command::SelectLanguage(..) => true,
        Command::Unknown(apdu) => super::administration::is_vendor_command(apdu.control()),
        // 06 B0 with nothing to abort, and what only a terminal says.
        _ => false,
    }
}
