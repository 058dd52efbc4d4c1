//! Stopping a payment against the card, the bank, the cardholder's red key and a broken line, at
//! every interleaving that dice come up with: thousands of schedules, each played from its seed in
//! paused time. The times lie on a coarse grid, so that many things happen at the same instant.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
    time::Duration,
};

use koffer_proto::{Effect, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep_until},
};

use super::script::{
    BOOKED, PAY, READY, REGISTER, Recorder, Stage, TAKEN, hex, kept, pay, perform_and_leave, script,
};
use crate::{CallUpdate, Stop};

/// Schedules that are played.
const SEEDS: u64 = 5_000;

struct Dice(fastrand::Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.0.u64(..sides) == 0
    }

    fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.0.usize(..choice.len())]
    }

    /// So many steps of the grid at most.
    fn time(&mut self, steps: u64) -> Duration {
        Duration::from_millis(250 * self.0.u64(..=steps))
    }
}

/// What the terminal does when it is asked to abort while the card is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abort {
    /// Says at once that it is too late.
    Refused,
    /// Takes it, and goes on all the same.
    Ignored,
    /// Takes it, and reverses nothing as nothing is booked yet.
    Obeyed,
}

/// How a payment ends that nobody stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Booked,
    Declined,
    RedKey,
}

/// Everything that is left to chance. Times count from the command's arrival, the stop's from the
/// beginning of the call.
#[derive(Debug)]
struct Schedule {
    answers_after: Duration,
    card_after: Duration,
    host_after: Duration,
    abort_after: Duration,
    abort: Abort,
    end: End,
    stop: Option<(Duration, Stop)>,
    cut: Option<Duration>,
}

impl Schedule {
    fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        Self {
            answers_after: dice.time(2),
            card_after: dice.time(16),
            host_after: dice.time(16),
            abort_after: dice.time(8),
            abort: dice.one_of(&[Abort::Refused, Abort::Ignored, Abort::Obeyed]),
            end: dice.one_of(&[End::Booked, End::Booked, End::Declined, End::RedKey]),
            stop: (!dice.one_in(8)).then(|| {
                let stop = [
                    Stop::Cancelled,
                    Stop::Cancelled,
                    Stop::Deadline,
                    Stop::Shutdown,
                ];
                (dice.time(36), dice.one_of(&stop))
            }),
            cut: dice.one_in(3).then(|| dice.time(36)),
        }
    }
}

/// What really happened in the terminal.
#[derive(Debug, Default, Clone, Copy)]
struct Truth {
    commands: u32,
    booked: bool,
    asked_to_abort: bool,
}

/// A terminal that follows a schedule.
struct Terminal {
    line: DuplexStream,
    schedule: Schedule,
    begun: Instant,
    truth: Arc<Mutex<Truth>>,
}

/// The line is cut.
struct Cut;

impl Terminal {
    /// Until the line is cut or the ECR has hung up.
    async fn serve(mut self) {
        perform_and_leave(&mut self.line, script(&[REGISTER, READY])).await;
        let mut command = vec![0; hex(paid_command()).len()];
        if self.line.read_exact(&mut command).await.is_err() {
            return;
        }
        assert_eq!(command, hex(paid_command()));
        self.truth.lock().unwrap().commands += 1;
        self.begun = Instant::now();
        if self.transact().await.is_ok() {
            // A second command would be one too many.
            let mut rest = Vec::new();
            let _ = self.line.read_to_end(&mut rest).await;
            let again = rest.windows(2).any(|two| two == [0x06, 0x01]);
            assert!(!again, "{rest:02X?}");
        }
    }

    async fn transact(&mut self) -> Result<(), Cut> {
        let Schedule {
            answers_after,
            card_after,
            host_after,
            ..
        } = self.schedule;
        self.wait_until(answers_after).await?;
        self.say(taken()).await?;
        self.say("04FF 01 0A").await?;
        let card = answers_after + card_after;
        if self.idle_until(card).await?.is_break() {
            self.obey(card).await?;
            return self.say("061E 01 6C").await;
        }
        self.say("04FF 01 0E").await?;
        let host = card + host_after;
        if self.idle_until(host).await?.is_break() {
            match self.schedule.abort {
                Abort::Obeyed => {
                    self.obey(host).await?;
                    return self.say("061E 01 6C").await;
                }
                Abort::Ignored => self.say(taken()).await?,
                Abort::Refused => self.say("8483 00").await?,
            }
            self.wait_until(host).await?;
        }
        match self.schedule.end {
            End::Booked => {
                self.truth.lock().unwrap().booked = true;
                self.say(BOOKED).await?;
            }
            End::Declined => return self.say("061E 01 64").await,
            End::RedKey => return self.say("061E 01 6C").await,
        }
        self.wait_until(host + Duration::from_millis(250)).await?;
        self.say("060F 00").await
    }

    /// Takes an abort, and needs a moment for it.
    async fn obey(&mut self, from: Duration) -> Result<(), Cut> {
        self.say(taken()).await?;
        let until = from.min(self.begun.elapsed()) + self.schedule.abort_after;
        self.wait_until(until).await
    }

    async fn say(&mut self, apdu: &str) -> Result<(), Cut> {
        if self.is_cut() {
            return Err(Cut);
        }
        self.line.write_all(&hex(apdu)).await.map_err(|_| Cut)
    }

    fn is_cut(&self) -> bool {
        let cut = self.schedule.cut;
        cut.is_some_and(|cut| self.begun.elapsed() >= cut)
    }

    /// Hears what the ECR says until then, and does not care.
    async fn wait_until(&mut self, until: Duration) -> Result<(), Cut> {
        while self.idle_until(until).await?.is_break() {}
        Ok(())
    }

    /// Hears what the ECR says until then; breaks off where it asks to abort.
    async fn idle_until(&mut self, until: Duration) -> Result<ControlFlow<()>, Cut> {
        loop {
            let cut = self.schedule.cut.unwrap_or(Duration::MAX);
            let next = self.begun + until.min(cut);
            let mut apdu = [0; 3];
            tokio::select! {
                biased;
                read = self.line.read_exact(&mut apdu) => read.map_err(|_| Cut)?,
                () = sleep_until(next) => {
                    return if self.is_cut() { Err(Cut) } else { Ok(ControlFlow::Continue(())) };
                }
            };
            match apdu {
                [0x80, 0, 0] => {}
                [0x06, 0xB0, 0] => {
                    self.truth.lock().unwrap().asked_to_abort = true;
                    return Ok(ControlFlow::Break(()));
                }
                other => panic!("{other:02X?}"),
            }
        }
    }
}

fn paid_command() -> &'static str {
    match PAY {
        super::script::Hear(command) => command,
        other => unreachable!("{other:?}"),
    }
}

fn taken() -> &'static str {
    match TAKEN {
        super::script::Say(answer) => answer,
        other => unreachable!("{other:?}"),
    }
}

/// Plays one schedule; says how it ended.
async fn play(seed: u64) -> (Status, Effect, bool) {
    let schedule = Schedule::of(seed);
    let (stop, cut) = (schedule.stop, schedule.cut);
    let story = format!("seed {seed}: {schedule:?}");
    let truth = Arc::<Mutex<Truth>>::default();
    let mut stage = Stage::new(kept());
    let terminal = tokio::spawn(
        Terminal {
            line: stage.line(),
            schedule,
            begun: Instant::now(),
            truth: truth.clone(),
        }
        .serve(),
    );
    let played = stage
        .run_with(pay(), Recorder::default(), |steering| {
            let Some((after, stop)) = stop else { return };
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                steering.stop(stop);
            });
        })
        .await;
    drop(stage);
    terminal.await.unwrap();
    let truth = *truth.lock().unwrap();
    let (status, effect) = played.ended();
    let told_too_late = played.told.contains(&CallUpdate::PastCancelling);
    let story = format!(
        "{story}\n{truth:?}\n{:?}\n{:?}",
        played.finished, played.told
    );

    assert!(truth.commands <= 1, "{story}");
    match effect {
        Effect::Done => assert!(truth.booked, "{story}"),
        Effect::None => assert!(!truth.booked, "{story}"),
        Effect::Unknown => assert!(cut.is_some(), "{story}"),
        Effect::Partial => panic!("{story}"),
    }
    if effect != Effect::Done && played.cause() == "cancelled-by-caller" {
        assert_eq!(stop.map(|(_, stop)| stop), Some(Stop::Cancelled), "{story}");
        assert!(
            !told_too_late,
            "too late, and cancelled all the same: {story}"
        );
    }
    // Whoever asks for a cancel hears of it within the minute that a host may need.
    if let Some((after, _)) = stop {
        assert!(played.took <= after + Duration::from_secs(61), "{story}");
    }
    if stop.is_some() && truth.asked_to_abort && effect == Effect::Done {
        assert!(
            told_too_late,
            "booked after an abort, and nobody knew: {story}"
        );
    }
    (status, effect, told_too_late)
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_answered_rightly_whatever_it_meets() {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 1..=SEEDS {
        let (status, effect, too_late) = play(seed).await;
        let ending = format!("{status:?} {effect:?} too late: {too_late}");
        *seen.entry(ending).or_insert(0_u32) += 1;
    }
    // Every ending was met, often enough to mean something.
    for expected in [
        "Ok Done too late: true",
        "Cancelled None too late: false",
        "Cancelled None too late: true",
        "TimedOut None too late: false",
        "Declined None too late: false",
        "Declined None too late: true",
        "OutcomeUnknown Unknown too late: false",
        "OutcomeUnknown Unknown too late: true",
    ] {
        assert!(
            seen.get(expected).is_some_and(|times| *times > 10),
            "{expected}: {seen:#?}"
        );
    }
}
