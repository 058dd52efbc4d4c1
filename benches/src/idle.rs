//! Memory of the real `kofferd` at rest, with eight devices that are there.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use koffer_fixtures::zvt::{Address, Terminal, TerminalConfig};
use serde::Serialize;

use crate::{
    Outcome,
    caller::until_said,
    calls::until_listening,
    figures::rounded,
    summary::Wanted,
    testbed::{GATEWAY, Kind, Testbed, kofferd},
};

/// As many as a case has.
pub(crate) const DEVICES: usize = 8;

/// What the kernel counts (proc(5), `status`), in MiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Memory {
    pub(crate) broker: &'static str,
    /// Resident.
    pub(crate) rss_mib: f64,
    /// Of that, what is the process's own: heap, stacks.
    pub(crate) anonymous_mib: f64,
    /// Of that, pages of the program and its libraries, which the kernel can drop and read again.
    pub(crate) file_mib: f64,
    pub(crate) threads: u64,
}

/// Simulated payment terminals, in this process.
pub(crate) struct Devices(Vec<Terminal>);

impl Devices {
    pub(crate) async fn start(folder: &Path) -> Outcome<Self> {
        let mut terminals = Vec::new();
        for n in 0..DEVICES {
            let ledger = folder.join(format!("till-{n}.ledger"));
            terminals.push(Terminal::start(TerminalConfig::tcp(ledger)).await?);
        }
        Ok(Self(terminals))
    }

    /// Their part of the gateway's configuration.
    pub(crate) fn config(&self) -> Outcome<String> {
        let mut toml = String::new();
        for (n, terminal) in self.0.iter().enumerate() {
            let Address::Tcp(address) = &terminal.address else {
                return Err("a terminal that is not on TCP".into());
            };
            write!(
                toml,
                "[devices.till-{n}]\ndriver = \"zvt\"\naddress = \"tcp://{address}\"\n"
            )?;
        }
        Ok(toml)
    }
}

/// Starts `kofferd`, waits until every device is ready, lets it rest, and looks.
pub(crate) async fn measure(kind: Kind, wanted: &Wanted) -> Outcome<Memory> {
    let bed = Testbed::new(kind)?;
    let devices = Devices::start(bed.folder.path()).await?;
    let config = bed.config(&devices.config()?)?;
    let gateway = bed.start(&kofferd()?, &["--config", &config.display().to_string()])?;
    until_listening(bed.port).await?;
    for n in 0..DEVICES {
        let topic = format!("koffer/1/{GATEWAY}/dev/till-{n}/state");
        until_said(bed.port, &topic, "\"ready\"").await?;
    }
    tokio::time::sleep(wanted.rest()).await;
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.child.id()))?;
    gateway.end()?;
    let number = |key: &str| -> Outcome<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number
            .ok_or_else(|| format!("no {key} in /proc"))?
            .parse()?)
    };
    let mib = |key: &str| -> Outcome<f64> {
        let kib = u32::try_from(number(key)?)?;
        Ok(rounded(f64::from(kib) / 1024.0))
    };
    Ok(Memory {
        broker: kind.as_str(),
        rss_mib: mib("VmRSS:")?,
        anonymous_mib: mib("RssAnon:")?,
        file_mib: mib("RssFile:")?,
        threads: number("Threads:")?,
    })
}

/// How long a gateway rests before it is looked at.
pub(crate) const REST: Duration = Duration::from_secs(10);
