//! Card terminals of a case: one pcscd with vpcd for all of them, because a gateway has one PC/SC
//! service, and a card in a slot for each.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::device::{DeviceEntry, SLOTS};
use super::process::{Launch, Process};
use super::raised::{Case, CaseError, cannot};
use super::start::until;
use crate::card::pcscd::PcscdHome;
use crate::card::virtual_card::VirtualCard;
use crate::control::{Controlled, Endpoint, Refusal, Server, serve};

/// vpcd's slots, as pcscd names them.
const READERS: [&str; SLOTS] = ["Virtual PCD 00 00", "Virtual PCD 00 01"];

/// The pcscd of a case.
#[derive(Debug)]
pub(super) struct CardService {
    pub(super) home: PcscdHome,
    pub(super) process: Process,
}

/// A card terminal of a raised case, with its card.
#[derive(Debug)]
pub struct CaseCardTerminal {
    /// The reader's name.
    pub reader: &'static str,
    /// The card's files, each as `<identifier>.bin`.
    pub files: PathBuf,
    slot: Arc<Slot>,
    control: Server,
}

/// The card, and where it goes in.
#[derive(Debug)]
struct Slot {
    card: Mutex<VirtualCard>,
    port: u16,
    /// Put in and not taken out since: it goes in again with a new pcscd.
    wanted: AtomicBool,
}

impl Slot {
    fn with_card<T>(&self, look: impl FnOnce(&mut VirtualCard) -> T) -> T {
        look(&mut self.card.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn insert(self: &Arc<Self>) -> std::io::Result<()> {
        self.wanted.store(true, Ordering::SeqCst);
        let slot = Arc::clone(self);
        let inserted = spawn_blocking(move || slot.with_card(|card| card.insert(slot.port)));
        inserted.await.map_err(std::io::Error::other)?
    }

    async fn remove(self: &Arc<Self>) {
        self.wanted.store(false, Ordering::SeqCst);
        let slot = Arc::clone(self);
        // It cannot fail: a card that is out is out.
        let _ = spawn_blocking(move || slot.with_card(VirtualCard::remove_until_seen)).await;
    }
}

/// The control channel's verbs.
struct Desk(Arc<Slot>);

impl Controlled for Desk {
    const VERBS: &'static [&'static str] = &["insert", "remove", "status"];

    async fn answer(&self, verb: &str, _: Value) -> Result<Value, Refusal> {
        match verb {
            "insert" => {
                let inserted = self.0.insert().await;
                inserted.map_err(|error| Refusal(format!("the slot takes no card: {error}")))?;
            }
            "remove" => self.0.remove().await,
            _ => {}
        }
        let (inserted, commands) = self.0.with_card(|card| {
            let commands = card.with_chip(|chip| chip.executed());
            (card.is_inserted(), commands)
        });
        Ok(json!({"inserted": inserted, "commands": commands}))
    }
}

impl CaseCardTerminal {
    /// Inserts the card, again after [`CaseCardTerminal::remove`]; waits until pcscd has seen it.
    pub async fn insert(&self) -> std::io::Result<()> {
        self.slot.insert().await
    }

    /// Pulls the card; waits until pcscd has seen it.
    pub async fn remove(&self) {
        self.slot.remove().await;
    }

    /// Looks at the card, or lets something go wrong with it.
    pub fn with_card<T>(&self, look: impl FnOnce(&mut VirtualCard) -> T) -> T {
        self.slot.with_card(look)
    }

    pub(super) fn describe(&self) -> Value {
        json!({
            "reader": self.reader,
            "files": self.files,
            "control": self.control.endpoint().to_string(),
        })
    }
}

impl Case {
    /// Starts pcscd and inserts the cards, where the case has any.
    pub(super) async fn start_cards(&mut self) -> Result<(), CaseError> {
        let devices = self.file.devices.iter();
        let cards: Vec<_> = devices
            .filter_map(|(name, entry)| match entry {
                DeviceEntry::Card(card) => Some((name.clone(), card.clone())),
                _ => None,
            })
            .collect();
        if cards.is_empty() {
            return Ok(());
        }
        let folder = self.dir.join("pcscd");
        std::fs::create_dir_all(&folder).map_err(cannot("pcscd"))?;
        let home = PcscdHome::wherever_possible(&folder).map_err(cannot("pcscd"))?;
        let ports = home.ports();
        self.start_pcscd(home).await?;
        for ((name, entry), (reader, port)) in cards.into_iter().zip(READERS.into_iter().zip(ports))
        {
            let files = self.dir.join(&name);
            let chip = entry.chip().kept_in(files.clone()).map_err(cannot(&name))?;
            let slot = Arc::new(Slot {
                card: Mutex::new(VirtualCard::new(chip)),
                port,
                wanted: AtomicBool::new(false),
            });
            if entry.inserted {
                slot.insert().await.map_err(cannot(&name))?;
            }
            let control = serve(&Endpoint::any(), Arc::new(Desk(Arc::clone(&slot)))).await;
            let terminal = CaseCardTerminal {
                reader,
                files,
                slot,
                control: control.map_err(cannot(&name))?,
            };
            self.card_terminals.insert(name, terminal);
        }
        Ok(())
    }

    async fn start_pcscd(&mut self, home: PcscdHome) -> Result<(), CaseError> {
        let command = home.command().map_err(cannot("pcscd"))?;
        let launch = Launch::of("pcscd", command, &self.dir);
        let process = self.up(launch, until(|| home.answers())).await?;
        self.pcscd = Some(CardService { home, process });
        Ok(())
    }

    /// pcscd's process id, if the case has card terminals.
    pub fn pcscd_pid(&self) -> Option<i32> {
        self.pcscd.as_ref().map(|service| service.process.pid())
    }

    /// Kills pcscd (SIGKILL) and waits until it is gone: all card terminals of the case are.
    pub async fn kill_pcscd(&mut self) {
        if let Some(service) = &self.pcscd {
            service.process.kill().await;
        }
    }

    /// Starts pcscd again at its socket, after killing the one that runs; the cards that were in
    /// their slots are inserted again.
    pub async fn restart_pcscd(&mut self) -> Result<(), CaseError> {
        let Some(service) = self.pcscd.take() else {
            return Err(CaseError::NoDevice("card terminal", "any".to_owned()));
        };
        service.process.kill().await;
        self.start_pcscd(service.home).await?;
        for terminal in self.card_terminals.values() {
            if terminal.slot.wanted.load(Ordering::SeqCst) {
                terminal.insert().await.map_err(cannot("a card"))?;
            }
        }
        Ok(())
    }
}
