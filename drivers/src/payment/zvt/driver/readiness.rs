//! What has to be so before money moves: a terminal that is registered, idle and set up.

use jiff::Zoned;

use super::{
    super::{
        codec::{bcd::Bcd, bmp::Bmp, command::Command, fields::Fields, result::Class},
        exchange::Audience,
        outcome::{self, Halt},
        session::{self, Session, Trouble},
        timing,
        transaction::{Ending, Kind},
    },
    Zvt, rest,
};
use crate::Call;

/// What the terminal is to be ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Money is to move.
    Booking,
    /// The day is to be closed, which a terminal may be waiting for.
    Closing,
}

/// What was done about it already: each remedy is tried once per call.
#[derive(Debug, Default)]
struct Tried {
    initialisation: bool,
    diagnosis: bool,
    time: bool,
}

impl Zvt {
    /// A session whose terminal can take a command: waits while it is busy, within the call's
    /// deadline, and does once what the terminal asks for and no person has to decide.
    pub(super) async fn ready(&mut self, call: &Call, purpose: Purpose) -> Result<Session, Halt> {
        let halt = |trouble: Trouble| trouble.halt(call.lang);
        let audience = Audience::Call(call);
        let mut tried = Tried::default();
        loop {
            let mut session = self.contact(audience).await.map_err(halt)?;
            let enquired = session.enquire(&self.config, audience).await;
            let condition = enquired.map_err(halt)?;
            self.note(&session, &condition);
            let class = condition.status.class();
            let remedy = match class {
                Class::Approved => return Ok(session),
                Class::NeedsEndOfDay if purpose == Purpose::Closing => return Ok(session),
                Class::Busy => {
                    self.put_back(session);
                    rest(audience, timing::BUSY_PAUSE)
                        .await
                        .map_err(Trouble::Stopped)
                        .map_err(halt)?;
                    continue;
                }
                Class::NeedsInitialisation if !tried.initialisation => {
                    tried.initialisation = true;
                    Command::Initialisation(self.config.password.field(), Fields::default())
                }
                Class::NeedsDiagnosis if !tried.diagnosis => {
                    tried.diagnosis = true;
                    session::diagnosis()
                }
                Class::NeedsTime if !tried.time => {
                    tried.time = true;
                    self.set_clock()
                }
                Class::NeedsRegistration => {
                    // It lost power since: the next contact registers it anew.
                    continue;
                }
                _ => {
                    return Err(Halt::refused(outcome::not_ready(
                        condition.status,
                        call.lang,
                    )));
                }
            };
            self.remedy(&mut session, &remedy, call).await?;
            self.put_back(session);
        }
    }

    /// Runs a command that clears a terminal's state. A refusal is no end: the next enquiry tells
    /// what is left.
    async fn remedy(
        &mut self,
        session: &mut Session,
        command: &Command,
        call: &Call,
    ) -> Result<(), Halt> {
        tracing::info!(control = %command.control(), "the terminal asks for it");
        let kind = Kind::Harmless {
            repeats_result: false,
        };
        let halt = |trouble: Trouble| trouble.halt(call.lang);
        let plan = session.plan(command, &self.config, kind).map_err(halt)?;
        let done = session.exchange(plan, Audience::Call(call)).await;
        match done.ended.ending {
            Ending::Completed | Ending::Nack(_) | Ending::Aborted(_) => Ok(()),
            _ => Err(outcome::halted(&done.ended, false, call.lang, None)),
        }
    }

    /// 06 91 with this machine's local time.
    fn set_clock(&self) -> Command {
        let now = Zoned::now();
        let two = |number: i8| u64::try_from(number).unwrap_or_default();
        let date = Bcd::from_value(two(now.month()) * 100 + two(now.day()));
        let time = two(now.hour()) * 10_000 + two(now.minute()) * 100 + two(now.second());
        let time = Bcd::from_value(time).map(Bmp::Time);
        let fields = Fields(date.map(Bmp::Date).into_iter().chain(time).collect());
        Command::SetDateAndTime(self.config.password.field(), fields)
    }
}
