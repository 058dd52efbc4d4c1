//! Endings in the contract's words: status, effect, and what the clerk should do.

use koffer_proto::{Detail, Failure, Lang, Status, Text};
use pcsc::Error;

use super::{
    file::{Refusal, Shortfall, Unread},
    worker::{Unanswered, is_service_gone},
};
pub(super) use crate::ending::{Halt, caused, pick};
use crate::{Fault, Stop, card::iso7816::StatusWord};

/// How contact to a card was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was taken out.
    Removed,
    /// It lost its state: another application or the reader reset it.
    Reset,
    /// Another application holds it.
    InUse,
    /// The PC/SC service went away.
    Service,
    /// The reader went away.
    Reader,
    /// Nothing came back in time.
    Hung,
    /// What came back is no answer.
    Malformed,
    /// Anything else that the service says.
    Other(Error),
}

impl From<Unanswered> for Loss {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Hung => Self::Hung,
            Unanswered::Gone => Self::Service,
            Unanswered::Error(error) => match error {
                Error::RemovedCard | Error::NoSmartcard => Self::Removed,
                Error::ResetCard | Error::UnpoweredCard => Self::Reset,
                Error::SharingViolation => Self::InUse,
                Error::ReaderUnavailable | Error::UnknownReader => Self::Reader,
                error if is_service_gone(error) => Self::Service,
                error => Self::Other(error),
            },
        }
    }
}

impl Loss {
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::Removed => "card-removed",
            Self::Reset => "card-reset",
            Self::InUse => "card-in-use",
            Self::Service => "pcscd-unreachable",
            Self::Reader => "reader-detached",
            Self::Hung => "reader-stuck",
            Self::Malformed => "unexpected-answer",
            Self::Other(_) => "card-unresponsive",
        }
    }

    /// What happened, and what a person can do.
    pub(super) fn text(self) -> Text {
        match self {
            Self::Removed => Text::new(
                "Im Leser steckt keine Karte. Stecken Sie die Karte ein und starten Sie den Vorgang neu.",
                "There is no card in the reader. Insert the card and start again.",
            ),
            Self::Reset => Text::new(
                "Die Karte wurde zurückgesetzt. Rufen Sie connect erneut auf.",
                "The card was reset. Call connect again.",
            ),
            Self::InUse => Text::new(
                "Ein anderes Programm benutzt die Karte. Schließen Sie es und versuchen Sie es erneut.",
                "Another program uses the card. Close it and try again.",
            ),
            Self::Service => Text::new(
                "Der PC/SC-Dienst antwortet nicht. Das Gateway verbindet sich selbst wieder. Bleibt die Störung: systemctl status pcscd",
                "The PC/SC service does not answer. The gateway reconnects by itself. If the fault stays: systemctl status pcscd",
            ),
            Self::Reader => Text::new(
                "Der Kartenleser ist nicht angeschlossen. Prüfen Sie das Kabel.",
                "The card reader is not connected. Check its cable.",
            ),
            Self::Hung => Text::new(
                "Der Kartenleser antwortet nicht mehr. Ziehen Sie die Karte, dann das Kabel des Lesers, und stecken Sie beide wieder ein.",
                "The card reader does not answer any more. Pull the card and the reader's cable, and plug both in again.",
            ),
            Self::Malformed => Text::new(
                "Die Karte hat eine unverständliche Antwort gesendet.",
                "The card sent an answer that cannot be understood.",
            ),
            Self::Other(error) => Text::new(
                format!("Die Karte antwortet nicht ({error}). Stecken Sie sie neu ein."),
                format!("The card does not answer ({error}). Insert it again."),
            ),
        }
    }

    /// What happened to a command that was under way: a beginning of a sentence, no advice.
    pub(super) fn event(self) -> Text {
        match self {
            Self::Removed => Text::new("Die Karte wurde entnommen", "The card was taken out"),
            Self::Reset => Text::new("Die Karte wurde zurückgesetzt", "The card was reset"),
            Self::InUse => Text::new(
                "Ein anderes Programm hat die Karte übernommen",
                "Another program took over the card",
            ),
            Self::Service => Text::new(
                "Der PC/SC-Dienst ist ausgefallen",
                "The PC/SC service stopped answering",
            ),
            Self::Reader => Text::new(
                "Der Kartenleser wurde abgezogen",
                "The card reader was unplugged",
            ),
            Self::Hung => Text::new(
                "Der Kartenleser antwortet nicht mehr",
                "The card reader stopped answering",
            ),
            Self::Malformed => Text::new(
                "Die Karte hat eine unverständliche Antwort gesendet",
                "The card sent an answer that cannot be understood",
            ),
            Self::Other(error) => Text::new(
                format!("Die Karte antwortet nicht mehr ({error})"),
                format!("The card stopped answering ({error})"),
            ),
        }
    }

    /// As the state of the device; `None` where the reader is well.
    pub(super) fn fault(self) -> Option<Fault> {
        let Text { de, en } = self.text();
        matches!(self, Self::Service | Self::Reader | Self::Hung)
            .then(|| Fault::new(self.keyword(), de, en))
    }

    pub(super) fn detail(self) -> Detail {
        caused(self.keyword())
    }

    /// As the end of a call with this failure.
    pub(super) fn ends(self, failure: Failure) -> Halt {
        Halt {
            failure,
            fault: self.fault(),
        }
    }

    /// As the end of a call that changed nothing.
    pub(super) fn without_effect(self, lang: Lang) -> Halt {
        let status = match self {
            Self::Removed | Self::InUse | Self::Service | Self::Reader => Status::Unavailable,
            Self::Reset | Self::Hung | Self::Malformed | Self::Other(_) => Status::DeviceFault,
        };
        let failure = Failure::without_effect(status, self.text().get(lang)).with(self.detail());
        self.ends(failure)
    }
}

/// A field of the call that cannot be meant.
pub(super) fn bad_field(lang: Lang, field: &str, de: &str, en: &str) -> Failure {
    Failure::without_effect(
        Status::BadRequest,
        format!("{field}: {}", pick(lang, de, en)),
    )
    .with(Detail {
        field: Some(field.to_owned()),
        ..Detail::default()
    })
}

/// The status of a call that was stopped.
pub(super) fn stop_status(stop: Stop) -> Status {
    match stop {
        Stop::Deadline => Status::TimedOut,
        Stop::Cancelled | Stop::Shutdown => Status::Cancelled,
    }
}

/// Why a call was stopped, a keyword.
pub(super) fn stop_cause(stop: Stop) -> &'static str {
    match stop {
        Stop::Cancelled => "cancelled-by-caller",
        Stop::Deadline => "deadline",
        Stop::Shutdown => "shutdown",
    }
}

/// A call that was stopped before anything of it happened.
pub(super) fn stopped(stop: Stop, lang: Lang) -> Failure {
    let message = match stop {
        Stop::Deadline => pick(
            lang,
            "Die Zeit ist abgelaufen. An der Karte wurde nichts geändert.",
            "Out of time. Nothing was changed on the card.",
        ),
        Stop::Cancelled | Stop::Shutdown => pick(
            lang,
            "Abgebrochen. An der Karte wurde nichts geändert.",
            "Cancelled. Nothing was changed on the card.",
        ),
    };
    Failure::without_effect(stop_status(stop), message).with(caused(stop_cause(stop)))
}

/// The journal does not take what must be known before the card is touched.
pub(super) fn not_stored(lang: Lang) -> String {
    pick(
        lang,
        "Das Gateway kann sein Journal nicht schreiben. Bitte die Technik verständigen.",
        "The gateway's journal cannot be written. Call your technician.",
    )
}

/// There is no card session.
pub(super) fn not_connected(lang: Lang) -> Failure {
    let message = pick(
        lang,
        "Mit der Karte besteht keine Verbindung. Rufen Sie zuerst connect auf.",
        "The card is not connected. Call connect first.",
    );
    Failure::without_effect(Status::Unavailable, message).with(caused("not-connected"))
}

/// The reader has not what the call needs.
pub(super) fn unsupported(lang: Lang, cause: &str, de: &str, en: &str) -> Failure {
    Failure::without_effect(Status::Unsupported, pick(lang, de, en)).with(caused(cause))
}

/// The card said no to a step of a file operation; nothing was changed.
pub(super) fn declined(refusal: Refusal, lang: Lang) -> Failure {
    let word = refusal.status_word;
    let (cause, de, en) = match word.0 {
        0x6A82 | 0x6A83 => (
            "file-not-found",
            "Diese Datei gibt es auf der Karte nicht.",
            "There is no such file on the card.",
        ),
        0x6982 | 0x6985 => (
            "not-allowed",
            "Die Karte verlangt dafür eine weitere Freigabe.",
            "The card requires further rights for this.",
        ),
        0x6B00 | 0x6A84 => (
            "outside-file",
            "Die Position liegt außerhalb der Datei.",
            "The position is outside the file.",
        ),
        _ => (
            "card-refused",
            "Die Karte hat den Befehl abgelehnt.",
            "The card refused the command.",
        ),
    };
    let message = format!("{} ({}, {word})", pick(lang, de, en), refusal.step);
    Failure::without_effect(Status::Declined, message).with(coded(cause, word))
}

/// A file was not read.
pub(super) fn unread(why: Unread, lang: Lang) -> Failure {
    match why {
        Unread::Refused(refusal) => declined(refusal, lang),
        Unread::Incomplete(shortfall) => incomplete(shortfall, lang),
    }
}

/// The card gave a part of a file; a part is no file, and is not given out.
pub(super) fn incomplete(shortfall: Shortfall, lang: Lang) -> Failure {
    let (read, message) = match shortfall {
        Shortfall::Rest { read, of } => (
            read,
            pick(
                lang,
                format!(
                    "Die Karte lieferte nur {read} von {of} Byte der Datei. Stecken Sie die Karte neu ein und versuchen Sie es erneut."
                ),
                format!(
                    "The card returned only {read} of {of} bytes of the file. Insert the card again and retry."
                ),
            ),
        ),
        Shortfall::NoEnd(read) => (
            read,
            pick(
                lang,
                format!(
                    "Die Karte lieferte nach {read} Byte keine Daten mehr und gab nicht an, ob die Datei dort endet."
                ),
                format!(
                    "The card returned nothing after {read} bytes and did not say whether the file ends there."
                ),
            ),
        ),
        Shortfall::OutOfReach(of) => {
            let (de, en) = match of {
                Some(of) => (format!("; diese hat {of}"), format!("; this one has {of}")),
                None => (
                    ". Ob diese Datei länger ist, gibt sie nicht an".to_owned(),
                    ". It does not say whether this file is longer".to_owned(),
                ),
            };
            let (de, en) = (
                format!("Die Karte liefert nur die ersten 32768 Byte einer Datei{de}."),
                format!("The card returns only the first 32768 bytes of a file{en}."),
            );
            (0x8000, pick(lang, de, en))
        }
        Shortfall::TooLong => (
            0,
            pick(
                lang,
                "Die Datei ist länger als 1 MiB und wird nicht gelesen.",
                "The file is longer than 1 MiB and is not read.",
            ),
        ),
    };
    Failure::without_effect(Status::DeviceFault, message).with(Detail {
        completed: Some(read.into()),
        ..caused("file-incomplete")
    })
}

/// A cause with the card's word for it.
pub(super) fn coded(cause: &str, word: StatusWord) -> Detail {
    Detail {
        device_code: Some(word.to_string()),
        ..caused(cause)
    }
}
