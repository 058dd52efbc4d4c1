use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use koffer_fixtures::case::{Case, CaseError, CaseFile, CaseOptions};
use koffer_fixtures::control::ControlClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Built with the tests, see hw-fixtures/examples.
fn stand_in() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let debug = deps.parent().unwrap().parent().unwrap();
    debug.join("examples/stand-in-kofferd")
}

fn options() -> CaseOptions {
    CaseOptions {
        kofferd: Some(stand_in()),
        sim_zvt: Some(env!("CARGO_BIN_EXE_sim-zvt").into()),
        // Only a case with a real broker shows its devices here.
        wait_for_devices: false,
        ..CaseOptions::default()
    }
}

fn case(broker: &str, manner: &str) -> CaseFile {
    let text = format!(
        r#"
        [case]
        gateway = "case-7"
        broker = "{broker}"
        [clients]
        ws-1 = {{ role = "workstation", allow = ["payment"] }}
        fleet-1 = {{ role = "monitor" }}
        [devices]
        ec-terminal = {{ simulator = "zvt" }}
        ec-serial = {{ simulator = "zvt", line = "serial" }}
        forms-printer-1 = {{ simulator = "ippeveprinter" }}
        forms-printer-2 = {{ simulator = "ippeveprinter", sheets = 0 }}
        [devices.card-terminal]
        simulator = "card"
        files = {{ "0101" = {{ text = "before" }} }}
        [kofferd.log]
        filter = "{manner}"
        "#
    );
    CaseFile::parse(&text, Path::new("test.toml")).unwrap()
}

fn pids(case: &Case) -> Vec<i32> {
    let described = case.describe();
    let devices = |kind: &str| described[kind].as_object().unwrap().values();
    let pid = |value: &Value| i32::try_from(value.as_i64().unwrap()).unwrap();
    let mut pids = vec![pid(&described["pcscd_pid"])];
    pids.extend(devices("terminals").map(|terminal| pid(&terminal["pid"])));
    let printers = devices("printers").flat_map(|printer| [&printer["pid"], &printer["bus_pid"]]);
    pids.extend(printers.map(pid));
    pids.extend(case.kofferd_pid());
    pids.extend(case.mosquitto_pid());
    pids
}

fn lives(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

#[tokio::test]
async fn a_case_is_raised_on_mosquitto_with_its_devices_ready_and_leaves_nothing_behind() {
    let options = CaseOptions {
        wait_for_devices: true,
        ..options()
    };
    let case = Case::raise(&case("mosquitto", "info"), options)
        .await
        .unwrap();
    let pids = pids(&case);
    assert_eq!(pids.len(), 9);
    assert!(pids.iter().all(|pid| lives(*pid)));
    for terminal in case.terminals.values() {
        assert_eq!(
            terminal.control.ledger().await.unwrap(),
            terminal.read_ledger().unwrap()
        );
    }
    let dir = case.dir().to_owned();
    let secret = case.clients["ws-1"].password().unwrap();
    assert_eq!(secret.len(), 32);
    assert!(!case.describe().to_string().contains(&secret));
    case.stop().await;
    assert!(!pids.iter().any(|pid| lives(*pid)), "{pids:?}");
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_dropped_case_takes_its_processes_along() {
    let case = Case::raise(&case("embedded", "info"), options())
        .await
        .unwrap();
    let pids = pids(&case);
    drop(case);
    for pid in pids {
        while lives(pid) {
            // Reaped by the runtime a moment later.
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_failed_start_ends_what_was_started_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    for (manner, named) in [("fail", "asked to fail"), ("hang", "was not ready within")] {
        let options = CaseOptions {
            dir: Some(dir.path().to_owned()),
            start_limit: Duration::from_secs(2),
            ..options()
        };
        let error = Case::raise(&case("embedded", manner), options)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        // The terminals' ledgers are free again: nobody holds them.
        let ledger = std::fs::File::open(dir.path().join("ec-terminal.ledger.jsonl")).unwrap();
        ledger.try_lock().unwrap();
    }
    let options = CaseOptions {
        kofferd: Some("/no/such/kofferd".into()),
        ..options()
    };
    let error = Case::raise(&case("embedded", "info"), options)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            CaseError::NoProgram {
                name: "kofferd",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn parts_are_killed_and_started_again_at_the_same_place_with_the_same_ledger() {
    let mut case = Case::raise(&case("embedded", "info"), options())
        .await
        .unwrap();
    let first = case.kofferd_pid().unwrap();
    case.kill_kofferd().await;
    assert!(!lives(first) && case.kofferd_pid().is_none());
    case.restart_kofferd().await.unwrap();
    assert_ne!(case.kofferd_pid(), Some(first));

    for name in ["ec-terminal", "ec-serial"] {
        let address = case.terminals[name].address.clone();
        let entries = case.terminals[name].read_ledger().unwrap().entries().len();
        case.kill_terminal(name).await.unwrap();
        assert!(case.terminals[name].control.status().await.is_err());
        case.restart_terminal(name).await.unwrap();
        assert_eq!(case.terminals[name].address, address);
        let ledger = case.terminals[name].control.ledger().await.unwrap();
        assert!(ledger.entries().len() > entries);
    }
    let printer = "forms-printer-1";
    let uri = case.printers[printer].home.uri();
    case.kill_printer(printer).await.unwrap();
    assert!(!case.printers[printer].home.printer_answers());
    case.restart_printer(printer).await.unwrap();
    let home = &case.printers[printer].home;
    assert!(home.printer_answers() && home.uri() == uri);

    let pcscd = case.pcscd_pid().unwrap();
    case.kill_pcscd().await;
    assert!(!lives(pcscd));
    case.restart_pcscd().await.unwrap();
    assert_ne!(case.pcscd_pid(), Some(pcscd));
    let terminal = &case.card_terminals["card-terminal"];
    assert!(terminal.with_card(|card| card.is_inserted()));

    let unknown = case.kill_terminal("other").await.unwrap_err();
    assert!(matches!(unknown, CaseError::NoDevice(..)));
    case.stop().await;
}

#[tokio::test]
async fn a_card_goes_in_and_out_by_its_control_channel_and_its_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let raise = || async {
        let options = CaseOptions {
            dir: Some(dir.path().to_owned()),
            ..options()
        };
        let case = case("embedded", "info");
        Case::raise(&case, options).await.unwrap()
    };
    let raised = raise().await;
    let described = raised.describe();
    let endpoint = described["card_terminals"]["card-terminal"]["control"].as_str();
    let control = ControlClient::new(endpoint.unwrap().parse().unwrap());
    for (verb, inserted) in [("status", true), ("remove", false), ("insert", true)] {
        let status = control.request(verb, json!({})).await.unwrap();
        assert_eq!(status["inserted"], inserted, "{verb}");
    }
    let terminal = &raised.card_terminals["card-terminal"];
    assert_eq!(terminal.reader, "Virtual PCD 00 00");
    terminal.with_card(|card| {
        card.with_chip(|chip| {
            chip.answer(&[0x00, 0xA4, 0x00, 0x0C, 0x02, 0x01, 0x01]);
            let update = [&[0x00, 0xD6, 0x00, 0x00, 0x05][..], b"after"].concat();
            assert_eq!(chip.answer(&update), [0x90, 0x00]);
        });
    });
    let kept = std::fs::read(terminal.files.join("0101.bin")).unwrap();
    assert_eq!(kept, b"aftere");
    raised.stop().await;
    let again = raise().await;
    let holds = again.card_terminals["card-terminal"].with_card(|card| card.file(0x0101));
    assert_eq!(holds, kept);
    again.stop().await;
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_after_the_grace() {
    let options = CaseOptions {
        grace: Duration::from_millis(200),
        ..options()
    };
    let mut case = Case::raise(&case("embedded", "deaf"), options)
        .await
        .unwrap();
    let pid = case.kofferd_pid().unwrap();
    assert!(!case.stop_kofferd().await);
    assert!(!lives(pid));
    case.stop().await;
}

struct Up {
    process: tokio::process::Child,
    ready: Value,
}

async fn up(dir: &Path) -> Up {
    let file = dir.join("case.toml");
    let text = toml::to_string(&case("embedded", "info")).unwrap();
    std::fs::write(&file, text).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_virtual-case"))
        .args(["up", "--no-wait", "--kofferd"])
        .arg(stand_in())
        .arg("--dir")
        .arg(dir.join("case"))
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = out.next_line().await.unwrap().unwrap();
    Up {
        process,
        ready: serde_json::from_str(&line).unwrap(),
    }
}

#[tokio::test]
async fn the_program_tears_down_on_a_signal_and_when_a_child_dies_and_continues_in_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut passwords = Vec::new();
    for (signal, whom, code) in [
        (Signal::SIGINT, "itself", Some(0)),
        (Signal::SIGTERM, "itself", Some(0)),
        (Signal::SIGKILL, "terminal", Some(1)),
    ] {
        let Up { process, ready } = up(dir.path()).await;
        let pid = |value: &Value| Pid::from_raw(i32::try_from(value.as_i64().unwrap()).unwrap());
        let kofferd = pid(&ready["kofferd"]["pid"]);
        let terminal = pid(&ready["terminals"]["ec-terminal"]["pid"]);
        let file = ready["clients"]["ws-1"]["password_file"].as_str().unwrap();
        passwords.push(std::fs::read_to_string(file).unwrap());
        let own = Pid::from_raw(i32::try_from(process.id().unwrap()).unwrap());
        kill(if whom == "itself" { own } else { terminal }, signal).unwrap();
        let output = process.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), code);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            error.contains("ec-terminal ended by itself"),
            code == Some(1),
            "{error}"
        );
        assert!(!lives(kofferd.as_raw()) && !lives(terminal.as_raw()));
    }
    assert!(passwords.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn check_names_the_mistake_and_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("case.toml");
    std::fs::write(&file, "[case]\ngateway = \"Case 7\"\n").unwrap();
    let check = |file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virtual-case"));
        command.arg("check").arg(file);
        command
    };
    let output = check(&file).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("case.gateway = \"Case 7\"") && error.contains("lower-case"));
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/demo.toml");
    assert!(check(&demo).status().await.unwrap().success());
}
