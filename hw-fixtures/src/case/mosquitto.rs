//! Debian's mosquitto, with the configuration and the rules that koffer ships.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use tokio::process::Command;

use super::access::write_private;

/// As installed on a vehicle.
const CONFIGURATION: &str = include_str!("../../../mosquitto/mosquitto.conf");
/// As installed on a vehicle.
const RULES: &str = include_str!("../../../mosquitto/acl");

/// The shipped configuration with the ports and the files of a case; its lines for WebSocket count
/// where the case has that.
pub(super) fn configuration(port: u16, websocket: Option<u16>, dir: &Path) -> io::Result<String> {
    let websocket = websocket.map(|port| {
        [
            (
                "#   listener 9001 127.0.0.1",
                format!("listener {port} 127.0.0.1"),
            ),
            ("#   protocol websockets", "protocol websockets".to_owned()),
        ]
    });
    let changes = [
        (
            "listener 1883 127.0.0.1",
            format!("listener {port} 127.0.0.1"),
        ),
        (
            "password_file /etc/mosquitto/koffer.passwd",
            format!("password_file {}", dir.join("passwd").display()),
        ),
        (
            "acl_file /etc/mosquitto/koffer.acl",
            format!("acl_file {}", dir.join("acl").display()),
        ),
    ];
    let mut text = CONFIGURATION.to_owned();
    for (shipped, own) in changes.into_iter().chain(websocket.into_iter().flatten()) {
        if !text.lines().any(|line| line == shipped) {
            let why = format!("mosquitto/mosquitto.conf has no line `{shipped}`");
            return Err(io::Error::other(why));
        }
        text = text.replace(shipped, &own);
    }
    if geteuid().is_root() {
        // Otherwise it gives up root and cannot read the case's files.
        text.push_str("\nuser root\n");
    }
    Ok(text)
}

/// The shipped rules, with those of `monitor` repeated for every monitor of the case.
pub(super) fn rules(monitors: &[&str]) -> io::Result<String> {
    let own = RULES
        .split_once("\nuser monitor\n")
        .map(|(_, rules)| rules.split("\nuser ").next().unwrap_or(rules))
        .ok_or_else(|| io::Error::other("mosquitto/acl has no `user monitor`"))?;
    let mut text = RULES.to_owned();
    for monitor in monitors.iter().filter(|name| **name != "monitor") {
        text.extend(["\nuser ", monitor, "\n", own, "\n"]);
    }
    Ok(text)
}

/// Writes configuration, rules and passwords; gives the path of the configuration.
pub(super) async fn prepare(
    dir: &Path,
    port: u16,
    websocket: Option<u16>,
    passwords: &[(String, String)],
    monitors: &[&str],
) -> io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join("mosquitto.conf");
    std::fs::write(&path, configuration(port, websocket, dir)?)?;
    write_private(&dir.join("acl"), &rules(monitors)?)?;
    let plain: String = passwords
        .iter()
        .flat_map(|(user, password)| [user.as_str(), ":", password.as_str(), "\n"])
        .collect();
    let hashed = dir.join("passwd");
    write_private(&hashed, &plain)?;
    // In place, so that no password stands on a command line.
    let output = Command::new("mosquitto_passwd")
        .arg("-U")
        .arg(&hashed)
        .output()
        .await
        .map_err(|error| missing("mosquitto_passwd", &error))?;
    if output.status.success() {
        Ok(path)
    } else {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(io::Error::other(format!("mosquitto_passwd: {why}")))
    }
}

/// The program; Debian keeps it off the search path of users.
pub(super) fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join("mosquitto"))
        .find(|program| program.is_file())
        .unwrap_or_else(|| "mosquitto".into())
}

pub(super) fn missing(program: &str, error: &io::Error) -> io::Error {
    let text = format!("{program}: {error}; apt-get install mosquitto mosquitto-clients");
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_koffer_ships_is_what_a_case_runs_with_only_its_own_port_and_files() {
        let text = configuration(4711, None, Path::new("/case")).unwrap();
        assert!(text.contains("listener 4711 127.0.0.1") && text.contains("acl_file /case/acl"));
        assert!(!text.contains("/etc/mosquitto/koffer"));
        let shipped = CONFIGURATION
            .lines()
            .filter(|line| text.lines().any(|own| own == *line));
        assert_eq!(shipped.count() + 3, CONFIGURATION.lines().count());
        let text = configuration(4711, Some(4712), Path::new("/case")).unwrap();
        assert!(text.contains("\nlistener 4712 127.0.0.1\nprotocol websockets\n"));
        let rules = rules(&["fleet-1", "monitor"]).unwrap();
        assert_eq!(rules.matches("user fleet-1").count(), 1);
        assert_eq!(rules.matches("topic deny koffer/1/+/reply/#").count(), 2);
    }
}
