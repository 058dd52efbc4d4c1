//! Supervision, tried with drivers that fail in every way, in paused time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use koffer_drivers::{
    Call, Contact, Driver, Fault, Finished, Interrupted, Opened, Reconciled, Reports, Stop,
};
use koffer_proto::{
    Class, Connection, DeviceId, Effect, Failure, Outcome, Request, Response, Status,
    class::{
        any_device::{self, ResetParams},
        payment,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    calls::{Condition, Job, Reconcile, Start, SupervisorEvent},
    journal::{CallNo, Journal, Volatile},
};

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Well,
    StopsWhenAsked,
    PanicsBeforeTheEffect,
    PanicsAfterTheEffectBegan,
    HangsBeforeTheEffect,
    HangsAfterTheEffectBegan,
    LosesContact,
    CannotOpen,
    HangsOverTheRecords,
    PanicsOverTheRecords,
}

struct Unruly {
    way: Way,
    opened: Arc<AtomicU32>,
    closed: Arc<AtomicU32>,
}

#[async_trait]
impl Driver for Unruly {
    async fn open(&mut self) -> Result<Opened, Fault> {
        let count = self.opened.fetch_add(1, Ordering::SeqCst);
        if self.way == Way::CannotOpen && count < 3 {
            return Err(Fault::new("no-answer", "", ""));
        }
        Ok(Opened::default())
    }

    async fn run(&mut self, _: Request, call: &mut Call) -> Finished {
        let begun = matches!(
            self.way,
            Way::PanicsAfterTheEffectBegan | Way::HangsAfterTheEffectBegan
        );
        if begun {
            call.effect_may_begin().await.unwrap();
        }
        match self.way {
            Way::PanicsBeforeTheEffect | Way::PanicsAfterTheEffectBegan => panic!("as planned"),
            Way::HangsBeforeTheEffect | Way::HangsAfterTheEffectBegan => {
                std::future::pending::<()>().await;
            }
            Way::StopsWhenAsked => {
                let status = match call.stopped().await {
                    Stop::Cancelled => Status::Cancelled,
                    Stop::Deadline | Stop::Shutdown => Status::TimedOut,
                };
                let outcome = Outcome::Failed(Failure::unfinished(status, Effect::None, ""));
                return Finished {
                    outcome,
                    contact: Contact::Kept,
                };
            }
            _ => {}
        }
        let contact = if self.way == Way::LosesContact {
            Contact::Lost(Fault::new("connection-lost", "", ""))
        } else {
            Contact::Kept
        };
        let response = payment::Response::Status(payment::TerminalStatus {
            terminal: None,
            ready: true,
            code: "00".to_owned(),
            message: String::new(),
        });
        Finished {
            outcome: Outcome::Ok(response.into()),
            contact,
        }
    }

    async fn reconcile(&mut self, _: &Interrupted) -> Reconciled {
        assert!(self.way != Way::PanicsOverTheRecords, "as planned");
        std::future::pending().await
    }

    async fn watch(&mut self, _: &Reports) -> Fault {
        std::future::pending().await
    }

    async fn close(&mut self) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

/// A supervised unruly device and what is told of it.
struct Bench {
    jobs: mpsc::Sender<Job>,
    task: tokio::task::JoinHandle<()>,
    events: mpsc::Receiver<(DeviceId, SupervisorEvent)>,
    stop: CancellationToken,
    opened: Arc<AtomicU32>,
    closed: Arc<AtomicU32>,
    calls: u64,
}

impl Bench {
    fn new(way: Way) -> Self {
        Self::plugged(way, Plug::fixed)
    }

    fn plugged(way: Way, plug: impl FnOnce(DeviceSpec) -> watch::Receiver<Plug>) -> Self {
        let (opened, closed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let made = (opened.clone(), closed.clone());
        let spec = DeviceSpec {
            id: "till-1".parse().unwrap(),
            class: Class::Payment,
            driver: "unruly",
            connection: Connection::Internal,
            make: Arc::new(move || {
                Box::new(Unruly {
                    way,
                    opened: made.0.clone(),
                    closed: made.1.clone(),
                })
            }),
        };
        let plug = plug(spec.clone());
        let (tell, events) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let (jobs, task) = supervise(spec.id, plug, tell, stop.clone());
        Self {
            jobs,
            task: tokio::spawn(task),
            events,
            stop,
            opened,
            closed,
            calls: 0,
        }
    }

    async fn call(&mut self, request: impl Into<Request>) -> koffer_drivers::Steering {
        self.calls += 1;
        let (call, control) = koffer_drivers::call(
            "a".parse().unwrap(),
            "ws-1".parse().unwrap(),
            koffer_proto::Lang::En,
            Instant::now() + Duration::from_secs(10),
            Volatile.effects(CallNo(self.calls), &"till-1".parse().unwrap()),
        );
        let steering = control.steering();
        let device = "till-1".parse().unwrap();
        let start = Job::Run(Start {
            no: CallNo(self.calls),
            device,
            request: request.into(),
            call,
            control,
        });
        assert!(self.jobs.send(start).await.is_ok());
        steering
    }

    async fn pay(&mut self) -> koffer_drivers::Steering {
        let amount = koffer_proto::Amount::euro_cents(5).unwrap();
        self.call(payment::PayParams {
            amount,
            reference: None,
        })
        .await
    }

    /// Asks what became of a payment of before.
    async fn settle(&mut self) {
        let interrupted = Interrupted {
            id: "a".parse().unwrap(),
            client: "ws-1".parse().unwrap(),
            lang: koffer_proto::Lang::En,
            operation: Class::Payment.operation("pay").unwrap(),
            accepted_at: Timestamp::UNIX_EPOCH,
            baseline: None,
            milestones: Vec::new(),
            known_for: Duration::ZERO,
        };
        let no = CallNo(1);
        let settle = Job::Reconcile(Reconcile { no, interrupted });
        assert!(self.jobs.send(settle).await.is_ok());
        // The supervisor has taken it.
        assert!(self.jobs.reserve().await.is_ok());
    }

    /// The keyword of the next condition: `usable`, `starting`, or that of the fault.
    async fn condition(&mut self) -> String {
        loop {
            if let SupervisorEvent::Condition(condition) = self.events.recv().await.unwrap().1 {
                return match condition {
                    Condition::Usable(_) => "usable".to_owned(),
                    Condition::Blocked(_) => "blocked".to_owned(),
                    Condition::Starting => "starting".to_owned(),
                    Condition::Fault(reason) | Condition::Absent(reason) => reason.keyword,
                };
            }
        }
    }

    async fn outcome(&mut self) -> Outcome<Response> {
        loop {
            if let SupervisorEvent::Finished(no, outcome) = self.events.recv().await.unwrap().1 {
                assert_eq!(no, CallNo(self.calls));
                return outcome;
            }
        }
    }

    async fn failure(&mut self) -> (Status, Effect) {
        match self.outcome().await {
            Outcome::Failed(failure) => (failure.status(), failure.effect()),
            Outcome::Ok(_) => (Status::Ok, Effect::Done),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_driver_panics_or_hangs_is_answered_with_its_effect() {
    for (way, expected, keyword) in [
        (
            Way::PanicsBeforeTheEffect,
            (Status::DeviceFault, Effect::None),
            "driver-crashed",
        ),
        (
            Way::PanicsAfterTheEffectBegan,
            (Status::OutcomeUnknown, Effect::Unknown),
            "driver-crashed",
        ),
        (
            Way::HangsBeforeTheEffect,
            (Status::TimedOut, Effect::None),
            "driver-crashed",
        ),
        (
            Way::HangsAfterTheEffectBegan,
            (Status::OutcomeUnknown, Effect::Unknown),
            "driver-crashed",
        ),
        (Way::Well, (Status::Ok, Effect::Done), ""),
    ] {
        let mut bench = Bench::new(way);
        assert_eq!(bench.condition().await, "usable");
        bench.pay().await;
        if !keyword.is_empty() {
            assert_eq!(bench.condition().await, keyword, "{way:?}");
        }
        assert_eq!(bench.failure().await, expected, "{way:?}");
        if !keyword.is_empty() {
            assert_eq!(bench.condition().await, keyword, "{way:?}");
            assert_eq!(
                bench.condition().await,
                "usable",
                "{way:?}: it comes back by itself"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_crashes_again_and_again_is_given_up_until_a_reset() {
    let mut bench = Bench::new(Way::PanicsBeforeTheEffect);
    for _ in 0..5 {
        assert_eq!(bench.condition().await, "usable");
        bench.pay().await;
        assert_eq!(bench.failure().await, (Status::DeviceFault, Effect::None));
        let _ = bench.condition().await;
    }
    assert_eq!(bench.opened.load(Ordering::SeqCst), 5);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(
        bench.opened.load(Ordering::SeqCst),
        5,
        "nobody tries any more"
    );
    bench.call(ResetParams {}).await;
    assert_eq!(bench.condition().await, "usable");
    assert!(matches!(
        bench.outcome().await,
        Outcome::Ok(Response::AnyDevice(any_device::Response::Reset(_)))
    ));
    assert_eq!(bench.opened.load(Ordering::SeqCst), 6);
}

#[tokio::test(start_paused = true)]
async fn lost_contact_is_made_again_however_often() {
    let mut bench = Bench::new(Way::LosesContact);
    for _ in 0..20 {
        assert_eq!(bench.condition().await, "usable");
        bench.pay().await;
        assert_eq!(bench.condition().await, "connection-lost");
        assert_eq!(bench.failure().await, (Status::Ok, Effect::Done));
        assert_eq!(bench.condition().await, "connection-lost");
    }
    assert_eq!(
        bench.closed.load(Ordering::SeqCst),
        20,
        "each driver task closed its port"
    );
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_not_there_is_tried_until_it_is() {
    let mut bench = Bench::new(Way::CannotOpen);
    for _ in 0..3 {
        assert_eq!(bench.condition().await, "no-answer");
    }
    assert_eq!(bench.condition().await, "usable");
}

#[tokio::test(start_paused = true)]
async fn a_call_past_its_deadline_is_the_drivers_to_end() {
    let mut bench = Bench::new(Way::StopsWhenAsked);
    assert_eq!(bench.condition().await, "usable");
    let begun = Instant::now();
    bench.pay().await;
    assert_eq!(bench.failure().await, (Status::TimedOut, Effect::None));
    assert_eq!(begun.elapsed().as_secs(), 10);
    bench.pay().await.stop(Stop::Cancelled);
    assert_eq!(bench.failure().await, (Status::Cancelled, Effect::None));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_the_device_is_let_go_of() {
    let mut bench = Bench::new(Way::Well);
    assert_eq!(bench.condition().await, "usable");
    bench.stop.cancel();
    bench.task.await.unwrap();
    assert_eq!(bench.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_pulled_out_is_let_go_of_and_lives_anew_with_the_next_plug() {
    let (place, plug) = watch::channel(Plug::Out(not_attached()));
    let (spec_of, mut spec) = mpsc::channel(1);
    let mut bench = Bench::plugged(Way::Well, |made| {
        spec_of.try_send(made).ok();
        plug
    });
    let spec = spec.recv().await.unwrap();
    assert_eq!(bench.condition().await, "not-attached");
    bench.pay().await;
    assert_eq!(bench.failure().await, (Status::Unavailable, Effect::None));
    for task in 1..=3 {
        place.send_replace(Plug::In(spec.clone()));
        assert_eq!(bench.condition().await, "starting");
        assert_eq!(bench.condition().await, "usable");
        bench.pay().await;
        assert_eq!(bench.failure().await, (Status::Ok, Effect::Done));
        place.send_replace(Plug::Pulled);
        assert_eq!(
            bench.condition().await,
            "starting",
            "it may be back at once"
        );
        assert_eq!(bench.closed.load(Ordering::SeqCst), task);
        place.send_replace(Plug::Out(not_attached()));
        assert_eq!(bench.condition().await, "not-attached");
    }
    assert_eq!(bench.opened.load(Ordering::SeqCst), 3);
    bench.stop.cancel();
    bench.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_swapped_within_a_moment_gets_a_new_driver_task() {
    let (place, plug) = watch::channel(Plug::Pulled);
    let mut bench = Bench::plugged(Way::Well, |spec| {
        place.send_replace(Plug::In(spec));
        plug
    });
    assert_eq!(bench.condition().await, "usable");
    let Plug::In(spec) = place.borrow().clone() else {
        unreachable!("it was plugged in above");
    };
    place.send_replace(Plug::Pulled);
    place.send_replace(Plug::In(spec));
    assert_eq!(bench.condition().await, "starting");
    assert_eq!(bench.condition().await, "usable");
    assert_eq!(bench.opened.load(Ordering::SeqCst), 2);
    assert_eq!(bench.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_on_a_device_that_is_pulled_out_ends_by_its_driver_and_soon() {
    for (way, expected) in [
        (Way::StopsWhenAsked, (Status::TimedOut, Effect::None)),
        (
            Way::HangsAfterTheEffectBegan,
            (Status::OutcomeUnknown, Effect::Unknown),
        ),
    ] {
        let (place, plug) = watch::channel(Plug::Pulled);
        let mut bench = Bench::plugged(way, |spec| {
            place.send_replace(Plug::In(spec));
            plug
        });
        assert_eq!(bench.condition().await, "usable");
        bench.pay().await;
        // The supervisor has taken it.
        assert!(bench.jobs.reserve().await.is_ok());
        let begun = Instant::now();
        place.send_replace(Plug::Pulled);
        assert_eq!(bench.failure().await, expected, "{way:?}");
        let waited = begun.elapsed().as_secs();
        let bound = if way == Way::StopsWhenAsked { 2 } else { 90 };
        assert!(waited <= bound, "{way:?}: {waited} s");
        place.send_replace(Plug::Out(not_attached()));
        while bench.condition().await != "not-attached" {}
    }
}

fn not_attached() -> Reason {
    Reason::new("not-attached", "", "")
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_hangs_or_panics_over_the_records_leaves_the_call_to_a_person() {
    for way in [Way::HangsOverTheRecords, Way::PanicsOverTheRecords] {
        let mut bench = Bench::new(way);
        assert_eq!(bench.condition().await, "usable");
        bench.settle().await;
        assert_eq!(bench.condition().await, "driver-crashed", "{way:?}");
        let (_, events) = bench.events.recv().await.unwrap();
        assert!(
            matches!(&events, SupervisorEvent::Reconciled(CallNo(1), Reconciled::Undecided(reason))
                if reason.keyword == "driver-failed"),
            "{way:?}"
        );
        assert_eq!(bench.condition().await, "driver-crashed");
        assert_eq!(bench.condition().await, "usable", "a new driver task");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_no_driver_that_does_not_end() {
    for way in [Way::HangsOverTheRecords, Way::HangsAfterTheEffectBegan] {
        let mut bench = Bench::new(way);
        assert_eq!(bench.condition().await, "usable");
        if way == Way::HangsOverTheRecords {
            bench.settle().await;
        } else {
            bench.pay().await;
            assert!(bench.jobs.reserve().await.is_ok());
        }
        let begun = Instant::now();
        bench.stop.cancel();
        bench.task.await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{way:?}");
    }
}
