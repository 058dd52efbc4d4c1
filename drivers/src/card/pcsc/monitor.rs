//! One thread that knows which readers there are and which of them hold a card, for all drivers
//! of the process. It has a context of its own, so that no transmission waits for it.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, Scope, State};
use tokio::sync::watch;

use super::timing;

/// What the monitor sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// Whether the PC/SC service answers.
    pub service: Service,
    /// The readers by the service's name for them: a name with an index, no identity.
    pub readers: BTreeMap<String, CardPresence>,
}

/// Whether the PC/SC service answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Service {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It does.
    Up,
    /// It does not; what the library says.
    Down(String),
}

/// Whether a reader holds a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CardPresence {
    /// A card is in it.
    pub present: bool,
    /// The card gives no answer to reset.
    pub mute: bool,
    /// Counts insertions and removals: a quick swap shows in nothing else.
    pub changes: u16,
}

/// A handle on the monitor. The thread ends with the last one.
#[derive(Debug, Clone)]
pub struct Monitor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sight: watch::Sender<Sight>,
    beat: Mutex<Instant>,
    /// Readers whose thread was given up on, and a sign of whether it still hangs.
    stuck: Mutex<BTreeMap<String, Weak<()>>>,
}

static RUNNING: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

impl Monitor {
    /// The process's monitor; started where none runs.
    pub fn shared() -> Self {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = running.upgrade() {
            return Self { shared };
        }
        let shared = Arc::new(Shared {
            sight: watch::Sender::default(),
            beat: Mutex::new(Instant::now()),
            stuck: Mutex::default(),
        });
        *running = Arc::downgrade(&shared);
        let weak = Arc::downgrade(&shared);
        let started = thread::Builder::new()
            .name("pcsc-monitor".to_owned())
            .spawn(move || watch_service(&weak));
        if let Err(error) = started {
            shared.publish(Sight {
                service: Service::Down(error.to_string()),
                ..Sight::default()
            });
        }
        Self { shared }
    }

    /// What it sees, and every change of it.
    pub fn sight(&self) -> watch::Receiver<Sight> {
        self.shared.sight.subscribe()
    }

    /// Whether its thread hangs in the service.
    pub fn is_silent(&self) -> bool {
        let beat = self.shared.beat.lock();
        beat.unwrap_or_else(PoisonError::into_inner).elapsed() > timing::MONITOR_SILENCE
    }

    /// Notes that the thread of this reader was given up on; `alive` is gone when it ended.
    pub(super) fn note_stuck(&self, reader: &str, alive: Weak<()>) {
        let mut stuck = self.stuck();
        stuck.retain(|_, alive| alive.strong_count() > 0);
        stuck.insert(reader.to_owned(), alive);
    }

    /// Whether a thread still hangs in this reader.
    pub(super) fn is_stuck(&self, reader: &str) -> bool {
        let stuck = self.stuck();
        stuck
            .get(reader)
            .is_some_and(|alive| alive.strong_count() > 0)
    }

    fn stuck(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Weak<()>>> {
        let stuck = self.shared.stuck.lock();
        stuck.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn publish(&self, sight: Sight) {
        self.beat();
        self.sight.send_if_modified(|seen| {
            let changed = *seen != sight;
            *seen = sight;
            changed
        });
    }

    fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Until nobody wants to know any more.
fn watch_service(shared: &Weak<Shared>) {
    let mut pause = timing::SERVICE_PAUSE;
    while shared.strong_count() > 0 {
        let lost = match Context::establish(Scope::System) {
            Ok(context) => {
                pause = timing::SERVICE_PAUSE;
                match watch_readers(shared, &context) {
                    // The context goes with this scope: after the service was restarted it would
                    // still call itself valid.
                    Some(error) => error,
                    None => return,
                }
            }
            Err(error) => error,
        };
        if let Some(shared) = shared.upgrade() {
            shared.publish(Sight {
                service: Service::Down(lost.to_string()),
                ..Sight::default()
            });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(timing::SERVICE_PAUSE_MAX);
    }
}

/// Until the context fails, or until nobody wants to know any more (`None`).
fn watch_readers(shared: &Weak<Shared>, context: &Context) -> Option<Error> {
    let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
    loop {
        let names = match context.list_readers_owned() {
            Ok(names) => names,
            Err(Error::NoReadersAvailable) => Vec::new(),
            Err(error) => return Some(error),
        };
        follow(&mut states, names);
        let waited = context.get_status_change(timing::MONITOR_WAIT, &mut states);
        let waited = waited.and_then(|()| settle(context, &mut states));
        let shared = shared.upgrade()?;
        match waited {
            Ok(()) | Err(Error::Timeout | Error::Cancelled) => shared.publish(seen(&states)),
            // It went between the list and the wait.
            Err(Error::UnknownReader) => {
                shared.beat();
                drop(shared);
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Some(error),
        }
    }
}

/// Takes over what changed, once a second look agrees (docs/decisions/0013).
fn settle(context: &Context, states: &mut [ReaderState]) -> Result<(), Error> {
    for _ in 1..timing::LOOKS {
        states.iter_mut().for_each(ReaderState::sync_current_state);
        match context.get_status_change(Duration::ZERO, states) {
            Ok(()) => {}
            // It agrees; or a reader went, which the first look has shown already.
            Err(Error::Timeout | Error::UnknownReader) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    states.iter_mut().for_each(ReaderState::sync_current_state);
    Ok(())
}

/// Brings the states in line with the list; the plug-and-play entry stays first.
fn follow(states: &mut Vec<ReaderState>, names: Vec<CString>) {
    if names.len() >= timing::MAX_STATES {
        tracing::warn!(readers = names.len(), "more readers than can be watched");
    }
    let is = |state: &ReaderState, name: &CStr| state.name() == name;
    let pnp = PNP_NOTIFICATION();
    states.retain(|state| is(state, pnp) || names.iter().any(|name| is(state, name)));
    for name in names {
        if states.len() < timing::MAX_STATES && !states.iter().any(|state| is(state, &name)) {
            states.push(ReaderState::new(name, State::UNAWARE));
        }
    }
}

fn seen(states: &[ReaderState]) -> Sight {
    let readers = states
        .iter()
        .filter(|state| state.name() != PNP_NOTIFICATION())
        // It went while it was watched; the next list has it no more.
        .filter(|state| !state.event_state().contains(State::UNKNOWN))
        .map(|state| {
            let flags = state.event_state();
            let presence = CardPresence {
                present: flags.contains(State::PRESENT),
                mute: flags.contains(State::MUTE),
                changes: u16::try_from(state.event_count()).unwrap_or(u16::MAX),
            };
            (state.name().to_string_lossy().into_owned(), presence)
        });
    Sight {
        service: Service::Up,
        readers: readers.collect(),
    }
}
