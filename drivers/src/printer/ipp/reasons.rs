//! What a printer says of itself, and what the clerk should do (RFC 8011, 5.4.12; PWG 5100.9).

use koffer_proto::{Reason, Text, class::document_printer::PrinterState};

use super::snapshot::Mood;

/// What a printer's mood means for calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// What needs attention, worst first.
    pub(super) reasons: Vec<Reason>,
    /// Whether it prints nothing until somebody mends that.
    pub(super) blocked: bool,
}

impl Judged {
    /// The keywords, for programs.
    pub(super) fn keywords(&self) -> Vec<String> {
        let keywords = self.reasons.iter().map(|reason| reason.keyword.clone());
        keywords.collect()
    }

    /// All sentences in one language; empty when all is well.
    pub(super) fn text(&self, lang: koffer_proto::Lang) -> String {
        let texts: Vec<_> = self.reasons.iter().map(|r| r.text.get(lang)).collect();
        texts.join(" ")
    }
}

/// How bad a keyword is where the printer adds no `-error`, `-warning` or `-report`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// Of no interest to a clerk.
    Silent,
    /// Needs attention soon.
    Attention,
    /// Prints nothing.
    Blocks,
}

struct Known {
    keyword: &'static str,
    severity: Severity,
    de: &'static str,
    en: &'static str,
}

const fn known(
    severity: Severity,
    keyword: &'static str,
    de: &'static str,
    en: &'static str,
) -> Known {
    Known {
        keyword,
        severity,
        de,
        en,
    }
}

use Severity::{Attention, Blocks, Silent};

static KNOWN: &[Known] = &[
    known(
        Blocks,
        "media-empty",
        "Kein Papier. Papier nachlegen.",
        "Out of paper. Load paper.",
    ),
    known(
        Blocks,
        "media-needed",
        "Das verlangte Papier liegt nicht im Fach. Richtiges Papier einlegen.",
        "The paper asked for is not in the tray. Load the right paper.",
    ),
    known(
        Blocks,
        "media-jam",
        "Papierstau. Klappen öffnen und das Papier entfernen.",
        "Paper jam. Open the covers and remove the paper.",
    ),
    known(
        Blocks,
        "cover-open",
        "Eine Abdeckung ist offen. Abdeckung schließen.",
        "A cover is open. Close it.",
    ),
    known(
        Blocks,
        "door-open",
        "Eine Klappe ist offen. Klappe schließen.",
        "A door is open. Close it.",
    ),
    known(
        Blocks,
        "interlock-open",
        "Eine Sicherheitsklappe ist offen. Klappe schließen.",
        "A safety cover is open. Close it.",
    ),
    known(
        Blocks,
        "input-tray-missing",
        "Das Papierfach fehlt. Fach einschieben.",
        "The paper tray is missing. Insert it.",
    ),
    known(
        Blocks,
        "output-tray-missing",
        "Das Ausgabefach fehlt. Fach einsetzen.",
        "The output tray is missing. Insert it.",
    ),
    known(
        Blocks,
        "output-area-full",
        "Das Ausgabefach ist voll. Blätter entnehmen.",
        "The output tray is full. Take the sheets out.",
    ),
    known(
        Attention,
        "output-area-almost-full",
        "Das Ausgabefach ist fast voll. Blätter entnehmen.",
        "The output tray is almost full. Take the sheets out.",
    ),
    known(
        Blocks,
        "marker-supply-empty",
        "Toner oder Tinte ist leer. Patrone wechseln.",
        "Toner or ink is empty. Replace the cartridge.",
    ),
    known(
        Blocks,
        "toner-empty",
        "Der Toner ist leer. Kartusche wechseln.",
        "The toner is empty. Replace the cartridge.",
    ),
    known(
        Attention,
        "marker-supply-low",
        "Toner oder Tinte geht zur Neige. Ersatz bereitlegen.",
        "Toner or ink runs low. Have a replacement ready.",
    ),
    known(
        Attention,
        "toner-low",
        "Der Toner geht zur Neige. Ersatz bereitlegen.",
        "The toner runs low. Have a replacement ready.",
    ),
    known(
        Blocks,
        "marker-waste-full",
        "Der Resttonerbehälter ist voll. Behälter wechseln.",
        "The waste container is full. Replace it.",
    ),
    known(
        Attention,
        "marker-waste-almost-full",
        "Der Resttonerbehälter ist fast voll. Ersatz bereitlegen.",
        "The waste container is almost full. Have a replacement ready.",
    ),
    known(
        Attention,
        "media-low",
        "Wenig Papier. Papier nachlegen.",
        "Paper runs low. Load paper.",
    ),
    known(
        Blocks,
        "developer-empty",
        "Der Entwickler ist leer. Technik rufen.",
        "The developer is empty. Call your technician.",
    ),
    known(
        Attention,
        "developer-low",
        "Der Entwickler geht zur Neige. Technik verständigen.",
        "The developer runs low. Tell your technician.",
    ),
    known(
        Blocks,
        "opc-life-over",
        "Die Bildtrommel ist verbraucht. Trommel wechseln.",
        "The drum is used up. Replace it.",
    ),
    known(
        Attention,
        "opc-near-eol",
        "Die Bildtrommel ist bald verbraucht. Ersatz bereitlegen.",
        "The drum is nearly used up. Have a replacement ready.",
    ),
    known(
        Blocks,
        "fuser-over-temp",
        "Die Fixiereinheit ist zu heiß. Warten; kommt es wieder, Technik rufen.",
        "The fuser is too hot. Wait; if it comes back, call your technician.",
    ),
    known(
        Attention,
        "fuser-under-temp",
        "Der Drucker wärmt auf. Kurz warten.",
        "The printer warms up. Wait a moment.",
    ),
    known(
        Blocks,
        "paused",
        "Der Drucker ist angehalten. Am Drucker fortsetzen.",
        "The printer is paused. Resume it at its panel.",
    ),
    known(
        Attention,
        "moving-to-paused",
        "Der Drucker hält gerade an. Am Drucker fortsetzen.",
        "The printer is about to pause. Resume it at its panel.",
    ),
    known(
        Blocks,
        "shutdown",
        "Der Drucker ist ausgeschaltet oder schläft. Drucker einschalten.",
        "The printer is off or asleep. Switch it on.",
    ),
    known(
        Blocks,
        "offline",
        "Der Drucker ist offline. Am Drucker auf „online“ schalten.",
        "The printer is offline. Set it online at its panel.",
    ),
    known(
        Blocks,
        "stopped",
        "Der Drucker steht und meldet keinen Grund. Anzeige am Drucker ansehen.",
        "The printer has stopped and does not say why. Look at its panel.",
    ),
    known(
        Attention,
        "stopped-partly",
        "Ein Teil des Druckers steht. Anzeige am Drucker ansehen.",
        "A part of the printer has stopped. Look at its panel.",
    ),
    known(
        Blocks,
        "not-accepting-jobs",
        "Der Drucker nimmt keine Aufträge an. Einstellung am Drucker prüfen.",
        "The printer takes no jobs. Check its settings.",
    ),
    known(
        Blocks,
        "hold-new-jobs",
        "Der Drucker hält neue Aufträge zurück. Einstellung am Drucker prüfen.",
        "The printer holds new jobs back. Check its settings.",
    ),
    known(
        Attention,
        "spool-area-full",
        "Der Speicher des Druckers ist voll. Warten, bis andere Aufträge fertig sind.",
        "The printer's memory is full. Wait for other jobs to finish.",
    ),
    known(
        Attention,
        "interpreter-resource-unavailable",
        "Dem Drucker fehlt etwas für dieses Dokument. Technik verständigen.",
        "The printer lacks something for this document. Tell your technician.",
    ),
    known(
        Attention,
        "timed-out",
        "Der Drucker wartet auf sein Druckwerk. Anzeige am Drucker ansehen.",
        "The printer waits for its engine. Look at its panel.",
    ),
    known(
        Attention,
        "other",
        "Der Drucker meldet einen Hinweis. Anzeige am Drucker ansehen.",
        "The printer shows a message. Look at its panel.",
    ),
    known(
        Blocks,
        "deactivated",
        "Der Drucker ist für Aufträge abgeschaltet. Am Drucker einschalten.",
        "The printer is switched off for jobs. Switch it on at its panel.",
    ),
    known(
        Attention,
        PRINT_QUEUE,
        "Unter der Adresse antwortet eine CUPS-Warteschlange, kein Drucker: Ihre Fertigmeldung \
         beweist keinen Ausdruck. Adresse des Druckers selbst eintragen.",
        "A CUPS queue answers at the address, not a printer: its \"completed\" proves no print. \
         Enter the address of the printer itself.",
    ),
    // It wakes up by itself when there is something to print.
    known(Silent, "power-saver", "", ""),
    known(Silent, "power-save", "", ""),
    known(Silent, "power-saver-mode", "", ""),
    known(Silent, "sleep-mode", "", ""),
    known(Silent, "sleep", "", ""),
    known(Silent, "deep-sleep", "", ""),
    known(Silent, "suspend", "", ""),
    known(Silent, "standby", "", ""),
    known(Silent, "hibernate", "", ""),
    known(Silent, "resuming", "", ""),
    known(Silent, "waking-up", "", ""),
    known(Silent, "warming-up", "", ""),
    known(Silent, "connecting-to-device", "", ""),
    known(Silent, "identify-printer-requested", "", ""),
];

/// A print server answers in the printer's place.
const PRINT_QUEUE: &str = "print-queue";

/// What the mood of a print queue means: that it is one needs attention, too.
pub(super) fn judge_of(mood: &Mood, is_queue: bool) -> Judged {
    let mut judged = judge(mood);
    if is_queue {
        let known = KNOWN.iter().find(|known| known.keyword == PRINT_QUEUE);
        judged.reasons.push(reason(PRINT_QUEUE, known));
    }
    judged
}

/// What the printer's mood means.
fn judge(mood: &Mood) -> Judged {
    let mut found: Vec<(Severity, Reason)> = Vec::new();
    let mut note = |severity: Severity, reason: Reason| match found
        .iter_mut()
        .find(|(_, r)| r.keyword == reason.keyword)
    {
        Some((known, _)) => *known = severity.max(*known),
        None => found.push((severity, reason)),
    };
    for raw in &mood.reasons {
        let (keyword, said) = split(raw);
        let known = KNOWN.iter().find(|known| known.keyword == keyword);
        let preset = known.map_or(Attention, |known| known.severity);
        if preset == Silent {
            continue;
        }
        let severity = match said {
            // Printers call it mild while nothing is to be printed: the trays say how bad it is.
            Some(_) if keyword == "media-empty" && mood.trays_empty => Blocks,
            said => said.unwrap_or(preset),
        };
        note(severity, reason(keyword, known));
    }
    let named = |keyword: &str| KNOWN.iter().find(|known| known.keyword == keyword);
    if !mood.accepting {
        note(
            Blocks,
            reason("not-accepting-jobs", named("not-accepting-jobs")),
        );
    }
    if mood.state == PrinterState::Stopped && found.iter().all(|(s, _)| *s < Blocks) {
        match found.first_mut() {
            // It stands, so what it reports is what it stands for, however mild it calls that.
            Some((severity, _)) => *severity = Blocks,
            None => found.push((Blocks, reason("stopped", named("stopped")))),
        }
    }
    found.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    Judged {
        blocked: found.first().is_some_and(|(worst, _)| *worst == Blocks),
        reasons: found.into_iter().map(|(_, reason)| reason).collect(),
    }
}

/// A keyword and the severity that the printer gave it.
fn split(raw: &str) -> (&str, Option<Severity>) {
    for (suffix, severity) in [
        ("-error", Blocks),
        ("-warning", Attention),
        ("-report", Attention),
    ] {
        if let Some(keyword) = raw.strip_suffix(suffix) {
            return (keyword, Some(severity));
        }
    }
    (raw, None)
}

fn reason(keyword: &str, known: Option<&Known>) -> Reason {
    let Text { de, en } = match known {
        Some(known) => Text::new(known.de, known.en),
        None => Text::new(
            format!("Der Drucker meldet „{keyword}“. Anzeige am Drucker ansehen."),
            format!("The printer reports \"{keyword}\". Look at its panel."),
        ),
    };
    Reason::new(keyword, de, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mood(reasons: &[&str]) -> Mood {
        Mood {
            state: PrinterState::Idle,
            accepting: true,
            reasons: reasons.iter().map(|r| (*r).to_owned()).collect(),
            trays_empty: false,
            up: None,
        }
    }

    #[test]
    fn what_stops_the_paper_blocks_and_the_rest_asks_for_attention() {
        for (reasons, keywords, blocked) in [
            (&[][..], &[][..], false),
            (&["media-empty-error"], &["media-empty"], true),
            (&["media-empty"], &["media-empty"], true),
            // One of two trays.
            (&["media-empty-report"], &["media-empty"], false),
            (
                &["toner-low-warning", "cover-open"],
                &["cover-open", "toner-low"],
                true,
            ),
            (&["com.example-odd-error"], &["com.example-odd"], true),
            (&["com.example-odd"], &["com.example-odd"], false),
            (&["connecting-to-device"], &[], false),
            (&["power-saver", "sleep-mode-report"], &[], false),
            (&["suspend", "resuming"], &[], false),
            (
                &["media-empty-report", "media-empty-error"],
                &["media-empty"],
                true,
            ),
        ] {
            let judged = judge(&mood(reasons));
            assert_eq!(judged.keywords(), keywords, "{reasons:?}");
            assert_eq!(judged.blocked, blocked, "{reasons:?}");
        }
    }

    #[test]
    fn a_stopped_printer_blocks_whatever_it_says() {
        for (reasons, keyword) in [(&[][..], "stopped"), (&["media-low-report"], "media-low")] {
            let judged = judge(&Mood {
                state: PrinterState::Stopped,
                ..mood(reasons)
            });
            assert_eq!(judged.keywords(), [keyword]);
            assert!(judged.blocked);
        }
        let judged = judge(&Mood {
            accepting: false,
            ..mood(&[])
        });
        assert_eq!(judged.keywords(), ["not-accepting-jobs"]);
        assert!(judged.blocked);
    }

    #[test]
    fn a_printer_without_paper_in_any_tray_blocks_however_mild_it_calls_that() {
        let judged = judge(&Mood {
            trays_empty: true,
            ..mood(&["media-empty-report"])
        });
        assert!(judged.blocked);
        let judged = judge(&Mood {
            trays_empty: true,
            ..mood(&["media-low-report"])
        });
        assert!(!judged.blocked);
    }

    #[test]
    fn a_print_queue_is_warned_of_and_prints_all_the_same() {
        let judged = judge_of(&mood(&[]), true);
        assert_eq!(judged.keywords(), ["print-queue"]);
        assert!(!judged.blocked);
    }

    #[test]
    fn every_sentence_is_one_in_both_languages() {
        for known in KNOWN.iter().filter(|known| known.severity > Silent) {
            for text in [known.de, known.en] {
                assert!(text.ends_with('.') && text.len() > 10, "{}", known.keyword);
            }
        }
    }
}
