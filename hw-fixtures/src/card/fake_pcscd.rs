//! A pcscd of our own: pcsc-lite's client protocol 4:4 (what pcsc-lite 1.9 to 2.0 speak) on a Unix
//! socket, so that the real libpcsclite, and whatever uses it, meets readers that come and go,
//! have a PIN pad, run PACE, and fail when they are told to. Clients find it through
//! `PCSCLITE_CSOCK_NAME`.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::chip::Chip;

mod pad;
mod session;
mod wire;

pub use wire::ReturnCode;

/// What a person does at the pad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtPad {
    /// Types these, one per entry: a PIN, or the old one and twice the new one.
    Types(Vec<String>),
    /// Presses the abort key.
    Cancels,
    /// Does nothing.
    Leaves,
}

/// What goes wrong with the next transmission or control code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The service answers this code; the card does not see the command.
    Before(ReturnCode),
    /// The card does the command, and the service answers this code.
    After(ReturnCode),
    /// Another application resets the card before the command.
    Reset,
    /// The card is pulled; the command does not reach it.
    Pulled,
    /// No answer until [`FakePcscd::release`].
    Hangs,
}

/// A reader.
#[derive(Debug, Default)]
struct Reader {
    chip: Option<Chip>,
    events: u32,
    /// Changes with every insertion and removal, and with a reset: what handles compare.
    card_state: u64,
    holder: Holder,
    features: bool,
    can: String,
    at_pad: VecDeque<AtPad>,
    troubles: VecDeque<(usize, Trouble)>,
    /// What went to the reader itself, as it came.
    controls: Vec<Vec<u8>>,
}

/// Who has the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Holder {
    #[default]
    Nobody,
    Shared(u32),
    Exclusive,
}

/// A list of readers that a client gets late.
#[derive(Debug, Default)]
enum Outdated {
    #[default]
    Nobody,
    /// Once this reader's status is asked for, and before that is answered.
    AtStatus(String),
    /// Whoever waits next is told of this reader as it was before its card came.
    Next(String),
    /// This client was; what it asks next takes its time.
    Told(u32),
}

#[derive(Debug, Default)]
struct World {
    readers: BTreeMap<String, Reader>,
    /// Clients that want to hear of the next change.
    waiting: BTreeMap<u32, UnixStream>,
    /// Every client, to be cut off at the end.
    clients: BTreeMap<u32, UnixStream>,
    numbers: u32,
    outdated: Outdated,
    hanging: bool,
    down: bool,
}

#[derive(Debug, Default)]
struct Shared {
    world: Mutex<World>,
    released: Condvar,
    told: Condvar,
}

/// The service; ends with its value.
#[derive(Debug)]
pub struct FakePcscd {
    socket: PathBuf,
    shared: Arc<Shared>,
}

impl FakePcscd {
    /// Listens on this socket.
    pub fn start(socket: &Path) -> io::Result<Self> {
        let service = Self {
            socket: socket.to_owned(),
            shared: Arc::default(),
        };
        service.listen()?;
        Ok(service)
    }

    fn listen(&self) -> io::Result<()> {
        let _ = fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket)?;
        let shared = self.shared.clone();
        thread::Builder::new()
            .name("fake-pcscd".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    if shared.lock().down || session::start(&shared, stream).is_err() {
                        return;
                    }
                }
            })?;
        Ok(())
    }

    /// The service dies: every connection breaks, and nobody listens any more.
    pub fn stop(&self) {
        let mut world = self.shared.lock();
        world.down = true;
        world.waiting.clear();
        for (_, client) in std::mem::take(&mut world.clients) {
            let _ = client.shutdown(Shutdown::Both);
        }
        for reader in world.readers.values_mut() {
            reader.holder = Holder::Nobody;
            reader.card_state += 1;
        }
        drop(world);
        // Wakes the listener, which sees that it is over.
        let _ = UnixStream::connect(&self.socket);
        let _ = fs::remove_file(&self.socket);
        self.release();
    }

    /// The service comes back with the same readers.
    pub fn start_again(&self) -> io::Result<()> {
        self.shared.lock().down = false;
        self.listen()
    }

    /// Plugs a reader; with a pad and PACE where `features` says so.
    pub fn plug(&self, reader: &str, features: bool) {
        let fresh = Reader {
            features,
            ..Reader::default()
        };
        self.change(|world| world.readers.insert(reader.to_owned(), fresh));
    }

    /// Unplugs a reader.
    pub fn unplug(&self, reader: &str) {
        self.change(|world| world.readers.remove(reader));
    }

    /// Puts a card into a reader, in the place of what was in it.
    pub fn insert(&self, reader: &str, chip: Chip) {
        self.change(|world| world.exchange_card(reader, Some(chip)));
    }

    /// Takes the card out.
    pub fn remove(&self, reader: &str) -> Option<Chip> {
        self.change(|world| world.exchange_card(reader, None))
    }

    /// Swaps cards so quickly that nobody sees the empty reader.
    pub fn swap(&self, reader: &str, chip: Chip) {
        self.change(|world| {
            world.exchange_card(reader, None);
            world.exchange_card(reader, Some(chip))
        });
    }

    /// What the person at the pad does next.
    pub fn at_pad(&self, reader: &str, act: AtPad) {
        self.with(reader, |reader| reader.at_pad.push_back(act));
    }

    /// The card access number of the card in the reader.
    pub fn set_can(&self, reader: &str, can: &str) {
        self.with(reader, |reader| can.clone_into(&mut reader.can));
    }

    /// Lets something go wrong once, after so many more transmissions.
    pub fn arm(&self, reader: &str, after: usize, trouble: Trouble) {
        self.with(reader, |reader| {
            reader.troubles.push_back((after, trouble));
        });
    }

    /// What was to go wrong and did not will not any more.
    pub fn disarm(&self, reader: &str) {
        self.with(reader, |reader| reader.troubles.clear());
    }

    /// Tells a client that waits of the reader as it was before its card came, and takes its time
    /// with what that client asks next.
    pub fn tell_outdated(&self, reader: &str) {
        self.change(|world| world.outdated = Outdated::Next(reader.to_owned()));
    }

    /// The same, while the next question for the status of this reader's card is open: libpcsclite
    /// before 2.0.1 keeps one list for all contexts of a process, and answers with the last that came.
    pub fn tell_outdated_at_status(&self, reader: &str) {
        self.shared.lock().outdated = Outdated::AtStatus(reader.to_owned());
    }

    /// Whether that is still to come, or not over.
    pub fn is_outdated(&self) -> bool {
        !matches!(self.shared.lock().outdated, Outdated::Nobody)
    }

    /// Lets go of what hangs.
    pub fn release(&self) {
        self.shared.lock().hanging = false;
        self.shared.released.notify_all();
    }

    /// Looks at the card in a reader; `None` where there is none.
    pub fn with_chip<T>(&self, reader: &str, look: impl FnOnce(&mut Chip) -> T) -> Option<T> {
        self.with(reader, |reader| reader.chip.as_mut().map(look))
            .flatten()
    }

    /// What went to the reader itself since the last look.
    pub fn take_controls(&self, reader: &str) -> Vec<Vec<u8>> {
        self.with(reader, |reader| std::mem::take(&mut reader.controls))
            .unwrap_or_default()
    }

    fn with<T>(&self, reader: &str, act: impl FnOnce(&mut Reader) -> T) -> Option<T> {
        self.shared.lock().readers.get_mut(reader).map(act)
    }

    fn change<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.shared.lock();
        let outcome = act(&mut world);
        world.tell_waiting();
        outcome
    }
}

impl Drop for FakePcscd {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn exchange_card(&mut self, reader: &str, chip: Option<Chip>) -> Option<Chip> {
        let reader = self.readers.get_mut(reader)?;
        if reader.chip.is_some() || chip.is_some() {
            reader.events += 1;
            reader.card_state += 1;
        }
        let mut old = std::mem::replace(&mut reader.chip, chip);
        for chip in [&mut old, &mut reader.chip].into_iter().flatten() {
            chip.reset();
        }
        old
    }

    /// Everybody who waits hears of a change once.
    fn tell_waiting(&mut self) {
        for (_, mut client) in std::mem::take(&mut self.waiting) {
            // A client that went away is found when its connection is read.
            let _ = wire::put(&mut client, &[0, 0]);
        }
    }
}
