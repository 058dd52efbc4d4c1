//! Supplies that umockdev (Debian `umockdev`, `gir1.2-umockdev-1.0`) shows in a sysfs of its own.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

/// A mocked machine; it ends with this.
#[derive(Debug)]
pub struct MockedSupplies {
    folder: PathBuf,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl MockedSupplies {
    /// A machine without supplies.
    ///
    /// # Errors
    /// When umockdev is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/power/supplies.py");
        let mut child = Command::new("umockdev-wrapper")
            // Debian's own Python: the bindings are a Debian package.
            .args(["/usr/bin/python3".as_ref(), script.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let remedy = "apt-get install umockdev gir1.2-umockdev-1.0 python3-gi";
                io::Error::new(error.kind(), format!("umockdev: {error}; {remedy}"))
            })?;
        let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("umockdev has no input or output"));
        };
        let mut answers = BufReader::new(output);
        let mut root = String::new();
        answers.read_line(&mut root)?;
        Ok(Self {
            folder: Path::new(root.trim_end()).join("sys/class/power_supply"),
            child,
            orders,
            answers,
        })
    }

    /// Where its supplies are shown.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds a supply with these files.
    ///
    /// # Errors
    /// When umockdev does not obey.
    pub fn add(&mut self, name: &str, files: &Value) -> io::Result<()> {
        self.order(&json!({"add": name, "files": files}))
    }

    /// Changes files of a supply.
    ///
    /// # Errors
    /// When umockdev does not obey.
    pub fn set(&mut self, name: &str, files: &Value) -> io::Result<()> {
        self.order(&json!({"set": name, "files": files}))
    }

    /// Removes a supply.
    ///
    /// # Errors
    /// When umockdev does not obey.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        self.order(&json!({"remove": name}))
    }

    fn order(&mut self, order: &Value) -> io::Result<()> {
        writeln!(self.orders, "{order}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end() {
            "done" => Ok(()),
            _ => Err(io::Error::other(format!("umockdev refused {order}"))),
        }
    }
}

impl Drop for MockedSupplies {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
