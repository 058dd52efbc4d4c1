//! One APDU or control code at a time, within bounds.

use std::time::Duration;

use pcsc::Disposition;
use tokio::time::{sleep, timeout};

use super::{Loss, Pcsc, Session};
use crate::{
    Call, Stop,
    card::{
        iso7816::{Command, Exchange, Followed, Response},
        pcsc::{timing, worker::Unanswered},
    },
};

/// The least that an answer has.
const STATUS_WORD: usize = 2;

/// Whether the call should end, without waiting.
pub(super) async fn stop_now(call: &Call) -> Option<Stop> {
    tokio::select! {
        biased;
        stop = call.stopped() => Some(stop),
        () = std::future::ready(()) => None,
    }
}

impl Pcsc {
    /// Sends one APDU. Once it is out, a stop waits for its answer a little longer: an answer that
    /// is known is worth it, and a reader that does not give one is stuck.
    pub(super) async fn send(&mut self, apdu: Vec<u8>, call: &Call) -> Result<Vec<u8>, Loss> {
        let Some(reader) = &self.reader else {
            return Err(Loss::Reader);
        };
        let answer = reader.worker.transmit(apdu, timing::APDU);
        match bounded(answer, call, |_| true).await {
            Ok(bytes) if bytes.len() >= STATUS_WORD => Ok(bytes),
            Ok(_) => Err(self.gone_or(Loss::Malformed).await),
            Err(unanswered) => match Loss::from(unanswered) {
                loss @ Loss::Other(_) => Err(self.gone_or(loss).await),
                _ => Err(self.lost(unanswered)),
            },
        }
    }

    /// What became of the card after an answer that is none. Readers say little of a card that is
    /// pulled in the middle of a command; the service knows a moment later.
    async fn gone_or(&mut self, loss: Loss) -> Loss {
        let noticed = async {
            while let Some(reader) = &self.reader {
                if let Err(unanswered) = reader.worker.check(timing::READER_ANSWER).await {
                    return Some(unanswered);
                }
                sleep(timing::NOTICE_PAUSE).await;
            }
            None
        };
        if let Ok(Some(unanswered)) = timeout(timing::NOTICED, noticed).await {
            return self.lost(unanswered);
        }
        self.let_go_of_card();
        loss
    }

    /// Sends a command and follows what the card says of its answer.
    pub(super) async fn exchange(
        &mut self,
        command: Command,
        call: &Call,
    ) -> Result<Response, Loss> {
        let (mut exchange, mut apdu) = Exchange::begin(command);
        loop {
            let bytes = self.send(apdu, call).await?;
            match exchange.received(&bytes, |_| false) {
                Ok(Followed::Send(next)) => apdu = next,
                Ok(Followed::Answered(response)) => return Ok(response),
                Err(_) => {
                    self.let_go_of_card();
                    return Err(Loss::Malformed);
                }
            }
        }
    }

    /// Has the reader itself do something. A person at the pad is not hurried: the pad gives up by
    /// itself before the deadline, and cannot be called off; only a shutdown does not wait.
    pub(super) async fn control(
        &mut self,
        code: u32,
        input: Vec<u8>,
        limit: Duration,
        call: &Call,
    ) -> Result<Vec<u8>, Loss> {
        let Some(reader) = &self.reader else {
            return Err(Loss::Reader);
        };
        let answer = reader.worker.control(code, input, limit);
        let outcome = bounded(answer, call, |stop| stop == Stop::Shutdown).await;
        outcome.map_err(|unanswered| self.lost(unanswered))
    }

    /// Lets go of what was lost, so that nothing of it is used again.
    pub(super) fn lost(&mut self, unanswered: Unanswered) -> Loss {
        let loss = Loss::from(unanswered);
        if loss == Loss::Hung {
            self.session = None;
            self.give_up_reader();
        } else {
            self.let_go_of_card();
        }
        loss
    }

    /// Lets go of the card without waiting for the reader.
    pub(super) fn let_go_of_card(&mut self) {
        if self.session.take().is_some()
            && let Some(reader) = &self.reader
        {
            reader.worker.disconnect_unheard(Disposition::ResetCard);
        }
    }

    /// Leaves a thread that hangs behind, and remembers the reader so that no second one follows.
    pub(super) fn give_up_reader(&mut self) {
        if let (Some(reader), Some(monitor)) = (self.reader.take(), &self.monitor) {
            tracing::warn!(reader = reader.name, "the reader is stuck");
            monitor.note_stuck(&reader.name, reader.worker.alive());
        }
    }

    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }
}

/// Waits for an answer; once the call should end for a reason that `hurries`, only a little longer.
pub(super) async fn bounded<T>(
    answer: impl Future<Output = Result<T, Unanswered>>,
    call: &Call,
    hurries: impl Fn(Stop) -> bool,
) -> Result<T, Unanswered> {
    tokio::pin!(answer);
    tokio::select! {
        biased;
        outcome = &mut answer => return outcome,
        stop = call.stopped() => if !hurries(stop) { return answer.await },
    }
    timeout(timing::STOP_GRACE, answer)
        .await
        .unwrap_or(Err(Unanswered::Hung))
}
