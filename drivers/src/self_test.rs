//! A self-test in the making: steps, how long each took, and how the whole ends.

use koffer_proto::{
    Identity, ProgressEvent,
    class::any_device::{SelfTestLevel, SelfTestReport, SelfTestStep, StepOutcome},
};
use tokio::time::Instant;

use crate::Call;

/// The steps so far. Each is told as progress when it ends.
pub(crate) struct SelfTest<'a> {
    call: &'a Call,
    asked: SelfTestLevel,
    /// The level that the next step belongs to.
    level: SelfTestLevel,
    /// Whether a step of the level that was asked for was tried.
    tried: bool,
    began: Instant,
    steps: Vec<SelfTestStep>,
}

impl<'a> SelfTest<'a> {
    /// Begins with the internal steps.
    pub(crate) fn new(asked: SelfTestLevel, call: &'a Call) -> Self {
        Self {
            call,
            asked,
            level: SelfTestLevel::Internal,
            tried: false,
            began: Instant::now(),
            steps: Vec::new(),
        }
    }

    /// The steps that follow belong to this level.
    pub(crate) fn at(&mut self, level: SelfTestLevel) {
        self.level = level;
    }

    /// A step has ended; it took the time since the one before.
    pub(crate) async fn add(&mut self, name: &str, outcome: StepOutcome, message: String) {
        let tried = outcome != StepOutcome::Skipped;
        let took = self.began.elapsed().as_millis();
        let step = SelfTestStep {
            name: name.to_owned(),
            outcome,
            message,
            duration_ms: tried.then(|| u64::try_from(took).unwrap_or(u64::MAX)),
        };
        self.tried |= tried && self.level == self.asked;
        let event = ProgressEvent::SelfTest { step: step.clone() };
        self.call.progress(event).await;
        self.steps.push(step);
        self.began = Instant::now();
    }

    /// Where nothing of the level that was asked for was tried, nothing of it has passed.
    pub(crate) fn report(self, identity: Identity) -> SelfTestReport {
        let failed = |step: &SelfTestStep| step.outcome == StepOutcome::Failed;
        let outcome = if self.steps.iter().any(failed) {
            StepOutcome::Failed
        } else if self.tried {
            StepOutcome::Passed
        } else {
            StepOutcome::Skipped
        };
        SelfTestReport {
            passed: outcome == StepOutcome::Passed,
            level: Some(self.asked),
            outcome: Some(outcome),
            steps: self.steps,
            identity,
            address: None,
            supplies: Vec::new(),
        }
    }
}
