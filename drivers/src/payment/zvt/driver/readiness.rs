//! Before money moves: is the terminal ready, and if not, what makes it so?

use koffer_proto::ProgressEvent;

use super::{Zvt, rest};
use crate::{
    Call,
    payment::zvt::{
        codec::{
            bcd::Bcd,
            bmp::Bmp,
            command::Command,
            fields::Fields,
            result::{Class, TerminalStatus},
        },
        exchange::Audience,
        link::Broken,
        outcome::{self, Halt},
        session::{self, Condition, Session, Trouble},
        timing,
        transaction::{Ending, Loss},
    },
};

/// What the terminal must be ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To book.
    Booking,
    /// To close the business day, which is what it may be waiting for.
    Closing,
}

/// Remedies already tried for this call: each is tried once, then the clerk is told.
#[derive(Debug, Default)]
struct Tried(Vec<Class>);

impl Tried {
    fn first_time(&mut self, class: Class) -> bool {
        let first = !self.0.contains(&class);
        self.0.push(class);
        first
    }
}

impl Zvt {
    /// A session with a terminal that is ready. Waits while it is busy; initialises it, has it
    /// diagnose itself or sets its clock where it asks for that. Nothing here moves money.
    pub(super) async fn ready(
        &mut self,
        purpose: Purpose,
        call: &Call,
    ) -> Result<(Session, Condition), Halt> {
        let audience = Audience::Call(call);
        let mut tried = Tried::default();
        let mut shown = false;
        loop {
            let (mut session, condition) = self.contact_and_enquire(call).await?;
            let class = condition.status.class();
            match class {
                Class::Approved => return Ok((session, condition)),
                Class::NeedsEndOfDay if purpose == Purpose::Closing => {
                    return Ok((session, condition));
                }
                Class::Busy | Class::NeedsCardRemoved => {
                    if !std::mem::replace(&mut shown, true) {
                        show(condition.status, audience).await;
                    }
                    self.put_back(session);
                    if let Err(stop) = rest(audience, timing::BUSY_PAUSE).await {
                        return Err(Trouble::Stopped(stop).halt(call.lang));
                    }
                    continue;
                }
                // A new session registers.
                Class::NeedsRegistration if tried.first_time(class) => continue,
                _ => {}
            }
            let remedy = remedy(class, &self.config).filter(|_| tried.first_time(class));
            let Some(command) = remedy else {
                self.put_back(session);
                let failure = outcome::not_ready(condition.status, call.lang);
                return Err(Halt::refused(failure));
            };
            self.apply(&mut session, &command, audience).await?;
            self.put_back(session);
        }
    }

    /// Contact, and how the terminal is. A kept line that turns out to be dead is dialled anew,
    /// once: nothing but a question was lost with it.
    pub(super) async fn contact_and_enquire(
        &mut self,
        call: &Call,
    ) -> Result<(Session, Condition), Halt> {
        let audience = Audience::Call(call);
        let kept = self.session.is_some();
        let first = self.enquire_once(audience).await;
        let result = match first {
            Err(Trouble::Line(_)) if kept => self.enquire_once(audience).await,
            result => result,
        };
        result.map_err(|trouble| trouble.halt(call.lang))
    }

    pub(super) async fn enquire_once(
        &mut self,
        audience: Audience<'_>,
    ) -> Result<(Session, Condition), Trouble> {
        let mut session = self.contact(audience).await?;
        let condition = session.enquire(&self.config, audience).await?;
        self.note(&session, &condition);
        // It answered and hung up: nothing more can be sent, least of all money.
        if !session.usable {
            return Err(Trouble::Line(Loss::Line(Broken::Closed)));
        }
        Ok((session, condition))
    }

    async fn apply(
        &mut self,
        session: &mut Session,
        command: &Command,
        audience: Audience<'_>,
    ) -> Result<(), Halt> {
        let lang = audience.lang();
        let plan = session.harmless(command, &self.config);
        let plan = plan.map_err(|trouble| trouble.halt(lang))?;
        let done = session.exchange(plan, audience).await;
        if let Ending::Nack(_) | Ending::Aborted(_) = done.ended.ending {
            // It did not help; what the terminal says next tells the clerk why.
            let stopped = audience.is_stopped().await;
            return match stopped {
                Some(stop) => Err(Trouble::Stopped(stop).halt(lang)),
                None => Ok(()),
            };
        }
        match outcome::failure(&done.ended, false, lang, None) {
            None => Ok(()),
            Some(failure) => Err(Halt {
                failure,
                fault: Some(outcome::fault_of(&done.ended)),
            }),
        }
    }
}

async fn show(status: TerminalStatus, audience: Audience<'_>) {
    let keyword = match status.class() {
        Class::NeedsCardRemoved => "remove-card",
        _ => "please-wait",
    };
    let lang = audience.lang();
    let event = ProgressEvent::TerminalText {
        code: keyword.to_owned(),
        text: format!(
            "{}. {}",
            outcome::worded(lang, status.meaning()),
            outcome::worded(lang, status.class().advice())
        ),
    };
    audience.progress(event).await;
}

/// The command that clears the state, where the driver may send it by itself. A closing it does
/// not start: that is the town's decision.
fn remedy(class: Class, config: &crate::payment::zvt::ZvtConfig) -> Option<Command> {
    let password = config.password.field();
    match class {
        Class::NeedsInitialisation => Some(Command::Initialisation(password, Fields::default())),
        Class::NeedsDiagnosis => Some(session::diagnosis()),
        Class::NeedsTime => {
            let now = jiff::Zoned::now();
            let digits = |format: &str| now.strftime(format).to_string().parse().ok();
            let date = digits("%y%m%d").and_then(Bcd::from_value)?;
            let time = digits("%H%M%S").and_then(Bcd::from_value)?;
            let fields = Fields::default()
                .with(Bmp::FullDate(date))
                .with(Bmp::Time(time));
            Some(Command::SetDateAndTime(password, fields))
        }
        _ => None,
    }
}
