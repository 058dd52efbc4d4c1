//! The lower half of a conversation: bytes, frames and their acknowledgements, cuts.

use std::io;
use std::time::Duration;

use koffer_drivers::payment::zvt::codec::apdu::Apdu;
use koffer_drivers::payment::zvt::codec::frame;
use tokio::time::{Instant, timeout_at};

use super::conversation::{Conversation, Ended};
use super::fault::{Direction, How, Kind, Step};
use super::fault_list::Bytes;
use super::line::{Head, Token};
use super::port::Port;

/// A serial frame is repeated at most so often (PA00P016).
const REPEATS: usize = 2;

/// The next thing that happens on the line.
#[derive(Debug)]
pub(super) enum Event {
    Apdu,
    FrameAck,
    FrameNak,
    Connected,
    Lost,
}

impl Conversation {
    pub(super) fn wire(&self, apdu: &Apdu) -> Vec<u8> {
        if self.is_serial() {
            frame::encode(apdu)
        } else {
            apdu.to_bytes()
        }
    }

    /// Sends one message, on a serial line until its frame is acknowledged.
    pub(super) async fn put_apdu(&mut self, apdu: &Apdu, bad_crc: bool) -> Result<bool, Ended> {
        let bytes = self.wire(apdu);
        if !self.is_serial() {
            return self.put(&bytes).await;
        }
        self.settle().await?;
        for attempt in 0..=REPEATS {
            let mut frame = bytes.clone();
            if let Some(last) = frame.last_mut().filter(|_| bad_crc && attempt == 0) {
                *last ^= 0x55;
            }
            if self.put(&frame).await? && self.frame_acknowledged().await? {
                return Ok(true);
            }
            if self.line.is_none() {
                break;
            }
        }
        Ok(false)
    }

    pub(super) async fn frame_acknowledged(&mut self) -> Result<bool, Ended> {
        let patience = Duration::from_millis(self.shared.profile().frame_ack_timeout_ms);
        let deadline = Instant::now() + patience;
        loop {
            let Ok(event) = timeout_at(deadline, self.event()).await else {
                return Ok(false);
            };
            match event? {
                // Kept in the inbox.
                Event::Apdu => {}
                Event::FrameAck => return Ok(true),
                Event::FrameNak | Event::Connected | Event::Lost => return Ok(false),
            }
        }
    }

    /// Writes bytes, up to a cut; `false` if they did not all leave.
    pub(super) async fn put(&mut self, bytes: &[u8]) -> Result<bool, Ended> {
        if self.cut_if_due(Direction::Received).await? {
            return Ok(false);
        }
        let allowance = {
            let faults = self.shared.faults();
            faults.allowance(Direction::Sent, &self.meter)
        };
        let allowed = allowance.and_then(|bytes| usize::try_from(bytes).ok());
        let passing = bytes.get(..allowed.unwrap_or(bytes.len())).unwrap_or(bytes);
        let split = self.shared.profile().split;
        let Some(line) = &mut self.line else {
            return Ok(false);
        };
        if line.write(passing, split).await.is_err() {
            self.lost()?;
            return Ok(false);
        }
        let count = u64::try_from(passing.len()).unwrap_or(u64::MAX);
        self.meter.count(Direction::Sent, count);
        Ok(!self.cut_if_due(Direction::Sent).await? && passing.len() == bytes.len())
    }

    pub(super) async fn cut_if_due(&mut self, of: Direction) -> Result<bool, Ended> {
        if self.line.is_none() {
            return Ok(false);
        }
        let due = self.shared.faults().take_cut(of, &self.meter);
        let Some(how) = due else { return Ok(false) };
        self.shared.count_faults();
        self.cut(how).await?;
        Ok(true)
    }

    pub(super) async fn cut(&mut self, how: How) -> Result<(), Ended> {
        if let Some(line) = self.line.take() {
            // The new pseudo-terminal comes before the old one goes: otherwise another terminal
            // could get the old one's name while the link still leads there.
            if how != How::Unplug {
                self.port.replace_serial()?;
            }
            self.line = line.cut(how).await;
        }
        if self.line.is_none() {
            self.lost()?;
        } else if !self.running {
            self.meter.command = None;
        }
        Ok(())
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self) -> io::Result<()> {
        self.left_alone();
        self.line = None;
        if matches!(self.port, Port::Pty { fresh: None, .. }) {
            self.port.replace_serial()?;
        }
        self.told_connected();
        self.owed.clear();
        if !self.running {
            // A command that never arrived whole is no exchange.
            self.meter.command = None;
        }
        Ok(())
    }

    /// The ECR of the running command is gone.
    pub(super) fn left_alone(&mut self) {
        if self.abortable && !self.shared.profile().continues_alone {
            self.aborted = true;
        }
    }

    pub(super) fn told_connected(&self) {
        let connected = self.line.is_some();
        let status = self.shared.status();
        status.send_modify(|status| status.connected = connected);
    }

    /// The next thing that happens on the line. Safe to cancel: what was read is kept.
    pub(super) async fn event(&mut self) -> Result<Event, Ended> {
        loop {
            self.settle().await?;
            if std::mem::take(&mut self.fresh) {
                return Ok(Event::Apdu);
            }
            if let Some(event) = self.digest().await? {
                return Ok(event);
            }
            if !self.owed.is_empty() {
                continue;
            }
            let read = async {
                match &mut self.line {
                    Some(line) => line.read().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                line = self.port.accept() => {
                    // The newest connection wins: a half-open one must not lock the ECR out.
                    let line = line?;
                    if self.line.is_some() {
                        self.left_alone();
                    }
                    self.line = Some(line);
                    self.meter.connection = Bytes::default();
                    self.owed.clear();
                    self.told_connected();
                    return Ok(Event::Connected);
                }
                more = read => {
                    if !more {
                        self.lost()?;
                        return Ok(Event::Lost);
                    }
                }
                down = self.power.recv() => {
                    return Err(Ended::Restart(down.unwrap_or_default()));
                }
            }
        }
    }

    /// Writes the frame acknowledgements that are due.
    pub(super) async fn settle(&mut self) -> Result<(), Ended> {
        while let Some(byte) = self.owed.front().copied() {
            if !self.muted {
                self.put(&[byte]).await?;
            }
            self.owed.pop_front();
        }
        Ok(())
    }

    /// Takes bytes up to the next event.
    pub(super) async fn digest(&mut self) -> Result<Option<Event>, Ended> {
        loop {
            if self.cut_if_due(Direction::Received).await? {
                return Ok(Some(Event::Lost));
            }
            let Some(line) = self.line.as_mut().filter(|line| !line.is_empty()) else {
                return Ok(None);
            };
            if self.meter.command.is_none() {
                match line.head() {
                    Head::Unfinished => return Ok(None),
                    Head::Command(command) => {
                        self.meter.command = Some(command);
                        self.meter.exchange = Bytes::default();
                        continue;
                    }
                    Head::Other => {}
                }
            }
            let token = line.digest();
            let serial = line.is_serial();
            self.meter.count(Direction::Received, 1);
            match token {
                None => {}
                Some(Token::FrameAck) => return Ok(Some(Event::FrameAck)),
                Some(Token::FrameNak) => return Ok(Some(Event::FrameNak)),
                Some(Token::BadFrame) => self.owed.push_back(frame::NAK),
                Some(Token::Apdu(apdu)) if serial => {
                    let faults = self.shared.take_faults(Step::Frame, self.meter.command);
                    if faults.contains(&Kind::NakFrame) {
                        self.owed.push_back(frame::NAK);
                    } else if !faults.contains(&Kind::LoseFrame) {
                        self.owed.push_back(frame::ACK);
                        self.inbox.push_back(apdu);
                        self.fresh = true;
                    }
                }
                Some(Token::Apdu(apdu)) => {
                    self.inbox.push_back(apdu);
                    return Ok(Some(Event::Apdu));
                }
            }
            if !self.owed.is_empty() {
                // Written by the caller, which then comes back.
                return Ok(None);
            }
        }
    }
}
