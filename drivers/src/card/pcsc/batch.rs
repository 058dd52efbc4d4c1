//! A batch of commands, one after the other, without I/O: what goes to the card next, what came
//! back, and how much is through. No command is given out twice.

use koffer_proto::class::card_terminal::{
    Command as Asked, CommandResponse, StatusWordPattern, Transmitted,
};

use super::pin_policy::{self, Objection};
use crate::card::iso7816::{
    Command, Exchange, Followed, MalformedCommand, MalformedResponse, StatusWord,
};

/// Why a batch is not begun; nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The command at this index is none.
    Malformed(usize, MalformedCommand),
    /// The command at this index must not reach the card.
    Objected(usize, Objection),
}

/// A batch under way.
#[derive(Debug)]
pub(super) struct Batch {
    commands: Vec<Planned>,
    state: State,
    responses: Vec<CommandResponse>,
}

#[derive(Debug)]
struct Planned {
    command: Command,
    accept: Vec<StatusWordPattern>,
}

#[derive(Debug)]
enum State {
    /// The command at the index of the answers comes next.
    Between,
    /// These bytes of the running command come next.
    Waiting(Exchange, Vec<u8>),
    /// The card has them.
    InFlight(Exchange),
    /// The last answer was not accepted.
    Stopped,
}

/// What goes to the card next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sending {
    /// The index of its command.
    pub(super) index: usize,
    /// The APDU.
    pub(super) apdu: Vec<u8>,
    /// Whether it begins the command; else it fetches the answer or mends the length.
    pub(super) begins: bool,
}

impl Batch {
    /// Reads every command before the first is sent.
    pub(super) fn plan(commands: &[Asked]) -> Result<Self, Refused> {
        let read = commands.iter().enumerate().map(|(index, asked)| {
            Command::parse(asked.apdu.as_bytes()).map_err(|why| Refused::Malformed(index, why))
        });
        let read = read.collect::<Result<Vec<_>, _>>()?;
        pin_policy::check(&read).map_err(|(index, why)| Refused::Objected(index, why))?;
        let accepted = commands.iter().enumerate().map(|(index, asked)| {
            let mut pair = read.iter().skip(index);
            let in_pieces = match (pair.next(), pair.next()) {
                (Some(command), Some(next)) => pin_policy::may_continue(command, next),
                _ => false,
            };
            if in_pieces || asked.accept.is_empty() {
                vec![StatusWordPattern::SUCCESS]
            } else {
                asked.accept.clone()
            }
        });
        let accepted: Vec<_> = accepted.collect();
        let planned = read.into_iter().zip(accepted);
        let planned = planned.map(|(command, accept)| Planned { command, accept });
        Ok(Self {
            commands: planned.collect(),
            state: State::Between,
            responses: Vec::new(),
        })
    }

    /// What goes to the card next; `None` at the end, and while an answer is outstanding.
    pub(super) fn next(&mut self) -> Option<Sending> {
        let index = self.responses.len();
        match std::mem::replace(&mut self.state, State::Between) {
            State::Between => {
                let planned = self.commands.get(index)?;
                let (exchange, apdu) = Exchange::begin(planned.command.clone());
                self.state = State::InFlight(exchange);
                Some(Sending {
                    index,
                    apdu,
                    begins: true,
                })
            }
            State::Waiting(exchange, apdu) => {
                self.state = State::InFlight(exchange);
                Some(Sending {
                    index,
                    apdu,
                    begins: false,
                })
            }
            state @ (State::InFlight(_) | State::Stopped) => {
                self.state = state;
                None
            }
        }
    }

    /// Takes the card's answer to what went out last.
    pub(super) fn received(&mut self, bytes: &[u8]) -> Result<(), MalformedResponse> {
        let index = self.responses.len();
        let (State::InFlight(exchange), Some(planned)) =
            (&mut self.state, self.commands.get(index))
        else {
            return Ok(());
        };
        let accepts = |word: StatusWord| planned.accept.iter().any(|accept| accept.accepts(word.0));
        match exchange.received(bytes, accepts)? {
            Followed::Send(apdu) => {
                if let State::InFlight(exchange) =
                    std::mem::replace(&mut self.state, State::Stopped)
                {
                    self.state = State::Waiting(exchange, apdu);
                }
            }
            Followed::Answered(response) => {
                self.state = if accepts(response.status_word) {
                    State::Between
                } else {
                    State::Stopped
                };
                self.responses.push(CommandResponse {
                    data: response.data.into(),
                    status_word: response.status_word.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Class and instruction of the command that is running or comes next.
    pub(super) fn header(&self) -> Option<[u8; 2]> {
        let planned = self.commands.get(self.responses.len())?;
        Some([planned.command.cla, planned.command.ins])
    }

    /// Whether no command is running.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// Whether no command will follow.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Stopped) || self.responses.len() == self.commands.len()
    }

    /// How many commands have their answer.
    pub(super) fn completed(&self) -> usize {
        self.responses.len()
    }

    /// How many there are.
    pub(super) fn total(&self) -> usize {
        self.commands.len()
    }

    /// What has been answered.
    pub(super) fn into_result(self) -> Transmitted {
        let all = self.responses.len() == self.commands.len();
        Transmitted {
            complete: all && matches!(self.state, State::Between),
            responses: self.responses,
        }
    }
}

#[cfg(test)]
mod tests {
    use koffer_proto::Blob;
    use proptest::prelude::*;

    use super::*;

    fn asked(apdu: &[u8], accept: &[&str]) -> Asked {
        Asked {
            apdu: Blob::from(apdu.to_vec()),
            accept: accept
                .iter()
                .map(|p| StatusWordPattern::try_from((*p).to_owned()).unwrap())
                .collect(),
        }
    }

    #[test]
    fn a_batch_stops_at_the_first_answer_that_is_not_accepted() {
        let commands = [
            asked(&[0, 0xA4, 0, 0], &["61xx"]),
            asked(&[0, 0xB0, 0, 0, 1], &[]),
            asked(&[0, 0xB0, 0, 1, 1], &[]),
        ];
        let mut batch = Batch::plan(&commands).unwrap();
        assert_eq!(batch.next().unwrap().apdu, [0, 0xA4, 0, 0]);
        assert_eq!(batch.next(), None);
        batch.received(&[0x61, 0x10]).unwrap();
        assert_eq!(batch.next().unwrap().index, 1);
        batch.received(&[0x6A, 0x82]).unwrap();
        assert_eq!((batch.next(), batch.completed()), (None, 2));
        let result = batch.into_result();
        assert!(!result.complete);
        assert_eq!(result.responses[1].status_word, "6a82");
    }

    #[test]
    fn a_pin_in_the_clear_stops_the_batch_before_it_begins() {
        let commands = [
            asked(&[0, 0xA4, 0, 0], &[]),
            asked(&[0, 0x20, 0, 1, 2, 0x31, 0x32], &[]),
        ];
        assert_eq!(
            Batch::plan(&commands).err(),
            Some(Refused::Objected(1, Objection::PlainPin))
        );
        assert!(matches!(
            Batch::plan(&[asked(&[0], &[])]).err(),
            Some(Refused::Malformed(0, _))
        ));
    }

    #[test]
    fn a_piece_of_a_command_that_is_refused_is_followed_by_no_other() {
        let update = [0, 0xD6, 0, 0, 2, 7, 7];
        let first = [&[0x10, 0xC2, 0, 0, 4][..], &update[..4]].concat();
        let last = [&[0, 0xC2, 0, 0, 3][..], &update[4..]].concat();
        let pieces = [asked(&first, &["xxxx"]), asked(&last, &["xxxx"])];
        for (word, sent) in [([0x68, 0x84], 1), ([0x90, 0], 2)] {
            let mut batch = Batch::plan(&pieces).unwrap();
            batch.next().unwrap();
            batch.received(&word).unwrap();
            assert_eq!(batch.next().is_some(), sent == 2);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_card_answers_no_command_begins_twice(
            answers in proptest::collection::vec(
                prop_oneof![
                    Just(vec![0x90, 0x00]), Just(vec![0x61, 2]), Just(vec![0x6C, 2]), Just(vec![1, 2, 0x90, 0]),
                    Just(vec![0x69, 0x82]), proptest::collection::vec(any::<u8>(), 0..4),
                ],
                0..40,
            ),
            count in 1_usize..6,
        ) {
            let commands: Vec<_> = (0..count)
                .map(|i| asked(&[0, 0xD6, 0, u8::try_from(i).unwrap(), 1, 7, 0], &[]))
                .collect();
            let mut batch = Batch::plan(&commands).unwrap();
            let mut begun = vec![0; count];
            let mut last = None;
            for answer in answers {
                let Some(sending) = batch.next() else { break };
                if sending.begins {
                    begun[sending.index] += 1;
                    prop_assert_eq!(sending.index, batch.completed());
                } else if sending.apdu[1] == 0xD6 {
                    // The card itself said that it did nothing.
                    prop_assert_eq!(last, Some(0x6C));
                }
                last = answer.first().copied();
                if batch.received(&answer).is_err() { break }
            }
            prop_assert!(begun.iter().all(|times| *times <= 1));
        }
    }
}
