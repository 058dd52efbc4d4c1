//! Supervision: one task per device. It restarts the driver with backoff, gives up after several crashes in
//! a row, and answers the call of a driver that hangs or panics. What one device does touches no other.
//! The task goes on while the device is unplugged.

use std::time::Duration;

use koffer_drivers::{CallControl, Contact, Fault, Finished, Opened, Reconciled, Stop};
use koffer_proto::{
    DeviceId, EffectKind, Failure, Outcome, Reason, Request, Response, Status,
    class::any_device::{self, ResetDone},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    DeviceSpec, Plug,
    description::description,
    driver_task::{DriverCommand, DriverEvent, DriverTask},
    reasons::{crashed, hung, records_not_read, silent},
    warnings::Warnings,
};
use crate::{
    backoff::Backoff,
    calls::{Condition, Job, Reconcile, Start, SupervisorEvent},
};

/// A device that answers slowly at first (a terminal that dials in) is given this long.
const OPENING: Duration = Duration::from_mins(1);

/// What a driver may take after its call's deadline to bring the device to rest: an abort on a
/// payment terminal is answered within some seconds, and the ZVT driver gives up after 76 s at the latest.
const GRACE: Duration = Duration::from_secs(80);

/// How long a driver may look for what became of a call, beyond what the call may take: a printer
/// that has the document prints it when somebody brings paper.
const RECONCILING: Duration = Duration::from_mins(1);

/// A driver notices within milliseconds that its line is gone, and then says what became of the
/// call. One that has not by then is asked to end.
const NOTICE: Duration = Duration::from_secs(2);

/// Nobody answers on the line of a device that was pulled out, so letting go of it needs no more.
const LEAVE_PULLED: Duration = Duration::from_secs(1);

/// Pauses before a device is opened again: a cable that is plugged back in should work at once,
/// a terminal that is switched off for the night needs no more than this.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Panics and hangs are defects of a driver, and repeating them helps nobody: after so many in
/// a row the device stays at fault until a technician resets it. Lost contact never gives up.
const CRASHES_IN_A_ROW: u32 = 5;

/// A device's supervisor, to be spawned, and where the device's calls go: one at a time, so one
/// place is enough. It ends when `stop` is cancelled, which is
/// done when every call is answered or the time of the shutdown is over. When the sender of `plug` is
/// gone, nothing is plugged in or pulled out any more.
pub fn supervise(
    id: DeviceId,
    plug: watch::Receiver<Plug>,
    events: mpsc::Sender<(DeviceId, SupervisorEvent)>,
    stop: CancellationToken,
) -> (mpsc::Sender<Job>, impl Future<Output = ()> + Send + 'static) {
    let (jobs, queue) = mpsc::channel(1);
    let supervisor = Supervisor {
        id,
        plug,
        jobs: queue,
        events,
        stop,
        crashes: 0,
        openings: 0,
        resetting: None,
    };
    (jobs, supervisor.run())
}

struct Supervisor {
    id: DeviceId,
    plug: watch::Receiver<Plug>,
    jobs: mpsc::Receiver<Job>,
    events: mpsc::Sender<(DeviceId, SupervisorEvent)>,
    stop: CancellationToken,
    crashes: u32,
    /// How often the device was opened.
    openings: u64,
    /// A reset that is answered when the device is open again.
    resetting: Option<Box<Start>>,
}

/// How a driver task ended.
enum Ended {
    /// The gateway goes down.
    Stopped,
    /// Contact was lost or never made.
    Lost(Fault),
    /// The driver panicked, or was given up on.
    Crashed,
    /// A technician wants a new one.
    Reset(Box<Start>),
    /// The device was pulled out, or another one stands in its place.
    Unplugged,
}

/// Why the pause between two driver tasks ended.
enum Paused {
    Over,
    Stopped,
    Unplugged,
}

impl Supervisor {
    async fn run(mut self) {
        while let Some(spec) = self.plugged().await {
            if !self.run_drivers(&spec).await {
                return;
            }
        }
    }

    /// Waits until something is plugged in; `None`: going down.
    async fn plugged(&mut self) -> Option<DeviceSpec> {
        let mut was_out = self.openings > 0;
        loop {
            let plug = self.plug.borrow_and_update().clone();
            let reason = match plug {
                Plug::In(spec) => {
                    if was_out {
                        self.tell(SupervisorEvent::Condition(Condition::Starting))
                            .await;
                    }
                    return Some(spec);
                }
                Plug::Pulled => {
                    self.tell(SupervisorEvent::Condition(Condition::Starting))
                        .await;
                    silent().reason
                }
                Plug::Out(reason) => {
                    self.tell(SupervisorEvent::Condition(Condition::Absent(
                        reason.clone(),
                    )))
                    .await;
                    reason
                }
            };
            was_out = true;
            loop {
                tokio::select! {
                    () = replugged(&mut self.plug) => break,
                    () = self.stop.cancelled() => return None,
                    job = self.jobs.recv() => match job? {
                        Job::Run(start) => self.refuse(start, Status::Unavailable, &reason).await,
                        Job::Reconcile(settle) => self.put_off(&settle).await,
                    },
                }
            }
        }
    }

    /// Runs one driver task after the other, until the device is pulled out. `false`: going down.
    async fn run_drivers(&mut self, spec: &DeviceSpec) -> bool {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut warnings = Warnings::default();
        self.crashes = 0;
        loop {
            let openings = self.openings;
            let ended = self.run_driver(spec).await;
            if self.openings > openings {
                backoff.reset();
                warnings.reset();
            }
            let reason = match ended {
                Ended::Stopped => return false,
                Ended::Unplugged => {
                    tracing::info!(device = %self.id, "unplugged");
                    if let Some(start) = self.resetting.take() {
                        self.refuse(*start, Status::Unavailable, &silent().reason)
                            .await;
                    }
                    return true;
                }
                Ended::Reset(start) => {
                    self.resetting = Some(start);
                    self.crashes = 0;
                    self.tell(SupervisorEvent::Condition(Condition::Starting))
                        .await;
                    continue;
                }
                Ended::Lost(fault) => fault.reason,
                Ended::Crashed => {
                    self.crashes += 1;
                    crashed(self.crashes >= CRASHES_IN_A_ROW)
                }
            };
            if let Some(repeats) = warnings.due(&reason, Instant::now()) {
                tracing::warn!(device = %self.id, reason = %reason.keyword, repeats, "{}", reason.text.en);
            }
            if let Some(start) = self.resetting.take() {
                self.refuse(*start, Status::DeviceFault, &reason).await;
            }
            self.tell(SupervisorEvent::Condition(Condition::Fault(reason)))
                .await;
            let pause = (self.crashes < CRASHES_IN_A_ROW).then(|| backoff.next_pause());
            match self.pause(pause).await {
                Paused::Over => {}
                Paused::Stopped => return false,
                Paused::Unplugged => return true,
            }
        }
    }

    /// Waits, for ever where `pause` is `None`, but answers a reset at once.
    async fn pause(&mut self, pause: Option<Duration>) -> Paused {
        let over = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => Paused::Over,
            () = replugged(&mut self.plug) => Paused::Unplugged,
            () = self.stop.cancelled() => Paused::Stopped,
            job = self.jobs.recv() => match job {
                Some(Job::Run(start)) if is_reset(&start.request) => {
                    self.crashes = 0;
                    self.resetting = Some(Box::new(start));
                    Paused::Over
                }
                Some(Job::Reconcile(settle)) => {
                    self.put_off(&settle).await;
                    Paused::Over
                }
                Some(Job::Run(start)) => {
                    // It was on its way when contact was lost.
                    self.refuse(start, Status::Unavailable, &silent().reason).await;
                    Paused::Over
                }
                None => Paused::Stopped,
            },
        }
    }

    /// The device cannot be asked now; it is, when it is back.
    async fn put_off(&self, settle: &Reconcile) {
        let lost = Reconciled::Lost(silent());
        self.tell(SupervisorEvent::Reconciled(settle.no, lost))
            .await;
    }

    /// Answers a call that never reached the device.
    async fn refuse(&self, start: Start, status: Status, reason: &Reason) {
        let failure = Failure::without_effect(status, reason.text.get(start.call.lang));
        self.tell(SupervisorEvent::Finished(
            start.no,
            Outcome::Failed(failure),
        ))
        .await;
    }

    /// Runs one driver task: the device is opened, then calls run one after the other.
    async fn run_driver(&mut self, spec: &DeviceSpec) -> Ended {
        let mut driver = DriverTask::begin((spec.make)());
        let opened = tokio::select! {
            opened = timeout(OPENING, driver.events.recv()) => opened,
            () = replugged(&mut self.plug) => {
                driver.let_go(&self.id, LEAVE_PULLED).await;
                return Ended::Unplugged;
            }
            () = self.stop.cancelled() => return Ended::Stopped,
        };
        match opened {
            Ok(Some(DriverEvent::Opened(opened))) => self.opened(spec, &opened).await,
            Ok(Some(DriverEvent::Lost(fault))) => return Ended::Lost(fault),
            Ok(Some(DriverEvent::Report(_)) | None) => return Ended::Crashed,
            Err(_) => return Ended::Lost(silent()),
        }
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {
                    driver.let_go(&self.id, GRACE).await;
                    return Ended::Stopped;
                }
                () = replugged(&mut self.plug) => {
                    driver.let_go(&self.id, LEAVE_PULLED).await;
                    return Ended::Unplugged;
                }
                events = driver.events.recv() => match events {
                    Some(DriverEvent::Report(report)) => self.tell(SupervisorEvent::Report(report)).await,
                    Some(DriverEvent::Lost(fault)) => return Ended::Lost(fault),
                    Some(DriverEvent::Opened(_)) | None => return Ended::Crashed,
                },
                job = self.jobs.recv() => {
                    let ended = match job {
                        None => return Ended::Stopped,
                        Some(Job::Run(start)) if is_reset(&start.request) => {
                            driver.let_go(&self.id, GRACE).await;
                            return Ended::Reset(Box::new(start));
                        }
                        Some(Job::Run(start)) => self.run_call(spec, &mut driver, start).await,
                        Some(Job::Reconcile(settle)) => self.settle(&mut driver, settle).await,
                    };
                    match ended {
                        None => {}
                        Some(Ended::Lost(fault)) => {
                            driver.let_go(&self.id, GRACE).await;
                            return Ended::Lost(fault);
                        }
                        Some(Ended::Unplugged) => {
                            driver.let_go(&self.id, LEAVE_PULLED).await;
                            return Ended::Unplugged;
                        }
                        Some(ended) => return ended,
                    }
                }
            }
        }
    }

    async fn opened(&mut self, spec: &DeviceSpec, opened: &Opened) {
        self.openings += 1;
        if self.openings > 1 {
            self.tell(SupervisorEvent::Attached).await;
        }
        tracing::info!(device = %self.id, "open");
        self.tell(SupervisorEvent::Described(Box::new(description(
            spec, opened,
        ))))
        .await;
        self.tell(SupervisorEvent::Condition(Condition::Usable(
            opened.reasons.clone(),
        )))
        .await;
        if let Some(start) = self.resetting.take() {
            let done = any_device::Response::Reset(ResetDone {});
            self.tell(SupervisorEvent::Finished(
                start.no,
                Outcome::Ok(Response::AnyDevice(done)),
            ))
            .await;
        }
    }

    /// Runs a call to its end, whatever the driver does. `Some`: the driver task ended with it.
    async fn run_call(
        &mut self,
        spec: &DeviceSpec,
        driver: &mut DriverTask,
        start: Start,
    ) -> Option<Ended> {
        let Start {
            no,
            request,
            call,
            mut control,
            ..
        } = start;
        let effect = request.spec().effect;
        let lang = call.lang;
        let give_up = call.deadline + GRACE;
        let steering = control.steering();
        let mut pulled = None;
        let (finished, mut answer) = oneshot::channel();
        if driver
            .commands
            .send(DriverCommand::Run {
                request,
                call,
                finished,
            })
            .await
            .is_err()
        {
            // The driver task ended in this very moment, and the call never reached it.
            let failure =
                Failure::without_effect(Status::Unavailable, silent().reason.text.get(lang));
            self.tell(SupervisorEvent::Finished(no, Outcome::Failed(failure)))
                .await;
            return Some(Ended::Lost(silent()));
        }
        let (mut outcome, mut ended) = loop {
            let notice = pulled.unwrap_or(give_up);
            tokio::select! {
                biased;
                told = control.told.recv() => match told {
                    Some(told) => self.tell(SupervisorEvent::CallUpdate(no, told)).await,
                    // The driver dropped the call: it has finished, or panicked.
                    None => break match (&mut answer).await {
                        Ok(Finished { outcome, contact: Contact::Kept }) => {
                            self.crashes = 0;
                            (outcome, None)
                        }
                        Ok(Finished { outcome, contact: Contact::Lost(fault) }) => {
                            self.crashes = 0;
                            (outcome, Some(Ended::Lost(fault)))
                        }
                        Err(_) => (
                            given_up(Status::DeviceFault, effect, &control, &crashed(false), lang),
                            Some(Ended::Crashed),
                        ),
                    },
                },
                () = replugged(&mut self.plug), if pulled.is_none() => {
                    pulled = Some(Instant::now() + NOTICE);
                }
                // Nothing will come any more: as if its time were over already. The driver knows
                // what had begun.
                () = sleep_until(notice), if pulled.is_some_and(|notice| notice < give_up) => {
                    steering.stop(Stop::Deadline);
                    pulled = Some(give_up);
                }
                // Only when the time that a shutdown gives to running calls is over.
                () = self.stop.cancelled() => return Some(Ended::Stopped),
                () = sleep_until(give_up) => {
                    driver.task.abort();
                    break (
                        given_up(Status::TimedOut, effect, &control, &hung(), lang),
                        Some(Ended::Crashed),
                    );
                }
            }
        };
        // The device's state changes before the caller hears: who reads both sees them agree.
        if let Some(Ended::Lost(fault)) = &ended {
            self.tell(SupervisorEvent::Condition(Condition::Fault(
                fault.reason.clone(),
            )))
            .await;
        } else if ended.is_some() {
            self.tell(SupervisorEvent::Condition(Condition::Fault(crashed(false))))
                .await;
        }
        with_address(spec, &mut outcome);
        self.tell(SupervisorEvent::Finished(no, outcome)).await;
        if pulled.is_some() {
            ended = Some(Ended::Unplugged);
        }
        ended
    }

    /// Asks the device what became of a call of before. `Some`: the driver task ended with it.
    async fn settle(&mut self, driver: &mut DriverTask, settle: Reconcile) -> Option<Ended> {
        let Reconcile { no, interrupted } = settle;
        let within = interrupted.operation.max_duration + RECONCILING;
        let (settled, answer) = oneshot::channel();
        let command = DriverCommand::Reconcile {
            interrupted,
            settled,
        };
        // Where the driver task ended in this very moment, nobody answers.
        let _ = driver.commands.send(command).await;
        let answered = tokio::select! {
            answered = timeout(within, answer) => answered,
            () = replugged(&mut self.plug) => {
                let lost = Reconciled::Lost(silent());
                self.tell(SupervisorEvent::Reconciled(no, lost)).await;
                return Some(Ended::Unplugged);
            }
            // The call is answered, and only read for: the next start asks again.
            () = self.stop.cancelled() => return Some(Ended::Stopped),
        };
        let (reconciled, ended) = match answered {
            Ok(Ok(Reconciled::Lost(fault))) => {
                (Reconciled::Lost(fault.clone()), Some(Ended::Lost(fault)))
            }
            Ok(Ok(reconciled)) => (reconciled, None),
            // It panicked or hung, and would again.
            Ok(Err(_)) | Err(_) => {
                driver.task.abort();
                let undecided = Reconciled::Undecided(records_not_read());
                (undecided, Some(Ended::Crashed))
            }
        };
        let fault = match (&reconciled, &ended) {
            (Reconciled::Lost(fault), _) => Some(fault.reason.clone()),
            (_, Some(_)) => Some(crashed(false)),
            (_, None) => None,
        };
        if let Some(fault) = fault {
            self.tell(SupervisorEvent::Condition(Condition::Fault(fault)))
                .await;
        }
        self.tell(SupervisorEvent::Reconciled(no, reconciled)).await;
        ended
    }

    async fn tell(&self, events: SupervisorEvent) {
        // Nobody listens any more only when the daemon ends.
        let _ = self.events.send((self.id.clone(), events)).await;
    }
}

/// Waits until something else is plugged in than was last seen.
async fn replugged(plug: &mut watch::Receiver<Plug>) {
    if plug.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn is_reset(request: &Request) -> bool {
    matches!(request, Request::AnyDevice(any_device::Request::Reset(_)))
}

/// A self-test says where the device is; only the supervisor knows.
fn with_address(spec: &DeviceSpec, outcome: &mut Outcome<Response>) {
    if let Outcome::Ok(Response::AnyDevice(any_device::Response::SelfTest(report))) = outcome {
        report.address = spec.connection.address();
    }
}

/// The outcome of a call whose driver will never tell.
fn given_up(
    status: Status,
    effect: EffectKind,
    control: &CallControl,
    reason: &Reason,
    lang: koffer_proto::Lang,
) -> Outcome<Response> {
    let message = reason.text.get(lang);
    Outcome::Failed(if effect == EffectKind::Once && control.effect_begun() {
        Failure::outcome_unknown(message)
    } else {
        Failure::without_effect(status, message)
    })
}
