//! A registered terminal: a line, and what was agreed on it.

use std::sync::Arc;

use koffer_proto::{Text, class::payment::Receipt};

use super::{
    codec::{
        bcd::{NO_RECEIPT, TerminalId},
        bmp::Bmp,
        charset::Charset,
        command::{Command, NACK_BUSY, NACK_UNKNOWN, control, service},
        completion::Completion,
        fields::Fields,
        registration::{ConfigByte, Registration, RegistrationStatus},
        result::{Class, ResultCode, TerminalStatus},
        tlv::{Container, Tag},
        totals::Totals,
    },
    config::{ReceiptsTo, ZvtConfig},
    evidence::Shown,
    exchange::{self, Audience, Done},
    link::{Broken, Dial, Link},
    timing,
    transaction::{Ended, Ending, Kind, Loss, Plan},
};
use crate::{Stop, fail_point};

/// Why there is no session, or none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The configuration asks for what no terminal can do.
    Configuration(Text),
    /// Nothing answers there.
    Unreachable(Broken),
    /// What answers there is no ZVT terminal: where, and its first bytes as hexadecimal digits.
    NotZvt {
        /// The address.
        address: String,
        /// The bytes.
        bytes: String,
    },
    /// The line broke, or what came over it made no sense.
    Line(Loss),
    /// The same over the question for its books (06 20, 06 10), which some models do not know.
    Books(Loss),
    /// The terminal is doing something else.
    Busy,
    /// It refused to be registered, or a question.
    Refused(ResultCode),
    /// It books another currency.
    WrongCurrency,
    /// The call should end.
    Stopped(Stop),
}

/// A registered terminal.
#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    dial: Arc<dyn Dial>,
    /// Commands sent so far.
    sent: usize,
    /// What this terminal cannot do.
    pub(super) manners: Manners,
    /// Its identifier, if it told.
    pub(super) terminal: Option<TerminalId>,
    /// Of its texts.
    pub(super) charset: Charset,
    /// What it says it needs.
    pub(super) needs: RegistrationStatus,
    /// Whether the next command may use the line.
    pub(super) usable: bool,
    /// Its last entry, as far as it is certain: asked for or booked since this session began. While
    /// it lasts nobody can book by hand (06 00: no amount entry at the terminal).
    pub(super) last: Recall,
}

/// What a terminal turned out to be unable to do. Found out once, and kept while its driver lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a peculiarity of its own"
)]
pub(super) struct Manners {
    /// It refuses a registration that offers more than the first edition knew.
    pub(super) registers_plainly: bool,
    /// It answers 05 01 only with the password.
    pub(super) enquiry_needs_password: bool,
    /// It has no 05 01.
    pub(super) no_enquiry: bool,
    /// It hangs up after each command, and stays registered.
    pub(super) hangs_up: bool,
}

/// What is known of the terminal's last entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Recall {
    /// It was not asked, or something happened since.
    #[default]
    Unasked,
    /// It does not tell.
    Untold,
    /// This one.
    Told(Shown),
}

/// What the terminal's books brought to light.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaf {
    /// The 04 0F, if it sent one.
    pub(super) fields: Option<Fields>,
    /// The receipt, if it sent that.
    pub(super) receipts: Vec<Receipt>,
}

/// What a status enquiry brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// Ready, or what must be done first.
    pub(super) status: TerminalStatus,
    /// The terminal said so. One that does not know the question counts as ready, which proves
    /// nothing.
    pub(super) is_told: bool,
    /// The software version, if it told.
    pub(super) software: Option<String>,
}

impl Session {
    /// Dials and registers, once.
    pub(super) async fn open(
        dial: Arc<dyn Dial>,
        config: &ZvtConfig,
        manners: Manners,
        audience: Audience<'_>,
    ) -> Result<Self, Trouble> {
        let mut registration = registration(config)?;
        if manners.registers_plainly {
            registration = plain(registration);
        }
        let link = tokio::select! {
            biased;
            stop = audience.stopped() => return Err(Trouble::Stopped(stop)),
            link = dial.dial() => link.map_err(Trouble::Unreachable)?,
        };
        let mut session = Self {
            link,
            dial,
            sent: 0,
            manners,
            terminal: None,
            charset: Charset::default(),
            needs: RegistrationStatus::default(),
            usable: true,
            last: Recall::default(),
        };
        let plan = session.short(&registration, config)?;
        let mut ended = answered(session.exchange(plan, audience).await);
        let unknown = matches!(ended, Err(Trouble::Refused(ResultCode(NACK_UNKNOWN))));
        if unknown && session.usable && !manners.registers_plainly {
            // An old terminal knows no container: the same without it, and without what it offers.
            let plan = session.short(&plain(registration), config)?;
            ended = answered(session.exchange(plan, audience).await);
            session.manners.registers_plainly = ended.is_ok();
        }
        if let (Err(Trouble::Line(_)), Some(bytes)) = (&ended, session.link.foreign()) {
            let address = config.endpoint.to_string();
            return Err(Trouble::NotZvt { address, bytes });
        }
        let completion = ended?.completion;
        let Some(Completion::Fields(fields)) = completion else {
            return Err(Trouble::Line(Loss::Unexpected));
        };
        let other_currency =
            fields.currency().is_some() && fields.currency() != config.currency_code();
        if other_currency {
            return Err(Trouble::WrongCurrency);
        }
        session.terminal = fields.terminal_id();
        session.needs = RegistrationStatus(fields.kind().unwrap_or_default());
        session.charset = agreed(config.profile.charset, &fields);
        Ok(session)
    }

    /// 05 01.
    pub(super) async fn enquire(
        &mut self,
        config: &ZvtConfig,
        audience: Audience<'_>,
    ) -> Result<Condition, Trouble> {
        let byte = config.profile.status_service_byte;
        let password = Some(config.password.field());
        let command = match byte {
            None => {
                let password = password.filter(|_| self.manners.enquiry_needs_password);
                Command::StatusEnquiry(password, Fields::default())
            }
            Some(byte) => {
                Command::StatusEnquiry(password, Fields::default().with(Bmp::Service(byte)))
            }
        };
        let is_first = self.sent == 1;
        let mut answer = self.ask_status(&command, config, audience).await;
        let hung_up = Loss::Line(Broken::Closed);
        let gone = matches!(&answer, Err(Trouble::Line(loss)) if *loss == hung_up || loss.is_io());
        if gone && is_first && !self.manners.hangs_up {
            // Some hang up after each command. The next line needs no registration.
            self.manners.hangs_up = true;
            answer = self.ask_status(&command, config, audience).await;
            self.manners.hangs_up = answer.is_ok();
        }
        let refused = matches!(answer, Err(Trouble::Refused(code)) if code.0 != NACK_UNKNOWN);
        if refused && byte.is_none() && !self.manners.enquiry_needs_password && self.usable {
            // Some terminals answer only who knows the password.
            let command = Command::StatusEnquiry(password, Fields::default());
            answer = self.ask_status(&command, config, audience).await;
            self.manners.enquiry_needs_password = answer.is_ok();
        }
        self.manners.no_enquiry = matches!(answer, Err(Trouble::Refused(ResultCode(NACK_UNKNOWN))));
        let ended = match answer {
            Ok(ended) => ended,
            Err(Trouble::Busy) => return Ok(Condition::of(TerminalStatus::BUSY)),
            // A terminal without this command has no state to tell of.
            Err(Trouble::Refused(ResultCode(NACK_UNKNOWN))) => {
                return Ok(Condition {
                    is_told: false,
                    ..Condition::of(TerminalStatus::READY)
                });
            }
            Err(trouble) => return Err(trouble),
        };
        // Some answer like any command: 04 0F with a result, then an empty 06 0F.
        let said = ended.information.as_ref().and_then(Fields::result);
        if let (Some(Completion::Fields(_)), Some(code)) = (&ended.completion, said) {
            return Ok(Condition::of(TerminalStatus(code)));
        }
        let Some(completion @ Completion::Status { status, .. }) = ended.completion else {
            self.usable = false;
            return Err(Trouble::Line(Loss::Unexpected));
        };
        let software = completion.software();
        Ok(Condition {
            software: software.filter(|text| !text.trim().is_empty()),
            ..Condition::of(status)
        })
    }

    async fn ask_status(
        &mut self,
        command: &Command,
        config: &ZvtConfig,
        audience: Audience<'_>,
    ) -> Result<Ended, Trouble> {
        let mut plan = self.short(command, config)?;
        plan.is_enquiry = true;
        answered(self.exchange(plan, audience).await)
    }

    /// The last entry, asked for once while it cannot have changed.
    pub(super) async fn last_entry(
        &mut self,
        config: &ZvtConfig,
        audience: Audience<'_>,
    ) -> Result<Option<Shown>, Trouble> {
        if self.last == Recall::Unasked && config.profile.shows_books {
            let command = Command::repeat_last_result(config.password.field());
            let leaf = self.leaf(&command, config, audience).await?;
            let told = leaf.fields.as_ref().map(Shown::of);
            self.last = told.map_or(Recall::Untold, Recall::Told);
        }
        Ok(match &self.last {
            Recall::Told(shown) => Some(shown.clone()),
            Recall::Unasked | Recall::Untold => None,
        })
    }

    /// The turnover of the running business day, where the terminal tells.
    pub(super) async fn turnover(
        &mut self,
        config: &ZvtConfig,
        audience: Audience<'_>,
    ) -> Result<Option<Totals>, Trouble> {
        let command = Command::TurnoverTotals(config.password.field(), Fields::default());
        let leaf = self.leaf(&command, config, audience).await?;
        Ok(leaf.fields.and_then(|fields| fields.totals()))
    }

    /// 06 20 or 06 10; empty where the terminal will not tell.
    pub(super) async fn leaf(
        &mut self,
        command: &Command,
        config: &ZvtConfig,
        audience: Audience<'_>,
    ) -> Result<Leaf, Trouble> {
        let plan = Plan {
            abortable: false,
            limit: Some(timing::LEAF),
            ..self.harmless(command, config)?
        };
        match answered(self.exchange(plan, audience).await) {
            Ok(ended) => {
                fail_point::reach("zvt.books-read");
                Ok(Leaf {
                    fields: ended.information,
                    receipts: ended.receipts,
                })
            }
            Err(Trouble::Refused(_)) => Ok(Leaf::default()),
            Err(Trouble::Line(loss)) => Err(Trouble::Books(loss)),
            Err(trouble) => Err(trouble),
        }
    }

    /// Resolves when the idle line ended, or brought what nobody asked for: that belongs to an
    /// earlier command, and is left unanswered so that nothing is committed by it.
    pub(super) async fn until_closed(&mut self) {
        match self.link.receive().await {
            Ok(apdu) => tracing::warn!(control = %apdu.control(), "a message nobody asked for"),
            Err(broken) => tracing::debug!(%broken, "the idle line ended"),
        }
        self.usable = false;
    }

    /// Any command.
    pub(super) async fn exchange(&mut self, plan: Plan, audience: Audience<'_>) -> Done {
        if self.manners.hangs_up && self.sent > 0 {
            match self.dial.dial().await {
                Ok(link) => self.link = link,
                Err(broken) => {
                    self.usable = false;
                    return Done::nothing_sent(broken);
                }
            }
        }
        self.sent += 1;
        let done = exchange::run(&mut self.link, plan, audience).await;
        self.usable = done.line_usable;
        done
    }

    /// A plan for a command that changes nothing that must not change twice and may take a while.
    pub(super) fn harmless(&self, command: &Command, config: &ZvtConfig) -> Result<Plan, Trouble> {
        self.plan(
            command,
            config,
            Kind::Harmless {
                repeats_result: matches!(
                    command.control(),
                    control::REPEAT_RECEIPT | control::TURNOVER_TOTALS
                ),
            },
        )
    }

    /// A plan for any command.
    pub(super) fn plan(
        &self,
        command: &Command,
        config: &ZvtConfig,
        kind: Kind,
    ) -> Result<Plan, Trouble> {
        Ok(Plan {
            command: command.encode().map_err(|_| {
                Trouble::Configuration(Text::new(
                    "Der Auftrag passt nicht in das ZVT-Protokoll.",
                    "The command does not fit the ZVT protocol.",
                ))
            })?,
            administration: !matches!(
                command,
                Command::Authorisation(_)
                    | Command::Reversal(..)
                    | Command::Refund(..)
                    | Command::RepeatReceipt(..)
            ),
            kind,
            abortable: true,
            is_enquiry: false,
            response_timeout: config.profile.response_timeout,
            limit: None,
            charset: self.charset,
        })
    }

    /// A plan for a command that the terminal answers from memory.
    fn short(&self, command: &Command, config: &ZvtConfig) -> Result<Plan, Trouble> {
        Ok(Plan {
            abortable: false,
            response_timeout: timing::SHORT_COMMAND,
            limit: Some(timing::SHORT_COMMAND),
            ..self.harmless(command, config)?
        })
    }
}

impl Manners {
    /// For a technician; empty where there is nothing to say. Each sentence begins with a space.
    pub(super) fn text(self) -> Text {
        let all = [
            (
                self.registers_plainly,
                " Es kennt keine erweiterte Anmeldung.",
                " It knows no extended registration.",
            ),
            (
                self.enquiry_needs_password,
                " Die Statusabfrage verlangt das Passwort.",
                " The status enquiry wants the password.",
            ),
            (
                self.no_enquiry,
                " Es kennt keine Statusabfrage.",
                " It knows no status enquiry.",
            ),
            (
                self.hangs_up,
                " Es trennt die Verbindung nach jedem Befehl.",
                " It hangs up after each command.",
            ),
        ];
        let said = || all.iter().filter(|(is_so, ..)| *is_so);
        Text::new(
            said().map(|(_, de, _)| *de).collect::<String>(),
            said().map(|(.., en)| *en).collect::<String>(),
        )
    }
}

impl Condition {
    fn of(status: TerminalStatus) -> Self {
        Self {
            status,
            is_told: true,
            software: None,
        }
    }
}

/// The end of a harmless command, or why it has none.
fn answered(done: Done) -> Result<Ended, Trouble> {
    match done.ended.ending {
        Ending::Completed => Ok(done.ended),
        Ending::Nack(NACK_BUSY) => Err(Trouble::Busy),
        Ending::Aborted(code) if code.class() == Class::Busy => Err(Trouble::Busy),
        Ending::Nack(code) => Err(Trouble::Refused(ResultCode(code))),
        Ending::Aborted(code) => Err(Trouble::Refused(code)),
        Ending::Unknown(loss) => Err(Trouble::Line(loss)),
        Ending::NothingSent(broken) => Err(Trouble::Line(Loss::Line(broken))),
        // The other endings belong to commands that must not happen twice.
        _ => Err(Trouble::Line(Loss::Unexpected)),
    }
}

/// The set of the terminal's texts: the one that it names, else the one that is configured. Many
/// terminals have another than CP437 and name none.
fn agreed(wanted: Charset, fields: &Fields) -> Charset {
    if wanted == Charset::Zvt7 {
        return wanted;
    }
    let named = fields.tlv().and_then(|container| container.charset());
    named.unwrap_or(wanted)
}

/// 06 00 for this configuration.
fn registration(config: &ZvtConfig) -> Result<Command, Trouble> {
    let currency = config.currency_code().ok_or_else(|| {
        Trouble::Configuration(Text::new(
            format!("ZVT-Terminals buchen nicht in {}.", config.currency),
            format!("ZVT terminals do not book in {}.", config.currency),
        ))
    })?;
    let mut byte = ConfigByte::INTERMEDIATE_STATUS.with(ConfigByte::NO_AMOUNT_ENTRY);
    let mut container = Container::default();
    if config.receipts == ReceiptsTo::ToApp {
        byte = byte
            .with(ConfigByte::PAYMENT_RECEIPTS)
            .with(ConfigByte::ADMIN_RECEIPTS)
            .with(ConfigByte::PRINT_COMMANDS);
        container = container.permit(&[control::PRINT_BLOCK]);
    }
    let offered = config.profile.charset;
    if let Some(code) = offered.to_tlv().filter(|_| offered != Charset::default()) {
        container = container.with(Tag::CHARSET, &[code]);
    }
    Ok(Command::Registration(Registration {
        password: config.password.field(),
        config: byte,
        currency: Some(currency),
        // Even empty it tells the terminal that it may send one.
        fields: Fields::default().with(Bmp::Tlv(container)),
    }))
}

/// The same registration without fields.
fn plain(command: Command) -> Command {
    match command {
        Command::Registration(registration) => Command::Registration(Registration {
            fields: Fields::default(),
            ..registration
        }),
        other => other,
    }
}

/// 06 20 with its 04 0F and its receipt.
pub(super) fn repeat_receipt(config: &ZvtConfig) -> Command {
    let service = Bmp::Service(service::STATUS_INFORMATION);
    Command::RepeatReceipt(config.password.field(), Fields::default().with(service))
}

/// 06 70, to the payment host (chapter 2.18: 1 line, 2 extended, 3 configuration, 4 EMV).
pub(super) fn diagnosis() -> Command {
    Command::Diagnosis(Fields::default())
}

/// 06 23 with receipt FFFF: which pre-authorisations are open? Reserves and books nothing.
pub(super) fn open_reservations() -> Command {
    Command::PartialReversal(Fields::default().with(Bmp::Receipt(NO_RECEIPT)))
}
