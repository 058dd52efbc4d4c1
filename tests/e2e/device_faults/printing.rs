//! A print at a real `ippeveprinter`: the way to it cut at every byte in both directions (every
//! 16th in `make test`), the printer killed and started again, the paper gone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use koffer_fixtures::ippeveprinter::IppEvePrinter;
use koffer_proto::Blob;
use koffer_tests::{
    counter::Counter,
    fault_table::{Ending, Part, Row, Table},
    grid,
    office::{Broker, Device, Office},
    proxy::{Cut, Plan, Proxy, Way},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

const PART: Part = Part {
    name: "printing",
    title: "Document printers",
    about: "By `--test e2e device_faults`, against `ippeveprinter` of CUPS behind a proxy that cuts; each \
            effect was compared with the sheets in the printer's tray. A cut ends one connection, and \
            the next one passes; what a dead printer would refuse, the proxy takes and ends. What the printer's own job list could not tell was \
            `outcome-unknown` until a technician had looked into the tray (`gateway/resolve`).",
    operations: &["print"],
    test: "e2e device_faults",
};

/// Printers that are tried at the same time. Each mostly waits.
const PRINTERS: usize = 24;
const PAGE: &[u8] = b"%PDF-1.4\n% a form of the town hall\n%%EOF\n";
/// How often a print is begun for a byte that does not pass in each: the driver looks at a job as
/// often as it takes.
const TRIES: usize = 4;
/// A deadline that is never reached, in seconds, and one that is.
const PATIENT: u32 = 60;
const HURRIED: u32 = 4;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The way to the printer.
    Way(Plan),
    /// The printer is killed when so much has passed, and started again.
    Killed(Plan),
    Staged(Stage),
}

/// What has one place where it happens.
#[derive(Debug, Clone, Copy)]
enum Stage {
    KilledBefore,
    KilledBetweenPages,
    NoPaper,
    NoPaperUnseen,
    PaperReloaded,
    PaperNotReloaded,
    EngineFails,
}

const STAGES: [(&str, Stage); 7] = [
    ("printer killed before the call", Stage::KilledBefore),
    (
        "printer killed between two pages, and started again",
        Stage::KilledBetweenPages,
    ),
    ("out of paper before the call", Stage::NoPaper),
    (
        "out of paper, which the gateway does not know yet",
        Stage::NoPaperUnseen,
    ),
    (
        "out of paper while it prints, loaded again",
        Stage::PaperReloaded,
    ),
    (
        "out of paper while it prints, until after the deadline",
        Stage::PaperNotReloaded,
    ),
    ("the engine fails after the page", Stage::EngineFails),
];

#[derive(Debug, Clone, Copy)]
struct Case {
    row: &'static str,
    fault: Fault,
    expiry: u32,
}

/// How one faulty call ended; what came out is looked at when nothing can come out any more.
struct Trial {
    case: Case,
    id: String,
    completion: Value,
}

/// One printer.
struct Bench {
    device: String,
    printer: IppEvePrinter,
    proxy: Proxy,
    counter: Arc<Counter>,
    calls: usize,
    trials: Vec<Trial>,
    _folder: TempDir,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_print_ends_in_one_completion_that_agrees_with_the_tray() {
    let mut printers = Vec::new();
    for n in 0..PRINTERS {
        let folder = tempfile::tempdir().expect("a folder");
        let printer = IppEvePrinter::start("Forms", folder.path()).await;
        let printer = printer.expect("ippeveprinter");
        let proxy = Proxy::to(printer.port()).await;
        printers.push((format!("printer-{n}"), printer, proxy, folder));
    }
    let devices: Vec<_> = printers
        .iter()
        .map(|(name, _, proxy, _)| (name.as_str(), Device::printer(proxy.uri())))
        .collect();
    let office = Office::around(Broker::Embedded, &devices).await;
    let counter = Arc::new(Counter::of(&office).await);
    let mut benches: Vec<_> = printers
        .into_iter()
        .map(|(device, printer, proxy, folder)| Bench {
            device,
            printer,
            proxy,
            counter: counter.clone(),
            calls: 0,
            trials: Vec::new(),
            _folder: folder,
        })
        .collect();
    let cases = Arc::new(cases(&mut benches[0]).await);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for mut bench in benches {
        let (cases, next) = (cases.clone(), next.clone());
        workers.spawn(async move {
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                for _ in 0..TRIES {
                    if bench.run(*case).await {
                        break;
                    }
                }
            }
            bench.seen().await
        });
    }
    let mut table = Table::new(PART);
    let mut told = 0;
    while let Some(seen) = workers.join_next().await {
        for (row, ending, verdict) in seen.expect("a bench works") {
            told += 1;
            table.note(row, ending, verdict);
        }
    }
    counter.one_completion_each();
    table.check();
    // The rest lies behind the last look of as many prints: the busier the machine when it was
    // measured, the more looks a print had.
    assert!(told * 2 > cases.len(), "{told} of {}", cases.len());
    office.close().await;
}

/// Prints that are measured: among so many is one of a moment in which the machine had time for it.
const MEASURED: usize = 20;

/// Everything that is tried; what takes longest comes first.
async fn cases(measure: &mut Bench) -> Vec<Case> {
    // The driver may look at a job once more than another time: what every print has is cut.
    let (mut to, mut from) = (u64::MAX, u64::MAX);
    for n in 0..MEASURED {
        let (sent, received) = measure.bytes_of_a_print(n).await;
        (to, from) = (to.min(sent), from.min(received));
    }
    let mut cases: Vec<_> = STAGES
        .iter()
        .map(|(row, stage)| Case {
            row,
            fault: Fault::Staged(*stage),
            expiry: match stage {
                Stage::PaperNotReloaded => HURRIED,
                _ => PATIENT,
            },
        })
        .collect();
    let both = [(Way::ToPrinter, to), (Way::FromPrinter, from)];
    let mut every = |distance, cut, held, killed: bool, rows: [&'static str; 2]| {
        for ((way, bytes), row) in both.into_iter().zip(rows) {
            cases.extend((0..bytes).step_by(distance).map(|after| {
                let plan = Plan {
                    way,
                    after,
                    cut,
                    held,
                };
                Case {
                    row,
                    fault: if killed {
                        Fault::Killed(plan)
                    } else {
                        Fault::Way(plan)
                    },
                    expiry: if held { HURRIED } else { PATIENT },
                }
            }));
        }
    };
    every(
        256,
        Cut::Closed,
        true,
        false,
        [
            "silence, every 256th byte to the printer",
            "silence, every 256th byte from the printer",
        ],
    );
    every(
        grid::distance(64, 4),
        Cut::Closed,
        false,
        true,
        [
            "printer killed and started again, every 64th byte to the printer",
            "printer killed and started again, every 64th byte from the printer",
        ],
    );
    every(
        grid::distance(16, 4),
        Cut::Torn,
        false,
        false,
        [
            "reset, every 16th byte to the printer",
            "reset, every 16th byte from the printer",
        ],
    );
    every(
        grid::distance(1, 16),
        Cut::Closed,
        false,
        false,
        [
            "cut at every byte to the printer",
            "cut at every byte from the printer",
        ],
    );
    cases
}

fn params() -> Value {
    let content = Blob::from(PAGE.to_vec());
    json!({"document": {
        "format": "application/pdf",
        "sha256": content.sha256(),
        "content": content,
    }})
}

impl Bench {
    async fn rested(&self) {
        self.counter
            .clerk
            .until_state(&self.device, &["ready"])
            .await;
        self.proxy.rest().await;
    }

    /// How many bytes an undisturbed print has: to the printer, and from it.
    async fn bytes_of_a_print(&mut self, n: usize) -> (u64, u64) {
        self.rested().await;
        self.proxy.arm(None);
        let id = format!("whole{n:05}");
        let completion = self.print(&id, PATIENT).await;
        assert_eq!(completion["status"], "ok", "{completion}");
        let passed = self.proxy.passed();
        self.rested().await;
        passed
    }

    async fn print(&self, id: &str, expiry: u32) -> Value {
        let clerk = &self.counter.clerk;
        let mut call = clerk
            .call_as(id, &self.device, "print", &params(), expiry)
            .await;
        call.completion().await
    }

    /// Runs a case; whether what it is about happened.
    async fn run(&mut self, case: Case) -> bool {
        self.rested().await;
        // A call id of its own for each: a known one would only be answered again.
        self.calls += 1;
        let id = format!("{}x{:04}", self.device, self.calls);
        let (completion, happened) = match case.fault {
            Fault::Way(plan) => {
                self.proxy.arm(Some(plan));
                let completion = self.print(&id, case.expiry).await;
                (completion, self.proxy.has_happened())
            }
            Fault::Killed(plan) => self.killed_at(&id, plan).await,
            Fault::Staged(stage) => (self.staged(&id, stage, case.expiry).await, true),
        };
        self.proxy.arm(None);
        let seen = async || match self.printed(&id).len() {
            0 => "not-done",
            _ => "done",
        };
        self.counter.ready_again(&self.device, &id, seen).await;
        if happened {
            self.trials.push(Trial {
                case,
                id,
                completion,
            });
        }
        happened
    }

    async fn killed_at(&mut self, id: &str, plan: Plan) -> (Value, bool) {
        self.proxy.arm(Some(plan));
        let counter = self.counter.clone();
        let clerk = &counter.clerk;
        let mut call = clerk
            .call_as(id, &self.device, "print", &params(), PATIENT)
            .await;
        let early = tokio::select! {
            () = self.proxy.happened() => None,
            completion = call.completion() => Some(completion),
        };
        if let Some(completion) = early {
            return (completion, false);
        }
        self.printer.restart().await.expect("it comes back");
        (call.completion().await, true)
    }

    async fn staged(&mut self, id: &str, stage: Stage, expiry: u32) -> Value {
        let counter = self.counter.clone();
        let clerk = &counter.clerk;
        let device = self.device.clone();
        let begin = async || clerk.call_as(id, &device, "print", &params(), expiry).await;
        let completion = match stage {
            Stage::KilledBefore => {
                self.printer.kill().expect("SIGKILL");
                let completion = begin().await.completion().await;
                self.printer.restart().await.expect("it comes back");
                completion
            }
            Stage::KilledBetweenPages => {
                self.set("pages", "2");
                self.set("hold-1", "");
                let mut call = begin().await;
                call.progress(|p| p["event"] == "sheets-completed").await;
                self.printer.restart().await.expect("it comes back");
                call.completion().await
            }
            Stage::NoPaper => {
                self.load(0).await;
                let empty = |state: &Value| state["reasons"].to_string().contains("media-empty");
                clerk.until(&self.device, empty).await;
                begin().await.completion().await
            }
            Stage::NoPaperUnseen => {
                self.load(0).await;
                begin().await.completion().await
            }
            Stage::PaperReloaded | Stage::PaperNotReloaded => {
                self.set("state", "media-empty-error");
                let mut call = begin().await;
                let empty = |p: &Value| p["reasons"].to_string().contains("media-empty");
                call.progress(empty).await;
                if matches!(stage, Stage::PaperReloaded) {
                    self.clear("state");
                }
                call.completion().await
            }
            Stage::EngineFails => {
                self.set("fail", "");
                begin().await.completion().await
            }
        };
        for control in ["pages", "hold-1", "state", "fail"] {
            self.clear(control);
        }
        if matches!(stage, Stage::NoPaper | Stage::NoPaperUnseen) {
            self.load(50).await;
        }
        completion
    }

    fn set(&self, control: &str, value: &str) {
        self.printer.set(control, value).expect("a control");
    }

    fn clear(&self, control: &str) {
        self.printer.clear(control).expect("a control");
    }

    async fn load(&self, sheets: u8) {
        self.printer.load_paper(sheets).await.expect("its web page");
    }

    /// What came out of a call.
    fn printed(&self, id: &str) -> Vec<Vec<u8>> {
        let tray = self.printer.printed().expect("the tray");
        let of_it = tray.into_iter().filter(|(name, _)| name.contains(id));
        of_it.map(|(_, content)| content).collect()
    }

    /// Everything that was tried, compared with the tray.
    async fn seen(self) -> Vec<(Row, Ending, Result<(), String>)> {
        // Whatever was still under way has come out when the printer takes another one. That it
        // was killed after its last call may only be noticed now.
        let mut last = Value::Null;
        for n in 0..TRIES {
            self.rested().await;
            last = self
                .print(&format!("{}-last{n}", self.device), PATIENT)
                .await;
            if last["status"] != "unavailable" {
                break;
            }
        }
        assert_eq!(last["status"], "ok", "{}: {last}", self.device);
        let tray = self.printer.printed().expect("the tray");
        let judged = self.trials.iter().map(|trial| {
            let of_it: Vec<_> = tray
                .iter()
                .filter(|(name, _)| name.contains(&trial.id))
                .map(|(_, content)| content.as_slice())
                .collect();
            let ending = Ending::of(&trial.completion);
            let agrees = match (ending.status.as_str(), ending.effect.as_str()) {
                ("ok", _) => of_it == [PAGE],
                ("outcome-unknown", "unknown") => of_it.len() <= 1,
                (_, "none") => of_it.is_empty(),
                (_, "partial" | "done") => of_it.len() == 1,
                _ => false,
            };
            let verdict = if agrees {
                Ok(())
            } else {
                let Trial {
                    case,
                    id,
                    completion,
                } = trial;
                Err(format!(
                    "{id} {case:?}: {completion}; in the tray: {of_it:?}"
                ))
            };
            let row = Row {
                operation: "print",
                line: "IPP",
                fault: trial.case.row,
            };
            (row, ending, verdict)
        });
        judged.collect()
    }
}
