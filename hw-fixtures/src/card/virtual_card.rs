//! A chip in a slot of vpcd, vsmartcard's reader driver for the real pcscd: a TCP client; two
//! bytes of length (big-endian) and a message; single bytes 0, 1, 2 and 4 are off, on, reset and
//! "give the ATR", anything else is an APDU. To connect is to insert, to close is to remove.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpStream},
    os::linux::net::TcpStreamExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::chip::Chip;

/// vpcd listens as soon as pcscd runs; after a removal it takes the next card within a second.
const INSERTED_WITHIN: Duration = Duration::from_secs(10);

/// pcscd looks at its slots every 400 ms.
pub const TWO_LOOKS: Duration = Duration::from_millis(900);

/// How often a card is pushed in that is not found.
const TRIES: usize = 16;

/// A slot is asked at pcscd's next look.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The card is pulled.
    Pulled,
    /// It says nothing any more.
    Silent,
    /// It answers this status word and does nothing, or says so after it did.
    Says(u16),
    /// It takes so long.
    Slow(Duration),
}

/// Whether the command was still done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The mishap comes before it.
    Not,
    /// The mishap comes between doing it and answering.
    Already,
}

/// A mishap that waits for its command.
#[derive(Debug, Clone, Copy)]
struct Armed {
    /// So many commands pass before.
    after: usize,
    done: Done,
    mishap: Mishap,
}

#[derive(Debug)]
struct State {
    chip: Chip,
    armed: Option<Armed>,
    happening: Arc<Notify>,
    log: Vec<[u8; 4]>,
    /// Powered since it was inserted.
    found: bool,
}

/// A card that can be inserted into one slot.
#[derive(Debug)]
pub struct VirtualCard {
    state: Arc<Mutex<State>>,
    plugged: Option<(TcpStream, JoinHandle<()>)>,
}

impl VirtualCard {
    /// A card outside any reader.
    pub fn new(chip: Chip) -> Self {
        let state = State {
            chip,
            armed: None,
            happening: Arc::default(),
            log: Vec::new(),
            found: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            plugged: None,
        }
    }

    /// Pushes it into the slot behind this port of 127.0.0.1, and waits for nothing.
    pub fn push_in(&mut self, port: u16) -> io::Result<()> {
        self.remove();
        let began = Instant::now();
        let stream = loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(stream) => break stream,
                Err(error) if began.elapsed() > INSERTED_WITHIN => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        };
        let (mut line, state) = (stream.try_clone()?, self.state.clone());
        let serving = thread::Builder::new()
            .name("virtual-card".to_owned())
            .spawn(move || {
                // The slot let go of the card, or the card was pulled: either way it is out.
                let _ = serve(&mut line, &state);
                let _ = line.shutdown(Shutdown::Both);
                let mut state = lock(&state);
                state.chip.reset();
                state.found = false;
            })?;
        self.plugged = Some((stream, serving));
        Ok(())
    }

    /// Pulls it; nothing where it is in no reader.
    pub fn remove(&mut self) {
        if let Some((stream, serving)) = self.plugged.take() {
            let _ = stream.shutdown(Shutdown::Both);
            let _ = serving.join();
        }
    }

    /// Inserts it into the slot behind this port of 127.0.0.1, and waits until pcscd has found it. A slot
    /// that was just emptied now and then lets go of the next card at once, and a card that is back
    /// before pcscd has looked was never away for it: as a person does, pulls it and tries again.
    pub fn insert(&mut self, port: u16) -> io::Result<()> {
        for _ in 0..TRIES {
            self.push_in(port)?;
            let began = Instant::now();
            while self.is_inserted() && began.elapsed() < TWO_LOOKS {
                if self.is_found() {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(5));
            }
            self.remove();
            thread::sleep(TWO_LOOKS);
        }
        let why = "pcscd does not power the card that was inserted";
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    }

    /// Whether pcscd has found it: it powers every card that it finds. One that it has not found can
    /// still be reset, by who held the card before, and be used; that it is pulled is not noticed then.
    pub fn is_found(&self) -> bool {
        lock(&self.state).found
    }

    /// Whether it is in a slot that has not let go of it.
    pub fn is_inserted(&self) -> bool {
        let plugged = self.plugged.as_ref();
        plugged.is_some_and(|(_, serving)| !serving.is_finished())
    }

    /// The same as [`VirtualCard::remove`], once the slot has seen it go: one that comes back
    /// sooner was never away for pcscd.
    pub fn remove_until_seen(&mut self) {
        if let Some((stream, serving)) = &self.plugged {
            // The slot's next question is not answered any more.
            let _ = stream.shutdown(Shutdown::Write);
            let began = Instant::now();
            while !serving.is_finished() && began.elapsed() < SEEN_WITHIN {
                thread::sleep(Duration::from_millis(10));
            }
        }
        self.remove();
    }

    /// Lets something go wrong once, after so many more commands.
    pub fn arm(&self, after: usize, done: Done, mishap: Mishap) {
        let mut state = lock(&self.state);
        state.armed = Some(Armed {
            after,
            done,
            mishap,
        });
        state.happening = Arc::default();
    }

    /// Resolves when what was armed last happens.
    pub fn happening(&self) -> impl Future<Output = ()> + Send + use<> {
        let happening = lock(&self.state).happening.clone();
        async move { happening.notified().await }
    }

    /// Whether what was armed has not happened yet.
    pub fn is_armed(&self) -> bool {
        lock(&self.state).armed.is_some()
    }

    /// Whether what was armed has not happened; it will not any more.
    pub fn disarm(&self) -> bool {
        lock(&self.state).armed.take().is_some()
    }

    /// What a file holds.
    pub fn file(&self, id: u16) -> Vec<u8> {
        lock(&self.state).chip.file(id).to_vec()
    }

    /// Looks at the chip, or changes it.
    pub fn with_chip<T>(&self, look: impl FnOnce(&mut Chip) -> T) -> T {
        look(&mut lock(&self.state).chip)
    }

    /// The headers of the commands that came since the last look.
    pub fn take_log(&self) -> Vec<[u8; 4]> {
        std::mem::take(&mut lock(&self.state).log)
    }
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        self.remove();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(line: &mut TcpStream, state: &Mutex<State>) -> io::Result<()> {
    line.set_nodelay(true)?;
    loop {
        let message = receive(line)?;
        match message[..] {
            [] => {}
            [0 | 2] => lock(state).chip.reset(),
            [1] => {
                let mut state = lock(state);
                state.chip.reset();
                state.found = true;
            }
            [4] => {
                let atr = lock(state).chip.atr();
                send(line, &atr)?;
            }
            _ => {
                let Some(answer) = execute(&message, state) else {
                    return Ok(());
                };
                if !answer.is_empty() {
                    send(line, &answer)?;
                }
            }
        }
    }
}

/// The answer; nothing for silence, `None` when the card was pulled.
fn execute(apdu: &[u8], state: &Mutex<State>) -> Option<Vec<u8>> {
    let mut held = lock(state);
    if let Some(header) = apdu.first_chunk::<4>() {
        held.log.push(*header);
    }
    let due = match &mut held.armed {
        Some(armed) if armed.after == 0 => held.armed.take(),
        Some(armed) => {
            armed.after -= 1;
            None
        }
        None => None,
    };
    let Some(armed) = due else {
        return Some(held.chip.answer(apdu));
    };
    held.happening.notify_one();
    let answer = match (armed.done, armed.mishap) {
        (Done::Already, _) | (_, Mishap::Slow(_)) => held.chip.answer(apdu),
        (Done::Not, _) => Vec::new(),
    };
    drop(held);
    match armed.mishap {
        Mishap::Pulled => None,
        Mishap::Silent => Some(Vec::new()),
        Mishap::Says(word) => Some(word.to_be_bytes().to_vec()),
        Mishap::Slow(pause) => {
            thread::sleep(pause);
            Some(answer)
        }
    }
}

fn receive(line: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    // vpcd sends length and body apart and waits for the acknowledgement of the first: without
    // this every message takes 44 ms. The kernel forgets the setting, so it is set each time.
    line.set_quickack(true)?;
    line.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    line.set_quickack(true)?;
    line.read_exact(&mut message)?;
    Ok(message)
}

fn send(line: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    line.write_all(&[&length.to_be_bytes()[..], message].concat())
}
