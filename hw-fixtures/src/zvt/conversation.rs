//! The terminal's side of the line while a command runs: says, waits for 80 00, answers what the
//! ECR says in between, and lets faults happen.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use koffer_drivers::payment::zvt::codec::apdu::{Apdu, Control};
use koffer_drivers::payment::zvt::codec::command::{NACK_BUSY, NACK_UNKNOWN, control};
use koffer_drivers::payment::zvt::codec::frame;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::fault::{Direction, How, Kind, Meter, Step, garbage};
use super::line::{Head, Line, Token};
use super::port::Port;
use super::shared::Shared;
use super::wrong;

/// A serial frame is repeated at most so often (PA00P016).
const REPEATS: usize = 2;

/// What the ECR did.
#[derive(Debug)]
pub(super) enum Heard {
    Apdu(Apdu),
    Connected,
    Lost,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Acked,
    Nacked(u8),
    Silent,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    Elapsed,
    Aborted,
}

/// Why the terminal stops in the middle of what it does.
#[derive(Debug)]
pub(super) enum Ended {
    /// Power fails for so long.
    Restart(Duration),
    /// The process dies.
    Die,
    /// Its port or its ledger failed.
    Broken(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Which message an expected 80 00 belongs to; they come in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Mine,
    /// The answer to a status enquiry in between.
    Aside,
}

#[derive(Debug)]
enum Event {
    Apdu,
    FrameAck,
    FrameNak,
    Connected,
    Lost,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the line, most of them set by the other end"
)]
pub(super) struct Conversation {
    port: Port,
    line: Option<Line>,
    shared: Arc<Shared>,
    power: mpsc::Receiver<Duration>,
    meter: Meter,
    running: bool,
    /// Frames received and not yet looked at.
    inbox: VecDeque<Apdu>,
    /// One of them is new since the last event.
    fresh: bool,
    /// Frame acknowledgements not yet written.
    owed: VecDeque<u8>,
    expected: VecDeque<Expected>,
    /// An abort would be accepted now.
    pub(super) abortable: bool,
    aborted: bool,
    muted: bool,
    /// The ECR left a message unanswered: it is spared what is only for show.
    unanswered: bool,
}

impl Conversation {
    pub(super) fn new(port: Port, shared: Arc<Shared>, power: mpsc::Receiver<Duration>) -> Self {
        Self {
            port,
            line: None,
            shared,
            power,
            meter: Meter::default(),
            running: false,
            inbox: VecDeque::new(),
            fresh: false,
            owed: VecDeque::new(),
            expected: VecDeque::new(),
            abortable: false,
            aborted: false,
            muted: false,
            unanswered: false,
        }
    }

    /// Whether the line stays when nothing is said.
    pub(super) fn is_serial(&self) -> bool {
        self.line.as_ref().is_some_and(Line::is_serial)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.line.is_some()
    }

    /// A command has been read and is being carried out.
    pub(super) fn begin(&mut self) {
        self.running = true;
        self.abortable = false;
        self.aborted = false;
        self.muted = false;
        self.unanswered = false;
        self.expected.clear();
    }

    /// The command is done, whatever came of it. A cut after its very last byte is due now.
    pub(super) async fn finish(&mut self) -> Result<(), Ended> {
        self.cut_if_due(Direction::Received).await?;
        self.close_exchange();
        Ok(())
    }

    fn close_exchange(&mut self) {
        self.running = false;
        self.muted = false;
        if let Some(command) = self.meter.command.take() {
            self.shared.finish_exchange(command, self.meter.exchange);
        }
    }

    /// Hangs up because nothing was said for a while.
    pub(super) async fn drop_idle(&mut self) -> Result<(), Ended> {
        self.cut(How::Close).await
    }

    /// Loses power and gets it back.
    pub(super) async fn power_cycle(&mut self, down: Duration) -> io::Result<()> {
        self.line = None;
        self.inbox.clear();
        self.owed.clear();
        self.expected.clear();
        self.port.off();
        self.told_connected();
        self.close_exchange();
        tokio::time::sleep(down).await;
        self.port.on().await
    }

    /// What the ECR does next. Safe to cancel.
    pub(super) async fn hear(&mut self) -> Result<Heard, Ended> {
        loop {
            self.settle().await?;
            if let Some(apdu) = self.inbox.pop_front() {
                return Ok(Heard::Apdu(apdu));
            }
            match self.event().await? {
                Event::Apdu | Event::FrameAck | Event::FrameNak => {}
                Event::Connected => return Ok(Heard::Connected),
                Event::Lost => return Ok(Heard::Lost),
            }
        }
    }

    /// Says something and waits for its acknowledgement.
    pub(super) async fn say(&mut self, step: Step, apdu: Apdu) -> Result<Reply, Ended> {
        let only_for_show = matches!(step, Step::Status | Step::Receipt);
        if only_for_show && self.unanswered || !self.transmit(step, apdu).await? {
            return Ok(Reply::Silent);
        }
        self.expected.push_back(Expected::Mine);
        let patience = Duration::from_millis(self.shared.profile().ack_timeout_ms);
        let deadline = Instant::now() + patience;
        loop {
            let apdu = match timeout_at(deadline, self.hear()).await {
                Ok(heard) => match heard? {
                    Heard::Apdu(apdu) => apdu,
                    Heard::Connected | Heard::Lost => {
                        self.expected.clear();
                        return Ok(Reply::Silent);
                    }
                },
                Err(_late) => {
                    self.expected.clear();
                    self.unanswered = true;
                    return Ok(Reply::Silent);
                }
            };
            let reply = match apdu.control() {
                Control(0x80, _) | Control(control::NACK_CLASS, 0) => Reply::Acked,
                Control(control::NACK_CLASS, code) => Reply::Nacked(code),
                _ => {
                    self.interject(&apdu).await?;
                    continue;
                }
            };
            if self.expected.pop_front() == Some(Expected::Mine) {
                return Ok(reply);
            }
        }
    }

    /// Answers the running command: 80 00 or 84 xx.
    pub(super) async fn answer(&mut self, code: Option<u8>) -> Result<(), Ended> {
        self.transmit(Step::Ack, acknowledgement(code)?).await?;
        Ok(())
    }

    /// Waits, while the ECR may say something.
    pub(super) async fn pause(&mut self, ms: u64) -> Result<Pause, Ended> {
        let deadline = Instant::now() + Duration::from_millis(ms);
        loop {
            if self.aborted && self.abortable {
                return Ok(Pause::Aborted);
            }
            let Ok(heard) = timeout_at(deadline, self.hear()).await else {
                return Ok(Pause::Elapsed);
            };
            match heard? {
                Heard::Apdu(apdu) if matches!(apdu.control().0, 0x80 | 0x84) => {
                    self.expected.pop_front();
                }
                Heard::Apdu(apdu) => self.interject(&apdu).await?,
                Heard::Lost | Heard::Connected => {}
            }
        }
    }

    /// A place where no message is sent, but something may happen.
    pub(super) async fn pass(&mut self, step: Step) -> Result<(), Ended> {
        for kind in self.shared.take_faults(step, self.meter.command) {
            self.suffer(&kind).await?;
        }
        Ok(())
    }

    /// What can go wrong anywhere; `true` if that was it.
    pub(super) async fn suffer(&mut self, kind: &Kind) -> Result<bool, Ended> {
        match kind {
            Kind::Delay { ms } | Kind::LateCompletion { ms } => {
                tokio::time::sleep(Duration::from_millis(*ms)).await;
            }
            Kind::Drop(how) => self.cut(*how).await?,
            Kind::Die => return Err(Ended::Die),
            Kind::Restart { down_ms } => {
                return Err(Ended::Restart(Duration::from_millis(*down_ms)));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What the ECR says while another of its commands runs.
    async fn interject(&mut self, apdu: &Apdu) -> Result<(), Ended> {
        if self.muted {
            return Ok(());
        }
        let code = match apdu.control() {
            control::ABORT_REQUEST if self.abortable => {
                self.aborted = true;
                None
            }
            // Too late.
            control::ABORT_REQUEST => Some(NACK_UNKNOWN),
            control::STATUS_ENQUIRY => None,
            _ => Some(NACK_BUSY),
        };
        self.put_apdu(&acknowledgement(code)?, false).await?;
        if apdu.control() == control::STATUS_ENQUIRY
            && self
                .put_apdu(&message(control::COMPLETION, vec![NACK_BUSY])?, false)
                .await?
        {
            self.expected.push_back(Expected::Aside);
        }
        Ok(())
    }

    /// Sends, with the faults of this step; `false` if nothing can come back.
    async fn transmit(&mut self, step: Step, mut apdu: Apdu) -> Result<bool, Ended> {
        let (mut noise, mut limit, mut copies, mut bad_crc) = (Vec::new(), None, 1, false);
        for kind in self.shared.take_faults(step, self.meter.command) {
            match kind {
                Kind::Silence => self.muted = true,
                Kind::Garbage {
                    bytes,
                    seed,
                    instead,
                } => {
                    noise.extend(garbage(bytes, seed));
                    copies = if instead { 0 } else { copies };
                }
                Kind::Truncate { bytes } => limit = Some(bytes),
                Kind::Duplicate => copies = 2,
                Kind::WrongAnswer(wrong) => apdu = wrong::spoil(apdu, wrong),
                Kind::BadCrc => bad_crc = true,
                other => {
                    self.suffer(&other).await?;
                }
            }
        }
        if self.muted {
            return Ok(false);
        }
        if !noise.is_empty() {
            self.put(&noise).await?;
        }
        if let Some(limit) = limit {
            let bytes = self.wire(&apdu);
            let part = bytes.get(..limit).unwrap_or(&bytes);
            return self.put(part).await;
        }
        let mut sent = copies == 0 && self.line.is_some();
        for _ in 0..copies {
            sent = self.put_apdu(&apdu, bad_crc).await?;
        }
        Ok(sent)
    }

    fn wire(&self, apdu: &Apdu) -> Vec<u8> {
        if self.is_serial() {
            frame::encode(apdu)
        } else {
            apdu.to_bytes()
        }
    }

    /// Sends one message, on a serial line until its frame is acknowledged.
    async fn put_apdu(&mut self, apdu: &Apdu, bad_crc: bool) -> Result<bool, Ended> {
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

    async fn frame_acknowledged(&mut self) -> Result<bool, Ended> {
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
    async fn put(&mut self, bytes: &[u8]) -> Result<bool, Ended> {
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

    async fn cut_if_due(&mut self, of: Direction) -> Result<bool, Ended> {
        if self.line.is_none() {
            return Ok(false);
        }
        let due = self.shared.faults().take_cut(of, &self.meter);
        let Some(how) = due else { return Ok(false) };
        self.shared.count_faults();
        self.cut(how).await?;
        Ok(true)
    }

    async fn cut(&mut self, how: How) -> Result<(), Ended> {
        if let Some(line) = self.line.take() {
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
    fn lost(&mut self) -> io::Result<()> {
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
    fn left_alone(&mut self) {
        if self.abortable && !self.shared.profile().continues_alone {
            self.aborted = true;
        }
    }

    fn told_connected(&self) {
        let connected = self.line.is_some();
        let status = self.shared.status();
        status.send_modify(|status| status.connected = connected);
    }

    /// The next thing that happens on the line. Safe to cancel: what was read is kept.
    async fn event(&mut self) -> Result<Event, Ended> {
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
                    self.meter.connection = super::fault::Bytes::default();
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
    async fn settle(&mut self) -> Result<(), Ended> {
        while let Some(byte) = self.owed.front().copied() {
            if !self.muted {
                self.put(&[byte]).await?;
            }
            self.owed.pop_front();
        }
        Ok(())
    }

    /// Takes bytes up to the next event.
    async fn digest(&mut self) -> Result<Option<Event>, Ended> {
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
                        self.meter.exchange = super::fault::Bytes::default();
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

/// An APDU; only a text of a profile can be so long that there is none.
pub(super) fn message(control: Control, body: Vec<u8>) -> Result<Apdu, Ended> {
    Apdu::new(control, body)
        .ok_or_else(|| Ended::Broken(io::Error::other(format!("{control} is too long"))))
}

/// 80 00, or 84 and a code.
fn acknowledgement(code: Option<u8>) -> Result<Apdu, Ended> {
    let control = code.map_or(control::ACK, |code| Control(control::NACK_CLASS, code));
    message(control, Vec::new())
}
