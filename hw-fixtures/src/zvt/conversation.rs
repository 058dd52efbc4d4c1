//! The terminal's side of the line while a command runs: says, waits for 80 00, answers what the
//! ECR says in between, and lets faults happen.

use std::collections::VecDeque;
use std::io;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use koffer_drivers::payment::zvt::codec::apdu::{Apdu, Control};
use koffer_drivers::payment::zvt::codec::command::{NACK_BUSY, NACK_UNKNOWN, control};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::fault::{Direction, How, Kind, Step};
use super::fault_list::{Meter, garbage};
use super::line::Line;
use super::port::Port;
use super::shared::Shared;
use super::wire::Event;
use super::wrong;

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
pub(super) enum Expected {
    Mine,
    /// The answer to a status enquiry in between.
    Aside,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the line, most of them set by the other end"
)]
pub(super) struct Conversation {
    pub(super) port: Port,
    pub(super) line: Option<Line>,
    pub(super) shared: Arc<Shared>,
    pub(super) power: mpsc::Receiver<Duration>,
    pub(super) meter: Meter,
    pub(super) running: bool,
    /// Frames received and not yet looked at.
    pub(super) inbox: VecDeque<Apdu>,
    /// One of them is new since the last event.
    pub(super) fresh: bool,
    /// Frame acknowledgements not yet written.
    pub(super) owed: VecDeque<u8>,
    pub(super) expected: VecDeque<Expected>,
    /// An abort would be accepted now.
    pub(super) abortable: bool,
    pub(super) aborted: bool,
    pub(super) muted: bool,
    /// The ECR left a message unanswered: it is spared what is only for show.
    pub(super) unanswered: bool,
    /// What an idle terminal would say, while it hides that a command runs.
    pub(super) meanwhile: Option<Meanwhile>,
    /// The ECR is gone, and the terminal goes on without telling whoever connects.
    pub(super) alone: bool,
}

/// The answers of an idle terminal, made before a command began.
#[derive(Debug)]
pub(super) struct Meanwhile {
    /// To 06 00.
    pub(super) registered: Apdu,
    /// To 05 01.
    pub(super) ready: Apdu,
    /// To 06 20.
    pub(super) last: Vec<Apdu>,
}

impl Meanwhile {
    fn answers(&self, control: Control) -> Option<&[Apdu]> {
        match control {
            control::REGISTRATION => Some(slice::from_ref(&self.registered)),
            control::STATUS_ENQUIRY => Some(slice::from_ref(&self.ready)),
            control::REPEAT_RECEIPT => Some(&self.last),
            _ => None,
        }
    }
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
            meanwhile: None,
            alone: false,
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
        self.meanwhile = None;
        self.alone = false;
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
        self.meanwhile = None;
        self.alone = false;
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
        self.port.off()?;
        self.line = None;
        self.inbox.clear();
        self.owed.clear();
        self.expected.clear();
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
                Event::Connected => {
                    self.alone = self.meanwhile.is_some();
                    return Ok(Heard::Connected);
                }
                Event::Lost => {
                    self.alone = self.meanwhile.is_some();
                    return Ok(Heard::Lost);
                }
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
        let hidden = self.meanwhile.as_ref();
        if let Some(answers) = hidden.and_then(|idle| idle.answers(apdu.control())) {
            let answers = answers.to_vec();
            self.put_apdu(&acknowledgement(None)?, false).await?;
            for answer in answers {
                if self.put_apdu(&answer, false).await? {
                    self.expected.push_back(Expected::Aside);
                }
            }
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
        if self.muted || self.alone {
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
