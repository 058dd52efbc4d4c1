//! What `job-state-reasons` say of a job that stands still, or of its document (RFC 8011, 5.3.8;
//! PWG 5100.7, 5100.11, 5100.13).

use koffer_proto::{Reason, Text, class::document_printer::JobState};

use super::snapshot::JobView;

/// What is wrong with a document. Nobody can mend that at the printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The printer's keyword.
    pub(super) keyword: &'static str,
    /// Whether the keyword itself says that the document cannot be printed, rather than that it
    /// went wrong somewhere in it.
    pub(super) prints_nothing: bool,
    de: &'static str,
    en: &'static str,
}

impl Trouble {
    /// What happened, in both languages.
    pub(super) fn text(self) -> Text {
        Text::new(
            format!("{} ({}).", self.de, self.keyword),
            format!("{} ({}).", self.en, self.keyword),
        )
    }
}

const fn trouble_of(
    prints_nothing: bool,
    keyword: &'static str,
    de: &'static str,
    en: &'static str,
) -> Trouble {
    Trouble {
        keyword,
        prints_nothing,
        de,
        en,
    }
}

static TROUBLES: &[Trouble] = &[
    trouble_of(
        true,
        "document-unprintable-error",
        "Der Drucker kann dieses Dokument nicht drucken",
        "The printer cannot print this document",
    ),
    trouble_of(
        true,
        "unsupported-document-format",
        "Der Drucker kann das Format dieses Dokuments nicht drucken",
        "The printer cannot print the format of this document",
    ),
    trouble_of(
        true,
        "document-password-error",
        "Das Dokument ist mit einem Kennwort geschützt, der Drucker kann es nicht öffnen",
        "The document is protected by a password; the printer cannot open it",
    ),
    trouble_of(
        true,
        "document-permission-error",
        "Das Dokument lässt sich nicht drucken: Sein Ersteller hat das Drucken gesperrt",
        "The document does not allow printing",
    ),
    trouble_of(
        true,
        "document-security-error",
        "Der Drucker druckt dieses Dokument aus Sicherheitsgründen nicht",
        "The printer does not print this document for reasons of security",
    ),
    trouble_of(
        true,
        "document-access-error",
        "Der Drucker kann das Dokument nicht öffnen",
        "The printer cannot open the document",
    ),
    trouble_of(
        true,
        "unsupported-compression",
        "Der Drucker kann das Dokument nicht entpacken",
        "The printer cannot decompress the document",
    ),
    trouble_of(
        false,
        "document-format-error",
        "Der Drucker kann das Dokument nicht lesen",
        "The printer cannot read the document",
    ),
    trouble_of(
        false,
        "compression-error",
        "Der Drucker kann das Dokument nicht entpacken",
        "The printer cannot decompress the document",
    ),
];

/// Reasons of a job that somebody cancelled.
pub(super) static CANCELLED: &[&str] = &[
    "job-canceled-by-user",
    "job-canceled-by-operator",
    "job-canceled-at-device",
    "job-canceled-after-timeout",
];

/// Reasons of a job that the printer gave up.
pub(super) static GIVEN_UP: &[&str] = &[
    "aborted-by-system",
    "submission-interrupted",
    "job-aborted-by-system",
];

/// What a job waits for: keyword, German, English.
static WAITS: &[(&str, &str, &str)] = &[
    (
        "job-password-wait",
        "Der Drucker hält den Auftrag zurück, bis am Drucker eine PIN eingegeben wird. \
         Am Drucker freigeben oder abbrechen.",
        "The printer holds the job until a PIN is entered at its panel. Release or cancel it \
         there.",
    ),
    (
        "job-release-wait",
        "Der Drucker hält den Auftrag zurück, bis er am Drucker freigegeben wird.",
        "The printer holds the job until it is released at its panel.",
    ),
    (
        "job-hold-until-specified",
        "Der Drucker hält den Auftrag zurück. Am Drucker freigeben.",
        "The printer holds the job. Release it at its panel.",
    ),
    (
        "job-held-for-review",
        "Der Drucker hält den Auftrag zurück, bis ihn jemand prüft. Am Drucker freigeben.",
        "The printer holds the job for review. Release it at its panel.",
    ),
    (
        "job-held-by-service",
        "Der Drucker hält den Auftrag zurück. Am Drucker freigeben.",
        "The printer holds the job. Release it at its panel.",
    ),
    (
        "job-delay-output-until-specified",
        "Der Drucker gibt den Auftrag erst später aus. Einstellung am Drucker prüfen.",
        "The printer delays the output of the job. Check its settings.",
    ),
    (
        "job-stopped",
        "Der Auftrag steht am Drucker. Anzeige am Drucker ansehen.",
        "The job has stopped at the printer. Look at its panel.",
    ),
    (
        "job-suspended",
        "Der Auftrag ist am Drucker angehalten. Am Drucker fortsetzen.",
        "The job is suspended at the printer. Resume it at its panel.",
    ),
    (
        "resources-are-not-ready",
        "Dem Drucker fehlt etwas für diesen Auftrag, vielleicht das richtige Papier. Anzeige am \
         Drucker ansehen.",
        "The printer lacks something for this job, perhaps the right paper. Look at its panel.",
    ),
    (
        "waiting-for-user-action",
        "Der Drucker wartet auf eine Eingabe. Anzeige am Drucker ansehen.",
        "The printer waits for somebody. Look at its panel.",
    ),
    (
        "printer-stopped",
        "Der Drucker steht. Anzeige am Drucker ansehen.",
        "The printer has stopped. Look at its panel.",
    ),
    (
        "service-off-line",
        "Der Drucker ist offline. Am Drucker auf „online“ schalten.",
        "The printer is offline. Set it online at its panel.",
    ),
    (
        "account-info-needed",
        "Der Drucker verlangt ein Konto für diesen Auftrag. Technik verständigen.",
        "The printer wants an account for this job. Tell your technician.",
    ),
    (
        "account-limit-reached",
        "Das Kontingent am Drucker ist aufgebraucht. Technik verständigen.",
        "The quota at the printer is used up. Tell your technician.",
    ),
    (
        "account-closed",
        "Das Konto am Drucker ist gesperrt. Technik verständigen.",
        "The account at the printer is closed. Tell your technician.",
    ),
    (
        "account-authorization-failed",
        "Der Drucker erlaubt diesen Auftrag nicht. Technik verständigen.",
        "The printer does not allow this job. Tell your technician.",
    ),
];

/// What is wrong with a job's document, as the printer says.
pub(super) fn trouble(job: &JobView) -> Option<Trouble> {
    let said = TROUBLES.iter().find(|t| job.has_reason(t.keyword));
    said.copied()
}

/// What is wrong with a document, by the printer's keyword for it.
pub(super) fn trouble_named(keyword: &str) -> Option<Trouble> {
    TROUBLES.iter().find(|t| t.keyword == keyword).copied()
}

/// Why a job that is not over stands still; empty when it does not, or does not say.
pub(super) fn reasons(job: &JobView) -> Vec<Reason> {
    if job.is_over() {
        return Vec::new();
    }
    let mut found: Vec<_> = trouble(job)
        .into_iter()
        .map(|trouble| {
            let Text { de, en } = trouble.text();
            Reason::new(trouble.keyword, de, en)
        })
        .collect();
    let waits = WAITS.iter().filter(|(keyword, ..)| job.has_reason(keyword));
    found.extend(waits.map(|(keyword, de, en)| Reason::new(keyword, *de, *en)));
    if found.is_empty() && job.documents != Some(0) && !job.lacks_its_document() {
        let unsaid = match job.state {
            JobState::PendingHeld => Some("job-hold-until-specified"),
            JobState::ProcessingStopped => Some("job-stopped"),
            _ => None,
        };
        let unsaid = WAITS.iter().find(|(keyword, ..)| Some(*keyword) == unsaid);
        found.extend(unsaid.map(|(keyword, de, en)| Reason::new(keyword, *de, *en)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState, reasons: &[&str]) -> JobView {
        JobView {
            state,
            reasons: reasons.iter().map(|r| (*r).to_owned()).collect(),
            ..JobView::of(1)
        }
    }

    #[test]
    fn a_job_that_stands_says_why() {
        for (state, said, told) in [
            (JobState::Pending, &[][..], &[][..]),
            (JobState::Processing, &["job-printing"], &[]),
            (
                JobState::PendingHeld,
                &["job-password-wait"],
                &["job-password-wait"],
            ),
            (JobState::PendingHeld, &[], &["job-hold-until-specified"]),
            (JobState::PendingHeld, &["job-incoming"], &[]),
            (JobState::ProcessingStopped, &["x-odd"], &["job-stopped"]),
            (
                JobState::Processing,
                &["document-format-error"],
                &["document-format-error"],
            ),
            (JobState::Aborted, &["document-format-error"], &[]),
        ] {
            let reasons = reasons(&job(state, said));
            let keywords: Vec<_> = reasons.iter().map(|r| r.keyword.as_str()).collect();
            assert_eq!(keywords, told, "{state:?} {said:?}");
        }
    }

    #[test]
    fn every_sentence_is_one_in_both_languages() {
        let waits = WAITS.iter().flat_map(|(_, de, en)| [*de, *en]);
        for text in waits {
            assert!(text.ends_with('.') && text.len() > 10, "{text}");
        }
    }
}
