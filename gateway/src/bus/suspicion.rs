//! What a broker hangs up over: found by sending the suspects alone, and not sent a third time.
//!
//! A broker may close the connection over a message that it does not take. A session sends what was
//! not acknowledged again, so without more the same message would cost one connection after the
//! other. Which one of several it was nobody says, so after a hang-up each is sent alone; and a
//! broker that restarts or a line that breaks hangs up as well, so only what happened to a message
//! alone, promptly, and with the broker there before and after, is held against it.

use std::time::Duration;
use tokio::time::Instant;

/// A broker decides over a message when it has read its head, or at the latest the whole of it.
const PROMPTLY: Duration = Duration::from_secs(10);

/// As many connections as one message may cost.
const CONNECTIONS: u8 = 2;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The broker said that it does not take what it was sent.
    Refused,
    /// The broker closed it and gave no reason, or none that tells.
    HungUp,
    /// In another way: silence, shutdown, another session of the same name.
    Elsewise,
}

/// What the next attempt to connect found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The broker was there all the time, with our session.
    SessionKept,
    /// It knows nothing of us: it was started anew, or it keeps no sessions.
    SessionLost,
    /// Nobody: the broker or the way to it was gone.
    None,
}

/// What a message may have done to earlier connections.
#[derive(Debug, Default)]
pub(super) struct Record {
    sent: Option<Instant>,
    suspect: bool,
    /// Connections that it has cost.
    cost: u8,
    /// The end of the last connection looks like its doing; what follows may explain it otherwise.
    accused: bool,
}

impl Record {
    /// It was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
    }

    /// Whether it has to be sent alone.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// The connection ended while it was on its way; `alone`: and no other.
    pub(super) fn connection_lost(&mut self, ending: Ending, alone: bool, now: Instant) {
        let promptly = self.sent.is_some_and(|sent| now - sent <= PROMPTLY);
        match ending {
            Ending::Elsewise => return,
            Ending::Refused if alone => self.cost += 1,
            Ending::HungUp if alone && promptly => self.accused = true,
            Ending::Refused | Ending::HungUp => {}
        }
        self.suspect = true;
    }

    /// Judges by what came after; true: it is not sent again.
    pub(super) fn judge(&mut self, answer: Answer) -> bool {
        let accused = std::mem::take(&mut self.accused);
        self.cost += u8::from(accused && answer == Answer::SessionKept);
        self.cost >= CONNECTIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a message that was on its way when connections ended like this.
    async fn dropped(connections: &[(Ending, bool, u64, Answer)]) -> bool {
        let mut record = Record::default();
        let mut dropped = false;
        for (ending, alone, seconds, answer) in connections {
            record.sent(Instant::now());
            tokio::time::advance(Duration::from_secs(*seconds)).await;
            record.connection_lost(*ending, *alone, Instant::now());
            dropped = record.judge(*answer);
        }
        dropped
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_alone_and_promptly_cost_two_connections_is_dropped() {
        use Answer::{None, SessionKept, SessionLost};
        use Ending::{Elsewise, HungUp, Refused};
        let hung_up = (HungUp, true, 0, SessionKept);
        let refused = (Refused, true, 0, SessionKept);
        assert!(dropped(&[hung_up, hung_up]).await);
        assert!(dropped(&[refused, hung_up]).await);
        assert!(dropped(&[(Refused, true, 60, None), (Refused, true, 60, SessionLost)]).await);
        assert!(dropped(&[hung_up, (Elsewise, true, 0, None), hung_up]).await);
        for innocent in [
            (HungUp, false, 0, SessionKept),
            (Refused, false, 0, SessionKept),
            (HungUp, true, 11, SessionKept),
            (HungUp, true, 0, None),
            (HungUp, true, 0, SessionLost),
            (Elsewise, true, 0, SessionKept),
        ] {
            assert!(
                !dropped(&[hung_up, innocent, innocent]).await,
                "{innocent:?}"
            );
        }
    }
}
