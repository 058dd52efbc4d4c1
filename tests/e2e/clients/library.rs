//! The libraries, and how a program with each of them is run: `docs/examples` copied to
//! `target/examples`, where `scripts/prepare test` has put the libraries.

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Mutex, PoisonError},
};

use koffer_tests::mosquitto::PATIENCE;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use super::{root, samples::languages};

/// How a client reaches the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    WebSocket,
}

/// What runs a library's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// A module of docs/examples/python.
    Python(&'static str),
    Node,
    Cpp,
}

/// A library as an app would use it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) transport: Transport,
    program: Program,
    /// The code for it.
    pub(crate) sample: &'static str,
    /// What it keeps to itself.
    pub(crate) remark: &'static str,
}

const UNTOLD: &str = "does not tell that the broker refused a call: no answer comes";

pub(crate) const LIBRARIES: [Library; 6] = [
    Library {
        name: "paho-mqtt",
        transport: Transport::Tcp,
        program: Program::Python("koffer"),
        sample: "python/koffer.py",
        remark: "",
    },
    Library {
        name: "aiomqtt",
        transport: Transport::Tcp,
        program: Program::Python("koffer_aiomqtt"),
        sample: "python/koffer_aiomqtt.py",
        remark: UNTOLD,
    },
    Library {
        name: "gmqtt",
        transport: Transport::Tcp,
        program: Program::Python("koffer_gmqtt"),
        sample: "python/koffer_gmqtt.py",
        remark: UNTOLD,
    },
    Library {
        name: "mqtt",
        transport: Transport::Tcp,
        program: Program::Node,
        sample: "node/koffer.mjs",
        remark: "",
    },
    Library {
        name: "mqtt",
        transport: Transport::WebSocket,
        program: Program::Node,
        sample: "node/koffer.mjs",
        remark: "",
    },
    Library {
        name: "libpaho-mqttpp-dev",
        transport: Transport::Tcp,
        program: Program::Cpp,
        sample: "cpp/koffer.hpp",
        remark: "",
    },
];

impl Library {
    /// Whether it tells that the broker refused a call.
    pub(crate) fn tells_refusals(&self) -> bool {
        self.remark != UNTOLD
    }

    /// What it is called, with its version where we choose that.
    pub(crate) fn title(&self) -> String {
        let pinned = |file: &str, before: &str| {
            let text = std::fs::read_to_string(root().join("docs/examples").join(file));
            let text = text.expect("a list of libraries");
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(before));
            line.expect("the library's version")
                .trim_matches('"')
                .to_owned()
        };
        match self.program {
            Program::Python(_) => {
                let version = pinned("python/requirements.txt", &format!("{}==", self.name));
                format!("{} {version} (Python)", self.name)
            }
            Program::Node => {
                format!(
                    "MQTT.js {} (Node)",
                    pinned("node/package.json", "\"mqtt\": ")
                )
            }
            Program::Cpp => format!("Eclipse Paho C++, Debian's `{}`", self.name),
        }
    }

    fn command(&self) -> Command {
        let examples = examples();
        match self.program {
            Program::Python(module) => {
                let mut command = Command::new(examples.join("python/venv/bin/python"));
                command
                    .arg(root().join("tests/clients/runner.py"))
                    .arg(module)
                    .env("PYTHONPATH", examples.join("python"));
                command
            }
            Program::Node => {
                let mut command = Command::new("node");
                command.arg(examples.join("node/runner.mjs"));
                command
            }
            Program::Cpp => Command::new(examples.join("cpp/runner")),
        }
    }

    /// Makes the calls in a process of its own, one after the other, and gives what it told of
    /// each: `completion` and `progress`. Where it failed: its words.
    pub(crate) async fn run(
        &self,
        settings: &[(&'static str, String)],
        calls: &[Value],
    ) -> Result<Vec<Value>, String> {
        let mut child = self
            .command()
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; scripts/prepare test", self.name));
        let lines: Vec<_> = calls.iter().map(Value::to_string).collect();
        let lines = lines.join("\n");
        let mut input = child.stdin.take().expect("piped");
        // A program that ends early says why.
        let _ = input.write_all(lines.as_bytes()).await;
        drop(input);
        let output = timeout(PATIENCE, child.wait_with_output())
            .await
            .map_err(|_| "does not end".to_owned())?
            .expect("its output");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let told = String::from_utf8_lossy(&output.stdout);
        let told = told.lines().map(serde_json::from_str);
        told.collect::<Result<_, _>>()
            .map_err(|error| format!("{error}: {output:?}"))
    }
}

/// Where the samples run.
pub(crate) fn examples() -> PathBuf {
    root().join("target/examples")
}

/// Installs the samples, as they are now, with the tutorial's own commands, and builds what the
/// tests need beside them; once.
pub(crate) fn prepare() {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if *done {
        return;
    }
    let own = "cp -a tests/clients/runner.mjs target/examples/node/
        cp -a tests/clients/runner.cpp target/examples/cpp/
        make -C target/examples/cpp runner";
    let languages = languages();
    let scripts = languages.iter().map(|language| &*language.install);
    for script in scripts.chain([own]) {
        let outcome = std::process::Command::new("sh")
            .args(["-ec", script])
            .current_dir(root())
            .output()
            .expect("sh");
        let words = String::from_utf8_lossy(&outcome.stderr);
        assert!(
            outcome.status.success(),
            "{script}\n{words}; is something missing? scripts/prepare test"
        );
    }
    *done = true;
}
