//! A machine into which things are plugged: umockdev, run by `bed.py`.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Longer than umockdev takes for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// A mocked machine; it ends with this.
pub(crate) struct Bed {
    /// What stands for the machine's root.
    pub(crate) root: String,
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// An adapter with a serial line at `line`.
pub(crate) fn adapter(port: &str, node: &str, serial: Option<&str>, line: &Path) -> Value {
    json!({
        "port": port, "vid": "0403", "pid": "6001", "serial": serial, "product": "Adapter",
        "class": "ff", "node": node, "line": line,
    })
}

/// A USB device that nobody knows.
pub(crate) fn stranger(port: &str) -> Value {
    json!({
        "port": port, "vid": "1234", "pid": "5678", "serial": null, "product": "Stranger",
        "class": "07",
    })
}

impl Bed {
    pub(crate) async fn make() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/enumerate/bed.py");
        let mut child = Command::new("umockdev-wrapper")
            // Debian's own Python: the bindings are a Debian package.
            .args(["/usr/bin/python3".as_ref(), script.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("umockdev is installed (scripts/prepare test)");
        let orders = child.stdin.take().expect("piped");
        let output = child.stdout.take().expect("piped");
        let mut answers = BufReader::new(output).lines();
        let root = line(&mut answers).await;
        Self {
            root,
            _child: child,
            orders,
            answers,
        }
    }

    pub(crate) async fn plug(&mut self, thing: &Value) {
        self.order(&json!({ "plug": thing })).await;
    }

    pub(crate) async fn unplug(&mut self, port: &str) {
        self.order(&json!({ "unplug": port })).await;
    }

    async fn order(&mut self, order: &Value) {
        let order = format!("{order}\n");
        let written = self.orders.write_all(order.as_bytes()).await;
        written.expect("the bed listens");
        assert_eq!(line(&mut self.answers).await, "done", "{order}");
    }
}

async fn line(answers: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = tokio::time::timeout(PATIENCE, answers.next_line()).await;
    line.expect("the bed answers in time")
        .expect("its output")
        .expect("the bed is still there")
}
