//! The supplies of this machine, read from files that the kernel answers.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use koffer_proto::Identity;

use super::{
    SysfsConfig,
    supplies::{FILES, Supply, reading},
};
use crate::{Fault, power::Reading, sensor::Sensor};

/// A file of sysfs has a page at most.
const LONGEST_FILE: u64 = 4_096;
/// No machine has as many.
const MOST_SUPPLIES: usize = 64;

/// One read at a time in the whole process: a battery's controller that hangs holds one thread.
static READING: Mutex<()> = Mutex::new(());

#[derive(Debug)]
pub(super) struct Supplies {
    config: SysfsConfig,
}

impl Supplies {
    pub(super) fn new(config: SysfsConfig) -> Self {
        Self { config }
    }

    fn unreadable(&self, error: &io::Error) -> Fault {
        let folder = self.config.folder.display();
        Fault::new(
            "not-readable",
            format!("{folder} ist nicht lesbar ({error}). Bitte die Technik verständigen."),
            format!("{folder} cannot be read ({error}). Call your technician."),
        )
    }
}

/// Every supply in the folder. Blocks.
fn read_all(folder: &Path) -> io::Result<Vec<Supply>> {
    let _turn = match READING.try_lock() {
        Ok(turn) => turn,
        Err(std::sync::TryLockError::Poisoned(turn)) => PoisonError::into_inner(turn),
        Err(std::sync::TryLockError::WouldBlock) => {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
    };
    let entries = fs::read_dir(folder)?.take(MOST_SUPPLIES);
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    folders.sort();
    Ok(folders.iter().map(|folder| read_supply(folder)).collect())
}

/// The files of one supply; what cannot be read now it does not tell.
fn read_supply(folder: &Path) -> Supply {
    let read = |file: &&'static str| {
        let opened = fs::File::open(folder.join(file)).ok()?;
        let mut text = String::new();
        opened.take(LONGEST_FILE).read_to_string(&mut text).ok()?;
        Some((*file, text))
    };
    FILES.iter().filter_map(read).collect()
}

#[async_trait]
impl Sensor for Supplies {
    type Reading = Reading;

    /// A plug that is pulled is seen soon, and the controller is asked seldom.
    const PERIOD: Duration = Duration::from_secs(2);

    async fn read(&mut self) -> Result<(Identity, Reading), Fault> {
        let folder = self.config.folder.clone();
        let read = tokio::task::spawn_blocking(move || read_all(&folder)).await;
        let supplies = read
            .map_err(io::Error::other)
            .and_then(|read| read)
            .map_err(|error| self.unreadable(&error))?;
        reading(&supplies, self.config.low_percent).ok_or_else(|| {
            Fault::new(
                "no-supply",
                "Das Gerät meldet weder Netzteil noch Akku. Bitte die Technik verständigen.",
                "The machine shows neither a mains supply nor a battery. Call your technician.",
            )
        })
    }

    fn silent(&self) -> Fault {
        self.unreadable(&io::ErrorKind::TimedOut.into())
    }
}
