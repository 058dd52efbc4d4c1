//! What a printer and a job look like at one moment.

use koffer_proto::{
    Identity,
    class::document_printer::{JobState, PrinterState, Sides, Supply},
};

use super::wire::Attributes;

/// What is asked of a printer when contact is made.
pub(super) const WHOLE_PRINTER: &[&str] = &[
    "printer-make-and-model",
    "printer-device-id",
    "printer-uuid",
    "printer-firmware-string-version",
    "printer-firmware-name",
    "printer-state",
    "printer-state-reasons",
    "printer-is-accepting-jobs",
    "printer-up-time",
    "printer-input-tray",
    "document-format-supported",
    "media-supported",
    "media-ready",
    "sides-supported",
    "copies-supported",
    "color-supported",
    "print-color-mode-supported",
    "operations-supported",
    "marker-names",
    "marker-levels",
    "printer-supply",
    "printer-supply-description",
    "cups-version",
];

/// What is asked of a printer while it prints or rests.
pub(super) const MOOD: &[&str] = &[
    "printer-state",
    "printer-state-reasons",
    "printer-is-accepting-jobs",
    "printer-up-time",
    "printer-input-tray",
];

/// What is asked of a job.
pub(super) const JOB: &[&str] = &[
    "job-id",
    "job-name",
    "job-originating-user-name",
    "job-state",
    "job-state-reasons",
    "job-impressions",
    "job-impressions-completed",
    "job-media-sheets-completed",
    "time-at-processing",
    "number-of-documents",
];

/// How a printer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mood {
    pub(super) state: PrinterState,
    pub(super) accepting: bool,
    /// `printer-state-reasons` as they came, without `none`.
    pub(super) reasons: Vec<String>,
    /// Whether every tray whose filling is known has none.
    pub(super) trays_empty: bool,
    /// Seconds since it restarted.
    pub(super) up: Option<u32>,
}

impl Mood {
    pub(super) fn read(printer: Attributes<'_>) -> Self {
        let mut reasons = printer.texts("printer-state-reasons");
        reasons.retain(|reason| reason != "none");
        Self {
            state: match printer.int("printer-state") {
                Some(4) => PrinterState::Processing,
                Some(5) => PrinterState::Stopped,
                _ => PrinterState::Idle,
            },
            accepting: printer.flag("printer-is-accepting-jobs").unwrap_or(true),
            reasons,
            trays_empty: are_empty(&printer.octets("printer-input-tray")),
            up: printer.count("printer-up-time"),
        }
    }
}

/// What a printer is and can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Printer {
    pub(super) identity: Identity,
    pub(super) uuid: Option<String>,
    pub(super) mood: Mood,
    pub(super) formats: Vec<String>,
    pub(super) media: Vec<String>,
    pub(super) media_ready: Vec<String>,
    pub(super) sides: Vec<String>,
    pub(super) copies_max: Option<u32>,
    pub(super) colour: bool,
    pub(super) colour_modes: Vec<String>,
    pub(super) operations: Vec<i32>,
    pub(super) supplies: Vec<Supply>,
    /// Whether a print server answers in the printer's place.
    pub(super) is_queue: bool,
}

/// CUPS-Get-Printers: an operation that only a CUPS server has.
const CUPS_GET_PRINTERS: i32 = 0x4002;

impl Printer {
    pub(super) fn read(printer: Attributes<'_>) -> Self {
        Self {
            identity: identity(printer),
            uuid: printer.text("printer-uuid"),
            mood: Mood::read(printer),
            formats: printer.texts("document-format-supported"),
            media: printer.texts("media-supported"),
            media_ready: printer.texts("media-ready"),
            sides: printer.texts("sides-supported"),
            copies_max: printer.highest("copies-supported"),
            colour: printer.flag("color-supported").unwrap_or(false),
            colour_modes: printer.texts("print-color-mode-supported"),
            is_queue: printer.text("cups-version").is_some()
                || printer
                    .ints("operations-supported")
                    .contains(&CUPS_GET_PRINTERS),
            operations: printer.ints("operations-supported"),
            supplies: supplies(printer),
        }
    }
}

/// A value of `printer-input-tray` or `printer-supply` (PWG 5100.13, 5.6.5 and 5.6.26):
/// `type=…;maxcapacity=…;level=…;name=…;`.
#[derive(Clone, Copy)]
struct Filled<'a>(&'a str);

impl<'a> Filled<'a> {
    fn field(self, key: &str) -> Option<&'a str> {
        let fields = self.0.split(';').filter_map(|field| field.split_once('='));
        let mut named = fields.filter(|(name, _)| name.trim() == key);
        named.next().map(|(_, value)| value.trim())
    }

    /// Below zero it says that it is not known, or that there is some.
    fn level(self) -> Option<i32> {
        self.field("level")?.parse().ok()
    }

    fn percent(self) -> Option<u8> {
        let most: u32 = self.field("maxcapacity")?.parse().ok()?;
        let level = u32::try_from(self.level()?).ok()?;
        let percent = level.checked_mul(100)?.checked_div(most)?;
        u8::try_from(percent).ok().filter(|percent| *percent <= 100)
    }

    fn is_fed_by_hand(self) -> bool {
        self.field("type")
            .is_some_and(|kind| kind.contains("Manual"))
    }
}

fn are_empty(trays: &[String]) -> bool {
    const SOME: i32 = -3;
    let levels = trays.iter().filter_map(|tray| {
        let tray = Filled(tray);
        let level = tray.level()?;
        (!tray.is_fed_by_hand() && (level >= 0 || level == SOME)).then_some(level)
    });
    let levels: Vec<_> = levels.collect();
    !levels.is_empty() && levels.iter().all(|level| *level == 0)
}

fn identity(printer: Attributes<'_>) -> Identity {
    // IEEE 1284 device id: `MFG:…;MDL:…;SN:…;`.
    let device_id = printer.text("printer-device-id").unwrap_or_default();
    let field = |keys: [&str; 2]| {
        device_id
            .split(';')
            .filter_map(|field| field.split_once(':'))
            .find(|(key, value)| keys.contains(&key.trim()) && !value.trim().is_empty())
            .map(|(_, value)| value.trim().to_owned())
    };
    let model = printer.text("printer-make-and-model");
    Identity {
        vendor: field(["MFG", "MANUFACTURER"]),
        model: model.or_else(|| field(["MDL", "MODEL"])),
        serial: field(["SN", "SERN"]).or_else(|| printer.text("printer-uuid")),
        firmware: printer
            .text("printer-firmware-string-version")
            .or_else(|| printer.text("printer-firmware-name")),
    }
}

/// Toner and ink as `marker-names` or else `printer-supply` has them, then paper by tray.
fn supplies(printer: Attributes<'_>) -> Vec<Supply> {
    let levels = printer.ints("marker-levels");
    let markers = printer.texts("marker-names");
    let mut supplies: Vec<_> = (markers.into_iter().enumerate())
        .map(|(at, name)| Supply {
            name,
            percent: levels
                .get(at)
                .and_then(|level| u8::try_from(*level).ok())
                .filter(|percent| *percent <= 100),
        })
        .collect();
    if supplies.is_empty() {
        let names = printer.texts("printer-supply-description");
        supplies = filled(&printer.octets("printer-supply"), &names);
    }
    let trays = printer.octets("printer-input-tray");
    supplies.extend(filled(&trays, &[]));
    supplies
}

/// What is filled, by its name, the description at the same place, or its type. Where sheets are
/// fed by hand nothing runs out.
fn filled(values: &[String], descriptions: &[String]) -> Vec<Supply> {
    let values = values.iter().enumerate();
    let supplies = values.filter_map(|(at, value)| {
        let value = Filled(value);
        let described = descriptions.get(at).map(String::as_str);
        let name = [value.field("name"), described, value.field("type")];
        let mut names = name.into_iter().flatten().filter(|name| !name.is_empty());
        let supply = Supply {
            name: names.next()?.to_owned(),
            percent: value.percent(),
        };
        (!value.is_fed_by_hand()).then_some(supply)
    });
    supplies.collect()
}

/// One job as the printer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobView {
    pub(super) id: i32,
    pub(super) name: Option<String>,
    pub(super) user: Option<String>,
    pub(super) state: JobState,
    pub(super) reasons: Vec<String>,
    /// Sides in all, copies included, where the printer knows.
    pub(super) impressions_total: Option<u32>,
    /// Sides that are printed.
    pub(super) impressions: Option<u32>,
    /// Sheets that are printed.
    pub(super) sheets: Option<u32>,
    /// Whether it was ever being printed; `None` where the printer does not say.
    pub(super) begun: Option<bool>,
    /// Documents it has.
    pub(super) documents: Option<u32>,
}

impl JobView {
    /// A job of which nothing is known but its id.
    #[cfg(test)]
    pub(super) fn of(id: i32) -> Self {
        Self {
            id,
            name: None,
            user: None,
            state: JobState::Pending,
            reasons: Vec::new(),
            impressions_total: None,
            impressions: None,
            sheets: None,
            begun: None,
            documents: None,
        }
    }

    /// `None`: without an id it is no job.
    pub(super) fn read(job: Attributes<'_>) -> Option<Self> {
        let mut reasons = job.texts("job-state-reasons");
        reasons.retain(|reason| reason != "none");
        let state = match job.int("job-state") {
            Some(3) => JobState::Pending,
            Some(4) => JobState::PendingHeld,
            Some(5) => JobState::Processing,
            Some(6) => JobState::ProcessingStopped,
            Some(7) => JobState::Canceled,
            Some(8) => JobState::Aborted,
            Some(9) => JobState::Completed,
            Some(_) => return None,
            None => state_of(&reasons).unwrap_or(JobState::Pending),
        };
        let begun = match state {
            JobState::Processing | JobState::ProcessingStopped | JobState::Completed => Some(true),
            _ if job.int("time-at-processing").is_some() => Some(true),
            _ if job.has_no_value("time-at-processing") => Some(false),
            _ => None,
        };
        Some(Self {
            id: job.int("job-id")?,
            name: job.text("job-name"),
            user: job.text("job-originating-user-name"),
            state,
            reasons,
            impressions_total: job.count("job-impressions").filter(|total| *total > 0),
            impressions: job.count("job-impressions-completed"),
            sheets: job.count("job-media-sheets-completed"),
            begun,
            documents: job.count("number-of-documents"),
        })
    }

    /// Sheets that came out, where the printer counts sheets or at least sides.
    pub(super) fn sheets(&self, sides: Sides) -> Option<u32> {
        let per_sheet = if sides == Sides::OneSided { 1 } else { 2 };
        let from_impressions = self.impressions.map(|sides| sides.div_ceil(per_sheet));
        self.sheets.max(from_impressions)
    }

    /// Whether anything was counted.
    pub(super) fn shows_a_count(&self) -> bool {
        self.impressions.max(self.sheets).is_some_and(|n| n > 0)
    }

    /// Whether nothing more will happen to it.
    pub(super) fn is_over(&self) -> bool {
        matches!(
            self.state,
            JobState::Canceled | JobState::Aborted | JobState::Completed
        )
    }

    /// Whether the printer is still about to end it: until then its state and counts are not final.
    pub(super) fn is_stopping(&self) -> bool {
        self.has_reason("processing-to-stop-point")
    }

    /// Whether a job that is over was only passed on, to something that does not report its end.
    pub(super) fn is_passed_on(&self) -> bool {
        self.has_reason("queued-in-device")
    }

    /// Whether it waits for a document that has not come.
    pub(super) fn lacks_its_document(&self) -> bool {
        let waits = matches!(self.state, JobState::Pending | JobState::PendingHeld);
        let incoming = ["job-data-insufficient", "job-incoming"];
        let lacks = self.documents == Some(0) || incoming.iter().any(|r| self.has_reason(r));
        waits && lacks
    }

    pub(super) fn has_reason(&self, keyword: &str) -> bool {
        self.reasons.iter().any(|reason| reason == keyword)
    }
}

/// The state of a job whose printer leaves `job-state` out, though it must not.
fn state_of(reasons: &[String]) -> Option<JobState> {
    let states = [
        ("job-completed", JobState::Completed),
        ("aborted-by-system", JobState::Aborted),
        ("job-canceled", JobState::Canceled),
        ("job-printing", JobState::Processing),
        ("job-interpreting", JobState::Processing),
        ("job-transforming", JobState::Processing),
        ("job-stopped", JobState::ProcessingStopped),
        ("job-queued", JobState::Pending),
        ("job-incoming", JobState::Pending),
    ];
    let says = |keyword: &str| reasons.iter().any(|reason| reason.starts_with(keyword));
    let said = states.into_iter().find(|(keyword, _)| says(keyword));
    said.map(|(_, state)| state)
}

#[cfg(test)]
mod tests {
    use super::{are_empty, filled};

    #[test]
    fn what_is_filled_is_told_in_percent_where_the_printer_knows() {
        let told = |value: &str, description: &[&str]| {
            let descriptions: Vec<_> = description.iter().map(ToString::to_string).collect();
            let supplies = filled(&[value.to_owned()], &descriptions);
            supplies.first().map(|s| (s.name.clone(), s.percent))
        };
        let some = |name: &str, percent| Some((name.to_owned(), percent));
        let tray = |level: &str| {
            format!("type=sheetFeedAutoRemovableTray;maxcapacity=250;level={level};name=main;")
        };
        assert_eq!(told(&tray("125"), &[]), some("main", Some(50)));
        assert_eq!(told(&tray("-2"), &[]), some("main", None));
        assert_eq!(told(&tray("-3"), &[]), some("main", None));
        assert_eq!(told(&tray("400"), &[]), some("main", None));
        assert_eq!(told(&tray("99999999999"), &[]), some("main", None));
        let toner = "index=2;type=toner;maxcapacity=100;level=75;colorantname=black;";
        assert_eq!(told(toner, &["Black Toner"]), some("Black Toner", Some(75)));
        assert_eq!(told(toner, &[]), some("toner", Some(75)));
        assert_eq!(
            told("maxcapacity=0;level=1;type=ink", &[]),
            some("ink", None)
        );
        assert_eq!(
            told(
                "type=sheetFeedManual;maxcapacity=1;level=0;name=by-hand",
                &[]
            ),
            None
        );
        assert_eq!(told("nonsense", &[]), None);
    }

    #[test]
    fn trays_are_empty_when_all_that_are_known_are() {
        let auto = "type=sheetFeedAutoRemovableTray;level=-2;name=auto";
        let main = |level| format!("type=sheetFeedAutoRemovableTray;level={level};name=main;");
        let hand = "type=sheetFeedManual;maxcapacity=1;level=0;name=manual";
        for (trays, empty) in [
            (vec![], false),
            (vec![auto.to_owned()], false),
            (vec![hand.to_owned()], false),
            (vec![auto.to_owned(), main(0), hand.to_owned()], true),
            (vec![main(0), main(40)], false),
            (vec![main(0), main(-3)], false),
            (vec!["level=x".to_owned()], false),
        ] {
            assert_eq!(are_empty(&trays), empty, "{trays:?}");
        }
    }
}
