//! From exec to `online`: the real `kofferd`, with eight devices configured and there.
//!
//! With an external broker a client that is connected already waits for the retained status. With
//! the embedded one nobody can be connected yet: there it is systemd's `READY=1`, which is sent
//! when the session is up and calls are taken.

use std::{os::unix::net::UnixDatagram, process::Command, time::Duration};

use serde::Serialize;

use crate::{
    Outcome,
    caller::Listener,
    figures::{percentile, rounded},
    idle::Devices,
    summary::Wanted,
    testbed::{GATEWAY, Kind, Process, Testbed, kofferd},
};

/// How long the starts took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Started {
    pub(crate) broker: &'static str,
    pub(crate) p50_ms: f64,
    pub(crate) longest_ms: f64,
    pub(crate) starts: usize,
}

/// Starts it again and again.
pub(crate) async fn measure(kind: Kind, wanted: &Wanted) -> Outcome<Started> {
    let bed = Testbed::new(kind)?;
    let devices = Devices::start(bed.folder.path()).await?;
    let config = bed.config(&devices.config()?)?;
    let mut took = Vec::new();
    for _ in 0..wanted.starts {
        let mut command = Command::new(kofferd()?);
        command.arg("--config").arg(&config);
        let (gateway, online) = match kind {
            Kind::Mosquitto => {
                let topic = format!("koffer/1/{GATEWAY}/status");
                let mut listener = Listener::connect(bed.port, &topic).await?;
                let gateway = Process::start(bed.folder.path(), &mut command)?;
                let online = listener.hears("\"online\"").await?;
                (gateway, online)
            }
            Kind::Embedded => {
                let path = bed.folder.path().join("notify");
                let _ = std::fs::remove_file(&path);
                let socket = UnixDatagram::bind(&path)?;
                socket.set_read_timeout(Some(Duration::from_secs(10)))?;
                command.env("NOTIFY_SOCKET", &path);
                let gateway = Process::start(bed.folder.path(), &mut command)?;
                let mut words = [0; 256];
                loop {
                    let length = socket.recv(&mut words)?;
                    if String::from_utf8_lossy(&words[..length]).contains("READY=1") {
                        break;
                    }
                }
                (gateway, std::time::Instant::now())
            }
        };
        took.push(online.duration_since(gateway.began));
        gateway.end()?;
    }
    took.sort_unstable();
    let millis =
        |percent| percentile(&took, percent).map_or(f64::NAN, |micros| rounded(micros / 1e3));
    Ok(Started {
        broker: kind.as_str(),
        p50_ms: millis(50),
        longest_ms: millis(100),
        starts: took.len(),
    })
}
