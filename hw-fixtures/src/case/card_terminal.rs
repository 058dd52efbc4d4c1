//! Card terminals of a case: one pcscd with vpcd for all of them, because a gateway has one PC/SC
//! service, and a card in a slot for each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::device::{DeviceEntry, Simulated};
use super::process::{Launch, Process};
use super::raised::{Case, CaseError, cannot};
use super::start::until;
use crate::card::chip::{Chip, Manners};
use crate::card::pcscd::PcscdHome;
use crate::card::virtual_card::VirtualCard;
use crate::control::{Controlled, Endpoint, Refusal, Server, serve};

/// The card terminals that one case can have: vpcd has so many slots.
pub(super) const SLOTS: usize = 2;

/// vpcd's slots, as pcscd names them.
const READERS: [&str; SLOTS] = ["Virtual PCD 00 00", "Virtual PCD 00 01"];

/// A card terminal with its card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CardEntry {
    /// Whether the card is in it at first.
    pub inserted: bool,
    /// The card's PIN.
    pub pin: String,
    /// The identifier of the application to select, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Its files by their identifier, four hexadecimal digits.
    pub files: BTreeMap<String, CardFile>,
    /// How it behaves where ISO 7816 leaves it a choice.
    pub manners: Manners,
    /// Further keys for kofferd's table of this device, taken as they are.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub kofferd: toml::Table,
}

/// A transparent file of a card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CardFile {
    /// How long it is; as long as its text if it is left out. The rest is zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u16>,
    /// What it holds at first.
    pub text: String,
    /// Whether it is updated only after the PIN.
    pub guarded: bool,
}

impl Default for CardEntry {
    fn default() -> Self {
        Self {
            inserted: true,
            pin: "123456".to_owned(),
            application: None,
            files: BTreeMap::new(),
            manners: Manners::default(),
            kofferd: toml::Table::new(),
        }
    }
}

impl Simulated for CardEntry {
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if !(4..=12).contains(&self.pin.len()) || !self.pin.bytes().all(|b| b.is_ascii_digit()) {
            mistakes.push("pin: write four to twelve digits".to_owned());
        }
        let application = self.application.as_deref();
        if application.is_some_and(|digits| application_id(digits).is_none()) {
            mistakes.push("application: write 5 to 16 bytes in hexadecimal digits".to_owned());
        }
        for (id, file) in &self.files {
            if file_id(id).is_none() {
                mistakes.push(format!("files.{id}: write four hexadecimal digits"));
            }
            let bytes = file.bytes.map_or(file.text.len(), usize::from);
            if bytes == 0 || bytes < file.text.len() {
                let text = file.text.len();
                mistakes.push(format!(
                    "files.{id}.bytes: write at least 1, and the {text} of its text"
                ));
            }
        }
        mistakes
    }

    fn configuration(&self, place: &str) -> Vec<(&'static str, toml::Value)> {
        vec![("driver", "pcsc".into()), ("reader", place.into())]
    }

    fn more(&self) -> &toml::Table {
        &self.kofferd
    }
}

impl CardEntry {
    /// The card as it is before anybody wrote to it.
    fn chip(&self) -> Chip {
        let mut chip = Chip::new(&self.pin).with_manners(self.manners);
        if let Some(application) = self.application.as_deref().and_then(application_id) {
            chip = chip.with_application(&application);
        }
        for (id, file) in &self.files {
            let mut content = file.text.clone().into_bytes();
            content.resize(file.bytes.map_or(content.len(), usize::from), 0);
            let Some(id) = file_id(id) else { continue };
            chip = if file.guarded {
                chip.with_guarded_file(id, content)
            } else {
                chip.with_file(id, content)
            };
        }
        chip
    }
}

/// The bytes of an application identifier (ISO 7816-4, 8.2.1.2).
fn application_id(digits: &str) -> Option<Vec<u8>> {
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    (5..=16).contains(&bytes.len()).then_some(bytes)
}

/// A file identifier in four hexadecimal digits.
fn file_id(digits: &str) -> Option<u16> {
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    bytes.try_into().ok().map(u16::from_be_bytes)
}

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
