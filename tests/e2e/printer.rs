//! The IPP driver against a real `ippeveprinter`: what it says is compared with what lies in the
//! printer's output folder.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

mod cuts;
mod independent;
mod killed;
mod manners;
mod reconcile;
mod runner;

use std::time::Duration;

use koffer_drivers::{Report, Stop, printer::ipp::IppConfig};
use koffer_fixtures::ippeveprinter::IppEvePrinter;
use koffer_proto::{
    Capabilities, Effect, EventKind, Outcome, ProgressEvent, Response, Sha256, Status,
    class::{
        any_device::{
            self, IdentifyParams, SelfTestLevel, SelfTestParams, SelfTestReport, StepOutcome,
        },
        document_printer::{
            self, Copies, DocumentFormat, JobState, JobsParams, PrintParams, PrintProof, Sides,
        },
    },
};
use runner::{Device, Ended, PATIENCE, Record, Step, any, print, print_of, status};
use tempfile::TempDir;

const PAGE: &[u8] = b"%PDF-1.4\n% a form of the town hall\n%%EOF\n";

/// A printer, its folder, and a driver that is open.
struct Office {
    printer: IppEvePrinter,
    _dir: TempDir,
}

impl Office {
    async fn open() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let printer = IppEvePrinter::start("Forms", dir.path())
            .await
            .expect("ippeveprinter");
        Self { printer, _dir: dir }
    }

    async fn device(&self) -> Device {
        Device::at(&self.printer.uri()).await
    }

    fn tray(&self) -> Vec<Vec<u8>> {
        let files = self.printer.printed().expect("the tray");
        files.into_iter().map(|(_, content)| content).collect()
    }

    fn set(&self, control: &str, value: &str) {
        self.printer.set(control, value).expect("a control");
    }

    fn clear(&self, control: &str) {
        self.printer.clear(control).expect("a control");
    }
}

fn sheets(wanted: u32) -> impl Fn(&ProgressEvent) -> bool {
    move |event| matches!(event, ProgressEvent::SheetsCompleted { sheets } if *sheets == wanted)
}

fn reasons(wanted: &'static [&'static str]) -> impl Fn(&ProgressEvent) -> bool {
    move |event| matches!(event, ProgressEvent::StateReasons { reasons, .. } if reasons == wanted)
}

fn self_test(level: SelfTestLevel) -> koffer_proto::Request {
    any(any_device::Request::SelfTest(SelfTestParams { level }))
}

fn report(ended: &Ended) -> SelfTestReport {
    match &ended.finished.outcome {
        Outcome::Ok(Response::AnyDevice(any_device::Response::SelfTest(report))) => report.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_document_is_printed_once_and_is_what_was_sent() {
    let office = Office::open().await;
    let device = office.device().await;
    let Some(Capabilities::DocumentPrinter(can)) = &device.opened.capabilities else {
        panic!("{:?}", device.opened);
    };
    assert!(can.formats.iter().any(|format| format == "application/pdf"));
    assert!(can.media.iter().any(|media| media == "iso_a4_210x297mm"));
    assert_eq!(can.copies_max, 999);
    assert_eq!(
        device.opened.identity.model.as_deref(),
        Some("Example Printer")
    );
    office.set("pages", "2");
    let params = PrintParams {
        media: Some("iso_a4_210x297mm".to_owned().try_into().expect("a medium")),
        copies: Some(Copies::MIN),
        colour: Some(false),
        ..print_of(PAGE)
    };
    let (_, ended) = device.run("7d1f0c7e", print(params)).await;
    let printed = ended.printed();
    assert_eq!(printed.sheets, Some(2));
    assert_eq!(printed.proof, PrintProof::IppCompleted);
    assert!(ended.is_in_contact());
    assert_eq!(office.tray(), [PAGE]);
    assert!(ended.progress.iter().any(sheets(2)), "{:?}", ended.progress);

    let steps = ended.record.steps();
    let [
        Step::Armed(baseline),
        Step::Milestone(created),
        Step::Started,
        Step::Milestone(delivered),
    ] = &steps[..]
    else {
        panic!("{steps:?}");
    };
    assert_eq!(baseline.fact("job-name"), created.fact("job-name"));
    let name = created.fact("job-name");
    assert_eq!(name, Some("koffer/ws-1/7d1f0c7e"));
    let id = created.facts.get("job-id").map(String::as_str);
    assert_eq!(id, Some(printed.job.to_string().as_str()));
    assert!(created.fact("printer-uuid").is_some());
    assert!(created.facts.contains_key("printer-boot"));
    assert_eq!(delivered.fact("document"), Some("accepted"));
}

#[tokio::test]
async fn what_the_printer_cannot_is_refused_before_a_job_is_made() {
    let office = Office::open().await;
    let device = office.device().await;
    let wrong_paper = PrintParams {
        media: Some("iso_a3_297x420mm".to_owned().try_into().expect("a medium")),
        ..print_of(PAGE)
    };
    let in_colour = PrintParams {
        colour: Some(true),
        ..print_of(PAGE)
    };
    let wrong_digest = {
        let mut params = print_of(PAGE);
        params.document.sha256 = Sha256::of(b"another document");
        params
    };
    let mut device = device;
    for (params, status, field) in [
        (wrong_paper, Status::Unsupported, "media"),
        (in_colour, Status::Unsupported, "colour"),
        (wrong_digest, Status::BadRequest, "document.sha256"),
    ] {
        let (back, ended) = device.run("a", print(params)).await;
        device = back;
        assert_eq!(ended.told(), (status, Effect::None));
        assert_eq!(ended.detail().field.as_deref(), Some(field));
        assert!(ended.record.steps().is_empty());
    }
    let (_, ended) = device.run("b", jobs()).await;
    assert_eq!(listed(&ended), []);
    assert_eq!(office.tray(), Vec::<Vec<u8>>::new());
}

fn jobs() -> koffer_proto::Request {
    koffer_proto::Request::DocumentPrinter(document_printer::Request::Jobs(JobsParams {}))
}

fn listed(ended: &Ended) -> Vec<(String, JobState)> {
    match &ended.finished.outcome {
        Outcome::Ok(Response::DocumentPrinter(document_printer::Response::Jobs(jobs))) => {
            let jobs = jobs.jobs.iter();
            jobs.map(|job| (job.name.clone(), job.state)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_a_record_nothing_is_printed() {
    let office = Office::open().await;
    let mut device = office.device().await;
    for kept in 0..3 {
        let record = Record::failing_after(kept);
        let running = device.begin_with("a", print(print_of(PAGE)), PATIENCE, record);
        let (back, ended) = running.end().await;
        device = back;
        assert_eq!(ended.told(), (Status::DeviceFault, Effect::None), "{kept}");
    }
    // The jobs that were made for it are withdrawn: the next call finds the printer free.
    let (_, ended) = device.run("b", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn paper_that_runs_out_is_told_and_the_print_goes_on_with_new_paper() {
    let office = Office::open().await;
    office.set("state", "media-empty-error");
    let device = office.device().await;
    let mut running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    running.until(reasons(&["media-empty"])).await;
    office.clear("state");
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    assert!(
        ended.progress.iter().any(reasons(&[])),
        "{:?}",
        ended.progress
    );
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn an_idle_printer_without_paper_is_blocked_until_it_has_some() {
    let office = Office::open().await;
    let mut device = office.device().await;
    office.printer.load_paper(0).await.expect("no paper");
    let seen = device
        .watch_until(|report| *report == Report::Event(EventKind::PaperEmpty))
        .await;
    let Some(Report::Blocked(reasons)) = seen.first() else {
        panic!("{seen:?}");
    };
    assert_eq!(reasons[0].keyword, "media-empty");
    let (device, ended) = device.run("a", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Unavailable, Effect::None));
    assert_eq!(ended.detail().reasons, ["media-empty"]);
    assert!(ended.record.steps().is_empty());
    let (mut device, ended) = device.run("b", status()).await;
    assert_eq!(ended.told().0, Status::Ok);

    office.printer.load_paper(250).await.expect("paper");
    let seen = device
        .watch_until(|report| *report == Report::Event(EventKind::PaperLoaded))
        .await;
    assert!(seen.contains(&Report::Reasons(vec![])), "{seen:?}");
    let (_, ended) = device.run("c", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn a_printer_found_without_paper_is_blocked_from_the_start() {
    let office = Office::open().await;
    office.printer.load_paper(0).await.expect("no paper");
    let mut device = office.device().await;
    assert_eq!(device.opened.reasons[0].keyword, "media-empty");
    let seen = device.watch_until(|_| true).await;
    assert!(matches!(&seen[0], Report::Blocked(_)), "{seen:?}");
}

#[tokio::test]
async fn a_cancelled_print_says_how_many_sheets_came_out() {
    let office = Office::open().await;
    office.set("pages", "3");
    office.set("hold-2", "");
    let device = office.device().await;
    let mut running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    running.until(sheets(2)).await;
    running.steering.stop(Stop::Cancelled);
    office.until_cancelling("a").await;
    office.set("stop", "");
    office.clear("hold-2");
    let (device, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::Cancelled, Effect::Partial));
    assert_eq!(ended.detail().completed, Some(2));
    assert!(ended.is_in_contact());
    assert_eq!(office.tray(), [PAGE]);

    // Before the first page, at a printer that is known to count.
    office.clear("stop");
    office.set("hold-0", "");
    let running = device.begin("b", print(print_of(PAGE)), PATIENCE);
    office.until_processing("b").await;
    running.steering.stop(Stop::Cancelled);
    office.until_cancelling("b").await;
    office.set("stop", "");
    office.clear("hold-0");
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::Cancelled, Effect::None));
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn cancelled_and_all_printed_is_not_told_as_nothing() {
    let office = Office::open().await;
    // Never seen to count, and it prints all of it before it notices.
    office.set("uncounted", "");
    office.set("hold-0", "");
    let device = office.device().await;
    let running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    office.until_processing("a").await;
    running.steering.stop(Stop::Cancelled);
    office.until_cancelling("a").await;
    office.clear("hold-0");
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::OutcomeUnknown, Effect::Unknown));
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn a_deadline_cancels_the_job_and_says_what_came_out() {
    let office = Office::open().await;
    office.set("pages", "2");
    office.set("hold-1", "");
    let device = office.device().await;
    let mut running = device.begin("a", print(print_of(PAGE)), Duration::from_secs(3));
    running.until(sheets(1)).await;
    office.until_cancelling("a").await;
    office.set("stop", "");
    office.clear("hold-1");
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::TimedOut, Effect::Partial));
    assert_eq!(ended.detail().completed, Some(1));
}

#[tokio::test]
async fn an_engine_that_fails_says_what_came_out() {
    let office = Office::open().await;
    office.set("fail", "");
    let device = office.device().await;
    let (device, ended) = device.run("a", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::DeviceFault, Effect::Partial));
    assert_eq!(ended.detail().completed, Some(1));
    office.set("stop", "");
    let (_, ended) = device.run("b", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::DeviceFault, Effect::None));
    assert_eq!(office.tray(), [PAGE]);
}

#[tokio::test]
async fn a_busy_printer_is_waited_for_within_the_deadline() {
    let office = Office::open().await;
    office.set("hold-0", "");
    let (first, second) = (office.device().await, office.device().await);
    let third = office.device().await;
    let first = first.begin("a", print(print_of(PAGE)), PATIENCE);
    office.until_processing("a").await;
    let mut second = second.begin("b", print(print_of(b"%PDF second")), PATIENCE);
    let mut third = third.begin("c", print(print_of(PAGE)), Duration::from_secs(2));
    second.until(reasons(&["printer-busy"])).await;
    third.until(reasons(&["printer-busy"])).await;
    let (_, ended) = third.end().await;
    assert_eq!(ended.told(), (Status::TimedOut, Effect::None));
    assert!(!ended.record.steps().contains(&Step::Started));
    office.clear("hold-0");
    let (_, ended) = first.end().await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    let (_, ended) = second.end().await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    assert_eq!(office.tray(), [PAGE, b"%PDF second"]);
}

#[tokio::test]
async fn a_job_of_ours_without_its_document_is_cleaned_up_and_others_are_left() {
    let office = Office::open().await;
    office.create_job("somebody", "koffer/ws-1/a").await;
    let device = office.device().await;
    let (_, ended) = device.run("a", jobs()).await;
    let held = ("koffer/ws-1/a".to_owned(), JobState::PendingHeld);
    assert_eq!(listed(&ended), [held]);
    office.cancel_job(1).await;

    office.create_job("koffer", "koffer/ws-1/old").await;
    let device = office.device().await;
    let (device, ended) = device.run("b", jobs()).await;
    let cancelled = ("koffer/ws-1/old".to_owned(), JobState::Canceled);
    assert_eq!(listed(&ended).first(), Some(&cancelled));
    let (_, ended) = device.run("c", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
}

#[tokio::test]
async fn identity_and_self_test_are_those_of_the_printer() {
    let office = Office::open().await;
    let device = office.device().await;
    let identify = any(any_device::Request::Identify(IdentifyParams {}));
    let (device, ended) = device.run("a", identify).await;
    let Outcome::Ok(Response::AnyDevice(any_device::Response::Identify(identified))) =
        &ended.finished.outcome
    else {
        panic!("{:?}", ended.finished);
    };
    assert!(identified.signalled);
    let (device, ended) = device.run("b", self_test(SelfTestLevel::Internal)).await;
    let internal = report(&ended);
    assert!(internal.passed);
    assert_eq!(internal.outcome, Some(StepOutcome::Passed));
    assert!(internal.steps.iter().all(|step| step.duration_ms.is_some()));
    assert_eq!(internal.identity, identified.identity);
    let toner = internal.supplies.iter().find(|s| s.name.contains("oner"));
    assert!(
        toner.is_some_and(|toner| toner.percent.is_some()),
        "{:?}",
        internal.supplies
    );
    // Nothing outside the printer was tried: that is not passed.
    let (device, ended) = device.run("c", self_test(SelfTestLevel::External)).await;
    let mut external = report(&ended);
    assert_eq!(
        (external.passed, external.outcome),
        (false, Some(StepOutcome::Skipped))
    );
    let skipped = external
        .steps
        .pop()
        .map(|step| (step.outcome, step.duration_ms));
    assert_eq!(skipped, Some((StepOutcome::Skipped, None)));
    assert_eq!(office.tray(), Vec::<Vec<u8>>::new());
    let (_, ended) = device.run("d", self_test(SelfTestLevel::Interactive)).await;
    assert!(report(&ended).passed, "{:?}", report(&ended));
    let tray = office.tray();
    assert_eq!(tray.len(), 1);
    assert!(tray[0].starts_with(b"%PDF-1.4"));
}

#[tokio::test]
async fn an_ipps_printer_is_known_by_its_certificate() {
    let office = Office::open().await;
    let uri = office.printer.uri().replace("ipp://", "ipps://");
    let mut config = IppConfig::new(uri.parse().expect("a URI"));
    config.certificate = Some(Sha256::of(b"another certificate"));
    let fault = Device::open(&config).await.err().expect("not this one");
    assert_eq!(fault.reason.keyword, "certificate-not-trusted");
    let text = fault.reason.text.en;
    let (_, shown) = text
        .rsplit_once("SHA-256 ")
        .unwrap_or_else(|| panic!("{text}"));
    let digest = shown.get(..64).expect("a digest").to_owned();
    config.certificate = Some(digest.try_into().expect("a digest"));
    let device = Device::open(&config).await.expect("its own certificate");
    let (_, ended) = device.run("a", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    assert_eq!(office.tray(), [PAGE]);
    // Nobody vouches for a printer's own certificate.
    config.certificate = None;
    let fault = Device::open(&config).await.err().expect("not this one");
    assert_eq!(fault.reason.keyword, "certificate-not-trusted");
}

#[tokio::test]
async fn a_large_document_arrives_whole() {
    let office = Office::open().await;
    let mut content = b"%PDF-1.4\n".to_vec();
    content.extend((0..8_000_000_u32).map(|n| n.to_le_bytes()[0]));
    let device = office.device().await;
    let params = PrintParams {
        sides: Sides::TwoSidedLongEdge,
        ..print_of(&content)
    };
    assert_eq!(params.document.format, DocumentFormat::Pdf);
    let (_, ended) = device.run("a", print(params)).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    assert!(office.tray() == [content]);
}
