//! Endings in the contract's words: status, effect, and what the clerk should do.

use koffer_proto::{Detail, Effect, Failure, Lang, Reason, Status, Text};

use super::{
    job::{Cause, Doubt, Ending, Printed},
    link::Broken,
    reasons::Judged,
    wire::StatusCode,
};
pub(super) use crate::ending::Halt;
use crate::ending::caused;
use crate::{Fault, Stop};

fn text(de: &str, en: &str) -> Text {
    Text::new(de, en)
}

/// A call with something in it that does not fit; nothing was started.
pub(super) fn refused(status: Status, field: &str, why: &Text, lang: Lang) -> Failure {
    Failure::without_effect(status, why.get(lang)).with(Detail {
        field: Some(field.to_owned()),
        ..Detail::default()
    })
}

/// A document that is not the one the caller meant.
pub(super) fn wrong_digest(lang: Lang) -> Failure {
    let why = text(
        "Das Dokument passt nicht zu seiner Prüfsumme. Es wurde nicht gedruckt. Dokument neu senden.",
        "The document does not match its digest. It was not printed. Send it again.",
    );
    refused(Status::BadRequest, "document.sha256", &why, lang)
}

/// A printer that prints nothing until somebody mends it.
pub(super) fn blocked(judged: &Judged, lang: Lang) -> Failure {
    Failure::without_effect(Status::Unavailable, judged.text(lang)).with(Detail {
        reasons: judged.keywords(),
        ..Detail::default()
    })
}

/// An operation that this driver does not have.
pub(super) fn unsupported(operation: &str, lang: Lang) -> Failure {
    let why = Text::new(
        format!("Ein Drucker unterstützt „{operation}“ nicht."),
        format!("A printer does not support \"{operation}\"."),
    );
    Failure::without_effect(Status::Unsupported, why.get(lang))
}

/// The record of the call could not be written; nothing was printed.
pub(super) fn not_stored(lang: Lang) -> Failure {
    let why = text(
        "Das Gateway kann sein Journal nicht schreiben. Es wurde nichts gedruckt. Bitte die Technik verständigen.",
        "The gateway's journal cannot be written. Nothing was printed. Call your technician.",
    );
    Failure::without_effect(Status::DeviceFault, why.get(lang)).with(caused("journal-failed"))
}

/// A call that should end before anything was printed.
pub(super) fn stopped(stop: Stop, lang: Lang) -> Failure {
    ending(
        &Ending::Unfinished {
            cause: Cause::Stopped(stop),
            printed: Printed::Nothing,
        },
        lang,
    )
    .unwrap_or_else(|| not_stored(lang))
}

/// The printer said no to a request that prints nothing by itself.
pub(super) fn rejected(status: StatusCode, lang: Lang) -> Failure {
    let code = format!("{:04x}", status.0);
    if status.is_denied() || status == StatusCode::DEACTIVATED {
        let Reason { keyword, text } = fault_of_status(status).reason;
        let nothing = nothing_printed();
        let message = format!("{} {}", text.get(lang), nothing.get(lang));
        return Failure::without_effect(Status::Unavailable, message).with(Detail {
            device_code: Some(code),
            ..caused(&keyword)
        });
    }
    let (outcome, why) = if status.is_unsupported() {
        (
            Status::Unsupported,
            Text::new(
                format!("Der Drucker kann das nicht ({code}). Es wurde nichts gedruckt."),
                format!("The printer cannot do that ({code}). Nothing was printed."),
            ),
        )
    } else {
        (
            Status::DeviceFault,
            Text::new(
                format!(
                    "Der Drucker hat den Auftrag abgelehnt ({code}). Es wurde nichts gedruckt. \
                     Anzeige am Drucker ansehen."
                ),
                format!(
                    "The printer refused the job ({code}). Nothing was printed. Look at its panel."
                ),
            ),
        )
    };
    Failure::without_effect(outcome, why.get(lang)).with(Detail {
        device_code: Some(code),
        ..caused("refused-by-printer")
    })
}

/// The printer cannot be reached, as the state of the device.
pub(super) fn fault(broken: &Broken) -> Fault {
    match broken {
        Broken::Unreachable(why) => Fault::new(
            "offline",
            format!("Der Drucker ist nicht erreichbar ({why}). Strom, Kabel und Netz prüfen."),
            format!("The printer cannot be reached ({why}). Check power, cable and network."),
        ),
        Broken::Lost(_) | Broken::Silent => Fault::new(
            "connection-lost",
            format!(
                "Die Verbindung zum Drucker brach ab ({broken}). Strom, Kabel und Netz prüfen."
            ),
            format!(
                "The connection to the printer broke ({broken}). Check power, cable and network."
            ),
        ),
        Broken::Tls(problem) => {
            let Text { de, en } = problem.text();
            Fault::new(problem.keyword(), de, en)
        }
        Broken::Http { status, location } => of_web_server(*status, location.as_deref()),
        Broken::Unreadable(_) => Fault::new(
            "no-ipp-printer",
            format!("Unter der Adresse antwortet kein IPP-Drucker ({broken}). Adresse prüfen."),
            format!("No IPP printer answers at the address ({broken}). Check the address."),
        ),
    }
}

/// The printer's web server let nothing through to its IPP service.
fn of_web_server(status: u16, location: Option<&str>) -> Fault {
    match status {
        401 => login_wanted("HTTP 401"),
        403 => access_denied("HTTP 403"),
        426 => Fault::new(
            "tls-required",
            "Der Drucker verlangt TLS (HTTP 426). In der Adresse ipps:// statt ipp:// eintragen.",
            "The printer wants TLS (HTTP 426). Enter ipps:// instead of ipp:// in its address.",
        ),
        300..=399 => {
            let to = location.unwrap_or("?");
            Fault::new(
                "moved",
                format!(
                    "Der Drucker verweist auf eine andere Adresse ({to}, HTTP {status}). Adresse \
                     in der Konfiguration ändern."
                ),
                format!(
                    "The printer refers to another address ({to}, HTTP {status}). Change the \
                     address in the configuration."
                ),
            )
        }
        503 => Fault::new(
            "printer-busy",
            "Der Drucker ist gerade überlastet (HTTP 503). Warten; bleibt es so, aus- und \
             einschalten.",
            "The printer is overloaded (HTTP 503). Wait; if it stays so, switch it off and on.",
        ),
        500..=599 => Fault::new(
            "printer-error",
            format!(
                "Der Druckdienst des Druckers meldet einen Fehler (HTTP {status}). Drucker aus- \
                 und einschalten."
            ),
            format!(
                "The printer's service reports an error (HTTP {status}). Switch the printer off \
                 and on."
            ),
        ),
        _ => Fault::new(
            "no-ipp-printer",
            format!(
                "Unter der Adresse antwortet kein IPP-Drucker (HTTP {status}). Adresse und Pfad \
                 prüfen."
            ),
            format!(
                "No IPP printer answers at the address (HTTP {status}). Check the address and \
                 its path."
            ),
        ),
    }
}

fn login_wanted(said: &str) -> Fault {
    Fault::new(
        "login-required",
        format!(
            "Der Drucker verlangt eine Anmeldung ({said}). Das Gateway meldet sich nicht an: am \
             Drucker das Drucken ohne Anmeldung erlauben."
        ),
        format!(
            "The printer wants a login ({said}). The gateway does not log in: allow printing \
             without a login at the printer."
        ),
    )
}

fn access_denied(said: &str) -> Fault {
    Fault::new(
        "access-denied",
        format!(
            "Der Drucker lässt dieses Gateway nicht drucken ({said}). Am Drucker die Adresse des \
             Gateways zulassen."
        ),
        format!(
            "The printer does not let this gateway print ({said}). Allow the gateway's address \
             at the printer."
        ),
    )
}

/// A printer whose attributes cannot be had.
pub(super) fn fault_of_status(status: StatusCode) -> Fault {
    let code = status.0;
    if status == StatusCode::DEACTIVATED {
        return Fault::new(
            "deactivated",
            "Der Drucker ist für Aufträge abgeschaltet (050a). Am Drucker einschalten.",
            "The printer is switched off for jobs (050a). Switch it on at its panel.",
        );
    }
    if status.is_denied() {
        let said = format!("IPP {code:04x}");
        return if code == 0x0402 {
            login_wanted(&said)
        } else {
            access_denied(&said)
        };
    }
    Fault::new(
        "no-ipp-printer",
        format!(
            "Der Drucker beantwortet die Abfrage nicht ({code:04x}). Adresse und Zugang prüfen."
        ),
        format!("The printer does not answer the query ({code:04x}). Check address and access."),
    )
}

/// A printer without Create-Job and Send-Document: with Print-Job alone nobody can know.
pub(super) fn too_simple() -> Fault {
    Fault::new(
        "unsupported-printer",
        "Der Drucker kennt Create-Job und Send-Document nicht; ohne sie lässt sich nicht \
         sicherstellen, dass nichts doppelt gedruckt wird.",
        "The printer does not know Create-Job and Send-Document; without them nobody can make \
         sure that nothing is printed twice.",
    )
}

/// The printer restarted: its description is read anew.
pub(super) fn restarted() -> Fault {
    Fault::new(
        "restarted",
        "Der Drucker wurde neu gestartet.",
        "The printer was restarted.",
    )
}

fn nothing_printed() -> Text {
    text("Es wurde nichts gedruckt.", "Nothing was printed.")
}

/// A call that lost contact before anything could be printed.
pub(super) fn before_document(broken: &Broken, lang: Lang) -> Halt {
    let fault = fault(broken);
    let nothing = nothing_printed();
    let message = format!("{} {}", fault.reason.text.get(lang), nothing.get(lang));
    let status = if broken.did_nothing() {
        Status::Unavailable
    } else {
        Status::DeviceFault
    };
    let keyword = fault.reason.keyword.clone();
    let failure = Failure::without_effect(status, message).with(Detail {
        reasons: vec![keyword.clone()],
        ..caused(&keyword)
    });
    Halt {
        failure,
        fault: Some(fault),
    }
}

/// Whether an ending says that the device must be opened anew.
pub(super) fn fault_after(ending: &Ending) -> Option<Fault> {
    match ending {
        Ending::Unknown(Doubt::Restarted | Doubt::Forgotten) => Some(restarted()),
        Ending::Unknown(Doubt::OutOfReach)
        | Ending::Unfinished {
            cause: Cause::NotDelivered,
            ..
        } => Some(fault(&Broken::Silent)),
        _ => None,
    }
}

/// How a print that did not complete is told; `None` if it completed.
pub(super) fn ending(ending: &Ending, lang: Lang) -> Option<Failure> {
    match ending {
        Ending::Completed { .. } => None,
        Ending::Unknown(doubt) => Some(unknown(*doubt, lang)),
        Ending::Unfinished { cause, printed } => Some(unfinished(*cause, *printed, lang)),
    }
}

pub(super) fn unfinished(cause: Cause, printed: Printed, lang: Lang) -> Failure {
    let (status, keyword, why) = why(cause);
    let (effect, completed, what) = match printed {
        Printed::NotCounted => {
            let Reason { text, .. } = not_counted(cause);
            return Failure::outcome_unknown(text.get(lang)).with(caused(keyword));
        }
        Printed::Nothing => (Effect::None, None, nothing_printed()),
        Printed::Sheets(sheets) => (
            Effect::Partial,
            Some(sheets),
            Text::new(
                format!("{sheets} Blatt gedruckt. Diese aussortieren."),
                format!("Sheets that were printed: {sheets}. Sort them out."),
            ),
        ),
        Printed::All(sheets) => (
            Effect::Done,
            Some(sheets),
            Text::new(
                format!("Es war schon alles gedruckt: {sheets} Blatt."),
                format!("All of it was printed already, sheets: {sheets}."),
            ),
        ),
    };
    let message = format!("{} {}", why.get(lang), what.get(lang));
    Failure::unfinished(status, effect, message).with(Detail {
        completed: completed.map(u64::from),
        ..caused(keyword)
    })
}

fn why(cause: Cause) -> (Status, &'static str, Text) {
    match cause {
        Cause::Stopped(Stop::Cancelled) => (
            Status::Cancelled,
            "cancelled-by-caller",
            text("Abgebrochen.", "Cancelled."),
        ),
        Cause::Stopped(Stop::Deadline) => (
            Status::TimedOut,
            "deadline",
            text(
                "Die Zeit ist abgelaufen, der Auftrag wurde abgebrochen.",
                "Out of time; the job was cancelled.",
            ),
        ),
        Cause::Stopped(Stop::Shutdown) => (
            Status::Cancelled,
            "shutdown",
            text(
                "Das Gateway wird beendet, der Auftrag wurde abgebrochen.",
                "The gateway is going down; the job was cancelled.",
            ),
        ),
        Cause::CancelledElsewhere => (
            Status::Cancelled,
            "cancelled-at-printer",
            text(
                "Der Auftrag wurde am Drucker abgebrochen.",
                "The job was cancelled at the printer.",
            ),
        ),
        Cause::Aborted => (
            Status::DeviceFault,
            "aborted-by-printer",
            text(
                "Der Drucker hat den Auftrag abgebrochen. Anzeige am Drucker ansehen.",
                "The printer aborted the job. Look at its panel.",
            ),
        ),
        Cause::WithErrors => (
            Status::DeviceFault,
            "completed-with-errors",
            text(
                "Der Drucker meldet Fehler beim Drucken. Ausdruck prüfen.",
                "The printer reports errors while printing. Check the print.",
            ),
        ),
        Cause::TooFew => (
            Status::DeviceFault,
            "counted-too-few",
            text(
                "Der Drucker meldet den Auftrag als fertig, hat aber weniger Seiten gezählt, als \
                 das Dokument hat. Ausdruck prüfen.",
                "The printer calls the job completed and counted fewer pages than the document \
                 has. Check the print.",
            ),
        ),
        Cause::Document(trouble) => (Status::DeviceFault, trouble.keyword, trouble.text()),
        Cause::NotDelivered => (
            Status::DeviceFault,
            "connection-lost",
            text(
                "Die Verbindung brach ab, bevor der Drucker das Dokument hatte.",
                "The connection broke before the printer had the document.",
            ),
        ),
        Cause::Interrupted => (
            Status::Cancelled,
            "gateway-interrupted",
            text(
                "Das Gateway wurde unterbrochen, bevor der Drucker das Dokument ganz hatte.",
                "The gateway was interrupted before the printer had the whole document.",
            ),
        ),
        Cause::Refused => (
            Status::DeviceFault,
            "refused-by-printer",
            text(
                "Der Drucker hat das Dokument abgelehnt.",
                "The printer refused the document.",
            ),
        ),
    }
}

/// A printer that had begun, and whose word does not tell what came out.
pub(super) fn not_counted(cause: Cause) -> Reason {
    let (_, keyword, why) = why(cause);
    Reason::new(
        keyword,
        format!(
            "{} Der Drucker hatte begonnen und meldet nicht sicher, was gedruckt wurde. Nicht \
             wiederholen: Sehen Sie im Ausgabefach nach und tragen Sie das Ergebnis ein.",
            why.de
        ),
        format!(
            "{} The printer had begun and does not report for certain what was printed. Do not \
             repeat it: look into the tray and record the result.",
            why.en
        ),
    )
}

fn unknown(doubt: Doubt, lang: Lang) -> Failure {
    let Reason { keyword, text } = undecided(doubt);
    Failure::outcome_unknown(text.get(lang)).with(caused(&keyword))
}

/// Why nobody but a person can know, and where to look.
pub(super) fn undecided(doubt: Doubt) -> Reason {
    let (keyword, why) = match doubt {
        Doubt::CutDocument => (
            "connection-lost",
            text(
                "Die Verbindung brach ab, während das Dokument gesendet wurde, und der Drucker hat \
                 etwas gedruckt: vielleicht alles, vielleicht einen Teil.",
                "The connection broke while the document was sent, and the printer printed \
                 something: perhaps all of it, perhaps a part.",
            ),
        ),
        Doubt::NothingCounted => (
            "nothing-counted",
            text(
                "Der Drucker meldet den Auftrag als fertig, hat aber keine Seite gezählt.",
                "The printer calls the job completed and counted no page.",
            ),
        ),
        Doubt::StillStopping => (
            "processing-to-stop-point",
            text(
                "Der Drucker meldet den Auftrag als fertig und zugleich, dass er ihn abbricht.",
                "The printer calls the job completed, and says that it is stopping it.",
            ),
        ),
        Doubt::AnotherPrinter => (
            "another-printer",
            text(
                "Unter der Adresse antwortet ein anderer Drucker; er weiß nichts vom Auftrag.",
                "Another printer answers at the address; it knows nothing of the job.",
            ),
        ),
        Doubt::Restarted => (
            "printer-restarted",
            text(
                "Der Drucker wurde neu gestartet und weiß nichts mehr vom Auftrag.",
                "The printer was restarted and has forgotten the job.",
            ),
        ),
        Doubt::Forgotten => (
            "job-history-gone",
            text(
                "Der Drucker kennt den Auftrag nicht mehr.",
                "The printer does not know the job any more.",
            ),
        ),
        Doubt::OutOfReach => (
            "connection-lost",
            text(
                "Der Drucker ist nicht mehr erreichbar.",
                "The printer cannot be reached any more.",
            ),
        ),
        Doubt::NotSettled => (
            "not-settled",
            text(
                "Der Drucker hat den Auftrag nicht rechtzeitig beendet; er druckt ihn vielleicht noch.",
                "The printer did not end the job in time; it may still print it.",
            ),
        ),
    };
    Reason::new(
        keyword,
        format!(
            "{} Nicht wiederholen: Sehen Sie im Ausgabefach nach und tragen Sie das Ergebnis ein.",
            why.de
        ),
        format!(
            "{} Do not repeat it: look into the tray and record the result.",
            why.en
        ),
    )
}
