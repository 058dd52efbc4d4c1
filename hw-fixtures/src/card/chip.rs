//! A chip card as ISO 7816-4 describes it: files, a PIN, and the manners of different cards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

use koffer_drivers::card::iso7816::{Command, Response, StatusWord, tlv};
use serde::{Deserialize, Serialize};

/// The root of the files.
const ROOT: u16 = 0x3F00;
/// Tries before the PIN is blocked.
const TRIES: u8 = 3;

/// How a card behaves where the standard leaves it a choice.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each manner stands for itself, and a card may have any of them"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manners {
    /// It takes extended lengths.
    pub extended: bool,
    /// It takes commands in pieces.
    pub chaining: bool,
    /// Answers wait for GET RESPONSE (61xx).
    pub waits: bool,
    /// It insists on the exact length (6Cxx).
    pub exact: bool,
    /// SELECT answers with control parameters.
    pub parameters: bool,
    /// It reads beyond 32,767 with the odd READ BINARY (B1).
    pub odd: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            extended: true,
            chaining: true,
            waits: false,
            exact: false,
            parameters: true,
            odd: true,
        }
    }
}

/// The card: what lasts, and what a reset ends.
#[derive(Debug, Clone)]
pub struct Chip {
    /// How it behaves.
    pub manners: Manners,
    applications: BTreeSet<Vec<u8>>,
    files: BTreeMap<u16, Vec<u8>>,
    guarded: BTreeSet<u16>,
    pin: String,
    tries: u8,
    folder: Option<PathBuf>,
    executed: u64,
    selected: Option<u16>,
    verified: bool,
    waiting: Vec<u8>,
    chained: Vec<u8>,
}

impl Chip {
    /// An empty card with this PIN.
    pub fn new(pin: &str) -> Self {
        Self {
            manners: Manners::default(),
            applications: BTreeSet::new(),
            files: BTreeMap::new(),
            guarded: BTreeSet::new(),
            pin: pin.to_owned(),
            tries: TRIES,
            folder: None,
            executed: 0,
            selected: None,
            verified: false,
            waiting: Vec::new(),
            chained: Vec::new(),
        }
    }

    /// The same with an application to select.
    #[must_use]
    pub fn with_application(mut self, aid: &[u8]) -> Self {
        self.applications.insert(aid.to_vec());
        self
    }

    /// The same with a file.
    #[must_use]
    pub fn with_file(mut self, id: u16, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(id, content.into());
        self
    }

    /// The same with a file that is updated only after the PIN.
    #[must_use]
    pub fn with_guarded_file(mut self, id: u16, content: impl Into<Vec<u8>>) -> Self {
        self.guarded.insert(id);
        self.with_file(id, content)
    }

    /// The same with other manners.
    #[must_use]
    pub fn with_manners(mut self, manners: Manners) -> Self {
        self.manners = manners;
        self
    }

    /// The same, its files kept in this folder as `0101.bin`: what lies there is loaded, and every
    /// update is stored.
    pub fn kept_in(mut self, folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for (id, content) in &mut self.files {
            let path = folder.join(format!("{id:04x}.bin"));
            match fs::read(&path) {
                Ok(kept) => *content = kept,
                Err(error) if error.kind() == io::ErrorKind::NotFound => fs::write(path, content)?,
                Err(error) => return Err(error),
            }
        }
        self.folder = Some(folder);
        Ok(self)
    }

    /// What a file holds; empty where there is none.
    pub fn file(&self, id: u16) -> &[u8] {
        self.files.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The PIN now.
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// How many commands it executed since it was made, refused ones among them.
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// The answer to reset: T=1, and the manners in its historical bytes.
    pub fn atr(&self) -> Vec<u8> {
        let functions = u8::from(self.manners.chaining) << 7 | u8::from(self.manners.extended) << 6;
        let mut atr = vec![0x3B, 0x85, 0x80, 0x01, 0x80, 0x73, 0xC0, 0x01, functions];
        // TCK: the exclusive or of everything behind TS.
        atr.push(atr.iter().skip(1).fold(0, |tck, byte| tck ^ byte));
        atr
    }

    /// Power gone or reset: selection, verification and half commands are gone.
    pub fn reset(&mut self) {
        self.selected = None;
        self.verified = false;
        self.waiting.clear();
        self.chained.clear();
    }

    /// Executes one command.
    pub fn answer(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.executed += 1;
        let response = match Command::parse(apdu) {
            Ok(command) => self.execute(&command, apdu.get(4) == Some(&0) && apdu.len() > 5),
            Err(_) => say(0x6700),
        };
        response.encode()
    }

    fn execute(&mut self, command: &Command, extended: bool) -> Response {
        if extended && !self.manners.extended {
            return say(0x6700);
        }
        if command.ins == 0xC0 {
            let length = command.le.unwrap_or(256) as usize;
            let data = std::mem::take(&mut self.waiting);
            return self.give(data, length, true);
        }
        self.waiting.clear();
        if command.cla & 0x10 != 0 && command.is_interindustry() {
            if !self.manners.chaining {
                return say(0x6884);
            }
            self.chained.extend(&command.data);
            return say(0x9000);
        }
        let mut command = command.clone();
        if !self.chained.is_empty() {
            let mut whole = std::mem::take(&mut self.chained);
            whole.append(&mut command.data);
            command.data = whole;
        }
        match command.ins {
            0xA4 => self.select(&command),
            0xB0 => {
                let at = usize::from(u16::from_be_bytes([command.p1, command.p2]));
                self.read(at, command.le.unwrap_or(256) as usize)
            }
            0xB1 if self.manners.odd => self.read_far(&command),
            0xD6 => self.update(&command),
            0x20 => self.verify(&command.data),
            0x24 => self.change(&command.data),
            0x84 => {
                let length = command.le.unwrap_or(8) as usize;
                let challenge = (0..length).map(|i| u8::try_from(i & 0xFF).unwrap_or(0));
                self.give(challenge.collect(), length, false)
            }
            _ => say(0x6D00),
        }
    }

    /// Gives data, as the manners are.
    fn give(&mut self, data: Vec<u8>, length: usize, fetched: bool) -> Response {
        let short = |length: usize| u16::try_from(length & 0xFF).unwrap_or(0);
        if data.is_empty() {
            return say(0x9000);
        }
        if self.manners.exact && !fetched && length > data.len() {
            return say(0x6C00 | short(data.len()));
        }
        if (self.manners.waits && !fetched) || data.len() > length {
            let (now, later) = if fetched {
                data.split_at(length.min(data.len()))
            } else {
                data.split_at(0)
            };
            self.waiting = later.to_vec();
            return Response {
                data: now.to_vec(),
                status_word: StatusWord(0x6100 | short(later.len().min(256))),
            };
        }
        Response {
            data,
            status_word: StatusWord::SUCCESS,
        }
    }

    fn select(&mut self, command: &Command) -> Response {
        if command.p2 == 0x04 && !self.manners.parameters {
            return say(0x6A86);
        }
        if command.p1 == 0x04 {
            let known = self.applications.contains(&command.data);
            self.selected = None;
            return say(if known { 0x9000 } else { 0x6A82 });
        }
        let Ok(id) = <[u8; 2]>::try_from(&command.data[..]) else {
            return say(0x6A80);
        };
        let id = u16::from_be_bytes(id);
        if id == ROOT {
            self.selected = None;
            return say(0x9000);
        }
        let Some(file) = self.files.get(&id) else {
            return say(0x6A82);
        };
        self.selected = Some(id);
        let [_, highest, high, low] = u32::try_from(file.len()).unwrap_or(u32::MAX).to_be_bytes();
        match command.le {
            Some(length) if command.p2 == 0x04 => {
                let parameters = vec![0x62, 8, 0x80, 3, highest, high, low, 0x82, 1, 1];
                self.give(parameters, length as usize, false)
            }
            _ => say(0x9000),
        }
    }

    /// READ BINARY with the offset as an object; what is read is one, too.
    fn read_far(&mut self, command: &Command) -> Response {
        let at = match tlv::Object::first(&command.data) {
            Some((object, _)) if object.tag == 0x54 && object.value.len() <= 3 => {
                let digits = object.value.iter();
                digits.fold(0, |at, digit| at << 8 | usize::from(*digit))
            }
            _ => return say(0x6A80),
        };
        let most = command.le.unwrap_or(256) as usize;
        let mut response = self.read(at, most.saturating_sub(4));
        if !response.data.is_empty() {
            let length = u16::try_from(response.data.len()).unwrap_or(u16::MAX);
            let [high, low] = length.to_be_bytes();
            response.data.splice(0..0, [0x53, 0x82, high, low]);
        }
        response
    }

    fn read(&mut self, at: usize, length: usize) -> Response {
        let Some(file) = self.selected.and_then(|id| self.files.get(&id)) else {
            return say(0x6986);
        };
        if at >= file.len() {
            return say(0x6B00);
        }
        let rest = &file[at..];
        if rest.len() < length && !self.manners.exact && !self.manners.waits {
            return Response {
                data: rest.to_vec(),
                status_word: StatusWord::END_OF_FILE,
            };
        }
        let data = rest[..rest.len().min(length)].to_vec();
        self.give(data, length, false)
    }

    fn update(&mut self, command: &Command) -> Response {
        let at = usize::from(u16::from_be_bytes([command.p1, command.p2]));
        let Some(id) = self.selected else {
            return say(0x6986);
        };
        if self.guarded.contains(&id) && !self.verified {
            return say(0x6982);
        }
        let Some(place) = self
            .files
            .get_mut(&id)
            .and_then(|file| file.get_mut(at..at + command.data.len()))
        else {
            return say(0x6B00);
        };
        place.copy_from_slice(&command.data);
        if let Some(folder) = &self.folder
            && fs::write(folder.join(format!("{id:04x}.bin")), self.file(id)).is_err()
        {
            return say(0x6581);
        }
        say(0x9000)
    }

    fn verify(&mut self, data: &[u8]) -> Response {
        if self.tries == 0 {
            return say(0x6983);
        }
        if data.is_empty() {
            return say(if self.verified {
                0x9000
            } else {
                0x63C0 | u16::from(self.tries)
            });
        }
        self.verified = digits(data).is_some_and(|(pin, _)| pin == self.pin);
        if self.verified {
            self.tries = TRIES;
            return say(0x9000);
        }
        self.tries -= 1;
        say(0x63C0 | u16::from(self.tries))
    }

    fn change(&mut self, data: &[u8]) -> Response {
        // Blocks of eight bytes, or ASCII with the old PIN first.
        let old_length = if data.len() == 16 { 8 } else { self.pin.len() };
        let Some((old, new)) = data.split_at_checked(old_length) else {
            return say(0x6A80);
        };
        let checked = self.verify(old);
        if !checked.status_word.is_success() {
            return checked;
        }
        match digits(new) {
            Some((pin, _)) if pin.len() >= 4 => {
                self.pin = pin;
                checked
            }
            _ => say(0x6A80),
        }
    }
}

/// The digits of a PIN: a format 2 block (ISO 9564-1), or ASCII.
fn digits(data: &[u8]) -> Option<(String, usize)> {
    if let [head, block @ ..] = data
        && data.len() == 8
        && head >> 4 == 2
    {
        let digits = block.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
        let pin: Option<String> = digits
            .take((head & 0x0F).into())
            .map(|digit| char::from_digit(digit.into(), 10))
            .collect();
        return pin.map(|pin| (pin, 8));
    }
    let pin: Option<String> = data
        .iter()
        .map(|byte| byte.is_ascii_digit().then_some(char::from(*byte)))
        .collect();
    pin.map(|pin| (pin, data.len()))
}

fn say(word: u16) -> Response {
    Response {
        data: Vec::new(),
        status_word: StatusWord(word),
    }
}
