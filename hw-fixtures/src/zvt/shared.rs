//! What the terminal and its control channel both look at.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use koffer_drivers::payment::zvt::codec::apdu::Control;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::by_hand::Queue;
use super::cardholder::Cardholder;
use super::fault::{CommandName, Kind, Step};
use super::fault_list::{Bytes, FaultList};
use super::profile::Profile;

/// Where the terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Without power.
    Off,
    /// Waits for a command.
    Idle,
    /// Waits for a card.
    Card,
    /// Waits for a PIN.
    Pin,
    /// Waits for the bank.
    Host,
    /// Tells the result and waits for its acknowledgement.
    Result,
    /// Sends receipts.
    Receipts,
    /// Everything else.
    Working,
}

/// The terminal at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it is.
    pub phase: Phase,
    /// Whether an ECR is connected (always on a serial line).
    pub connected: bool,
    /// Whether 06 00 came since the power came.
    pub registered: bool,
    /// Commands brought to their end since the start.
    pub exchanges: u64,
    /// Lines in the ledger.
    pub entries: u64,
    /// Faults that happened since the list was set.
    pub faults_consumed: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    profile: Mutex<Profile>,
    next: Mutex<VecDeque<Cardholder>>,
    faults: Mutex<FaultList>,
    bytes: Mutex<ByteCounts>,
    status: watch::Sender<Status>,
    hands: Queue,
    pub(super) ledger: PathBuf,
}

/// The bytes of finished exchanges.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ByteCounts {
    /// The last exchange of all.
    pub last: Option<(CommandName, Bytes)>,
    /// The last exchange of each command.
    pub by_command: BTreeMap<String, Bytes>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these, and each change is complete in itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(profile: Profile, ledger: PathBuf) -> Self {
        let (status, _) = watch::channel(Status {
            phase: Phase::Idle,
            connected: false,
            registered: false,
            exchanges: 0,
            entries: 0,
            faults_consumed: 0,
        });
        Self {
            profile: Mutex::new(profile),
            next: Mutex::default(),
            faults: Mutex::default(),
            bytes: Mutex::default(),
            hands: Queue::default(),
            status,
            ledger,
        }
    }

    pub(super) fn profile(&self) -> MutexGuard<'_, Profile> {
        lock(&self.profile)
    }

    pub(super) fn next(&self) -> MutexGuard<'_, VecDeque<Cardholder>> {
        lock(&self.next)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, FaultList> {
        lock(&self.faults)
    }

    pub(super) fn bytes(&self) -> MutexGuard<'_, ByteCounts> {
        lock(&self.bytes)
    }

    pub(super) fn hands(&self) -> &Queue {
        &self.hands
    }

    pub(super) fn status(&self) -> &watch::Sender<Status> {
        &self.status
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.status.send_modify(|status| status.phase = phase);
    }

    /// The cardholder of the transaction that begins now.
    pub(super) fn cardholder(&self) -> Cardholder {
        let next = self.next().pop_front();
        next.unwrap_or_else(|| self.profile().cardholder.clone())
    }

    pub(super) fn take_faults(&self, step: Step, command: Option<Control>) -> Vec<Kind> {
        let taken = self.faults().take(step, command);
        if !taken.is_empty() {
            self.count_faults();
        }
        taken
    }

    /// After a fault happened or the list was set.
    pub(super) fn count_faults(&self) {
        let consumed = self.faults().consumed().len();
        self.status.send_modify(|status| {
            status.faults_consumed = u64::try_from(consumed).unwrap_or(u64::MAX);
        });
    }

    pub(super) fn finish_exchange(&self, command: Control, counted: Bytes) {
        let name = CommandName(command);
        {
            let mut bytes = self.bytes();
            bytes.by_command.insert(name.to_string(), counted);
            bytes.last = Some((name, counted));
        }
        self.status.send_modify(|status| status.exchanges += 1);
    }
}
