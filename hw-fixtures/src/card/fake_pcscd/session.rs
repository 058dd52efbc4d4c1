//! One client.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    mem::take,
    os::unix::net::UnixStream,
    sync::{Arc, PoisonError},
    thread,
    time::Duration,
};

use super::{
    Holder, Outdated, Reader, Shared, Trouble, World, pad,
    wire::{self, ATTRIBUTE, Command, NAME, READERS, ReturnCode, number},
};

/// How a reader is taken (SCARD_SHARE_*).
const EXCLUSIVE: u32 = 1;
const DIRECT: u32 = 3;
/// T=1 (SCARD_PROTOCOL_T1).
const T1: u32 = 2;
/// States of a card (SCARD_*): absent; present, powered and with its protocol chosen.
const ABSENT: u32 = 0x02;
const SPECIFIC: u32 = 0x54;
/// SCARD_ATTR_ATR_STRING.
const ATR_STRING: u32 = 0x0009_0303;
/// SCARD_ATTR_VENDOR_NAME.
const VENDOR_NAME: u32 = 0x0001_0100;
/// SCARD_LEAVE_CARD.
const LEAVE: u32 = 0;

/// How long the list after an outdated one takes.
const LATE: Duration = Duration::from_millis(100);
/// A client that was told of a change asks for the list at once.
const ASKS_WITHIN: Duration = Duration::from_secs(1);
/// And reads it.
const READS_WITHIN: Duration = Duration::from_millis(20);

/// A connection to a card or a reader.
struct Handle {
    reader: String,
    share: u32,
    card_state: u64,
}

struct Session {
    shared: Arc<Shared>,
    line: UnixStream,
    number: u32,
    handles: BTreeMap<u32, Handle>,
}

/// Serves a client until it goes.
pub(super) fn start(shared: &Arc<Shared>, line: UnixStream) -> io::Result<()> {
    let copy = line.try_clone()?;
    let mut world = shared.lock();
    world.numbers += 1;
    let number = world.numbers;
    world.clients.insert(number, copy);
    drop(world);
    let mut session = Session {
        shared: shared.clone(),
        line,
        number,
        handles: BTreeMap::new(),
    };
    thread::Builder::new()
        .name("fake-pcscd-client".to_owned())
        .spawn(move || {
            // It ends with an error when the client goes: that is how they all end.
            let _ = session.serve();
            session.leave();
        })?;
    Ok(())
}

impl Session {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let (command, body) = wire::receive(&mut self.line)?;
            let field = |index| number(&body, index);
            match command {
                Command::Version => self.put(&[4, 4, 0])?,
                Command::EstablishContext => self.put(&[field(0), self.number, 0])?,
                Command::ReleaseContext | Command::BeginTransaction | Command::Cancel => {
                    self.put(&[field(0), 0])?;
                }
                Command::EndTransaction => self.put(&[field(0), field(1), 0])?,
                Command::GetReaders => self.list(false)?,
                Command::Wait => self.list(true)?,
                Command::StopWaiting => {
                    let mut world = self.shared.lock();
                    // Otherwise the news is on its way, and is the answer.
                    if world.waiting.remove(&self.number).is_some() {
                        wire::put(&mut self.line, &[0, 0])?;
                    }
                }
                Command::Connect => self.connect(&body)?,
                Command::Reconnect => {
                    let code = self.reconnect(field(0));
                    self.put(&[field(0), field(1), field(2), field(3), T1, code.0])?;
                }
                Command::Disconnect => {
                    let code = self.disconnect(field(0), field(1));
                    self.put(&[field(0), field(1), code.0])?;
                }
                Command::Status => {
                    let code = match self.held(field(0)) {
                        Ok(reader) => {
                            self.tell_others_first(&reader);
                            ReturnCode::SUCCESS
                        }
                        Err(code) => code,
                    };
                    self.put(&[field(0), code.0])?;
                }
                Command::Transmit => self.transmit(&body)?,
                Command::Control => self.control(&body)?,
                Command::GetAttribute => self.attribute(&body)?,
            }
        }
    }

    fn put(&mut self, numbers: &[u32]) -> io::Result<()> {
        wire::put(&mut self.line, numbers)
    }

    /// Every reader; with the news of the next change where the client waits for it.
    fn list(&mut self, waits: bool) -> io::Result<()> {
        let line = self.line.try_clone()?;
        let mut world = self.shared.lock();
        let list = match take(&mut world.outdated) {
            Outdated::Next(reader) if waits => {
                world.outdated = Outdated::Told(self.number);
                readers(&world, Some(&reader))
            }
            Outdated::Told(client) if client == self.number => {
                drop(world);
                thread::sleep(LATE);
                world = self.shared.lock();
                readers(&world, None)
            }
            other => {
                world.outdated = other;
                readers(&world, None)
            }
        };
        if waits {
            world.waiting.insert(self.number, line);
        }
        self.line.write_all(&list)?;
        self.shared.told.notify_all();
        Ok(())
    }

    /// Where somebody else is to be told something outdated meanwhile. A libpcsclite that lets
    /// nobody else ask meanwhile is not waited for.
    fn tell_others_first(&self, reader: &str) {
        let mut world = self.shared.lock();
        match take(&mut world.outdated) {
            Outdated::AtStatus(armed) if armed == reader => world.outdated = Outdated::Next(armed),
            other => {
                world.outdated = other;
                return;
            }
        }
        world.tell_waiting();
        let to_come = |world: &mut World| matches!(world.outdated, Outdated::Next(_));
        let waited = self
            .shared
            .told
            .wait_timeout_while(world, ASKS_WITHIN, to_come);
        let (mut world, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            world.outdated = Outdated::Nobody;
        } else {
            drop(world);
            thread::sleep(READS_WITHIN);
        }
    }

    fn connect(&mut self, body: &[u8]) -> io::Result<()> {
        let name = body.get(4..4 + NAME).unwrap_or_default();
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
        let name = String::from_utf8_lossy(&name[..end]).into_owned();
        let share = number(body, 1 + NAME / 4);
        let mut world = self.shared.lock();
        let code = match world.readers.get_mut(&name) {
            None => ReturnCode::UNKNOWN_READER,
            Some(reader) if reader.chip.is_none() && share != DIRECT => ReturnCode::NO_SMARTCARD,
            Some(reader) => match (reader.holder, share) {
                (Holder::Exclusive, _) | (Holder::Shared(_), EXCLUSIVE) => {
                    ReturnCode::SHARING_VIOLATION
                }
                (Holder::Nobody, EXCLUSIVE) => {
                    reader.holder = Holder::Exclusive;
                    ReturnCode::SUCCESS
                }
                (Holder::Nobody, _) => {
                    reader.holder = Holder::Shared(1);
                    ReturnCode::SUCCESS
                }
                (Holder::Shared(others), _) => {
                    reader.holder = Holder::Shared(others + 1);
                    ReturnCode::SUCCESS
                }
            },
        };
        let card_state = world
            .readers
            .get(&name)
            .map_or(0, |reader| reader.card_state);
        world.numbers += 1;
        let handle = world.numbers;
        drop(world);
        let mut answer = body.to_vec();
        answer.truncate(4 + NAME + 8);
        if code == ReturnCode::SUCCESS {
            let opened = Handle {
                reader: name,
                share,
                card_state,
            };
            self.handles.insert(handle, opened);
        }
        let protocol = if share == DIRECT { 0 } else { T1 };
        for number in [handle, protocol, code.0] {
            answer.extend(number.to_ne_bytes());
        }
        self.line.write_all(&answer)
    }

    fn reconnect(&mut self, handle: u32) -> ReturnCode {
        let world = self.shared.lock();
        let Some(handle) = self.handles.get_mut(&handle) else {
            return ReturnCode::INVALID_HANDLE;
        };
        match world.readers.get(&handle.reader) {
            None => ReturnCode::READER_UNAVAILABLE,
            Some(Reader { chip: None, .. }) => ReturnCode::NO_SMARTCARD,
            Some(reader) => {
                handle.card_state = reader.card_state;
                ReturnCode::SUCCESS
            }
        }
    }

    fn disconnect(&mut self, handle: u32, disposition: u32) -> ReturnCode {
        let Some(handle) = self.handles.remove(&handle) else {
            return ReturnCode::INVALID_HANDLE;
        };
        let mut world = self.shared.lock();
        if let Some(reader) = world.readers.get_mut(&handle.reader) {
            reader.let_go(&handle, disposition);
        }
        ReturnCode::SUCCESS
    }

    fn leave(&mut self) {
        let mut world = self.shared.lock();
        world.waiting.remove(&self.number);
        world.clients.remove(&self.number);
        for handle in take(&mut self.handles).into_values() {
            if let Some(reader) = world.readers.get_mut(&handle.reader) {
                reader.let_go(&handle, 1);
            }
        }
    }

    /// The reader behind a handle, while its card is the same and was not reset.
    fn held(&self, handle: u32) -> Result<String, ReturnCode> {
        let handle = self
            .handles
            .get(&handle)
            .ok_or(ReturnCode::INVALID_HANDLE)?;
        let world = self.shared.lock();
        let reader = world
            .readers
            .get(&handle.reader)
            .ok_or(ReturnCode::READER_UNAVAILABLE)?;
        match &reader.chip {
            _ if handle.share == DIRECT => Ok(handle.reader.clone()),
            _ if reader.card_state == handle.card_state => Ok(handle.reader.clone()),
            None => Err(ReturnCode::REMOVED_CARD),
            Some(_) => Err(ReturnCode::RESET_CARD),
        }
    }

    fn transmit(&mut self, body: &[u8]) -> io::Result<()> {
        let apdu = wire::bytes(&mut self.line, number(body, 3))?;
        let answer = self.with_card(number(body, 0), |reader| {
            let chip = reader.chip.as_mut().ok_or(ReturnCode::REMOVED_CARD)?;
            Ok(chip.answer(&apdu))
        });
        let (code, data) = parted(answer);
        let length = u32::try_from(data.len()).unwrap_or(0);
        let mut numbers: Vec<_> = (0..6).map(|index| number(body, index)).collect();
        numbers.extend([length, code.0]);
        self.put(&numbers)?;
        self.line.write_all(&data)
    }

    fn control(&mut self, body: &[u8]) -> io::Result<()> {
        let input = wire::bytes(&mut self.line, number(body, 2))?;
        let code = number(body, 1);
        let answer = if code == pad::GET_FEATURES {
            // Asked at every connection: no occasion for trouble.
            let held = self.held(number(body, 0));
            held.and_then(|name| {
                let world = self.shared.lock();
                let reader = world.readers.get(&name);
                let known = reader.is_some_and(|reader| reader.features);
                known
                    .then(pad::features)
                    .ok_or(ReturnCode::UNSUPPORTED_FEATURE)
            })
        } else {
            self.with_card(number(body, 0), |reader| pad::run(reader, code, &input))
        };
        let (code, data) = parted(answer);
        let length = u32::try_from(data.len()).unwrap_or(0);
        let mut numbers: Vec<_> = (0..4).map(|index| number(body, index)).collect();
        numbers.extend([length, code.0]);
        self.put(&numbers)?;
        self.line.write_all(&data)
    }

    /// Does something with the card, and what was to go wrong with it.
    fn with_card(
        &mut self,
        handle: u32,
        act: impl FnOnce(&mut Reader) -> Result<Vec<u8>, ReturnCode>,
    ) -> Result<Vec<u8>, ReturnCode> {
        let name = self.held(handle)?;
        let mut world = self.shared.lock();
        let reader = world
            .readers
            .get_mut(&name)
            .ok_or(ReturnCode::READER_UNAVAILABLE)?;
        match reader.due() {
            None => act(reader),
            Some(Trouble::Before(code)) => Err(code),
            Some(Trouble::After(code)) => act(reader).and(Err(code)),
            Some(Trouble::Reset) => {
                reader.card_state += 1;
                if let Some(chip) = &mut reader.chip {
                    chip.reset();
                }
                Err(ReturnCode::RESET_CARD)
            }
            Some(Trouble::Pulled) => {
                world.exchange_card(&name, None);
                world.tell_waiting();
                Err(ReturnCode::REMOVED_CARD)
            }
            Some(Trouble::Hangs) => {
                world.hanging = true;
                let waiting = self
                    .shared
                    .released
                    .wait_while(world, |world| world.hanging);
                drop(waiting);
                Err(ReturnCode::NOT_TRANSACTED)
            }
        }
    }

    fn attribute(&mut self, body: &[u8]) -> io::Result<()> {
        let attribute = number(body, 1);
        let value = self.held(number(body, 0)).and_then(|name| {
            let world = self.shared.lock();
            let reader = world.readers.get(&name);
            let chip = reader.and_then(|reader| reader.chip.as_ref());
            match (attribute, chip) {
                (ATR_STRING, Some(chip)) => Ok(chip.atr()),
                (VENDOR_NAME, _) => Ok(b"koffer".to_vec()),
                _ => Err(ReturnCode::UNSUPPORTED_FEATURE),
            }
        });
        let (code, value) = parted(value);
        let mut answer = [number(body, 0), attribute]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect::<Vec<_>>();
        answer.extend(&value);
        answer.resize(8 + ATTRIBUTE, 0);
        let length = u32::try_from(value.len()).unwrap_or(0);
        answer.extend(length.to_ne_bytes());
        answer.extend(code.0.to_ne_bytes());
        self.line.write_all(&answer)
    }
}

impl Reader {
    fn let_go(&mut self, handle: &Handle, disposition: u32) {
        self.holder = match self.holder {
            Holder::Shared(holders) if holders > 1 => Holder::Shared(holders - 1),
            _ => Holder::Nobody,
        };
        if disposition != LEAVE
            && handle.share != DIRECT
            && let Some(chip) = &mut self.chip
        {
            chip.reset();
            self.card_state += 1;
        }
    }

    fn due(&mut self) -> Option<Trouble> {
        let (after, _) = self.troubles.front_mut()?;
        if *after > 0 {
            *after -= 1;
            return None;
        }
        self.troubles.pop_front().map(|(_, trouble)| trouble)
    }
}

fn parted(answer: Result<Vec<u8>, ReturnCode>) -> (ReturnCode, Vec<u8>) {
    match answer {
        Ok(data) => (ReturnCode::SUCCESS, data),
        Err(code) => (code, Vec::new()),
    }
}

/// Every reader, and empty places up to sixteen; one of them as it was before its card came.
fn readers(world: &World, outdated: Option<&str>) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, reader) in world.readers.iter().take(READERS) {
        let is_outdated = outdated == Some(name);
        let chip = reader.chip.as_ref().filter(|_| !is_outdated);
        let events = reader.events.saturating_sub(is_outdated.into());
        let begin = list.len();
        list.extend(name.as_bytes().iter().take(NAME - 1));
        list.resize(begin + NAME, 0);
        let atr = chip.map(super::Chip::atr).unwrap_or_default();
        let state = if chip.is_some() { SPECIFIC } else { ABSENT };
        let sharing = match reader.holder {
            Holder::Nobody => 0,
            Holder::Shared(_) => 1,
            Holder::Exclusive => u32::MAX,
        };
        for number in [events, state, sharing] {
            list.extend(number.to_ne_bytes());
        }
        let end = list.len() + 36;
        list.extend(&atr);
        list.resize(end, 0);
        let protocol = if atr.is_empty() { 0 } else { T1 };
        for number in [u32::try_from(atr.len()).unwrap_or(0), protocol] {
            list.extend(number.to_ne_bytes());
        }
    }
    list.resize(READERS * (NAME + 56), 0);
    list
}
