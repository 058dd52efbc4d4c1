//! A transaction on a line: moves bytes, keeps time, and tells whoever called.

use std::collections::VecDeque;

use koffer_proto::{Lang, ProgressEvent};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    codec::{
        charset::{Charset, Text},
        status::IntermediateStatus,
    },
    link::{Broken, Link},
    timing,
    transaction::{Action, Ended, Event, Phase, Plan, Transaction},
};
use crate::{Call, NotStored, Stop, fail_point};

/// Who is told, and who may wish it to stop.
#[derive(Clone, Copy)]
pub(super) enum Audience<'a> {
    /// A call.
    Call(&'a Call),
    /// Nobody: contact is being made, or an idle terminal looked at.
    Nobody,
}

/// A transaction that is over, and what is left of its line.
#[derive(Debug)]
pub(super) struct Done {
    /// How it ended.
    pub(super) ended: Ended,
    /// Whether the next command may use the line.
    pub(super) line_usable: bool,
}

impl Done {
    /// There was no line to send it on.
    pub(super) fn nothing_sent(broken: Broken) -> Self {
        Self {
            ended: Ended::nothing_sent(broken),
            line_usable: false,
        }
    }
}

impl Audience<'_> {
    /// In which language.
    pub(super) fn lang(self) -> Lang {
        match self {
            Self::Call(call) => call.lang,
            Self::Nobody => Lang::default(),
        }
    }

    /// Resolves when it should end.
    pub(super) async fn stopped(self) -> Stop {
        match self {
            Self::Call(call) => call.stopped().await,
            Self::Nobody => std::future::pending().await,
        }
    }

    /// Whether it should end by now.
    pub(super) async fn is_stopped(self) -> Option<Stop> {
        tokio::select! {
            biased;
            stop = self.stopped() => Some(stop),
            () = std::future::ready(()) => None,
        }
    }

    /// Tells of progress; lost where the caller is slower than the terminal is patient.
    pub(super) async fn progress(self, event: ProgressEvent) {
        if let Self::Call(call) = self {
            let _ = timeout(timing::TELL, call.progress(event)).await;
        }
    }

    async fn past_cancelling(self) {
        if let Self::Call(call) = self {
            let _ = timeout(timing::TELL, call.past_cancelling()).await;
        }
    }
}

/// Runs one command to its end. Never longer than the plan's limit, or than
/// [`timing::SETTLE`] after the audience wished it to stop.
pub(super) async fn run(link: &mut Link, plan: Plan, audience: Audience<'_>) -> Done {
    let mut runner = Runner {
        charset: plan.charset,
        transaction: Transaction::new(plan),
        link,
        audience,
        begun: Instant::now(),
        line_broken: false,
    };
    let first = runner.transaction.start(runner.now());
    runner.perform(first).await;
    while !runner.transaction.is_over() {
        let event = runner.next_event().await;
        let before = runner.transaction.phase();
        let actions = runner.transaction.step(runner.now(), event);
        runner.perform(actions).await;
        if runner.transaction.is_once() {
            passed(before, runner.transaction.phase());
        }
    }
    let phase = runner.transaction.phase();
    let line_broken = runner.line_broken;
    let ended = runner.transaction.into_ended();
    tracing::debug!(?phase, ending = ?ended.ending, "a command ended");
    Done {
        line_usable: !line_broken && ended.line_is_clean(),
        ended,
    }
}

/// The fail points of a command that must not happen twice, where the phases name them.
fn passed(before: Phase, now: Phase) {
    match now {
        _ if now == before => {}
        Phase::Acked => fail_point::reach("zvt.acked"),
        Phase::Card => fail_point::reach("zvt.card"),
        Phase::Host => fail_point::reach("zvt.host"),
        Phase::Receipts => fail_point::reach("zvt.result-answered"),
        Phase::Completed => fail_point::reach("zvt.completed"),
        _ => {}
    }
}

struct Runner<'a> {
    transaction: Transaction,
    link: &'a mut Link,
    audience: Audience<'a>,
    charset: Charset,
    begun: Instant,
    line_broken: bool,
}

impl Runner<'_> {
    fn now(&self) -> std::time::Duration {
        self.begun.elapsed()
    }

    async fn next_event(&mut self) -> Event {
        // Without a deadline nothing is waited for; the machine never leaves it at that.
        let wait = self.transaction.deadline().unwrap_or_default();
        let audience = self.audience;
        let stop = async {
            if self.transaction.heard_stop() {
                std::future::pending().await
            } else {
                audience.stopped().await
            }
        };
        // Biased, so that a terminal that never stops talking cannot drown the clock.
        tokio::select! {
            biased;
            stop = stop => Event::Stop(stop),
            () = sleep_until(self.begun + wait) => Event::Timeout,
            received = self.link.receive() => match received {
                Ok(apdu) => Event::Received(apdu),
                Err(broken) => {
                    self.line_broken = true;
                    Event::Lost(broken)
                }
            },
        }
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            if let Some(event) = self.perform_one(action).await {
                queue.extend(self.transaction.step(self.now(), event));
            }
        }
    }

    async fn perform_one(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Command(apdu, repeat) => {
                let sent = self.link.send(&apdu, repeat).await;
                // 06 B0 comes in a later phase.
                if self.transaction.is_once() && self.transaction.phase() == Phase::Sent {
                    fail_point::reach("zvt.sent");
                }
                Some(self.after_sending(sent).unwrap_or(Event::Written))
            }
            Action::Answer(apdu) => {
                let sent = self.link.send(&apdu, super::link::Repeat::OnNak).await;
                self.after_sending(sent)
            }
            Action::Arm(evidence) => match self.audience {
                Audience::Call(call) => {
                    let stored = self.store(call.arm(evidence)).await;
                    fail_point::reach("zvt.armed");
                    Some(stored)
                }
                Audience::Nobody => Some(Event::NotStored),
            },
            Action::Begin => {
                // The last moment at which stopping costs nothing.
                if let Some(stop) = self.audience.is_stopped().await {
                    return Some(Event::Stop(stop));
                }
                // And the last one at which a dead line does.
                if let Some(broken) = self.link.ended().await {
                    self.line_broken = true;
                    return Some(Event::Lost(broken));
                }
                match self.audience {
                    Audience::Call(call) => {
                        let stored = self.store(call.effect_may_begin()).await;
                        fail_point::reach("zvt.started");
                        Some(stored)
                    }
                    Audience::Nobody => Some(Event::NotStored),
                }
            }
            Action::Store(evidence) => match self.audience {
                Audience::Call(call) => {
                    fail_point::reach("zvt.result-received");
                    let stored = self.store(call.milestone(evidence)).await;
                    fail_point::reach("zvt.result-stored");
                    Some(stored)
                }
                Audience::Nobody => Some(Event::NotStored),
            },
            Action::Show(status, lines) => {
                self.audience.progress(self.shown(status, &lines)).await;
                None
            }
            Action::Deliver(receipt) => {
                let event = ProgressEvent::Receipt { receipt };
                self.audience.progress(event).await;
                if self.transaction.is_once() {
                    fail_point::reach("zvt.receipt");
                }
                None
            }
            Action::PastCancelling => {
                self.audience.past_cancelling().await;
                None
            }
        }
    }

    fn after_sending(&mut self, sent: Result<(), Broken>) -> Option<Event> {
        let broken = sent.err()?;
        self.line_broken = true;
        Some(Event::Lost(broken))
    }

    async fn store(&self, storing: impl Future<Output = Result<(), NotStored>>) -> Event {
        match timeout(timing::STORE, storing).await {
            Ok(Ok(())) => Event::Stored,
            Ok(Err(error)) => {
                tracing::error!(%error, "the journal refused");
                Event::NotStored
            }
            Err(_) => {
                tracing::error!("the journal did not answer in time");
                Event::NotStored
            }
        }
    }

    /// In the caller's language; the terminal's own words only where the code says nothing.
    fn shown(&self, status: IntermediateStatus, lines: &[Text]) -> ProgressEvent {
        let lang = self.audience.lang();
        let said = status.text();
        let mut text = match lang {
            Lang::De => said.de.to_owned(),
            Lang::En => said.en.to_owned(),
        };
        if status.keyword() == "other" {
            let own: Vec<_> = lines.iter().map(|line| line.decode(self.charset)).collect();
            let own = own.join(" ");
            if !own.trim().is_empty() {
                own.trim().clone_into(&mut text);
            }
        }
        let names_card = ["remove-card", "approved", "cancelled", "cancel-impossible"];
        if status.asks_to_remove_card() && !names_card.contains(&status.keyword()) {
            text.push_str(match lang {
                Lang::De => ". Bitte Karte entnehmen",
                Lang::En => ". Please remove the card",
            });
        }
        ProgressEvent::TerminalText {
            code: status.keyword().to_owned(),
            text,
        }
    }
}
