//! What `virtual-case` needs of a gateway and no more: reads the configuration it is given, says
//! `READY=1`, tells by `mosquitto_pub` that its devices are ready, ends on SIGTERM. Only for the
//! tests of `virtual-case` itself; everything else is tested with kofferd.
//!
//! `[log] filter` steers it: `fail` ends it at once, `hang` never gets it ready, `deaf` makes it
//! ignore SIGTERM.

use std::error::Error;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use tokio::signal::unix::{SignalKind, signal};
use toml::{Table, Value};

fn text(table: &Table, path: &[&str]) -> Option<String> {
    let (last, sections) = path.split_last()?;
    let mut table = table;
    for section in sections {
        table = table.get(*section)?.as_table()?;
    }
    table.get(*last)?.as_str().map(str::to_owned)
}

fn publish_states(config: &Table) -> Result<(), Box<dyn Error>> {
    let external = |key| text(config, &["mqtt", "external", key]);
    let Some(address) = external("address") else {
        return Ok(());
    };
    let (host, port) = address.split_once(':').ok_or("no port")?;
    let password_file = external("password_file").ok_or("no password")?;
    let password = std::fs::read_to_string(Path::new(&password_file))?;
    let gateway = text(config, &["gateway", "id"]).ok_or("no gateway")?;
    let devices = config.get("devices").and_then(Value::as_table);
    for device in devices.into_iter().flat_map(Table::keys) {
        let status = Command::new("mosquitto_pub")
            .args(["-h", host, "-p", port, "-V", "5", "-q", "1", "-r"])
            .args(["-u", "kofferd", "-P", password.trim()])
            .args(["-t", &format!("koffer/1/{gateway}/dev/{device}/state")])
            .args(["-m", r#"{"state": "ready"}"#])
            .status()?;
        if !status.success() {
            return Err("mosquitto_pub failed".into());
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(2).ok_or("--config FILE")?;
    let config: Table = toml::from_str(&std::fs::read_to_string(path)?)?;
    let manner = text(&config, &["log", "filter"]).unwrap_or_default();
    if manner == "fail" {
        return Err("asked to fail".into());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    if manner != "hang" {
        let notify = std::env::var("NOTIFY_SOCKET")?;
        UnixDatagram::unbound()?.send_to(b"READY=1\nSTATUS=online", notify)?;
        publish_states(&config)?;
    }
    loop {
        terminate.recv().await;
        if manner != "deaf" {
            return Ok(());
        }
    }
}
