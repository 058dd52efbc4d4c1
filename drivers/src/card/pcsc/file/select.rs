//! Selecting an application and a file, step by step. Cards differ in what they take: each step is
//! asked for in every way that the standard has (ISO/IEC 7816-4, 11.2.2), the usual one first.

use super::{Address, Refusal};
use crate::card::iso7816::{
    Command, FileId, Response, StatusWord,
    tlv::{self, FileSize},
};

/// The root of a card's files.
const ROOT: FileId = FileId(0x3F00);
/// P2, and whether an answer is expected: control parameters, nothing, control information.
const ANSWERS: [(u8, bool); 3] = [(0x04, true), (0x0C, false), (0x00, true)];

/// Selecting under way.
#[derive(Debug)]
pub(super) struct Select {
    /// What is tried one after the other; the first is under way.
    ways: Vec<Way>,
    /// Whether a way starts where it should after another one was tried.
    fixed: bool,
    /// A file that is not found is looked for no further.
    optional: bool,
    at: Attempt,
    refusal: Option<Refusal>,
    size: Option<FileSize>,
}

/// The steps to a file, each in its forms.
type Way = Vec<Vec<Form>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Attempt {
    step: usize,
    form: usize,
    answer: usize,
}

/// How a step is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// SELECT with this P1 and data.
    Named(u8, Vec<u8>),
    /// READ BINARY with a short identifier, which selects what it reads.
    Short(u8),
}

impl Select {
    /// For reading: also by the short identifier that the file's identifier stands for.
    pub(super) fn to_read(address: &Address) -> Self {
        let mut select = Self::to_write(address);
        select.ways.extend(by_short_id(address));
        select
    }

    /// For writing, by nothing but what the address says.
    pub(super) fn to_write(address: &Address) -> Self {
        let rooted = address.path.first() == Some(&ROOT);
        let mut ways = vec![step_by_step(address)];
        ways.extend(by_path(address));
        Self {
            ways,
            fixed: rooted || address.application.is_some(),
            optional: false,
            at: Attempt::default(),
            refusal: None,
            size: None,
        }
    }

    /// The same for a file that most cards have not.
    pub(super) fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The next command.
    pub(super) fn next(&self) -> Option<Command> {
        let form = self.ways.first()?.get(self.at.step)?.get(self.at.form)?;
        Some(match form {
            Form::Named(p1, data) => {
                let (p2, answered) = *ANSWERS.get(self.at.answer)?;
                let select = Command::new(0, 0xA4, *p1, p2).with_data(data.clone());
                if answered {
                    select.expecting(256)
                } else {
                    select
                }
            }
            Form::Short(id) => Command::new(0, 0xB0, 0x80 | id, 0).expecting(1),
        })
    }

    pub(super) fn received(&mut self, response: &Response) -> Result<(), Refusal> {
        let word = response.status_word;
        // 62xx: selected, with a remark (6283: the file is deactivated; reading will tell).
        if word.is_success() || word.0 >> 8 == 0x62 {
            self.size = tlv::file_size(&response.data);
            self.refusal = None;
            self.at = Attempt {
                step: self.at.step + 1,
                ..Attempt::default()
            };
            return Ok(());
        }
        // What a card says of the file is worth more than what it says of a form.
        if self
            .refusal
            .is_none_or(|first| is_about_form(first.status_word))
        {
            let status_word = word;
            let step = "select";
            self.refusal = Some(Refusal { step, status_word });
        }
        if self.lead_on(word) {
            return Ok(());
        }
        let refused = Refusal {
            step: "select",
            status_word: word,
        };
        Err(self.refusal.unwrap_or(refused))
    }

    /// Goes on to the next form, or to the next way; `false` where there is none.
    fn lead_on(&mut self, word: StatusWord) -> bool {
        let not_found = word == StatusWord::FILE_NOT_FOUND;
        let form = self.form();
        if is_about_form(word)
            && matches!(form, Some(Form::Named(..)))
            && self.at.answer + 1 < ANSWERS.len()
        {
            self.at.answer += 1;
            return true;
        }
        let not_found_leads_on = not_found && !self.optional;
        if !(is_about_form(word) || not_found_leads_on || word == StatusWord::UNKNOWN_INSTRUCTION) {
            return false;
        }
        self.at.form += 1;
        if !not_found {
            self.at.answer = 0;
        }
        if self.form().is_some() {
            return true;
        }
        let moved = self.at.step > 0 && !self.fixed;
        if self.ways.len() < 2 || moved {
            return false;
        }
        self.ways.remove(0);
        self.at = Attempt::default();
        // A short identifier names another file where the card knows no file of this name.
        let short = self.ways[0]
            .last()
            .is_some_and(|last| matches!(last[..], [Form::Short(_)]));
        !(short
            && self
                .refusal
                .is_some_and(|refusal| refusal.status_word == StatusWord::FILE_NOT_FOUND))
    }

    fn form(&self) -> Option<&Form> {
        self.ways.first()?.get(self.at.step)?.get(self.at.form)
    }

    /// The file's size, where the card said it.
    pub(super) fn size(&self) -> Option<FileSize> {
        self.size
    }

    /// Begins anew, the way that the card took.
    pub(super) fn restart(&mut self) {
        self.at = Attempt::default();
        self.refusal = None;
        self.size = None;
    }
}

/// The card or its program does not like how it was asked.
fn is_about_form(word: StatusWord) -> bool {
    matches!(
        word,
        StatusWord::WRONG_P1_P2
            | StatusWord::WRONG_LENGTH
            | StatusWord::OUTSIDE_FILE
            | StatusWord(0x6A80 | 0x6A81 | 0x6A87)
    )
}

fn application(address: &Address) -> impl Iterator<Item = Vec<Form>> {
    let aid = address.application.clone().into_iter();
    aid.map(|aid| vec![Form::Named(0x04, aid)])
}

/// One identifier after the other: any file (P1 00), else a file (02) or a folder (01) under the
/// current folder. The root is also selected by naming nothing.
fn step_by_step(address: &Address) -> Way {
    let last = address.path.len().saturating_sub(1);
    let files = address.path.iter().enumerate().map(|(index, id)| {
        let named = |p1| Form::Named(p1, id.0.to_be_bytes().to_vec());
        match *id {
            ROOT => vec![named(0x00), Form::Named(0x00, Vec::new())],
            _ if index == last => vec![named(0x00), named(0x02), named(0x01)],
            _ => vec![named(0x00), named(0x01)],
        }
    });
    application(address).chain(files).collect()
}

/// The whole path at once: from the root (P1 08), or from the current folder (09).
fn by_path(address: &Address) -> Option<Way> {
    let (p1, path) = match address.path.split_first() {
        Some((&ROOT, path)) => (0x08, path),
        _ => (0x09, &address.path[..]),
    };
    let ids: Vec<u8> = path.iter().flat_map(|id| id.0.to_be_bytes()).collect();
    let file = vec![Form::Named(p1, ids)];
    (!path.is_empty()).then(|| application(address).chain([file]).collect())
}

/// The last file by its short identifier: the lowest bits of its identifier, where the card says
/// nothing else (ISO/IEC 7816-4, 7.4.3).
fn by_short_id(address: &Address) -> Option<Way> {
    let short = address.path.last()?.0.to_be_bytes()[1] & 0x1F;
    let mut way = step_by_step(address);
    *way.last_mut()? = vec![Form::Short(short)];
    matches!(short, 1..=30).then_some(way)
}
