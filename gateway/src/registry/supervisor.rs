//! Supervision: one task per device that begins the driver's lives, one after the other, and
//! answers for a life that hangs or panics. What one device does touches no other.

use std::time::Duration;

use koffer_drivers::{
    Call, CallControl, Contact, Driver, Fault, Finished, Interrupted, Opened, Reconciled, Report,
};
use koffer_proto::{
    DeviceId, EffectKind, Failure, Outcome, Reason, Request, Response, Status,
    class::any_device::{self, ResetDone},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{DeviceSpec, description::description};
use crate::{
    backoff::Backoff,
    calls::{Condition, Job, News, Settle, Start},
};

/// A device that answers slowly at first (a terminal that dials in) is given this long.
const OPENING: Duration = Duration::from_mins(1);

/// What a driver may take after its call's deadline to bring the device to rest: an abort on a
/// payment terminal is answered within some seconds, and the ZVT driver gives up after 76 s at the latest.
const GRACE: Duration = Duration::from_secs(80);

/// How long a driver may look for what became of a call, beyond what the call may take: a printer
/// that has the document prints it when somebody brings paper.
const RECONCILING: Duration = Duration::from_mins(1);

/// Pauses before a device is opened again: a cable that is plugged back in should work at once,
/// a terminal that is switched off for the night needs no more than this.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Panics and hangs are defects of a driver, and repeating them helps nobody: after so many in
/// a row the device stays at fault until a technician resets it. Lost contact never gives up.
const CRASHES_IN_A_ROW: u32 = 5;

/// What a driver says while it is neither opened nor asked; it is told promptly.
const SAID: usize = 16;

/// A supervised device.
pub struct Supervised {
    /// Where its calls go: one at a time, so one place is enough.
    pub jobs: mpsc::Sender<Job>,
    /// Ends when the device was let go of.
    pub task: JoinHandle<()>,
}

/// Begins to supervise a device; ends when `stop` is cancelled and no call runs.
pub fn supervise(
    spec: DeviceSpec,
    news: mpsc::Sender<(DeviceId, News)>,
    stop: CancellationToken,
) -> Supervised {
    let (jobs, queue) = mpsc::channel(1);
    let supervisor = Supervisor {
        spec,
        jobs: queue,
        news,
        stop,
        crashes: 0,
        lives: 0,
        resetting: None,
    };
    Supervised {
        jobs,
        task: tokio::spawn(supervisor.run()),
    }
}

struct Supervisor {
    spec: DeviceSpec,
    jobs: mpsc::Receiver<Job>,
    news: mpsc::Sender<(DeviceId, News)>,
    stop: CancellationToken,
    crashes: u32,
    lives: u64,
    /// A reset that is answered when the device is open again.
    resetting: Option<Box<Start>>,
}

/// How a life ended.
enum Ended {
    /// The gateway goes down.
    Stopped,
    /// Contact was lost or never made.
    Lost(Fault),
    /// The driver panicked, or was given up on.
    Crashed,
    /// A technician wants a new one.
    Reset(Box<Start>),
}

/// What is asked of a life.
enum Order {
    Run {
        request: Request,
        call: Call,
        finished: oneshot::Sender<Finished>,
    },
    Settle {
        interrupted: Interrupted,
        settled: oneshot::Sender<Reconciled>,
    },
}

/// What a life says by itself.
enum Said {
    Opened(Opened),
    Report(Report),
    Lost(Fault),
}

/// The task of one life; ends with its owner.
struct Life {
    orders: mpsc::Sender<Order>,
    said: mpsc::Receiver<Said>,
    task: JoinHandle<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Supervisor {
    async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let lives = self.lives;
            let ended = self.live().await;
            if self.lives > lives {
                backoff.reset();
            }
            let reason = match ended {
                Ended::Stopped => return,
                Ended::Reset(start) => {
                    self.resetting = Some(start);
                    self.crashes = 0;
                    self.tell(News::Condition(Condition::Starting)).await;
                    continue;
                }
                Ended::Lost(fault) => fault.reason,
                Ended::Crashed => {
                    self.crashes += 1;
                    crashed(self.crashes >= CRASHES_IN_A_ROW)
                }
            };
            tracing::warn!(device = %self.spec.id, reason = %reason.keyword, "{}", reason.text.en);
            if let Some(start) = self.resetting.take() {
                let failure =
                    Failure::without_effect(Status::DeviceFault, reason.text.get(start.call.lang));
                self.tell(News::Finished(start.no, Outcome::Failed(failure)))
                    .await;
            }
            self.tell(News::Condition(Condition::Fault(reason))).await;
            let pause = (self.crashes < CRASHES_IN_A_ROW).then(|| backoff.next_pause());
            if !self.pause(pause).await {
                return;
            }
        }
    }

    /// Waits, for ever where `pause` is `None`, but answers a reset at once. `false`: going down.
    async fn pause(&mut self, pause: Option<Duration>) -> bool {
        let over = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => true,
            () = self.stop.cancelled() => false,
            job = self.jobs.recv() => match job {
                Some(Job::Run(start)) if is_reset(&start.request) => {
                    self.crashes = 0;
                    self.resetting = Some(Box::new(start));
                    true
                }
                Some(Job::Settle(settle)) => {
                    let lost = Reconciled::Lost(silent());
                    self.tell(News::Settled(settle.no, lost)).await;
                    true
                }
                Some(Job::Run(start)) => {
                    // It was on its way when contact was lost.
                    let text = silent().reason.text;
                    let failure =
                        Failure::without_effect(Status::Unavailable, text.get(start.call.lang));
                    self.tell(News::Finished(start.no, Outcome::Failed(failure))).await;
                    true
                }
                None => false,
            },
        }
    }

    /// One life: opened, then calls one after the other.
    async fn live(&mut self) -> Ended {
        let mut life = begin((self.spec.make)());
        let opened = tokio::select! {
            opened = timeout(OPENING, life.said.recv()) => opened,
            () = self.stop.cancelled() => return Ended::Stopped,
        };
        match opened {
            Ok(Some(Said::Opened(opened))) => self.opened(&opened).await,
            Ok(Some(Said::Lost(fault))) => return Ended::Lost(fault),
            Ok(Some(Said::Report(_)) | None) => return Ended::Crashed,
            Err(_) => return Ended::Lost(silent()),
        }
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {
                    self.let_go(life).await;
                    return Ended::Stopped;
                }
                said = life.said.recv() => match said {
                    Some(Said::Report(report)) => self.tell(News::Report(report)).await,
                    Some(Said::Lost(fault)) => return Ended::Lost(fault),
                    Some(Said::Opened(_)) | None => return Ended::Crashed,
                },
                job = self.jobs.recv() => {
                    let ended = match job {
                        None => return Ended::Stopped,
                        Some(Job::Run(start)) if is_reset(&start.request) => {
                            self.let_go(life).await;
                            return Ended::Reset(Box::new(start));
                        }
                        Some(Job::Run(start)) => self.run_call(&mut life, start).await,
                        Some(Job::Settle(settle)) => self.settle(&mut life, settle).await,
                    };
                    match ended {
                        None => {}
                        Some(Ended::Lost(fault)) => {
                            self.let_go(life).await;
                            return Ended::Lost(fault);
                        }
                        Some(ended) => return ended,
                    }
                }
            }
        }
    }

    async fn opened(&mut self, opened: &Opened) {
        self.lives += 1;
        if self.lives > 1 {
            self.tell(News::Attached).await;
        }
        tracing::info!(device = %self.spec.id, "open");
        self.tell(News::Described(Box::new(description(&self.spec, opened))))
            .await;
        self.tell(News::Condition(Condition::Usable(opened.reasons.clone())))
            .await;
        if let Some(start) = self.resetting.take() {
            let done = any_device::Response::Reset(ResetDone {});
            self.tell(News::Finished(
                start.no,
                Outcome::Ok(Response::AnyDevice(done)),
            ))
            .await;
        }
    }

    /// Runs a call to its end, whatever the driver does. `Some`: the life ended with it.
    async fn run_call(&mut self, life: &mut Life, start: Start) -> Option<Ended> {
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
        let (finished, mut outcome) = oneshot::channel();
        if life
            .orders
            .send(Order::Run {
                request,
                call,
                finished,
            })
            .await
            .is_err()
        {
            // The life ended in this very moment, and the call never reached it.
            let failure =
                Failure::without_effect(Status::Unavailable, silent().reason.text.get(lang));
            self.tell(News::Finished(no, Outcome::Failed(failure)))
                .await;
            return Some(Ended::Lost(silent()));
        }
        let (outcome, ended) = loop {
            tokio::select! {
                biased;
                told = control.told.recv() => match told {
                    Some(told) => self.tell(News::Told(no, told)).await,
                    // The driver dropped the call: it has finished, or panicked.
                    None => break match (&mut outcome).await {
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
                () = sleep_until(give_up) => {
                    life.task.abort();
                    break (
                        given_up(Status::TimedOut, effect, &control, &hung(), lang),
                        Some(Ended::Crashed),
                    );
                }
            }
        };
        // The device's state changes before the caller hears: who reads both sees them agree.
        if let Some(Ended::Lost(fault)) = &ended {
            self.tell(News::Condition(Condition::Fault(fault.reason.clone())))
                .await;
        } else if ended.is_some() {
            self.tell(News::Condition(Condition::Fault(crashed(false))))
                .await;
        }
        self.tell(News::Finished(no, outcome)).await;
        ended
    }

    /// Asks the device what became of a call of before. `Some`: the life ended with it.
    async fn settle(&mut self, life: &mut Life, settle: Settle) -> Option<Ended> {
        let Settle { no, interrupted } = settle;
        let within = interrupted.operation.max_duration + RECONCILING;
        let (settled, answer) = oneshot::channel();
        let order = Order::Settle {
            interrupted,
            settled,
        };
        // Where the life ended in this very moment, nobody answers.
        let _ = life.orders.send(order).await;
        let (reconciled, ended) = match timeout(within, answer).await {
            Ok(Ok(Reconciled::Lost(fault))) => {
                (Reconciled::Lost(fault.clone()), Some(Ended::Lost(fault)))
            }
            Ok(Ok(reconciled)) => (reconciled, None),
            Ok(Err(_)) => (Reconciled::Lost(silent()), Some(Ended::Crashed)),
            Err(_) => {
                life.task.abort();
                (Reconciled::Lost(silent()), Some(Ended::Lost(silent())))
            }
        };
        if let Reconciled::Lost(fault) = &reconciled {
            self.tell(News::Condition(Condition::Fault(fault.reason.clone())))
                .await;
        }
        self.tell(News::Settled(no, reconciled)).await;
        ended
    }

    /// Closes the device in an orderly way, within bounds.
    async fn let_go(&self, mut life: Life) {
        let (gone, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut life.orders, gone));
        if timeout(GRACE, &mut life.task).await.is_err() {
            tracing::warn!(device = %self.spec.id, "the driver did not let go of the device");
        }
    }

    async fn tell(&self, news: News) {
        // Nobody listens any more only when the daemon ends.
        let _ = self.news.send((self.spec.id.clone(), news)).await;
    }
}

fn begin(driver: Box<dyn Driver>) -> Life {
    let (orders, queue) = mpsc::channel(1);
    let (said, hears) = mpsc::channel(SAID);
    Life {
        orders,
        said: hears,
        task: tokio::spawn(life(driver, queue, said)),
    }
}

async fn life(
    mut driver: Box<dyn Driver>,
    mut orders: mpsc::Receiver<Order>,
    said: mpsc::Sender<Said>,
) {
    match driver.open().await {
        Ok(opened) => {
            if said.send(Said::Opened(opened)).await.is_err() {
                return driver.close().await;
            }
        }
        Err(fault) => {
            driver.close().await;
            let _ = said.send(Said::Lost(fault)).await;
            return;
        }
    }
    let (reports, mut reported) = mpsc::channel(SAID);
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let (request, mut call, finished) = match order {
                    None => return driver.close().await,
                    Some(Order::Run { request, call, finished }) => (request, call, finished),
                    Some(Order::Settle { interrupted, settled }) => {
                        let reconciled = driver.reconcile(&interrupted).await;
                        let lost = matches!(reconciled, Reconciled::Lost(_));
                        let _ = settled.send(reconciled);
                        if lost {
                            return driver.close().await;
                        }
                        continue;
                    }
                };
                let result = driver.run(request, &mut call).await;
                let lost = result.contact != Contact::Kept;
                // First the outcome, then the end of the call: who sees the end finds the outcome.
                let _ = finished.send(result);
                drop(call);
                if lost {
                    return driver.close().await;
                }
            }
            Some(report) = reported.recv() => {
                let _ = said.send(Said::Report(report)).await;
            }
            fault = driver.watch(&reports) => {
                driver.close().await;
                let _ = said.send(Said::Lost(fault)).await;
                return;
            }
        }
    }
}

fn is_reset(request: &Request) -> bool {
    matches!(request, Request::AnyDevice(any_device::Request::Reset(_)))
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

fn silent() -> Fault {
    Fault::new(
        "no-answer",
        "Das Gerät antwortet nicht. Strom und Kabel prüfen.",
        "The device does not answer. Check power and cable.",
    )
}

fn hung() -> Reason {
    Reason::new(
        "driver-hung",
        "Der Treiber hat lange nach der Frist nicht geantwortet und wurde neu gestartet.",
        "The driver did not answer long after the deadline and was restarted.",
    )
}

fn crashed(given_up: bool) -> Reason {
    if given_up {
        Reason::new(
            "driver-given-up",
            "Der Treiber ist mehrmals nacheinander abgestürzt. Gerät prüfen, dann „reset“ aufrufen.",
            "The driver crashed several times in a row. Check the device, then call reset.",
        )
    } else {
        Reason::new(
            "driver-crashed",
            "Der Treiber ist abgestürzt und wird neu gestartet.",
            "The driver crashed and is being restarted.",
        )
    }
}
