//! A gateway that does what the test says, and a kofferctl that asks it, on a real broker.

use std::path::Path;
use std::process::{Output, Stdio};

use koffer_gateway::bus::{Bus, Incoming, Message, Qos, Subscription};
use koffer_proto::ContentType;
use koffer_tests::brokers::{Broker, ROOT};
use koffer_tests::built::program;
use koffer_tests::mosquitto::PATIENCE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// When the scripted gateway says it started.
pub(crate) const STARTED: &str = "2026-03-02T08:00:00Z";

/// The scripted gateway.
pub(crate) struct Gateway {
    bus: Bus,
    inbox: mpsc::Receiver<Incoming>,
}

/// A call it received.
pub(crate) struct Call {
    pub(crate) message: Message,
}

impl Call {
    /// `<target>/<operation>`
    pub(crate) fn what(&self) -> &str {
        let parts = self.message.topic.splitn(6, '/');
        parts.last().unwrap()
    }

    pub(crate) fn id(&self) -> String {
        let id = self.message.properties.correlation_data.as_deref().unwrap();
        String::from_utf8(id.to_vec()).unwrap()
    }

    pub(crate) fn params(&self) -> Value {
        serde_json::from_slice(&self.message.payload).unwrap()
    }

    pub(crate) fn user(&self, name: &str) -> Option<&str> {
        let properties = &self.message.properties.user;
        let found = properties.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Gateway {
    /// A gateway that is online.
    pub(crate) async fn online(broker: &Broker) -> Self {
        let mut settings = broker.bus("kofferd");
        settings.subscriptions = vec![Subscription {
            filter: format!("{ROOT}/call/#"),
            qos: Qos::AtLeastOnce,
        }];
        let (bus, inbox) = Bus::start(settings);
        let mut gateway = Self { bus, inbox };
        gateway.connected().await;
        gateway.status("online", STARTED).await;
        gateway
    }

    /// Waits until it is connected (again).
    pub(crate) async fn connected(&mut self) {
        while !matches!(self.next().await, Incoming::Connected { .. }) {}
    }

    async fn next(&mut self) -> Incoming {
        timeout(PATIENCE, self.inbox.recv())
            .await
            .expect("the gateway hears nothing")
            .unwrap()
    }

    /// The next call, acknowledged.
    pub(crate) async fn call(&mut self) -> Call {
        loop {
            if let Incoming::Message(received) = self.next().await {
                received.ack.send();
                let message = received.message;
                return Call { message };
            }
        }
    }

    /// Whether a call has come that nobody took yet.
    pub(crate) fn has_call(&mut self) -> bool {
        std::iter::from_fn(|| self.inbox.try_recv().ok())
            .any(|heard| matches!(heard, Incoming::Message(_)))
    }

    pub(crate) async fn status(&self, status: &str, started_at: &str) {
        let value = json!({
            "status": status, "version": "0.1.0", "boot_id": "b", "started_at": started_at,
        });
        self.retain("status", &value).await;
    }

    pub(crate) async fn retain(&self, path: &str, value: &Value) {
        self.say(Message::new(format!("{ROOT}/{path}"), value.to_string()).retained())
            .await;
    }

    pub(crate) async fn say(&self, message: Message) {
        timeout(PATIENCE, self.bus.publish(message).unwrap())
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn progress(&self, call: &Call, value: &Value) {
        self.answer(call, "/progress", value).await;
    }

    pub(crate) async fn complete(&self, call: &Call, value: &Value) {
        self.answer(call, "", value).await;
    }

    async fn answer(&self, call: &Call, suffix: &str, value: &Value) {
        let asked = &call.message.properties;
        let topic = format!("{}{suffix}", asked.response_topic.as_deref().unwrap());
        let encoding: ContentType = asked.content_type.as_deref().unwrap().parse().unwrap();
        let mut message = Message::new(topic, encoding.encode(value).unwrap());
        message.properties.content_type = asked.content_type.clone();
        message.properties.correlation_data = asked.correlation_data.clone();
        self.say(message).await;
    }
}

/// kofferctl as `ws-1` at this broker, in English, without the configuration of whoever runs the
/// tests.
pub(crate) fn kofferctl(broker: &Broker, home: &Path, words: &[&str]) -> Command {
    let mut command = bare(home, words);
    command
        .env("KOFFERCTL_ADDRESS", format!("127.0.0.1:{}", broker.port()))
        .env("KOFFERCTL_GATEWAY", "case-7")
        .env("KOFFERCTL_USER", "ws-1")
        .env("KOFFERCTL_PASSWORD", "secret-one");
    command
}

/// kofferctl, knowing nothing.
pub(crate) fn bare(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program("kofferctl"));
    command
        .args(words)
        .env_clear()
        .env("HOME", home)
        .env("LANG", "en_GB.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn ended(mut command: Command) -> Ended {
    let output = timeout(PATIENCE, command.output())
        .await
        .expect("kofferctl does not end")
        .unwrap();
    Ended::from(output)
}

/// What it said, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Stdout as JSON lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

/// A kofferctl that runs.
pub(crate) struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, err }
    }

    /// What Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    }

    /// Reads stderr up to a line that has this in it.
    pub(crate) async fn says(&mut self, words: &str) {
        timeout(PATIENCE, async {
            while let Some(line) = self.err.next_line().await.unwrap() {
                if line.contains(words) {
                    return;
                }
            }
            panic!("kofferctl ended without saying {words:?}");
        })
        .await
        .unwrap_or_else(|_| panic!("kofferctl does not say {words:?}"));
    }

    /// The next line of stdout.
    pub(crate) async fn line(&mut self) -> String {
        timeout(PATIENCE, self.out.next_line())
            .await
            .expect("kofferctl writes nothing")
            .unwrap()
            .expect("kofferctl has ended")
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        timeout(PATIENCE, async {
            let mut ended = Ended {
                code: None,
                out: String::new(),
                err: String::new(),
            };
            while let Some(line) = self.out.next_line().await.unwrap() {
                ended.out += &(line + "\n");
            }
            while let Some(line) = self.err.next_line().await.unwrap() {
                ended.err += &(line + "\n");
            }
            ended.code = self.child.wait().await.unwrap().code();
            ended
        })
        .await
        .expect("kofferctl does not end")
    }
}
