//! The manners of real printers, one scripted printer each: what is told is what came out, and no
//! document is sent twice.

use std::time::{Duration, Instant};

use koffer_drivers::{Reconciled, Report, Stop, printer::ipp::IppConfig};
use koffer_fixtures::ipp::{
    Attribute, Counts, End, Manners, Names, Operation, ScriptedPrinter, Uptime, Value,
};
use koffer_proto::{
    Effect, ProgressEvent, Status,
    class::document_printer::{Copies, PrintParams, PrintProof},
};

use super::{
    PAGE,
    runner::{Device, Ended, PATIENCE, print, print_of},
};

async fn printer(manners: Manners) -> ScriptedPrinter {
    let printer = ScriptedPrinter::start(manners).await;
    printer.expect("a scripted printer")
}

/// Prints once; whatever is told, the document was sent at most once.
async fn printed_at(printer: &ScriptedPrinter, params: PrintParams) -> Ended {
    let device = Device::at(&printer.uri()).await;
    let (_, ended) = device.run("1764201234507", print(params)).await;
    assert!(printer.documents().len() <= 1, "it was sent twice");
    ended
}

async fn print_with(manners: Manners) -> (ScriptedPrinter, Ended) {
    let printer = printer(manners).await;
    let ended = printed_at(&printer, print_of(PAGE)).await;
    (printer, ended)
}

/// Why a call ended as it did.
fn cause(ended: &Ended) -> Option<String> {
    ended.detail().cause
}

fn told_reasons(ended: &Ended) -> Vec<String> {
    let events = ended.progress.iter();
    let reasons = events.filter_map(|event| match event {
        ProgressEvent::StateReasons { reasons, .. } => Some(reasons.clone()),
        _ => None,
    });
    reasons.flatten().collect()
}

fn well() -> Manners {
    Manners::default()
}

/// What it is, sheets and proof that are told, and what is odd about the printer.
type Way = (&'static str, Option<u32>, PrintProof, fn(&mut Manners));

const TWO: Option<u32> = Some(2);
const PROVEN: PrintProof = PrintProof::IppCompleted;
const TAKEN: PrintProof = PrintProof::BytesSent;

static WAYS: &[Way] = &[
    ("well-behaved", TWO, PROVEN, |_| {}),
    ("IPP/1.1 only", TWO, PROVEN, |m| m.newest_version = 0x0101),
    ("names no sides", TWO, PROVEN, |m| {
        m.without = vec!["sides-supported"];
        m.unknown = vec!["sides"];
    }),
    ("ignores what changes no page", TWO, PROVEN, |m| {
        m.ignores = vec!["job-name", "ipp-attribute-fidelity"];
    }),
    ("cuts the name", TWO, PROVEN, |m| m.names = Names::Cut(14)),
    ("names all jobs alike", TWO, PROVEN, |m| {
        m.names = Names::Instead("Print");
        m.user = Some("Guest");
    }),
    ("another user", TWO, PROVEN, |m| {
        m.user = Some("KOFFER@192.0.2.7");
    }),
    ("neither name nor user", TWO, PROVEN, |m| {
        m.without = vec!["job-name", "job-originating-user-name"];
    }),
    ("no job-state", TWO, PROVEN, |m| {
        m.without = vec!["job-state"];
    }),
    ("shows no single job", TWO, PROVEN, |m| {
        m.status = vec![(Operation::GetJobAttributes, 0x0501)];
    }),
    ("fails at a single job", TWO, PROVEN, |m| {
        m.http = vec![(Operation::GetJobAttributes, 503)];
    }),
    ("lists no jobs", TWO, PROVEN, |m| {
        m.status = vec![(Operation::GetJobs, 0x0501)];
    }),
    ("fails at its jobs", TWO, PROVEN, |m| {
        m.http = vec![(Operation::GetJobs, 500)];
    }),
    ("counts at the end", TWO, PROVEN, |m| {
        m.counts = Counts::AtEnd;
    }),
    ("completed before the first page", TWO, PROVEN, |m| {
        m.completed_first = true;
        m.page = Duration::from_millis(400);
    }),
    ("no count at all", None, PROVEN, |m| {
        m.counts = Counts::Never;
    }),
    ("always counts zero", None, TAKEN, |m| {
        m.counts = Counts::Zero;
    }),
    ("forgets a job that is over", None, TAKEN, |m| {
        m.forgets = true;
    }),
    ("forgets it and answers late", None, TAKEN, |m| {
        m.forgets = true;
        m.late_answer = Duration::from_secs(6);
    }),
    ("answers late", TWO, PROVEN, |m| {
        m.late_answer = Duration::from_secs(6);
    }),
    ("wakes up slowly", TWO, PROVEN, |m| {
        m.wakes_in = Duration::from_secs(18);
    }),
    ("a queue", TWO, TAKEN, |m| {
        let version = [Value::Text("2.4.2".to_owned())];
        m.shows = vec![Attribute::new("cups-version", version)];
    }),
];

#[tokio::test]
async fn a_print_that_a_printer_reports_as_done_in_its_own_way_is_ok() {
    for (what, sheets, proof, odd) in WAYS {
        let mut manners = well();
        odd(&mut manners);
        let (printer, ended) = print_with(manners).await;
        assert_eq!(ended.told(), (Status::Ok, Effect::Done), "{what}");
        let told = ended.printed();
        assert_eq!((told.sheets, told.proof), (*sheets, *proof), "{what}");
        assert_eq!(printer.sheets(), 2, "{what}");
        assert_eq!(printer.documents(), [PAGE], "{what}");
    }
}

#[tokio::test]
async fn one_copy_is_not_named_to_a_printer_that_does_not_name_copies() {
    let printer = printer(Manners {
        without: vec!["copies-supported"],
        unknown: vec!["copies"],
        ..well()
    })
    .await;
    let params = PrintParams {
        copies: Some(Copies::MIN),
        ..print_of(PAGE)
    };
    let ended = printed_at(&printer, params).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
}

#[tokio::test]
async fn a_counter_that_stands_still_is_no_restart_and_one_set_back_is() {
    for up in [0, 1, 4711] {
        let (printer, ended) = print_with(Manners {
            uptime: Uptime::Stands(up),
            pages: 6,
            page: Duration::from_secs(1),
            ..well()
        })
        .await;
        assert_eq!(ended.told(), (Status::Ok, Effect::Done), "{up}");
        assert_eq!(printer.sheets(), 6);
    }
    let (_, ended) = print_with(Manners {
        uptime: Uptime::SetBack,
        pages: 6,
        ..well()
    })
    .await;
    assert_eq!(ended.told(), (Status::OutcomeUnknown, Effect::Unknown));
    assert_eq!(cause(&ended).as_deref(), Some("printer-restarted"));
}

#[tokio::test]
async fn completed_without_a_page_is_not_believed() {
    let stopping = Manners {
        counts: Counts::Zero,
        paper: false,
        end: End(9, &["processing-to-stop-point"]),
        ..well()
    };
    let (printer, ended) = print_with(stopping).await;
    assert_eq!(ended.told(), (Status::OutcomeUnknown, Effect::Unknown));
    assert_eq!(cause(&ended).as_deref(), Some("nothing-counted"));
    assert_eq!(ended.detail().reasons, ["processing-to-stop-point"]);
    assert_eq!(printer.sheets(), 0);

    // A printer that counted before.
    let printer = self::printer(Manners {
        counts: Counts::FirstJobOnly,
        ..well()
    })
    .await;
    let device = Device::at(&printer.uri()).await;
    let (device, ended) = device.run("a", print(print_of(PAGE))).await;
    assert_eq!(ended.printed().sheets, Some(2));
    let (_, ended) = device.run("b", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::OutcomeUnknown, Effect::Unknown));
    assert_eq!(cause(&ended).as_deref(), Some("nothing-counted"));
}

#[tokio::test]
async fn a_document_that_cannot_be_printed_is_told_by_its_reason() {
    for end in [
        End(9, &["document-unprintable-error"]),
        End(8, &["aborted-by-system", "document-unprintable-error"]),
    ] {
        let (printer, ended) = print_with(Manners {
            counts: Counts::Zero,
            paper: false,
            end,
            ..well()
        })
        .await;
        assert_eq!(ended.told(), (Status::DeviceFault, Effect::None), "{end:?}");
        assert_eq!(cause(&ended).as_deref(), Some("document-unprintable-error"));
        assert_eq!(printer.sheets(), 0);
    }
    // The first page came out before it went wrong.
    let (printer, ended) = print_with(Manners {
        gives_up_after: Some(1),
        end: End(8, &["document-format-error"]),
        ..well()
    })
    .await;
    assert_eq!(ended.told(), (Status::DeviceFault, Effect::Partial));
    assert_eq!(ended.detail().completed, Some(1));
    assert_eq!(printer.sheets(), 1);
    // So it did here, where the printer counts too late to say so.
    let (printer, ended) = print_with(Manners {
        counts: Counts::AtEnd,
        gives_up_after: Some(1),
        end: End(8, &["document-format-error"]),
        ..well()
    })
    .await;
    assert_eq!(ended.told(), (Status::OutcomeUnknown, Effect::Unknown));
    assert_eq!(cause(&ended).as_deref(), Some("document-format-error"));
    assert_eq!(printer.sheets(), 1);
    // Refused before it is begun.
    let (_, ended) = print_with(Manners {
        status: vec![(Operation::SendDocument, 0x0411)],
        ..well()
    })
    .await;
    assert_eq!(ended.told(), (Status::DeviceFault, Effect::None));
    assert_eq!(cause(&ended).as_deref(), Some("document-format-error"));
}

#[tokio::test]
async fn a_job_that_stands_over_its_document_is_told_at_once_and_ended_soon() {
    let began = Instant::now();
    let (printer, ended) = print_with(Manners {
        counts: Counts::Zero,
        paper: false,
        end: End(5, &["document-format-error"]),
        ..well()
    })
    .await;
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    assert_eq!(told_reasons(&ended), ["document-format-error"]);
    assert_eq!(cause(&ended).as_deref(), Some("document-format-error"));
    assert_ne!(ended.told().0, Status::Ok);
    let asked = printer.asked();
    let cancels = asked.iter().filter(|r| r.operation == Operation::CancelJob);
    assert_eq!(cancels.count(), 1);
}

#[tokio::test]
async fn a_held_job_says_so_while_it_is_held_and_nothing_comes_out() {
    for held in ["job-password-wait", "job-hold-until-specified"] {
        let printer = printer(Manners {
            held: vec![held],
            ..well()
        })
        .await;
        let device = Device::at(&printer.uri()).await;
        let mut running = device.begin("a", print(print_of(PAGE)), Duration::from_secs(3));
        let is_held = |event: &ProgressEvent| {
            matches!(event, ProgressEvent::StateReasons { reasons, text }
                if reasons == &[held] && !text.is_empty())
        };
        running.until(is_held).await;
        let (_, ended) = running.end().await;
        assert_eq!(ended.told(), (Status::TimedOut, Effect::None));
        assert_eq!(printer.sheets(), 0);
    }
}

#[tokio::test]
async fn a_cancelled_job_that_still_drains_is_counted_to_its_last_sheet() {
    let printer = printer(Manners {
        pages: 30,
        page: Duration::from_millis(500),
        drains: 3,
        ..well()
    })
    .await;
    let device = Device::at(&printer.uri()).await;
    let mut running = device.begin("a", print(print_of(PAGE)), PATIENCE);
    running.until(super::sheets(2)).await;
    running.steering.stop(Stop::Cancelled);
    let (_, ended) = running.end().await;
    assert_eq!(ended.told(), (Status::Cancelled, Effect::Partial));
    assert_eq!(ended.detail().completed, Some(printer.sheets().into()));
}

#[tokio::test]
async fn a_zero_of_a_printer_that_counts_late_is_not_nothing() {
    let printer = printer(Manners {
        counts: Counts::AtEnd,
        ..well()
    })
    .await;
    let device = Device::at(&printer.uri()).await;
    // It is known to count.
    let (device, ended) = device.run("a", print(print_of(PAGE))).await;
    assert_eq!(ended.printed().sheets, Some(2));
    let running = device.begin("b", print(print_of(PAGE)), PATIENCE);
    while printer.sheets() < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.steering.stop(Stop::Cancelled);
    let (_, ended) = running.end().await;
    assert_ne!(ended.told().1, Effect::None, "{:?}", ended.finished.outcome);
}

#[tokio::test]
async fn what_a_web_server_answers_is_told_as_what_it_is() {
    for (http, keyword) in [
        (401, "login-required"),
        (403, "access-denied"),
        (426, "tls-required"),
        (301, "moved"),
        (308, "moved"),
        (503, "printer-busy"),
        (500, "printer-error"),
        (404, "no-ipp-printer"),
    ] {
        let all = Operation::ALL.map(|(operation, _)| (operation, http));
        let printer = printer(Manners {
            http: all.to_vec(),
            ..well()
        })
        .await;
        let config = IppConfig::new(printer.uri().parse().expect("a URI"));
        let fault = Device::open(&config).await.err().expect("no contact");
        assert_eq!(fault.reason.keyword, keyword, "{http}");
        if keyword == "moved" {
            assert!(fault.reason.text.en.contains("https://192.0.2.9/ipp/print"));
        }
    }
    for (operation, http, keyword, status) in [
        (
            Operation::CreateJob,
            401,
            "login-required",
            Status::Unavailable,
        ),
        (
            Operation::CreateJob,
            426,
            "tls-required",
            Status::Unavailable,
        ),
        (
            Operation::SendDocument,
            401,
            "login-required",
            Status::DeviceFault,
        ),
    ] {
        let (printer, ended) = print_with(Manners {
            http: vec![(operation, http)],
            ..well()
        })
        .await;
        assert_eq!(ended.told(), (status, Effect::None), "{operation:?}");
        assert_eq!(cause(&ended).as_deref(), Some(keyword));
        assert_eq!(printer.sheets(), 0);
    }
    for (ipp, keyword) in [
        (0x0402, "login-required"),
        (0x0403, "access-denied"),
        (0x050A, "deactivated"),
    ] {
        let (_, ended) = print_with(Manners {
            status: vec![(Operation::CreateJob, ipp)],
            ..well()
        })
        .await;
        assert_eq!(ended.told(), (Status::Unavailable, Effect::None));
        assert_eq!(cause(&ended).as_deref(), Some(keyword));
        assert_eq!(told_reasons(&ended), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_address_that_speaks_no_tls_is_told_as_that() {
    let printer = printer(well()).await;
    let uri = printer.uri().replace("ipp://", "ipps://");
    let config = IppConfig::new(uri.parse().expect("a URI"));
    let fault = Device::open(&config).await.err().expect("no contact");
    assert_eq!(
        fault.reason.keyword, "tls-failed",
        "{}",
        fault.reason.text.en
    );
}

#[tokio::test]
async fn what_a_printer_would_print_otherwise_is_not_printed() {
    let (printer, ended) = print_with(Manners {
        ignores: vec!["sides"],
        ..well()
    })
    .await;
    assert_eq!(ended.told(), (Status::Unsupported, Effect::None));
    assert_eq!(printer.documents(), Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn a_jam_while_printing_is_reported_for_the_state_and_taken_back() {
    let printer = printer(Manners {
        pages: 6,
        while_printing: vec!["media-jam-error"],
        ..well()
    })
    .await;
    let device = Device::at(&printer.uri()).await;
    let (mut device, ended) = device.run("a", print(print_of(PAGE))).await;
    assert_eq!(ended.told(), (Status::Ok, Effect::Done));
    let blocked = |report: &Report| matches!(report, Report::Blocked(reasons) if reasons[0].keyword == "media-jam");
    assert!(ended.reports.iter().any(blocked), "{:?}", ended.reports);
    // What the call reported last is taken back by it, or when the printer is watched again.
    if ended
        .reports
        .iter()
        .rfind(|r| !matches!(r, Report::Event(_)))
        != Some(&Report::Reasons(vec![]))
    {
        let seen = device
            .watch_until(|report| *report == Report::Reasons(vec![]))
            .await;
        assert!(!seen.is_empty());
    }
}

#[tokio::test]
async fn an_interrupted_print_is_found_again_in_another_form_of_its_name() {
    for (what, manners) in [
        (
            "a cut name",
            Manners {
                names: Names::Cut(14),
                ..well()
            },
        ),
        (
            "another user",
            Manners {
                user: Some("Guest"),
                ..well()
            },
        ),
        (
            "all jobs named alike",
            Manners {
                names: Names::Instead("Print"),
                user: Some("Guest"),
                ..well()
            },
        ),
        (
            "a counter that stands still",
            Manners {
                uptime: Uptime::Stands(4711),
                ..well()
            },
        ),
        (
            "no list of jobs",
            Manners {
                status: vec![(Operation::GetJobs, 0x0501)],
                ..well()
            },
        ),
    ] {
        let printer = printer(manners).await;
        let device = Device::at(&printer.uri()).await;
        let mut running = device.begin("20261127154205", print(print_of(PAGE)), PATIENCE);
        running.until(super::sheets(1)).await;
        let record = running.kill().await;
        let interrupted = record.interrupted("20261127154205").expect("it began");
        let said = Device::at(&printer.uri())
            .await
            .reconcile(&interrupted)
            .await;
        assert!(
            matches!(&said, Reconciled::Settled(koffer_proto::Outcome::Ok(_))),
            "{what}: {said:?}"
        );
        assert_eq!(printer.documents().len(), 1, "{what}");
    }
}
