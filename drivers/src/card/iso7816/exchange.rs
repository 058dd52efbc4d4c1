//! One command to its final answer: GET RESPONSE after 61xx, the right Le after 6Cxx.
//!
//! Only where nothing can be done twice: 61xx says that the command is done and its answer waits,
//! and GET RESPONSE only fetches it; 6Cxx says that it was not done because of its Le (ISO/IEC
//! 7816-4, 5.6), so it may be sent once more with the length the card names. Neither is followed
//! under secure messaging (a command sent again would carry a used counter), in a proprietary
//! class (whose bits may mean anything), or where the caller accepts the status word as it is.

use super::{Command, Length, MAX_EXTENDED, MAX_SHORT, MalformedResponse, Response, StatusWord};

/// GET RESPONSEs for one command: 256 of 256 bytes are the longest answer there is.
const MAX_FOLLOWS: usize = 256;

/// A command under way.
#[derive(Debug)]
pub struct Exchange {
    /// The APDU that was sent last.
    sent: Command,
    corrected: bool,
    follows: usize,
    data: Vec<u8>,
}

/// What comes next of a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Followed {
    /// This goes to the card.
    Send(Vec<u8>),
    /// This is its answer.
    Answered(Response),
}

impl Exchange {
    /// Begins with the command; the bytes go to the card.
    pub fn begin(command: Command) -> (Self, Vec<u8>) {
        let bytes = command.encode();
        let exchange = Self {
            sent: command,
            corrected: false,
            follows: 0,
            data: Vec::new(),
        };
        (exchange, bytes)
    }

    /// Takes what the card answered. What `wanted` accepts is not followed.
    pub fn received(
        &mut self,
        bytes: &[u8],
        wanted: impl Fn(StatusWord) -> bool,
    ) -> Result<Followed, MalformedResponse> {
        let mut response = Response::parse(bytes)?;
        let word = response.status_word;
        let plain = self.sent.is_interindustry() && !self.sent.is_secured();
        if plain && !wanted(word) {
            if let (Some(length), Some(le)) = (word.exact_length(), self.sent.le)
                && !self.corrected
                && response.data.is_empty()
                && le != length
                && le <= MAX_SHORT
            {
                self.corrected = true;
                self.sent.le = Some(length);
                self.sent.length = Length::Short;
                return Ok(Followed::Send(self.sent.encode()));
            }
            // A card that brings nothing and promises more does so for ever.
            let brings = self.follows == 0 || !response.data.is_empty();
            let room = self.data.len() + response.data.len() < MAX_EXTENDED as usize;
            if let Some(length) = word.more_data()
                && self.follows < MAX_FOLLOWS
                && brings
                && room
            {
                self.follows += 1;
                self.corrected = false;
                self.data.append(&mut response.data);
                self.sent = Command::new(channel(self.sent.cla), 0xC0, 0, 0).expecting(length);
                return Ok(Followed::Send(self.sent.encode()));
            }
        }
        let mut data = std::mem::take(&mut self.data);
        data.append(&mut response.data);
        Ok(Followed::Answered(Response {
            data,
            status_word: word,
        }))
    }
}

/// The class with nothing but its logical channel.
fn channel(cla: u8) -> u8 {
    match cla {
        0x40..=0x7F => cla & 0x4F,
        _ => cla & 0x03,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn no(_: StatusWord) -> bool {
        false
    }

    fn answered(data: &[u8], word: u16) -> Followed {
        Followed::Answered(Response {
            data: data.to_vec(),
            status_word: StatusWord(word),
        })
    }

    #[test]
    fn a_waiting_answer_is_fetched() {
        let (mut exchange, first) = Exchange::begin(Command::new(0x11, 0xA4, 4, 0).with_data([1]));
        assert_eq!(first, [0x11, 0xA4, 4, 0, 1, 1]);
        assert_eq!(
            exchange.received(&[0x61, 0x02], no),
            Ok(Followed::Send(vec![0x01, 0xC0, 0, 0, 2]))
        );
        assert_eq!(
            exchange.received(&[7, 0x61, 0x00], no),
            Ok(Followed::Send(vec![0x01, 0xC0, 0, 0, 0]))
        );
        assert_eq!(
            exchange.received(&[8, 0x90, 0], no),
            Ok(answered(&[7, 8], 0x9000))
        );
    }

    #[test]
    fn an_answer_that_brings_nothing_is_fetched_once() {
        let (mut exchange, _) = Exchange::begin(Command::new(0, 0xA4, 4, 0));
        let fetch = Ok(Followed::Send(vec![0, 0xC0, 0, 0, 0]));
        assert_eq!(exchange.received(&[0x61, 0], no), fetch);
        assert_eq!(exchange.received(&[0x61, 0], no), Ok(answered(&[], 0x6100)));
    }

    #[test]
    fn a_wrong_length_is_mended_once() {
        let (mut exchange, _) = Exchange::begin(Command::new(0, 0xB0, 0, 0).expecting(256));
        assert_eq!(
            exchange.received(&[0x6C, 5], no),
            Ok(Followed::Send(vec![0, 0xB0, 0, 0, 5]))
        );
        assert_eq!(exchange.received(&[0x6C, 4], no), Ok(answered(&[], 0x6C04)));
    }

    #[test]
    fn nothing_is_followed_under_secure_messaging_or_in_a_proprietary_class() {
        for cla in [0x0C, 0x04, 0x60, 0x80, 0x90] {
            let command = Command::new(cla, 0xB0, 0, 0).expecting(256);
            for word in [[0x6C, 5], [0x61, 5]] {
                let (mut exchange, _) = Exchange::begin(command.clone());
                assert!(matches!(
                    exchange.received(&word, no),
                    Ok(Followed::Answered(_))
                ));
            }
        }
    }

    #[test]
    fn what_the_caller_accepts_is_his() {
        let (mut exchange, _) = Exchange::begin(Command::new(0, 0xA4, 4, 0));
        let more = |word: StatusWord| word.more_data().is_some();
        assert_eq!(
            exchange.received(&[0x61, 2], more),
            Ok(answered(&[], 0x6102))
        );
    }

    proptest! {
        #[test]
        fn a_command_that_changes_is_sent_again_only_after_6c(
            words in proptest::collection::vec(any::<[u8; 2]>(), 1..8),
            le in proptest::option::of(1_u32..=300),
        ) {
            let command = Command { le, ..Command::new(0, 0xD6, 0, 0).with_data([1, 2]) };
            let (mut exchange, _) = Exchange::begin(command);
            let mut not_done = false;
            for word in words {
                match exchange.received(&word, no).unwrap() {
                    Followed::Send(bytes) => {
                        // The same command again: only once, and only after the card refused it.
                        if bytes[1] == 0xD6 {
                            prop_assert!(word[0] == 0x6C && !not_done);
                            not_done = true;
                        } else {
                            prop_assert_eq!(bytes[1], 0xC0);
                        }
                    }
                    Followed::Answered(_) => break,
                }
            }
        }
    }
}
