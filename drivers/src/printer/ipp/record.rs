//! What a print leaves in the call's record, and what a crash leaves of that. Ids, digests and
//! sizes; nothing of the document.

use koffer_proto::class::document_printer::{Document, Sides};

use super::{
    epoch::Boot,
    identity::Shown,
    job::Delivery,
    standing::{self, Trouble},
};
use crate::{Evidence, Interrupted, Stop};

/// Before Create-Job.
const BASELINE: &str = "baseline";
/// The printer made a job; it has no document yet.
const CREATED: &str = "created";
/// The printer said what it makes of the document.
const DELIVERED: &str = "delivered";
/// The call is to end: from here on the printer is asked to cancel.
const STOPPING: &str = "stopping";

/// The printer cannot print the document: from here on it is asked to cancel.
const HOPELESS: &str = "hopeless";

/// The printer shows the job otherwise than it was named.
const SHOWN: &str = "shown";

/// What is known of a print before the document is on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intent<'a> {
    pub(super) printer_uuid: Option<&'a str>,
    pub(super) boot: Option<Boot>,
    pub(super) job_name: &'a str,
    pub(super) user: &'a str,
    pub(super) sides: Sides,
    pub(super) document: &'a Document,
}

impl Intent<'_> {
    pub(super) fn baseline(&self) -> Evidence {
        self.evidence(BASELINE, None)
    }

    pub(super) fn created(&self, job: i32) -> Evidence {
        self.evidence(CREATED, Some(job))
    }

    fn evidence(&self, step: &'static str, job: Option<i32>) -> Evidence {
        let boot = self.boot.map(|boot| boot.unix_seconds().to_string());
        let facts = [
            ("printer-uuid", self.printer_uuid.map(str::to_owned)),
            ("printer-boot", boot),
            ("job-name", Some(self.job_name.to_owned())),
            ("user", Some(self.user.to_owned())),
            ("job-id", job.map(|job| job.to_string())),
            ("sides", Some(self.sides.as_str().to_owned())),
            ("sha256", Some(self.document.sha256.to_string())),
        ];
        let facts = facts.into_iter();
        Evidence::new(step, facts.filter_map(|(key, value)| Some((key, value?)))).identified_by(&[
            "printer-uuid",
            "job-name",
            "user",
            "sha256",
        ])
    }
}

/// What the printer said of the document; `None` where it said nothing.
pub(super) fn delivered(delivery: Delivery) -> Option<Evidence> {
    let said = match delivery {
        Delivery::Accepted => "accepted",
        Delivery::Refused => "refused",
        Delivery::InDoubt => return None,
    };
    Some(Evidence::new(DELIVERED, [("document", said.to_owned())]))
}

/// Why the call is to end.
pub(super) fn stopping(stop: Stop) -> Evidence {
    let why = match stop {
        Stop::Cancelled => "cancelled",
        Stop::Deadline => "deadline",
        Stop::Shutdown => "shutdown",
    };
    Evidence::new(STOPPING, [("why", why.to_owned())])
}

/// What the printer made of the job's name and user. A form of ours is a name, any other a text
/// that the printer wrote.
pub(super) fn shown(shown: &Shown, is_ours: bool) -> Evidence {
    let facts = [("name", shown.name.clone()), ("user", shown.user.clone())];
    let facts = facts.into_iter();
    let said = Evidence::new(SHOWN, facts.filter_map(|(key, value)| Some((key, value?))));
    said.identified_by(if is_ours { &["name", "user"] } else { &[] })
}

/// The job stands over its document.
pub(super) fn hopeless(trouble: Trouble) -> Evidence {
    Evidence::new(HOPELESS, [("reason", trouble.keyword.to_owned())])
}

/// What a record holds of an interrupted print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) printer_uuid: Option<String>,
    /// Since when the printer was up, in seconds since 1970.
    pub(super) boot: Option<i64>,
    pub(super) user: Option<String>,
    pub(super) job_name: Option<String>,
    /// What the printer made of name and user.
    pub(super) shown: Option<Shown>,
    /// `None`: no document was ever sent.
    pub(super) job: Option<i32>,
    pub(super) sides: Sides,
    pub(super) delivery: Delivery,
    pub(super) stop: Option<Stop>,
    pub(super) trouble: Option<Trouble>,
}

impl Kept {
    /// Reads a record, whatever stands in it.
    pub(super) fn read(interrupted: &Interrupted) -> Self {
        let last = |step| {
            let milestones = interrupted.milestones.iter();
            milestones.rev().find(|milestone| milestone.step == step)
        };
        let created = last(CREATED);
        let fact = |name| {
            let known = created.or(interrupted.baseline.as_ref());
            known.and_then(|known| known.fact(name))
        };
        let owned = |name| fact(name).map(str::to_owned);
        let sides = [
            Sides::OneSided,
            Sides::TwoSidedLongEdge,
            Sides::TwoSidedShortEdge,
        ];
        Self {
            printer_uuid: owned("printer-uuid"),
            boot: fact("printer-boot").and_then(|boot| boot.parse().ok()),
            user: owned("user"),
            job_name: owned("job-name"),
            shown: last(SHOWN).map(|shown| Shown {
                name: shown.fact("name").map(str::to_owned),
                user: shown.fact("user").map(str::to_owned),
            }),
            job: created
                .and_then(|created| created.fact("job-id"))
                .and_then(|job| job.parse().ok()),
            sides: sides
                .into_iter()
                .find(|sides| Some(sides.as_str()) == fact("sides"))
                .unwrap_or_default(),
            delivery: match last(DELIVERED).and_then(|said| said.fact("document")) {
                Some("accepted") => Delivery::Accepted,
                Some("refused") => Delivery::Refused,
                _ => Delivery::InDoubt,
            },
            stop: match last(STOPPING).and_then(|said| said.fact("why")) {
                Some("cancelled") => Some(Stop::Cancelled),
                Some("deadline") => Some(Stop::Deadline),
                Some("shutdown") => Some(Stop::Shutdown),
                _ => None,
            },
            trouble: last(HOPELESS)
                .and_then(|said| said.fact("reason"))
                .and_then(standing::trouble_named),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use koffer_proto::{Blob, Lang, Request, class::document_printer as printer};
    use tokio::time::Instant;

    use super::*;

    fn interrupted(baseline: Option<Evidence>, milestones: Vec<Evidence>) -> Interrupted {
        let request = Request::DocumentPrinter(printer::Request::Status(printer::StatusParams {}));
        Interrupted {
            id: "a".parse().unwrap(),
            client: "ws-1".parse().unwrap(),
            lang: Lang::De,
            operation: request.spec(),
            accepted_at: Timestamp::UNIX_EPOCH,
            baseline,
            milestones,
            known_for: Duration::ZERO,
        }
    }

    #[test]
    fn what_was_kept_is_read_again_as_far_as_it_goes() {
        let content = Blob::from(b"%PDF".to_vec());
        let document = Document {
            format: printer::DocumentFormat::Pdf,
            sha256: content.sha256(),
            content,
        };
        let now = Instant::now();
        let boot = Boot::new(600, now, now);
        let intent = Intent {
            printer_uuid: Some("urn:uuid:1"),
            boot: Some(boot),
            job_name: "koffer/ws-1/a",
            user: "koffer",
            sides: Sides::TwoSidedLongEdge,
            document: &document,
        };
        let mut record = interrupted(Some(intent.baseline()), Vec::new());
        let kept = Kept::read(&record);
        assert_eq!(
            (kept.job, kept.delivery, kept.stop),
            (None, Delivery::InDoubt, None)
        );

        record.milestones.push(intent.created(7));
        let kept = Kept::read(&record);
        assert_eq!((kept.job, kept.delivery), (Some(7), Delivery::InDoubt));
        assert_eq!(kept.printer_uuid.as_deref(), Some("urn:uuid:1"));
        assert_eq!(kept.job_name.as_deref(), Some("koffer/ws-1/a"));
        assert_eq!(kept.user.as_deref(), Some("koffer"));
        assert_eq!(kept.sides, Sides::TwoSidedLongEdge);
        assert!(boot.is_as_kept(kept.boot.unwrap(), Duration::ZERO));

        for delivery in [Delivery::Accepted, Delivery::Refused] {
            let mut record = record.clone();
            record.milestones.extend(delivered(delivery));
            assert_eq!(Kept::read(&record).delivery, delivery);
        }
        for stop in [Stop::Cancelled, Stop::Deadline, Stop::Shutdown] {
            let mut record = record.clone();
            record.milestones.push(stopping(stop));
            assert_eq!(Kept::read(&record).stop, Some(stop));
        }
        let shown = Shown {
            name: Some("Print".to_owned()),
            user: None,
        };
        for is_ours in [true, false] {
            let said = self::shown(&shown, is_ours);
            assert_eq!(said.ids.contains_key("name"), is_ours);
            record.milestones.push(said);
            assert_eq!(Kept::read(&record).shown.as_ref(), Some(&shown));
        }
        let trouble = standing::trouble_named("document-format-error").unwrap();
        record.milestones.push(hopeless(trouble));
        assert_eq!(Kept::read(&record).trouble, Some(trouble));
    }

    #[test]
    fn a_record_that_makes_no_sense_claims_nothing() {
        let strange = [
            Evidence::new(CREATED, [("job-id", "seven".to_owned())]),
            Evidence::new(DELIVERED, [("document", "perhaps".to_owned())]),
            Evidence::new(STOPPING, []),
            Evidence::new("another", [("job-id", "1".to_owned())]),
        ];
        for record in [
            interrupted(None, Vec::new()),
            interrupted(None, strange.to_vec()),
        ] {
            let kept = Kept::read(&record);
            let nothing = (None, None, Delivery::InDoubt, None);
            assert_eq!(
                (kept.job, kept.boot, kept.delivery, kept.stop),
                nothing,
                "{record:?}"
            );
        }
    }
}
