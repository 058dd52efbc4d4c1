//! Selecting an application and a file, step by step.

use super::{Address, Refusal};
use crate::card::iso7816::{Command, Response, StatusWord, tlv};

/// Selecting under way.
#[derive(Debug)]
pub(super) struct Select {
    steps: Vec<Command>,
    done: usize,
    /// Cards that give no control parameters are asked for none.
    silent: bool,
    size: Option<u32>,
}

impl Select {
    pub(super) fn new(address: Address) -> Self {
        let application = address
            .application
            .map(|aid| Command::new(0, 0xA4, 0x04, 0x00).with_data(aid));
        let files = address
            .path
            .into_iter()
            .map(|id| Command::new(0, 0xA4, 0x00, 0x00).with_data(id.0.to_be_bytes()));
        Self {
            steps: application.into_iter().chain(files).collect(),
            done: 0,
            silent: false,
            size: None,
        }
    }

    /// The next SELECT: for control parameters (P2 04), else without an answer (P2 0C).
    pub(super) fn next(&self) -> Option<Command> {
        let mut step = self.steps.get(self.done)?.clone();
        if self.silent {
            step.p2 = 0x0C;
            Some(step)
        } else {
            step.p2 = 0x04;
            Some(step.expecting(256))
        }
    }

    pub(super) fn received(&mut self, response: &Response) -> Result<(), Refusal> {
        let word = response.status_word;
        // 62xx: selected, with a remark (6283: the file is deactivated; reading will tell).
        if word.is_success() || word.0 >> 8 == 0x62 {
            self.size = tlv::file_size(&response.data);
            self.done += 1;
            self.silent = false;
            return Ok(());
        }
        let dislikes_parameters = matches!(
            word,
            StatusWord::WRONG_P1_P2 | StatusWord::WRONG_LENGTH | StatusWord(0x6A81)
        );
        if dislikes_parameters && !self.silent {
            self.silent = true;
            return Ok(());
        }
        Err(Refusal {
            step: "select",
            status_word: word,
        })
    }

    /// The file's size, where the card said it.
    pub(super) fn size(&self) -> Option<u32> {
        self.size
    }

    pub(super) fn restart(&mut self) {
        self.done = 0;
        self.silent = false;
        self.size = None;
    }
}
