//! The serial line: frames, their acknowledgements, and when one is written again.

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Broken, Framing, Link, Repeat};
use crate::payment::zvt::{
    codec::{
        apdu::Apdu,
        frame::{self, Decoder, Event},
    },
    timing,
};

/// Answers to our frame, and answers owed to the peer's, that may wait at once. The line is
/// half-duplex, so more than one of each is already a peer gone mad.
const WAITING: usize = 16;

/// What the line brought, sorted.
#[derive(Debug, Default)]
pub(super) struct Frames {
    decoder: Decoder,
    answers: VecDeque<Answer>,
    owed: VecDeque<u8>,
}

/// The peer's answer to our frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused,
}

/// What came of one writing of a frame.
enum Heard {
    Accepted,
    Refused,
    /// Neither, but a frame of the peer's: it is alive, and may have answered.
    OtherFrame,
    Silence,
}

impl Frames {
    /// Takes bytes; gives the APDUs of whole frames, whose ACKs are owed from then on.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Apdu> {
        let mut apdus = Vec::new();
        for event in self.decoder.feed(bytes) {
            match event {
                Event::Frame(apdu) => {
                    self.owe(frame::ACK);
                    apdus.push(apdu);
                }
                Event::BadCrc | Event::NotAnApdu => self.owe(frame::NAK),
                Event::Ack => self.answered(Answer::Accepted),
                Event::Nak => self.answered(Answer::Refused),
                Event::Broken | Event::Noise(_) => {}
            }
        }
        apdus
    }

    pub(super) fn is_partial(&self) -> bool {
        self.decoder.is_partial()
    }

    pub(super) fn drop_partial(&mut self) {
        self.decoder.reset();
    }

    /// The next byte owed to the peer.
    pub(super) fn owed(&self) -> Option<u8> {
        self.owed.front().copied()
    }

    /// It was written.
    pub(super) fn paid(&mut self) {
        self.owed.pop_front();
    }

    fn owe(&mut self, byte: u8) {
        if self.owed.len() < WAITING {
            self.owed.push_back(byte);
        }
    }

    fn answered(&mut self, answer: Answer) {
        if self.answers.len() < WAITING {
            self.answers.push_back(answer);
        }
    }
}

impl Link {
    /// See [`Repeat`] for what is written again, and why.
    pub(super) async fn send_frame(&mut self, apdu: &Apdu, repeat: Repeat) -> Result<(), Broken> {
        let bytes = frame::encode(apdu);
        self.forget_stale_answers().await?;
        let mut repeats = 0;
        loop {
            self.write(&bytes).await?;
            let failed = match self.await_answer().await? {
                // Whatever the peer says in place of its ACK tells more than the ACK would.
                Heard::Accepted | Heard::OtherFrame => return Ok(()),
                Heard::Silence if repeat == Repeat::OnNak => return Ok(()),
                Heard::Silence => Broken::Unacknowledged,
                Heard::Refused => Broken::NotAccepted,
            };
            if repeats == timing::FRAME_REPEATS {
                return Err(failed);
            }
            repeats += 1;
        }
    }

    /// An ACK or NAK that came before our frame is not an answer to it.
    async fn forget_stale_answers(&mut self) -> Result<(), Broken> {
        self.take_what_is_there().await?;
        if let Framing::Framed(frames) = &mut self.framing {
            frames.answers.clear();
        }
        Ok(())
    }

    /// The answer to the frame that was just written, for T2.
    async fn await_answer(&mut self) -> Result<Heard, Broken> {
        let waiting = self.inbox.len();
        match self.next_answer(timing::T2, waiting).await? {
            Some(Answer::Accepted) => Ok(Heard::Accepted),
            // A byte of noise can look like a NAK. If an ACK or a frame follows at once, the frame
            // was accepted after all, and writing it again would execute it again.
            Some(Answer::Refused) => {
                let second = self.next_answer(timing::T1, waiting).await?;
                if second == Some(Answer::Accepted) || self.inbox.len() > waiting {
                    Ok(Heard::Accepted)
                } else {
                    Ok(Heard::Refused)
                }
            }
            None if self.inbox.len() > waiting => Ok(Heard::OtherFrame),
            None => Ok(Heard::Silence),
        }
    }

    /// The next ACK or NAK. Once a frame came in its place it is waited for no longer than T1: the
    /// peer waits for what that frame asks for.
    async fn next_answer(
        &mut self,
        patience: Duration,
        waiting: usize,
    ) -> Result<Option<Answer>, Broken> {
        let begun = Instant::now();
        loop {
            self.flush().await?;
            if let Framing::Framed(frames) = &mut self.framing
                && let Some(answer) = frames.answers.pop_front()
            {
                return Ok(Some(answer));
            }
            let until = if self.inbox.len() > waiting {
                self.last_byte + timing::T1
            } else {
                begun + patience
            };
            match timeout_at(until.min(begun + patience), self.read_more()).await {
                Ok(read) => read?,
                Err(_) => return Ok(None),
            }
        }
    }
}
