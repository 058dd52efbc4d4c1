//! The terminal as a process that is killed.

use std::path::Path;
use std::process::Stdio;

use koffer_fixtures::control::{ControlError, Endpoint};
use koffer_fixtures::zvt::{
    Address, DIED, Event, Fault, Kind, Ledger, Step, TerminalControl, Until,
};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::byte_ecr::*;

struct Process {
    child: Child,
    address: Address,
    control: TerminalControl,
}

async fn sim(dir: &Path, more: &[&str]) -> Process {
    std::fs::write(
        dir.join("profile.toml"),
        "ack_timeout_ms = 300\n[cardholder]\ninserts_after_ms = 1\nhost_after_ms = 1\n",
    )
    .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sim-zvt"))
        .arg("--ledger")
        .arg(dir.join("ledger.jsonl"))
        .arg("--profile")
        .arg(dir.join("profile.toml"))
        .args(more)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).await.unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let text = |key: &str| ready[key].as_str().unwrap().to_owned();
    let address = match text("address").split_once("://").unwrap() {
        ("tcp", address) => Address::Tcp(address.parse().unwrap()),
        (_, path) => Address::Serial(path.into()),
    };
    let endpoint: Endpoint = text("control").parse().unwrap();
    Process {
        child,
        address,
        control: TerminalControl::new(endpoint),
    }
}

#[tokio::test]
async fn killed_before_the_ack_it_reverses_or_keeps_at_the_next_start_and_repeats_the_receipt() {
    for (policy, sum, original) in [("reverses", 0, true), ("keeps", 3780, false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut first = sim(dir.path(), &[]).await;
        let mut ecr = Ecr::to(&first.address).await;
        ecr.run(REGISTER).await.unwrap();
        ecr.say(PAY).await.unwrap();
        ecr.until(0x04, 0x0F).await.unwrap();
        first.child.kill().await.unwrap();
        let ledger = Ledger::read(&dir.path().join("ledger.jsonl")).unwrap();
        assert_eq!(ledger.sum(), 3780);

        // The profile is read before the terminal wakes.
        let profile = format!("missing_ack = \"{policy}\"\n");
        std::fs::write(dir.path().join("policy.toml"), profile).unwrap();
        let policy = dir.path().join("policy.toml");
        let second = sim_with_profile(dir.path(), &policy).await;
        let mut ecr = Ecr::to(&second.address).await;
        ecr.run(REGISTER).await.unwrap();
        let heard = ecr.run(REPEAT).await.unwrap();
        assert!(heard[1].has("87 0001") && heard[1].has("04 000000003780"));
        assert_eq!(heard[1].has("37 000001"), original);
        assert_eq!(second.control.ledger().await.unwrap().sum(), sum);
    }
}

async fn sim_with_profile(dir: &Path, profile: &Path) -> Process {
    let copy = dir.join("second");
    std::fs::create_dir_all(&copy).unwrap();
    let ledger = copy.join("ledger.jsonl");
    std::fs::copy(dir.join("ledger.jsonl"), &ledger).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_sim-zvt"));
    process
        .arg("--ledger")
        .arg(&ledger)
        .arg("--profile")
        .arg(profile);
    let mut child = process
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).await.unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let address = ready["address"]
        .as_str()
        .unwrap()
        .strip_prefix("tcp://")
        .unwrap();
    Process {
        child,
        address: Address::Tcp(address.parse().unwrap()),
        control: TerminalControl::new(ready["control"].as_str().unwrap().parse().unwrap()),
    }
}

#[tokio::test]
async fn the_fault_die_ends_the_process_right_after_the_ledger_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = sim(dir.path(), &[]).await;
    terminal
        .control
        .faults(&[Fault::new(Kind::Die)])
        .await
        .unwrap();
    let mut ecr = Ecr::to(&terminal.address).await;
    ecr.run(REGISTER).await.unwrap();
    assert_eq!(ecr.run(PAY).await, Err(Gone));
    let status = terminal.child.wait().await.unwrap();
    assert_eq!(status.code(), Some(DIED));
    let ledger = Ledger::read(&dir.path().join("ledger.jsonl")).unwrap();
    assert_eq!(ledger.entries().last().unwrap().event, Event::Booked);
    let unreachable = terminal.control.status().await.unwrap_err();
    assert!(matches!(unreachable, ControlError::Unreachable(..)));
}

#[tokio::test]
async fn a_pseudo_terminal_keeps_its_name_and_takes_it_along() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("ec-terminal");
    let socket = format!("unix://{}", dir.path().join("control.sock").display());
    let link_argument = link.to_str().unwrap();
    let more = ["--pty", "--link", link_argument, "--control", &socket];
    let terminal = sim(dir.path(), &more).await;
    assert_eq!(terminal.address, Address::Serial(link.clone()));
    let before = std::fs::read_link(&link).unwrap();
    let mut ecr = Ecr::to(&terminal.address).await;
    ecr.run(REGISTER).await.unwrap();
    let hang_up = Fault::new(Kind::Drop(koffer_fixtures::zvt::How::Close)).at(Step::Result);
    terminal.control.faults(&[hang_up]).await.unwrap();
    assert_eq!(ecr.run(PAY).await, Err(Gone));
    let idle = Until {
        phase: Some(koffer_fixtures::zvt::Phase::Idle),
        connected: Some(true),
        ..Until::default()
    };
    terminal.control.wait(idle).await.unwrap();
    assert_ne!(std::fs::read_link(&link).unwrap(), before);
    let mut ecr = Ecr::to(&terminal.address).await;
    assert!(ecr.run(PAY).await.unwrap().last().unwrap().is(0x06, 0x0F));
    let pid = terminal.child.id().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let mut child = terminal.child;
    assert!(child.wait().await.unwrap().success());
    assert!(std::fs::symlink_metadata(&link).is_err());
}

#[tokio::test]
async fn a_mistake_in_the_profile_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (profile, named) in [("colour = 1", "colour"), ("password = \"1\"", "password")] {
        let path = dir.path().join("profile.toml");
        std::fs::write(&path, profile).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sim-zvt"))
            .arg("--ledger")
            .arg(dir.path().join("ledger.jsonl"))
            .arg("--profile")
            .arg(&path)
            .output()
            .await
            .unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(named), "{error}");
    }
}
