//! Endings in the contract's words: status, effect, and what the clerk should do.

use koffer_proto::{Detail, Failure, Lang, Reason, Response, Status, Text};

use super::{
    codec::{
        command::NACK_BUSY,
        result::{Advice, Class, NackCode, ResultCode, TerminalStatus},
    },
    evidence,
    link::Broken,
    session::Trouble,
    transaction::{Cause, Ended, Ending, Loss, verdict::Refusal},
};
use crate::ending::caused;
pub(super) use crate::ending::{Halt, pick};
use crate::{Fault, Stop};

/// What a caller may try again after, where the terminal is busy.
const RETRY_AFTER_MS: u64 = 5_000;

/// The sentence of a table in the language asked for.
pub(super) fn worded(lang: Lang, advice: Advice) -> String {
    let text = pick(lang, advice.de, advice.en);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The reason that a terminal's state gives the device, if it needs attention.
pub(super) fn reason(status: TerminalStatus) -> Option<Reason> {
    let meaning = status.meaning();
    reason_of(status.class(), meaning)
}

/// The reason that a result code leaves behind.
pub(super) fn reason_after(code: ResultCode) -> Option<Reason> {
    lasting(code.class(), code.meaning())
}

fn lasting(class: Class, meaning: Advice) -> Option<Reason> {
    match class {
        // One transaction's failure is no state of the terminal.
        Class::DeviceFault | Class::Rejected => None,
        class => reason_of(class, meaning),
    }
}

fn reason_of(class: Class, meaning: Advice) -> Option<Reason> {
    let advice = class.advice();
    keyword(class).map(|keyword| {
        Reason::new(
            keyword,
            format!("{}. {}", worded(Lang::De, meaning), advice.de),
            format!("{}. {}", worded(Lang::En, meaning), advice.en),
        )
    })
}

/// The keyword of a state that needs attention; IPP's where they fit.
fn keyword(class: Class) -> Option<&'static str> {
    Some(match class {
        Class::NeedsEndOfDay => "end-of-day-required",
        Class::NeedsInitialisation => "initialisation-required",
        Class::NeedsDiagnosis => "diagnosis-required",
        Class::NeedsTime => "clock-not-set",
        Class::NeedsPaper => "media-empty",
        Class::NeedsCardRemoved => "card-in-reader",
        Class::DeviceFault | Class::Rejected => "terminal-fault",
        Class::Approved
        | Class::Declined
        | Class::Cancelled
        | Class::Busy
        | Class::NeedsRegistration => return None,
    })
}

/// A terminal that cannot take the call in the state it is in; nothing was sent.
pub(super) fn not_ready(status: TerminalStatus, lang: Lang) -> Failure {
    let class = status.class();
    let message = format!(
        "{}. {}",
        worded(lang, status.meaning()),
        worded(lang, class.advice())
    );
    let keyword = keyword(class);
    Failure::without_effect(Status::Unavailable, message).with(Detail {
        device_code: Some(format!("{:02x}", status.0)),
        cause: Some(keyword.unwrap_or("terminal-busy").to_owned()),
        reasons: keyword.map(str::to_owned).into_iter().collect(),
        retry_after_ms: (class == Class::Busy).then_some(RETRY_AFTER_MS),
        ..Detail::default()
    })
}

/// A call that was stopped before anything was sent, or whose stop the terminal confirmed.
pub(super) fn stopped(stop: Stop, lang: Lang) -> Failure {
    let (status, cause, de, en) = match stop {
        Stop::Cancelled => (
            Status::Cancelled,
            "cancelled-by-caller",
            "Abgebrochen. Es wurde nichts gebucht.",
            "Cancelled. Nothing was booked.",
        ),
        Stop::Deadline => (
            Status::TimedOut,
            "deadline",
            "Die Zeit ist abgelaufen. Es wurde nichts gebucht. Starten Sie den Vorgang neu.",
            "Out of time. Nothing was booked. Start anew.",
        ),
        Stop::Shutdown => (
            Status::Cancelled,
            "shutdown",
            "Das Gateway wird beendet. Es wurde nichts gebucht.",
            "The gateway is going down. Nothing was booked.",
        ),
    };
    Failure::without_effect(status, pick(lang, de, en)).with(caused(cause))
}

/// Why a command has no result; `None` if it completed. `evidence` is the answer it would have
/// had, where a positive 04 0F was seen.
pub(super) fn failure(
    ended: &Ended,
    once: bool,
    lang: Lang,
    evidence: Option<&Response>,
) -> Option<Failure> {
    let stop = match ended.cause {
        Some(Cause::Stop(stop)) => Some(stop),
        _ => None,
    };
    let failure = match &ended.ending {
        Ending::Completed => return None,
        Ending::Stopped => stopped(stop.unwrap_or(Stop::Cancelled), lang),
        Ending::NotStored => Failure::without_effect(
            Status::DeviceFault,
            pick(
                lang,
                "Das Gateway kann sein Journal nicht schreiben. Es wurde nichts gesendet. Bitte die Technik verständigen.",
                "The gateway's journal cannot be written. Nothing was sent. Call your technician.",
            ),
        )
        .with(caused("journal-failed")),
        Ending::NothingSent(broken) => line_failure(&Loss::Line(broken.clone()), lang),
        Ending::Nack(code) => by_nack(NackCode(*code), lang),
        Ending::Aborted(code) | Ending::Declined(code) if code.class() == Class::Cancelled => {
            match (ended.cause, stop) {
                (_, Some(stop)) => stopped(stop, lang),
                (Some(Cause::Silence), None) => silent(lang),
                _ => by_code(*code, lang),
            }
        }
        Ending::Aborted(code) | Ending::Declined(code) => by_code(*code, lang),
        Ending::Refused(refusal) => refused(*refusal, lang),
        Ending::Unknown(loss) if once => unknown(loss, lang, evidence),
        Ending::Unknown(_) if stop.is_some() => stopped(stop.unwrap_or(Stop::Cancelled), lang),
        Ending::Unknown(loss) => line_failure(loss, lang),
    };
    Some(with_words(failure, &ended.words, lang))
}

/// With what the terminal itself says of it, beside our own advice.
fn with_words(mut failure: Failure, words: &str, lang: Lang) -> Failure {
    if !words.is_empty() {
        let (de, en) = (
            format!(" Das Terminal meldet: »{words}«."),
            format!(" The terminal says: \"{words}\"."),
        );
        failure.message.push_str(&pick(lang, de, en));
    }
    failure
}

fn silent(lang: Lang) -> Failure {
    let message = pick(
        lang,
        "Das Terminal hat zu lange nicht geantwortet und den Vorgang auf Nachfrage abgebrochen. Es wurde nichts gebucht.",
        "The terminal did not answer for too long and cancelled when asked. Nothing was booked.",
    );
    Failure::without_effect(Status::TimedOut, message).with(caused("terminal-silent"))
}

/// A code of 84 xx.
fn by_nack(code: NackCode, lang: Lang) -> Failure {
    coded(code.0, code.class(), code.meaning(), lang)
}

/// A code of 06 1E or of a 04 0F.
fn by_code(code: ResultCode, lang: Lang) -> Failure {
    coded(code.0, code.class(), code.meaning(), lang)
}

fn coded(code: u8, class: Class, meaning: Advice, lang: Lang) -> Failure {
    let (status, cause) = match class {
        Class::Declined => (Status::Declined, "declined"),
        Class::Rejected => (Status::Declined, "not-possible"),
        Class::Cancelled => (Status::Cancelled, "cancelled-at-terminal"),
        Class::Busy => (Status::DeviceFault, "terminal-busy"),
        Class::Approved | Class::DeviceFault => (Status::DeviceFault, "terminal-fault"),
        other => (
            Status::DeviceFault,
            keyword(other).unwrap_or("registration-required"),
        ),
    };
    let message = format!(
        "{}. {}",
        worded(lang, meaning),
        worded(lang, class.advice())
    );
    Failure::without_effect(status, message).with(Detail {
        device_code: Some(format!("{code:02x}")),
        cause: Some(cause.to_owned()),
        reasons: lasting(class, meaning)
            .map(|reason| reason.keyword)
            .into_iter()
            .collect(),
        retry_after_ms: (class == Class::Busy).then_some(RETRY_AFTER_MS),
        ..Detail::default()
    })
}

fn refused(refusal: Refusal, lang: Lang) -> Failure {
    let (cause, de, en) = match refusal {
        Refusal::NotStored => (
            "journal-failed",
            "Das Gateway konnte die Zahlung nicht speichern und hat sie abgelehnt.",
            "The gateway could not store the payment and refused it.",
        ),
        Refusal::Unreadable | Refusal::NoResult => (
            "unreadable-answer",
            "Die Antwort des Terminals war nicht lesbar und wurde abgelehnt.",
            "The terminal's answer could not be read and was refused.",
        ),
        Refusal::WrongTerminal => (
            "wrong-terminal",
            "Ein anderes Terminal hat geantwortet; der Vorgang wurde abgelehnt.",
            "Another terminal answered; that was refused.",
        ),
        Refusal::WrongAmount => (
            "wrong-amount",
            "Das Terminal meldete einen anderen Betrag; das wurde abgelehnt.",
            "The terminal reported another amount; that was refused.",
        ),
        Refusal::WrongReceipt => (
            "wrong-receipt",
            "Das Terminal wollte einen anderen Beleg stornieren; das wurde abgelehnt.",
            "The terminal was about to reverse another receipt; that was refused.",
        ),
        Refusal::WrongCurrency => (
            "wrong-currency",
            "Das Terminal meldete eine andere Währung; das wurde abgelehnt.",
            "The terminal reported another currency; that was refused.",
        ),
        Refusal::Contradiction => (
            "contradiction",
            "Die Antworten des Terminals widersprechen sich; das wurde abgelehnt.",
            "The terminal's answers contradict each other; that was refused.",
        ),
    };
    let closing = pick(
        lang,
        "Das Terminal hat abgebrochen, es wurde nichts gebucht. Bitte die Technik verständigen.",
        "The terminal cancelled, nothing was booked. Call your technician.",
    );
    let message = format!("{} {closing}", pick(lang, de, en));
    Failure::without_effect(Status::DeviceFault, message).with(caused(cause))
}

fn unknown(loss: &Loss, lang: Lang, evidence: Option<&Response>) -> Failure {
    let (cause, what) = lost(loss, lang);
    let message = pick(
        lang,
        format!(
            "{what} Ob gebucht wurde, ist nicht bekannt. Nicht wiederholen: Sehen Sie am Terminal \
             nach, ob der Vorgang gebucht ist, und tragen Sie das Ergebnis ein."
        ),
        format!(
            "{what} It is not known whether it was booked. Do not repeat it: look at the terminal \
             whether it was booked, and record the result."
        ),
    );
    let mut detail = caused(cause);
    if let Some(answer) = evidence {
        detail = detail.with_evidence(answer);
    }
    Failure::outcome_unknown(message).with(detail)
}

/// A command without effect that got no answer.
fn line_failure(loss: &Loss, lang: Lang) -> Failure {
    let (cause, what) = lost(loss, lang);
    let advice = worded(lang, Class::DeviceFault.advice());
    Failure::without_effect(Status::DeviceFault, format!("{what} {advice}")).with(caused(cause))
}

fn lost(loss: &Loss, lang: Lang) -> (&'static str, String) {
    let text = loss_text(loss);
    (loss_keyword(loss), text.get(lang).to_owned())
}

/// The keyword of a loss.
pub(super) fn loss_keyword(loss: &Loss) -> &'static str {
    match loss {
        Loss::Line(Broken::NotAccepted | Broken::Unacknowledged) => "line-disturbed",
        Loss::Line(_) => "connection-lost",
        Loss::Silence => "terminal-silent",
        Loss::Unexpected => "unexpected-answer",
        Loss::Contradiction => evidence::CONTRADICTION,
        Loss::Unexplained => evidence::UNEXPLAINED,
    }
}

fn loss_text(loss: &Loss) -> Text {
    match loss {
        Loss::Line(broken) => Text::new(
            "Die Verbindung zum Terminal brach ab.",
            format!("The connection to the terminal was lost ({broken})."),
        ),
        Loss::Silence => Text::new(
            "Das Terminal antwortet nicht mehr.",
            "The terminal does not answer any more.",
        ),
        Loss::Unexpected => Text::new(
            "Das Terminal hat eine unverständliche Antwort gesendet.",
            "The terminal sent an answer that cannot be understood.",
        ),
        Loss::Contradiction => Text::new(
            "Die Antworten des Terminals widersprechen sich.",
            "The terminal's answers contradict each other.",
        ),
        Loss::Unexplained => Text::new(
            "Das Terminal hat den Vorgang abgebrochen und keinen Grund genannt.",
            "The terminal cancelled it and gave no reason.",
        ),
    }
}

/// The fault of a device whose line was lost in a call.
pub(super) fn fault_of(ended: &Ended) -> Fault {
    let loss = match &ended.ending {
        Ending::Unknown(loss) => loss.clone(),
        Ending::NothingSent(broken) => Loss::Line(broken.clone()),
        _ => Loss::Line(Broken::Closed),
    };
    fault_of_loss(&loss)
}

fn fault_of_loss(loss: &Loss) -> Fault {
    let Text { de, en } = loss_text(loss);
    Fault::new(loss_keyword(loss), de, en)
}

impl Trouble {
    /// As the state of the device; `None` where it says nothing of the device.
    pub(super) fn fault(&self) -> Option<Fault> {
        Some(match self {
            Self::Stopped(_) => return None,
            Self::Configuration(text) => {
                Fault::new("misconfigured", text.de.clone(), text.en.clone())
            }
            Self::Unreachable(broken) => Fault::new(
                "unreachable",
                format!(
                    "Das Terminal ist nicht erreichbar ({broken}). Prüfen Sie Strom, Kabel und Netz."
                ),
                format!(
                    "The terminal cannot be reached ({broken}). Check power, cable and network."
                ),
            ),
            Self::NotZvt { address, bytes } => Fault::new(
                "not-zvt",
                format!(
                    "Unter {address} antwortet etwas, das kein ZVT-Terminal ist; es beginnt mit {bytes}. Prüfen Sie Adresse und Port."
                ),
                format!(
                    "Something answers at {address} that is no ZVT terminal; it begins with {bytes}. Check address and port."
                ),
            ),
            Self::Line(loss) => fault_of_loss(loss),
            Self::Books(loss) => {
                let Text { de, en } = loss_text(loss);
                Fault::new(
                    loss_keyword(loss),
                    format!(
                        "{de} Das geschah bei der Frage nach seinem letzten Vorgang. Wiederholt sich das, kennt das Modell die Frage nicht: Setzen Sie shows_books = false."
                    ),
                    format!(
                        "{en} That was over the question for its last transaction. If it happens again, the model does not know that question: set shows_books = false."
                    ),
                )
            }
            Self::Busy => Fault::new(
                "terminal-busy",
                "Das Terminal ist mit etwas anderem beschäftigt. Warten Sie, bis es fertig ist.",
                "The terminal is busy with something else. Wait for it to finish.",
            ),
            Self::Refused(code) => {
                // No card and no host has a part in a registration or a question.
                let meaning = NackCode(code.0).meaning();
                Fault::new(
                    "registration-refused",
                    format!(
                        "Das Terminal nimmt die Anmeldung nicht an: {} ({:02x}). Prüfen Sie das Passwort.",
                        meaning.de, code.0
                    ),
                    format!(
                        "The terminal refuses to be registered: {} ({:02x}). Check the password.",
                        meaning.en, code.0
                    ),
                )
            }
            Self::WrongCurrency => Fault::new(
                "wrong-currency",
                "Das Terminal bucht in einer anderen Währung als eingestellt.",
                "The terminal books in another currency than configured.",
            ),
        })
    }

    /// As the end of a call of which nothing was sent.
    pub(super) fn halt(&self, lang: Lang) -> Halt {
        if let Self::Stopped(stop) = self {
            return Halt::refused(stopped(*stop, lang));
        }
        let fault = self.fault();
        let reason = fault.as_ref().map(|fault| &fault.reason);
        let message = reason.map_or("", |reason| reason.text.get(lang));
        let keyword = reason.map(|reason| reason.keyword.clone());
        let failure = Failure::without_effect(Status::Unavailable, message).with(Detail {
            cause: keyword.clone(),
            reasons: keyword.into_iter().collect(),
            device_code: match self {
                Self::Refused(code) => Some(format!("{:02x}", code.0)),
                Self::Busy => Some(format!("{NACK_BUSY:02x}")),
                _ => None,
            },
            ..Detail::default()
        });
        Halt { failure, fault }
    }
}
